"""A resource for config.scan()."""

from __future__ import annotations

from pyramid_restproxy import rest_resource


@rest_resource("things", "/things", views={"show": {"request_param": "x"}})
class Things:
    def __init__(self, request):
        self.request = request

    def index(self):
        return {"things": []}

    def show(self):
        return {"id": self.request.matchdict["id"]}
