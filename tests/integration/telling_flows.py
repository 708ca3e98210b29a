"""Steps that say how far they are."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from quince import Process, WorkChain


class Says(WorkChain):
    """Says what it is given to say until its gate opens; `how`: in which kind of step."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("gate", valid_type=str)
        spec.input("crash", valid_type=bool, default=False)
        spec.outline(cls.work, cls.after)

    def work(self) -> None:
        self.report("begins")
        for number in range(200_000):
            self.progress(number, 200_000, "counting")
        self.status = "counted"
        self.progress(3, 4, "waits")
        gate = Path(self.inputs.gate)
        while not gate.exists():
            time.sleep(0.02)
        self.report("goes on")
        if self.inputs.crash and not Path(f"{gate}.crashed").exists():
            Path(f"{gate}.crashed").touch()
            os._exit(3)

    async def after(self) -> None:
        self.report("after")


class SaysInCoroutine(Process):
    """The same, in a coroutine."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("gate", valid_type=str)

    async def run(self) -> None:
        self.report("begins")
        self.progress(3, 4, "waits")
        self.status = "counted"
        while not self._is_open():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        self.report("goes on")

    def _is_open(self) -> bool:
        return Path(self.inputs.gate).exists()


class SaysInThread(Says):
    """The same, in a thread of a shared host."""

    isolation = "thread"


class Misuses(Process):
    """Says what is no number."""

    def run(self) -> None:
        self.progress("half")  # type: ignore[arg-type]


class Fails(Process):
    """Says how far it is, and fails before anybody can have been told."""

    def run(self) -> None:
        self.progress(2, 4, "boxes")
        raise OSError("no space left")
