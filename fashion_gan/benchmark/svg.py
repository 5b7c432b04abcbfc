"""A bar chart as SVG text: one bar a value, with a whisker from its least to its largest."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

__all__ = ["Bar", "bars"]

_LABELS, _BARS, _NUMBERS, _ROW = 220, 440, 120, 26  # widths and the height of a row, in pixels


class Bar(NamedTuple):
    """`value` is drawn, `low` to `high` is its spread; all of them at least 0."""

    label: str
    value: float
    low: float
    high: float


def bars(title: str, unit: str, values: Sequence[Bar]) -> str:
    """An SVG document with one horizontal bar for each of `values`, all to one scale from 0.

    Raises:
        ValueError: if there is no value.
    """
    if not values:
        raise ValueError("Expected at least one bar to draw. Received: none.")
    scale = _BARS / (max(bar.high for bar in values) or 1)
    width, height = _LABELS + _BARS + _NUMBERS, _ROW * (len(values) + 2)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{_LABELS}" y="{0.7 * _ROW:.0f}" font-weight="bold">{escape(title)}</text>',
    ]
    for row, bar in enumerate(values, start=1):
        top, middle = _ROW * row + 4, _ROW * (row + 0.5)
        low, high = (_LABELS + scale * edge for edge in (bar.low, bar.high))
        lines += [
            f'<text x="{_LABELS - 8}" y="{middle + 4}" text-anchor="end">'
            f"{escape(bar.label)}</text>",
            f'<rect x="{_LABELS}" y="{top}" width="{scale * bar.value:.1f}" height="{_ROW - 8}" '
            'fill="#4c78a8"/>',
            f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="black"/>',
            f'<text x="{high + 8:.1f}" y="{middle + 4}">{bar.value:.3g} {escape(unit)}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
