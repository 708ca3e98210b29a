"""External programs as part of a step: started, waited for, and stopped with the step."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError

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

    async def run(
        self,
        arguments: Sequence[str | Path],
        *,
        folder: Path | str | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        check: bool = True,
        suspendable: bool = False,
    ) -> Completed:
        """Run a program in a process group of its own and wait for its end.

        If the waiting is cancelled (the process is killed, or the worker stops) the whole group gets
        SIGTERM, and SIGKILL after `TERM_SECONDS`; it has ended when this returns.

        Raises:
            CommandFailed: with `check`, its status is not 0.
            OSError: it cannot be started.
        """
        words = [str(argument) for argument in arguments]
        program = await asyncio.create_subprocess_exec(
            *words,
            cwd=folder,
            env=None if environment is None else {**os.environ, **environment},
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._suspendable[program.pid] = suspendable
        try:
            completed = await _end_of(program, words, stdin)
        finally:
            del self._suspendable[program.pid]
        if check and completed.status != 0:
            raise CommandFailed(completed)
        return completed

    def suspend(self) -> bool:
        """Stop them, if some run and each of them may be stopped. True if they are stopped."""
        if not self._suspendable or not all(self._suspendable.values()):
            return False
        for group in self._suspendable:
            _signal_group(group, signal.SIGSTOP)
        return True

    def resume(self) -> None:
        """Let them go on."""
        for group, suspendable in self._suspendable.items():
            if suspendable:
                _signal_group(group, signal.SIGCONT)


async def _end_of(program: asyncio.subprocess.Process, words: list[str], stdin: bytes | None) -> Completed:
    talk = asyncio.ensure_future(program.communicate(stdin))
    try:
        stdout, stderr = await asyncio.shield(talk)
    except asyncio.CancelledError:
        await _stop(program, talk)
        raise
    return Completed(words, program.returncode or 0, stdout, stderr)


async def _stop(program: asyncio.subprocess.Process, talk: asyncio.Future[tuple[bytes, bytes]]) -> None:
    """End the whole group: politely, then not."""
    _signal_group(program.pid, signal.SIGTERM)
    _signal_group(program.pid, signal.SIGCONT)  # one that is suspended could not hear it
    await asyncio.wait([talk], timeout=TERM_SECONDS)
    _signal_group(program.pid, signal.SIGKILL)  # also what the program left behind in its group
    await asyncio.wait([talk], timeout=TERM_SECONDS)
    if not talk.done():
        talk.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(talk, return_exceptions=True)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
