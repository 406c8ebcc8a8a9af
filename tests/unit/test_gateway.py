"""The gateway of settings alone."""

from __future__ import annotations

import io

import pytest
import webtest
from pyramid.exceptions import ConfigurationError, ConfigurationExecutionError

from pyramid_restproxy import gateway
from pyramid_restproxy.settings import settings_of
from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.api_keys import new_key
from pyramid_restproxy.trust.key_lines import PROFILES
from pyramid_restproxy.trust.registry import ITrust
from tests import wire


def test_backends_are_lines():
    found = gateway.parse_backends(["users = http://a:1 http://a:2", "b=http://c?x=y"])
    assert [(line.name, line.urls) for line in found] == [
        ("users", (("http://a:1", 1), ("http://a:2", 1))),
        ("b", (("http://c?x=y", 1),)),
    ]


def test_a_weight_follows_its_url():
    (found,) = gateway.parse_backends(["users = http://a weight=3 http://b"])
    assert found.urls == (("http://a", 3), ("http://b", 1))


@pytest.mark.parametrize(
    "urls", ["weight=1 http://a", "http://a weight=0", "x weight=y"]
)
def test_weights_that_are_none(urls):
    with pytest.raises(ConfigurationError, match="restproxy.backends: 'users'"):
        gateway.parse_backends([f"users = {urls}"])


@pytest.mark.parametrize("line", ["users", "users =", "= http://a", ""])
def test_lines_that_are_no_backend(line):
    with pytest.raises(
        ConfigurationError, match="restproxy.backends.*expected 'name ="
    ):
        gateway.parse_backends([line])


def test_a_backend_that_is_there_twice():
    with pytest.raises(ConfigurationError, match="'a' is there twice"):
        gateway.parse_backends(["a = http://a", "a = http://b"])


def test_routes_are_lines():
    lines = [
        "/api/*path -> users methods=GET,post strip_prefix=false",
        "/*path->users max_request_body=10 path=/v2/x identity_headers=X-A,X-B",
    ]
    first, second = gateway.parse_routes(lines)
    assert (first.pattern, first.backend) == ("/api/*path", "users")
    assert first.options == {"allowed_methods": ("GET", "post"), "strip_prefix": False}
    assert second.options == {
        "max_request_body": 10,
        "path": "/v2/x",
        "identity_headers": ("X-A", "X-B"),
    }
    (third,) = gateway.parse_routes(["/ -> b identity=X-User:user,X-Key:key"])
    assert third.options == {"identity": {"X-User": "user", "X-Key": "key"}}


@pytest.mark.parametrize(
    "line, says",
    [
        ("/api/*path users", "expected"),
        ("api -> users", "expected"),
        ("/api ->", "expected"),
        ("/api -> users GET", "'GET' is not an option; there are methods"),
        ("/api -> users method=GET", "is not an option"),
        ("/api -> users strip_prefix=perhaps", "true or false"),
        ("/api -> users methods=G(T", "not a token"),
        ("/api -> users max_request_body=x", "max_request_body=x"),
        ("/api -> users identity=X-User", "expected Name:user"),
        *(
            (f"/api -> users {name}={nothing}", "expected a value")
            for name in gateway.ROUTE_OPTIONS
            for nothing in ("", ",", ",,")
        ),
        ("/api -> users methods=GET methods=PUT", "there twice"),
        ("/api -> users strip_prefix=false path=/x", "strip_prefix=false says it too"),
        ("/api -> users rate_limit_by=key", "needs rate_limit="),
    ],
)
def test_lines_that_are_no_route(line, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        gateway.parse_routes([line])
    assert repr(line) in str(caught.value)


@pytest.mark.parametrize(
    "option, value",
    [("no", False), ("False", False), ("yes", True), ("read,write", ("read", "write"))],
)
def test_api_key_says_yes_or_no_or_scopes(option, value):
    (line,) = gateway.parse_routes([f"/api -> users api_key={option}"])
    assert line.options == {"api_key": value}


@pytest.mark.parametrize(
    "option, says",
    [
        ("path=v2", "begins with '/'"),
        ("path=/{nope}", "the pattern has no 'nope'"),
        ("transforms=t", "the pattern has no 'other'"),
    ],
)
def test_a_path_to_send_that_the_pattern_cannot_fill_is_refused(option, says):
    settings = {
        "restproxy.backends": "b = http://a",
        "restproxy.routes": f"/api/{{id}}/*rest -> b {option}",
        "restproxy.transforms.t": "set_path /v2/{other}/*rest",
    }
    with pytest.raises(ConfigurationError, match=says):
        gateway.main({}, **settings)


@pytest.mark.parametrize("option", ["verify", "cert"])
def test_a_certificate_that_is_not_there_is_told_at_start(option, tmp_path):
    settings = {
        "restproxy.backends": "b = https://a",
        f"restproxy.backend.b.{option}": str(tmp_path / "none.pem"),
    }
    with pytest.raises(ConfigurationError, match=f"'b': {option}=.*No such file"):
        gateway.main({}, **settings)
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=f"'b': {option}="):
        gateway.main({}, **settings)


