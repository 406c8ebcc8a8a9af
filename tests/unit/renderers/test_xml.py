from __future__ import annotations

from xml.etree import ElementTree

import defusedxml.ElementTree
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.markup import carriable
from pyramid_restproxy.renderers.xml import to_xml

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

DOCUMENTS = [
    (None, '<response nil="true"/>'),
    ("a<b&c>", "<response>a&lt;b&amp;c&gt;</response>"),
    (True, "<response>true</response>"),
    (False, "<response>false</response>"),
    (1.5, "<response>1.5</response>"),
    (float("nan"), "<response>NaN</response>"),
    (float("-inf"), "<response>-INF</response>"),
    (float("inf"), "<response>INF</response>"),
    ([1, None], '<response><item>1</item><item nil="true"/></response>'),
    ({"a": {"b": []}}, "<response><a><b></b></a></response>"),
    ({"größe": 1}, "<response><größe>1</größe></response>"),
    ({"a:b": 1}, '<response><entry name="a:b">1</entry></response>'),
    ({"xmlish": 1}, '<response><entry name="xmlish">1</entry></response>'),
    ({"XML": 1}, '<response><entry name="XML">1</entry></response>'),
    ({"a b": None}, '<response><entry name="a b" nil="true"/></response>'),
    ({"a\n": 1}, '<response><entry name="a&#10;">1</entry></response>'),
    ({"": 1}, '<response><entry name="">1</entry></response>'),
    ({2: 1}, '<response><entry name="2">1</entry></response>'),
    ({None: 1}, '<response><entry name="">1</entry></response>'),
    ({'"<': 1}, '<response><entry name="&quot;&lt;">1</entry></response>'),
    ("\0\ud800\r", "<response>\ufffd\ufffd&#13;</response>"),
]


@pytest.mark.parametrize(("value", "document"), DOCUMENTS)
def test_documents(value, document):
    assert to_xml(value).decode() == DECLARATION + document


def test_the_renderer_writes_objects(render):
    assert b"<item>2</item>" in render("xml", iter([1, 2]))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
KEYS = st.text() | st.from_regex(r"[a-zA-ZÀ-ÿ_.·×÷-]+", fullmatch=True)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)
)


@given(VALUES)
def test_every_document_can_be_parsed(value):
    document = to_xml(value)
    for parser in (ElementTree, defusedxml.ElementTree):
        assert parser.fromstring(document).tag == "response"


@given(st.dictionaries(st.text(), st.text()))
def test_keys_and_text_come_back(value):
    root = ElementTree.fromstring(to_xml(value))
    found = [(each.get("name", each.tag), each.text or "") for each in root]
    assert found == [(carriable(k), carriable(v)) for k, v in value.items()]
