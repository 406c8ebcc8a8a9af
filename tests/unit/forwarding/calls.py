"""Calls and answers to try transforms on."""

from __future__ import annotations

from types import SimpleNamespace

from pyramid.request import Request

from pyramid_restproxy.forwarding.bodies import BytesBody
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.forwarding.model import Answer, ProxyCall
from pyramid_restproxy.settings import BackendSettings


def call(
    *headers,
    path="/x",
    query="",
    prefix="/api",
    base="http://10.0.0.1:8000",
    method="GET",
    **options,
):
    request = Request.blank("/api/x", base_url="https://public.example")
    request.matchdict = {"id": "a/b"}
    return ProxyCall(
        request=request,
        backend=SimpleNamespace(options=BackendSettings(**options)),
        method=method,
        path=path,
        query=query,
        headers=FieldList(list(headers)),
        prefix=prefix,
        destination=Destination.parse("b", base),
    )


def answer(*headers, status=200, body=b""):
    return Answer(status, "OK", FieldList(list(headers)), BytesBody(body))
