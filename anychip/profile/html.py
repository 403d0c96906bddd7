"""One HTML page that asks nothing of the network, around any fragment."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files


def html_page(title: str, fragment: str) -> str:
    """The whole page.

    Args:
        title: plain text.
        fragment: contents with their style, as a notebook would show them.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n"
        "<style>html { color-scheme: light dark; } body { margin: 0; } "
        "@media (prefers-color-scheme: dark) { body { background: #15181c; } }</style>\n"
        f"</head>\n<body>\n{fragment}\n</body>\n</html>\n"
    )


@cache
def page_style() -> str:
    """The style sheet that every page shares."""
    return (files("anychip.profile") / "page.css").read_text(encoding="utf-8")
