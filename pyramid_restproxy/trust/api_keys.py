"""API keys: made, kept as digests, looked up and checked.

A key is shown once, when it is made; what is kept is its SHA-256. A slow hash (bcrypt,
argon2) is for passwords, which can be guessed: it makes each guess dear. A random key
of 256 bits cannot be guessed at any price, so a slow hash would only make each request
dear. The digest has the name of its algorithm before it, so that another can follow.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.exceptions import needs
from pyramid_restproxy.trust.identity import is_time, seconds_of
from pyramid_restproxy.trust.refusals import (
    Forbidden,
    Reason,
    StoreUnavailable,
    Unauthenticated,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine, MetaData

log = logging.getLogger(__name__)

__all__ = [
    "ApiKey",
    "KeyStore",
    "MemoryKeyStore",
    "SqlKeyStore",
    "check",
    "format_keys",
    "hash_key",
    "new_key",
    "parse_keys",
]

#: What keys begin with, so that scanners for lost secrets can find them.
PREFIX = "rpk"

#: A longer text (characters) is no key, and is not hashed.
MAX_KEY = 512

#: Seconds; the time of the last use is written no oftener than this.
LAST_USED_EVERY = 60

#: The challenge of WWW-Authenticate; not a registered scheme, there is none for it.
CHALLENGE = "ApiKey"

_ALGORITHM = "sha256"
_HASHED = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OPTIONS = frozenset({"routes", "scopes", "expires"})
#: A route or a scope.
WORD = re.compile(r"[^\s,=#]+")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept.

    :ivar name: who uses it; two keys may have the same name while one takes the
        place of the other.
    :ivar hashed: what :func:`hash_key` makes of it.
    :ivar routes: the names of the routes it is good for; empty for all.
    :ivar scopes: what it allows.
    :ivar expires: seconds since the epoch after which it is not good; None for no end.
    :raises ConfigurationError: where one of them cannot be what it should be. What it
        is, is not repeated: each may be the key itself, put there by mistake.
    """

    name: str
    hashed: str = field(repr=False)
    routes: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    expires: float | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                "the name of an API key is up to 64 letters, digits, '.', '_' and '-'"
            )
        if not _HASHED.fullmatch(self.hashed):
            raise ConfigurationError(
                "what is kept of an API key is its digest, sha256:..."
            )
        if not all(map(WORD.fullmatch, (*self.routes, *self.scopes))):
            raise ConfigurationError(
                "a route or a scope of an API key has no blank, ',', '=' or '#'"
            )
        if self.expires is not None and not is_time(self.expires):
            raise ConfigurationError(
                "the end of an API key is a number of seconds since the epoch"
            )


def new_key(name: str) -> tuple[str, str]:
    """Make a key of 256 random bits.

    :param name: who will use it; readable in the key.
    :returns: the key, to be shown once and not kept, and its digest, to be kept.
    :raises ConfigurationError: for a name that is not letters, digits, ``.-_``.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} cannot be the name of an API key")
    key = f"{PREFIX}_{name}_{secrets.token_hex(32)}"
    return key, hash_key(key)


def hash_key(key: str) -> str:
    """Return the digest under which a key is kept: algorithm, ``:``, hexadecimal."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_ALGORITHM}:{digest}"


class KeyStore(Protocol):
    """Where keys are kept.

    What is compared is the digest of what was presented. How long that takes says
    something of the digests at most, and from a digest there is no way to a key.
    """

    def find(self, hashed: str) -> ApiKey | None:
        """Return the key with this digest.

        :raises StoreUnavailable, OSError: where that cannot be said.
        """

    def used(self, key: ApiKey, now: float) -> None:
        """Remember when a key was used last (seconds since the epoch)."""

    def last_used(self, key: ApiKey) -> float | None:
        """Return when it was used last; None for never, or not known."""


