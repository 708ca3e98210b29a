"""Process classes that stay where a control shall find them; importable by workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from quince import Process, Retry, WorkChain, all_, any_, signal_, step
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


class Ignores(Blocks):
    """The same, and ignores the signal that is to stop it."""

    def hold(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        super().hold()


class Awaits(Holds):
    """Waits in a coroutine."""

    async def hold(self) -> None:
        self.here()
        await opened(self.inputs.gate)


class Swallows(Holds):
    """The same, and swallows its cancellation."""

    async def hold(self) -> None:
        self.here()
        while not os.path.exists(self.inputs.gate):  # noqa: ASYNC240, PTH110 - another program makes it
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)


class BlocksTheLoop(Holds):
    """Blocks the event loop in a coroutine."""

    async def hold(self) -> None:
        Blocks.hold(self)  # type: ignore[arg-type]


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


class Timed(Blocks):
    """Blocks a thread, and may do so for an hour."""

    @step(timeout="1 h")
    def hold(self) -> None:
        super().hold()


class Refused(Process):
    """Fails, and is tried again in an hour."""

    @step(retry=Retry(2, first="1 h"))
    def run(self) -> None:
        raise ConnectionError("refused")


class AnyOf(WorkChain):
    """Waits for the first of two children that nobody runs, or a signal, or five minutes."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.begin, cls.end)

    async def begin(self) -> Any:
        return any_(
            naps=[self.submit(Sleeper, queue="nobody") for _ in range(2)],
            word=signal_("word"),
            timeout="5 min",
        )

    async def end(self) -> None:
        """Is reached by none."""


class AtMost(AnyOf):
    """Waits for a child that nobody runs, for at most five minutes."""

    async def begin(self) -> Any:
        return all_(nap=self.submit(Sleeper, queue="nobody"), timeout="5 min")
