"""A tree of processes as boxes, and what in it waits for what."""

from __future__ import annotations

from collections.abc import Set

from quince.moments import span
from quince.monitor.graph.boxes import Arrow, Box, Graph, Shape
from quince.monitor.trees import Node


def tree_graph(top: Node) -> Graph:
    """The tree below a process, as it was executed so far."""
    boxes: list[Box] = []
    arrows: list[Arrow] = []
    there = {node.pid for node in top}
    hidden = {node.pid: node.hidden for node in top if node.hidden}
    waiting: list[tuple[Node, Node | None] | int] = [(top, None)]
    while waiting:
        one = waiting.pop()
        if isinstance(one, int):  # all that was read of its children is drawn
            arrows.append(Arrow(_name(one), f"m{one}"))
            boxes.append(Box(f"m{one}", Shape.MORE, [f"… {hidden[one]:,} more"]))
            continue
        node, parent = one
        boxes.append(_box(node))
        if parent is not None:
            arrows.append(Arrow(_name(parent.pid), _name(node.pid)))
        arrows += _awaited(node, there)
        if node.pid in hidden:
            waiting.append(node.pid)
        waiting += [(child, node) for child in reversed(node.children)]
    return Graph(f"{top.pid} {top.row.name}", boxes, arrows, tree=True)


def _awaited(node: Node, there: Set[int]) -> list[Arrow]:
    """To those in the picture that it waits for, and that are not its children."""
    children = {child.pid for child in node.children}
    return [
        Arrow(_name(node.pid), _name(pid), "waits for", dashed=True)
        for pid in node.waits_for
        if pid in there and pid not in children
    ]


def _name(pid: int) -> str:
    return f"p{pid}"


def _box(node: Node) -> Box:
    row = node.row
    times = span(row.took) if row.took is not None else f"queued {span(row.queued)}"
    said = " · ".join(
        part for part in (row.shown.value, times, row.step if not row.terminated else "") if part
    )
    hint = " ".join(part for part in (row.class_path, row.exit or row.doing) if part)
    return Box(_name(node.pid), Shape.PROCESS, [f"{node.pid} {row.name}", said], row.shown.value, hint=hint)
