from __future__ import annotations

import contextlib
import io
import os
import pathlib
import socket
import subprocess
import sys
import threading
from urllib.parse import quote

import pypdf
import pytest

from pyramid_restproxy.renderers import pdf as module
from pyramid_restproxy.renderers.pdf import html_to_pdf

SECRET = "/etc/passwd"


def read(document):
    return pypdf.PdfReader(io.BytesIO(document))


def text_of(document):
    return "\n".join(page.extract_text() for page in read(document).pages)


@pytest.fixture
def server():
    """A listening socket: its URL, and a check that nobody has connected."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        with contextlib.suppress(BlockingIOError):
            connection, _ = listening.accept()
            connection.close()
            pytest.fail("something was fetched")


class Page:
    def __html__(self):
        return "<p>from an object"


def test_text_of_the_page(render):
    assert text_of(render("pdf", "<h1>Grüße</h1><p>Ж €")) == "Grüße\nЖ €"


def test_an_object_with_html(render):
    assert text_of(render("pdf", Page())) == "from an object"


@pytest.mark.parametrize("value", [{"a": 1}, b"<p>", None])
def test_what_is_not_html(render, value):
    with pytest.raises(TypeError, match="takes HTML text"):
        render("pdf", value)


def test_the_page_is_a4_with_margins():
    box = read(html_to_pdf("<p>x")).pages[0].mediabox
    assert (round(box.width), round(box.height)) == (595, 842)


def test_title_of_the_document():
    html = "<title>A &amp; Ö</title><p>x"
    assert read(html_to_pdf(html)).metadata.title == "A & Ö"
    assert read(html_to_pdf(html, title="B\0")).metadata.title == "B\ufffd"


@pytest.mark.parametrize("html", ["", "<p>a\0b", "<p>a\ud800b", "plain <", "<p>\ufffe"])
def test_odd_text_is_still_a_page(html):
    assert len(read(html_to_pdf(html)).pages) == 1


def test_scripts_are_not_run():
    html = "<p id=p>still<script>document.write('run');p.remove()</script>"
    assert text_of(html_to_pdf(html)).strip() == "still"


PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_data_urls_are_read(caplog):
    found = html_to_pdf(
        f'<link rel=stylesheet href="data:text/css,b%7B%7D"><img src="{PIXEL}">'
    )
    assert "/XObject" in read(found).pages[0]["/Resources"]
    assert not caplog.records


def svg(url):
    inner = f'<image href="{url}" width="9" height="9"/><use href="{url}#a"/>'
    return quote(f'<svg xmlns="http://www.w3.org/2000/svg">{inner}</svg>')


def css(url):
    return quote(f"@import '{url}'; body{{background:url({url})}}")


FETCHING = {
    "img": '<img src="{url}">',
    "link": '<link rel=stylesheet href="{url}">',
    "import": '<style>@import url("{url}");</style>',
    "font": (
        '<style>@font-face{{font-family:f;src:url("{url}")}}p{{font-family:f}}</style>'
    ),
    "background": '<p style="background:url({url})">',
    "list": '<ul style="list-style-image:url({url})"><li>x</ul>',
    "content": '<style>p::before{{content:url("{url}")}}</style>',
    "object": '<object data="{url}"></object>',
    "iframe": '<iframe src="{url}"></iframe>',
    "embed": '<embed src="{url}">',
    "base": '<base href="{url}"><img src="y.png">',
    "svg image": '<svg><image href="{url}" width="9" height="9"/></svg>',
    "svg use": '<svg><use href="{url}#a"/></svg>',
    "image in an svg image": '<img src="data:image/svg+xml,{svg}">',
    "svg background": '<p style="background:url(data:image/svg+xml,{svg})">x',
    "sheet in a sheet": '<link rel=stylesheet href="data:text/css,{css}">',
}


@pytest.mark.parametrize("html", FETCHING.values(), ids=FETCHING)
def test_nothing_is_fetched_from_the_network(server, html):
    html = html.format(url=server, svg=svg(server), css=css(server))
    assert "readable" in text_of(html_to_pdf(f"{html}<p>readable"))


@pytest.mark.parametrize("html", FETCHING.values(), ids=FETCHING)
@pytest.mark.parametrize("prefix", ["file://", "FILE://", "file:", "file://localhost"])
def test_nothing_is_read_from_the_file_system(tmp_path, html, prefix):
    file = tmp_path / "secret"
    os.mkfifo(file)  # reading it would hang for ever
    url = f"{prefix}{file}"
    html = html.format(url=url, svg=svg(url), css=css(url))
    assert "readable" in text_of(html_to_pdf(f"{html}<p>readable"))


def test_a_style_sheet_of_the_file_system_has_no_effect(tmp_path):
    sheet = tmp_path / "hide.css"
    sheet.write_text("p { display: none }")
    html = f'<link rel=stylesheet href="{sheet.as_uri()}"><p>visible'
    assert "visible" in text_of(html_to_pdf(html))


def test_what_is_refused_is_logged(caplog):
    html_to_pdf(f'<img src="file://{SECRET}"><p>x')
    assert caplog.messages == ["not fetched while making a PDF: 'file:///etc/passwd'"]


def test_relative_urls_have_no_base():
    assert text_of(html_to_pdf('<img src="../x.png"><p>x')) == "x"


def test_several_threads():
    found = []

    def work():
        found.append(text_of(html_to_pdf("<h1>one</h1><p style='font-family:serif'>x")))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["one\nx"] * 8


PROGRAM = """
import os, sys
from pyramid_restproxy.renderers.pdf import html_to_pdf
before = dict(os.environ)
families = ("Arial", "serif", "monospace", "'No Such Font'")
html = "".join(f'<p style="font-family:{f}">Text Ж' for f in families)
document = html_to_pdf("<h1>Heading</h1>" + html)
assert dict(os.environ) == before
sys.stdout.buffer.write(document)
"""


@pytest.fixture(scope="module")
def without_fonts(tmp_path_factory):
    """A document made where fontconfig is told of no fonts at all."""
    made = {}

    def make(variable):
        if variable not in made:
            folder = tmp_path_factory.mktemp("fontconfig")
            file = folder / "fonts.conf"
            file.write_text('<?xml version="1.0"?><fontconfig></fontconfig>')
            value = str(file if variable == "FONTCONFIG_FILE" else folder)
            made[variable] = subprocess.run(
                [sys.executable, "-c", PROGRAM],
                env={**os.environ, variable: value},
                capture_output=True,
                check=True,
            ).stdout
        return made[variable]

    return make


@pytest.mark.parametrize("variable", ["FONTCONFIG_FILE", "FONTCONFIG_PATH"])
def test_text_shows_on_a_machine_without_fonts(without_fonts, variable):
    document = without_fonts(variable)
    assert text_of(document) == "\n".join(["Heading"] + ["Text Ж"] * 4)
    fonts = read(document).pages[0]["/Resources"]["/Font"].values()
    names = {str(font.get_object()["/BaseFont"]).partition("+")[2] for font in fonts}
    assert names == {"DejaVuSans", "DejaVuSans-Bold"}


def test_the_glyphs_are_painted(without_fonts, tmp_path, need):
    program = need("pdftoppm")
    file = tmp_path / "page.pdf"
    file.write_bytes(without_fonts("FONTCONFIG_FILE"))
    painted = subprocess.run(
        [program, "-gray", "-r", "50", str(file)], capture_output=True, check=True
    ).stdout
    pixels = painted.split(b"\n255\n", 1)[1]
    assert sum(pixel < 128 for pixel in pixels) > 200


def test_the_fonts_are_shipped_with_their_licence():
    folder = pathlib.Path(module.__file__).parent / "fonts"
    assert sorted(file.name for file in folder.iterdir()) == [
        "DejaVuSans-Bold.ttf",
        "DejaVuSans.ttf",
        "LICENSE.txt",
    ]
    assert "Bitstream" in (folder / "LICENSE.txt").read_text()


@pytest.mark.parametrize("machine", [None, "/x & y/fonts.conf"])
def test_the_environment_is_put_back(monkeypatch, machine):
    monkeypatch.delenv("FONTCONFIG_FILE", raising=False)
    if machine:
        monkeypatch.setenv("FONTCONFIG_FILE", machine)
    with module._fontconfig():
        ours = pathlib.Path(os.environ["FONTCONFIG_FILE"]).read_text()
    assert ("/x &amp; y/fonts.conf" if machine else ">fonts.conf<") in ours
    assert os.environ.get("FONTCONFIG_FILE") == machine
