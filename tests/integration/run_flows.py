"""Processes that end, or are cut off, before the children that they have submitted."""

from __future__ import annotations

from typing import Any

from quince import WorkChain, run
from tests import flows


class Leaves(WorkChain):
    """Submits a child of each kind (a timer, a signal, steps, one that is not begun) and does not wait."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("then", valid_type=str)
        spec.input("gate", valid_type=str, default="")
        spec.outline(cls.launch, cls.part)

    def launch(self) -> None:
        self.submit(flows.Timed, seconds=6.0)
        self.submit(flows.Approval)
        self.submit(flows.Stepwise, steps=8, seconds=0.2)

    async def part(self) -> None:
        self.submit(flows.add, x=1)
        if self.inputs.then == "raise":
            raise RuntimeError("early")
        if self.inputs.then == "wait":
            self.to_context(gate=self.submit(flows.Blocker, gate=self.inputs.gate))


class Nested(WorkChain):
    """Calls `run()` in a step; that leaves children, too."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.nest)

    def nest(self) -> None:
        run(Leaves, then="return")
