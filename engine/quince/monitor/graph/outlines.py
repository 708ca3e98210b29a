"""The outline of a class as a flow chart."""

from __future__ import annotations

from collections.abc import Sequence

from quince.monitor.code import Code, Part
from quince.monitor.graph.boxes import Arrow, Box, Graph, Shape

_Loose = Sequence[tuple[str, str]]
"""Boxes from which an arrow leads to what comes next, and what stands at it."""


def outline_graph(code: Code) -> Graph:
    """The flow chart of what a class declares."""
    chart = _Chart()
    start = chart.box(Shape.END, "start")
    loose = chart.parts(code.outline, [(start, "")])
    end = chart.box(Shape.END, "end")
    chart.lead(loose, end)
    return Graph(code.class_path, chart.boxes, chart.arrows)


class _Chart:
    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.arrows: list[Arrow] = []

    def box(self, shape: Shape, line: str, *, current: bool = False, hint: str = "") -> str:
        """One box more; its name."""
        name = f"b{len(self.boxes)}"
        self.boxes.append(Box(name, shape, [line], current=current, hint=hint))
        return name

    def lead(self, loose: _Loose, target: str, *, back: bool = False) -> None:
        """Arrows from all these to a box."""
        self.arrows += [Arrow(source, target, text, back) for source, text in loose]

    def parts(self, parts: Sequence[Part], loose: _Loose) -> _Loose:
        """Draw parts one after the other; from where it goes on."""
        for part in parts:
            loose = self._part(part, loose)
        return loose

    def _part(self, part: Part, loose: _Loose) -> _Loose:
        if part.kind == "if":
            return self._if(part, loose)
        if part.kind == "while":
            return self._while(part, loose)
        if part.kind == "return":
            line = f"return {part.name}".rstrip()
            self.lead(loose, self.box(Shape.END, line, current=part.current))
            return []
        step = self.box(Shape.STEP, part.name, current=part.current, hint=part.help)
        self.lead(loose, step)
        return [(step, "")]

    def _if(self, part: Part, loose: _Loose) -> _Loose:
        after: list[tuple[str, str]] = []
        for index, branch in enumerate(part.branches):
            if branch.test is not None:
                test = self.box(Shape.TEST, f"{branch.test}?", current=part.current and not index)
                self.lead(loose, test)
                after += self.parts(branch.parts, [(test, "yes")])
                loose = [(test, "no")]
            else:
                after += self.parts(branch.parts, loose)
                loose = []
        return [*after, *loose]

    def _while(self, part: Part, loose: _Loose) -> _Loose:
        (turn,) = part.branches
        test = self.box(Shape.TEST, f"{part.name}?", current=part.current)
        self.lead(loose, test)
        self.lead(self.parts(turn.parts, [(test, "yes")]), test, back=True)
        return [(test, "no")]
