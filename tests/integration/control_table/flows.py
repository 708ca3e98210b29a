"""Process classes that stay where a control shall find them; importable by workers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from quince import WorkChain
from tests.flows import Sleeper, note
from tests.integration.race_flows import opened


class Holds(WorkChain):
    """Stays in its first step until its gate is there; a file `.here` tells that it is in it."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("gate", valid_type=str)
        spec.outline(cls.hold, cls.end)

    def hold(self) -> Any:
        raise NotImplementedError

    async def end(self) -> None:
        """Only that there is a step after the first."""

    def here(self) -> None:
        note(f"{self.inputs.gate}.here", "here")


class Blocks(Holds):
    """Blocks a thread."""

    def hold(self) -> None:
        self.here()
        while not Path(self.inputs.gate).exists():
            time.sleep(0.01)


class Awaits(Holds):
    """Waits in a coroutine."""

    async def hold(self) -> None:
        self.here()
        await opened(self.inputs.gate)


class Runs(Holds):
    """Runs a program that may be suspended, and that writes its pid into the file."""

    async def hold(self) -> None:
        gate = self.inputs.gate
        script = f"echo $$ > {gate}.here; while [ ! -e {gate} ]; do sleep 0.05; done"
        await self.command("sh", "-c", script, suspendable=True)


class Parent(Holds):
    """Submits a child that nobody runs, behind its gate, and waits for it."""

    async def hold(self) -> None:
        self.here()
        await opened(self.inputs.gate)
        self.to_context(child=self.submit(Sleeper, queue="nobody"))
