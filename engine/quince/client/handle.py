"""The handle through which a process is seen and controlled, from any program."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic

from typing_extensions import TypeVar

from quince.client.control import Answer, control
from quince.client.signals import send
from quince.client.tree import Branch, tree
from quince.client.why import Why, nobody_works, why
from quince.errors import (
    ControlRefused,
    ProcessExcepted,
    ProcessFailed,
    ProcessHeld,
    ProcessKilled,
    ProcessNotFound,
    WaitTimeout,
)
from quince.messages import LARGEST_PID
from quince.on_hold import is_held
from quince.processes.child import ChildProcess, ProcessReference, child_from
from quince.processes.error_record import ErrorRecord
from quince.processes.fitting import fitted
from quince.processes.namespace import plain
from quince.workspace.workspace import Workspace, resolve
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.codec import decode, register_as, register_type
from quince_persistence.records import Control, EventRow, ProcessRow, Result, Selection, State

_log = StructuredLogger("quince")

WorkspaceLike = Workspace | Path | str | None

REMIND_SECONDS = 3.0
"""Seconds that a wait goes on in silence though no worker is there."""


Value = TypeVar("Value", covariant=True, default=Any)


class ProcessHandle(ProcessReference, Generic[Value]):
    """One process, seen from anywhere: another program, another host, before or after its end.

    Every property is read from the store when it is asked. The handle of a `@process` function knows, for
    type checkers, of which type its outputs are: `ProcessHandle[int]`; others are `ProcessHandle[Any]`.

    Attributes:
        pid: Its pid.
        workspace: Where it lives.
    """

    __slots__ = ("pid", "workspace")

    def __init__(self, pid: int, workspace: Workspace) -> None:
        self.pid = pid
        self.workspace = workspace

    @property
    def row(self) -> ProcessRow:
        """Everything that lists and controls know of it, as it is now.

        Raises:
            ProcessNotFound: there is no such process.
        """
        row = self.workspace.store.get(self.pid)
        if row is None:
            raise self.workspace.not_found(self.pid)
        return row

    @property
    def state(self) -> State:
        """Created, running, waiting, finished, excepted or killed; `paused` is beside it."""
        return self.row.state

    @property
    def paused(self) -> bool:
        """It does not go on before it is played."""
        return self.row.paused

    @property
    def exit_status(self) -> int | None:
        """0 if it finished well, another number if not; None if it has not finished."""
        return self.row.exit_status

    @property
    def exit_message(self) -> str | None:
        """What its exit code, its exception or its kill says to people."""
        return self.row.exit_message

    @property
    def terminated(self) -> bool:
        """It has ended, in whatever way: finished, excepted or killed."""
        return self.row.terminated

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What it was submitted with, defaults included."""
        blob = self.workspace.store.inputs(self.pid)
        return _values(blob)

    @property
    def outputs(self) -> Mapping[str, Value]:
        """What it has put out, however it ended; empty before its end."""
        return _values(self._stored().outputs)

    def wait(self, timeout: float | None = None) -> ProcessRow:
        """Block until it has terminated, in whatever way.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            ProcessHeld: the engine has paused it, since it cannot go on with it; says why.
            WaitTimeout: it has not terminated yet; says why. It goes on.
        """
        rows = self.workspace.watcher.wait([self.pid], settled, timeout, _reminder(self.workspace))
        row = self._ended(rows)
        if not row.terminated:
            raise WaitTimeout(f"process {self.pid} has not ended after {timeout:g} s: {self.why().sentence}")
        return row

    def _ended(self, rows: Sequence[ProcessRow]) -> ProcessRow:
        if not rows:
            raise self.workspace.not_found(self.pid)
        if is_held(rows[0]):
            raise ProcessHeld(self.pid, rows[0].status)
        return rows[0]

    def result(self, timeout: float | None = None) -> Mapping[str, Value]:
        """Wait for its end and return its outputs, by port.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            ProcessExcepted: it ended with an exception (with the traceback as text).
            ProcessKilled: it was killed (with the reason).
            ProcessFailed: it ended with an exit status other than 0 (with status and outputs).
            ProcessHeld: the engine has paused it, since it cannot go on with it (with the reason).
            WaitTimeout: it has not ended in time (says why); it goes on.
        """
        self.wait(timeout)
        return outputs_of(self._stored())

    def __await__(self) -> Generator[Any, None, Mapping[str, Value]]:
        return self._result_async().__await__()

    async def _result_async(self) -> Mapping[str, Value]:
        reminder = _reminder(self.workspace)
        self._ended(await self.workspace.watcher.wait_async([self.pid], settled, progress=reminder))
        return outputs_of(await asyncio.to_thread(self._stored))

    def pause(self, reason: str | None = None, *, author: str | None = None) -> Answer:
        """Stop it after the step that runs now; it holds nothing while paused. Durable on return.

        Raises:
            ControlRefused: it has terminated.
        """
        return self._control(Control.PAUSE, reason, author)

    def play(self, reason: str | None = None, *, author: str | None = None) -> Answer:
        """Let it go on. Durable on return.

        Raises:
            ControlRefused: it has terminated.
        """
        return self._control(Control.PLAY, reason, author)

    def kill(self, reason: str | None = None, *, force: bool = False, author: str | None = None) -> Answer:
        """End it and all its descendants: now, or at the end of a blocking step. Durable on return.

        Args:
            force: Do not wait for a blocking step; whatever it still does is not written.

        Raises:
            ControlRefused: it has terminated.
        """
        return self._control(Control.KILL, reason, author, force=force)

    def signal(self, name: str, value: Any = True, *, author: str | None = None) -> None:
        """Send it a value, for which it waits or will wait with `signal_(name)`. Durable on return.

        It is kept until a step has used it. Sent twice, it is there twice.

        Args:
            value: Anything that can be saved.

        Raises:
            ControlRefused: it has terminated.
            Unsaveable: the value cannot be stored; names where it is.
        """
        (outcome,) = send(self.workspace, [self.pid], name, value, author)
        if not outcome.found:
            raise self.workspace.not_found(self.pid)
        if outcome.refused is not None:
            raise ControlRefused(self.pid, outcome.refused)

    def _control(
        self, verb: Control, reason: str | None, author: str | None, *, force: bool = False
    ) -> Answer:
        chosen = Selection(pids=[self.pid])
        answers = control(self.workspace, verb, chosen, reason=reason, author=author, force=force)
        answer = next((one for one in answers if one.pid == self.pid), None)
        if answer is None or answer.row is None:
            raise self.workspace.not_found(self.pid)
        if not answer.accepted:
            raise ControlRefused(self.pid, answer.message)
        return answer

    def why(self) -> Why:
        """One sentence that says why it does not move, or that it does, and the evidence."""
        return why(self.workspace, self.pid)

    def tree(self) -> Branch:
        """The process with its descendants: states, steps, what they wait for, and for how long.

        Raises:
            ProcessNotFound: there is no such process.
        """
        found = tree(self.workspace.store, self.pid)
        if found is None:
            raise self.workspace.not_found(self.pid)
        return found

    def history(self, after: int = 0) -> Sequence[EventRow]:
        """Its history so far: changes of state, controls with author and reason, reports."""
        return self.workspace.store.events(self.pid, after=after)

    def events(self, after: int = 0) -> AsyncIterator[EventRow]:
        """Its history from the beginning and as it grows, until its end: `async for event in ...`.

        Complete and in order, even if the connection breaks in between.

        Args:
            after: Begin behind the event of this `seq`.
        """
        return self.workspace.watcher.follow_async(self.pid, after)

    def _stored(self) -> Result:
        results = self.workspace.store.results([self.pid])
        if not results:
            raise self.workspace.not_found(self.pid)
        return results[0]

    def __repr__(self) -> str:
        return f"<ProcessHandle {self.pid}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProcessHandle) and (other.pid, other.workspace) == (self.pid, self.workspace)

    def __hash__(self) -> int:
        return hash(self.pid)


