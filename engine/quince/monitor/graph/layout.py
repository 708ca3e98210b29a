"""Where boxes and arrows are drawn: a flow chart in layers from top to bottom, a tree from left to right."""

from __future__ import annotations

import itertools
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quince.monitor.graph.boxes import Arrow, Box, Graph, Shape

Point = tuple[float, float]

LETTER, LINE = 7.4, 17.0
GAP, LAYER, INDENT, MARGIN = 26.0, 40.0, 46.0, 14.0
LONGEST = 44
"""Letters of a line that are drawn."""
_SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box is: its middle, and how large it is."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph that is laid out.

    Attributes:
        places: Of the boxes, by name.
        lines: Through which points each arrow goes.
    """

    graph: Graph
    places: Mapping[str, Place]
    lines: Sequence[tuple[Arrow, Sequence[Point]]]
    width: float
    height: float


def cut(line: str) -> str:
    """A line as long as is drawn."""
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def laid_out(graph: Graph) -> Drawing:
    """The graph with all places."""
    return _tree(graph) if graph.tree else _layers(graph)


def _size(box: Box) -> tuple[float, float]:
    widest = max(sum(_width(letter) for letter in cut(line)) for line in box.lines)
    extra = 44.0 if box.shape is Shape.TEST else 24.0
    return widest + extra, LINE * len(box.lines) + 14.0


def _width(letter: str) -> float:
    return 2 * LETTER if unicodedata.east_asian_width(letter) in "WF" else LETTER


def _tree(graph: Graph) -> Drawing:
    """Each leaf has a row of its own, and who has children stands beside the middle of theirs."""
    sizes = {box.name: _size(box) for box in graph.boxes}
    children: dict[str, list[str]] = defaultdict(list)
    parents: dict[str, str] = {}
    for arrow in graph.arrows:
        if not arrow.dashed:
            children[arrow.source].append(arrow.target)
            parents[arrow.target] = arrow.source
    depths: dict[str, int] = {}
    for box in graph.boxes:
        depths[box.name] = depths[parents[box.name]] + 1 if box.name in parents else 0
    columns: dict[int, float] = defaultdict(float)
    for name, depth in depths.items():
        columns[depth] = max(columns[depth], sizes[name][0])
    lefts, left = {}, MARGIN
    for depth in sorted(columns):
        lefts[depth], left = left, left + columns[depth] + INDENT
    rows: dict[str, float] = {}
    bottom = MARGIN
    for box in graph.boxes:  # parents first
        if not children[box.name]:
            rows[box.name] = bottom + sizes[box.name][1] / 2
            bottom += sizes[box.name][1] + GAP / 3
    for box in reversed(graph.boxes):
        if below := children[box.name]:
            rows[box.name] = (rows[below[0]] + rows[below[-1]]) / 2
    places = {
        name: Place(lefts[depth] + sizes[name][0] / 2, rows[name], *sizes[name])
        for name, depth in depths.items()
    }
    lines = [(arrow, _sideways(places[arrow.source], places[arrow.target])) for arrow in graph.arrows]
    return Drawing(graph, places, lines, left - INDENT + MARGIN, bottom + MARGIN)


def _sideways(source: Place, target: Place) -> list[Point]:
    return [(source.x + source.width / 2, source.y), (target.x - target.width / 2, target.y)]


def _layers(graph: Graph) -> Drawing:
    """Each box below all that lead to it; arrows that skip layers have a place of their own in each."""
    sizes = {box.name: _size(box) for box in graph.boxes}
    levels = _levels(graph)
    forward = [arrow for arrow in graph.arrows if not arrow.back]
    paths: dict[int, list[str]] = {}
    layers: list[list[str]] = [[] for _ in range(max(levels.values(), default=0) + 1)]
    for box in graph.boxes:
        layers[levels[box.name]].append(box.name)
    for number, arrow in enumerate(forward):
        between = range(levels[arrow.source] + 1, levels[arrow.target])
        paths[number] = [arrow.source, *(f"{number}/{level}" for level in between), arrow.target]
        for level in between:
            layers[level].append(f"{number}/{level}")
            sizes[f"{number}/{level}"] = (8.0, 0.0)
    above: dict[str, list[str]] = defaultdict(list)
    below: dict[str, list[str]] = defaultdict(list)
    for path in paths.values():
        for one, other in itertools.pairwise(path):
            above[other].append(one)
            below[one].append(other)
    xs = _columns(layers, above, below, sizes)
    places, bottom = _rows(layers, xs, sizes)
    right = max(place.x + place.width / 2 for place in places.values())
    lines: list[tuple[Arrow, Sequence[Point]]] = [
        (arrow, _downwards([places[name] for name in paths[number]])) for number, arrow in enumerate(forward)
    ]
    backs = [arrow for arrow in graph.arrows if arrow.back]
    for number, arrow in enumerate(backs):
        side = right + GAP + 12.0 * number
        lines.append((arrow, _around(places[arrow.source], places[arrow.target], side)))
    bottom = max([bottom, *(y + MARGIN for _, points in lines for _, y in points)])
    width = right + (GAP + 12.0 * len(backs) if backs else 0.0) + MARGIN
    return Drawing(graph, {box.name: places[box.name] for box in graph.boxes}, lines, width, bottom)


def _levels(graph: Graph) -> dict[str, int]:
    levels = {box.name: 0 for box in graph.boxes}
    targets: dict[str, list[str]] = defaultdict(list)
    for arrow in graph.arrows:
        if not arrow.back:
            targets[arrow.source].append(arrow.target)
    for box in graph.boxes:  # each stands before those that its arrows lead to
        for target in targets[box.name]:
            levels[target] = max(levels[target], levels[box.name] + 1)
    return levels


def _columns(
    layers: Sequence[list[str]],
    above: Mapping[str, Sequence[str]],
    below: Mapping[str, Sequence[str]],
    sizes: Mapping[str, tuple[float, float]],
) -> dict[str, float]:
    """The middle of each: near that of its neighbours, in an order in which few arrows cross."""
    xs: dict[str, float] = {}
    for sweep in range(_SWEEPS):
        near = above if sweep % 2 == 0 else below
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wishes = {name: _mean([xs[one] for one in near[name]], xs.get(name, 0.0)) for name in layer}
            _spread(layer, xs, sizes, wishes)
    least = min((x - sizes[name][0] / 2 for name, x in xs.items()), default=0.0)
    return {name: x - least + MARGIN for name, x in xs.items()}


def _mean(numbers: Sequence[float], other: float) -> float:
    return sum(numbers) / len(numbers) if numbers else other


def _spread(
    layer: list[str],
    xs: dict[str, float],
    sizes: Mapping[str, tuple[float, float]],
    wishes: Mapping[str, float],
) -> None:
    """Put those of a layer where they are wanted, in that order, without one on another."""
    layer.sort(key=lambda name: wishes[name])
    place = float("-inf")
    for name in layer:
        half = sizes[name][0] / 2
        xs[name] = max(wishes[name], place + half)
        place = xs[name] + half + GAP
    if layer:
        shift = sum(wishes[name] - xs[name] for name in layer) / len(layer)
        for name in layer:
            xs[name] += shift


def _rows(
    layers: Sequence[Sequence[str]], xs: Mapping[str, float], sizes: Mapping[str, tuple[float, float]]
) -> tuple[dict[str, Place], float]:
    places: dict[str, Place] = {}
    top = MARGIN
    for layer in layers:
        height = max((sizes[name][1] for name in layer), default=0.0)
        for name in layer:
            places[name] = Place(xs[name], top + height / 2, *sizes[name])
        top += height + LAYER
    return places, top - LAYER + MARGIN


def _downwards(path: Sequence[Place]) -> list[Point]:
    first, *middle, last = path
    return [
        (first.x, first.y + first.height / 2),
        *((place.x, place.y) for place in middle),
        (last.x, last.y - last.height / 2),
    ]


def _around(source: Place, target: Place, side: float) -> list[Point]:
    """Out of the bottom of one, up at the side of all, and into the right of the other."""
    below = source.y + source.height / 2
    return [
        (source.x, below),
        (source.x, below + LAYER * 0.45),
        (side, below + LAYER * 0.45),
        (side, target.y),
        (target.x + target.width / 2, target.y),
    ]
