"""Code as people of older systems write it, and what it is here.

The page ``/ported`` shows each with a line to try it, and the code, which is read from
here. What ini files can do is in two of them: ``backend.ini`` has a filter before its
application, ``gateway.ini`` is a gateway without a line of Python.
"""

import inspect
import pathlib
import re

from pyramid.httpexceptions import HTTPNotFound
from pyramid.renderers import render_to_response
from pyramid.view import view_config
from sqlalchemy import select

from demo_app import client, keep_private
from demo_app.models import Post
from pyramid_restproxy import (
    ProxyView,
    invoke_backend_service,
    invoke_backend_service_as_proxy,
    require_signature,
    service_url,
)
from pyramid_restproxy.trust.sealing import encode_plain
from pyramid_restproxy.trust.session_tokens import session_token, unwrap

#: Nobody is there: connections are refused.
NOBODY = "http://127.0.0.1:9"


@view_config(route_name="ported.titles", allowed_methods="GET")
def titles(request):
    """Dispatch by hand on the {ext} of the pattern."""
    found = request.db.scalars(select(Post.title).order_by(Post.id)).all()
    extension = request.matchdict["ext"]
    if extension == "json":
        return render_to_response("json", found, request)
    if extension == "txt":
        return render_to_response("string", "\n".join(found), request)
    raise HTTPNotFound("There is .json and .txt.")


@view_config(route_name="ported.view", allowed_methods="GET")
class Readers(ProxyView):
    """Forward, with a say in what is sent and in what comes back."""

    backend = "users"
    identity_headers = ("X-Team",)  # clients cannot send these

    def prepare_request(self, call):
        call.headers.set("X-Team", "readers")
        return keep_private(call)

    def process_response(self, call, response):
        response.headers.set("X-Shown-To", "readers")


@view_config(route_name="ported.forward", allowed_methods="GET")
def forwarded(request):
    """Decide in a view where this request goes; parameters are escaped."""
    plain = encode_plain({"name": "Ada & Grace"})  # base64, which hides nothing
    path = service_url("/headers", [("title", "a&b"), *plain])
    return request.forward("users", path)


@view_config(route_name="ported.sealed", allowed_methods="GET", renderer="string")
def sealed(request):
    """Ask with parameters that nobody on the way can read or alter."""
    users = request.backend("users")
    return users.get("/headers", params={"name": "Ada"}, sealed=True).data


def several(config):
    """The backend that the functions ask; at one of the two is nobody."""
    config.add_backend(
        "default",
        [config.get_settings()["demo.users_url"], NOBODY],
        headers={"api-key": "the-gateways-own"},
    )


@view_config(route_name="ported.user", allowed_methods="GET", renderer="json")
def user(request):
    path = f"/{request.matchdict['id']}"
    status, data = invoke_backend_service("GET", path, request=request)
    request.response.status_int = status
    return data


@view_config(route_name="ported.proxied", allowed_methods="GET")
def proxied(request):
    return invoke_backend_service_as_proxy(request, path="/headers")


@view_config(route_name="ported.unwrapped", allowed_methods="GET", renderer="json")
def unwrapped(request):
    """Take the data out; the new token around them is kept with the login."""
    headers = {"user-token": session_token(request) or ""}
    result = request.backend("users").get("/private/wrapped", headers=headers)
    return unwrap(request, result)


@view_config(route_name="ported.hook", allowed_methods="POST", renderer="json")
@require_signature("body")
def hook(request):
    return {"from": request.signed.key_id}


def add(a: int, b: int = 1) -> int:
    return a + b


def adding(config):
    agent = {"user_agent": "adder/1", "strict_404": True}
    config.add_service("ported.add", "/ported/srv/add", add, **agent)
    pickled = {"codecs": ("json", "pickle"), "signed": True}
    config.add_service("ported.pickled", "/ported/pickled/add", add, **pickled)


SHOWN = (
    titles,
    Readers,
    forwarded,
    sealed,
    several,
    user,
    proxied,
    unwrapped,
    hook,
    add,
    adding,
    client.add_as_of_old,
)


@view_config(
    route_name="ported",
    allowed_methods="GET",
    renderer="demo_app:templates/ported.jinja2",
)
def ported(request):
    """Show the code, and what the two ini files are about."""
    return {
        "code": {each.__name__: inspect.getsource(each) for each in SHOWN},
        "filter": section_of("backend.ini", "pipeline:main", "filter:method_override"),
        "gateway": section_of("gateway.ini", "app:main"),
        "secret": client.SECRET.decode(),
    }


def section_of(name, *sections):
    """Return sections of an ini file of ours, as they stand there."""
    text = (pathlib.Path(__file__).parent / name).read_text("utf-8")
    found = dict(re.findall(r"(?m)^\[(.+)\]\n((?:(?!\[).*\n)*)", text))
    return "\n\n".join(f"[{each}]\n{found[each].strip()}" for each in sections)


def includeme(config):
    """Add the routes, and the page that shows them."""
    several(config)
    adding(config)
    config.add_route("ported", "/ported")
    config.add_route("ported.titles", "/ported/titles.{ext}")
    config.add_route("ported.view", "/ported/view/*path")
    config.add_route("ported.forward", "/ported/forward")
    config.add_route("ported.sealed", "/ported/sealed")
    config.add_route("ported.user", "/ported/user/{id:[0-9]{1,9}}")
    config.add_route("ported.proxied", "/ported/proxied")
    config.add_route("ported.unwrapped", "/ported/unwrapped")
    config.add_route("ported.hook", "/ported/hook")
    config.scan(__name__)
