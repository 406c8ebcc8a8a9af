"""Public keys of who makes tokens: a JWK set (RFC 7517), from a file or a URL.

:class:`KeySource` keeps the keys, loads them anew from time to time and where a token
names one that is not there, and says so where there are none. Where they come from is a
callable: :func:`from_file`, :class:`FromURL`.
"""

from __future__ import annotations

import json
import logging
import pathlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pyramid.exceptions import ConfigurationError
from requests import RequestException, Session

from pyramid_restproxy.exceptions import RestProxyError, needs
from pyramid_restproxy.forwarding.failures import TRANSPORT_ERRORS
from pyramid_restproxy.forwarding.wire import KeepAliveAdapter

if TYPE_CHECKING:
    from joserfc.jwk import Key

__all__ = ["FromURL", "KeySource", "KeysUnavailable", "from_file", "parse_keys"]

log = logging.getLogger(__name__)

#: A larger set is not read, bytes.
MAX_SIZE = 256 * 1024
#: Of a larger set these are used, keys.
MAX_KEYS = 100

#: Which type of key an algorithm takes (RFC 7518 section 3.1, RFC 8037, RFC 9864).
KEY_TYPES = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class KeysUnavailable(RestProxyError):
    """There are no keys that may be used now; what a validator raises is a 503."""


def parse_keys(content: bytes) -> list[Key]:
    """Read a JWK set.

    Keys that cannot be read, or are not for signatures, are left out.

    :raises ValueError: where it is no set, is too large, or nothing is left.
    """
    if len(content) > MAX_SIZE:
        raise ValueError(f"a key set over {MAX_SIZE} bytes")
    try:
        document = json.loads(content)
    except RecursionError as error:
        raise ValueError("a key set is not that deep") from error
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("a key set has a list of keys")
    found = [key for data in listed[:MAX_KEYS] if (key := _parsed(data)) is not None]
    if not found:
        raise ValueError("a key set without a key for signatures")
    return found


def _parsed(data: Any) -> Key | None:
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    try:
        if data.get("use", "sig") != "sig":
            return None
        return JWKRegistry.import_key(data)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("a key of a set cannot be read: %s", type(error).__name__)
        return None


def pick(keys: Iterable[Key], kid: str | None, algorithm: str) -> Key | None:
    """Pick the key of a token.

    :param kid: the key's id in the token, only ever compared; without one there must
        be no choice.
    :param algorithm: what the key must be for.
    """
    fitting = [key for key in keys if _fits(key, algorithm)]
    if kid is None:
        return fitting[0] if len(fitting) == 1 else None
    return next((key for key in fitting if key.kid == kid), None)


def _fits(key: Key, algorithm: str) -> bool:
    right_type = key.key_type == KEY_TYPES.get(algorithm[:2])
    return right_type and key.get("alg", algorithm) == algorithm


class KeySource:
    """Keys that are loaded when they are wanted. Thread-safe.

    One thread loads; the others use what is there, or wait for it where nothing is.

    :param load: returns a JWK set.
    :param refresh: seconds after which it is loaded anew.
    :param max_age: seconds for which keys are used where that does not work.
    :param min_interval: seconds between two loads, however many tokens with keys that
        are not there come in.
    :param wait: seconds to wait for another thread.
    :param clock: seconds of a clock that is never turned back.
    :raises MissingExtra: where joserfc is not installed.
    """

    def __init__(
        self,
        load: Callable[[], bytes],
        *,
        refresh: float = 300.0,
        max_age: float = 3600.0,
        min_interval: float = 30.0,
        wait: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        with needs("jwt", "joserfc", "JWT validation"):
            import joserfc  # noqa: F401
        self._load = load
        self._refresh = refresh
        self._max_age = max_age
        self._min_interval = min_interval
        self._wait = wait
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: tuple[Key, ...] = ()
        self._loaded_at: float | None = None
        self._tried_at: float | None = None

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the key of a token, None where there is none.

        :raises KeysUnavailable: where no keys are there that may be used.
        """
        if self._is_older_than(self._refresh):
            self._try_to_load()
        found = pick(self._usable(), kid, algorithm)
        if found is None and self._try_to_load():
            found = pick(self._usable(), kid, algorithm)
        return found

    def _usable(self) -> tuple[Key, ...]:
        if self._is_older_than(self._max_age):
            raise KeysUnavailable("there are no keys to check tokens with")
        return self._keys

    def _is_older_than(self, age: float) -> bool:
        return self._loaded_at is None or self._clock() - self._loaded_at > age

    def _try_to_load(self) -> bool:
        """Load where it is time to; return whether there are new keys."""
        before = self._loaded_at
        wait = self._wait if self._is_older_than(self._max_age) else 0
        if not self._lock.acquire(timeout=wait):
            return False
        try:
            if self._loaded_at == before and self._may_try():
                self._load_now()
        finally:
            self._lock.release()
        return self._loaded_at != before

    def _may_try(self) -> bool:
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < self._min_interval:
            return False
        self._tried_at = now
        return True

    def _load_now(self) -> None:
        try:
            self._keys = tuple(parse_keys(self._load()))
        except (OSError, ValueError, RequestException, *TRANSPORT_ERRORS) as error:
            log.warning("keys cannot be loaded: %s", error)
            return
        self._loaded_at = self._clock()


# -- where they come from --------------------------------------------------------------


def from_file(path: str | pathlib.Path) -> Callable[[], bytes]:
    """Read a JWK set from a file, each time anew."""

    def load() -> bytes:
        with open(path, "rb") as file:
            return file.read(MAX_SIZE + 1)

    return load


class FromURL:
    """Read a JWK set from a URL. No redirect is followed, no cookie kept.

    :param url: https.
    :param connect_timeout: seconds.
    :param total_timeout: seconds for all of it.
    :param verify: a CA file, or True for the usual ones.
    :param allow_http: whether it may be http, which anybody in between can change.
    :raises ConfigurationError: for another URL.
    """

    def __init__(
        self,
        url: str,
        *,
        connect_timeout: float = 2.0,
        total_timeout: float = 5.0,
        verify: bool | str = True,
        allow_http: bool = False,
    ) -> None:
        schemes = ("https://", "http://") if allow_http else ("https://",)
        if not url.startswith(schemes):
            raise ConfigurationError(f"keys from {url!r}: expected an https URL")
        self._url = url
        self._timeout = (connect_timeout, total_timeout)
        self._session = Session()
        self._session.trust_env = False
        self._session.verify = verify
        for scheme in schemes:
            self._session.mount(scheme, KeepAliveAdapter(total_timeout=total_timeout))

    def __call__(self) -> bytes:
        """Load it.

        :raises ValueError: for another status than 200, an encoded body, or one that
            is too large.
        :raises RequestException: where there is no answer.
        """
        with self._session.get(
            self._url,
            headers={
                "Accept": "application/jwk-set+json, application/json",
                "Accept-Encoding": "identity",
            },
            timeout=self._timeout,
            stream=True,
            allow_redirects=False,
        ) as response:
            if response.status_code != 200:
                raise ValueError(f"status {response.status_code}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ValueError("an encoded key set")
            return _read(response.raw)


def _read(raw: Any) -> bytes:
    """Read no more than tells that it is too much."""
    content = b""
    while len(content) <= MAX_SIZE:
        piece = raw.read(MAX_SIZE + 1 - len(content))
        if not piece:
            break
        content += piece
    return content
