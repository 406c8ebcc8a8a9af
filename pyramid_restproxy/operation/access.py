"""One line a request, for machines to read. Pure but for the logger.

Neither query nor header values are in it: they hold credentials too often.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from pyramid.request import Request

__all__ = ["access_line", "log"]

log = logging.getLogger("pyramid_restproxy.access")


def access_line(
    request: Request, status: int, seconds: float, facts: dict[str, Any]
) -> str:
    """Return the line of a request, as JSON.

    :param status: the status that was answered.
    :param seconds: until the last byte was handed to the server.
    :param facts: what else is known; None is left out.
    """
    route = getattr(request, "matched_route", None)
    environ = request.environ
    line = {
        "method": environ["REQUEST_METHOD"],
        "path": environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
        "status": status,
        "seconds": round(seconds, 6),
        "client": environ.get("REMOTE_ADDR"),
        "route": route.name if route is not None else None,
        **facts,
    }
    return json.dumps(
        {name: value for name, value in line.items() if value is not None}
    )
