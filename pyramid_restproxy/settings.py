"""The ``restproxy.*`` settings: one table, checked once, read as frozen objects.

Every setting is one row of :data:`SETTINGS` (or, for the options of a named
backend, of :data:`BACKEND_OPTIONS`). Unknown names and bad values are refused
with the name and the value in the message. Only the objects made here are read
by the rest of the package, never the dictionary.

``config.include('pyramid_restproxy.settings')`` parses in a deferred action, so
the application may still change ``registry.settings`` after the include.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pyramid.config import PHASE0_CONFIG, Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.registry import Registry

from pyramid_restproxy.casts import (
    affinity,
    boolean,
    certificate,
    credential_field,
    fields,
    host_policy,
    http_versions,
    lines,
    number,
    one_of,
    optional_number,
    optional_seconds,
    override_methods,
    path,
    proxy_url,
    seconds,
    share,
    size,
    statuses,
    store_url,
    text,
    token,
    tokens,
    tokens_or_nothing,
    verification,
    words,
)
from pyramid_restproxy.interfaces import IRestProxySettings

__all__ = [
    "BACKEND_OPTIONS",
    "PREFIX",
    "SETTINGS",
    "BackendSettings",
    "Setting",
    "Settings",
    "parse_settings",
    "settings_of",
]

PREFIX = "restproxy."


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the settings table.

    :ivar name: the name without ``restproxy.``.
    :ivar cast: reads the raw value, raises ValueError or TypeError.
    :ivar default: the value when the setting is absent.
    :ivar unit: for the docs: ``seconds``, ``bytes``, ``words``, ...
    :ivar effect: for the docs: what it does, in one sentence.
    :ivar secret: whether the value may hold a credential; then no message repeats it.
    """

    name: str
    cast: Callable[[object], Any]
    default: Any
    unit: str
    effect: str
    secret: bool = False

    @property
    def attribute(self) -> str:
        """The attribute of :class:`Settings` that holds the value."""
        return self.name.replace(".", "_")


