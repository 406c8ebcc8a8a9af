"""Characters that a text format cannot carry. No format is written here."""

from __future__ import annotations

import re

__all__ = ["REPLACEMENT", "carriable"]

#: Stands for what cannot be written (Unicode: REPLACEMENT CHARACTER).
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# The complement of XML 1.0 section 2.2, production Char: control characters, lone
# surrogates (which UTF-8 has not either), U+FFFE and U+FFFF.
_NOT_CARRIABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def carriable(text: str) -> str:
    """Return `text` with U+FFFD for each character that XML 1.0 cannot carry."""
    return _NOT_CARRIABLE.sub(REPLACEMENT, text)
