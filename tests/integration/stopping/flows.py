"""Steps that do not want to be stopped, each in its own manner; importable by workers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from quince import Process, WorkChain, run
from tests.flows import note

LONG = 600.0


class Mannered(Process):
    """Begins, tells its operating-system process, does as its manner says; tells that it could clean up."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("manner", valid_type=str)
        spec.input("notes", valid_type=str)

    def note(self, line: str) -> None:
        note(self.inputs.notes, line)


class Blocks(Mannered):
    """A function."""

    def run(self) -> None:
        try:
            BLOCKING[self.inputs.manner](self)
        finally:
            self.note("cleaned")


class Threaded(Blocks):
    """A function that runs in a thread, beside others."""

    isolation = "thread"


class Awaits(Mannered):
    """A coroutine."""

    async def run(self) -> None:
        try:
            await AWAITING[self.inputs.manner](self)
        finally:
            self.note("cleaned")


class Mixed(WorkChain):
    """A coroutine that has a host to itself, since its class has functions, too."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("manner", valid_type=str)
        spec.input("notes", valid_type=str)
        spec.outline(cls.begin, cls.go_on)

    note = Mannered.note

    def begin(self) -> None:
        """A function."""

    go_on = Awaits.run


def begun(process: Mannered, *others: int) -> None:
    process.note(" ".join(map(str, ("begun", os.getpid(), *others))))


# Functions


def sleep(process: Mannered) -> None:
    begun(process)
    time.sleep(LONG)


def compute(process: Mannered) -> None:
    begun(process)
    while True:
        pass


def hold_the_interpreter(process: Mannered) -> None:
    begun(process)
    sum(itertools.repeat(0))  # in C, for ever


def ignore_signals(process: Mannered) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep(process)


def handle_signals(process: Mannered) -> None:
    signal.signal(signal.SIGTERM, lambda *_: process.note("handled"))
    begun(process)
    while True:
        time.sleep(0.01)


def swallow(process: Mannered) -> None:
    begun(process)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(LONG)


def run_a_program(process: Mannered) -> None:
    with subprocess.Popen(["sleep", str(LONG)]) as child:
        begun(process, child.pid)
        child.wait()


def wait_for_a_child(process: Mannered) -> None:
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=[LONG])
    child.start()
    begun(process, child.pid or 0)
    child.join()


def map_in_a_pool(process: Mannered) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        begun(process, *pool.map(_ospid, range(2)))
        pool.map(time.sleep, [LONG] * 2)


def _ospid(_: int) -> int:
    return os.getpid()


def join_a_thread(process: Mannered) -> None:
    thread = threading.Thread(target=time.sleep, args=[LONG])
    thread.start()
    begun(process)
    thread.join()


def run_a_loop(process: Mannered) -> None:
    begun(process)
    asyncio.run(asyncio.sleep(LONG))


def count_blocking(process: Mannered) -> None:
    begun(process)
    while not gate_of(process).exists():
        process.note("goes on")
        time.sleep(0.02)


def gate_of(process: Mannered) -> Path:
    """The file that lets one that counts come to its end."""
    return Path(f"{process.inputs.notes}.gate")


POLITE: list[Callable[[Mannered], None]] = [
    sleep, compute, run_a_program, wait_for_a_child, map_in_a_pool, join_a_thread, run_a_loop
]  # fmt: skip
STUBBORN: list[Callable[[Mannered], None]] = [hold_the_interpreter, ignore_signals, handle_signals, swallow]


def run_another(process: Mannered) -> None:
    run(Blocks, manner="count_blocking", notes=process.inputs.notes)


BLOCKING = {one.__name__: one for one in [*POLITE, *STUBBORN, count_blocking, run_another]}


# Coroutines


async def end_at_once(process: Mannered) -> None:
    begun(process)


async def wait(process: Mannered) -> None:
    begun(process)
    await asyncio.sleep(LONG)


async def clean_up_slowly(process: Mannered) -> None:
    begun(process)
    try:
        await asyncio.sleep(LONG)
    finally:
        await asyncio.sleep(0.2)
        process.note("slowly")


async def run_a_program_beside(process: Mannered) -> None:
    child = await asyncio.create_subprocess_exec("sleep", str(LONG))
    begun(process, child.pid)
    await child.wait()


async def run_a_command(process: Mannered) -> None:
    script = f"echo begun {os.getpid()} $$ >> {process.inputs.notes}; exec sleep {LONG}"
    await process.command("sh", "-c", script)


async def swallow_cancellation(process: Mannered) -> None:
    begun(process)
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(LONG)


async def swallow_in_a_task(process: Mannered) -> None:
    await asyncio.gather(swallow_cancellation(process), asyncio.sleep(LONG))


async def swallow_everything(process: Mannered) -> None:
    begun(process)
    while True:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(LONG)


async def block_the_loop(process: Mannered) -> None:
    sleep(process)


async def hold_the_loop(process: Mannered) -> None:
    hold_the_interpreter(process)


async def count(process: Mannered) -> None:
    """Whoever is beside the others: it tells that it goes on, until its gate is there."""
    begun(process)
    while not gate_of(process).exists():
        process.note("goes on")
        await asyncio.sleep(0.02)


async def count_in_tasks(process: Mannered) -> None:
    await asyncio.gather(count(process), count(process))


CANCELLED: list[Callable[[Mannered], Awaitable[None]]] = [
    wait, clean_up_slowly, run_a_program_beside, run_a_command
]  # fmt: skip
ABANDONED: list[Callable[[Mannered], Awaitable[None]]] = [
    swallow_cancellation, swallow_in_a_task, swallow_everything
]  # fmt: skip
HOLDING: list[Callable[[Mannered], Awaitable[None]]] = [block_the_loop, hold_the_loop]
OTHERS: list[Callable[[Mannered], Awaitable[None]]] = [end_at_once, count, count_in_tasks]
AWAITING = {one.__name__: one for one in [*CANCELLED, *ABANDONED, *HOLDING, *OTHERS]}


# Those that ask


class Asks(Mannered):
    """Tells each time that what it is told changes, whether it is to stop, until its gate is there."""

    def run(self) -> Any:
        ask(self)


class AsksInAThread(Asks):
    """In a thread that it has begun, while the main thread waits for it."""

    def run(self) -> Any:
        thread = threading.Thread(target=ask, args=[self])
        thread.start()
        thread.join()


class AsksThreaded(Asks):
    """As a thread of a host."""

    isolation = "thread"


class AsksBlocking(Asks):
    """A coroutine that never awaits anything."""

    async def run(self) -> Any:
        ask(self)


class AsksAwaiting(Asks):
    """A coroutine as it should be."""

    async def run(self) -> Any:
        begun(self)
        for _ in _changes(self):
            await asyncio.sleep(0.01)


ASKING: list[type[Asks]] = [Asks, AsksInAThread, AsksThreaded, AsksBlocking, AsksAwaiting]


def ask(process: Mannered) -> None:
    begun(process)
    for _ in _changes(process):
        time.sleep(0.01)


def _changes(process: Mannered) -> Iterator[None]:
    known = False
    while not gate_of(process).exists():
        if process.stopping is not known:
            known = not known
            process.note("asked" if known else "taken back")
        yield


class Leaves(WorkChain):
    """Its first step ends early when it is asked; its second one tells whether it is asked, too."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("notes", valid_type=str)
        spec.outline(cls.begin, cls.go_on)

    def begin(self) -> None:
        note(self.inputs.notes, f"begun {os.getpid()}")
        while not self.stopping:
            time.sleep(0.01)
        note(self.inputs.notes, "asked")

    def go_on(self) -> None:
        note(self.inputs.notes, f"goes on in {os.getpid()}: {self.stopping}")
