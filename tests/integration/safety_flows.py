"""Process classes for the tests of once-blocks and checkpoints; importable by workers."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from quince import Process, WorkChain
from tests.flows import note


def _pass(gate: Path) -> None:
    """Wait until the gate is open."""
    while not gate.exists():
        time.sleep(0.01)


class Submits(WorkChain):
    """Submits two jobs to somewhere, each in a once-block of a step that then hangs at a gate."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.input("gates", valid_type=str)
        spec.output("jobs", valid_type=list)
        spec.outline(cls.blocking, cls.coroutine, cls.end)

    def blocking(self) -> None:
        job = self.once("blocking", self._send, "blocking", number=1)
        note(self.inputs.ledger, "recorded blocking")
        _pass(Path(self.inputs.gates, "blocking"))
        self.ctx.jobs = [job]

    async def coroutine(self) -> None:
        job = await self.once("coroutine", self._send_async, "coroutine", number=2)
        note(self.inputs.ledger, "recorded coroutine")
        await asyncio.to_thread(_pass, Path(self.inputs.gates, "coroutine"))
        self.ctx.jobs.append(job)

    async def end(self) -> None:
        self.ctx.jobs.append(await self.once("coroutine", self._send_async, "never", number=3))
        self.out("jobs", self.ctx.jobs)

    def _send(self, name: str, *, number: int) -> dict[str, Any]:
        note(self.inputs.ledger, f"sent {name}")
        return {"name": name, "number": number}

    async def _send_async(self, name: str, *, number: int) -> dict[str, Any]:
        await asyncio.sleep(0)
        return self._send(name, number=number)


class DiesInside(Process):
    """Kills its program the first time, after the effect of its once-block and before the record."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.output("token", valid_type=str)

    def run(self) -> None:
        self.out("token", self.once("job", self._send))

    def _send(self) -> str:
        token = self.token("job")
        first = not Path(self.inputs.ledger).exists()
        note(self.inputs.ledger, token)
        if first:
            os.kill(os.getpid(), signal.SIGKILL)
        return token


class Careless(WorkChain):
    """Keeps something in a plain attribute, which no checkpoint holds."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("kept", valid_type=int)
        spec.outline(cls.begin, cls.end)

    def begin(self) -> None:
        self.kept = 42

    def end(self) -> None:
        self.out("kept", self.kept)


class Refused(WorkChain):
    """Notes the line that was reached before something unsaveable was refused."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("trail", valid_type=list)
        spec.outline(cls.begin)

    def begin(self) -> None:
        trail = []
        for assign in (
            lambda: setattr(self.ctx, "x", object()),
            lambda: self.out("trail", [object()]),
            lambda: self.submit(Careless, x=object()),
        ):
            try:
                assign()
            except (TypeError, ValueError) as error:
                trail.append(f"{type(error).__name__}: {error}".partition(";")[0])
        self.out("trail", trail)
