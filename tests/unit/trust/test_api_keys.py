"""API keys: made, kept, looked up, checked."""

from __future__ import annotations

import hashlib
import logging
import sys

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.trust.api_keys import (
    ApiKey,
    MemoryKeyStore,
    SqlKeyStore,
    check,
    format_keys,
    hash_key,
    new_key,
    parse_keys,
)
from pyramid_restproxy.trust.refusals import (
    Forbidden,
    StoreUnavailable,
    Unauthenticated,
)

from .conftest import NOW

SHOWN = "rpk_mobile_app_" + "0123456789abcdef" * 4
LIMITED = "rpk_limited_" + "fedcba9876543210" * 4
HASHED = hash_key(SHOWN)
KEYS = [
    ApiKey("mobile_app", HASHED),
    ApiKey("limited", hash_key(LIMITED), ("users", "posts"), ("read",), NOW + 10.0),
]


def sql_store():
    # one connection for all: each connection to memory is a database of its own
    engine = sqlalchemy.create_engine(
        "sqlite://",
        poolclass=sqlalchemy.StaticPool,
        connect_args={"check_same_thread": False},
    )
    found = SqlKeyStore(engine)
    found.create_table()
    found.create_table()
    for key in KEYS:
        found.add(key)
    return found


@pytest.fixture(params=["memory", "sql"])
def store(request):
    if request.param == "memory":
        yield MemoryKeyStore(KEYS)
    else:
        made = sql_store()
        yield made
        made._engine.dispose()


@pytest.fixture
def sql():
    made = sql_store()
    yield made
    made._engine.dispose()


# -- making --------------------------------------------------------------------


def test_a_key_has_a_prefix_a_name_and_256_bits():
    shown, hashed = new_key("mobile_app")
    prefix, _, rest = shown.partition("_")
    name, _, random = rest.rpartition("_")
    assert (prefix, name, len(bytes.fromhex(random))) == ("rpk", "mobile_app", 32)
    assert hashed == hash_key(shown)
    assert shown != new_key("mobile_app")[0]


def test_what_is_kept_is_a_digest():
    assert HASHED == "sha256:" + hashlib.sha256(SHOWN.encode()).hexdigest()


@pytest.mark.parametrize("name", ["", "a b", "_a", "\u00e9", "a\n", "x" * 65])
def test_a_name_is_a_short_word(name):
    with pytest.raises(ConfigurationError):
        new_key(name)
    with pytest.raises(ConfigurationError):
        ApiKey(name, HASHED)


def test_a_key_in_the_place_of_its_digest_is_refused_and_not_shown():
    with pytest.raises(ConfigurationError) as caught:
        ApiKey("a", SHOWN)
    assert SHOWN not in str(caught.value)
    assert HASHED not in repr(KEYS[0])


def test_routes_and_scopes_are_words():
    with pytest.raises(ConfigurationError, match="a route or a scope"):
        ApiKey("a", HASHED, ("a b",))
    with pytest.raises(ConfigurationError, match="a route or a scope"):
        ApiKey("a", HASHED, (), ("a,b",))


# -- checking ------------------------------------------------------------------


def test_a_good_key_passes_and_its_use_is_remembered(store):
    assert store.last_used(KEYS[0]) is None
    assert check(store, SHOWN, "anything", now=NOW) == KEYS[0]
    assert store.last_used(KEYS[0]) == NOW
    found = check(store, LIMITED, "posts", ["read"], now=NOW)
    assert found == KEYS[1]


@pytest.mark.parametrize("presented", [None, ""])
def test_no_key_is_401(store, presented):
    with pytest.raises(Unauthenticated) as caught:
        check(store, presented, "posts", now=NOW)
    assert caught.value.reason == "missing"
    assert caught.value.headers["WWW-Authenticate"] == "ApiKey"


