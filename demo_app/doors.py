"""Who may pass: by an API key, a user token, a signature or a sealed link.

The page ``/doors`` shows each with a line to try it, and the code, which is read from
here. What clients hold is in ``client`` and printed on the page: this is a demo. What
the server knows of it is in development.ini, as anywhere else.
"""

import inspect

from pyramid.httpexceptions import HTTPNotFound
from pyramid.view import view_config
from sqlalchemy import select

from demo_app import keep_private
from demo_app.backend import TOKEN_OF_ADA
from demo_app.client import API_KEY, SECRET
from demo_app.models import Post
from pyramid_restproxy.trust.exposed import expose_service
from pyramid_restproxy.trust.validators import backend_validator


def keyed(config):
    config.add_proxy_route(
        "doors.keyed",
        "/api/keyed/*path",
        "users",
        allowed_methods="GET",
        api_key=True,
        rate_limit="10/minute",
        rate_limit_by="key",
        identity={"X-Client": "key"},
        request_transforms=[keep_private],
    )


@view_config(route_name="doors.newest", renderer="json")
@expose_service(["GET"], public=True)
def newest(request):
    """Tell all clients the same; a user token is not looked at."""
    posts = select(Post.title).order_by(Post.id.desc())
    return {"newest": request.db.scalar(posts.limit(1))}


@view_config(route_name="doors.mine", renderer="json")
@expose_service(["GET"])
def mine(request):
    """Tell users what is theirs; the backend said who it is."""
    user = request.user_token_identity.user_id
    posts = select(Post.title).where(Post.author == user.capitalize())
    return {"user": user, "posts": request.db.scalars(posts).all()}


@view_config(
    route_name="doors.news", allowed_methods="POST", signed=True, renderer="json"
)
@view_config(
    route_name="doors.hook", allowed_methods="POST", signed="body", renderer="json"
)
def take_news(request):
    """Take what a partner sends; it was checked before this runs."""
    return {"from": request.signed.key_id, "bytes": len(request.body)}


@view_config(
    route_name="doors.shared",
    allowed_methods="GET",
    sealed=True,
    renderer="demo_app:templates/shared.jinja2",
)
def shared(request):
    """Show the post that the link was made for, and no other."""
    post = request.db.get(Post, request.sealed["post"])
    if post is None:
        raise HTTPNotFound("There is no such post any more.")
    return {"post": post}


def make_link(request, post_id):
    """Return a path that shows one post, for five minutes."""
    return request.sealed_path("doors.shared", {"post": post_id}, lifetime=300)


SHOWN = (keyed, newest, mine, take_news, shared, make_link)


@view_config(
    route_name="doors",
    allowed_methods="GET",
    renderer="demo_app:templates/doors.jinja2",
)
def doors(request):
    """Show the doors, with the demo's keys to them and a link made just now."""
    post = request.db.scalars(select(Post).order_by(Post.id).limit(1)).first()
    return {
        "code": {each.__name__: inspect.getsource(each) for each in SHOWN},
        "api_key": API_KEY,
        "user_token": TOKEN_OF_ADA,
        "secret": SECRET.decode(),
        "post": post,
        "link": post and make_link(request, post.id),
    }


def includeme(config):
    """Say who recognises whom, and add the routes; the keys are in development.ini."""
    config.set_token_validator(backend_validator("users", "/private/validate"))

    keyed(config)
    config.add_route("doors", "/doors")
    config.add_route("doors.newest", "/exposed/newest")
    config.add_route("doors.mine", "/exposed/mine")
    config.add_route("doors.news", "/hooks/news")
    config.add_route("doors.hook", "/hooks/simple")
    config.add_route("doors.shared", "/shared")
    config.scan(__name__)
