"""Logging in: the backend knows the users, the application keeps who it is.

The browser gets a cookie with a random id. The backend's token stays in the store and
goes along with requests to ``/api/me``, which only those who are logged in may ask.
"""

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import forbidden_view_config, view_config

from pyramid_restproxy.trust.login import BackendLoginPolicy, local_path, login, logout
from pyramid_restproxy.trust.session_tokens import (
    keep_session_token,
    send_session_token,
    session_token,
)

TEMPLATE = "demo_app:templates/account.jinja2"


@view_config(route_name="account", allowed_methods="GET", renderer=TEMPLATE)
def show(request):
    """Show the form, or who is logged in and what the backend tells them."""
    user = request.authenticated_userid
    private = None
    if user is not None:
        headers = {"user-token": session_token(request) or ""}
        private = request.backend("users").get("/private/me", headers=headers).data
    return {"user": user, "private": private, "next": request.GET.get("next", "")}


@view_config(route_name="account", allowed_methods="POST", renderer=TEMPLATE)
def log_in(request):
    """Log in at the backend, and go where the browser wanted to go."""
    form = request.POST
    found = login(
        request,
        username=form.get("username", "").strip().lower(),
        password=form.get("password", ""),
    )
    if found is not None:
        there = local_path(form.get("next"), request.route_path("account"))
        return HTTPSeeOther(there)
    request.response.status_int = 403
    wrong = "The name or the password is not right."
    return {"user": None, "private": None, "next": form.get("next", ""), "error": wrong}


@view_config(route_name="account", allowed_methods="DELETE")
def log_out(request):
    """Log out, here and in every other process that shares the store."""
    logout(request)
    return HTTPSeeOther(request.route_path("account"))


@forbidden_view_config()
def ask_who_it_is(request):
    """Show people the form; programs, which name no text/html, get their 403."""
    is_person = "text/html" in request.headers.get("Accept", "")
    is_known = request.authenticated_userid is not None
    if is_known or not is_person or request.method != "GET":
        return request.exception
    query = {"next": request.path_qs}
    return HTTPSeeOther(request.route_path("account", _query=query))


def includeme(config):
    """Use the policy, and forward ``/api/me`` for those who are logged in."""
    config.set_security_policy(BackendLoginPolicy("users", "/private/login"))
    config.add_route("account", "/account")
    config.add_proxy_route(
        "me",
        "/api/me",
        "users",
        path="/private/me",
        allowed_methods="GET",
        permission="read",
        request_transforms=[send_session_token()],
        response_transforms=[keep_session_token()],
    )
    config.scan(__name__)
