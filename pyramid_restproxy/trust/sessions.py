"""Who is logged in: identities in the store, under random ids that only browsers have.

What a session is and when it ends. Cookies and requests are in ``login``.

All sessions of a user end at once by a mark in the store: a random word that each new
session of that user takes over, and that those from before do not have. It is one
entry for each user of whom that was wanted, and it stays until the last of the older
sessions has ended by itself. A random word and no time or count, so that neither the
clocks of several machines nor two who do it at once can let an old one pass.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pyramid_restproxy.trust.identity import Identity, identity_of
from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.store import Store
from pyramid_restproxy.trust.stored import hashed

__all__ = ["LoginSession", "LoginSessions"]

#: 256 random bits in base64url.
_ID = re.compile(r"[A-Za-z0-9_-]{43}")

#: The store is told that a session is used after this part of its idle time.
_TOUCH = 0.1
#: Of how many sessions a process knows when it has told that.
_MAX_TOUCHED = 4096


@dataclass(frozen=True, slots=True)
class LoginSession:
    """Somebody who is logged in.

    :ivar id: what the browser has; never shown, never stored as it is.
    :ivar identity: who.
    :ivar created: seconds since the epoch.
    :ivar seen: when it was last written, or touched, seconds since the epoch.
    :ivar mark: the mark of its user when it began; None where there was none.
    """

    id: str = field(repr=False)
    identity: Identity
    created: float
    seen: float
    mark: str | None = None

    def stored(self) -> dict[str, Any]:
        """Return it as JSON values, without the id."""
        return {
            "identity": self.identity.stored(),
            "created": self.created,
            "seen": self.seen,
            "mark": self.mark,
        }


@dataclass(frozen=True, slots=True)
class LoginSessions:
    """The sessions of a store.

    How long a session is idle is counted by the store, so that a clock that is set
    here logs nobody out.

    :ivar store: where they are.
    :ivar idle: seconds without a request after which one ends.
    :ivar lifetime: seconds after which each ends.
    :ivar clock: seconds since the epoch.
    :ivar touched: when this process has touched which, seconds since the epoch; those
        that are made for each request share one.
    """

    store: Store
    idle: float
    lifetime: float
    clock: Callable[[], float]
    touched: dict[str, float] = field(default_factory=dict, repr=False, compare=False)

    def begin(self, identity: Identity) -> LoginSession:
        """Begin a session, under an id that nobody has yet.

        :raises ValueError, TypeError: where the identity cannot be stored.
        :raises StoreUnavailable: where the store cannot be asked.
        """
        now = self.clock()
        mark = self.store.get(_mark_of(identity.user_id))
        session = LoginSession(secrets.token_urlsafe(32), identity, now, now, mark)
        self.store.set(_key(session.id), session.stored(), self._left(session))
        return session

    def find(self, session_id: str) -> LoginSession | None:
        """Return a session and note that it is used; None where there is none.

        :param session_id: what a browser sent, which may be anything.
        :raises StoreUnavailable: where the store cannot be asked.
        """
        if not _ID.fullmatch(session_id):
            return None
        found = self.store.get(_key(session_id))
        session = None if found is None else _read(session_id, found)
        if session is None or not session.identity.is_valid(self.clock()):
            return None
        if self._is_revoked(session):
            self.end(session_id)
            return None
        return self._touched(session)

    def update(self, session: LoginSession, identity: Identity) -> LoginSession | None:
        """Put another identity into a session.

        :returns: the session; None where it ended meanwhile, and stays ended.
        :raises StoreUnavailable: where the store cannot be asked.
        """
        changed = replace(session, identity=identity, seen=self.clock())
        left = self._left(changed)
        stored = self.store.replace(_key(changed.id), changed.stored(), left)
        return changed if stored and left > 0 else None

    def end(self, session_id: str) -> None:
        """End a session, for all processes.

        :raises StoreUnavailable: where that cannot be done.
        """
        if _ID.fullmatch(session_id):
            self.store.delete(_key(session_id))

    def end_all(self, user_id: str) -> None:
        """End all sessions of a user, for all processes; those that begin later stay.

        :raises StoreUnavailable: where that cannot be done.
        """
        # twice: the clock by which a session's life is counted may have been set
        self.store.set(_mark_of(user_id), secrets.token_hex(16), 2 * self.lifetime)

    def _is_revoked(self, session: LoginSession) -> bool:
        """Say whether all sessions of its user were ended after it began.

        It is asked after the session itself: a store in memory, which drops what was
        not asked for longest, then drops the session before the mark.
        """
        mark = self.store.get(_mark_of(session.identity.user_id))
        return mark is not None and mark != session.mark

    def _touched(self, session: LoginSession) -> LoginSession | None:
        """Let it stay for longer; what is in it may be another's by now, and stays."""
        key, now = _key(session.id), self.clock()
        if 0 <= now - self.touched.get(key, session.seen) < self.idle * _TOUCH:
            return session
        left = self._unused(session)
        try:
            stays = self.store.touch(key, left)
        except StoreUnavailable:
            return session if left > 0 else None  # it was there a moment ago
        if not stays or left <= 0:
            return None
        if len(self.touched) >= _MAX_TOUCHED:
            self.touched.clear()
        self.touched[key] = now
        return replace(session, seen=now)

    def _left(self, session: LoginSession) -> float:
        """Return the seconds until it ends, where nobody uses it."""
        left, expires = self._unused(session), session.identity.expires
        return left if expires is None else min(left, expires - self.clock())

    def _unused(self, session: LoginSession) -> float:
        """Return the same, whoever is in it."""
        return min(self.idle, session.created + self.lifetime - self.clock())


def _key(session_id: str) -> str:
    return hashed("login", session_id)


def _mark_of(user_id: str) -> str:
    return hashed("login-mark", user_id)


def _read(session_id: str, found: Any) -> LoginSession | None:
    """Read what is stored; None where it is not a session."""
    try:
        identity = identity_of(found["identity"])
        created, seen = float(found["created"]), float(found["seen"])
        mark = found.get("mark")
    except (KeyError, TypeError, ValueError):
        return None
    return LoginSession(session_id, identity, created, seen, mark)
