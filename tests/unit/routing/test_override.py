"""Every trap of the method override."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.request import Request

from pyramid_restproxy.exceptions import OverrideRejected
from pyramid_restproxy.routing import override
from pyramid_restproxy.routing.override import (
    Override,
    OverridePolicy,
    PushedBack,
    UnreadableBody,
)
from pyramid_restproxy.settings import parse_settings

POLICY = OverridePolicy()
REJECT = OverridePolicy(reject=True)
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=B"


class Counting(io.RawIOBase):
    """A stream that cannot be rewound and counts what is read."""

    def __init__(self, content, most=None):
        self._file = io.BytesIO(content)
        self._most = most
        self.count = 0

    def readable(self):
        return True

    def seekable(self):
        return False

    def read(self, size=-1):
        if self._most and size > self._most:
            size = self._most
        piece = self._file.read(size)
        self.count += len(piece)
        return piece

    def readline(self, size=-1):
        return self._file.readline(size)


def environ(body=b"", content_type=FORM, method="POST", stream=None, **more):
    made = Request.blank("/", method=method).environ
    made.update(more)
    made["wsgi.input"] = stream or io.BytesIO(body)
    made["CONTENT_LENGTH"] = str(len(body))
    if content_type is not None:
        made["CONTENT_TYPE"] = content_type
    return made


def part(name, value, extra=""):
    return (
        f'--B\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n{value}\r\n'  # noqa: E501
    ).encode()


@pytest.mark.parametrize(
    "fields, headers, found",
    [
        ([], [], None),
        (["put"], [], Override("PUT", "field")),
        ([" put "], [], Override("PUT", "field")),
        ([""], ["DELETE"], Override("DELETE", "header")),
        ([" "], [], None),
        (["DELETE"], ["PUT"], Override("DELETE", "field")),
        (["PUT", "DELETE"], [], Override("DELETE", "field")),
        ([], ["patch"], Override("PATCH", "header")),
        ([], ["PUT, DELETE"], None),
        (["FOO"], ["PUT"], None),
        *[([method], [], None) for method in ("GET", "HEAD", "TRACE", "CONNECT")],
        (["OPTIONS"], [], None),
        (["POST"], [], None),
    ],
)
def test_what_a_post_means(fields, headers, found):
    assert override.decide(fields, headers, POLICY) == found


@pytest.mark.parametrize(
    "fields, headers, reason",
    [
        (["FOO"], [], "target"),
        (["GET"], [], "target"),
        ([], ["PUT, DELETE"], "target"),
        (["PUT", "DELETE"], [], "ambiguous"),
        (["PUT"], ["DELETE"], "ambiguous"),
    ],
)
def test_what_is_rejected_where_it_is_not_ignored(fields, headers, reason):
    with pytest.raises(OverrideRejected) as caught:
        override.decide(fields, headers, REJECT)
    assert caught.value.reason == reason
    assert caught.value.status_int == 400


def test_agreement_is_not_ambiguous():
    assert override.decide(["put"], ["PUT"], REJECT) == Override("PUT", "field")


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_only_post_is_looked_at(method):
    given = environ(b"_method=DELETE", method=method)
    assert override.apply(given, POLICY) is None
    assert given["REQUEST_METHOD"] == method


def test_what_is_applied_is_kept_in_the_environ():
    given = environ(b"_method=DELETE&x=1")
    assert override.apply(given, POLICY) == Override("DELETE", "field")
    assert given["REQUEST_METHOD"] == "DELETE"
    assert given["http_method_override.original_method"] == "POST"
    # a second look, e.g. after a retry, changes nothing
    assert override.apply(given, POLICY) is None


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", None, "", "multipart/mixed", "nonsense"],
)
def test_nothing_is_read_of_what_is_no_form(content_type):
    stream = Counting(b"_method=DELETE")
    assert (
        override.apply(environ(b"_method=DELETE", content_type, stream=stream), POLICY)
        is None
    )
    assert stream.count == 0


@pytest.mark.parametrize("charset", ["latin-1", "windows-1252", "UTF-16", "nonsense"])
@pytest.mark.parametrize("media_type", [FORM, MULTIPART])
def test_a_form_in_another_charset_is_none(media_type, charset):
    stream = Counting(b"_method=DELETE")
    content_type = f"{media_type}; charset={charset}; x=y"
    given = environ(b"_method=DELETE", content_type, stream=stream)
    assert override.apply(given, POLICY) is None
    assert stream.count == 0
    given["HTTP_X_HTTP_METHOD_OVERRIDE"] = "PUT"
    assert override.apply(given, POLICY).method == "PUT"


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"', "utf8", ""])
def test_a_form_may_say_that_it_is_in_utf_8(charset):
    given = environ(b"_method=DELETE", f"{FORM}; charset={charset}")
    assert override.apply(given, POLICY).method == "DELETE"


@pytest.mark.parametrize("value", [b"%BF", b"P%C3%9CT", b"%A0PUT"])
def test_a_value_that_is_not_ascii_counts_and_is_no_method(value):
    body = b"_method=PUT&_method=" + value
    assert override.apply(environ(body), POLICY) is None
    with pytest.raises(OverrideRejected):
        override.apply(environ(b"_method=" + value), REJECT)


@pytest.mark.parametrize("value", ["\xa0PUT", "PUT\x1c", "\x85PUT"])
def test_only_blanks_may_stand_around_a_method(value):
    assert override.decide([], [value], POLICY) is None
    assert override.decide([], [" PUT\t"], POLICY).method == "PUT"


def test_the_query_never_counts():
    given = environ(b"x=1", QUERY_STRING="_method=DELETE")
    assert override.apply(given, POLICY) is None


@pytest.mark.parametrize(
    "body, content_type, values",
    [
        (b"_method=PUT", FORM, ["PUT"]),
        (b"_method=PUT", FORM + "; charset=latin-1", ["PUT"]),
        (b"_method=PUT", "Application/X-WWW-Form-URLEncoded", ["PUT"]),
        (b"%5Fmethod=P%55T&a=b", FORM, ["PUT"]),
        (b"a=1&_method=+put+", FORM, [" put "]),
        (b"_method=PUT&_method=DELETE", FORM, ["PUT", "DELETE"]),
        (b"_METHOD=PUT&_method", FORM, [""]),
        (b"_method=%BF", FORM, ["\\xbf"]),
        (b"_method=P%zz", FORM, ["P%zz"]),
        (part("_method", "PUT") + b"--B--", MULTIPART, ["PUT"]),
        (
            part("_method", "PUT") + b"--B--",
            'multipart/form-data; boundary="B"',
            ["PUT"],
        ),
        (part("a", "1") + part("_method", "PUT") + b"--B--", MULTIPART, ["PUT"]),
        (part("_method", "PUT", '; filename="x"') + b"--B--", MULTIPART, []),
        (part("_method", "PUT", "; filename*=x") + b"--B--", MULTIPART, []),
        (b'--B\r\ncontent-disposition: form-data; name="_method"\r\n', MULTIPART, []),
        (part("_method", "PUT") + b"--B--", "multipart/form-data", []),
        (b"--B\r\nX: y\r\n\r\nPUT\r\n--B--", MULTIPART, []),
        (
            b"--B\r\nContent-Disposition: form-data; x=y\r\n\r\nPUT\r\n--B--",
            MULTIPART,
            [],
        ),
        (part("_method", "\xff") + b"--B--", MULTIPART, ["\\xc3\\xbf"]),
        (b"--B \t" + part("_method", "PUT")[3:] + b"--B--", MULTIPART, ["PUT"]),
        (
            b"--B\r\nContent-Disposition: form-data;\r\n\tname=_method\r\n\r\nX\r\n--B",
            MULTIPART,
            ["X"],
        ),
        (b"preamble\r\n" + part("_method", "PUT") + b"--B--", MULTIPART, ["PUT"]),
    ],
)
def test_fields_of_forms(body, content_type, values):
    assert override.form_values(content_type, body, True, b"_method") == values


def test_a_value_that_the_prefix_cuts_off_does_not_count():
    assert override.form_values(FORM, b"a=1&_method=PUTX", False, b"_method") == []
    assert override.form_values(FORM, b"_method=PUT&a", False, b"_method") == ["PUT"]


@given(st.binary(max_size=200), st.sampled_from([FORM, MULTIPART]), st.booleans())
def test_no_form_makes_it_raise(body, content_type, complete):
    for value in override.form_values(content_type, body, complete, b"_method"):
        assert value.isascii()


@pytest.mark.parametrize("content_type", [FORM, MULTIPART])
def test_a_huge_form_is_looked_at_up_to_the_limit(content_type):
    first = (
        b"_method=PUT&" if content_type == FORM else part("_method", "PUT") + b"--B\r\n"
    )
    body = first + b"x" * 5_000_000
    stream = Counting(body)
    given = environ(body, content_type, stream=stream)
    assert override.apply(given, POLICY) == Override("PUT", "field")
    assert stream.count == 65536
    assert given["wsgi.input"].read() == body


def test_a_field_after_the_limit_is_not_seen():
    body = b"a=" + b"x" * 70_000 + b"&_method=PUT"
    assert override.apply(environ(body), POLICY) is None


@pytest.mark.parametrize("most", [None, 7])
@pytest.mark.parametrize("seekable", [True, False])
def test_the_bytes_stay_readable(seekable, most):
    body = b"_method=PUT&title=Hello&title=x"
    stream = None if seekable else Counting(body, most)
    given = environ(body, stream=stream)
    override.apply(given, POLICY)
    request = Request(given)
    assert request.POST.getall("title") == ["Hello", "x"]
    assert request.body == body


def test_a_stream_keeps_the_place_it_was_at():
    stream = io.BytesIO(b"before_method=PUT")
    stream.read(6)
    given = environ(b"_method=PUT", stream=stream)
    override.apply(given, POLICY)
    assert stream.tell() == 6


@pytest.mark.parametrize(
    "more, method",
    [
        ({"CONTENT_LENGTH": ""}, "POST"),
        ({"CONTENT_LENGTH": "", "wsgi.input_terminated": True}, "PUT"),
        ({"CONTENT_LENGTH": "x"}, "POST"),
        ({"CONTENT_LENGTH": "0"}, "POST"),
    ],
)
def test_bodies_of_unknown_length_are_read_where_the_server_ends_them(more, method):
    given = environ(b"_method=PUT", stream=Counting(b"_method=PUT"))
    given.update(more)
    override.apply(given, POLICY)
    assert given["REQUEST_METHOD"] == method


class Broken:
    """A body that breaks after its first bytes, with an error of the server's own."""

    def __init__(self, first, error):
        self._pieces = [first]
        self._error = error

    def read(self, size=-1):
        if self._pieces:
            return self._pieces.pop()
        raise self._error

    readline = read


