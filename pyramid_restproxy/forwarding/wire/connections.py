"""One open connection: bytes there and back within deadlines.

How it is opened is in ``opening``, where idle ones wait in ``pool``. HTTP itself is
elsewhere.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import sys

from pyramid_restproxy.forwarding.wire.deadlines import Deadline
from pyramid_restproxy.forwarding.wire.errors import SendError

__all__ = ["Connection"]

#: How much is read and sent of a body at a time, bytes.
BLOCK = 65536


class Connection:
    """One open connection. One exchange at a time.

    :ivar used: how many exchanges it has carried.
    :ivar idle_since: when it was last given back (monotonic seconds).
    """

    __slots__ = (
        "_sock",
        "_kernel_waits",
        "_tells_state",
        "_poll",
        "_early",
        "_timeout",
        "used",
        "idle_since",
    )

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # A timeout of Python's costs a poll before every call; the kernel's costs
        # nothing, and TLS cannot use it.
        self._kernel_waits = os.name == "posix" and not isinstance(sock, ssl.SSLSocket)
        if self._kernel_waits:
            sock.settimeout(None)
            # gevent's do not block: then nothing of the kernel's would end a wait
            self._kernel_waits = os.get_blocking(sock.fileno())
        is_linux = sys.platform == "linux"
        self._tells_state = is_linux and sock.family != socket.AF_UNIX
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._early = b""
        self._timeout: float | None = -1.0
        self.used = 0
        self.idle_since = 0.0

    def receive(self, size: int, deadline: Deadline) -> bytes:
        """Return some bytes, none at the end of the stream.

        :raises ReadTimeout, DeadlineExceeded: where none come in time.
        """
        if self._early:
            early, self._early = self._early, b""
            return early
        self._set_timeout(deadline.wait())
        try:
            return self._sock.recv(size)
        except (TimeoutError, BlockingIOError) as error:
            raise deadline.timed_out() from error
        except (ConnectionError, ssl.SSLError):
            return b""  # a reset ends the stream as a close does, only less politely

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send all of `data`.

        :raises SendError: where the connection breaks.
        """
        self._set_timeout(deadline.wait())
        try:
            self._sock.sendall(data)
        except (TimeoutError, BlockingIOError) as error:
            raise deadline.timed_out() from error
        except OSError as error:
            raise SendError(f"the request could not be sent: {error}") from error

    def send_watching(self, data: bytes, deadline: Deadline) -> bool:
        """Send all of `data`, unless the peer begins to answer meanwhile.

        :returns: False where it did, or ended the stream; the rest is not sent.
        :raises ReadTimeout, DeadlineExceeded: where it takes nothing for too long.
        """
        left = memoryview(data)
        while left:
            ready = self._wait_for_either(deadline)
            if ready & ~select.POLLOUT and self._answering():
                return False
            if ready & select.POLLOUT:
                try:
                    left = left[self._send_some(left) :]
                except (BlockingIOError, ssl.SSLWantWriteError):
                    continue
                except OSError:
                    return False  # whatever it said before it closed can be read
        return True

    def _send_some(self, data: memoryview) -> int:
        """Send what can be sent without waiting."""
        if self._kernel_waits:
            return self._sock.send(data, socket.MSG_DONTWAIT)
        return self._sock.send(data)

    def _wait_for_either(self, deadline: Deadline) -> int:
        wait = deadline.wait()
        self._poll.modify(self._sock, select.POLLIN | select.POLLOUT)
        try:
            ready = self._poll.poll(None if wait is None else wait * 1000)
        finally:
            self._poll.modify(self._sock, select.POLLIN)
        if not ready:
            raise deadline.timed_out()
        return ready[0][1]

    def _answering(self) -> bool:
        """Say whether what made the socket readable is an answer, or the end.

        On TLS it may be the protocol's own message instead (a session ticket).
        """
        if not isinstance(self._sock, ssl.SSLSocket):
            return True
        self._set_timeout(0)
        try:
            self._early = self._sock.recv(BLOCK)
        except ssl.SSLWantReadError:
            return False
        except OSError:
            pass
        return True

    def readable(self) -> bool:
        """Say whether there are bytes, or the end, without waiting."""
        pending = getattr(self._sock, "pending", None)
        if pending and pending():
            return True
        if self._tells_state and _stands_silent(self._sock):
            return False
        return bool(self._poll.poll(0))

    def _set_timeout(self, timeout: float | None) -> None:
        if timeout == self._timeout:
            return
        self._timeout = timeout
        if not self._kernel_waits:
            self._sock.settimeout(timeout)
            return
        # 0 would mean for ever: wait a microsecond at the least
        wait = 0 if timeout is None else max(int(timeout * 1_000_000), 1)
        interval = struct.pack("ll", *divmod(wait, 1_000_000))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._sock.setsockopt(socket.SOL_SOCKET, option, interval)

    def close(self) -> None:
        """Close it, without waiting for anything."""
        self._sock.close()


#: What getsockopt of Linux says of a socket's memory; first, the bytes received and
#: not read (``SO_MEMINFO`` of asm-generic/socket.h, which Python has no name for).
_SO_MEMINFO = 55
_NOTHING = bytes(4)
_ESTABLISHED = b"\1"  # the first byte of TCP_INFO


def _stands_silent(sock: socket.socket) -> bool:
    """Say whether Linux is sure that its TCP connection stands and nothing has come.

    A poll knows it too, but lets go of the interpreter's lock. Under load that costs
    more than all the rest of taking a connection from the pool.
    """
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        unread = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4)
    except OSError:
        return False
    return state == _ESTABLISHED and unread == _NOTHING
