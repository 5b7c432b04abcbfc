"""Builds HTML pages that hold their images and need no other file."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["html_figure", "html_image", "html_page", "html_table"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto }
td, th { padding: .2rem .8rem; text-align: right }
td:first-child, th:first-child { text-align: left } tr { border-bottom: 1px solid #ddd }
ul { list-style: none; padding: 0 } figure { display: inline-block; margin: 0 1rem 1rem 0 }
img { image-rendering: pixelated; max-width: 100% } svg { max-width: 100%; height: auto }
"""


def html_page(title: str, body: str) -> str:
    """Returns a page with a title, which is escaped, and a body of HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n{body}\n"
        "</body></html>\n"
    )


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table of escaped cells."""
    lines = [_row("th", head), *(_row("td", row) for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def html_image(png: bytes, alt: str, width: int | None = None) -> str:
    """Returns an `img` element that holds a PNG image.

    Args:
        png: Content of the PNG file.
        alt: Description of the image, which is escaped.
        width: Width in pixels of the page. Defaults to the width of the image.
    """
    size = "" if width is None else f' style="width:{width}px"'
    encoded = base64.b64encode(png).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{encoded}"{size}>'


def html_figure(image: str, caption: str) -> str:
    """Returns a figure of an element and a caption, which is escaped."""
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"
