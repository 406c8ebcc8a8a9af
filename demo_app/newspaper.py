"""What the backend publishes besides its users: a page, a record and a measurement.

The page has an advertisement and knows its readers by a cookie, the record has members
that are nobody's business, and measuring is work. ``filters`` deals with all three.
"""

import html
import itertools
import secrets

from pyramid.response import Response
from pyramid.view import view_config

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>The Morning</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 1rem/1.5 Georgia, serif; margin: 1rem; overflow-wrap: anywhere }}
  h1 {{ font-size: 1.25rem; margin: 0 0 .5rem }}
  p {{ margin: 0 0 .75rem }}
  .advertisement {{ background: #ffd84d; color: #222; font-weight: bold;
    padding: .75rem; margin-bottom: .75rem }}
</style>
<h1>The Morning</h1>
<aside class="advertisement">Buy two, pay for three!</aside>
<p>A small gateway was opened today. Neighbours say that it hardly makes a sound.</p>
<p class="reader">{reader}</p>
</html>
"""


@view_config(route_name="newspaper", request_method="GET")
def newspaper(request):
    """Show the page, and recognise who was here before."""
    visitor = request.cookies.get("visitor")
    if visitor:
        reader = f"We know you: you are visitor {html.escape(visitor[:8])}."
        return Response(PAGE.format(reader=reader))
    response = Response(PAGE.format(reader="We do not know you."))
    response.set_cookie("visitor", secrets.token_hex(4), samesite="Lax")
    return response


@view_config(route_name="record", request_method="GET", renderer="json")
def record(request):
    """Show all that is known of somebody, as a careless service does."""
    contact = {"city": "London", "phone": "020 7946 0000"}
    return {"name": "Ada", "password": "demo", "contact": contact}


@view_config(route_name="weather", request_method="GET", renderer="json")
def weather(request):
    """Measure, and say how long the answer is good for."""
    request.response.cache_control = "max-age=60"
    return {"degrees": 21, "measurement": next(request.registry.measurements)}


def includeme(config):
    """Add what is published to the backend."""
    config.registry.measurements = itertools.count(1)
    for name in ("newspaper", "record", "weather"):
        config.add_route(name, f"/{name}")
    config.scan(__name__)
