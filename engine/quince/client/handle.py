"""The handle through which a process is seen and controlled, from any program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic

from typing_extensions import TypeVar

from quince.client.control import Answer, control
from quince.client.outputs import outputs_of, values_of
from quince.client.place import place
from quince.client.restart import restart
from quince.client.retry import retry
from quince.client.signals import send
from quince.client.tree import Branch, tree
from quince.client.twins import twin
from quince.client.waits import settled, waiting
from quince.client.why import Why, why
from quince.errors import (
    ControlRefused,
    ProcessHeld,
    ProcessNotFound,
    WaitTimeout,
)
from quince.messages import LARGEST_PID
from quince.on_hold import is_held
from quince.processes.child import ChildProcess, ProcessReference, child_from, child_to_plain
from quince.processes.error_record import ErrorRecord
from quince.processes.fitting import fitted
from quince.showing import ShowsItself
from quince.workspace.workspace import Workspace, resolve
from quince_persistence.codec import register_as, register_type
from quince_persistence.codec.standard import register_plain
from quince_persistence.records import Control, EventRow, ProcessRow, Progress, Result, Selection, State

WorkspaceLike = Workspace | Path | str | None

Value = TypeVar("Value", covariant=True, default=Any)


class ProcessHandle(ProcessReference, ShowsItself, Generic[Value]):
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
    def status(self) -> str | None:
        """What it has said last of itself, or why it was paused or killed, read now."""
        return self.row.status

    @property
    def progress(self) -> Progress | None:
        """How far its step is, as it has said last (`done`, `total`, `text`), read now; None: it has said
        nothing."""
        return self.row.progress

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
        return values_of(blob)

    @property
    def outputs(self) -> Mapping[str, Value]:
        """What it has put out, however it ended; empty before its end."""
        return values_of(self._stored().outputs)

    def wait(self, timeout: float | None = None) -> ProcessRow:
        """Block until it has terminated, in whatever way.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            ProcessHeld: the engine has paused it, since it cannot go on with it; says why.
            WaitTimeout: it has not terminated yet; says why. It goes on.
        """
        with waiting(self.workspace) as progress:
            rows = self.workspace.watcher.wait([self.pid], settled, timeout, progress)
        row = self._ended(rows)
        if not row.terminated:
            raise WaitTimeout(f"process {self.pid} has not ended after {timeout:g} s: {self.why().sentence}")
        return row

    def _ended(self, rows: Sequence[ProcessRow]) -> ProcessRow:
        if not rows:
            raise self.workspace.not_found(self.pid)
        if is_held(rows[0]):
            error = self._stored().error
            story = ErrorRecord.decode(error).traceback if error else ""
            raise ProcessHeld(self.pid, rows[0].status, story)
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
        with waiting(self.workspace) as progress:
            rows = await self.workspace.watcher.wait_async([self.pid], settled, progress=progress)
        self._ended(rows)
        return outputs_of(await asyncio.to_thread(self._stored))

    def pause(self, reason: str | None = None, *, now: bool = False, author: str | None = None) -> Answer:
        """Stop it after the step that runs now; it holds nothing while paused. Durable on return.

        Args:
            now: Stop that step in its midst, with the programs that it has started: it stays in the memory of
                its worker, and goes on there when it is played.

        Raises:
            ControlRefused: it has terminated.
        """
        return self._control(Control.PAUSE, reason, author, now=now)

    def play(self, reason: str | None = None, *, author: str | None = None) -> Answer:
        """Let it go on. Durable on return.

        Raises:
            ControlRefused: it has terminated.
        """
        return self._control(Control.PLAY, reason, author)

    def kill(self, reason: str | None = None, *, force: bool = False, author: str | None = None) -> Answer:
        """End it and all its descendants. Durable on return.

        A step that runs is stopped: its coroutine is cancelled, in a function `ProcessKilled` is raised; what
        goes on all the same is ended after some seconds (`kill_grace` in `quince.toml`).

        Args:
            force: Give a step that runs no time to end.

        Raises:
            ControlRefused: it has terminated.
        """
        return self._control(Control.KILL, reason, author, force=force)

    def set(
        self, *, priority: int | None = None, queue: str | None = None, author: str | None = None
    ) -> Answer:
        """Give it another priority, or put it on another queue. Durable on return.

        If a step of it runs, that holds from its next claim on. Children that it submits later have
        them too, if nothing else is said; those that it has are left as they are.

        Args:
            priority: 0 to 9 (first).
            queue: Which workers run it.

        Raises:
            InvalidInput: that is no priority, or no queue.
            ControlRefused: it has terminated, or belongs to a `run()`.
        """
        chosen = Selection(pids=[self.pid])
        (answer,) = place(self.workspace, chosen, queue=queue, priority=priority, author=author)
        if answer.row is None:
            raise self.workspace.not_found(self.pid)
        if not answer.accepted:
            raise ControlRefused(self.pid, answer.message)
        return answer

    def retry(
        self,
        reason: str | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        author: str | None = None,
        **named: Any,
    ) -> Answer:
        """Have it go on in place from the step in which it ended, after it has ended and not well: excepted,
        killed, or with an exit status other than 0. Durable on return.

        Those that it had waited for, and that have not ended well, are retried too; it waits for them first.
        The old error stays in its history.

        Args:
            inputs: Inputs that change, by name; the others stay what they were.
            named: The same.

        Raises:
            ControlRefused: it has not ended, or has ended well; says what to do.
            InvalidInput, Unsaveable: its class does not take the inputs. Nothing was changed.
            UnknownTarget: inputs are given, and its class cannot be loaded here to check them.
        """
        changed = {**(inputs or {}), **named}
        chosen = Selection(pids=[self.pid])
        answers = retry(self.workspace, chosen, reason=reason, author=author, inputs=changed)
        answer = next(one for one in answers if one.pid == self.pid)
        if answer.row is None:
            raise self.workspace.not_found(self.pid)
        if not answer.accepted:
            raise ControlRefused(self.pid, answer.message)
        return answer

    def restart(
        self,
        from_step: str | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        reason: str | None = None,
        author: str | None = None,
        **named: Any,
    ) -> ProcessHandle[Value]:
        """Make a new process that begins with the context as it was before a step of this one, and shares the
        children that ended well; those that it would wait for in vain are made anew. This one stays as it
        is. Durable on return.

        Args:
            from_step: The name of the step: the newest time that it ran; `turn#2` is its second time. The
                step at which the process stands, or stopped, if not given; of one that ended well, the first.
                Any but that one and the first needs `keep_checkpoints`.
            inputs: Inputs that are others in the new process, by name.
            named: The same.

        Returns:
            The handle of the new process.

        Raises:
            ControlRefused: no checkpoint is kept before such a step; says before which there is one.
            InvalidInput, Unsaveable: its class does not take the inputs. Nothing was written.
            UnknownTarget: its class is needed, and cannot be loaded here.
        """
        changed = {**(inputs or {}), **named}
        made = restart(self.workspace, self.pid, from_step, inputs=changed, reason=reason, author=author)
        return ProcessHandle(made.pid, self.workspace)

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
        self,
        verb: Control,
        reason: str | None,
        author: str | None,
        *,
        force: bool = False,
        now: bool = False,
    ) -> Answer:
        chosen = Selection(pids=[self.pid])
        answers = control(self.workspace, verb, chosen, reason=reason, author=author, force=force, now=now)
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
        return self._events(after)

    async def _events(self, after: int) -> AsyncIterator[EventRow]:
        with waiting(self.workspace) as progress:
            async for event in self.workspace.watcher.follow_async(self.pid, after, progress):
                yield event

    apause, aplay, akill = twin(pause), twin(play), twin(kill)
    aset, asignal = twin(set), twin(signal)  # noqa: A003 - the method above
    aretry, arestart = twin(retry), twin(restart)
    awhy, atree, ahistory = twin(why), twin(tree), twin(history)

    async def arow(self) -> ProcessRow:
        """`row` from a coroutine."""
        return await asyncio.to_thread(lambda: self.row)

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


class Handles(ShowsItself, list[ProcessHandle[Value]]):
    """Handles: a list, which a notebook shows as a table."""

    __slots__ = ()


register_plain(Handles, list)


def get_process(pid: int | str, *, workspace: WorkspaceLike = None) -> ProcessHandle:
    """The handle of a process, by pid or by key.

    Raises:
        ProcessNotFound: there is none.
    """
    home = resolve(workspace)
    if isinstance(pid, str):
        row = home.store.find_key(pid)
        if row is not None:
            return ProcessHandle(row.pid, home)
        if pid.isdecimal():
            raise ProcessNotFound(
                f"no process has the key {pid!r} in this workspace ({home.location.folder}); for the pid, "
                "give a whole number"
            )
        raise home.no_key(pid)
    number = fitted(pid, int)
    if type(number) is not int or not 0 < number <= LARGEST_PID:
        raise ProcessNotFound(f"there is no process {pid!r}; a pid is a whole number from 1 on")
    handle = ProcessHandle(number, home)
    _ = handle.row
    return handle


aget_process = twin(get_process)

register_type(ProcessHandle, "quince.handle", child_to_plain, child_from)  # type: ignore[arg-type]
register_as(ProcessHandle, ChildProcess, child_to_plain)
"""A handle that is given to a process, or kept in a context, is there what a child is."""
