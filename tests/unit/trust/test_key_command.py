"""prest keys."""

from __future__ import annotations

import stat

import pytest

from pyramid_restproxy import prest
from pyramid_restproxy.trust.api_keys import MemoryKeyStore, check, parse_keys


@pytest.fixture
def keys(tmp_path, capsys):
    def run(*words):
        status = prest.main(["keys", *words, "--file", str(tmp_path / "keys")])
        return status, capsys.readouterr().out

    run.path = tmp_path / "keys"
    return run


def test_a_key_is_shown_once_and_kept_as_its_digest(keys):
    status, out = keys("new", "mobile", "--route", "users", "--scope", "read")
    shown = out.strip()
    text = keys.path.read_text()
    assert status == 0
    assert shown not in text
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    store = MemoryKeyStore(parse_keys(text))
    assert check(store, shown, "users", ["read"], now=0).name == "mobile"


def test_without_a_file_the_line_to_keep_is_shown_too(capsys):
    assert prest.main(["keys", "new", "mobile", "--scope", "read"]) == 0
    shown, line = capsys.readouterr().out.splitlines()
    assert line.startswith("mobile sha256:") and shown not in line
    store = MemoryKeyStore(parse_keys(line))
    assert check(store, shown, "users", ["read"], now=0).name == "mobile"


@pytest.mark.parametrize("words", [["list"], ["revoke", "mobile"]])
def test_the_others_need_a_file(words, capsys):
    with pytest.raises(SystemExit):
        prest.main(["keys", *words])
    assert "--file" in capsys.readouterr().err


def test_listing_and_revoking(keys):
    keys.path.write_text("# ours")
    keys("new", "a")
    keys("new", "b", "--days", "30")
    keys("new", "c", "--scope", "x")
    with keys.path.open("a") as file:
        file.write(f"d sha256:{'0' * 64} expires=2001-01-01T00:00:00Z\n")
    _, out = keys("list")
    first, second, third, fourth = out.splitlines()
    assert first == "a  all routes  no scopes  no end"
    assert second.startswith("b  all routes  no scopes  until 20")
    assert third == "c  all routes  x  no end"
    assert fourth == "d  all routes  no scopes  expired 2001-01-01"
    status, out = keys("revoke", "b")
    assert status == 0 and out.startswith("revoked; a gateway that runs takes it until")
    assert [key.name for key in parse_keys(keys.path.read_text())] == ["a", "c", "d"]
    assert keys.path.read_text().startswith("# ours\n")
    status, out = keys("revoke", "b")
    assert (status, out) == (1, "there is no key of 'b'\n")


def test_listing_a_file_that_is_not_there(keys):
    assert keys("list") == (1, f"there is no file {str(keys.path)!r}\n")


def test_a_broken_file_is_left_alone(keys, capsys):
    keys.path.write_text("nonsense\n")
    with pytest.raises(SystemExit):
        keys("new", "a")
    assert "line 1" in capsys.readouterr().err
    assert keys.path.read_text() == "nonsense\n"


@pytest.mark.parametrize("days", ["nan", "inf", "1e9", "x", "0", "-3"])
def test_days_that_are_none(days, capsys):
    with pytest.raises(SystemExit) as caught:
        prest.main(["keys", "new", "a", "--days", days])
    assert caught.value.code == 2 and "--days" in capsys.readouterr().err


def test_a_file_that_is_no_text(keys, capsys):
    keys.path.write_bytes(b"\xff\xfe")
    with pytest.raises(SystemExit) as caught:
        keys("list")
    assert caught.value.code == 2
