"""Codecs: what the bodies of service calls are written in.

:class:`Codec` is the interface, ``services.contract`` its tests; a codec of your own
can be given wherever the name of one can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.services.codecs.base import Codec
from pyramid_restproxy.services.codecs.cbor import CborCodec
from pyramid_restproxy.services.codecs.json import JsonCodec
from pyramid_restproxy.services.codecs.messagepack import MessagePackCodec
from pyramid_restproxy.services.codecs.pickle import PickleCodec

__all__ = [
    "NAMES",
    "CborCodec",
    "Codec",
    "JsonCodec",
    "MessagePackCodec",
    "PickleCodec",
    "available",
    "codec_of",
    "codecs_of",
]

NAMES: dict[str, Callable[[], Codec]] = {
    "json": JsonCodec,
    "msgpack": MessagePackCodec,
    "cbor": CborCodec,
    "pickle": PickleCodec,
}


def available() -> tuple[str, ...]:
    """Return the names of the codecs that a service has where it names none.

    JSON, and what else is installed; never pickle.
    """
    wanted = (("json", "json"), ("msgpack", "msgpack"), ("cbor", "cbor2"))
    return tuple(name for name, module in wanted if find_spec(module))


def codec_of(given: str | Codec, wanted_by: str = "a service") -> Codec:
    """Return a codec by its name, or the one that is given.

    :raises ConfigurationError: where there is none of that name.
    :raises MissingExtra: where its library is not installed.
    """
    if isinstance(given, str) and given in NAMES:
        found = NAMES[given]()
    elif isinstance(given, Codec):
        found = given
    else:
        raise ConfigurationError(
            f"{given!r} is not a codec: there are {', '.join(NAMES)}"
        )
    found.require(f"{wanted_by} with the codec {found.name!r}")
    return found


def codecs_of(
    given: str | Codec | Sequence[str | Codec], wanted_by: str = "a service"
) -> tuple[Codec, ...]:
    """Return codecs by name, in order.

    :raises ConfigurationError: where one is not known, or there is none.
    :raises MissingExtra: where a library is not installed.
    """
    listed = [given] if isinstance(given, (str, Codec)) else list(given)
    found = tuple(codec_of(each, wanted_by) for each in listed)
    if not found or len({each.name for each in found}) != len(found):
        raise ConfigurationError(f"codecs={given!r}: expected some, each once")
    return found