@pytest.mark.parametrize("error", [RuntimeError("bad chunk"), OSError(), ValueError()])
def test_a_body_that_breaks_is_the_clients_fault(error):
    made = environ(stream=Broken(b"_method=PU", error))
    made.update({"CONTENT_LENGTH": "", "wsgi.input_terminated": True})
    with pytest.raises(UnreadableBody) as caught:
        override.apply(made, POLICY)
    assert caught.value.__cause__ is error
    assert caught.value.status_int == 400


def test_an_error_of_ours_stays_what_it_is():
    error = UnreadableBody()
    with pytest.raises(UnreadableBody) as caught:
        override.read_up_to(Broken(b"x", error), 2)
    assert caught.value is error


def test_other_names_and_more_targets_by_settings():
    policy = OverridePolicy.from_settings(
        parse_settings(
            {
                "restproxy.override.methods": "purge",
                "restproxy.override.field": "do",
                "restproxy.override.headers": "X-HTTP-Method X-Method",
                "restproxy.override.on_invalid": "reject",
                "restproxy.override.peek": "10",
            }
        )
    )
    assert override.apply(environ(b"do=purge"), policy) == Override("PURGE", "field")
    given = environ(HTTP_X_METHOD="PURGE")
    assert override.apply(given, policy) == Override("PURGE", "header")
    assert policy.reject and policy.peek == 10


