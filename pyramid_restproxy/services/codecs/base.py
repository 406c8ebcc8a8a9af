"""What a codec is: values to bytes and back, one message or a stream of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from typing import Any

from pyramid_restproxy.exceptions import needs
from pyramid_restproxy.services.codecs.pieces import Buffer
from pyramid_restproxy.services.values import Undecodable

__all__ = ["MAX_RECORD", "Codec", "too_long", "truncated"]

#: How long one record of a stream may be, bytes.
MAX_RECORD = 1 << 30


class Codec:
    """Base of the codecs. Instances are not changed after they are made.

    :cvar name: what services and clients call it.
    :cvar media_type: of one message.
    :cvar aliases: other media types that mean the same.
    :cvar stream_type: of a stream of records.
    :cvar problem_type: of a problem document.
    :cvar module: the library to import, when it is wanted; empty for none.
    :cvar extra: the extra that installs it.
    :cvar trusted_only: whether it may read only what somebody known has signed.
    """

    name = ""
    media_type = ""
    aliases: tuple[str, ...] = ()
    stream_type = ""
    problem_type = ""
    module = ""
    extra = ""
    trusted_only = False

    @property
    def media_types(self) -> tuple[str, ...]:
        """The media types of one message."""
        return (self.media_type, *self.aliases)

    def require(self, wanted_by: str) -> None:
        """Check that the library can be imported.

        :param wanted_by: who needs it, the beginning of the error's sentence.
        :raises MissingExtra: where it cannot.
        """
        if self.module:
            with needs(self.extra, self.module, wanted_by):
                importlib.import_module(self.module)

    def encode(self, value: Any) -> list[Buffer]:
        """Write a value, as pieces to be sent one after the other.

        :raises Unencodable: for a value that has no form.
        """
        raise NotImplementedError

    def decode(self, body: Buffer) -> Any:
        """Read a value; arrays can be written to, and may be views of `body`.

        :raises Undecodable: where it is not exactly one value in this codec, or over
            a limit. Nothing else is raised, whatever the bytes are.
        """
        raise NotImplementedError

    def record(self, value: Any) -> list[Buffer]:
        """Write a value as one record of a stream.

        :raises Unencodable: for a value that has no form.
        """
        return self.encode(value)

    def records(self, pieces: Iterable[bytes]) -> Iterator[Any]:
        """Read the records of a stream, each as soon as it is whole.

        :param pieces: the stream as it comes.
        :raises Undecodable: as :meth:`decode` does; ``truncated`` where the stream
            ends inside of a record.
        """
        raise NotImplementedError


def truncated() -> Undecodable:
    """Return the error of a stream that ends too early."""
    return Undecodable("truncated", "the stream ends inside of a record")


def too_long() -> Undecodable:
    """Return the error of a record without end."""
    return Undecodable("size", f"a record is longer than {MAX_RECORD} bytes")
