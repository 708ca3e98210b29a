"""Process classes that need the store, or an import, while something is wrong with it."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from quince import WorkChain
from tests.flows import Double, note


class Launches(WorkChain):
    """Waits at its gate, then submits a child and records a once-block, in a step that blocks."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("gate", valid_type=str)
        spec.input("ledger", valid_type=str)
        spec.output("total", valid_type=int)
        spec.outline(cls.launch, cls.collect)

    def launch(self) -> None:
        note(self.inputs.ledger, "launch")
        while not os.path.exists(self.inputs.gate):  # noqa: PTH110 - like its sister's
            time.sleep(0.01)
        self.to_context(part=self.submit(Double, value=self._once()))
        note(self.inputs.ledger, "launched")

    def _once(self) -> int:
        value: int = self.once("value", lambda: 4)
        return value

    def collect(self) -> None:
        self.out("total", self.ctx.part.outputs["value"])


class LaunchesOnLoop(Launches):
    """The same in a coroutine, which must not block the loop of its worker."""

    async def launch(self) -> None:  # type: ignore[override]
        note(self.inputs.ledger, "launch")
        while not os.path.exists(self.inputs.gate):  # noqa: ASYNC110, ASYNC240, PTH110 - another program makes it
            await asyncio.sleep(0.01)
        self.to_context(part=self.submit(Double, value=4))
        note(self.inputs.ledger, "launched")
