"""Processes whose steps fail, take too long, and are tried again; importable by workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from quince import ExitCode, Process, Retry, WorkChain, process, step
from tests.flows import note

SOON = Retry(4, first="0.1 s", jitter=0, on=(OSError,))


def refused(notes: str, times: int) -> None:
    """Note the call, and fail as often as that."""
    file = Path(notes)
    tried = len(file.read_text().splitlines()) if file.exists() else 0
    note(notes, "tried")
    if tried < times:
        raise ConnectionError(f"refused {tried + 1}")


class Flaky(WorkChain):
    """Its second step fails at first; what a failed attempt has done is forgotten."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("notes", valid_type=str)
        spec.input("times", valid_type=int, default=2)
        spec.output("turns", valid_type=list)
        spec.outline(cls.begin, cls.fetch, cls.end)

    def begin(self) -> None:
        self.ctx.turns = []

    @step(retry=SOON)
    def fetch(self) -> None:
        self.ctx.turns.append("fetched")
        self.report("about to fetch")
        self.submit(never)
        refused(self.inputs.notes, self.inputs.times)

    def end(self) -> None:
        self.out("turns", self.ctx.turns)


class FlakyAwaits(Flaky):
    """All of it coroutines."""

    async def begin(self) -> None:  # type: ignore[override]
        self.ctx.turns = []

    @step(retry=SOON)
    async def fetch(self) -> None:  # type: ignore[override]
        self.ctx.turns.append("fetched")
        self.report("about to fetch")
        self.submit(never)
        await asyncio.sleep(0)
        refused(self.inputs.notes, self.inputs.times)

    async def end(self) -> None:  # type: ignore[override]
        self.out("turns", self.ctx.turns)


class Slowly(Flaky):
    """Has a long time between its attempts."""

    @step(retry=Retry(3, first="3 h", jitter=0))
    def fetch(self) -> None:
        refused(self.inputs.notes, self.inputs.times)


class Aside(Flaky):
    """Is paused when it has failed."""

    on_failure = "pause"


@process(retry=Retry(3, first=0.1))
def square(notes: str, x: int) -> int:
    """Fails once."""
    refused(notes, 1)
    return x**2


@process
async def never() -> None:
    """A child that no failed attempt may leave behind."""


class Late(Process):
    """Takes too long, in one of several ways, for as many attempts as it is told."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("notes", valid_type=str)
        spec.input("way", valid_type=str)
        spec.input("times", valid_type=int, default=1)
        spec.output("stopping", valid_type=bool, required=False)

    @step(retry=Retry(2, first=0.1), timeout=1)
    def run(self) -> Any:
        file = Path(self.inputs.notes)
        note(self.inputs.notes, "tried")
        if len(file.read_text().splitlines()) > self.inputs.times:
            return None
        return getattr(self, self.inputs.way)()

    def blocks(self) -> None:
        time.sleep(60)

    def polls(self) -> None:
        while not self.stopping:
            time.sleep(0.01)
        self.out("stopping", True)

    def ignores(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(60)

    async def awaits(self) -> None:
        await asyncio.sleep(60)

    async def swallows(self) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    async def runs(self) -> None:
        await self.command("sleep", "60")


class LateAwaits(Late):
    """A coroutine, in a host that it shares."""

    @step(retry=Retry(2, first=0.1), timeout=1)
    async def run(self) -> Any:
        note(self.inputs.notes, "tried")
        if len(Path(self.inputs.notes).read_text().splitlines()) > self.inputs.times:  # noqa: ASYNC240
            return
        await getattr(self, self.inputs.way)()

    async def runs_it(self) -> None:
        await self.command("sleep", "60")

    async def blocks_the_loop(self) -> None:
        time.sleep(60)  # noqa: ASYNC251


class Held(WorkChain):
    """Works for half a second in all, which a pause may interrupt; its time is a second."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("notes", valid_type=str)
        spec.outline(cls.count)

    @step(timeout=4)
    def count(self) -> None:
        for turn in range(20):
            note(self.inputs.notes, str(turn))
            time.sleep(0.05)


