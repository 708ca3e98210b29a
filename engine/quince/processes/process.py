"""The base of all process classes: what a user writes and what a step may do.

Everything here is documented (docs/workflows.md). What the engine knows of a process stands in its
`Execution`; nothing of that is on the object, whose other names are the user's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, overload

from quince.errors import EngineError, InvalidDefinition, UnreadableCheckpoint
from quince.moments import Deadline
from quince.processes.bases import refuse_overriding, refuse_setting, run_by
from quince.processes.child import ChildProcess, ProcessReference
from quince.processes.definition import P, ProcessFunctionLike, definition_of
from quince.processes.execution import Execution, execution_of
from quince.processes.namespace import Namespace
from quince.processes.options import Wishes
from quince.processes.programs import Completed
from quince.processes.spec import ExitCodes, ProcessSpec
from quince_persistence.records.schedules import MOMENT_LABEL

Result = TypeVar("Result")


@run_by(Execution)
class Process:
    """One unit of work: declares its inputs and outputs, and does it in `run`.

    A worker makes the instance from what the store holds; nobody else calls the constructor. What
    must outlive a crash goes through `out`, `report`, `submit` (and `ctx` of a `WorkChain`); plain
    attributes do not.

    A crash of the worker re-runs `run` from its beginning.
    """

    version: ClassVar[str] = "1"
    """Written into every checkpoint; change it when the class changes what its checkpoints mean."""

    isolation: ClassVar[Literal["host", "thread"]] = "host"
    """Where daemon workers run its `def` steps: each on the main thread of a step host that it has to itself
    meanwhile; or, "thread", in threads of one step host, where processes of such classes share memory."""

    deadline: ClassVar[Deadline | None] = None
    """When a process of this class must have ended, with its tree, if the submission does not say."""

    on_failure: ClassVar[Literal["fail", "pause"] | None] = None
    """What happens when a step has failed and is not tried again: the process ends with the error, or is
    paused as it was before that step. None: as the workspace says, which is `fail` if it says nothing."""
    keep_checkpoints: ClassVar[bool] = False
    """Whether the checkpoints before all of its steps are kept, so that it can be begun anew from any of them
    (`quince restart PID --from STEP`); else only the newest is."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare inputs, outputs and exit codes; call `super().define(spec)` first.

        Args:
            spec: A `ProcessSpec`: write `def define(cls, spec: ProcessSpec) -> None`.
        """
        spec.based = True

    @classmethod
    def spec(cls) -> ProcessSpec:
        """What this very class declares; nothing more can be declared in it.

        Raises:
            InvalidDefinition: `define` did not call `super()`, or declares something impossible.
        """
        spec: ProcessSpec = definition_of(cls).spec
        return spec

    @classmethod
    def migrate(cls, memory: dict[str, Any], version: str) -> dict[str, Any]:
        """Make, from what a checkpoint of another version of this class holds, what this one needs.

        Called before the process is restored; without it the process is paused. May be called again
        for the same checkpoint, until a step has committed.

        Args:
            memory: `ctx` and `outputs` (dictionaries), `position` (list of integers: where in the
                outline) and `step` (the name of the step there).
            version: The version that wrote it.

        Returns:
            Such a `memory` for the present version: its `step` must be what stands at `position` now.

        Raises:
            UnreadableCheckpoint: it cannot be done; the process is paused with this as its reason.
        """
        raise UnreadableCheckpoint(
            f"its checkpoint was written by version {version!r} of {cls.__name__}, this is version "
            f"{cls.version!r}; give the class a `migrate` hook, or run the code of that version"
        )

    def __new__(cls, *arguments: Any, **others: Any) -> Self:
        """Refuse what a user might write in the place of `submit`."""
        name = cls.__name__
        raise InvalidDefinition(
            f"{name} is not called: write run({name}, ...) or submit({name}, ...), with inputs by name"
        )

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_overriding(cls)

    if not TYPE_CHECKING:  # which would take any attribute for one that can be set

        def __setattr__(self, name: str, value: Any) -> None:
            refuse_setting(self, name)
            super().__setattr__(name, value)

    @property
    def status(self) -> str | None:
        """One line about what it does, for `quince ps`; seen while the step runs, and kept with it."""
        return execution_of(self).status

    @status.setter
    def status(self, text: object) -> None:
        execution = execution_of(self)
        execution.status = None if text is None else str(text)
        execution.says()

    @property
    def pid(self) -> int:
        """The process's id, unique in its store."""
        return execution_of(self).pid

    @property
    def inputs(self) -> Namespace:
        """The inputs, checked and with defaults; as attributes or items. They cannot be set.

        Each step finds them as they were submitted: what is done to a list or an array of them (here, by
        an earlier step, or by whoever submitted them) is gone when the next step begins.

        A child or a handle that was given is there a process, as `self.submit` returns it: with its outputs
        if it had ended when the step first looked, else to be waited for.
        """
        return execution_of(self).inputs

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The outputs so far, as attributes or items. They cannot be set here."""
        return execution_of(self).outputs

    @property
    def exit_codes(self) -> ExitCodes:
        """The declared exit codes: `return self.exit_codes.LABEL` ends the process with it."""
        codes: ExitCodes = execution_of(self).definition.spec.exit_codes
        return codes

    @property
    def scheduled(self) -> datetime | None:
        """The moment for which a schedule has made it, or a process above it, with the offset of its time
        zone; None if none has. What was missed, or is back-filled, runs later than that."""
        moment = execution_of(self).row.options.labels.get(MOMENT_LABEL)
        try:
            return None if moment is None else datetime.fromisoformat(moment)
        except ValueError:  # a label of that name that somebody has given
            return None

    @property
    def stopping(self) -> bool:
        """Somebody wants this process, or its worker, to stop: a long step may leave early."""
        return execution_of(self).stopping

    @property
    def logger(self) -> logging.Logger:
        """A logger named after the class; what it writes goes to the worker's log, with the process and its
        step as fields of each record."""
        return execution_of(self).logger()

    def out(self, name: str, value: Any) -> None:
        """Put out a value; `a.b` goes into the namespace `a`. Durable with this step.

        Raises:
            InvalidOutput: the spec has no such output, or not of this type, or it would lie inside another.
            Unsaveable: a value that cannot be stored; names where it is.
        """
        execution_of(self).out(name, value)

    def out_many(self, values: Mapping[str, Any]) -> None:
        """Put out several values, by name: `self.out_many({"low": 1.0, "fit.error": 0.1})`.

        Raises:
            InvalidOutput: the spec has no such output, or not of this type; or it is no mapping.
            Unsaveable: a value that cannot be stored; names where it is.
        """
        execution_of(self).out_many(values)

    def report(self, text: str) -> None:
        """Write a line to the process's history (`quince logs PID`), where it is seen within two seconds.

        It is durable with this step at the latest. If the step fails or crashes after it was seen, it stays.
        """
        execution_of(self).report(text)

    def progress(self, done: float, total: float | None = None, text: str | None = None) -> None:
        """Say how far this step is: `self.progress(3, 40, "relaxing")`. It is seen within two seconds, in
        `quince ps` and elsewhere, until the step commits.

        It may be called as often as one likes: it is passed on once a second at most.

        Args:
            total: Of all that is to be done, if that is known.
            text: A few words.

        Raises:
            TypeError: a number is none.
        """
        execution_of(self).progress(done, total, text)

    @overload
    def submit(
        self, function: ProcessFunctionLike[P], /, *args: P.args, **inputs: P.kwargs
    ) -> ChildProcess: ...
    @overload
    def submit(
        self, function: ProcessFunctionLike[...], /, *, inputs: Mapping[str, Any] | None,
        queue: str | None = None, priority: int | None = None, labels: Mapping[str, Any] | None = None,
        limits: Sequence[str] | None = None, on_failure: str | None = None, deadline: Deadline | None = None,
        cache: bool | None = None, **named: Any,
    ) -> ChildProcess: ...  # fmt: skip
    @overload
    def submit(
        self, function: ProcessFunctionLike[...], /, *, queue: str | None,
        inputs: Mapping[str, Any] | None = None, priority: int | None = None, **named: Any,
    ) -> ChildProcess: ...  # fmt: skip
    @overload
    def submit(
        self, function: ProcessFunctionLike[...], /, *, priority: int | None,
        inputs: Mapping[str, Any] | None = None, queue: str | None = None, **named: Any,
    ) -> ChildProcess: ...  # fmt: skip
    @overload
    def submit(
        self, process_class: type[Process], /, *, inputs: Mapping[str, Any] | None = None,
        queue: str | None = None, priority: int | None = None, labels: Mapping[str, Any] | None = None,
        limits: Sequence[str] | None = None, on_failure: str | None = None, deadline: Deadline | None = None,
        cache: bool | None = None, **named: Any,
    ) -> ChildProcess: ...  # fmt: skip
    def submit(  # type: ignore[misc]  # a function may have a parameter called `queue`, of another type
        self,
        process_class: Any,
        /,
        *,
        inputs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        labels: Mapping[str, Any] | None = None,
        limits: Sequence[str] | None = None,
        on_failure: str | None = None,
        deadline: Deadline | None = None,
        cache: bool | None = None,
        **named: Any,
    ) -> ChildProcess:
        """Submit a child. It exists, and goes to the queue, when this step commits; not before.

        A step that crashes and runs again leaves no second copy.

        Args:
            process_class: A process class or a `@process` function.
            inputs: Its inputs, by name; those called as an argument of this function can be given only here.
            queue: Where it runs; this process's queue if not given.
            priority: 0 to 9 (first); this process's priority if not given.
            labels: By which it is found, besides those of this process.
            limits: Names of limits that it holds while it is at work.
            on_failure: `fail` or `pause`; as its class says if not given.
            deadline: When it must have ended, with its tree (`"2 h"`, or a `datetime`); then it is killed.
            cache: Whether the outputs of one that ended well with the same inputs may be taken for its own.
            named: Its inputs, or more of them.

        Raises:
            InvalidInput: names the port and what is wrong.
            Unsaveable: an input that cannot be stored; names where it is.
        """
        wishes = Wishes(None, queue, priority, labels, limits, on_failure, deadline, cache)
        return execution_of(self).submit(process_class, inputs=inputs, wishes=wishes, named=named)

    def signal(self, process: ProcessReference | int, name: str, value: Any = True) -> None:
        """Send a value to another process. It is sent when this step commits, once; not before.

        A process that has terminated by then does not get it.

        Args:
            process: What `self.submit` returned, a handle, or a pid.
            name: What the other one waits for, with `signal_(name)`.

        Raises:
            Unsaveable: the value cannot be stored; names where it is.
            ValueError: no name.
        """
        execution_of(self).signal(process, name, value)

    def kill(self, process: ProcessReference | int) -> None:
        """Kill a child of this process, with its tree. It is done when this step commits; not before.

        One that has ended by then stays as it is. A child whose step runs gets the time to end that a kill
        gives (`kill_grace`); who wants to see its end waits for it.

        Args:
            process: What `self.submit` returned, here or in an earlier step; or its pid.
        """
        execution_of(self).kill(process)

    def once(self, key: str, function: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Result:
        """Run a function whose effect must not happen twice, or return what it returned before.

        Its result is durable when this returns; from then on every call with this key, in this step
        when it runs again or in a later one, returns it and does not run the function. If the worker
        dies after the function has acted and before its result is durable, it runs again: give what
        it calls `self.token(key)`, so that a second call is recognised. A function that raises
        records nothing.

        In an `async` step: `await self.once(key, coroutine_function, ...)`.

        Args:
            key: Names the block within this process; in a loop, put the turn into it.
            function: Returns a value that can be saved. It must not submit, output or set `ctx`.

        Returns:
            The result as it was recorded (a copy).

        Raises:
            MisusedOnce: the function would block an `async` step, or does what would be lost.
            Unsaveable: its result cannot be recorded (it did run).
            ClaimLost: this worker has lost the process; another one goes on with it.
        """
        result: Result = execution_of(self).once_blocks(key, function, args, kwargs)
        return result

    def token(self, key: str) -> str:
        """A short text that is the same whenever this process asks with this key, and no other's.

        For services that take an idempotency key, and for names by which a job can be found again.
        """
        return execution_of(self).once_blocks.token(key)

    async def command(
        self,
        *arguments: str | Path,
        folder: Path | str | None = None,
        environment: Mapping[str, str] | None = None,
        with_urls: bool = False,
        stdin: bytes | None = None,
        check: bool = True,
        suspendable: bool = False,
    ) -> Completed:
        """Run an external program from an `async` step and wait for its end.

        It has a session of its own. If the process is killed, or its worker stops, its group gets SIGTERM,
        and all that it has started SIGKILL ten seconds later; if the worker dies, all is killed at once. What
        an earlier run of this step has left on this host all the same is ended before the program begins.

        Args:
            folder: Where it runs; the worker's working directory (the workspace) if not given.
            environment: Added to the worker's, of which it does not get `QUINCE_STORE` and `QUINCE_BROKER`:
                they may hold passwords.
            with_urls: It gets those two as well, since it uses Quince itself.
            stdin: What it reads.
            check: Raise if its exit status is not 0.
            suspendable: A pause stops its group with SIGSTOP, at once, and a play continues it; the
                process keeps its worker and its slot meanwhile. Else a pause waits for the step's end.

        Returns:
            Exit status, standard output and standard error (as bytes).

        Raises:
            CommandFailed: with `check`, its status is not 0; the message has its last word.
            OSError: it cannot be started.
        """
        return await execution_of(self).command(
            *arguments,
            folder=folder,
            environment=environment,
            with_urls=with_urls,
            stdin=stdin,
            check=check,
            suspendable=suspendable,
        )

    def run(self) -> Any:
        """Do the work. May be `def` (it may block, it has a thread) or `async def`.

        Returns:
            None, an exit code (`self.exit_codes.LABEL`, an int), or a mapping of outputs.

        Raises:
            InvalidDefinition: the class does not define it.
        """
        raise InvalidDefinition(f"{type(self).__qualname__} has no `run`")

    def __repr__(self) -> str:
        try:
            return f"<{type(self).__name__} {execution_of(self).pid}>"
        except EngineError:
            return object.__repr__(self)  # it does not run here, and can be printed
