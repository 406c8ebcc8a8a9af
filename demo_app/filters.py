"""What passes, and how: content that is filtered on its way, and answers that are kept.

The page ``/filters`` shows what the backend says beside what arrives, with the code
that makes the difference; that is read from here.
"""

import inspect

from pyramid.view import view_config

from pyramid_restproxy.forwarding.transforms import (
    cookie_filter,
    html_filter,
    json_filter,
    set_cookie_filter,
)


def newspaper(config):
    config.add_proxy_route(
        "filters.newspaper",
        "/filtered/newspaper",
        "users",
        path="/newspaper",
        allowed_methods="GET",
        request_transforms=[cookie_filter(allow=["language"])],
        response_transforms=[
            set_cookie_filter(allow=["language"]),
            html_filter(remove=[".advertisement"]),
        ],
    )


def record(config):
    config.add_proxy_route(
        "filters.record",
        "/filtered/record",
        "users",
        path="/record",
        allowed_methods="GET",
        response_transforms=[json_filter(drop=["password", "phone"])],
    )


def weather(config):
    config.add_proxy_route(
        "filters.weather",
        "/cached/weather",
        "users",
        path="/weather",
        allowed_methods="GET",
        cache=True,
    )


SHOWN = (newspaper, record, weather)


@view_config(
    route_name="filters",
    allowed_methods="GET",
    renderer="demo_app:templates/filters.jinja2",
)
def filters(request):
    """Show the routes; what they answer is theirs to say."""
    return {"code": {each.__name__: inspect.getsource(each) for each in SHOWN}}


def includeme(config):
    """Add the routes, and the page that shows them."""
    config.add_route("filters", "/filters")
    for add in SHOWN:
        add(config)
    config.scan(__name__)
