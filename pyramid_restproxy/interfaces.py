"""What the registry and the parts hand to each other. Imports nothing of ours.

Interfaces name the things that live in the Pyramid registry; the frozen
dataclasses are the values that travel between parts. No behaviour here.
"""

from __future__ import annotations

from dataclasses import dataclass

from zope.interface import Attribute, Interface

__all__ = [
    "ICallerTokens",
    "IMethodOverridden",
    "IRepresentations",
    "IRestProxySettings",
    "ISealer",
    "IViewCatalogue",
    "Representation",
]


class IRestProxySettings(Interface):
    """The parsed settings (:class:`pyramid_restproxy.settings.Settings`)."""


class IRepresentations(Interface):
    """The representations an application knows, by name, in server order."""


class IViewCatalogue(Interface):
    """What every view of the application answers: methods, bodies, representations."""


class ISealer(Interface):
    """Seals parameters: ``(request, path, params, *, user=None)`` gives the token."""


class ICallerTokens(Interface):
    """The tokens by which backends know users, for the calls of ported code.

    ``fields(request, backend, presented=False)`` gives the field that carries the
    user's token, with `presented` only one that the client sent itself;
    ``keep(request, backend, result)`` keeps the token around an answer. A login has a
    token for the backend that it was made at, and no other. ``recognises(request)``
    says whether it is known here whose a token is.
    """


class IMethodOverridden(Interface):
    """Event: a POST request was given another method before routing."""

    request = Attribute("The request; its ``method`` is the new one already.")
    original = Attribute("The method on the request line (str).")
    effective = Attribute("The method that routing sees (str).")
    source = Attribute("Where it came from: ``'field'`` or ``'header'``.")


@dataclass(frozen=True, slots=True)
class Representation:
    """One format in which a resource can be sent.

    :ivar name: the name in ``representations=``, e.g. ``'json'``.
    :ivar media_type: the media type offered and sent, e.g. ``'application/json'``.
    :ivar extensions: path extensions that choose it, each with its dot; the
        first one is used in links.
    :ivar aliases: further media types that choose it; it is answered under the
        name that was asked for.
    :ivar renderer: the name of a Pyramid renderer; empty where the view's
        ``template=`` is the renderer.
    :ivar charset: the charset parameter of Content-Type; empty for none.
    :ivar template: whether it is rendered from the view's ``template=``.
    """

    name: str
    media_type: str
    extensions: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    renderer: str = ""
    charset: str = ""
    template: bool = False

    def content_type(self, media_type: str) -> str:
        """Return the Content-Type of this representation sent as `media_type`."""
        return f"{media_type}; charset={self.charset}" if self.charset else media_type
