"""Processes that end the program in which they run, or hold it up."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quince import Process, WorkChain


def overflow() -> None:
    sys.setrecursionlimit(10**7)

    def deeper(_: object = None) -> None:
        sorted([0], key=deeper)  # type: ignore[arg-type]

    deeper()


def abort() -> None:
    os.write(2, b"free(): invalid pointer\n")
    os.abort()


def close_all() -> None:
    os.closerange(3, 4096)
    time.sleep(60)


WAYS: dict[str, Callable[[], object]] = {
    "crash": lambda: ctypes.string_at(0),
    "overflow": overflow,
    "abort": abort,
    "kill": lambda: os.kill(os.getpid(), 9),
    "exit": lambda: os._exit(3),
    "close all": close_all,
    "become another": lambda: os.execv("/bin/true", ["true"]),
    "system exit": lambda: sys.exit(4),
    "no memory": lambda: bytearray(1 << 60),
    "kill the template": lambda: os.kill(os.getppid(), 9),
    "kill all": lambda: os.kill(-1, 9),
}


class Dies(Process):
    """In a function."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("way", valid_type=str)

    def run(self) -> None:
        print("about to die", file=sys.stderr, flush=True)
        WAYS[self.inputs.way]()


class DiesInCoroutine(WorkChain):
    """In a coroutine, which others share their host with."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("way", valid_type=str)
        spec.outline(cls.begin, cls.die)

    async def begin(self) -> None:
        await asyncio.sleep(0)

    async def die(self) -> None:
        await asyncio.sleep(0.3)
        WAYS[self.inputs.way]()


class CrashesInThread(WorkChain):
    """A thread, for which its coroutine waits."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.crash)

    async def crash(self) -> None:
        await asyncio.to_thread(WAYS["crash"])


class ExitsInTask(WorkChain):
    """A task, for which its coroutine waits."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.leave)

    async def leave(self) -> None:
        async def task() -> None:
            WAYS["system exit"]()

        await asyncio.create_task(task())


class BreaksItsLoop(WorkChain):
    """Nothing goes on there from then on."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.smash)

    async def smash(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.2)
        loop.call_soon = None  # type: ignore[method-assign, assignment]
        await asyncio.sleep(0.2)


class Neighbour(WorkChain):
    """Is at work beside others until a file is there; says in which programs it runs."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("gate", valid_type=str)
        spec.output("hosts", valid_type=list)
        spec.outline(cls.begin, cls.work, cls.go_on)

    async def begin(self) -> None:
        self.ctx.hosts = [os.getpid()]

    async def work(self) -> None:
        self.ctx.hosts = [*self.ctx.hosts, os.getpid()]
        gate = self.inputs.gate
        Path(f"{gate}.{self.pid}").touch()  # noqa: ASYNC240
        while not os.path.exists(gate):  # noqa: ASYNC110, ASYNC240, PTH110
            await asyncio.sleep(0.05)

    async def go_on(self) -> None:
        self.out("hosts", [*self.ctx.hosts, os.getpid()])


class HoldsUp(WorkChain):
    """Blocks in a coroutine, as it must not; says in which programs it runs."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("seconds", valid_type=float)
        spec.output("hosts", valid_type=list)
        spec.outline(cls.begin, cls.hold_up, cls.go_on)

    async def begin(self) -> None:
        self.ctx.hosts = [os.getpid()]

    async def hold_up(self) -> None:
        self.ctx.hosts = [*self.ctx.hosts, os.getpid()]
        time.sleep(self.inputs.seconds)  # noqa: ASYNC251 - that is what it is for

    async def go_on(self) -> None:
        self.out("hosts", [*self.ctx.hosts, os.getpid()])
