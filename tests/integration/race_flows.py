"""Process classes that stop where a race is made; importable by workers as `tests.integration.race_flows`."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from quince import WorkChain, append_
from tests.flows import Blocker, Double, note


async def opened(gate: str) -> None:
    """Wait until the file is there."""
    while not os.path.exists(gate):  # noqa: ASYNC110, ASYNC240, PTH110 - another program makes it
        await asyncio.sleep(0.01)


class Gated(WorkChain):
    """A chain that stops at its gate in a step of its own."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("gate", valid_type=str)
        spec.input("ledger", valid_type=str, default="")
        spec.output("total", valid_type=int)


class WaitsLate(Gated):
    """Submits a child in one step and waits for it from a later one, behind the gate."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.launch, cls.meet, cls.collect)

    def launch(self) -> None:
        self.ctx.child = self.submit(Double, value=4, ledger=self.inputs.ledger)

    async def meet(self) -> None:
        note(self.inputs.ledger, "meet")
        await opened(self.inputs.gate)
        self.to_context(part=self.ctx.child)

    async def collect(self) -> None:
        note(self.inputs.ledger, "collect")
        self.out("total", self.ctx.part.outputs["value"])


class LaunchesLate(Gated):
    """Waits at its gate, then submits children, then waits for them."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.launch, cls.collect)

    async def launch(self) -> None:
        note(self.inputs.ledger, "launch")
        await opened(self.inputs.gate)
        for value in range(3):
            self.to_context(parts=append_(self.submit(Double, value=value, ledger=self.inputs.ledger)))

    async def collect(self) -> None:
        note(self.inputs.ledger, "collect")
        self.out("total", sum(part.outputs["value"] for part in self.ctx.parts))


class Twins(Gated):
    """Waits for children on the queues that are named, all of which end when the gate opens."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("queues", valid_type=list)
        spec.outline(cls.launch, cls.collect)

    async def launch(self) -> None:
        for queue in self.inputs.queues:
            self.to_context(parts=append_(self.submit(Blocker, gate=self.inputs.gate, queue=queue)))

    async def collect(self) -> None:
        note(self.inputs.ledger, f"collect {self.pid}")
        self.out("total", len(self.ctx.parts))