SETTINGS = (
    Setting(
        "errors",
        one_of("problem", "envelope"),
        "problem",
        "word",
        "Shape of error bodies for machines: ``problem``, RFC 9457 problem documents, "
        'or ``envelope``, ``{"error": {code, type, message}}``.',
    ),
    Setting(
        "error_template",
        text,
        "",
        "asset",
        "Template of the HTML error page; gets ``status``, ``title``, "
        "``detail``, ``instance`` and ``request``.",
    ),
    Setting(
        "unexpected_errors",
        one_of("problem", "raise"),
        "problem",
        "word",
        "What becomes of an exception that no view handles: ``problem``, a 500 "
        "without any detail (and the traceback in the log), or ``raise``, it goes on "
        "to the server.",
    ),
    Setting(
        "representations",
        tokens,
        ("html", "json", "xml"),
        "words",
        "What a negotiated view offers when it names nothing itself, in server order.",
    ),
    Setting(
        "not_acceptable",
        one_of("refuse", "fallback"),
        "refuse",
        "word",
        "When nothing fits Accept: ``refuse``, answer 406, or ``fallback``, send the "
        "first representation all the same.",
    ),
    Setting(
        "format_parameter",
        text,
        "",
        "word",
        "Name of a query parameter that chooses the representation by its "
        "name, e.g. ``format``; empty for none.",
    ),
    Setting(
        "advertise_alternates",
        boolean,
        False,
        "boolean",
        "Add ``Content-Location`` and ``Link: rel=alternate`` to negotiated answers.",
    ),
    Setting(
        "automatic_options",
        boolean,
        True,
        "boolean",
        "Answer OPTIONS with ``Allow`` where no view does.",
    ),
    Setting(
        "lint",
        boolean,
        True,
        "boolean",
        "Warn at start-up about views and routes that are probably a mistake.",
    ),
    Setting(
        "override.enabled",
        boolean,
        True,
        "boolean",
        "Whether POST requests may ask for another method at all.",
    ),
    Setting(
        "override.methods",
        override_methods,
        ("PUT", "PATCH", "DELETE"),
        "words",
        "Methods that an override may ask for.",
    ),
    Setting(
        "override.field",
        text,
        "_method",
        "name",
        "Form field that asks for an override, case-sensitive; empty for none.",
    ),
    Setting(
        "override.headers",
        tokens,
        ("X-HTTP-Method-Override",),
        "names",
        "Header fields that ask for an override; empty for none.",
    ),
    Setting(
        "override.on_invalid",
        one_of("ignore", "reject"),
        "ignore",
        "word",
        "What becomes of a request whose override is not allowed or "
        "ambiguous: ``ignore``, it stays POST, or ``reject``, it is answered 400.",
    ),
    Setting(
        "override.peek",
        size,
        65536,
        "bytes",
        "How much of a form body is looked at for the field.",
    ),
    Setting(
        "backends",
        lines,
        (),
        "lines",
        "Backends of the gateway application, ``name = url [url ...]``, one a line.",
    ),
    Setting(
        "routes",
        lines,
        (),
        "lines",
        "Routes of the gateway application, ``pattern -> backend [option=value ...]``, "
        "one a line, first match wins.",
    ),
    Setting(
        "request_id",
        tokens_or_nothing,
        "",
        "name",
        "Header field with an id for each request, told to the backend and to the "
        "client, e.g. ``X-Request-ID``; none where it is empty. What clients send "
        "counts from trusted proxies only.",
    ),
    Setting(
        "access_log",
        boolean,
        False,
        "boolean",
        "Write a line of JSON for each request to the logger "
        "``pyramid_restproxy.access``, without query and header values.",
    ),
    Setting(
        "health_views",
        boolean,
        False,
        "boolean",
        "Whether the gateway application has ``/health/live`` and ``/health/ready``.",
    ),
    Setting(
        "metrics_path",
        path,
        "",
        "path",
        "Where the gateway application tells Prometheus what goes on; nowhere where it "
        "is empty.",
    ),
    Setting(
        "drain.grace",
        optional_seconds,
        None,
        "seconds",
        "How long the gateway application still takes requests after SIGTERM, while "
        "``/health/ready`` says 503. SIGTERM is left alone without a value.",
    ),
    Setting(
        "drain.timeout",
        seconds,
        30.0,
        "seconds",
        "How long requests in flight may then take.",
    ),
    Setting(
        "store",
        store_url,
        "",
        "URL",
        "Where processes share counts, nonces, tokens and cached answers: "
        "``redis://host:6379/0``, or each process's own memory where it is empty.",
        secret=True,
    ),
    Setting(
        "store.prefix",
        token,
        "restproxy",
        "name",
        "What all names in that Redis begin with. Applications that share a Redis need "
        "different ones, or the logins and tokens of one are good in the other.",
    ),
    Setting(
        "api_keys.header",
        credential_field,
        "api-key",
        "name",
        "Header field that carries an API key.",
    ),
    Setting(
        "api_keys",
        lines,
        (),
        "lines",
        "API keys, ``name digest [routes=... scopes=... expires=...]``, one a line.",
    ),
    Setting(
        "api_keys.file",
        text,
        "",
        "path",
        "File with API keys, as ``prest keys`` writes it; read at start-up.",
    ),
    Setting(
        "signing_keys",
        lines,
        (),
        "lines",
        "Keys with which requests that come in may be signed, ``id secret "
        "[expires=...]``, one a line. A secret is ``env:VARIABLE``, ``file:PATH``, "
        "``base64:...``, ``hex:...`` or ``whsec_...``.",
        secret=True,
    ),
    Setting(
        "signing_keys.file",
        text,
        "",
        "path",
        "File with such lines; read at start-up.",
    ),
    Setting(
        "sealing_keys",
        lines,
        (),
        "lines",
        "Keys for sealed parameters, in the form of ``restproxy.signing_keys``; the "
        "last one seals.",
        secret=True,
    ),
    Setting(
        "token_validator",
        text,
        "",
        "dotted name",
        "Who recognises user tokens, for the view option ``user_token``: ``(request, "
        "token)`` gives an identity, or None. ``backend:NAME/path`` for a service of a "
        "backend.",
    ),
    Setting(
        "user_token.field",
        token,
        "user-token",
        "name",
        "Header field that carries a user token.",
    ),
    Setting(
        "user_token.cache_ttl",
        number,
        60,
        "seconds",
        "How long an answer of the validator is used again, at most; 0 for not at all.",
    ),
    Setting(
        "cache.memory",
        size,
        64 * 1024 * 1024,
        "bytes",
        "How much of a process's memory cached answers may take.",
    ),
    Setting(
        "cache.max_body",
        size,
        1024 * 1024,
        "bytes",
        "Larger answers are not cached.",
    ),
    Setting(
        "max_streams",
        number,
        0,
        "streams",
        "How many event streams may go through a process at a time; each takes a "
        "thread. One more is answered 503; 0 for no limit.",
    ),
    Setting(
        "secret",
        text,
        "",
        "text",
        "Key of what the gateway signs for itself: affinity cookies, what it keeps in "
        "the store. The same in all processes; without one each has its own.",
        secret=True,
    ),
    Setting(
        "own_cookies",
        tokens,
        (),
        "names",
        "More cookies of the application, which no backend sees or sets. The session, "
        "the CSRF token and the login of Pyramid and of this package are known.",
    ),
    Setting(
        "shared_cookies",
        tokens,
        (),
        "names",
        "Cookies of the application that pass in both directions all the same: whoever "
        "sees the one of a session can use it.",
    ),
    Setting(
        "trusted_proxies",
        words,
        (),
        "addresses",
        "Addresses or networks (CIDR) of the proxies in front of this "
        "application whose X-Forwarded-* fields are believed.",
    ),
    Setting(
        "pseudonym",
        tokens_or_nothing,
        "pyramid_restproxy",
        "token",
        "How this gateway names itself in Via, Proxy-Status and Cache-Status. A "
        "request that has it in Via has been here before (508): gateways in a row need "
        "different ones.",
    ),
    Setting(
        "allowed_hosts",
        words,
        (),
        "names",
        "Hosts that requests may be for, without ports; ``*.example.com`` for all "
        "names below one. Others are answered 421, but for the health views. Every "
        "host where it is empty.",
    ),
    Setting(
        "http_versions",
        http_versions,
        ("1.0", "1.1"),
        "words",
        "Versions of HTTP that are served, as the server reports them; others are "
        "answered 505. Add ``2`` for a server that speaks it.",
    ),
    Setting(
        "allow_trace",
        boolean,
        False,
        "boolean",
        "Whether TRACE reaches the routes; else it is answered 501, as CONNECT always "
        "is.",
    ),
    Setting(
        "max_target_bytes",
        size,
        8192,
        "bytes",
        "Requests with a longer target (path and query) are answered 414.",
    ),
    Setting(
        "max_header_count",
        number,
        200,
        "fields",
        "Requests with more header fields are answered 431; lines of one name count "
        "once.",
    ),
    Setting(
        "max_header_bytes",
        size,
        65536,
        "bytes",
        "Requests whose header fields are larger, all together, are answered 431.",
    ),
    Setting(
        "require_https",
        boolean,
        False,
        "boolean",
        "Answer 403 where the client did not use https, by the server or by the "
        "``X-Forwarded-Proto`` of a trusted proxy. Not for the health views.",
    ),
    Setting(
        "hsts",
        number,
        0,
        "seconds",
        "``max-age`` of the Strict-Transport-Security field of answers over https; 0 "
        "for none.",
    ),
)

