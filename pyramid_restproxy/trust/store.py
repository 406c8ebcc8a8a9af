"""What several processes must know together: in this process's memory, or in a Redis.

Who is logged in, which tokens are good, which nonces were used. A store says so when it
cannot be asked, and whoever asked refuses: it fails closed, unlike the store of cached
answers. Values are JSON, never pickle: who can write to a Redis must not be able to
run code here.

Why not dogpile.cache: its memory backend grows without an end, its regions pickle, and
it has no "add where nothing is" in one step, without which a nonce can be used twice.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

from pyramid.registry import Registry
from zope.interface import Interface

from pyramid_restproxy.operation.metrics import IFailing
from pyramid_restproxy.settings import settings_of
from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.redis_store import RedisStore
from pyramid_restproxy.trust.stored import hashed

__all__ = ["IStore", "Store", "StoreNonces", "make_store", "store_of"]

#: A longer nonce (characters) is named by its digest. It is no secret once it was used.
MAX_NAME = 256


class Store(Protocol):
    """JSON values under names, for a time. Used by several threads at once.

    Each method raises :class:`StoreUnavailable` where it cannot be said what is stored,
    and ValueError for a value that is no JSON or too large.
    """

    def get(self, key: str) -> Any:
        """Return what is stored, None where nothing is (any more)."""

    def set(self, key: str, value: Any, ttl: float) -> None:
        """Store in the place of what is there.

        :param value: JSON-able, not None.
        :param ttl: seconds after which it is gone; 0 or less for at once.
        """

    def add(self, key: str, value: Any, ttl: float) -> bool:
        """Store where nothing is, in one step with the look.

        What was added stays for its whole time; a store that has no room refuses.

        :returns: False where something is there already.
        """

    def replace(self, key: str, value: Any, ttl: float) -> bool:
        """Store where something is, in one step with the look.

        :returns: False where nothing is there (any more).
        """

    def touch(self, key: str, ttl: float) -> bool:
        """Let what is there stay for so long from now, whatever it is by then.

        :param ttl: seconds; 0 or less takes it away.
        :returns: False where nothing is there (any more).
        """

    def delete(self, key: str) -> None:
        """Take it away, where it is there."""


class IStore(Interface):
    """The :class:`Store` of an application, in its registry."""


_making = threading.Lock()


def store_of(registry: Registry) -> Store:
    """Return the store of an application, made when it is first wanted."""
    with _making:
        store: Store | None = registry.queryUtility(IStore)
        if store is None:
            settings = settings_of(registry)
            store = make_store(settings.store, settings.store_prefix)
            registry.registerUtility(store, IStore)
            if isinstance(store, RedisStore):
                registry.registerUtility(store, IFailing, "trust")
    return store


def make_store(url: str, prefix: str = "restproxy") -> Store:
    """Make the store of an application.

    :param url: ``redis://host:port/db``, or ``''`` for this process's memory.
    :param prefix: what names in that Redis begin with; it keeps applications apart.
    :raises MissingExtra: where redis is wanted and not installed.
    """
    return RedisStore(url, f"{prefix}:trust:") if url else MemoryStore()


class StoreNonces:
    """Nonces in a store, for :class:`~pyramid_restproxy.trust.signing.NonceStore`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, nonce: str, ttl: float) -> bool:
        """Remember a nonce for so many seconds; return False where it was there.

        :raises StoreUnavailable: where that is not certain.
        """
        is_long = len(nonce) > MAX_NAME
        name = hashed("nonce", nonce) if is_long else f"nonce:{nonce}"
        return self._store.add(name, "", ttl)
