"""Who somebody is, and how a backend says so. Pure.

What a backend answers to a token or a login is an object with ``user`` and, where
there is something to say, the others::

    {
        "user": "ann",                        text or a whole number
        "permissions": ["posts.read"],
        "claims": {"team": "red"},            anything that is JSON
        "expires": 1790000000,                seconds since the epoch, or RFC 3339 text
        "token": "..."                        the token to use from now on
    }

The older form is read too: ``user-token`` and ``expiration-date`` beside
``response``, which holds the rest. With ``"is_active": false`` it is nobody, see
:func:`active_user`; :func:`user_by_email` reads what django-proxy-server wants of a
login service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = [
    "Identity",
    "active_user",
    "identity_of",
    "is_time",
    "is_token",
    "restored",
    "seconds_of",
    "user_by_email",
]

#: A longer token (characters) is none.
MAX_TOKEN = 8192

#: What a field can carry as it is (RFC 9110 section 5.5): no spaces, nothing invisible.
_TOKEN = re.compile(rf"[\x21-\x7e]{{1,{MAX_TOKEN}}}")

#: What JSON calls an object; dict comes first because it is recognised faster.
_OBJECT = (dict, Mapping)

_NOTHING: tuple[Any, ...] = (None, [], {})

#: A time of RFC 3339 section 5.6; the time of day, its seconds and the offset may be
#: left out.
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)?([Zz]|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)

#: The end of the time that is taken for a time: the year 33658.
_END = 1e12


@dataclass(slots=True, unsafe_hash=True)
class Identity:
    """Somebody who was recognised.

    Each request has one of its own. Not frozen: that would cost it a microsecond.

    :ivar user_id: who.
    :ivar permissions: what this user may do, by the words of the backend.
    :ivar claims: what else is known; not shown.
    :ivar expires: seconds since the epoch from which on it is not good; None for no
        end.
    :ivar token: the token to use from now on; None where there is no new one. Not
        shown.
    """

    user_id: str
    permissions: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    expires: float | None = None
    token: str | None = field(default=None, repr=False)

    def is_valid(self, now: float) -> bool:
        """Say whether it is good now (seconds since the epoch)."""
        return self.expires is None or now < self.expires

    def stored(self) -> dict[str, Any]:
        """Return it as JSON values; :func:`restored` and :func:`identity_of` read them.

        What says nothing is left out: this is read with each request.
        """
        told = {
            "user": self.user_id,
            "permissions": list(self.permissions),
            "claims": dict(self.claims),
            "expires": self.expires,
            "token": self.token,
        }
        return {name: value for name, value in told.items() if value not in _NOTHING}


def restored(told: Any) -> Identity:
    """Return the identity of which :meth:`Identity.stored` has told.

    Less is looked at than with :func:`identity_of`, which had read it before.

    :raises ValueError: for what it has not told.
    """
    if type(told) is not dict or type(told.get("user")) is not str:
        raise ValueError("this is no identity")
    get = told.get
    return Identity(
        told["user"],
        tuple(get("permissions", ())),
        get("claims") or {},
        get("expires"),
        get("token"),
    )


def identity_of(data: Any) -> Identity:
    """Read what a backend says of a user.

    :param data: see the module.
    :raises ValueError: where it is something else; what it is, is not repeated.
    """
    data = _members(data)
    told = {to: read(data[of]) for of, to, read in _READ if of in data}
    return Identity(_user(data.get("user")), **told)


def active_user(data: Any) -> Identity | None:
    """Read what a backend says of a user.

    :param data: see the module.
    :returns: None where it says ``is_active``, and that is not true.
    :raises ValueError: as :func:`identity_of`.
    """
    identity = identity_of(data)
    return identity if _members(data).get("is_active", True) is True else None


def user_by_email(data: Any) -> Identity | None:
    """Read a login's answer in the form of django-proxy-server.

    ``email``, ``name`` and ``is_active`` in ``response``. The user is the email; what
    else there is are claims, but for ``permissions``.

    :param data: that, with ``user-token`` and ``expiration-date`` around it.
    :returns: None where ``is_active`` is not true.
    :raises ValueError: where one of the three is not there, or it is something else.
    """
    members = _members(data)
    if not {"email", "name", "is_active"} <= members.keys():
        raise ValueError("email, name and is_active are not there")
    told = {name: members[name] for name in _NO_CLAIMS if name in members}
    others = members.keys() - {*_NO_CLAIMS, "response"}
    claims = {name: members[name] for name in others}
    return active_user({**told, "user": members["email"], "claims": claims})


def _members(data: Any) -> Mapping[str, Any]:
    """Return the members of an object and of the ``response`` in it."""
    if not isinstance(data, _OBJECT):
        raise ValueError("an identity is an object")
    inner = data.get("response")
    if inner and isinstance(inner, _OBJECT):
        return {**inner, **data}
    return data


def is_token(value: Any) -> bool:
    """Say whether something can be a token: visible ASCII, up to 8192 characters."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def seconds_of(value: Any) -> float | None:
    """Read a time.

    :param value: seconds since the epoch, text of RFC 3339 (UTC where it has no
        offset), or None.
    :raises ValueError: where it is none of them.
    """
    if value is None:
        return None
    found = _DATE_TIME.fullmatch(value) if isinstance(value, str) else None
    if found:
        return _seconds(*found.groups())
    if is_time(value):
        return float(value)
    raise ValueError("a time is seconds since the epoch, or text of RFC 3339")


def _seconds(
    day: str, minute: str | None, second: str | None, part: str | None, zone: str | None
) -> float:
    """Read the parts of a time; a leap second is the one that follows it.

    Python 3.10 reads no ``Z`` and no fraction but of three or six digits.

    :raises ValueError: where there is no such time.
    """
    offset = "+00:00" if zone in (None, "Z", "z") else zone
    is_leap = second == "60"
    whole = "59" if is_leap else second or "00"
    text = f"{day}T{minute or '00:00'}:{whole}.{part or '0':0<6.6}{offset}"
    return datetime.fromisoformat(text).timestamp() + is_leap


def is_time(value: Any) -> bool:
    """Say whether it is a number of seconds since the epoch; NaN is none."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value < _END


def _user(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError("user is text or a whole number")


def _permissions(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(
        [isinstance(each, str) for each in value]
    ):
        raise ValueError("permissions is a list of text")
    return tuple(value)


def _claims(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, _OBJECT):
        raise ValueError("claims is an object")
    return value


def _token(value: Any) -> str | None:
    if value is not None and not is_token(value):
        raise ValueError("token is visible ASCII text of up to 8192 characters")
    return value


#: What may be said beside the user: its name, the attribute, how it is read. The older
#: names come first, so that the others count where both are there.
_READ: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("expiration-date", "expires", seconds_of),
    ("user-token", "token", _token),
    ("permissions", "permissions", _permissions),
    ("claims", "claims", _claims),
    ("expires", "expires", seconds_of),
    ("token", "token", _token),
)

#: What :func:`user_by_email` does not take for a claim.
_NO_CLAIMS = ("user-token", "expiration-date", "permissions", "is_active")
