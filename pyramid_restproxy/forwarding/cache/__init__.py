"""A shared cache for the answers of backends (RFC 9111), for routes that ask for it.

``shared`` puts it together. ``directives`` reads fields, ``rules`` says what may be
stored and used, ``asked`` and ``entry`` are the two sides, ``entries`` finds one by the
other, ``store`` keeps the bytes, ``kept`` copies content on its way, ``collapse`` lets
one request ask for many.
"""

from __future__ import annotations

from pyramid_restproxy.forwarding.cache.shared import SharedCache
from pyramid_restproxy.forwarding.cache.store import MemoryStore, RedisStore, Store

__all__ = ["MemoryStore", "RedisStore", "SharedCache", "Store"]
