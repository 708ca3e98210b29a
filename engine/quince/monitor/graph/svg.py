"""A graph as SVG: one file with its own style, for light and dark, with nothing fetched or run."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape, quoteattr

from quince.monitor.graph.boxes import Arrow, Box, Graph, Shape
from quince.monitor.graph.layout import LINE, Drawing, Place, Point, cut, laid_out
from quince.text import in_line

_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot have."""

LONGEST_HINT = 300
"""Letters of a hint that are written."""

STYLE = """
.q{font:13px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.q{--ink:#1f2430;--line:#8a93a3;--fill:#fff;--soft:#f2f4f8}
@media(prefers-color-scheme:dark){.q{--ink:#e6e9ef;--line:#7d8797;--fill:#1b1f27;--soft:#262c37}}
.q text{fill:var(--ink);text-anchor:middle;dominant-baseline:central}
.q .second{font-size:11px;opacity:.75}.q .at{font-size:11px;text-anchor:start}
.q .box{fill:var(--fill);stroke:var(--line);stroke-width:1.3}
.q .test,.q .end,.q .more{fill:var(--soft)}.q .more{stroke-dasharray:3 3}
.q .arrow{fill:none;stroke:var(--line);stroke-width:1.3}.q .dashed{stroke-dasharray:5 4}
.q .head{fill:var(--line)}.q .current{stroke:#0b7fab;stroke-width:3}
.q .running{stroke:#0b8f9c;stroke-width:2.4}.q .waiting{stroke:#b58100}.q .created{stroke:#3b6fd4}
.q .paused{stroke:#a03bb5;stroke-width:2}.q .finished{stroke:#2e8b3d}
.q .failed,.q .excepted,.q .killed{stroke:#c62f2f;stroke-width:2}
"""


def svg_of(graph: Graph, link: Callable[[Box], str | None] | None = None) -> str:
    """The graph as the text of an SVG file. All that users have written is escaped in it.

    Args:
        link: Where a box leads, on a page that has a style for such drawings; None: it has its own.
    """
    drawing = laid_out(graph)
    width, height = round(drawing.width), round(drawing.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="q" role="{"img" if link is None else "group"}" '
        f'width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">',
        f"<title>{_text(graph.title)}</title>",
        f"<style>{STYLE}</style>" if link is None else "",
        '<defs><marker id="q-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>',
        *(_arrow(arrow, points, drawing) for arrow, points in drawing.lines),
        *(_linked(box, drawing.places[box.name], link and link(box)) for box in graph.boxes),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _text(text: str) -> str:
    return escape(_UNFIT.sub("\ufffd", in_line(text)))


def _linked(box: Box, place: Place, to: str | None) -> str:
    drawn = _box(box, place)
    return f"<a href={quoteattr(to)}>{drawn}</a>" if to else drawn


def _box(box: Box, place: Place) -> str:
    left, top = place.x - place.width / 2, place.y - place.height / 2
    names = " ".join(part for part in ("box", box.shape, box.look, "current" if box.current else "") if part)
    if box.shape is Shape.TEST:
        right, bottom, inset = left + place.width, top + place.height, 14
        corners = (
            f"{left:.0f},{place.y:.0f} {left + inset:.0f},{top:.0f} {right - inset:.0f},{top:.0f} "
            f"{right:.0f},{place.y:.0f} {right - inset:.0f},{bottom:.0f} {left + inset:.0f},{bottom:.0f}"
        )
        outline = f'<polygon class="{names}" points="{corners}"/>'
    else:
        round_by = place.height / 2 if box.shape is Shape.END else 5
        outline = (
            f'<rect class="{names}" x="{left:.0f}" y="{top:.0f}" width="{place.width:.0f}" '
            f'height="{place.height:.0f}" rx="{round_by:.0f}"/>'
        )
    first = place.y - LINE * (len(box.lines) - 1) / 2
    lines = "".join(
        f'<text{" class=" + quoteattr("second") if number else ""} x="{place.x:.0f}" '
        f'y="{first + LINE * number:.0f}">{_text(cut(line))}</text>'
        for number, line in enumerate(box.lines)
    )
    hint = f"<title>{_text(box.hint[:LONGEST_HINT])}</title>" if box.hint else ""
    return f'<g data-box="{_text(box.name)}">{hint}{outline}{lines}</g>'


def _arrow(arrow: Arrow, points: Sequence[Point], drawing: Drawing) -> str:
    names = "arrow dashed" if arrow.dashed else "arrow"
    head = "" if drawing.graph.tree and not arrow.dashed else ' marker-end="url(#q-head)"'
    line = _straight(points) if arrow.back else _curved(points, sideways=drawing.graph.tree)
    said = ""
    if arrow.text and not arrow.dashed:
        (x, y), (to_x, to_y), *_ = points
        beside = -30 if to_x < x else 6
        x, y = (to_x if arrow.back else (x + 2 * to_x) / 3) + beside, (2 * y + to_y) / 3
        said = f'<text class="at" x="{x:.0f}" y="{y:.0f}">{_text(arrow.text)}</text>'
    return f'<path class="{names}"{head} d="{line}"/>{said}'


def _straight(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points)


def _curved(points: Sequence[Point], *, sideways: bool) -> str:
    (x, y), *others = points
    line = f"M{x:.0f} {y:.0f}"
    for to_x, to_y in others:
        if sideways:
            half = (x + to_x) / 2
            line += f"C{half:.0f} {y:.0f} {half:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
        else:
            half = (y + to_y) / 2
            line += f"C{x:.0f} {half:.0f} {to_x:.0f} {half:.0f} {to_x:.0f} {to_y:.0f}"
        x, y = to_x, to_y
    return line