@pytest.mark.parametrize(
    "presented, route, scopes, now, reason",
    [
        ("nope", "posts", (), NOW, "unknown-key"),
        (SHOWN[:-1], "posts", (), NOW, "unknown-key"),
        (SHOWN + " ", "posts", (), NOW, "unknown-key"),
        (HASHED, "posts", (), NOW, "unknown-key"),
        ("\u00e9\ud800", "posts", (), NOW, "unknown-key"),
        ("x" * 1_000_000, "posts", (), NOW, "unknown-key"),
        (LIMITED, "posts", ("read",), NOW + 11, "expired"),
        (LIMITED, "orders", ("read",), NOW, "route"),
        (LIMITED, "posts", ("read", "write"), NOW, "scope"),
        (SHOWN, "posts", ("read",), NOW, "scope"),
    ],
)
def test_a_key_that_is_not_good_here_is_403(
    store, presented, route, scopes, now, reason
):
    with pytest.raises(Forbidden) as caught:
        check(store, presented, route, scopes, now=now)
    assert caught.value.reason == reason
    # make sure that the answer does not tell the reasons apart
    assert caught.value.detail == "The API key is not valid for this resource."
    assert store.last_used(KEYS[1]) is None


@given(st.text())
def test_whatever_is_presented_is_refused_and_nothing_else(presented):
    with pytest.raises((Unauthenticated, Forbidden)):
        check(MemoryKeyStore(KEYS), presented, "posts", now=NOW)


def test_two_keys_of_one_name_are_good_together():
    shown, hashed = new_key("mobile_app")
    store = MemoryKeyStore([KEYS[0], ApiKey("mobile_app", hashed)])
    for presented in (SHOWN, shown):
        assert check(store, presented, "posts", now=NOW).name == "mobile_app"


class Careless(MemoryKeyStore):
    """A store that finds any key."""

    def find(self, hashed):
        return KEYS[0]


class Down(MemoryKeyStore):
    """A store that cannot be reached."""

    def find(self, hashed):
        raise ConnectionRefusedError("down")


def test_what_a_store_finds_is_compared():
    with pytest.raises(Forbidden):
        check(Careless(), "nope", "posts", now=NOW)


def test_a_store_that_is_down_lets_nobody_pass(sql):
    with pytest.raises(StoreUnavailable):
        check(Down(), SHOWN, "posts", now=NOW)
    sql.table.drop(sql._engine)
    with pytest.raises(StoreUnavailable):
        check(sql, SHOWN, "posts", now=NOW)


# -- stores --------------------------------------------------------------------


def test_the_same_key_is_not_added_twice(store):
    with pytest.raises((ConfigurationError, sqlalchemy.exc.IntegrityError)) as caught:
        store.add(ApiKey("other", HASHED))
    assert SHOWN not in str(caught.value)


def test_a_removed_key_is_refused(sql):
    sql.remove(KEYS[0])
    assert sql.find(HASHED) is None
    assert sql.last_used(KEYS[0]) is None


def test_the_last_use_is_written_once_a_minute(sql):
    for seconds in (0, 59):
        sql.used(KEYS[0], NOW + seconds)
        assert sql.last_used(KEYS[0]) == NOW
    sql.used(KEYS[0], NOW + 60)
    assert sql.last_used(KEYS[0]) == NOW + 60


def test_a_use_that_cannot_be_written_is_logged(sql, caplog):
    sql.table.drop(sql._engine)
    with caplog.at_level(logging.WARNING):
        sql.used(KEYS[0], NOW)
    assert "mobile_app" in caplog.text
    assert HASHED not in caplog.text


def test_the_table_can_be_among_those_of_the_application():
    metadata = sqlalchemy.MetaData()
    engine = sqlalchemy.create_engine("sqlite://")
    SqlKeyStore(engine, "keys", metadata)
    engine.dispose()
    assert list(metadata.tables) == ["keys"]


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(MissingExtra, match=r"pyramid_restproxy\[sqlalchemy\]"):
        SqlKeyStore(None)


# -- the file ------------------------------------------------------------------