def check(
    keys: KeyStore,
    presented: str | None,
    route: str,
    scopes_needed: Iterable[str] = (),
    *,
    now: float,
) -> ApiKey:
    """Say whose key was presented, and whether it is good here.

    :param presented: the value of the field; None or empty where there is none.
    :param route: the name of the route that was asked for.
    :param scopes_needed: what the key must allow, all of it.
    :param now: seconds since the epoch.
    :raises Unauthenticated: where there is no key (``missing``).
    :raises Forbidden: ``unknown-key``, ``expired``, ``route``, ``scope``; the answer
        is the same for all of them.
    :raises StoreUnavailable: where the store cannot be asked.
    """
    if not presented:
        raise Unauthenticated("missing", "This resource needs an API key.", CHALLENGE)
    if len(presented) > MAX_KEY:
        raise _forbidden("unknown-key")
    hashed = hash_key(presented)
    try:
        key = keys.find(hashed)
    except OSError as error:
        raise StoreUnavailable() from error
    if key is None or not hmac.compare_digest(key.hashed, hashed):
        raise _forbidden("unknown-key")
    if key.expires is not None and now > key.expires:
        raise _forbidden("expired")
    if key.routes and route not in key.routes:
        raise _forbidden("route")
    for scope in scopes_needed:
        if scope not in key.scopes:
            raise _forbidden("scope")
    keys.used(key, now)
    return key


def _forbidden(reason: Reason) -> Forbidden:
    return Forbidden(reason, "The API key is not valid for this resource.")


# -- stores --------------------------------------------------------------------


class MemoryKeyStore:
    """Keys of the configuration. Thread-safe.

    :param keys: those to begin with.
    """

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys: dict[str, ApiKey] = {}
        self._last_used: dict[str, float] = {}
        for key in keys:
            self.add(key)

    def add(self, key: ApiKey) -> None:
        """Add a key.

        :raises ConfigurationError: where the same key is there already.
        """
        if key.hashed in self._keys:
            raise ConfigurationError(
                f"the API keys {self._keys[key.hashed].name!r} and {key.name!r} "
                "are the same"
            )
        self._keys[key.hashed] = key

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, hashed: str) -> ApiKey | None:
        """Return the key with this digest."""
        return self._keys.get(hashed)

    def used(self, key: ApiKey, now: float) -> None:
        """Remember when a key was used last (seconds since the epoch)."""
        self._last_used[key.hashed] = now

    def last_used(self, key: ApiKey) -> float | None:
        """Return when it was used last in this process, or None."""
        return self._last_used.get(key.hashed)


class SqlKeyStore:
    """Keys in a table of a database. Thread-safe.

    :param engine: a SQLAlchemy engine.
    :param table: the name of the table.
    :param metadata: where the table is registered, e.g. for migrations.
    :raises MissingExtra: where SQLAlchemy is not installed.
    """

    def __init__(
        self,
        engine: Engine,
        table: str = "restproxy_api_keys",
        metadata: MetaData | None = None,
    ) -> None:
        with needs("sqlalchemy", "sqlalchemy", "SqlKeyStore"):
            import sqlalchemy
        self._sql = sqlalchemy
        self._engine = engine
        self._written: dict[str, float] = {}
        self._lock = threading.Lock()
        self.table = sqlalchemy.Table(
            table,
            sqlalchemy.MetaData() if metadata is None else metadata,
            sqlalchemy.Column("hashed", sqlalchemy.String(80), primary_key=True),
            sqlalchemy.Column("name", sqlalchemy.String(64), nullable=False),
            sqlalchemy.Column("routes", sqlalchemy.Text, nullable=False),
            sqlalchemy.Column("scopes", sqlalchemy.Text, nullable=False),
            sqlalchemy.Column("expires", sqlalchemy.Double),
            sqlalchemy.Column("last_used", sqlalchemy.Double),
        )

    def create_table(self) -> None:
        """Create the table where it is not there."""
        self.table.create(self._engine, checkfirst=True)

    def add(self, key: ApiKey) -> None:
        """Add a key.

        :raises sqlalchemy.exc.IntegrityError: where the same key is there already.
        """
        self._execute(
            self.table.insert().values(
                hashed=key.hashed,
                name=key.name,
                routes=",".join(key.routes),
                scopes=",".join(key.scopes),
                expires=key.expires,
            )
        )

    def remove(self, key: ApiKey) -> None:
        """Take a key away; from now on it is refused."""
        self._execute(self.table.delete().where(self.table.c.hashed == key.hashed))

    def find(self, hashed: str) -> ApiKey | None:
        """Return the key with this digest; none where its row cannot be one.

        :raises StoreUnavailable: where the database cannot be asked.
        """
        row = self._row(hashed)
        if row is None:
            return None
        try:
            routes, scopes = _listed(row.routes), _listed(row.scopes)
            return ApiKey(row.name, row.hashed, routes, scopes, row.expires)
        except (ConfigurationError, TypeError) as error:
            log.error("%s: a row is no API key: %s", self.table.name, error)
            return None

    def used(self, key: ApiKey, now: float) -> None:
        """Remember when a key was used last, once a minute at most.

        A key that was found is good though this cannot be written.
        """
        with self._lock:
            if now - self._written.get(key.hashed, -LAST_USED_EVERY) < LAST_USED_EVERY:
                return
            self._written[key.hashed] = now
        here = self.table.c.hashed == key.hashed
        try:
            self._execute(self.table.update().where(here).values(last_used=now))
        except self._sql.exc.SQLAlchemyError:
            log.warning("the last use of the API key %r cannot be written", key.name)

    def last_used(self, key: ApiKey) -> float | None:
        """Return when it was used last, to the minute; None for never."""
        row = self._row(key.hashed)
        return None if row is None else row.last_used

    def _row(self, hashed: str) -> Any:
        wanted = self.table.select().where(self.table.c.hashed == hashed)
        try:
            with self._engine.connect() as connection:
                return connection.execute(wanted).one_or_none()
        except self._sql.exc.SQLAlchemyError as error:
            raise StoreUnavailable() from error

    def _execute(self, statement: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)


