"""The HTTP/1.1 client of the gateway, usable from any ``requests.Session``.

``adapter`` is the ``requests`` adapter; ``request`` writes, ``answer`` reads,
``connections`` opens and keeps; ``response`` is the view of a session; ``errors``
are the failures by stage.
"""

from __future__ import annotations

from pyramid_restproxy.forwarding.wire.adapter import KeepAliveAdapter

__all__ = ["KeepAliveAdapter"]
