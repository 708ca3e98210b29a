"""A graph as boxes and arrows, before it is laid out."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class Shape(enum.StrEnum):
    """What a box is."""

    STEP = "step"
    TEST = "test"
    END = "end"
    PROCESS = "process"
    MORE = "more"
    """What stands for processes that were left out."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box.

    Attributes:
        name: By which arrows know it.
        lines: What stands in it.
        look: What a process is at a glance (`words.Shown`); empty for other boxes.
        current: A process is there just now.
        hint: What is shown when somebody points at it.
    """

    name: str
    shape: Shape
    lines: Sequence[str]
    look: str = ""
    current: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one box to another.

    Attributes:
        text: What stands at it.
        back: It leads to what comes before, in a loop.
        dashed: It waits for that.
    """

    source: str
    target: str
    text: str = ""
    back: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes and arrows.

    Attributes:
        title: What it is of, in a line.
        boxes: Each before those that its arrows lead to, unless these lead back.
        tree: Each box is led to by one arrow at most that is not dashed.
    """

    title: str
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    tree: bool = False
