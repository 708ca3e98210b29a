"""The timeline of a tree as a drawing: a lane for each process, a bar for each stretch of its time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quince.moments import clock, span
from quince.monitor.history import Bar, Durations

WIDTH, LEFT, LANE, TOP = 1100.0, 210.0, 22.0, 26.0
_STEPS = (1, 2, 5, 10, 15, 30)
_UNITS = (1e-3, 1e-2, 0.1, 1.0, 60.0, 3600.0, 86_400.0, 864_000.0, 8_640_000.0)


@dataclass(frozen=True)
class Box:
    """A bar, in the units of the drawing. `said` is what it tells when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    said: str
    critical: bool = False


@dataclass(frozen=True)
class Lane:
    """The name before a lane."""

    pid: int
    name: str
    y: float
    indent: float = 0.0


@dataclass(frozen=True)
class Drawing:
    """What is drawn."""

    width: float
    height: float
    lanes: Sequence[Lane]
    boxes: Sequence[Box]
    ticks: Sequence[tuple[float, str]]
    left: float = LEFT
    top: float = TOP
    lane: float = LANE


def drawing(bars: Sequence[Bar], names: Mapping[int, str], order: Sequence[int]) -> Drawing | None:
    """The timeline of these processes; None if nothing of them is known.

    Args:
        names: Of the processes, by pid.
        order: Which are drawn, from the top down.
    """
    shown = set(order)
    chosen = [bar for bar in bars if bar.pid in shown]
    if not chosen:
        return None
    first, last = min(bar.start for bar in chosen), max(bar.end for bar in chosen)
    length = max(last - first, 1e-3)
    scale = (WIDTH - LEFT - 10) / length
    rank = {pid: number for number, pid in enumerate(order)}
    boxes = [
        Box(
            round(LEFT + (bar.start - first) * scale, 2),
            TOP + rank[bar.pid] * LANE + 4,
            round(max((bar.end - bar.start) * scale, 1.2), 2),
            LANE - 8,
            "failed" if bar.failed else str(bar.doing),
            _said(bar),
            bar.critical,
        )
        for bar in sorted(chosen, key=lambda bar: (bar.critical, bar.start))
    ]
    lanes = [Lane(pid, names.get(pid, ""), TOP + rank[pid] * LANE) for pid in order]
    ticks = [(round(LEFT + at * scale, 2), said) for at, said in _ticks(length)]
    return Drawing(WIDTH, TOP + len(order) * LANE + 6, lanes, boxes, ticks)


def _said(bar: Bar) -> str:
    what = f"{bar.step or 'first step'}, attempt {bar.attempt}" if bar.doing == "running" else str(bar.doing)
    where = f" on {bar.worker}" if bar.worker else ""
    how = " (failed)" if bar.failed else " (goes on)" if bar.open else ""
    return f"{bar.pid} {what}{where}: {span(bar.end - bar.start)}{how}, from {clock(bar.start)}"


def _ticks(length: float) -> list[tuple[float, str]]:
    """Round times, some six of them."""
    wanted = length / 6
    size = next((unit * step for unit in _UNITS for step in _STEPS if unit * step >= wanted), wanted)
    return [(number * size, _plain(number * size)) for number in range(math.floor(length / size) + 1)]


def _plain(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms" if seconds else "0"
    return span(seconds)


def split(spent: Durations) -> list[Box]:
    """For how long a process has been what, as one bar of 100 x 10."""
    kinds = [
        (kind, seconds)
        for kind in ("queued", "running", "waiting", "paused")
        if (seconds := getattr(spent, kind)) > 0
    ]
    total = sum(seconds for _, seconds in kinds)
    boxes, x = [], 0.0
    for kind, seconds in kinds:
        width = 100 * seconds / total
        boxes.append(Box(round(x, 3), 0, round(width, 3), 10, kind, f"{kind} {span(seconds)}"))
        x += width
    return boxes