def test_a_gateway():
    with (
        FakeBackend(Answer(body=b"ok")) as users,
        FakeBackend(Answer(body=b"all")) as rest,
    ):
        app = webtest.TestApp(
            gateway.main(
                {},
                **{
                    "restproxy.backends": f"users = {users.url}\nrest = {rest.url}\n",
                    "restproxy.backend.users.host": "preserve",
                    "restproxy.routes": "\n/api/users/*path -> users methods=GET\n"
                    "/*path -> rest\n",
                },
            ),
            lint=False,
        )
        assert app.get("/api/users/7?x").body == b"ok"
        assert app.get("/other").body == b"all"
        assert (
            app.post("/api/users/7", status=405).headers["Allow"]
            == "GET, HEAD, OPTIONS"
        )
        assert users.requests[0].target == "/7?x"
        assert users.requests[0].header("Host") == "localhost:80"


@pytest.mark.parametrize(
    "option, method", [("", "DELETE"), ("method_override=false", "POST")]
)
def test_a_route_that_leaves_the_method_as_it_came(option, method):
    with FakeBackend(Answer(body=b"ok")) as backend:
        settings = {
            "restproxy.backends": f"b = {backend.url}",
            "restproxy.routes": f"/*path -> b {option}",
        }
        client = webtest.TestApp(gateway.main({}, **settings), lint=False)
        client.post("/x", headers={"X-HTTP-Method-Override": "DELETE"})
        assert backend.requests[0].method == method


@pytest.mark.parametrize(
    "option", ["path=/v2/{path}", "path=/v2/*path", "transforms=moved"]
)
def test_a_tail_in_the_path_to_send(option):
    """``{path}`` sent ``/v2/('a',%20'b')``."""
    with FakeBackend(Answer(body=b"ok")) as backend:
        settings = {
            "restproxy.backends": f"b = {backend.url}",
            "restproxy.routes": f"/p/*path -> b {option}",
            "restproxy.transforms.moved": "set_path /v2/{path}",
        }
        client = webtest.TestApp(gateway.main({}, **settings), lint=False)
        client.get("/p/a/b?q")
        assert backend.requests[0].target == "/v2/a/b?q"


@pytest.mark.parametrize(
    "option, passes",
    [
        ("api_key=true", {"api-key": "KEY"}),
        ("api_key=read", {"api-key": "KEY"}),
        ("allow_from=127.0.0.0/8", {}),
    ],
)
def test_who_may_pass_by_settings(tmp_path, option, passes):
    shown, hashed = new_key("a")
    (tmp_path / "keys").write_text(f"a {hashed} scopes=read\n")
    with FakeBackend(Answer(body=b"ok")) as backend:
        app = gateway.main(
            {},
            **{
                "restproxy.backends": f"b = {backend.url}",
                "restproxy.backend.b.headers": "api-key: ours",
                "restproxy.routes": f"/*path -> b {option}",
                "restproxy.api_keys.file": str(tmp_path / "keys"),
            },
        )
        client = webtest.TestApp(app, lint=False)
        headers = {name: shown for name in passes}
        inside = {"REMOTE_ADDR": "127.0.0.1"}
        client.get("/", headers=headers, extra_environ=inside)
        assert backend.requests[0].header("api-key") == "ours"
        outside = {"REMOTE_ADDR": "192.0.2.1"}
        refused = client.get("/", extra_environ=outside, status="4*")
        assert refused.status_int in (401, 403)


