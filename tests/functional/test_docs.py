"""The documentation builds without a warning, and README's commands are CI's."""

from __future__ import annotations

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def test_the_docs_build_without_a_warning(tmp_path):
    command = [sys.executable, "-W", "ignore", "-m", "sphinx", "-W", "-E", "-q"]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "settings.html").exists()


def test_the_readme_is_valid_restructured_text():
    from docutils.core import publish_doctree

    text = (ROOT / "README.rst").read_text("utf-8")
    settings = {"report_level": 2, "halt_level": 2}
    publish_doctree(text, settings_overrides=settings)
