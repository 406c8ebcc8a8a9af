"""The views: posts as a resource, their authors as a route by hand, the home page."""

from pyramid.httpexceptions import (
    HTTPBadRequest,
    HTTPNotFound,
    HTTPSeeOther,
    HTTPUnprocessableEntity,
)
from pyramid.traversal import DefaultRootFactory
from pyramid.view import view_config
from sqlalchemy import func, select

from demo_app.models import Post
from pyramid_restproxy import rest_resource

FIELDS = ("title", "author", "body")
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
WRITES = {"request_content_types": ("application/json", *FORMS)}  # others are 415

# In server order: the first is for clients that do not say what they want.
DATA = ("json", "xml", "csv", "yaml", "msgpack", "cbor")
READ = ("html", *DATA, "xlsx", "pdf")
# Who writes and accepts anything is a program. Browsers name text/html.
WRITTEN = (*DATA, "html")


def find_post(request):
    """Make the context of the views: the post that the URL names, if it names one.

    A route factory runs before anything else is decided, so a post that is not
    there is a 404, whatever the method or the representation.
    """
    if "id" not in request.matchdict:
        return DefaultRootFactory(request)
    post = request.db.get(Post, int(request.matchdict["id"]))
    if post is None:
        raise HTTPNotFound("There is no such post.")
    return post


def template(action):
    return f"demo_app:templates/posts_{action}.jinja2"


@rest_resource(
    "posts",
    "/posts",
    item=r"{id:[0-9]{1,9}}",
    factory=find_post,
    template=template("{action}"),
    representations=READ,
    views={
        # A form that is refused is shown again.
        "create": {**WRITES, "representations": WRITTEN, "template": template("new")},
        "replace": {**WRITES, "representations": WRITTEN, "template": template("edit")},
        "update": {**WRITES, "representations": WRITTEN, "template": template("edit")},
        "delete": {
            "renderer": "negotiated",
            "representations": WRITTEN,
            "template": template("show"),
        },
    },
)
class Posts:
    """Every method returns plain data; the package makes the representation of it."""

    def __init__(self, context, request):
        self.post = context
        self.request = request

    def index(self):
        posts = self.request.db.scalars(select(Post).order_by(Post.id.desc()))
        return {"posts": posts.all()}

    def new(self):
        return {"post": {}}

    def create(self):
        values, error = read(self.request, FIELDS)
        if error:
            return self.refuse(values, error)
        self.post = Post(**values)
        self.request.db.add(self.post)
        return self.save(status=201)

    def show(self):
        return {"post": self.post}

    def edit(self):
        return {"post": self.post}

    def replace(self):
        return self.change(FIELDS)

    def update(self):
        return self.change([])

    def delete(self):
        self.request.db.delete(self.post)
        self.request.db.commit()
        if self.request.rest.is_html():
            return HTTPSeeOther(self.request.route_path("posts"))
        return None  # 204

    def change(self, required):
        values, error = read(self.request, required)
        if error:
            return self.refuse(values, error)
        for name, value in values.items():
            setattr(self.post, name, value)
        return self.save(status=200)

    def save(self, status):
        """Answer a write: a browser goes on to the page, a program gets the data."""
        self.request.db.commit()
        url = self.request.route_path("posts.item", id=self.post.id)
        if self.request.rest.is_html():
            return HTTPSeeOther(url)
        self.request.response.status_int = status
        if status == 201:
            self.request.response.location = url
        return {"post": self.post}

    def refuse(self, values, error):
        """Answer bad input: the form with a message, or a problem document."""
        if not self.request.rest.is_html():
            raise HTTPUnprocessableEntity(error)
        self.request.response.status_int = 422
        return {"post": values, "error": error}


def read(request, required):
    """Read the fields of a post from a form or a JSON document.

    Returns what was sent, and what is wrong with it ('' where nothing is).
    """
    if request.content_type in FORMS:
        sent = request.POST
    else:
        try:
            sent = request.json_body
        except ValueError:
            raise HTTPBadRequest("The body is not JSON.") from None
        if not isinstance(sent, dict):
            return {}, "The document must be an object."
    values = {name: sent[name] for name in FIELDS if name in sent}
    for name, value in values.items():
        if not isinstance(value, str):
            return {}, f"The {name} must be text."
        # Forms send CRLF, and JSON can hold half of a surrogate pair.
        whole = value.encode("utf-8", "replace").decode("utf-8")
        values[name] = whole.replace("\r\n", "\n").strip()
    for name in FIELDS:
        if (name in required or name in values) and not values.get(name):
            return values, f"The {name} must not be empty."
    return values, ""


# A route by hand: one negotiated view, and another one for a format of its own.
# Each view says its method; /authors.json and /authors.txt need no further route.


@view_config(
    route_name="authors",
    allowed_methods="GET",
    renderer="negotiated",
    template="demo_app:templates/authors.jinja2",
    representations=READ,
)
def authors(request):
    count = select(Post.author, func.count()).group_by(Post.author)
    rows = request.db.execute(count.order_by(Post.author))
    return {"authors": [{"name": name, "posts": posts} for name, posts in rows]}


@view_config(
    route_name="authors", allowed_methods="GET", extension=".txt", renderer="string"
)
def authors_as_text(request):
    return "\n".join(author["name"] for author in authors(request)["authors"])


@view_config(
    route_name="home",
    allowed_methods="GET",
    renderer="demo_app:templates/home.jinja2",
)
def home(request):
    """Explain the demo, and show what the users backend says just now."""
    users = request.backend("users").get("/")
    return {"users": users.data if users.ok else None}