def test_api_keys_as_lines():
    (one, one_hashed), (two, two_hashed) = new_key("a"), new_key("b")
    with FakeBackend(Answer(body=b"ok")) as backend:
        app = gateway.main(
            {},
            **{
                "restproxy.backends": f"b = {backend.url}",
                "restproxy.routes": "/*path -> b api_key=read",
                "restproxy.api_keys": f"\na {one_hashed} scopes=read\nb {two_hashed}\n",
            },
        )
        client = webtest.TestApp(app, lint=False)
        client.get("/", headers={"api-key": one})
        client.get("/", headers={"api-key": two}, status=403)
        client.get("/", status=401)
        (seen,) = backend.requests
        assert seen.header("api-key") is None


SECRET = "5e" * 32


def signing(authority, profile):
    """Return the settings of a gateway that signs what it sends to another one."""
    return {
        "restproxy.backends": f"inner = http://{authority}",
        "restproxy.routes": "/*path -> inner",
        "restproxy.backend.inner.sign_with": f"outer hex:{SECRET} {profile}",
    }


def checking(backend, profile, folder):
    """Return the settings of a gateway that lets in who has signed."""
    (folder / "secret").write_text(f"hex:{SECRET}\n")
    (folder / "keys").write_text(f"outer file:{folder}/secret\n")
    return {
        "restproxy.backends": f"b = {backend.url}",
        "restproxy.routes": f"/*path -> b signed={profile}",
        "restproxy.signing_keys": f"\nother hex:{'00' * 32}\n",
        "restproxy.signing_keys.file": f"{folder}/keys",
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_one_gateway_signs_and_another_checks(profile, tmp_path):
    with (
        FakeBackend(Answer(body=b"ok")) as backend,
        wire.served(gateway.main({}, **checking(backend, profile, tmp_path))) as inner,
    ):
        own = {"restproxy.pseudonym": "outer"}  # else it is a loop
        outer = gateway.main({}, **signing(inner, profile), **own)
        client = webtest.TestApp(outer, lint=False)
        for body in (b"hello", b"x" * 200_000, b""):
            client.post("/x?y=1", body)
            assert backend.requests[-1].body == body
        assert client.do_request(chunked(b"y" * 200_000), status=200)
        assert backend.requests[-1].body == b"y" * 200_000
        assert wire.exchange(inner, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 401
        assert len(backend.requests) == 4


def chunked(body):
    """Make an upload whose length nobody knows."""
    request = webtest.TestRequest.blank("/x", {"SERVER_PROTOCOL": "HTTP/1.1"})
    request.method = "POST"
    request.environ["wsgi.input"] = Unseekable(body)
    request.environ["wsgi.input_terminated"] = True
    request.environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    request.environ.pop("CONTENT_LENGTH", None)
    return request


class Unseekable(io.BytesIO):
    def seekable(self):
        return False


def test_no_secret_is_shown(tmp_path):
    with FakeBackend() as backend:
        inner = checking(backend, "body", tmp_path)
    for settings in (signing("127.0.0.1:9", "body"), inner):
        registry = gateway.main({}, **settings).registry
        shown = [repr(settings_of(registry)), repr(registry.getUtility(ITrust))]
        for category in registry.introspector.categories():
            for entry in registry.introspector.get_category(category):
                shown.append(repr(dict(entry["introspectable"])))
        assert SECRET not in "".join(shown)
        assert repr(bytes.fromhex(SECRET)) not in "".join(shown)


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"restproxy.signing_keys": "a s3cret"}, "signing_keys, line 1: a secret is"),
        ({"restproxy.signing_keys": f"a hex:{SECRET}\na hex:{SECRET}"}, "two keys"),
        ({"restproxy.signing_keys.file": "/nope"}, "signing_keys.file = '/nope'"),
        ({"restproxy.api_keys": "a s3cret"}, "API keys, line 1"),
        ({"restproxy.api_keys.file": "/nope"}, "api_keys.file = '/nope'"),
        (
            {
                "restproxy.backends": "b = http://b",
                "restproxy.backend.b.sign_with": "a s3cret",
            },
            "restproxy.backend.b.sign_with: a secret is",
        ),
        ({"restproxy.routes": "/x -> b signed=s3"}, "expected true, or request, body"),
    ],
)
def test_keys_that_are_none(settings, says):
    with pytest.raises((ConfigurationError, ConfigurationExecutionError)) as caught:
        gateway.main({}, **settings)
    assert says in str(caught.value)
    assert "s3cret" not in str(caught.getrepr(style="value", chain=True))


