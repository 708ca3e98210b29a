"""A graph as Mermaid, for pages that draw it themselves: Markdown on GitHub, GitLab and others."""

from __future__ import annotations

from quince.monitor.graph.boxes import Arrow, Box, Graph, Shape
from quince.monitor.graph.layout import cut
from quince.text import in_line

_SHAPES = {
    Shape.STEP: ("[", "]"),
    Shape.TEST: ("{{", "}}"),
    Shape.END: ("([", "])"),
    Shape.PROCESS: ("[", "]"),
    Shape.MORE: ("[/", "/]"),
}
_LOOKS = {
    "running": "stroke:#0b8f9c,stroke-width:3px",
    "waiting": "stroke:#b58100",
    "created": "stroke:#3b6fd4",
    "paused": "stroke:#a03bb5,stroke-width:2px",
    "finished": "stroke:#2e8b3d",
    "failed": "stroke:#c62f2f,stroke-width:2px",
    "excepted": "stroke:#c62f2f,stroke-width:2px",
    "killed": "stroke:#c62f2f,stroke-width:2px",
    "current": "stroke:#0b7fab,stroke-width:4px",
}
_PLAIN = frozenset(" .,:+-_?()/·…")


def mermaid_of(graph: Graph) -> str:
    """The graph as the text of a Mermaid file. All that users have written is escaped in it."""
    names = {box.name: f"n{number}" for number, box in enumerate(graph.boxes)}
    looks = {box.look for box in graph.boxes} | {"current" for box in graph.boxes if box.current}
    return "\n".join(
        [
            f"flowchart {'LR' if graph.tree else 'TB'}",
            *(f"    {names[box.name]}{_box(box)}" for box in graph.boxes),
            *(f"    {names[arrow.source]} {_arrow(arrow)} {names[arrow.target]}" for arrow in graph.arrows),
            *(f"    classDef {look} {style}" for look, style in _LOOKS.items() if look in looks),
            "",
        ]
    )


def _box(box: Box) -> str:
    left, right = _SHAPES[box.shape]
    text = "<br/>".join(_text(cut(line)) for line in box.lines)
    look = "current" if box.current else box.look
    return f'{left}"{text}"{right}' + (f":::{look}" if look in _LOOKS else "")


def _arrow(arrow: Arrow) -> str:
    line = "-.->" if arrow.dashed else "-->"
    return f'{line}|"{_text(arrow.text)}"|' if arrow.text else line


def _text(text: str) -> str:
    """Letters and digits as they are; all else by its number."""
    return "".join(one if one.isalnum() or one in _PLAIN else f"#{ord(one)};" for one in in_line(text))
