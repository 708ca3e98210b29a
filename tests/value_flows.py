"""Work chains that do with their values what people do, and put out what they found."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from quince import WorkChain, process


class Method(Enum):
    FAST = "fast"


@dataclass
class Settings:
    cutoff: float
    names: list[str] = field(default_factory=list)


@process
def make() -> dict[str, Any]:
    return {"settings": {"cutoff": 30, "mesh": {"n": [4]}}, "rows": [1]}


@process
def use(settings: dict) -> int:  # type: ignore[type-arg]
    settings["cutoff"] += 1
    settings["mesh"]["n"].append(5)
    return int(settings["cutoff"])


class Careless(WorkChain):
    """Changes whatever it gets hold of."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("settings", valid_type=dict)
        spec.input("rows", valid_type=list)
        spec.input("array", valid_type=np.ndarray)
        spec.input("made", valid_type=Settings)
        spec.input("more", valid_type=list, default=[1])
        spec.input("grid.points", valid_type=list)
        spec.input_namespace("free", dynamic=True, required=False)
        spec.outputs.dynamic = True
        spec.outline(cls.first, cls.second, cls.third, cls.fourth)

    def first(self) -> None:
        self._spoil("first")
        self.ctx.kept = self.inputs.settings
        self.ctx.all = self.inputs
        rows = self.ctx.rows = [0]
        self.ctx.same = (rows, {"deep": rows})
        loop: list[Any] = [self.inputs.made]
        loop.append(loop)
        self.ctx.loop = loop
        self.ctx.whole = np.arange(4)
        self.ctx.view = self.ctx.whole[:2]
        self.out("nested.rows", rows)
        self.to_context(child=self.submit(make), used=self.submit(use, settings=self.inputs.settings))

    def second(self) -> None:
        self._spoil("second")
        self.ctx.kept["mesh"]["n"].append(6)
        self.ctx.rows.append(1)
        self.ctx.loop[1][0].names.append("x")
        self.ctx.whole[0] = 7
        its = self.ctx.child.outputs
        its["settings"]["mesh"]["n"].append(5)
        its.rows.append(2)
        self.ctx.its = its.settings
        self.to_context(again=self.submit(use, settings=its["settings"]))

    def third(self) -> None:
        self._spoil("third")
        self.ctx.its["more"] = [Method.FAST]
        its = self.ctx.child.outputs
        self.out("child", its.settings)
        self.out("types", [type(one).__name__ for one in (its.settings, its["rows"], self.ctx.kept)])

    def fourth(self) -> None:
        self._spoil("fourth")
        ctx = self.ctx
        self.out("kept", ctx.kept)
        self.out("json", json.dumps([ctx.kept, ctx.its["cutoff"], ctx.all["settings"]]))
        self.out("all", ctx.all)
        self.out("rows", [ctx.rows, *ctx.same])
        self.out("is", [ctx.rows is ctx.same[0], ctx.loop is ctx.loop[1]])
        self.out("loop", ctx.loop[0])
        self.out("arrays", [ctx.whole.tolist(), ctx.view.tolist()])
        self.out("children", [child.outputs["result"] for child in (ctx.used, ctx.again)])

    def _spoil(self, step: str) -> None:
        """Put out what this step finds, and spoil it."""
        mine = self.inputs
        found = [mine.settings["mesh"]["n"], mine.rows, mine.more, mine.grid.points, mine.free["x"]["y"]]
        self.out(f"found.{step}", [*map(list, found), mine.array.tolist(), list(mine.made.names)])
        for one in found:
            one.append(9)
        mine.array[0] = 9
        mine.made.names.append("spoilt")
        mine.settings["gone"] = True


def given() -> dict[str, Any]:
    """Inputs for `Careless`; two of them are one list."""
    rows = [1, 2, 3]
    return {
        "settings": {"cutoff": 30, "mesh": {"n": [4]}},
        "rows": rows,
        "array": np.arange(3),
        "made": Settings(1.5),
        "grid": {"points": rows},
        "free": {"x": {"y": [1]}},
    }


FOUND = [[4], [1, 2, 3], [1], [1, 2, 3], [1], [0, 1, 2], []]
ENDS = {
    "found": dict.fromkeys(("first", "second", "third", "fourth"), FOUND),
    "nested": {"rows": [0, 1]},
    "types": ["dict", "list", "dict"],
    "child": {"cutoff": 30, "mesh": {"n": [4]}},
    "kept": {"cutoff": 30, "mesh": {"n": [4, 9, 6]}, "gone": True},
    "rows": [[0, 1], [0, 1], {"deep": [0, 1]}],
    "is": [True, True],
    "loop": Settings(1.5, ["spoilt", "x"]),
    "arrays": [[7, 1, 2, 3], [0, 1]],
    "children": [31, 31],
}
