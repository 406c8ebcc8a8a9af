"""Charsets: in which one a content is written, as browsers find it out.

The labels are those of the WHATWG Encoding Standard, each letter and digit of them;
where to look for them in a page is what its HTML Standard says. Which content is read,
and what becomes of it, is decided elsewhere. Imports nothing of ours.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["UTF_8", "Charset", "charset_of_page", "charset_with_label", "decoded"]

#: How far into a page its ``<meta>`` is looked for, bytes.
HEAD = 1024

#: Names of the standard, and the labels that mean them, without what is no letter or
#: digit: iso-8859-1 is windows-1252 to browsers.
_LABELS = {
    "utf-8": "utf8 unicode11utf8 unicode20utf8 xunicode20utf8",
    "ibm866": "ibm866 866 cp866 csibm866",
    "iso-8859-2": "iso88592 csisolatin2 isoir101 iso885921987 l2 latin2",
    "iso-8859-3": "iso88593 csisolatin3 isoir109 iso885931988 l3 latin3",
    "iso-8859-4": "iso88594 csisolatin4 isoir110 iso885941988 l4 latin4",
    "iso-8859-5": "iso88595 csisolatincyrillic cyrillic isoir144 iso885951988",
    "iso-8859-6": "iso88596 arabic asmo708 csiso88596e csiso88596i csisolatinarabic "
    "ecma114 iso88596e iso88596i isoir127 iso885961987",
    "iso-8859-7": "iso88597 csisolatingreek ecma118 elot928 greek greek8 isoir126 "
    "iso885971987 suneugreek",
    "iso-8859-8": "iso88598 csiso88598e csisolatinhebrew hebrew iso88598e isoir138 "
    "iso885981988 visual",
    "iso-8859-8-i": "iso88598i csiso88598i logical",
    "iso-8859-10": "iso885910 csisolatin6 isoir157 l6 latin6",
    "iso-8859-13": "iso885913",
    "iso-8859-14": "iso885914",
    "iso-8859-15": "iso885915 csisolatin9 l9",
    "iso-8859-16": "iso885916",
    "koi8-r": "koi8r cskoi8r koi koi8",
    "koi8-u": "koi8u koi8ru",
    "macintosh": "macintosh csmacintosh mac xmacroman",
    "windows-874": "windows874 dos874 iso885911 tis620",
    "windows-1250": "windows1250 cp1250 xcp1250",
    "windows-1251": "windows1251 cp1251 xcp1251",
    "windows-1252": "windows1252 ansix341968 ascii cp1252 cp819 csisolatin1 ibm819 "
    "iso88591 isoir100 iso885911987 l1 latin1 usascii xcp1252 xuserdefined",
    "windows-1253": "windows1253 cp1253 xcp1253",
    "windows-1254": "windows1254 cp1254 csisolatin5 iso88599 isoir148 iso885991989 l5 "
    "latin5 xcp1254",
    "windows-1255": "windows1255 cp1255 xcp1255",
    "windows-1256": "windows1256 cp1256 xcp1256",
    "windows-1257": "windows1257 cp1257 xcp1257",
    "windows-1258": "windows1258 cp1258 xcp1258",
    "x-mac-cyrillic": "xmaccyrillic xmacukrainian",
    "gbk": "gbk chinese csgb2312 csiso58gb231280 gb2312 gb231280 isoir58 xgbk",
    "gb18030": "gb18030",
    "big5": "big5 big5hkscs cnbig5 csbig5 xxbig5",
    "euc-jp": "eucjp cseucpkdfmtjapanese xeucjp",
    "iso-2022-jp": "iso2022jp csiso2022jp",
    "shift_jis": "shiftjis csshiftjis ms932 mskanji sjis windows31j xsjis",
    "euc-kr": "euckr cseuckr csksc56011987 isoir149 korean ksc56011987 ksc56011989 "
    "ksc5601 windows949",
    "replacement": "replacement csiso2022kr hzgb2312 iso2022cn iso2022cnext iso2022kr",
    "utf-16be": "utf16be unicodefffe",
    "utf-16le": "utf16le csunicode iso10646ucs2 ucs2 unicode unicodefeff utf16",
}

#: Codecs of Python whose name is another one, or which know more of what is in use.
_CODECS = {
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "gbk": "gb18030",
    "iso-8859-8-i": "iso-8859-8",
    "macintosh": "mac-roman",
    "replacement": "ascii",  # a browser shows nothing of it
    "shift_jis": "cp932",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
}

#: What would switch the meaning of the bytes after it; the standard's encoder for
#: ISO-2022-JP replaces it too.
_SWITCHES = dict.fromkeys((0x0E, 0x0F, 0x1B), "\N{REPLACEMENT CHARACTER}")

_NO_LETTER = re.compile(r"[^a-z0-9]+")

_XML = re.compile(rb"<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([^\"'>]+)")

# A comment, whose dashes may be the same at both ends (HTML Standard, "prescan a byte
# stream to determine its encoding"), or the attributes of a <meta>.
_META = re.compile(
    rb"<!(?=--).*?(?:-->|\Z)|<meta(?=[\s/])([^>]*)>", re.IGNORECASE | re.DOTALL
)
_ATTRIBUTE = re.compile(r"""([^\s/>=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?""")
_IN_CONTENT = re.compile(r"""charset\s*=\s*["']?([^\s;"']+)""", re.IGNORECASE)


class Charset(NamedTuple):
    """A charset: its name in the standard, and Python's codec for it."""

    name: str
    codec: str

    def decode(self, content: bytes) -> str:
        """Return the text, with U+FFFD for what is none."""
        return content.decode(self.codec, "replace")

    def encode(self, markup: str) -> bytes:
        """Return the bytes of a page; a character that is not in it as ``&#8364;``.

        In a page that was read in this charset, such a one was a reference before.
        """
        if self.name == "iso-2022-jp":
            markup = markup.translate(_SWITCHES)
        return markup.encode(self.codec, "xmlcharrefreplace")


def _charset(name: str) -> Charset:
    return Charset(name, _CODECS.get(name, name))


UTF_8 = _charset("utf-8")
_WINDOWS_1252 = _charset("windows-1252")

_BY_LABEL = {
    label: _charset(name)
    for name, labels in _LABELS.items()
    for label in labels.split()
}
_BY_MARK = {
    b"\xef\xbb\xbf": UTF_8,
    b"\xff\xfe": _charset("utf-16le"),
    b"\xfe\xff": _charset("utf-16be"),
}


def charset_with_label(label: str) -> Charset | None:
    """Return the charset that a label means; None where there is no such."""
    return _BY_LABEL.get(_NO_LETTER.sub("", label.lower()))


def decoded(content: bytes, label: str) -> str:
    """Return the text of a content, as "decode" of the standard does.

    :param label: the charset that is named. The byte order mark goes before it, and is
        no part of the text.
    :raises ValueError: for a label that means none, and for what is no text in it.
    """
    named = charset_with_label(label)
    if named is None or named.name == "replacement":
        raise ValueError(f"there is no charset {label!r}")
    codec = (_marked(content) or named).codec
    return content.decode(codec).removeprefix("\ufeff")


def _marked(content: bytes) -> Charset | None:
    """Return the charset that the byte order mark says."""
    return next((c for mark, c in _BY_MARK.items() if content.startswith(mark)), None)


def charset_of_page(content: bytes, label: str) -> Charset:
    """Return the charset in which a browser reads a page.

    :param content: of the page.
    :param label: the charset that Content-Type names, empty for none.
    :returns: what the byte order mark says, or else the label, or else the page; one
        that says nothing is UTF-8 where it can be, or else windows-1252.
    """
    return (
        _marked(content)
        or charset_with_label(label)
        or _declared(content[:HEAD])
        or (UTF_8 if _is_utf_8(content) else _WINDOWS_1252)
    )


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _declared(head: bytes) -> Charset | None:
    """Return what a page says itself: its first ``<meta>`` that does, or else XML."""
    said = [
        _label_in(found[1].decode("latin-1"))
        for found in _META.finditer(head)
        if found[1]
    ]
    if xml := _XML.match(head):
        said.append(xml[1].decode("latin-1"))
    known = next(filter(None, map(charset_with_label, said)), None)
    if known and known.name.startswith("utf-16"):
        return UTF_8  # or the declaration could not have been read
    return known


def _label_in(meta: str) -> str:
    """Return the charset that a ``<meta>`` of these attributes names, or nothing."""
    attributes: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(meta):
        attributes.setdefault(name.lower(), "".join(values))
    if "charset" in attributes:
        return attributes["charset"]
    if attributes.get("http-equiv", "").lower() != "content-type":
        return ""
    found = _IN_CONTENT.search(attributes.get("content", ""))
    return found[1] if found else ""