#: Options of one backend: ``restproxy.backend.<name>.<option>``.
BACKEND_OPTIONS = (
    Setting(
        "connect_timeout",
        seconds,
        5.0,
        "seconds",
        "How long each stage of making a connection may take, all addresses of a name "
        "together. How long the name is looked up the system's resolver decides.",
    ),
    Setting("read_timeout", seconds, 30.0, "seconds", "How long it may be silent."),
    Setting(
        "total_timeout",
        optional_seconds,
        None,
        "seconds",
        "How long a backend may take for a whole exchange, the body included. The time "
        "in which the client is waited for, while it sends or takes, does not count.",
    ),
    Setting(
        "host",
        host_policy,
        "destination",
        "word",
        "The Host field sent: the destination's (``destination``), the "
        "client's (``preserve``), or the name given.",
    ),
    Setting(
        "headers",
        fields,
        (),
        "lines",
        "Header fields that every request to it gets, e.g. the gateway's own key; they "
        "replace those of the client.",
        secret=True,
    ),
    Setting(
        "sign_with",
        text,
        "",
        "words",
        "Sign every request to it: the id of a key, its secret as in "
        "``restproxy.signing_keys``, and ``request``, ``body``, ``webhook`` or "
        "``rfc9421``, ``request`` where that is left out.",
        secret=True,
    ),
    Setting(
        "verify",
        verification,
        True,
        "word or path",
        "How certificates are verified: ``true`` (the usual authorities), the path of "
        "a file or folder with your own, or ``insecure`` for not at all.",
    ),
    Setting(
        "cert",
        certificate,
        None,
        "paths",
        "The client certificate: one file, or certificate and key.",
    ),
    Setting(
        "via_proxy",
        proxy_url,
        None,
        "URL",
        "A second proxy on the way, ``http://host:port``. The environment's is never "
        "used.",
        secret=True,
    ),
    Setting(
        "pool_size",
        number,
        32,
        "connections",
        "How many idle connections are kept for each destination.",
    ),
    Setting(
        "idle_timeout",
        seconds,
        30.0,
        "seconds",
        "How long an idle connection is kept.",
    ),
    Setting(
        "balance",
        one_of("round_robin", "random", "least_requests", "two_choices", "first"),
        "round_robin",
        "word",
        "Who is asked next: each in turn (``round_robin``), any (``random``), who has "
        "least to do (``least_requests``), the better of any two (``two_choices``), or "
        "the first that works (``first``).",
    ),
    Setting(
        "affinity",
        affinity,
        "",
        "word",
        "What keeps requests at one destination: a signed ``cookie``, the ``user``, or "
        "``header:Name``; none where it is empty.",
    ),
    Setting(
        "affinity_lost",
        one_of("redistribute", "refuse"),
        "redistribute",
        "word",
        "When that destination is gone: ``redistribute``, ask another, or ``refuse``, "
        "answer 503.",
    ),
    Setting(
        "retries",
        optional_number,
        None,
        "requests",
        "How often a request that got no answer is sent again: only idempotent ones, "
        "or with ``Idempotency-Key``, and to another destination if there is one. "
        "Without a value: 1 where there are several destinations or "
        "``retry_statuses``, else 0.",
    ),
    Setting(
        "retry_statuses",
        statuses,
        (),
        "status codes",
        "Answers after which such a request is sent again, after ``Retry-After`` where "
        "that is at most 2 s.",
    ),
    Setting(
        "retry_budget",
        share,
        0.2,
        "share",
        "How many retries there may be for each request, besides a reserve of 10.",
    ),
    Setting(
        "max_fails",
        optional_number,
        None,
        "failures",
        "Failures within ``fail_window`` after which a destination is not asked for "
        "``cool_down``; 0 for never. Without a value: 3 where there are several "
        "destinations, 0 where there is one.",
    ),
    Setting(
        "fail_window", seconds, 10.0, "seconds", "How far back failures are counted."
    ),
    Setting(
        "cool_down",
        seconds,
        10.0,
        "seconds",
        "How long such a destination rests; then one request is let through to see.",
    ),
    Setting(
        "error_rate",
        share,
        0.0,
        "share",
        "Share of failed requests within ``fail_window`` after which it rests as after "
        "``max_fails``, from ``min_volume`` requests on; 0 for never.",
    ),
    Setting(
        "min_volume",
        number,
        20,
        "requests",
        "How many requests there must be before ``error_rate`` counts.",
    ),
    Setting(
        "failure_statuses",
        statuses,
        (),
        "status codes",
        "Answers that count as failures of the destination.",
    ),
    Setting(
        "max_in_flight",
        number,
        0,
        "requests",
        "How many requests may be on their way at the same time; one more is answered "
        "503 at once. 0 for no limit.",
    ),
    Setting(
        "max_response_body",
        number,
        0,
        "bytes",
        "Larger answers are refused, or cut off where their length was not told "
        "before. 0 for no limit.",
    ),
    Setting(
        "probe_path",
        path,
        "",
        "path",
        "Path that is asked for at every destination now and then, to see whether it "
        "works; nothing is asked where it is empty.",
    ),
    Setting(
        "probe_interval", seconds, 10.0, "seconds", "How often, give or take a tenth."
    ),
    Setting("probe_timeout", seconds, 2.0, "seconds", "How long the answer may take."),
    Setting(
        "probe_fails",
        number,
        2,
        "probes",
        "Failed probes in a row after which a destination is not asked.",
    ),
    Setting(
        "probe_passes",
        number,
        1,
        "probes",
        "Probes in a row answered 2xx or 3xx after which it is asked again.",
    ),
    Setting(
        "refresh",
        seconds,
        30.0,
        "seconds",
        "How often destinations that a callable provides are asked for anew.",
    ),
)

