"""Charsets, and where a page says in which it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.forwarding import charsets as c

CHARSETS = sorted(set(c._BY_LABEL.values()))


@pytest.mark.parametrize(
    "label, name, codec",
    [
        ("UTF-8", "utf-8", "utf-8"),
        ("utf8", "utf-8", "utf-8"),
        ("iso-8859-1", "windows-1252", "windows-1252"),
        ("ISO_8859-1:1987", "windows-1252", "windows-1252"),
        ("us-ascii", "windows-1252", "windows-1252"),
        ("latin-1", "windows-1252", "windows-1252"),
        ("iso-8859-9", "windows-1254", "windows-1254"),
        ("gb2312", "gbk", "gb18030"),
        ("x-sjis", "shift_jis", "cp932"),
        ("ks_c_5601-1987", "euc-kr", "cp949"),
        ("tis-620", "windows-874", "cp874"),
        ("utf-16", "utf-16le", "utf-16le"),
    ],
)
def test_a_label_means_what_it_means_to_browsers(label, name, codec):
    assert c.charset_with_label(label) == c.Charset(name, codec)


@pytest.mark.parametrize("label", ["", "nonsense", "utf-7", "idna", "unicode_escape"])
def test_other_labels_mean_nothing(label):
    assert c.charset_with_label(label) is None


def test_a_label_means_one_charset():
    labels = [label for text in c._LABELS.values() for label in text.split()]
    assert sorted(set(labels)) == sorted(labels)


@pytest.mark.parametrize("charset", CHARSETS, ids=lambda charset: charset.name)
def test_its_name_is_a_label_and_its_codec_is_there(charset):
    assert c.charset_with_label(charset.name) == charset
    assert charset.decode(charset.encode("<p>x</p>")) == "<p>x</p>"


@pytest.mark.parametrize("charset", CHARSETS, ids=lambda charset: charset.name)
@given(content=st.binary())
def test_all_bytes_can_be_read_and_written_again(charset, content):
    charset.decode(charset.encode(charset.decode(content)))


HTTP_EQUIV = '<meta http-equiv="Content-Type" content="text/html; charset=%s">'


@pytest.mark.parametrize(
    "head, name",
    [
        ("<meta charset=koi8-r>", "koi8-r"),
        ("<meta charset='koi8-r' />", "koi8-r"),
        ('<META  name=x\n CHARSET = " KOI8-R ">', "koi8-r"),
        ("<meta/charset=koi8-r/>", "koi8-r"),
        (HTTP_EQUIV % "koi8-r", "koi8-r"),
        ("<meta content='a; charset=\"koi8-r\"' http-equiv=CONTENT-TYPE>", "koi8-r"),
        ("<meta charset=nonsense><meta charset=koi8-r>", "koi8-r"),
        ("<meta charset=koi8-r><meta charset=koi8-u>", "koi8-r"),
        ("<meta charset=koi8-r charset=koi8-u>", "koi8-r"),
        ("<!-- <meta charset=koi8-u> --><meta charset=koi8-r>", "koi8-r"),
        ("<!--><meta charset=koi8-r>-->", "koi8-r"),
        ("<!-- <meta charset=koi8-u>", "utf-8"),
        ("<meta charset=utf-16>", "utf-8"),
        ("<meta charset=x-user-defined>", "windows-1252"),
        ('<?xml version="1.0" encoding="koi8-r"?>', "koi8-r"),
        ('<?xml version="1.0" encoding="koi8-u"?><meta charset=koi8-r>', "koi8-r"),
        ("<meta name=keywords content='charset=koi8-r'>", "utf-8"),
        ("<meta http-equiv=content-type content=text/html>", "utf-8"),
        ("<metadata charset=koi8-r>", "utf-8"),
        ("<meta charset=koi8-r", "utf-8"),
        ("<meta charset>", "utf-8"),
        ("\xe9", "windows-1252"),
        ("", "utf-8"),
    ],
)
def test_a_page_says_its_charset(head, name):
    assert c.charset_of_page(head.encode("latin-1"), "").name == name


def test_a_page_says_it_in_its_first_bytes():
    meta = b"<meta charset=koi8-r>"
    assert c.charset_of_page(b" " * (c.HEAD - len(meta)) + meta, "").name == "koi8-r"
    assert c.charset_of_page(b" " * c.HEAD + meta, "").name == "utf-8"


def test_the_mark_goes_before_the_label_and_the_label_before_the_page():
    page = b"<meta charset=koi8-r>"
    assert c.charset_of_page(page, "windows-1251").name == "windows-1251"
    assert c.charset_of_page(page, "nonsense").name == "koi8-r"
    assert c.charset_of_page(b"\xef\xbb\xbf" + page, "windows-1251").name == "utf-8"
    assert c.charset_of_page(b"\xff\xfex\0", "utf-8").name == "utf-16le"
    assert c.charset_of_page(b"\xfe\xff\0x", "").name == "utf-16be"


def test_what_is_not_in_a_charset_is_written_as_a_reference():
    charset = c.charset_with_label("koi8-r")
    assert charset.encode("мир €") == b"\xcd\xc9\xd2 &#8364;"


def test_no_character_of_a_page_switches_the_meaning_of_bytes():
    charset = c.charset_with_label("iso-2022-jp")
    assert charset.encode("a\x1b$B\x0eb") == b"a&#65533;$B&#65533;b"
    assert charset.decode(charset.encode("日本 é")) == "日本 &#233;"


@pytest.mark.parametrize(
    "content, label, text",
    [
        ("hé".encode("utf-16-le"), "utf-16", "hé"),
        (b"\xff\xfe" + "hé".encode("utf-16-le"), "utf-16", "hé"),
        (b"\xfe\xff" + "hé".encode("utf-16-be"), "utf-16", "hé"),
        (b"\xef\xbb\xbfh", "koi8-r", "h"),
        (b"\x80", "iso-8859-1", "€"),
    ],
)
def test_the_mark_of_a_text_says_its_charset_and_is_no_part_of_it(content, label, text):
    assert c.decoded(content, label) == text


@pytest.mark.parametrize(
    "content, label", [(b"x", "nonsense"), (b"x", "iso-2022-kr"), (b"\xff", "utf-8")]
)
def test_what_is_no_text_is_not_decoded(content, label):
    with pytest.raises(ValueError):
        c.decoded(content, label)
