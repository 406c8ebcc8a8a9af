"""What the trust of an application is made of; filled by the directives."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyramid.config import Configurator
from pyramid.registry import Introspectable, Registry
from zope.interface import Interface

from pyramid_restproxy.forwarding.client import USER_TOKEN
from pyramid_restproxy.settings import settings_of
from pyramid_restproxy.trust.api_keys import KeyStore, MemoryKeyStore
from pyramid_restproxy.trust.key_lines import PROFILES
from pyramid_restproxy.trust.keys import KeyRing
from pyramid_restproxy.trust.signing import NonceStore, Profile
from pyramid_restproxy.trust.store import Store, StoreNonces, store_of
from pyramid_restproxy.trust.validators import CachedValidator

__all__ = ["ITrust", "Trust", "make_trust", "told", "trust_of"]

#: The name of the profile that ``signed=True`` means.
DEFAULT_PROFILE = "request"


class ITrust(Interface):
    """The :class:`Trust` of an application, in its registry."""


@dataclass(slots=True)
class Trust:
    """Keys, profiles and users of an application.

    :ivar own_keys: the API keys of directives and of the key file.
    :ivar key_store: where API keys are looked up: these, or another store.
    :ivar key_header: the field that carries an API key.
    :ivar signing_keys: for requests that come in, oldest first.
    :ivar sealing_keys: for sealed parameters, oldest first.
    :ivar profiles: how requests are signed, by name: what was added to those that
        settings can name, or takes the place of one; see :meth:`profile`.
    :ivar store: what processes know together.
    :ivar nonces: what was used already; in that store.
    :ivar token_field: the field that carries a user token, in requests and answers.
    :ivar validator: who says whose user tokens are, asked once for many requests; None
        where nobody does.
    :ivar need_users: what is for users only, e.g. ``route 'mine'``.
    """

    key_header: str
    store: Store
    nonces: NonceStore
    own_keys: MemoryKeyStore = field(default_factory=MemoryKeyStore)
    key_store: KeyStore = field(init=False)
    signing_keys: KeyRing = field(default_factory=KeyRing)
    sealing_keys: KeyRing = field(default_factory=KeyRing)
    profiles: dict[str, Profile] = field(default_factory=dict)
    token_field: str = USER_TOKEN
    validator: CachedValidator | None = None
    need_users: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key_store = self.own_keys

    def profile(self, name: str) -> Profile | None:
        """Return a way to sign: one that was added, else one that settings can name.

        :raises MissingExtra: where what it needs is not installed.
        """
        found = self.profiles.get(name)
        if found is None and name in PROFILES:
            found = self.profiles[name] = PROFILES[name]()
        return found


def make_trust(config: Configurator) -> Trust:
    """Return the trust of an application, made when it is first wanted."""
    trust = config.registry.queryUtility(ITrust)
    if trust is None:
        settings = settings_of(config.registry)
        store = store_of(config.registry)
        trust = Trust(settings.api_keys_header, store, StoreNonces(store))
        config.registry.registerUtility(trust, ITrust)
    return trust


def told(config: Configurator, kind: str, name: str) -> Introspectable:
    """Make what an introspector tells of a directive of trust: never a secret.

    :param kind: e.g. ``signing key``.
    :param name: what tells it from others of its kind, e.g. the id of the key.
    """
    intr = config.introspectable("restproxy trust", (kind, name), name, kind)
    intr.update({"kind": kind, "name": name})
    return intr


def trust_of(registry: Registry) -> Trust:
    """Return the trust of an application that has been made."""
    found: Trust = registry.getUtility(ITrust)
    return found