def test_a_file_that_is_no_text_is_not_shown(tmp_path):
    (tmp_path / "keys").write_bytes(b"\xffs3cret")
    with pytest.raises(ConfigurationExecutionError, match="not UTF-8") as caught:
        gateway.main({}, **{"restproxy.signing_keys.file": str(tmp_path / "keys")})
    assert "s3cret" not in str(caught.getrepr(style="value", chain=True))


def test_transforms_of_settings():
    with FakeBackend(Answer(headers=[("X-By", "php")], body=b"ok")) as backend:
        app = gateway.main(
            {},
            **{
                "restproxy.backends": f"b = {backend.url}",
                "restproxy.routes": "/*path -> b transforms=asked,answered",
                "restproxy.transforms.asked": "\nset_request_header X-Team: blue\n",
                "restproxy.transforms.answered": "remove_response_headers X-By",
            },
        )
        response = webtest.TestApp(app, lint=False).get("/")
        assert "X-By" not in response.headers
        assert backend.requests[0].header("X-Team") == "blue"


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"restproxy.routes": "/x -> b transforms=y"}, "no restproxy.transforms.y"),
        ({"restproxy.transforms.a b": "x"}, "is not a setting"),
        ({"restproxy.transforms.a": "x y"}, "restproxy.transforms.a: 'x'"),
        ({"restproxy.routes": "/x -> users"}, "'users', which is not there"),
        ({"restproxy.backend.users.host": "preserve"}, "restproxy.backend.users"),
        ({"restproxy.backends": "a = ftp://b"}, "must begin"),
        ({"restproxy.nope": "1"}, "restproxy.nope is not a setting"),
    ],
)
def test_settings_that_make_no_gateway(settings, says):
    with pytest.raises((ConfigurationError, ConfigurationExecutionError), match=says):
        gateway.main({}, **settings)


def test_a_key_is_good_for_routes_that_have_a_name():
    """Bug: those of lines had names that no key could say."""
    key, hashed = new_key("mobile")
    with FakeBackend(Answer()) as backend:
        settings = {
            "restproxy.backends": f"b = {backend.url}",
            "restproxy.routes": "/a -> b api_key=true name=a\n/b -> b api_key=true",
            "restproxy.api_keys": f"mobile {hashed} routes=a",
        }
        client = webtest.TestApp(gateway.main({}, **settings))
        client.get("/a", headers={"api-key": key})
        client.get("/b", headers={"api-key": key}, status=403)
    with pytest.raises(ConfigurationError, match="expected a name"):
        gateway.parse_routes(["/a -> b name=a#"])


def test_settings_of_the_default_section_count():
    """Bug: they were ignored, misspelt ones too."""
    wanted = {"restproxy.allowed_hosts": "a.example", "here": "/x"}
    testapp = webtest.TestApp(gateway.main(wanted))
    assert testapp.get("/", status=421)
    own = {"restproxy.allowed_hosts": "localhost"}
    assert webtest.TestApp(gateway.main(wanted, **own)).get("/", status=404)
    with pytest.raises(ConfigurationError, match="bogus"):
        gateway.main({"restproxy.bogus": "1"})
