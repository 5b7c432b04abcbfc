"""Draws charts as SVG text: bars with whiskers, and curves."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

__all__ = ["COLORS", "Bar", "bars", "curves"]

COLORS = ("#4c78a8", "#e45756", "#54a24b", "#b279a2", "#f58518", "#72b7b2", "#9d755d", "#bab0ac")
"""Colors of curves in order, repeated as needed."""

_LABELS, _BARS, _NUMBERS, _ROW = 220, 440, 120, 26  # widths and the height of a row, in pixels
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 440, 240, 64, 28, 28  # pixels of a chart of curves


class Bar(NamedTuple):
    """Describes a bar of length `value` with a whisker from `low` to `high`, all at least 0."""

    label: str
    value: float
    low: float
    high: float


def bars(title: str, unit: str, values: Sequence[Bar]) -> str:
    """Returns an SVG document with one horizontal bar for each value, on a scale from 0.

    Raises:
        ValueError: If there is no value.
    """
    if not values:
        raise ValueError("Expected at least one bar to draw. Received: none.")
    scale = _BARS / (max(bar.high for bar in values) or 1)
    width, height = _LABELS + _BARS + _NUMBERS, _ROW * (len(values) + 2)
    lines = [
        *_begin(width, height),
        f'<text x="{_LABELS}" y="{0.7 * _ROW:.0f}" font-weight="bold">{escape(title)}</text>',
    ]
    for row, bar in enumerate(values, start=1):
        top, middle = _ROW * row + 4, _ROW * (row + 0.5)
        low, high = (_LABELS + scale * edge for edge in (bar.low, bar.high))
        lines += [
            f'<text x="{_LABELS - 8}" y="{middle + 4}" text-anchor="end">'
            f"{escape(bar.label)}</text>",
            f'<rect x="{_LABELS}" y="{top}" width="{scale * bar.value:.1f}" height="{_ROW - 8}" '
            f'fill="{COLORS[0]}"/>',
            f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="black"/>',
            f'<text x="{high + 8:.1f}" y="{middle + 4}">{bar.value:.3g} {escape(unit)}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def curves(
    title: str, x_label: str, series: Mapping[str, Sequence[tuple[float, float | None]]]
) -> str:
    """Returns an SVG document with a curve for each named series of points `(x, y)`.

    All curves share one scale. A curve has a gap where y is None or not finite. Names appear on
    hovering. Colors are `COLORS` in the order of the series.

    Raises:
        ValueError: If there is no point.
    """
    known = {
        name: [(x, y if y is not None and math.isfinite(y) else None) for x, y in points]
        for name, points in series.items()
    }
    points = [(x, y) for points in known.values() for x, y in points if y is not None]
    if not points:
        raise ValueError(f"Expected at least one point to draw. Received: none, for {title!r}.")
    xs, ys = zip(*points, strict=True)
    (left, right), (low, high) = _ends(xs), _ends(ys)
    width, height = _WIDTH - _LEFT - 12, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> str:
        across, up = (x - left) / (right - left), (y - low) / (high - low)
        return f"{_LEFT + width * across:.1f} {_TOP + height * (1 - up):.1f}"

    bottom = _HEIGHT - _BOTTOM
    lines = [
        *_begin(_WIDTH, _HEIGHT),
        f'<text x="{_LEFT}" y="18" font-weight="bold">{escape(title)}</text>',
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - 12}" stroke="gray" fill="none"/>',
        f'<text x="{_LEFT - 6}" y="{_TOP + 8}" text-anchor="end">{high:.3g}</text>',
        f'<text x="{_LEFT - 6}" y="{bottom}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}">{left:g}</text>',
        f'<text x="{_WIDTH - 12}" y="{_HEIGHT - 8}" text-anchor="end">{right:g}</text>',
        f'<text x="{_LEFT + width / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{escape(x_label)}</text>",
    ]
    for index, (name, curve) in enumerate(known.items()):
        pen, path = "M", ""
        for x, y in curve:
            path += "" if y is None else f"{pen}{place(x, y)}"
            pen = "M" if y is None else "L"
        color = COLORS[index % len(COLORS)]
        lines.append(
            f'<path d="{path}" stroke="{color}" stroke-width="2" stroke-linecap="round" '
            f'fill="none"><title>{escape(name)}</title></path>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _begin(width: int, height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Returns the minimum and the maximum, which always differ."""
    low, high = min(values), max(values)
    margin = 0.5 * max(1.0, abs(low))
    return (low, high) if low < high else (low - margin, high + margin)