def test_keys_are_read_from_lines():
    digest = HASHED
    text = (
        "# ours\n\n"
        f"mobile {digest}  # all\r\n"
        f"other\t{digest} expires=2027-06-30T00:00:00Z scopes=a,b routes=users,\n"
        f"third {digest} expires=2027-06-30\n"
    )
    assert parse_keys(text) == [
        ApiKey("mobile", digest),
        ApiKey("other", digest, ("users",), ("a", "b"), 1814313600.0),
        ApiKey("third", digest, expires=1814313600.0),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "mobile",
        "mobile secret",
        f"mobile {HASHED} colour=red",
        f"mobile {HASHED} routes=a routes=b",
        f"mobile {HASHED} routes",
        f"mobile {HASHED} expires=soon",
        f"mobile {HASHED} expires=",
        f"mobile {HASHED} routes=",
        f"mobile {HASHED} scopes=,",
        f"mobile {HASHED.upper()}",
        f"mob:ile {HASHED}",
    ],
)
def test_a_line_that_is_none_is_named_by_its_number(line):
    with pytest.raises(ConfigurationError, match="line 2") as caught:
        parse_keys(f"\n{line}\n")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        f"{SHOWN} {HASHED}",
        f"{HASHED} mobile",
        f"s3cret {SHOWN}",
        f"mobile {SHOWN}",
        f"mobile {HASHED} expires={SHOWN}",
        f"mobile {HASHED} scopes={SHOWN}=a",
        f"mobile {HASHED} {SHOWN}",
    ],
)
def test_a_key_in_the_wrong_place_of_a_line_is_not_repeated(line):
    """The first word and what stands after expires= were."""
    with pytest.raises(ConfigurationError, match="line 1") as caught:
        parse_keys(line)
    shown = str(caught.value)
    assert not any(secret in shown for secret in (SHOWN, HASHED, "s3cret"))
    error = caught.value  # nor in a traceback
    assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize("routes", ["users, orders", "users ,\torders,"])
def test_a_row_with_blanks_between_its_routes(sql, routes):
    """It was a 500 at each request."""
    hashed = in_a_row(sql, routes=routes, scopes="read , write")
    found = ApiKey("other", hashed, ("users", "orders"), ("read", "write"))
    assert sql.find(hashed) == found


@pytest.mark.parametrize(
    "columns",
    [
        {"routes": " "},
        {"routes": ","},
        {"routes": "a b"},
        {"scopes": ",,"},
        {"expires": -5.0},
        {"expires": 1e13},
        {"name": "an\xe9"},
    ],
)
def test_a_row_that_is_no_key_is_none(sql, columns, caplog):
    """It was a 500 at each request, or, with routes of ',', good for all of them."""
    hashed = in_a_row(sql, **{"routes": "", "scopes": "", **columns})
    assert sql.find(hashed) is None
    assert "a row is no API key" in caplog.text
    assert hashed not in caplog.text


def in_a_row(sql, **columns):
    """Put a key into the table as somebody else's program does."""
    hashed = hash_key("other")
    row = {"hashed": hashed, "name": "other"} | columns
    sql._execute(sql.table.insert().values(row))
    return hashed


WORDS = st.lists(st.from_regex(r"[a-z/{}.:]+", fullmatch=True), max_size=3).map(tuple)


@given(
    st.lists(
        st.builds(
            ApiKey,
            name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
            hashed=st.text().map(hash_key),
            routes=WORDS,
            scopes=WORDS,
            expires=st.none() | st.integers(0, 4 * 10**9).map(float),
        )
    )
)
def test_keys_there_and_back(keys):
    assert parse_keys(format_keys(keys)) == keys


@given(st.text() | st.text(f"a =,#\n{HASHED[:12]}"))
def test_a_file_is_read_or_refused(text):
    try:
        parse_keys(text)
    except ConfigurationError as error:
        assert "line" in str(error)


@pytest.mark.parametrize("expires", ["2027-06-30", 1.8e12, float("nan"), True])
def test_an_end_that_is_no_time(expires):
    with pytest.raises(ConfigurationError, match="seconds since the epoch"):
        ApiKey("a", hash_key("k"), expires=expires)
