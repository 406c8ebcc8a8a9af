from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import cbor2


def test_values_come_back_and_bytes_stay_bytes(render):
    value = {"a": [1, 2.5, None, True, "é", 2**70], "b": b"\xff", 3: 4}
    assert cbor2.loads(render("cbor", value)) == value


def test_objects_become_text_without_tags(render):
    found = cbor2.loads(render("cbor", [datetime(2026, 1, 2), Decimal("1.50")]))
    assert found == ["2026-01-02T00:00:00", "1.50"]


def test_a_lone_surrogate_is_replaced(render):
    """It was a 500, and JSON of a client's can bring one."""
    found = cbor2.loads(render("cbor", {"k\udfff": ["x\ud800y", b"\xff", 1]}))
    assert found == {"k\ufffd": ["x\ufffdy", b"\xff", 1]}
