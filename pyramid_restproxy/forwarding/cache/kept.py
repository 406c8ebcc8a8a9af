"""Content that is kept aside on its way to the client."""

from __future__ import annotations

from collections.abc import Callable

from pyramid_restproxy.forwarding.model import AnswerBody

__all__ = ["KeptBody"]


class KeptBody:
    """The content of an answer; whoever keeps it is told once it has come whole.

    :param body: the content.
    :param limit: what is longer is not kept, bytes.
    :param tell: called with all of it, or with None as soon as it is known that it will
        not be had: it is too long, or cut.
    :param leave: called in the place of that, where the client leaves before.
    """

    __slots__ = ("_body", "_leave", "_left", "_pieces", "_tell")

    def __init__(
        self,
        body: AnswerBody,
        limit: int,
        tell: Callable[[bytes | None], None],
        leave: Callable[[], None],
    ) -> None:
        self._body = body
        self._left = limit
        self._tell: Callable[[bytes | None], None] | None = tell
        self._leave = leave
        self._pieces: list[bytes] = []

    @property
    def at_end(self) -> bool:
        """Whether all of it has been read, as far as that is known."""
        return self._body.at_end

    def read_piece(self) -> bytes:
        """Return the next piece, none at the end; raise where it is cut."""
        try:
            piece = self._body.read_piece()
        except BaseException:
            self._end(None)
            raise
        if self._tell is not None:
            self._keep(piece)
        return piece

    def _keep(self, piece: bytes) -> None:
        self._left -= len(piece)
        self._pieces.append(piece)
        if self._left < 0:
            self._end(None)
        elif not piece or self._body.at_end:
            self._end(b"".join(self._pieces))

    def close(self) -> None:
        """Give up what is left."""
        if self._tell is not None:
            self._tell, self._pieces = None, []
            self._leave()
        self._body.close()

    def _end(self, content: bytes | None) -> None:
        tell, self._tell = self._tell, None
        self._pieces = []
        if tell is not None:
            tell(content)
