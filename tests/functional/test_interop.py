"""Real clients and servers with the gateway of settings alone between them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager, suppress

import pytest

from pyramid_restproxy import gateway
from tests import wire

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore"),  # the peers' own
]


@contextmanager
def between(application, **options):
    """Serve an application and a gateway in front of it; give both authorities."""
    with wire.served(application, **options) as direct:
        with in_front_of(direct, **options) as through:
            yield direct, through


def in_front_of(direct, **options):
    """Serve a gateway in front of a server; give its authority."""
    settings = {
        "restproxy.backends": f"peer = http://{direct}",
        "restproxy.backend.peer.host": "preserve",
        "restproxy.routes": "/*path -> peer",
        "restproxy.override.enabled": "false",
    }
    return wire.served(gateway.main({}, **settings), **options)


def run(*command, **options):
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=110, check=False, **options
    )
    return done


# -- WebDAV ------------------------------------------------------------------------


def webdav(folder):
    from wsgidav.wsgidav_app import WsgiDAVApp

    return WsgiDAVApp(
        {
            "provider_mapping": {"/": str(folder)},
            "simple_dc": {"user_mapping": {"*": True}},
            "lock_storage": True,
            "property_manager": True,
            "logging": {"enable": False},
            "verbose": 0,
        }
    )


def litmus(program, authority, folder):
    done = run(program, "-k", f"http://{authority}/", cwd=folder)
    return re.findall(
        r"summary for `(\w+)': of (\d+) tests run: (\d+) passed", done.stdout
    )


def test_litmus_counts_the_same_as_direct(need, tmp_path):
    program = need("litmus")
    (tmp_path / "dav").mkdir()
    with between(webdav(tmp_path / "dav")) as (direct, through):
        expected = litmus(program, direct, tmp_path)
        assert len(expected) >= 4
        assert litmus(program, through, tmp_path) == expected


# -- git ---------------------------------------------------------------------------


def git_over_http(root):
    """Make a WSGI application of `git http-backend` (git-http-backend(1))."""

    def application(environ, start_response):
        cgi = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "tester",
            **{k: v for k, v in environ.items() if isinstance(v, str)},
        }
        process = subprocess.Popen(
            ["git", "http-backend"],
            env=cgi,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        output, _ = process.communicate(body)
        head, _, content = output.partition(b"\r\n\r\n")
        headers = [tuple(line.decode().split(": ", 1)) for line in head.split(b"\r\n")]
        status = dict(headers).get("Status", "200 OK")
        start_response(status, [pair for pair in headers if pair[0] != "Status"])
        return [content]

    return application


def test_git_clones_and_pushes_40_megabytes(need, tmp_path):
    git = need("git")
    root = tmp_path / "served"
    run(git, "init", "-q", "--bare", str(root / "repo.git"))
    run(git, "-C", str(root / "repo.git"), "config", "http.receivepack", "true")
    options = {"max_request_body_size": 1 << 30}
    with between(git_over_http(root), **options) as (_, through):
        url = f"http://{through}/repo.git"
        one, two = str(tmp_path / "one"), str(tmp_path / "two")
        assert run(git, "clone", "-q", url, one).returncode == 0
        content = os.urandom(40 * 1024 * 1024)
        (tmp_path / "one" / "large.bin").write_bytes(content)
        run(git, "-C", one, "add", ".")
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        run(git, "-C", one, *identity, "commit", "-q", "-m", "large")
        pushed = run(git, "-C", one, "push", "-q", "origin", "HEAD:refs/heads/main")
        assert pushed.returncode == 0, pushed.stderr
        cloned = run(git, "clone", "-q", "-b", "main", url, two)
        assert cloned.returncode == 0, cloned.stderr
        assert (tmp_path / "two" / "large.bin").read_bytes() == content


# -- pip ---------------------------------------------------------------------------


def wheel(folder):
    """Write a wheel with one module."""
    info = "tinypackage-1.0.dist-info"
    files = {
        "tinypackage.py": "VALUE = 42\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tinypackage\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / "tinypackage-1.0-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


@contextmanager
def package_index(folder):
    """Run pypiserver: a process of its own, because it changes how Python imports."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "pypiserver", "run"]
    process = subprocess.Popen(
        [*command, "-i", "127.0.0.1", "-p", str(port), str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        pause = threading.Event()
        for _ in range(200):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            pause.wait(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def test_pip_installs_from_a_package_index(tmp_path):
    (tmp_path / "packages").mkdir()
    wheel(tmp_path / "packages")
    target = tmp_path / "target"
    with (
        package_index(tmp_path / "packages") as direct,
        in_front_of(direct) as through,
    ):
        index = f"http://{through}/simple/"
        pip = [sys.executable, "-m", "pip", "install", "--isolated", "--no-deps"]
        where = ["--no-cache-dir", "--target", str(target), "--index-url", index]
        done = run(*pip, *where, "tinypackage")
    assert done.returncode == 0, done.stderr
    assert (target / "tinypackage.py").read_text() == "VALUE = 42\n"


# -- S3 ------------------------------------------------------------------------------


def test_boto3_stores_and_reads_with_signed_requests():
    import boto3
    from botocore.config import Config
    from moto.server import DomainDispatcherApplication, create_backend_app

    peer = DomainDispatcherApplication(create_backend_app)
    with between(peer) as (_, through):
        s3 = boto3.client(
            "s3",
            endpoint_url=f"http://{through}",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        s3.create_bucket(Bucket="bucket")
        key, content = "a folder/caf\xe9 +=&.txt", os.urandom(300_000)
        s3.put_object(Bucket="bucket", Key=key, Body=content, Metadata={"a": "b"})
        found = s3.get_object(Bucket="bucket", Key=key)
        assert found["Body"].read() == content
        # WSGI does not keep the case of names, the peer's server no more than ours.
        assert {k.lower(): v for k, v in found["Metadata"].items()} == {"a": "b"}
        listed = s3.list_objects_v2(Bucket="bucket")["Contents"]
        assert [each["Key"] for each in listed] == [key]