#: ``restproxy.transforms.<name>``: lines of transforms that routes can name.
TRANSFORMS = "transforms."

#: Names of backends: what can stand in a setting's name and in a log line.
BACKEND_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """Options of one backend; one attribute a row of :data:`BACKEND_OPTIONS`."""

    connect_timeout: float = 5.0  #: seconds
    read_timeout: float = 30.0  #: seconds, between two pieces
    total_timeout: float | None = None  #: seconds
    host: str = "destination"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # secrets
    sign_with: str = field(default="", repr=False)  # may hold a secret
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    via_proxy: str | None = field(default=None, repr=False)  # may hold a password
    pool_size: int = 32
    idle_timeout: float = 30.0  #: seconds
    balance: str = "round_robin"
    affinity: str = ""
    affinity_lost: str = "redistribute"
    retries: int | None = None
    retry_statuses: tuple[int, ...] = ()
    retry_budget: float = 0.2
    max_fails: int | None = None
    fail_window: float = 10.0  #: seconds
    cool_down: float = 10.0  #: seconds
    error_rate: float = 0.0
    min_volume: int = 20
    failure_statuses: tuple[int, ...] = ()
    max_in_flight: int = 0
    max_response_body: int = 0  #: bytes
    probe_path: str = ""
    probe_interval: float = 10.0  #: seconds
    probe_timeout: float = 2.0  #: seconds
    probe_fails: int = 2
    probe_passes: int = 1
    refresh: float = 30.0  #: seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that ``restproxy.*`` says; one attribute a row of :data:`SETTINGS`."""

    errors: str = "problem"
    error_template: str = ""
    unexpected_errors: str = "problem"
    representations: tuple[str, ...] = ("html", "json", "xml")
    not_acceptable: str = "refuse"
    format_parameter: str = ""
    advertise_alternates: bool = False
    automatic_options: bool = True
    lint: bool = True
    override_enabled: bool = True
    override_methods: tuple[str, ...] = ("PUT", "PATCH", "DELETE")
    override_field: str = "_method"
    override_headers: tuple[str, ...] = ("X-HTTP-Method-Override",)
    override_on_invalid: str = "ignore"
    override_peek: int = 65536  #: bytes
    backends: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    request_id: str = ""
    access_log: bool = False
    health_views: bool = False
    metrics_path: str = ""
    drain_grace: float | None = None  #: seconds
    drain_timeout: float = 30.0  #: seconds
    store: str = field(default="", repr=False)  # may hold a password
    store_prefix: str = "restproxy"
    api_keys_header: str = "api-key"
    api_keys: tuple[str, ...] = ()
    api_keys_file: str = ""
    signing_keys: tuple[str, ...] = field(default=(), repr=False)  # may hold secrets
    signing_keys_file: str = ""
    sealing_keys: tuple[str, ...] = field(default=(), repr=False)  # may hold secrets
    token_validator: str = ""
    user_token_field: str = "user-token"
    user_token_cache_ttl: int = 60  #: seconds
    cache_memory: int = 64 * 1024 * 1024  #: bytes
    cache_max_body: int = 1024 * 1024  #: bytes
    max_streams: int = 0
    secret: str = field(default="", repr=False)
    own_cookies: tuple[str, ...] = ()
    shared_cookies: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    pseudonym: str = "pyramid_restproxy"
    allowed_hosts: tuple[str, ...] = ()
    http_versions: tuple[str, ...] = ("1.0", "1.1")
    allow_trace: bool = False
    max_target_bytes: int = 8192  #: bytes
    max_header_count: int = 200
    max_header_bytes: int = 65536  #: bytes
    require_https: bool = False
    hsts: int = 0  #: seconds
    #: options given as ``restproxy.backend.<name>.<option>``, by backend, as read; they
    #: may hold credentials
    backend: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    #: lines of ``restproxy.transforms.<name>``, by name; they may hold credentials
    transforms: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)


