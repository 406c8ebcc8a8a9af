"""Every vector of security.json, by its id: run here, or where it is tested.

What can be said as bytes in and an outcome out runs here, over real sockets; the rest
is named with the test that covers it, and that test must be there.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import json
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pyramid.config import Configurator

from pyramid_restproxy.forwarding.transforms import remove_response_headers
from pyramid_restproxy.testing import (
    Answer,
    FakeBackend,
    RecordedRequest,
    load_vectors,
)
from pyramid_restproxy.testing.behaviours import check_keys
from tests import wire
from tests.functional.test_servers import ROWS, free_port, serving
from tests.vectors.test_gateway import NOT_YET as GATEWAY_NOT_YET

ROOT = pathlib.Path(__file__).parents[2]
DATA = pathlib.Path(__file__).parent / "data"


@dataclass(frozen=True)
class Try:
    """A request that runs here.

    :ivar sent: the bytes.
    :ivar status: of the answer.
    :ivar passed: what must be true of the request that the backend sees; without it
        the backend must see none.
    :ivar settings: of the application, without ``restproxy.``.
    :ivar route: options of the route.
    :ivar answer: what the backend answers.
    :ivar told: what must be true of the answer to the client.
    """

    sent: bytes
    status: int
    passed: Callable[[RecordedRequest], object] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    route: Mapping[str, Any] = field(default_factory=dict)
    answer: Answer = field(default_factory=lambda: Answer(body=b"ok"))
    told: Callable[[wire.Reply], object] = bool


@dataclass(frozen=True)
class Elsewhere:
    """Tests elsewhere: ``path::function`` below ``tests``, or ``gateway.json::id``."""

    where: tuple[str, ...]


@dataclass(frozen=True)
class OnServers:
    """A row of what each server does: ``functional/test_servers.py``, SECURITY.rst."""


def get(target: str = "/x", *fields: str, method: str = "GET", body: str = "") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *fields]
    if not any(each.lower().startswith("host:") for each in fields):
        lines.append("Host: a")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join([*lines, "", ""]) + body).encode("latin-1")


def override(body: str, *fields: str) -> bytes:
    form = "Content-Type: application/x-www-form-urlencoded"
    return get("/x", form, *fields, method="POST", body=body)


def has(**wanted: str | None) -> Callable[[RecordedRequest], object]:
    """Ask for fields of what the backend sees; None for one that is not there."""

    def check(seen: RecordedRequest) -> bool:
        found = {name: seen.header(name.replace("_", "-")) for name in wanted}
        assert found == wanted
        return True

    return check


def target(wanted: str) -> Callable[[RecordedRequest], object]:
    return lambda seen: seen.target == wanted


def content(method: str, wanted: bytes) -> Callable[[RecordedRequest], object]:
    return lambda seen: (seen.method, seen.body) == (method, wanted)


def anything(seen: RecordedRequest) -> bool:
    return True


def elsewhere(*where: str) -> Elsewhere:
    return Elsewhere(where)


def faults(name: str) -> Elsewhere:
    return Elsewhere((f"functional/test_faults.py::{name}",))


def services(name: str) -> Elsewhere:
    return Elsewhere((f"functional/test_services.py::{name}",))


ON_SERVERS = OnServers()

GATEWAY = "unit/forwarding/"
CACHE = "unit/forwarding/cache/test_shared.py::"
GUARD = "unit/trust/test_guard.py::"
ADMISSION = "unit/trust/test_admission.py::"
SIGNING = "unit/trust/test_signing.py::"
SEALING = "unit/trust/test_sealing.py::"
LOGIN = "unit/trust/test_login.py::"
SESSIONS = "unit/trust/test_sessions.py::"
JWT = "unit/trust/test_jwt.py::"
HOSTILE = "functional/test_hostile.py::"
HERE = "vectors/test_security.py::"

ONE_HOP = (
    "Keep-Alive: timeout=5",
    "TE: trailers",
    "Trailer: X-T",
    "Proxy-Connection: keep-alive",
    "Proxy-Authenticate: Basic",
    "Proxy-Authorization: Basic eA==",
    "HTTP2-Settings: AAMAAABk",
    "Upgrade: h2c",
)
ONE_HOP_NAMES = [each.partition(":")[0] for each in ONE_HOP]
MANY = "&".join(f"p{n}={n}" for n in range(10_001))
RANGES = "bytes=" + ",".join(f"{n}-" for n in range(1000))
REJECT = {"override.on_invalid": "reject"}
OURS = {"allowed_hosts": "a *.example.com"}

#: All of them, once.
TABLE: list[tuple[str, list[Try | Elsewhere | OnServers]]] = [
    # -- framing: where a body ends
    ("FRAMING-01", [ON_SERVERS, elsewhere(GUARD + "test_both_framings_are_refused")]),
    ("FRAMING-03", [ON_SERVERS, elsewhere(GUARD + "test_other_codings_are_refused")]),
    (
        "FRAMING-04",
        [ON_SERVERS, elsewhere(GUARD + "test_http_1_0_has_no_transfer_coding")],
    ),
    ("FRAMING-05", [ON_SERVERS]),
    ("FRAMING-06", [ON_SERVERS, elsewhere(GUARD + "test_lengths_that_are_none")]),
    ("FRAMING-07", [ON_SERVERS]),
    ("FRAMING-08", [ON_SERVERS]),
    ("FRAMING-09", [ON_SERVERS]),
    ("FRAMING-10", [ON_SERVERS]),
    ("FRAMING-11", [ON_SERVERS]),
    ("FRAMING-13", [ON_SERVERS]),
    ("FRAMING-14", [ON_SERVERS]),
    (
        "FRAMING-15",
        [
            Try(get(method=method, body="hello"), 200, content(method, b"hello"))
            for method in ("GET", "HEAD", "DELETE", "OPTIONS")
        ],
    ),
    (
        "FRAMING-17",
        [
            Try(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            Try(get(method="PRI"), 400),
            ON_SERVERS,
            elsewhere(GUARD + "test_versions_that_are_not"),
        ],
    ),
    # -- target: whom a request is for
    (
        "TARGET-02",
        [
            Try(get("/x", f"Host: {host}"), 400)
            for host in ("a, b", "a\r\nHost: b", "a/../b", "u@a", "a b", "a:x", "")
        ]
        + [Try(b"GET /x HTTP/1.1\r\n\r\n", 400), ON_SERVERS],
    ),
    (
        "TARGET-03",
        [
            Try(get("http://b/x"), 200, has(X_Forwarded_Host="b")),
            Try(get("http://evil/x"), 421, settings=OURS),
            Try(get("http://a/x", "Host: evil"), 200, anything, settings=OURS),
            Try(get("http://u@a/x"), 400),
            ON_SERVERS,
        ],
    ),
    (
        "TARGET-04",
        [
            Try(get("evil:443", method="CONNECT"), 501),
            Try(get("/x", "Authorization: x", method="TRACE"), 501),
            ON_SERVERS,
        ],
    ),
    (
        "TARGET-05",
        [
            Try(get("/x", "Host: evil"), 421, settings=OURS),
            Try(get("/x", "Host: a:80"), 200, anything, settings=OURS),
            Try(get("/x", "Host: b.example.com"), 200, anything, settings=OURS),
            Try(get("/x", "Host: bexample.com"), 421, settings=OURS),
        ],
    ),
    (
        "TARGET-06",
        [
            Try(get("*", method="OPTIONS"), 404),
            Try(get("*"), 400),
            Try(get("x/y"), 400),
            ON_SERVERS,
        ],
    ),
    # -- path and query
    (
        "PATH-01",
        [
            Try(get(path), 400)
            for path in (
                "/a/../../etc",
                "/a/%2e%2e/etc",
                "/a/%2e%2e%2fetc",
                "/a/%252e%252e/etc",
                "/a/..;/x",
                "/a\\..\\b",
                "/a%5c..%5cb",
            )
        ],
    ),
    ("PATH-02", [elsewhere(HERE + "test_path_02_the_destination_is_configured")]),
    ("PATH-03", [Try(get("/a%2Fb%2fc"), 200, target("/a%2Fb%2fc"))]),
    (
        "PATH-05",
        [
            Try(get("/%ff"), 400),
            Try(get("/%0d%0aX:1"), 400),
            Try(get("/%00"), 400),
            Try(get("/x?a=%ff"), 200, target("/x?a=%ff")),
            elsewhere("unit/test_problems.py::test_what_is_not_utf_8_is_400"),
        ],
    ),
    (
        "PATH-06",
        [
            elsewhere(
                HERE + "test_path_06_only_extensions_that_are_offered_count",
                "unit/routing/test_mapper.py"
                "::test_only_routes_whose_views_offer_it_lose_an_extension",
            )
        ],
    ),
    ("PATH-07", [elsewhere(HERE + "test_path_07_there_is_no_jsonp")]),
    (
        "QUERY-01",
        [
            Try(get(f"/x?{query}"), 200, target(f"/x?{query}"))
            for query in ("a=1&a=2", "a=1;b=2", "&&=&a", "a=%ff", "a=%zz")
        ],
    ),
    (
        "QUERY-02",
        [
            Try(get(f"/x?{MANY}"), 414),
            Try(
                get(f"/x?{MANY}"),
                200,
                target(f"/x?{MANY}"),
                {"max_target_bytes": "200000"},
            ),
        ],
    ),
    (
        "QUERY-03",
        [
            Try(get("/" + "a" * 200_000), 414),
            Try(get("/x", *(f"X-{n}: 1" for n in range(5000))), 431),
            Try(get("/x", "X-A: " + "a" * 300_000), 431),
            Try(get("/x", "X-A: " + "a" * 66_000), 431),
            ON_SERVERS,
        ],
    ),
    # -- headers
    (
        "HEADERS-01",
        [
            Try(
                get(
                    "/x",
                    "Connection: close, X-Forwarded-For, X-User-Id, Authorization",
                    "X-Forwarded-For: 6.6.6.6",
                    "X-User-Id: 1",
                    "Authorization: x",
                ),
                200,
                has(X_Forwarded_For="127.0.0.1", X_User_Id=None, Authorization=None),
            ),
            elsewhere("gateway.json::H03"),
        ],
    ),
    (
        "HEADERS-02",
        [
            Try(
                get("/x", "Connection:", "Connection: X-A", "X-A: 1", "X-B: 1"),
                200,
                has(X_A=None, X_B="1"),
            )
        ],
    ),
    (
        "HEADERS-03",
        [
            Try(
                get("/x", *ONE_HOP),
                200,
                has(**{name.replace("-", "_"): None for name in ONE_HOP_NAMES}),
                answer=Answer(
                    headers=[tuple(each.split(": ")) for each in ONE_HOP], body=b"ok"
                ),
                told=lambda reply: not {*ONE_HOP_NAMES} & {n for n, _ in reply.headers},
            ),
            elsewhere(GATEWAY + "test_fields.py::test_hop_by_hop_never_crosses"),
        ],
    ),
    (
        "HEADERS-04",
        [
            Try(
                get("/x", "X-User-Id: 1", "X-Forwarded-Proto: https"),
                200,
                has(X_User_Id=None, X_Forwarded_Proto="http"),
                route={"identity_headers": ["X-User-Id"]},
            ),
            elsewhere("gateway.json::H12", "gateway.json::H13", "gateway.json::H21"),
            ON_SERVERS,
        ],
    ),
    (
        "HEADERS-06",
        [
            Try(
                get("/x", "X-Forwarded-For: 6.6.6.6, 10.0.0.1", "X-Real-IP: 6.6.6.6"),
                200,
                has(X_Forwarded_For="127.0.0.1", X_Real_IP=None),
            ),
            elsewhere("gateway.json::S17", "gateway.json::H20"),
        ],
    ),
    (
        "HEADERS-07",
        [
            Try(
                get(
                    "/x",
                    "X-Forwarded-Uri: /y",
                    "X-Original-URL: /y",
                    "X-Rewrite-URL: /y",
                ),
                200,
                # what the backend believes of its clients is not for us to know
                target("/x"),
            ),
            elsewhere("gateway.json::S18"),
        ],
    ),
    (
        "HEADERS-09",
        [
            elsewhere(
                GATEWAY + "wire/test_request.py"
                "::test_what_could_be_read_as_two_lines_is_refused",
                GATEWAY + "wire/test_request.py::test_no_line_break_ever_leaves",
                GATEWAY + "test_fields.py::test_a_hook_cannot_break_the_line",
            )
        ],
    ),
    (
        "HEADERS-10",
        [
            Try(get(method="FOO BAR"), 400),
            Try(get(method="G(T"), 400),
            Try(override("_method=FOO+BAR"), 400, settings=REJECT),
            Try(override("_method=PUT%0d%0aX"), 400, settings=REJECT),
            Try(override("_method=PUT%0d%0aX"), 200, lambda s: s.method == "POST"),
            elsewhere(
                GATEWAY + "wire/test_request.py"
                "::test_what_could_be_read_as_two_lines_is_refused"
            ),
        ],
    ),
    (
        "HEADERS-11",
        [
            elsewhere(
                GATEWAY + "wire/test_request.py"
                "::test_what_could_be_read_as_two_lines_is_refused"
            )
        ],
    ),
    (
        "HEADERS-12",
        [
            Try(
                get("/x", f"Range: {RANGES}", 'If-Range: "other"'),
                200,
                has(Range=RANGES, If_Range='"other"'),
            ),
            elsewhere(CACHE + "test_what_is_not_keyed_bypasses_the_cache_cache_02"),
        ],
    ),
    (
        "HEADERS-13",
        [
            elsewhere(
                "unit/test_negotiation.py::test_the_cost_of_a_header_is_bounded",
                "unit/test_negotiation.py::test_no_header_makes_it_raise",
            )
        ],
    ),
    # -- override
    (
        "OVERRIDE-02",
        [
            elsewhere(
                "unit/routing/test_override.py"
                "::test_a_huge_form_is_looked_at_up_to_the_limit",
                "unit/routing/test_override.py::test_nothing_is_read_of_what_is_no_form",
                "unit/routing/test_override.py::test_the_bytes_stay_readable",
                "gateway.json::B10",
            )
        ],
    ),
    (
        "OVERRIDE-03",
        [
            Try(sent, 400, settings=REJECT)
            for sent in (
                override("_method=TRACE"),
                override("_method=CONNECT"),
                override("_method=GET"),
                override("_method=PUT&_method=DELETE"),
                override("_method=PUT", "X-HTTP-Method-Override: DELETE"),
            )
        ]
        # names of methods are read in any case, as HTML forms write them
        + [Try(override("_method=put"), 200, lambda s: s.method == "PUT")],
    ),
    (
        "OVERRIDE-04",
        [
            elsewhere(
                "unit/trust/test_canonical.py"
                "::test_the_method_is_the_one_on_the_request_line",
                HOSTILE + "test_what_is_not_signed_does_not_change_the_method",
                ADMISSION + "test_a_signed_post_becomes_no_delete_by_an_unsigned_field",
                ADMISSION + "test_text_that_is_signed_becomes_no_form",
            )
        ],
    ),
    # -- who asks
    (
        "AUTH-01",
        [
            elsewhere(
                "unit/trust/test_api_keys.py::test_no_key_is_401",
                "unit/trust/test_api_keys.py"
                "::test_whatever_is_presented_is_refused_and_nothing_else",
                "unit/trust/test_api_keys.py::test_what_a_store_finds_is_compared",
                "unit/trust/test_admission.py"
                "::test_the_backend_gets_the_gateways_key_and_not_the_clients",
            )
        ],
    ),
    (
        "AUTH-04",
        [
            elsewhere(
                "unit/trust/test_validators.py::test_a_validator_that_fails",
                "unit/trust/test_validators.py::test_a_backend_that_does_not_say",
                "unit/trust/test_tokens.py::test_where_nobody_can_tell",
            )
        ],
    ),
    (
        "AUTH-05",
        [
            elsewhere(
                "unit/trust/test_validators.py::test_nothing_is_good_after_its_end",
                "unit/trust/test_validators.py::test_a_token_that_is_taken_back",
                "unit/trust/test_validators.py::test_processes_share_it",
            )
        ],
    ),
    (
        "AUTH-07",
        [
            elsewhere(
                LOGIN + "test_an_id_that_was_chosen_by_somebody_else",
                LOGIN + "test_the_id_changes_at_each_login_and_the_old_one_ends",
                LOGIN + "test_the_cookie_over_https",
            )
        ],
    ),
    (
        "AUTH-08",
        [
            elsewhere(
                LOGIN + "test_a_cookie_that_is_not_ours",
                SESSIONS + "test_what_somebody_else_put_there",
            )
        ],
    ),
    (
        "AUTH-09",
        [
            elsewhere(
                LOGIN + "test_an_account_is_not_tried_too_often",
                LOGIN + "test_whose_attempts_are_counted",
            )
        ],
    ),
    (
        "AUTH-10",
        [
            elsewhere(
                LOGIN + "test_where_to_go_afterwards",
                LOGIN + "test_nowhere_else",
            )
        ],
    ),
    (
        "AUTH-11",
        [
            elsewhere(
                JWT + "test_no_algorithm",
                JWT + "test_a_public_key_as_a_shared_secret",
                JWT + "test_a_critical_header",
                JWT + "test_claims_that_are_not_good",
                JWT + "test_a_key_id_is_only_compared",
            )
        ],
    ),
    (
        "AUTH-12",
        [
            elsewhere(
                JWT + "test_an_encrypted_token",
            )
        ],
    ),
    # -- signed requests and sealed parameters
    (
        "HMAC-01",
        [
            elsewhere(
                SIGNING + "test_an_altered_body_is_refused",
                SIGNING + "test_a_request_for_something_else_is_refused",
                SIGNING + "test_another_media_type_is_refused_and_the_order_is_free",
                SIGNING + "test_a_date_outside_the_window_is_refused",
                HOSTILE + "test_what_is_not_signed_does_not_change_the_method",
                "gateway.json::S13",
            )
        ],
    ),
    (
        "HMAC-02",
        [
            elsewhere(
                SIGNING + "test_the_same_request_twice_is_refused",
                "unit/trust/test_store.py::test_one_of_many_threads_adds",
                "unit/trust/test_store.py::test_of_eight_processes_one_adds_a_nonce",
            )
        ],
    ),
    (
        "HMAC-03",
        [
            elsewhere(
                SIGNING + "test_a_date_outside_the_window_is_refused",
                SIGNING + "test_without_the_store_nobody_passes",
                "unit/trust/test_memory_store.py"
                "::test_what_was_added_is_not_pushed_out",
                "unit/trust/test_redis_store.py"
                "::test_a_full_redis_takes_nothing_more_and_logs_nobody_out",
            )
        ],
    ),
    (
        "HMAC-06",
        [
            elsewhere(
                SIGNING + "test_a_body_over_the_limit_is_not_read",
                "unit/trust/test_digests.py::test_an_endless_body_is_stopped",
            )
        ],
    ),
    (
        "HMAC-07",
        [
            elsewhere(
                SIGNING + "test_old_and_new_key_are_good_together",
                "unit/trust/test_keys.py"
                "::test_all_valid_keys_verify_and_the_newest_signs",
            )
        ],
    ),
    ("HMAC-08", [elsewhere(HERE + "test_hmac_08_macs_are_compared_in_constant_time")]),
    ("SERIALISED-01", [services("test_serialised_01_pickles_are_for_those_who_sign")]),
    ("SERIALISED-02", [services("test_serialised_02_opcodes")]),
    ("SERIALISED-04", [services("test_serialised_04_lengths_that_are_not_there")]),
    ("SERIALISED-05", [services("test_serialised_05_json_that_is_not_strict")]),
    ("SERIALISED-06", [services("test_serialised_06_there_is_no_xml")]),
    ("SERIALISED-07", [services("test_serialised_07_there_is_no_yaml")]),
    ("SERIALISED-08", [services("test_serialised_08_keys_that_collide")]),
    ("SERIALISED-10", [services("test_serialised_10_bodies_are_not_inflated")]),
    ("SERIALISED-11", [services("test_serialised_11_errors_have_one_shape")]),
    (
        "SERIALISED-13",
        [
            services("test_serialised_13_there_is_no_template"),
            elsewhere(
                "unit/renderers/test_pdf.py::test_nothing_is_fetched_from_the_network",
                "unit/renderers/test_pdf.py::test_nothing_is_read_from_the_file_system",
            ),
        ],
    ),
    (
        "URLPARAMS-02",
        [
            elsewhere(
                SEALING + "test_a_token_is_for_one_route_and_one_user",
                SEALING + "test_a_token_is_good_up_to_its_last_second",
            )
        ],
    ),
    (
        "URLPARAMS-03",
        [
            elsewhere(
                "unit/trust/test_sealed.py::test_two_of_them_are_none",
                "unit/trust/test_sealed.py"
                "::test_a_sealed_parameter_is_not_there_in_the_clear_as_well",
                HOSTILE + "test_a_sealed_parameter_is_not_given_in_the_clear_as_well",
            )
        ],
    ),
    ("URLPARAMS-04", [elsewhere(SEALING + "test_old_keys_open_and_the_newest_seals")]),
    # -- backends
    ("BACKEND-02", [faults("test_backend_02_tls_is_never_downgraded")]),
    (
        "BACKEND-03",
        [
            faults("test_a_failure_is_told"),
            faults("test_backend_03_and_not_twice"),
        ],
    ),
    ("BACKEND-04", [faults("test_a_failure_is_told")]),
    ("BACKEND-06", [faults("test_a_failure_is_told")]),
    ("BACKEND-08", [faults("test_a_poisoned_connection_is_not_reused")]),
    ("BACKEND-09", [faults("test_a_poisoned_connection_is_not_reused")]),
    ("BACKEND-10", [faults("test_a_failure_is_told")]),
    ("BACKEND-11", [faults("test_a_failure_is_told")]),
    ("BACKEND-13", [faults("test_a_flood_is_cut_off")]),
    ("BACKEND-14", [faults("test_a_flood_is_cut_off")]),
    ("BACKEND-15", [faults("test_a_failure_is_told")]),
    ("BACKEND-16", [faults("test_a_failure_is_told")]),
    ("BACKEND-19", [faults("test_a_failure_is_told")]),
    ("BACKEND-20", [faults("test_a_poisoned_connection_is_not_reused")]),
    (
        "BACKEND-21",
        [faults("test_backend_21_a_post_is_not_repeated_unless_it_has_a_key")],
    ),
    ("BACKEND-22", [faults("test_backend_22_contents_are_passed_as_they_are")]),
    ("BACKEND-24", [faults("test_backend_24_cookies_stay_apart_and_are_not_kept")]),
    ("BACKEND-25", [faults("test_backend_25_the_environment_is_not_asked")]),
    ("BACKEND-26", [faults("test_backend_26_the_proxy_field_is_dropped")]),
    (
        "BACKEND-27",
        [faults("test_backend_27_an_answer_without_a_length_ends_with_its_connection")],
    ),
    (
        "BACKEND-28",
        [
            faults("test_backend_28_a_download_of_any_size_takes_no_memory"),
            faults("test_backend_28_an_upload_of_any_size_takes_no_memory"),
        ],
    ),
    # -- clients, stores, bad days
    (
        "CLIENT-01",
        [
            elsewhere(
                "functional/test_forwarding.py"
                "::test_a_client_that_leaves_ends_the_work_of_the_backend",
                "functional/test_forwarding.py"
                "::test_clients_that_abort_leave_nothing_behind",
            )
        ],
    ),
    ("CLIENT-02", [elsewhere("functional/test_servers.py::test_slow_heads")]),
    (
        "CLIENT-04",
        [
            elsewhere(
                "functional/test_servers.py"
                "::test_clients_that_leave_at_once_stop_nobody"
            )
        ],
    ),
    ("CACHE-01", [elsewhere(CACHE + "test_not_stored_cache_01")]),
    (
        "CACHE-02",
        [elsewhere(CACHE + "test_what_is_not_keyed_bypasses_the_cache_cache_02")],
    ),
    (
        "CACHE-03",
        [elsewhere(CACHE + "test_names_do_not_make_answers_cacheable_cache_03")],
    ),
    (
        "CACHE-04",
        [
            elsewhere(
                CACHE + "test_a_hundred_misses_are_one_request_cache_04",
                CACHE + "test_a_failing_leader_frees_the_others_cache_04",
            )
        ],
    ),
    (
        "CACHE-05",
        [
            elsewhere(
                GATEWAY + "cache/test_entry.py"
                "::test_cut_or_changed_bytes_are_a_miss_cache_05",
                GATEWAY + "cache/test_entry.py::test_a_pickle_is_a_miss_cache_05",
            )
        ],
    ),
    (
        "STORE-02",
        [elsewhere("unit/trust/test_limits.py::test_processes_share_a_limit_exactly")],
    ),
    (
        "STORE-03",
        [
            elsewhere(
                "unit/trust/test_limits.py"
                "::test_a_flood_of_clients_does_not_fill_the_memory",
                GATEWAY + "cache/test_store.py"
                "::test_a_flood_of_keys_stays_bounded_store_03",
            )
        ],
    ),
    (
        "STORE-04",
        [
            elsewhere(
                CACHE + "test_a_clock_that_is_turned_back"
                "_makes_no_answer_young_store_04",
                "unit/trust/test_store.py::test_the_end_of_its_time",
            )
        ],
    ),
    (
        "RESILIENCE-01",
        [
            elsewhere(
                GATEWAY + "test_attempts.py::test_an_open_circuit_answers_at_once",
                GATEWAY + "test_health.py::test_one_probe_after_the_cool_down",
                "gateway.json::E18",
            ),
            faults("test_resilience_01_a_circuit_opens_and_one_request_tries_it"),
        ],
    ),
    (
        "RESILIENCE-02",
        [
            elsewhere(
                GATEWAY
                + "test_load.py::test_retries_are_a_share_of_requests_and_a_reserve"
            ),
            faults("test_resilience_02_retries_are_a_share_of_the_requests"),
        ],
    ),
    (
        "RESILIENCE-03",
        [
            elsewhere(
                GATEWAY + "test_attempts.py"
                "::test_what_was_sent_is_sent_to_another_only_where_that_does_no_harm"
            )
        ],
    ),
    (
        "RESILIENCE-04",
        [elsewhere("functional/test_operation.py::test_sigterm_breaks_nothing")],
    ),
    (
        "RESILIENCE-05",
        [
            elsewhere(
                "functional/test_servers.py::test_a_worker_that_is_killed_is_replaced",
                "functional/test_operation.py"
                "::test_resilience_05_a_killed_worker_takes_only_its_own_requests_along",
                "functional/test_operation.py"
                "::test_resilience_05_a_reload_is_the_old_or_the_new_configuration",
            )
        ],
    ),
    # -- what goes out
    (
        "OUTPUT-01",
        [
            elsewhere(
                "gateway.json::R47",
                HERE + "test_output_01_an_error_of_the_backend_can_be_hidden",
                "unit/test_problems.py"
                "::test_an_unexpected_error_tells_nothing_and_is_logged",
            )
        ],
    ),
    ("OUTPUT-02", [elsewhere("unit/operation/test_metrics.py::test_what_is_counted")]),
    (
        "OUTPUT-04",
        [
            faults("test_backend_22_what_is_rewritten_is_limited"),
            elsewhere(
                GATEWAY + "test_contents.py::test_html_elements_are_taken_out",
                GATEWAY + "test_contents.py"
                "::test_a_compressed_or_huge_body_is_not_filtered_but_an_error",
            ),
        ],
    ),
    ("OUTPUT-05", [Try(get("/" + "a" * 100_000), 414)]),
]


# -- running what is bytes ---------------------------------------------------------


def application(backend: str, settings: Mapping[str, str], route: Mapping[str, Any]):
    given = {f"restproxy.{name}": value for name, value in settings.items()}
    with Configurator(settings=given) as config:
        config.include("pyramid_restproxy")
        config.include("pyramid_restproxy.trust.guard")
        config.add_backend("b", backend)
        config.add_proxy_route("b", "/*path", "b", **route)
        return config.make_wsgi_app()


TRIES = [
    pytest.param(how, id=f"{vector} {number}")
    for vector, hows in TABLE
    for number, how in enumerate(hows, 1)
    if isinstance(how, Try)
]


#: The settings and route options that are tried.
CASES: list[tuple[Mapping[str, str], Mapping[str, Any]]] = [({}, {})]
for _each in TRIES:
    _case = (_each.values[0].settings, _each.values[0].route)
    CASES += [] if _case in CASES else [_case]

#: What gunicorn serves: an application for each case, on a port of its own.
BY_PORT = """
import os
from tests.vectors.test_security import CASES, application

