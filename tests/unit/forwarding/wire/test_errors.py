"""Every failure is what callers of requests expect, and has a name for Proxy-Status."""

from __future__ import annotations

import re

import pytest
import requests

from pyramid_restproxy.exceptions import RestProxyError
from pyramid_restproxy.forwarding.wire import errors


@pytest.mark.parametrize("name", sorted({*errors.__all__} - {"OURS"}))
def test_every_error(name):
    error = getattr(errors, name)
    assert issubclass(error, RestProxyError)
    assert issubclass(error, requests.RequestException)
    assert re.fullmatch(r"[a-z_]+", error.proxy_error)
    assert error.__doc__


def test_timeouts_are_timeouts():
    assert issubclass(errors.ConnectTimeout, requests.ConnectTimeout)
    assert issubclass(errors.ReadTimeout, requests.ReadTimeout)
    assert issubclass(errors.DeadlineExceeded, requests.Timeout)