#: How the lines of ``restproxy.transforms.<name>`` are read.
_LINES = Setting(TRANSFORMS, lines, (), "lines", "", secret=True)

_TABLE = {row.name: row for row in SETTINGS}
_BACKEND_TABLE = {row.name: row for row in BACKEND_OPTIONS}


def read(row: Setting, full_name: str, value: object) -> Any:
    """Cast one raw value.

    :raises ConfigurationError: naming the setting and the value.
    """
    try:
        return row.cast(value)
    except (TypeError, ValueError, OverflowError) as error:
        shown = "..." if row.secret else repr(value)
        raise ConfigurationError(f"{full_name} = {shown}: {error}") from error


def parse_settings(raw: Mapping[str, Any]) -> Settings:
    """Read all ``restproxy.*`` settings of a settings dictionary.

    :param raw: the dictionary, e.g. ``registry.settings``; other names in it
        are not looked at.
    :returns: the parsed, frozen settings.
    :raises ConfigurationError: for an unknown name or a bad value.
    """
    values: dict[str, Any] = {}
    backend: dict[str, dict[str, Any]] = {}
    transforms: dict[str, tuple[str, ...]] = {}
    for full_name, value in raw.items():
        if not full_name.startswith(PREFIX):
            continue
        name = full_name[len(PREFIX) :]
        if name.startswith("backend."):
            owner, option, read_value = _backend_option(full_name, name, value)
            backend.setdefault(owner, {})[option] = read_value
        elif name.startswith(TRANSFORMS) and BACKEND_NAME.fullmatch(
            name[len(TRANSFORMS) :]
        ):
            transforms[name[len(TRANSFORMS) :]] = read(_LINES, full_name, value)
        elif name in _TABLE:
            values[_TABLE[name].attribute] = read(_TABLE[name], full_name, value)
        else:
            raise _unknown(full_name)
    return Settings(**values, backend=backend, transforms=transforms)


