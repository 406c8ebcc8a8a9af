"""Pieces of HTTP's grammar that several parts read by. Imports nothing of ours."""

from __future__ import annotations

import re

__all__ = ["TOKEN"]

#: A token: methods, field names, parameter names (RFC 9110 section 5.6.2).
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
