"""A posts application: pages and data of the same resources, and a forwarded backend.

``pserve demo_app/development.ini`` starts it. Read it in this order: this module
puts the application together, ``posts`` holds its views, ``models`` its one table;
``backend`` is the service that ``/api/users/`` is forwarded to, with what ``newspaper``
publishes; ``account`` logs in there; ``doors`` says who may pass, and ``filters`` what;
``measures`` is a service for other programs, and ``client`` such a program; ``ported``
is code as older systems have it.
"""

from urllib.parse import unquote

from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.httpexceptions import HTTPNotFound
from pyramid.settings import asbool

from demo_app import backend


def main(global_config, **settings):
    """Make the WSGI application (``use = egg:pyramid_restproxy#demo``)."""
    with Configurator(settings=settings) as config:
        config.include("pyramid_jinja2")
        config.include("pyramid_restproxy")
        config.include("demo_app.models")

        config.set_csrf_storage_policy(CookieCSRFStoragePolicy(httponly=True))
        config.set_default_csrf_options(callback=needs_csrf_token)

        config.add_static_view("static", "demo_app:static")
        # The script that sends data-rest forms with their real method.
        config.add_static_view("rest-assets", "pyramid_restproxy:routing/static")
        config.add_route("home", "/")
        config.add_route("authors", "/authors")
        config.scan("demo_app.posts")

        # /api/users/7 is answered by the backend, which sees /7.
        url = users_url(settings)
        config.add_settings({"demo.users_url": url})
        config.add_backend("users", url)
        config.add_proxy_route(
            "users",
            "/api/users/*path",
            backend="users",
            allowed_methods=("GET", "POST", "DELETE"),
            request_transforms=[keep_private],
        )
        config.include("demo_app.account")
        config.include("demo_app.doors")
        config.include("demo_app.filters")
        config.include("demo_app.measures")
        config.include("demo_app.ported")
        config.add_health_views()
        return config.make_wsgi_app()


def keep_private(call):
    """Answer in the place of the backend where a path is not for clients.

    Servers read ``//private`` and ``/%70rivate`` as what they mean, so we do too.
    """
    segments = [segment for segment in unquote(call.path).split("/") if segment]
    return HTTPNotFound() if segments[:1] == ["private"] else None


def users_url(settings):
    """Start the users backend beside the application, or name the one that runs."""
    port = int(settings.get("demo.backend_port", 0))
    if asbool(settings.get("demo.start_backend", True)):
        port = backend.start(port)
    return f"http://127.0.0.1:{port}"


def needs_csrf_token(request):
    """Say which writes must carry the token of our own pages.

    A page of another site can make a browser send us any POST that a form could
    send (also one without a type). It may not send JSON, nor a real PUT, PATCH or
    DELETE, before a preflight, and we answer none with CORS headers. So exactly
    these two go without a token, which is what keeps API clients simple.

    ``original_method`` counts: a form that is *tunnelled* to DELETE is a POST on
    the wire, needs no preflight, and is checked. Revisit this when you allow CORS.
    """
    is_json = request.content_type.lower() == "application/json"
    return request.original_method == "POST" and not is_json
