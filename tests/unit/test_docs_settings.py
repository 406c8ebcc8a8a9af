"""The settings table of the docs says what the code says, and nothing else."""

from __future__ import annotations

import pathlib

from pyramid_restproxy.settings import BACKEND_OPTIONS, PREFIX, SETTINGS, Setting

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "settings.rst"


def shown(default: object) -> str:
    if default is None or default == "" or default == ():
        return "none"
    if isinstance(default, tuple):
        return f"``{' '.join(default)}``"
    if isinstance(default, bool):
        return f"``{str(default).lower()}``"
    return f"``{default:g}``" if isinstance(default, float) else f"``{default}``"


def row(name: str, setting: Setting) -> str:
    return (
        f"   * - ``{name}``\n"
        f"     - {shown(setting.default)}\n"
        f"     - {setting.unit}\n"
        f"     - {setting.effect}\n"
    )


def table(prefix: str, rows: tuple[Setting, ...]) -> str:
    return "".join(row(prefix + setting.name, setting) for setting in rows)


def test_every_setting_is_in_the_docs_with_default_unit_and_effect():
    text = PAGE.read_text("utf-8")
    assert table(PREFIX, SETTINGS) in text
    assert table(PREFIX + "backend.NAME.", BACKEND_OPTIONS) in text


def test_the_docs_name_no_other_setting():
    text = PAGE.read_text("utf-8")
    assert text.count("   * - ``restproxy.") == len(SETTINGS) + len(BACKEND_OPTIONS)
