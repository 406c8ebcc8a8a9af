"""The directives of trust: keys, profiles, and who signs what goes out."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyramid.config import PHASE1_CONFIG, Configurator
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.casts import called
from pyramid_restproxy.exceptions import MalformedRequest
from pyramid_restproxy.forwarding.backends import CHECK_ORDER, make_gateway
from pyramid_restproxy.forwarding.bodies import LimitedBody, StreamedBody
from pyramid_restproxy.forwarding.fields import Fields, canonical_name, one_or_several
from pyramid_restproxy.forwarding.transport import Outgoing
from pyramid_restproxy.settings import PREFIX, Settings, settings_of
from pyramid_restproxy.trust.api_keys import ApiKey, KeyStore, parse_keys
from pyramid_restproxy.trust.canonical import RequestParts
from pyramid_restproxy.trust.key_lines import parse_key_lines, parse_sign_with
from pyramid_restproxy.trust.keys import MIN_SECRET, Key, KeyRing
from pyramid_restproxy.trust.profiles import RequestProfile
from pyramid_restproxy.trust.registry import make_trust, told
from pyramid_restproxy.trust.signing import MAX_BODY, Profile, sign
from pyramid_restproxy.trust.tokens import install_validator
from pyramid_restproxy.trust.validators import TokenValidator, backend_validator

__all__ = [
    "add_api_key",
    "add_sealing_key",
    "add_signing_key",
    "add_signing_profile",
    "set_api_key_store",
    "sign_requests_to",
]


# -- API keys --------------------------------------------------------------------


def add_api_key(
    config: Configurator,
    name: str,
    hashed: str,
    *,
    routes: str | Sequence[str] = (),
    scopes: str | Sequence[str] = (),
    expires: float | None = None,
) -> None:
    """Add an API key by its digest.

    :param name: who uses it.
    :param hashed: the digest of the key: what :func:`~.api_keys.hash_key` makes of it,
        and ``prest keys new`` shows, or writes into its file.
    :param routes: names of the routes it is good for; all where it is empty.
    :param scopes: what it allows, see the view option ``api_key=``.
    :param expires: seconds since the epoch.
    :raises ConfigurationError: where an argument is not what it must be.

    Discriminator ``('restproxy api key', hashed)``; introspectable category
    ``restproxy api keys``.
    """
    key = ApiKey(name, hashed, one_or_several(routes), one_or_several(scopes), expires)
    intr = config.introspectable("restproxy api keys", hashed, name, "API key")
    intr.update({"name": name, "routes": key.routes, "scopes": key.scopes})
    config.action(
        ("restproxy api key", hashed),
        lambda: make_trust(config).own_keys.add(key),
        introspectables=(intr,),
    )


def set_api_key_store(config: Configurator, store: KeyStore) -> None:
    """Look API keys up in a store of your own, e.g. ``SqlKeyStore``.

    :raises ConfigurationError: for what is no key store; it says what is missing.

    Discriminator ``('restproxy', 'api key store')``; introspectable category
    ``restproxy trust``.
    """
    missing = [
        name
        for name in ("find", "used", "last_used")
        if not callable(getattr(store, name, None))
    ]
    if missing:
        raise ConfigurationError(
            f"set_api_key_store: {type(store).__name__} is not a key store: "
            f"it has no {', '.join(missing)}"
        )

    def register() -> None:
        make_trust(config).key_store = store

    intr = told(config, "api key store", type(store).__name__)
    config.action(("restproxy", "api key store"), register, introspectables=(intr,))


def use_key_settings(config: Configurator) -> None:
    """Add the API keys of the settings and of their file, after all directives."""
    trust, settings = make_trust(config), settings_of(config.registry)
    listed = "\n".join(settings.api_keys)
    for key in parse_keys(listed) + parse_keys(_text_of("api_keys", settings)):
        trust.own_keys.add(key)
    if len(trust.own_keys) or trust.key_store is not trust.own_keys:
        # A client's key is for us: the backend must not see it.
        _keep_from_backends(config, trust.key_header)


def _text_of(name: str, settings: Settings) -> str:
    """Read the file that ``restproxy.<name>.file`` names; nothing where it does not."""
    path = getattr(settings, f"{name}_file")
    if not path:
        return ""
    try:
        return pathlib.Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{PREFIX}{name}.file = {path!r}: {_reason(error)}"
        ) from None


def _reason(error: OSError | UnicodeDecodeError) -> str:
    # the text of a decoding error would show what is in the file
    return str(error) if isinstance(error, OSError) else "it is not UTF-8"


def _keep_from_backends(config: Configurator, *names: str) -> None:
    gateway = make_gateway(config)
    gateway.without |= set(map(canonical_name, names))


# -- users -----------------------------------------------------------------------


def _validator(named: str) -> TokenValidator:
    """Return who is named by a setting: a callable, or a service of a backend.

    A dotted name has no slash, so the two cannot be mistaken for each other.

    :raises ValueError: where there is none of this name.
    """
    kind, _, service = named.partition(":")
    backend, slash, path = service.partition("/")
    if kind == "backend" and backend and slash:
        return backend_validator(backend, f"/{path}")
    return called(named)


def use_token_setting(config: Configurator) -> None:
    """Use the validator that the settings name, where no directive did.

    :raises ConfigurationError: where it is not there, or cannot be called.
    """
    settings = settings_of(config.registry)
    named = settings.token_validator
    if not named or make_trust(config).validator:
        return
    try:
        validator = _validator(named)
    except ValueError as error:
        raise ConfigurationError(
            f"{PREFIX}token_validator = {named!r}: {error}"
        ) from error
    install_validator(
        config,
        validator,
        field=settings.user_token_field,
        cache_ttl=settings.user_token_cache_ttl,
    )


# -- signatures --------------------------------------------------------------------


def add_signing_key(
    config: Configurator, key_id: str, secret: bytes, not_after: float | None = None
) -> None:
    """Add a key with which requests that come in may be signed.

    :param not_after: seconds since the epoch after which it is not good any more.
    :raises ConfigurationError: where an argument is not what it must be.

    Discriminator ``('restproxy signing key', key_id)``; introspectable category
    ``restproxy trust``.
    """
    key = _key("add_signing_key", key_id, secret, not_after)
    config.action(
        ("restproxy signing key", key_id),
        lambda: make_trust(config).signing_keys.add(key),
        introspectables=(told(config, "signing key", key_id),),
    )


def use_signing_settings(config: Configurator) -> None:
    """Add the signing keys of the settings, and sign for backends that want it.

    :raises ConfigurationError: where a line cannot be read, or a key is there twice.
    """
    trust, settings = make_trust(config), settings_of(config.registry)
    name = f"{PREFIX}signing_keys"
    listed = _text_of("signing_keys", settings).split("\n")
    for key in (
        *parse_key_lines(name, settings.signing_keys),
        *parse_key_lines(f"{name}.file", listed),
    ):
        trust.signing_keys.add(key)
    for backend in make_gateway(config).backends.values():
        wanted = backend.options.sign_with
        if wanted and backend.sign is None:
            where = f"{PREFIX}backend.{backend.name}.sign_with"
            key, profile = parse_sign_with(where, wanted)
            backend.sign = signer(KeyRing([key]), profile)


def add_signing_profile(config: Configurator, name: str, profile: Profile) -> None:
    """Name a way to sign, for the view option ``signed='name'``.

    :raises ConfigurationError: where an argument is not what it must be.

    Discriminator ``('restproxy signing profile', name)``; introspectable category
    ``restproxy trust``.
    """
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"add_signing_profile: {name!r}: expected a name")
    if not callable(getattr(profile, "check", None)):
        raise ConfigurationError(f"add_signing_profile: {profile!r} is not a profile")

    def register() -> None:
        make_trust(config).profiles[name] = profile

    # before views are derived, which may name it
    config.action(
        ("restproxy signing profile", name),
        register,
        introspectables=(told(config, "signing profile", name),),
        order=PHASE1_CONFIG,
    )


def sign_requests_to(
    config: Configurator,
    backend: str,
    key_id: str,
    secret: bytes,
    profile: Profile | None = None,
) -> None:
    """Sign everything that is sent to a backend, after all transforms.

    It wins over ``restproxy.backend.<name>.sign_with``.

    :param profile: how; the default profile where it is left out.
    :raises ConfigurationError: where an argument is not what it must be, or, when the
        configuration is committed, where there is no such backend.

    Discriminator ``('restproxy signed backend', backend)``; introspectable category
    ``restproxy trust``.
    """
    ring = KeyRing([_key("sign_requests_to", key_id, secret, None)])
    chosen = profile or RequestProfile()

    def register() -> None:
        found = make_gateway(config).backends.get(backend)
        if found is None:
            raise ConfigurationError(
                f"sign_requests_to: there is no backend {backend!r}"
            )
        found.sign = signer(ring, chosen)

    intr = told(config, "signed backend", backend)
    intr.update({"key": key_id, "profile": chosen.name})
    intr.relate("restproxy backends", backend)
    config.action(
        ("restproxy signed backend", backend),
        register,
        introspectables=(intr,),
        order=CHECK_ORDER,
    )


def signer(ring: KeyRing, profile: Profile) -> Callable[[Outgoing, str], Fields]:
    """Return what signs a request that is about to go out.

    :returns: takes the request and the scheme; returns the fields to add. It raises
        MalformedRequest for what cannot be signed: that comes from the client, so no
        backend is blamed for it.
    """

    def sign_it(outgoing: Outgoing, scheme: str) -> Fields:
        path, mark, query = outgoing.target.partition("?")
        authority = next(v for n, v in outgoing.fields if n.lower() == "host")
        parts = RequestParts(
            method=outgoing.method,
            scheme=scheme,
            authority=authority,
            path=path,
            query=query,
            fields=outgoing.fields,
            empty_query=bool(mark) and not query,
        )
        try:
            return sign(profile, parts, _pieces(outgoing.body), ring, time.time())
        except ValueError as error:
            raise MalformedRequest("The request cannot be signed.") from error

    return sign_it


def _pieces(body: LimitedBody | StreamedBody | bytes | None) -> Iterator[bytes]:
    """Yield a body that is sent afterwards.

    :param body: bytes, a body of ``bodies``, or None.
    :raises HTTPRequestEntityTooLarge: where the server does not keep it, and it is too
        large to be kept here.
    """
    if body is None:
        return
    if isinstance(body, bytes):
        yield body
        return
    body.keep(MAX_BODY)
    while piece := body.read(65536):
        yield piece
    body.rewind()


# -- sealed parameters ---------------------------------------------------------------


def add_sealing_key(
    config: Configurator, key_id: str, secret: bytes, not_after: float | None = None
) -> None:
    """Add a key for sealed parameters; the one added last seals.

    Those of ``restproxy.sealing_keys`` come after those of directives.

    :raises ConfigurationError: where an argument is not what it must be.

    Discriminator ``('restproxy sealing key', key_id)``; introspectable category
    ``restproxy trust``.
    """
    key = _key("add_sealing_key", key_id, secret, not_after)
    if len(secret) < MIN_SECRET:
        raise ConfigurationError(
            f"add_sealing_key: a secret has {MIN_SECRET} bytes at the least"
        )
    config.action(
        ("restproxy sealing key", key_id),
        lambda: make_trust(config).sealing_keys.add(key),
        introspectables=(told(config, "sealing key", key_id),),
    )


def use_sealing_settings(config: Configurator) -> None:
    """Add the sealing keys of the settings, after all directives.

    :raises ConfigurationError: where a line cannot be read, or a key is there twice.
    """
    trust, settings = make_trust(config), settings_of(config.registry)
    where = f"{PREFIX}sealing_keys"
    for key in parse_key_lines(where, settings.sealing_keys):
        trust.sealing_keys.add(key)


def _key(directive: str, key_id: Any, secret: Any, not_after: float | None) -> Key:
    if not isinstance(key_id, str) or not isinstance(secret, bytes):
        raise ConfigurationError(
            f"{directive}: expected an id (str) and a secret (bytes)"
        )
    return Key(key_id, secret, not_after)