# -- the file ------------------------------------------------------------------


def parse_keys(text: str) -> list[ApiKey]:
    """Read keys from text, one a line: name, digest, options.

    ::

        # name     digest        what it is good for
        mobile     sha256:0f...  routes=users,orders expires=2027-06-30T00:00:00Z
        reports    sha256:7c...  scopes=read

    :raises ConfigurationError: with the number of the line; its text is not repeated.
    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.partition("#")[0].split()
        if words:
            found.append(_parsed(number, words))
    return found


def _parsed(number: int, words: list[str]) -> ApiKey:
    options = _options(words[2:])
    if len(words) < 2 or options is None:
        raise ConfigurationError(
            f"API keys, line {number}: it must be a name, a digest, and options "
            "routes=..., scopes=..., expires=..., each once"
        )
    try:
        return ApiKey(
            words[0],
            words[1],
            _words(options.get("routes", "")),
            _words(options.get("scopes", "")),
            seconds_of(options.get("expires")),
        )
    except (ConfigurationError, ValueError) as error:
        raise ConfigurationError(f"API keys, line {number}: {error}") from None


def _options(words: list[str]) -> dict[str, str] | None:
    """Read options; None where one is unknown, comes twice, or says nothing.

    Without ``routes`` a key is good for all of them, so ``routes=`` must not pass.
    """
    found: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in _OPTIONS or name in found or not value.strip(","):
            return None
        found[name] = value
    return found


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word)


def _listed(value: Any) -> tuple[str, ...]:
    """Read a column; nothing is for all routes, so what says nothing is no list.

    :raises TypeError: for that, and for what is no text.
    """
    found = _words(value) if isinstance(value, str) else ()
    if value != "" and not found:
        raise TypeError("routes and scopes are names, with commas between them")
    return found


def format_keys(keys: Iterable[ApiKey]) -> str:
    """Write keys as :func:`parse_keys` reads them."""
    return "".join(f"{_line(key)}\n" for key in keys)


def _line(key: ApiKey) -> str:
    words = [key.name, key.hashed]
    if key.routes:
        words.append(f"routes={','.join(key.routes)}")
    if key.scopes:
        words.append(f"scopes={','.join(key.scopes)}")
    if key.expires is not None:
        at = datetime.fromtimestamp(key.expires, timezone.utc)
        words.append(f"expires={at.isoformat().replace('+00:00', 'Z')}")
    return " ".join(words)
