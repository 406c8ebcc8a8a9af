"""What generated clients stand on."""

from __future__ import annotations

from pyramid_restproxy.services.typed import LEFT_OUT, TypedServices


class Client:
    def call(self, name, arguments):
        return name, arguments


def test_what_is_left_out_is_not_sent():
    services = TypedServices(Client())
    given = {"a": 1, "b": LEFT_OUT, "c": None}
    assert services._call("folder/add", given) == ("folder/add", {"a": 1, "c": None})