def _backend_option(full_name: str, name: str, value: object) -> tuple[str, str, Any]:
    _, _, rest = name.partition(".")
    owner, _, option = rest.partition(".")
    if not BACKEND_NAME.fullmatch(owner) or option not in _BACKEND_TABLE:
        raise _unknown(full_name)
    return owner, option, read(_BACKEND_TABLE[option], full_name, value)


def _unknown(full_name: str) -> ConfigurationError:
    """Make the error of a name that is no setting; it names those that are near."""
    of_backends = [f"{PREFIX}backend.NAME.{name}" for name in _BACKEND_TABLE]
    known = [*(PREFIX + name for name in _TABLE), *of_backends]
    known.append(f"{PREFIX}{TRANSFORMS}NAME")
    meant = re.sub(r"^(restproxy\.backend)\.[^.]*\.", r"\1.NAME.", full_name)
    near = get_close_matches(meant, known, cutoff=0.75)
    advice = (
        f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}"
    )
    return ConfigurationError(
        f"{full_name} is not a setting of pyramid_restproxy. {advice}"
    )


def settings_of(registry: Registry) -> Settings:
    """Return the parsed settings of an application.

    :param registry: its registry, after a commit; before one (a directive that
        runs before the settings are parsed) they are parsed on the spot.
    """
    found = registry.queryUtility(IRestProxySettings)
    return found if found is not None else parse_settings(registry.settings or {})


def includeme(config: Configurator) -> None:
    """Parse the settings when the configuration is committed, before anything else."""

    def register() -> None:
        settings = parse_settings(config.registry.settings or {})
        config.registry.registerUtility(settings, IRestProxySettings)

    config.action(("restproxy", "settings"), register, order=PHASE0_CONFIG)
