"""HTML forms that mean PUT, PATCH or DELETE, with and without JavaScript.

The helpers return markup (anything with ``__html__`` is not escaped again by
Jinja2, Chameleon and Mako). ``static/forms.js`` sends the same forms with the
real method; without it the override tween does.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

__all__ = ["Markup", "delete_form", "method_field"]


class Markup(str):
    """Text that is HTML already."""

    def __html__(self) -> str:
        return str(self)


def method_field(method: str, field: str = "_method") -> Markup:
    """Make the hidden field that asks for a method.

    :param method: e.g. ``'DELETE'``.
    :param field: its name, as in ``restproxy.override.field``.
    """
    return _hidden(field, method.upper())


def _hidden(name: str, value: str) -> Markup:
    return Markup(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
    )


def delete_form(
    url: str,
    label: str = "Delete",
    *,
    csrf_token: str | None = None,
    confirm: str | None = None,
    remove: str | None = None,
    describe: str | None = None,
    fields: Mapping[str, str] | None = None,
) -> Markup:
    """Make a form with one button that deletes what is at a URL.

    :param url: the resource, e.g. ``request.route_path('post', id=1)``.
    :param label: the text of the button.
    :param csrf_token: sent as ``csrf_token``; ``get_csrf_token()`` in a template.
    :param confirm: a question that the script asks first (nobody without JavaScript).
    :param remove: a CSS selector: the closest such element goes away when the
        script has deleted the resource; without one the page follows the redirect.
    :param describe: the button's name for screen readers, e.g. ``Delete "Hello"``.
    :param fields: further hidden fields, by name; the view has them in
        ``request.POST``.
    """
    hidden = {"csrf_token": csrf_token} if csrf_token else {}
    inputs = "".join(_hidden(n, v) for n, v in {**hidden, **(fields or {})}.items())
    data = {"confirm": confirm, "remove": remove}
    attributes = "".join(
        f' data-rest-{name}="{escape(value)}"' for name, value in data.items() if value
    )
    name = f' aria-label="{escape(describe)}"' if describe else ""
    return Markup(
        f'<form method="post" action="{escape(url)}" class="rest-delete" '
        f"data-rest{attributes}>{method_field('DELETE')}{inputs}"
        f'<button type="submit"{name}>{escape(label)}</button></form>'
    )
