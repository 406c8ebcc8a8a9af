"""PDF from HTML, in which nothing is fetched and no script is run.

The page's own CSS decides what it looks like; A4 and its margins are the default of
``@page``. The HTML itself comes from a template or the view.
"""

from __future__ import annotations

import functools
import io
import logging
import os
import pathlib
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.sax.saxutils import escape

from pyramid.interfaces import IRendererInfo
from pyramid.registry import Registry
from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.markup import carriable
from pyramid_restproxy.renderers.base import Renderer, RendererFactory

__all__ = ["REPRESENTATION", "PdfFactory", "html_to_pdf"]

REPRESENTATION = Representation(
    "pdf", "application/pdf", (".pdf",), renderer="pdf", template=True
)

log = logging.getLogger(__name__)

_FONTS = pathlib.Path(__file__).parent / "fonts"

# The library releases the interpreter's lock while it works, and shares fonts between
# documents without saying that it may be used by several threads: one page at a time.
_ONE_AT_A_TIME = threading.Lock()


class PdfFactory(RendererFactory):
    """Renderer factory ``pdf``. Takes HTML text, or an object with ``__html__``."""

    representation = REPRESENTATION
    module = package = "plutoprint"
    extra = "pdf"

    def __call__(self, info: IRendererInfo) -> Renderer:
        """Make the renderer of one view, and load the fonts now, not in a request."""
        renderer = super().__call__(info)
        with _ONE_AT_A_TIME:
            _engine()
        return renderer

    def encode(
        self, value: Any, request: Request | None, registry: Registry | None
    ) -> bytes:
        """Write HTML as a PDF document."""
        if hasattr(value, "__html__"):
            value = value.__html__()
        if not isinstance(value, str):
            raise TypeError(
                "renderer 'pdf' takes HTML text or an object with __html__, "
                f"not {type(value).__qualname__}"
            )
        return html_to_pdf(value)


def html_to_pdf(html: str, *, title: str | None = None) -> bytes:
    """Return HTML as a PDF document. Thread-safe; one call works at a time.

    Only ``data:`` URLs are read; any other image, style sheet or font is missing.
    The library trusts its input: some malformed HTML (``<svg><html>``) ends the whole
    process, an image or a font of enormous size never comes to an end, and each level
    of tables in tables doubles the time. Give it the HTML of your own templates, with
    values escaped, and never HTML that a client wrote.

    :param title: the title of the document, in place of that in ``<title>``.
    :raises plutoprint.Error: where the document cannot be written.
    """
    with _ONE_AT_A_TIME:
        plutoprint = _engine()
        book = _book(plutoprint)
        book.load_html(carriable(html))
        if title is not None:
            book.set_metadata(plutoprint.PDF_METADATA_TITLE, carriable(title))
        stream = io.BytesIO()
        book.write_to_pdf_stream(stream)
    return stream.getvalue()


def _book(plutoprint: Any) -> Any:
    book = plutoprint.Book(plutoprint.PAGE_SIZE_A4, plutoprint.PAGE_MARGINS_MODERATE)
    book.custom_resource_fetcher = _refuser(plutoprint)
    return book


@functools.cache
def _refuser(plutoprint: Any) -> Any:
    """Return what stands between a document and the world.

    The library decodes ``data:`` URLs itself and asks here for every other one, also
    for those in style sheets and in SVG images.
    """

    class Refuser(plutoprint.ResourceFetcher):
        def fetch_url(self, url: str) -> Any:
            log.warning("not fetched while making a PDF: %r", url)
            # An exception would be printed by the library, with a traceback.
            return plutoprint.ResourceData(b"")

    return Refuser()


@functools.cache
def _engine() -> Any:
    """Return the library, which knows our fonts beside those of the machine."""
    import plutoprint

    with _fontconfig():
        book = _book(plutoprint)
        book.load_html("fonts are looked up when there is text")
        book.write_to_pdf_stream(io.BytesIO())
    return plutoprint


@contextmanager
def _fontconfig() -> Iterator[None]:
    """Let fontconfig, which reads its configuration once, add the fonts we ship.

    They come after those of the machine, which may have none at all.
    """
    name = "FONTCONFIG_FILE"
    machine = os.environ.get(name)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "restproxy.conf")
        file.write_text(_configuration(machine or "fonts.conf"), encoding="utf-8")
        os.environ[name] = str(file)
        try:
            yield
        finally:
            del os.environ[name]
            if machine is not None:
                os.environ[name] = machine


def _configuration(machine: str) -> str:
    return (
        '<?xml version="1.0"?><fontconfig>'
        f'<include ignore_missing="yes">{escape(machine)}</include>'
        f"<dir>{escape(str(_FONTS))}</dir></fontconfig>"
    )
