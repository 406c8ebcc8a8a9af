"""The certificates of a backend under test; how they fail is in test_failing."""

from __future__ import annotations

import sys

import pytest

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.testing.certificates import contexts


def test_a_context_for_each_case(tmp_path):
    made = contexts(str(tmp_path / "ca.pem"))
    assert set(made) == {
        "good", "expired", "wrong-host", "self-signed", "old", "named",
    }  # fmt: skip
    assert "BEGIN CERTIFICATE" in (tmp_path / "ca.pem").read_text()
    assert made["old"].maximum_version.name == "TLSv1"
    assert made["good"].maximum_version is not made["old"].maximum_version


def test_without_trustme(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(MissingExtra, match="trustme"):
        contexts(str(tmp_path / "ca.pem"))
