"""The users backend: a small service that knows nothing of the application.

Any HTTP server could stand here. It runs beside the demo (:func:`start`), or as a
process of its own: ``pserve demo_app/backend.ini``.
"""

import logging
import secrets
import socket
import threading
import time

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPForbidden, HTTPNoContent, HTTPNotFound
from pyramid.response import Response
from pyramid.view import view_config
from waitress.server import create_server

log = logging.getLogger(__name__)

#: A token that is always good, so that there is something to try. Only in a demo.
TOKEN_OF_ADA = "demo-token-of-ada"

#: waitress would hide the X-Forwarded-* headers that /headers is there to show.
SERVER = {"clear_untrusted_proxy_headers": False}


class Users:
    """The users, in memory, safe for the threads of a server."""

    def __init__(self):
        self.by_id = {1: "Ada", 2: "Grace", 3: "Linus"}
        self.last_id = 3
        self.tokens = {}
        self.lock = threading.Lock()

    def add(self, name):
        with self.lock:
            self.last_id += 1
            self.by_id[self.last_id] = name
            return self.last_id

    def recognises(self, name, password):
        """Say whether these are the name and the password of a user (it is `demo`)."""
        known = name in {each.lower() for each in self.by_id.values()}
        return secrets.compare_digest(password.encode(), b"demo") and known

    def new_token(self, name):
        token = secrets.token_urlsafe(24)
        with self.lock:
            self.tokens[token] = name
            while len(self.tokens) > 1000:  # a demo forgets
                self.tokens.pop(next(iter(self.tokens)))
        return token

    def holder_of(self, token):
        """Return the name of the user whose token it is, or None."""
        return "ada" if token == TOKEN_OF_ADA else self.tokens.get(token)


def as_json(ident, name):
    return {"id": ident, "name": name}


def find(request):
    """Return the id that the URL names, where there is such a user."""
    ident = int(request.matchdict["id"])
    if ident not in request.users.by_id:
        raise HTTPNotFound("There is no such user.")
    return ident


@view_config(route_name="users", request_method="GET", renderer="json")
def index(request):
    return [as_json(*item) for item in sorted(request.users.by_id.items())]


@view_config(route_name="users", request_method="POST", renderer="json")
def create(request):
    name = str(request.json_body["name"])
    ident = request.users.add(name)
    request.response.status_int = 201
    request.response.location = request.route_url("user", id=ident)
    return as_json(ident, name)


@view_config(route_name="user", request_method="GET", renderer="json")
def show(request):
    ident = find(request)
    return as_json(ident, request.users.by_id[ident])


@view_config(route_name="user", request_method="DELETE")
def delete(request):
    request.users.by_id.pop(find(request), None)
    return HTTPNoContent()


@view_config(route_name="login", request_method="POST", renderer="json")
def log_in(request):
    """Say who it is, for the gateway that asks: a user, permissions and a token."""
    given = request.json_body
    name, password = str(given.get("username", "")), str(given.get("password", ""))
    if not request.users.recognises(name, password):
        raise HTTPForbidden("The name or the password is not right.")
    token = request.users.new_token(name)
    return {"user": name, "permissions": ["read"], "token": token}


@view_config(route_name="validate", request_method="POST", renderer="json")
def validate(request):
    """Say whose token it is, for the gateway that asks."""
    name = request.users.holder_of(str(request.json_body.get("token")))
    if name is None:
        raise HTTPForbidden("There is no such token.")
    return {"user": name, "permissions": ["read"]}


@view_config(route_name="me", request_method="GET", renderer="json")
def me(request):
    """Tell the holder of a token what nobody else may know."""
    name = request.users.holder_of(request.headers.get("user-token"))
    if name is None:
        raise HTTPForbidden("There is no such token.")
    return {"user": name, "secret": f"{name} has {len(name)} letters"}


@view_config(route_name="wrapped", request_method="GET", renderer="json")
def wrapped(request):
    """Answer in the form of django-proxy-server: data, and around them a new token."""
    name = request.users.holder_of(request.headers.get("user-token"))
    token = None if name is None else request.users.new_token(name)
    data = {"user": name, "letters": len(name or "")}
    return {"user-token": token, "expiration-date": None, "response": data}


@view_config(route_name="headers", request_method="GET", renderer="string")
def headers(request):
    """Show what arrived: the request line and the headers, the forwarder's too."""
    lines = [f"{request.method} {request.path_qs}"]
    lines += [f"{name}: {value}" for name, value in sorted(request.headers.items())]
    return "\n".join(lines) + "\n"


@view_config(route_name="cookies", request_method="GET", renderer="string")
def cookies(request):
    """Answer with two Set-Cookie lines, which must stay two."""
    request.response.set_cookie("colour", "green", samesite="Lax")
    request.response.set_cookie("size", "small", samesite="Lax")
    return "Two cookies, a line each.\n"


@view_config(route_name="slow", request_method="GET")
def slow(request):
    """Answer piece by piece: each one is passed on as it comes (try curl -N)."""

    def pieces():
        for number in range(1, 6):
            yield f"piece {number} of 5\n".encode()
            time.sleep(0.5)

    return Response(content_type="text/plain", charset="utf-8", app_iter=pieces())


def main(global_config, **settings):
    """Make the WSGI application (``use = egg:pyramid_restproxy#demo_backend``)."""
    users = Users()
    with Configurator(settings=settings) as config:
        config.add_request_method(lambda request: users, "users", property=True)
        config.add_route("users", "/")
        config.add_route("user", "/{id:[0-9]{1,9}}")
        for name in ("headers", "cookies", "slow"):
            config.add_route(name, f"/{name}")
        # For the gateway, not for its clients.
        for name in ("login", "validate", "me", "wrapped"):
            config.add_route(name, f"/private/{name}")
        config.include("demo_app.newspaper")
        config.scan(__name__)
        return config.make_wsgi_app()


def start(port):
    """Serve the backend in a thread that ends with the process.

    Returns the port: the one asked for, or a free one for 0.
    """
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise ConfigurationError(
            f"demo.backend_port = {port}: {error.strerror}. Set another one (0 takes "
            "a free one), or demo.start_backend = false if that is the backend."
        ) from error
    server = create_server(main({}), sockets=[listener], **SERVER)
    threading.Thread(target=server.run, name="users backend", daemon=True).start()
    log.info("The users backend is on http://127.0.0.1:%s", server.effective_port)
    return server.effective_port
