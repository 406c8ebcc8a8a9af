"""The examples of docs/testing.rst run, one after the other, as they stand there."""

from __future__ import annotations

import pathlib
import re
import textwrap

import pyramid_restproxy

PAGE = pathlib.Path(pyramid_restproxy.__file__).parents[1] / "docs" / "testing.rst"
BLOCK = re.compile(r"\.\. code-block:: (\w+)\n\n((?:   .*\n|\n)+)")


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    kinds = []
    for kind, text in BLOCK.findall(PAGE.read_text("utf-8")):
        kinds.append(kind)
        if kind == "json":
            (tmp_path / "vectors.json").write_text(text, "utf-8")
        else:
            exec(compile(textwrap.dedent(text), str(PAGE), "exec"), names)
    assert kinds == ["python"] * 4 + ["json", "python"]
