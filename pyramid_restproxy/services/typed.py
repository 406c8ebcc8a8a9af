"""What the typed clients stand on that ``prest stubs`` writes.

A generated class names each service as a method with its types; how a call is made is
here and in the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid_restproxy.services.client import ServiceClient

__all__ = ["LEFT_OUT", "TypedServices"]

#: Stands for an argument that a call leaves out: the service knows its default.
LEFT_OUT: Any = object()


class TypedServices:
    """Base of the generated classes.

    :param client: makes the calls.
    """

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    def _call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call a service with the arguments that are given."""
        given = {key: arguments[key] for key in arguments if not _left(arguments[key])}
        return self._client.call(name, given)


def _left(value: Any) -> bool:
    return value is LEFT_OUT
