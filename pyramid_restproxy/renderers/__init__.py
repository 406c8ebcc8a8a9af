"""The formats in which a value can be sent, each a Pyramid renderer of its own.

Which of them is chosen for a request is not decided here. A format's library is
imported when the format is first wanted, never before.
"""

from __future__ import annotations

from pyramid.config import Configurator

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.renderers import (
    cbor,
    csv,
    json,
    messagepack,
    nothing,
    pdf,
    xlsx,
    xml,
    yaml,
)

__all__ = ["BUILTIN", "includeme"]

_HTML = Representation("html", "text/html", (".html",), charset="UTF-8", template=True)

#: The representations that need no directive, in server order.
BUILTIN: tuple[Representation, ...] = (
    _HTML,
    json.REPRESENTATION,
    xml.REPRESENTATION,
    csv.REPRESENTATION,
    yaml.REPRESENTATION,
    messagepack.REPRESENTATION,
    cbor.REPRESENTATION,
    xlsx.REPRESENTATION,
    pdf.REPRESENTATION,
)


def includeme(config: Configurator) -> None:
    """Add the renderers."""
    config.add_renderer("rest_json", json.JsonFactory())
    config.add_renderer("xml", xml.XmlFactory())
    config.add_renderer("csv", csv.CsvFactory())
    config.add_renderer("yaml", yaml.YamlFactory())
    config.add_renderer("msgpack", messagepack.MessagePackFactory())
    config.add_renderer("cbor", cbor.CborFactory())
    config.add_renderer("xlsx", xlsx.XlsxFactory())
    config.add_renderer("pdf", pdf.PdfFactory())
    config.add_renderer("no_content", nothing.NoContentFactory())