class Enlarges(WorkChain):
    """Its handler enlarges what was too small, or says something else."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("says", valid_type=str, default="retry")
        spec.output("size", valid_type=int)
        spec.exit_code(410, "TOO_SMALL", "never large enough")
        spec.outline(cls.begin, cls.compute)

    def begin(self) -> None:
        self.ctx.size = 1

    @step(retry=Retry(4, first=0.1), handler="enlarge")
    def compute(self) -> None:
        if self.ctx.size < 4:
            self.ctx.size = -5
            raise MemoryError("too small")
        self.out("size", self.ctx.size)

    def enlarge(self, error: BaseException) -> str | int | ExitCode | Retry | None:
        assert isinstance(error, MemoryError)
        self.ctx.size *= 2
        self.report(f"enlarged to {self.ctx.size}")
        answers: dict[str, Any] = {
            "retry": "retry", "nothing": None, "fail": "fail", "pause": "pause", "end": 410,
            "other": Retry(2, first=0),
        }  # fmt: skip
        if self.inputs.says == "raise":
            raise LookupError("no idea")
        if self.inputs.says == "submit":
            self.submit(never)
        return answers.get(self.inputs.says, "maybe")  # type: ignore[no-any-return]


class Dies(Process):
    """Ends its host, and fails, in turn."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("notes", valid_type=str)

    @step(retry=Retry(3, first=0.1))
    def run(self) -> None:
        note(self.inputs.notes, "tried")
        tried = len(Path(self.inputs.notes).read_text().splitlines())
        if tried in (1, 3):
            os._exit(3)
        if tried < 5:
            raise ConnectionError(f"refused {tried}")


class Crashes(Process):
    """Ends its host each time."""

    on_failure = "pause"

    def run(self) -> None:
        os._exit(3)


class Fails(Process):
    """Says nothing of what happens then."""

    def run(self) -> None:
        raise LookupError("gone")


class FailsOfClass(Fails):
    """Ends, whatever the workspace says."""

    on_failure = "fail"


class HeldByStep(Fails):
    """Is paused, whatever is said when it is submitted."""

    @step(on_failure="pause")
    def run(self) -> None:
        raise LookupError("gone")


class Parent(WorkChain):
    """Tells how a child has ended that fails."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("child", valid_type=str)
        spec.outline(cls.begin, cls.end)

    def begin(self) -> None:
        self.to_context(child=self.submit(Fails))

    def end(self) -> None:
        self.out("child", self.ctx.child.state.value)


class Cancelled(WorkChain):
    """Its step is cancelled, three times, and not by a kill."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("notes", valid_type=str)
        spec.input("how", valid_type=str)
        spec.outline(cls.work)

    @step(retry=Retry(4, first=0))
    async def work(self) -> None:
        note(self.inputs.notes, "tried")
        if count(self.inputs.notes) == 4:
            return
        if self.inputs.how == "raises":
            raise asyncio.CancelledError("of its own")
        other = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
        if self.inputs.how == "awaits":
            other.cancel("of its own")
        elif (task := asyncio.current_task()) is not None:
            task.cancel("of its own")
        await other


class HandlerCancelled(Cancelled):
    """Its handler is cancelled by itself."""

    @step(handler="help", on_failure="pause")
    async def work(self) -> None:
        raise ConnectionError("refused")

    async def help(self, _error: BaseException) -> None:
        if self.inputs.how == "raises":
            raise asyncio.CancelledError("of its own")
        if (task := asyncio.current_task()) is not None:
            task.cancel("of its own")
        await asyncio.sleep(60)


class CancelledAlone(Cancelled):
    """In a program of its own."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.begin, cls.work)

    def begin(self) -> None: ...


def count(notes: str) -> int:
    """How many lines stand there."""
    return len(Path(notes).read_text().splitlines())