ports = os.environ["PORTS"].split(",")
backend = os.environ["BACKEND"]
made = {
    port: application(backend, *case) for port, case in zip(ports, CASES, strict=True)
}

def app(environ, start_response):
    return made[environ["SERVER_PORT"]](environ, start_response)
"""


class Steps:
    """What the backend of all cases answers, and what it is asked."""

    def __init__(self):
        self.answer = Answer(body=b"ok")

    def __call__(self, request):
        return self.answer


@contextlib.contextmanager
def on_waitress(folder):
    """Serve with waitress in this process; give the backend, and how to find a case."""
    steps = Steps()
    with FakeBackend(steps) as backend, contextlib.ExitStack() as stack:

        @functools.cache
        def authority(number):
            made = application(backend.url, *CASES[number])
            return stack.enter_context(wire.served(made))

        yield steps, backend, authority


@contextlib.contextmanager
def on_gunicorn(folder):
    """Serve with one process of gunicorn, which listens once for each case."""
    steps, ports = Steps(), [str(free_port()) for _ in CASES]
    listening = [word for port in ports for word in ("-b", f"127.0.0.1:{port}")]
    environment = {"PORTS": ",".join(ports), "PYTHONPATH": str(ROOT)}
    with (
        FakeBackend(steps) as backend,
        serving(
            "gunicorn",
            folder,
            backend.url,
            *listening,
            application=BY_PORT,
            **environment,
        ),
    ):
        yield steps, backend, lambda number: f"127.0.0.1:{ports[number]}"


@pytest.fixture(scope="module", params=[on_waitress, on_gunicorn])
def served(request, tmp_path_factory):
    """A server: its name, the backend and its steps, and how to find a case."""
    name = request.param.__name__.removeprefix("on_")
    with request.param(tmp_path_factory.mktemp(name)) as found:
        yield name, *found


#: What gunicorn refuses by itself though the gateway would not: its answer, by vector
#: and number of the try. Only the server can change that.
ON_GUNICORN = {
    "QUERY-02 2": 414,  # --limit-request-line is 4094 bytes, and 8190 at most
}


@pytest.mark.parametrize("how", TRIES)
def test_security_vector(how, served, request):
    name, steps, backend, authority = served
    steps.answer = how.answer
    own = authority(CASES.index((how.settings, how.route)))
    before = len(backend.requests)
    reply = wire.exchange(own, how.sent, how.sent.split(b" ")[0].decode())
    vector = request.node.callspec.id.removeprefix(f"on_{name}-")
    if name == "gunicorn" and vector in ON_GUNICORN:
        how = Try(how.sent, ON_GUNICORN[vector])
    assert reply.status == how.status
    assert how.told(reply)
    if how.passed is None:
        assert backend.requests[before:] == []
    else:
        (seen,) = backend.requests[before:]
        assert seen.header("Host") == backend.url.removeprefix("http://")
        assert how.passed(seen)


@pytest.mark.parametrize(
    "sent", ["//evil/x", "///evil", "/@evil", "/%2f%2fevil", "http://evil/x", "/\\evil"]
)
def test_path_02_the_destination_is_configured(sent, served):
    _, steps, backend, authority = served
    steps.answer = Answer(body=b"ok")
    before = len(backend.requests)
    assert wire.exchange(authority(0), get(sent)).status in (200, 400)
    for seen in backend.requests[before:]:
        assert seen.target.startswith("/")
        assert seen.header("Host") == backend.url.removeprefix("http://")


@functools.cache
def posts():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_route("post", "/post/{id}")
        config.add_view(
            lambda request: {"id": request.matchdict["id"]},
            route_name="post",
            allowed_methods="GET",
            renderer="negotiated",
        )
        return config.make_wsgi_app()


@pytest.mark.parametrize(
    ("path", "identifier"),
    [
        ("/post/1.json", "1"),
        ("/post/1.json;.html", "1.json;.html"),
        ("/post/1.JSON", "1.JSON"),
        ("/post/setup.bat", "setup.bat"),
        ("/setup.bat", None),
    ],
)
def test_path_06_only_extensions_that_are_offered_count(path, identifier):
    with wire.served(posts()) as own:
        reply = wire.exchange(own, get(path))
    if identifier is None:
        assert reply.status == 404
    else:
        assert json.loads(reply.body) == {"id": identifier}
        assert reply.get("Content-Type") == "application/json"
    assert reply.get("X-Content-Type-Options") == "nosniff"


def test_path_07_there_is_no_jsonp():
    with wire.served(posts()) as own:
        reply = wire.exchange(own, get("/post/1.json?callback=alert(1)//"))
    assert json.loads(reply.body) == {"id": "1"}


def test_hmac_08_macs_are_compared_in_constant_time():
    """Every module that makes a MAC or a digest of a secret to compare it does so."""
    package = ROOT / "pyramid_restproxy"
    comparing = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "hmac.compare_digest(" in path.read_text("utf-8")
    }
    assert comparing >= {
        "forwarding/affinity.py",
        "forwarding/cache/entry.py",
        "trust/api_keys.py",
        "trust/digests.py",
        "trust/profiles.py",
    }
    assert compared_plainly(package) == []


def compared_plainly(package: pathlib.Path) -> list[str]:
    """Return where the digest of a MAC is compared with ``==`` or ``!=``."""
    return [
        f"{path.name}:{node.lineno}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Compare)
        and any(isinstance(each, (ast.Eq, ast.NotEq)) for each in node.ops)
        and any(is_mac(each) for each in (node.left, *node.comparators))
    ]


def is_mac(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("digest", "hexdigest")
    )


def test_output_01_an_error_of_the_backend_can_be_hidden():
    trace = Answer(
        500, [("Server", "S/1"), ("X-Powered-By", "P/1")], b"Traceback (most recent"
    )
    route = {"response_transforms": [remove_response_headers("Server", "X-Powered-By")]}
    with (
        FakeBackend(trace) as backend,
        wire.served(application(backend.url, {}, route)) as own,
    ):
        reply = wire.exchange(own, get())
    assert reply.status == 500
    assert reply.get("X-Powered-By") is None
    assert "S/1" not in (reply.get("Server") or "")
    # The body is the backend's: a gateway hands errors on (gateway.json R23).
    assert reply.body.startswith(b"Traceback")


# -- the table itself --------------------------------------------------------------


#: What a vector is made of, which is for people: how it is run is in the table.
PARTS = """id area layer input_or_fault required_outcome source
observed_here""".split()


def vectors_of(folder: pathlib.Path) -> frozenset[str]:
    """Return the ids of the vectors of a folder.

    :raises ValueError: for what is not known there.
    """
    path = folder / "security.json"
    whole = json.loads(path.read_text("utf-8"))
    check_keys(whole, ["version", "count", "note", "vectors"], str(path))
    found = load_vectors(path)
    if (whole["version"], whole["count"]) != (1, len(found)):
        raise ValueError(f"{path}: not version 1, or not {whole['count']} vectors")
    for each in found:
        check_keys(each, PARTS, each["id"])
    return frozenset(each["id"] for each in found)


def test_every_vector_is_in_the_table_once(request):
    known = [vector for vector, _ in TABLE]
    assert len(known) == len(set(known))
    assert vectors_of(DATA) == set(known)
    given = vectors_of(pathlib.Path(request.config.getoption("--vectors")))
    assert given - set(known) == set(), "these are not tested"
    assert all(hows for _, hows in TABLE)


@functools.cache
def functions(path: str) -> frozenset[str]:
    """Return the names of the functions of a file of tests."""
    tree = ast.parse((ROOT / "tests" / path).read_text("utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
    )


@functools.cache
def gateway_vectors() -> frozenset[str]:
    found = json.loads((DATA / "gateway.json").read_text("utf-8"))
    listed = found if isinstance(found, list) else found["vectors"]
    return frozenset(each["id"] for each in listed) - frozenset(GATEWAY_NOT_YET)


POINTERS = [
    pytest.param(vector, where, id=f"{vector} {where.rpartition('::')[2]}")
    for vector, hows in TABLE
    for how in hows
    if isinstance(how, Elsewhere)
    for where in how.where
]


@pytest.mark.parametrize(("vector", "where"), POINTERS)
def test_what_is_tested_elsewhere_is_there(vector, where):
    path, _, name = where.partition("::")
    if path == "gateway.json":
        assert name in gateway_vectors()
        return
    assert name in functions(path)
    if vector.startswith("BACKEND-"):
        text = (ROOT / "tests" / path).read_text("utf-8")
        assert vector in text or vector.lower().replace("-", "_") in name


def test_what_depends_on_the_server_is_run_on_servers():
    claimed = {vector for vector, hows in TABLE if ON_SERVERS in hows}
    known = {vector for vector, _ in TABLE}
    assert claimed == {row.vector for row in ROWS} & known
