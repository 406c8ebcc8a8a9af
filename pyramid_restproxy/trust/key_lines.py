"""Keys that sign or seal in settings and files: what a line says, where a secret is.

A line is the id of a key, its secret, and until when it is good::

    # id      secret                      until
    team-a    env:TEAM_A_SECRET
    team-b    file:/run/secrets/team-b    expires=2027-06-30T00:00:00Z

A secret is ``base64:``, ``hex:`` or ``whsec_`` and text, or where such a text is:
``env:VARIABLE`` or ``file:PATH``. No message repeats what may be a secret.
"""

from __future__ import annotations

import base64
import contextlib
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.trust.identity import seconds_of
from pyramid_restproxy.trust.keys import MIN_SECRET, Key
from pyramid_restproxy.trust.profiles import (
    BodyProfile,
    RequestProfile,
    WebhookProfile,
    webhook_secret,
)
from pyramid_restproxy.trust.rfc9421 import MessageProfile
from pyramid_restproxy.trust.signing import Profile

__all__ = [
    "FORMS",
    "MIN_SECRET",
    "PROFILES",
    "parse_key_lines",
    "parse_sign_with",
    "profile_named",
    "read_secret",
]

#: A file of a secret that is longer (bytes) is another file.
MAX_FILE = 64 * 1024

#: The ways to sign that settings can name.
PROFILES: Mapping[str, Callable[[], Profile]] = {
    "request": RequestProfile,
    "body": BodyProfile,
    "webhook": WebhookProfile,
    "rfc9421": MessageProfile,
}

#: What a secret begins with.
FORMS = ("base64:", "hex:", "whsec_", "env:", "file:")
_FORMS = "base64:..., hex:..., whsec_..., env:VARIABLE or file:PATH"


def parse_key_lines(where: str, lines: Iterable[str]) -> list[Key]:
    """Read keys, one a line; ``#`` begins a comment.

    :param where: the setting, for messages.
    :raises ConfigurationError: with the number of the line; its text is not repeated.
    """
    found = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if words:
            found.append(_parsed(f"{where}, line {number}", words))
    return found


def _parsed(where: str, words: list[str]) -> Key:
    key_id, secret, until = (*words, "", "")[:3]
    if not secret or len(words) > 3 or (until and not until.startswith("expires=")):
        raise ConfigurationError(
            f"{where}: it must be an id, a secret, and expires=... where it ends"
        )
    try:
        ends = seconds_of(until.removeprefix("expires=")) if until else None
    except ValueError:
        raise ConfigurationError(f"{where}: expires= is no time of RFC 3339") from None
    return _key(where, key_id, secret, ends)


def parse_sign_with(where: str, text: str) -> tuple[Key, Profile]:
    """Read with what requests to a backend are signed: id, secret, maybe a profile.

    :param where: the setting, for messages.
    :raises ConfigurationError: where it is something else; it is not repeated.
    """
    words = text.split()
    if len(words) not in (2, 3):
        raise ConfigurationError(
            f"{where}: it must be the id of a key, a secret, and maybe a profile"
        )
    profile = profile_named(where, words[2] if len(words) == 3 else "request")
    return _key(where, words[0], words[1], None), profile


def profile_named(where: str, name: str) -> Profile:
    """Make a profile by its name.

    :raises ConfigurationError: where there is none.
    :raises MissingExtra: where what it needs is not installed.
    """
    if name not in PROFILES:
        raise ConfigurationError(f"{where}: a profile is one of {', '.join(PROFILES)}")
    return PROFILES[name]()


def _key(where: str, key_id: str, secret: str, ends: float | None) -> Key:
    try:
        return Key(key_id, read_secret(secret), ends)
    except ConfigurationError:  # not repeated: it may be the secret
        problem = "the first word cannot be the id of a key"
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError(f"{where}: {problem}")


def read_secret(text: str, environ: Mapping[str, str] = os.environ) -> bytes:
    """Read a secret, or go where it is.

    :param environ: where ``env:`` looks.
    :raises ValueError: where there is none; it is not repeated.
    """
    if text.startswith("env:"):
        name = text.removeprefix("env:")
        if name not in environ:
            raise ValueError(f"the environment has no variable {name!r}")
        return _decoded(environ[name].strip())
    if text.startswith("file:"):
        return _decoded(_in_file(text.removeprefix("file:")))
    return _decoded(text)


def _in_file(path: str) -> str:
    try:
        with pathlib.Path(path).open(encoding="ascii") as file:
            return file.read(MAX_FILE).strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in ASCII"
        raise ValueError(f"the file {path!r} cannot be read: {reason}") from None


def _decoded(text: str) -> bytes:
    form, _, value = text.partition(":")
    secret: bytes | None = None
    with contextlib.suppress(ValueError, ConfigurationError):
        if form == "hex":
            secret = bytes.fromhex(value)
        elif form == "base64":
            secret = base64.b64decode(value, validate=True)
        else:
            secret = webhook_secret(text)
    if secret is None:
        raise ValueError(f"a secret is {_FORMS}")
    if len(secret) < MIN_SECRET:
        raise ValueError(f"a secret has {MIN_SECRET} bytes at the least")
    return secret