def _reminder(workspace: Workspace) -> Callable[[Sequence[ProcessRow]], None]:
    """Says, once, after a moment of waiting, that nobody works who could end it."""
    due = time.monotonic() + REMIND_SECONDS

    def look(rows: Sequence[ProcessRow]) -> None:
        nonlocal due
        for row in rows if time.monotonic() >= due else ():
            if (nobody := nobody_works(workspace, row)) is not None:
                due = float("inf")
                _log.warning(
                    "waiting for process %(pid)s: %(reason)s",
                    pid=row.pid,
                    class_=row.class_path,
                    queue=row.queue,
                    reason=nobody,
                )
                return

    return look


def settled(row: ProcessRow) -> bool:
    """It has ended, or nothing but a person can make it go on."""
    return row.terminated or is_held(row)


def get_process(pid: int | str, *, workspace: WorkspaceLike = None) -> ProcessHandle:
    """The handle of a process, by pid or by key.

    Raises:
        ProcessNotFound: there is none.
    """
    home = resolve(workspace)
    if isinstance(pid, str):
        row = home.store.find_key(pid)
        if row is None:
            raise ProcessNotFound(
                f"no process has the key {pid!r} in this workspace ({home.location.folder})"
            )
        return ProcessHandle(row.pid, home)
    number = fitted(pid, int)
    if type(number) is not int or not 0 < number <= LARGEST_PID:
        raise ProcessNotFound(f"there is no process {pid!r}; a pid is a whole number from 1 on")
    handle = ProcessHandle(number, home)
    _ = handle.row
    return handle


def outputs_of(result: Result) -> Mapping[str, Any]:
    """The outputs of a process that has terminated, or the error that says how it ended."""
    row = result.row
    outputs = _values(result.outputs)
    if row.state is State.EXCEPTED:
        story = (
            ErrorRecord.decode(result.error)
            if result.error
            else ErrorRecord("Exception", row.exit_message or "", "")
        )
        raise ProcessExcepted(row.pid, story.type_name, story.text, story.traceback)
    if row.state is State.KILLED:
        raise ProcessKilled(row.pid, row.exit_message)
    if row.exit_status:
        raise ProcessFailed(row.pid, row.exit_status, row.exit_message, outputs)
    return outputs


def _values(blob: bytes | None) -> dict[str, Any]:
    return {name: plain(value) for name, value in decode(blob).items()} if blob else {}


register_type(ProcessHandle, "quince.handle", lambda handle: [handle.pid, ""], child_from)  # type: ignore[arg-type]
register_as(ProcessHandle, ChildProcess, lambda handle: [handle.pid, ""])
"""A handle that is given to a process, or kept in a context, is there what a child is."""
