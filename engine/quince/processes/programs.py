"""External programs as part of a step: started, waited for, and stopped with the step."""

from __future__ import annotations

import asyncio
import contextlib
import os
import reprlib
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quince.errors import EngineError
from quince.processes import program_guard
from quince.processes.left_programs import Mark, Reporting, make_way
from quince.settings import BROKER_VARIABLE, STORE_VARIABLE

_URLS = frozenset({STORE_VARIABLE, BROKER_VARIABLE})
"""Of a worker's environment, what a program does not get: they may hold passwords."""

TERM_SECONDS = 10.0
"""Seconds between SIGTERM and SIGKILL for a program whose step is stopped."""


class CommandFailed(EngineError):
    """A program ended with a status other than 0.

    Attributes:
        completed: How it ended, and what it wrote.
    """

    def __init__(self, completed: Completed) -> None:
        said = completed.stderr.decode(errors="replace").strip().splitlines()
        super().__init__(
            f"{completed.arguments[0]} ended with status {completed.status}"
            + (f": {said[-1]}" if said else "")
        )
        self.completed = completed


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended.

    Attributes:
        status: Its exit status; -N if signal N ended it.
    """

    arguments: Sequence[str]
    status: int
    stdout: bytes
    stderr: bytes


class Programs:
    """The external programs that a step runs just now."""

    def __init__(self) -> None:
        self._suspendable: dict[int, bool] = {}
        self._way: asyncio.Task[None] | None = None

    async def make_way(self, mark: Mark, step: Reporting) -> None:
        """Once for each claim, before the first program: end what earlier ones have left on this host."""
        if mark.epoch > 1:
            if self._way is None:
                self._way = asyncio.ensure_future(make_way(mark, step))
            await asyncio.shield(self._way)

    async def run(
        self,
        arguments: Sequence[str | Path],
        *,
        mark: Mark,
        folder: Path | str | None = None,
        environment: Mapping[str, str] | None = None,
        with_urls: bool = False,
        stdin: bytes | None = None,
        check: bool = True,
        suspendable: bool = False,
    ) -> Completed:
        """Run a program in a session of its own and wait for its end.

        If the waiting is cancelled (the process is killed, or the worker stops) its group gets SIGTERM, and
        all that is left of its family SIGKILL after `TERM_SECONDS`; it has ended when this returns. If the
        worker dies, the family is killed at once.

        Raises:
            CommandFailed: with `check`, its status is not 0.
            OSError: it cannot be started.
        """
        words = _words(arguments)
        if stdin is not None and not isinstance(stdin, (bytes, bytearray, memoryview)):
            raise TypeError(f"command(): stdin takes bytes, not {type(stdin).__name__}; write text.encode()")
        kept = {name: os.environ[name] for name in os.environ if with_urls or name not in _URLS}
        guard = await _guarded(words, folder, {**kept, **(environment or {}), **mark.variables}, stdin)
        self._suspendable[guard.pid] = suspendable
        try:
            completed = await _end_of(guard, words, stdin)
        finally:
            del self._suspendable[guard.pid]
        if check and completed.status != 0:
            raise CommandFailed(completed)
        return completed

    def suspend(self, *, everything: bool = False) -> bool:
        """Stop them, if some run and each of them may be stopped. True if they are stopped.

        Args:
            everything: Also those that were not started as such that may be.
        """
        if not self._suspendable or not (everything or all(self._suspendable.values())):
            return False
        for guard in self._suspendable:
            _signal(guard, signal.SIGTSTP)
        return True

    def resume(self) -> None:
        """Let them go on."""
        for guard in self._suspendable:
            _signal(guard, signal.SIGCONT)


def _words(arguments: Sequence[object]) -> list[str]:
    if not arguments:
        raise TypeError("command() takes a program and its arguments: self.command('ls', '-l')")
    for one in arguments:
        if isinstance(one, (list, tuple, dict, set, bytes)) or one is None:
            raise TypeError(
                f"command() takes its arguments one by one, as texts: {reprlib.repr(one)} is of type "
                f"{type(one).__name__}; write self.command(*words)"
            )
    return [str(one) for one in arguments]


async def _guarded(
    words: list[str], folder: Path | str | None, variables: Mapping[str, str], stdin: bytes | None
) -> asyncio.subprocess.Process:
    """The guard of a program that has begun. (It is bound to the thread of the loop, which lives as long as
    the worker.)"""
    report, into = os.pipe()
    try:
        try:
            guard = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", program_guard.__file__, str(os.getpid()), str(into),
                str(TERM_SECONDS), *words,
                cwd=folder, env={**variables, program_guard.GUARD_VARIABLE: "1"}, pass_fds=(into,),
                stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(into)
        try:
            said = await _all_of(report)
        except asyncio.CancelledError:
            await _stop(guard, asyncio.ensure_future(guard.communicate()))
            raise
        except GeneratorExit:  # nobody goes on with the step
            _signal(guard.pid, signal.SIGUSR1)
            raise
    finally:
        os.close(report)
    if said:
        await guard.communicate()
        raise OSError(int(said), os.strerror(int(said)), words[0])
    return guard


async def _all_of(descriptor: int) -> bytes:
    """What comes through a pipe until it is closed. (It is a few bytes, written at once.)"""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
    return os.read(descriptor, 64)


async def _end_of(guard: asyncio.subprocess.Process, words: list[str], stdin: bytes | None) -> Completed:
    talk = asyncio.ensure_future(guard.communicate(stdin))
    try:
        stdout, stderr = await asyncio.shield(talk)
    except asyncio.CancelledError:
        await _stop(guard, talk)
        raise
    except GeneratorExit:
        _signal(guard.pid, signal.SIGUSR1)
        raise
    return Completed(words, guard.returncode or 0, stdout, stderr)


async def _stop(guard: asyncio.subprocess.Process, talk: asyncio.Future[tuple[bytes, bytes]]) -> None:
    """End the whole family: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL):
        _signal(guard.pid, number)
        await asyncio.wait(
            [talk], timeout=TERM_SECONDS + 2.0 if number is signal.SIGTERM else TERM_SECONDS / 2
        )
        if talk.done():
            break
    else:
        talk.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(talk, return_exceptions=True)


def _signal(ospid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(ospid, number)