def test_without_a_field_no_form_is_read():
    stream = Counting(b"_method=PUT")
    policy = OverridePolicy(field="")
    assert override.apply(environ(b"_method=PUT", stream=stream), policy) is None
    assert stream.count == 0


class TestPushedBack:
    """A stream with its first bytes put back."""

    CONTENT = b"one\ntwo\nthree\nfour"

    def make(self, cut):
        rest = io.BytesIO(self.CONTENT)
        return PushedBack(rest.read(cut), rest)

    @pytest.mark.parametrize("cut", [0, 2, 4, 6, 18])
    def test_reading(self, cut):
        assert self.make(cut).read() == self.CONTENT
        assert self.make(cut).read(None) == self.CONTENT
        stream = self.make(cut)
        assert b"".join(iter(lambda: stream.read(5), b"")) == self.CONTENT

    @pytest.mark.parametrize("method", ["read", "readline", "readlines"])
    def test_what_breaks_after_them(self, method):
        rest = Broken(b"", OSError())
        rest.read()
        with pytest.raises(UnreadableBody):
            getattr(PushedBack(b"one", rest), method)()

    @pytest.mark.parametrize("cut", [0, 2, 4, 6, 18])
    def test_lines(self, cut):
        expected = self.CONTENT.splitlines(keepends=True)
        assert list(self.make(cut)) == expected
        assert self.make(cut).readlines() == expected
        stream = self.make(cut)
        assert stream.readline() == b"one\n"
        assert stream.read(4) in (b"two\n", b"tw")

    @pytest.mark.parametrize("cut", [0, 2, 4, 18])
    @pytest.mark.parametrize(
        "size, line", [(0, b""), (2, b"on"), (3, b"one"), (9, b"one\n")]
    )
    def test_lines_of_a_limited_size(self, cut, size, line):
        stream = self.make(cut)
        assert stream.readline(size) == line
        assert b"".join(stream) == self.CONTENT[len(line) :]
