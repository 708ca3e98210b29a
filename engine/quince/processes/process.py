"""The base of all process classes: what a user writes and what a step may do."""

from __future__ import annotations

import logging
import reprlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from quince.errors import (
    InvalidDefinition,
    InvalidInput,
    InvalidOutput,
    UnexpectedReturn,
    UnreadableCheckpoint,
)
from quince.logs import with_speaker
from quince.patience import LOOP_SECONDS, on_loop, wait_for_store
from quince.processes.arguments import gathered
from quince.processes.child import ChildProcess, collect_children, pid_of
from quince.processes.definition import class_of, declared
from quince.processes.fitting import fitted
from quince.processes.instructions import takes_self, yields
from quince.processes.interfaces import Host
from quince.processes.left_programs import Mark
from quince.processes.namespace import Given, Namespace
from quince.processes.once import OnceBlocks, forbid_inside
from quince.processes.outline import Call, Search
from quince.processes.placing import put_out
from quince.processes.programs import Completed, Programs
from quince.processes.signals import Arrival, Expected, new_signal
from quince.processes.spec import SUCCESS, ExitCode, ExitCodes, ProcessSpec, check_output, parse_inputs
from quince.text import name_problem, storable
from quince_messaging.limits import check_priority, check_queue
from quince_persistence.codec import LARGE, check, check_step, check_together, encode_each
from quince_persistence.errors import StoreUnavailable
from quince_persistence.records import NewEvent, NewProcess, NewSignal, SignalRow


class StepRecord:
    """What the running step has gathered; committed with it, or forgotten with it."""

    __slots__ = (
        "awaits",
        "cancellable",
        "children",
        "deadline",
        "doomed",
        "due",
        "reports",
        "sends",
        "size",
        "unmet",
    )

    def __init__(self) -> None:
        self.unmet: StoreUnavailable | None = None  # it needed the store at once: it is begun anew
        self.children: list[NewProcess] = []
        self.awaits: list[ChildProcess] = []
        self.reports: list[NewEvent] = []
        self.sends: list[NewSignal] = []
        self.size = 0  # bytes of the inputs of its children, and of what it sends and reports
        self.due: float | None = None
        self.deadline = False  # `due` is that of signals, and no timer of its own
        self.cancellable = False  # the user's coroutine is running: it may be cancelled
        self.doomed = False  # it is to be killed: its coroutine need not begin

    def add(self, size: int, what: str) -> None:
        """Count so many bytes more.

        Raises:
            TooLarge: that is too much for one step.
        """
        check_step(self.size + size, what)
        self.size += size


class Process:
    """One unit of work: declares its inputs and outputs, and does it in `run`.

    A worker makes the instance from what the store holds; nobody else calls the constructor. What
    must outlive a crash goes through `out`, `report`, `submit` (and `ctx` of a `WorkChain`); plain
    attributes do not.

    A crash of the worker re-runs `run` from its beginning.
    """

    version: ClassVar[str] = "1"
    """Written into every checkpoint; change it when the class changes what its checkpoints mean."""

    _spec_class: ClassVar[type] = ProcessSpec
    _spec: ClassVar[Any]

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare inputs, outputs and exit codes; call `super().define(spec)` first."""
        spec.based = True

    @classmethod
    def spec(cls) -> Any:
        """The sealed spec of this very class.

        Raises:
            InvalidDefinition: `define` did not call `super()`, or declares something impossible.
        """
        spec = cls.__dict__.get("_spec")
        if spec is None:
            spec = declared(cls)
            cls._check_definition(spec)
            spec.seal()
            cls._spec = spec
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
            The same, for the present version: `step` must be what stands at `position` now.

        Raises:
            UnreadableCheckpoint: it cannot be done; the process is paused with this as its reason.
        """
        raise UnreadableCheckpoint(
            f"its checkpoint was written by version {version!r} of {cls.__name__}, this is version "
            f"{cls.version!r}; give the class a `migrate` hook, or run the code of that version"
        )

    @classmethod
    def _check_definition(cls, spec: Any) -> None:
        if cls.run is Process.run:
            raise InvalidDefinition(
                f"{cls.__qualname__} has no `run`: define `run(self)`, as `def` or `async def`"
            )
        run: Any = cls.run
        if not callable(run) or not takes_self(run):
            raise InvalidDefinition(f"{cls.__qualname__}: `run` must be a method that takes self alone")
        if yields(run):
            raise InvalidDefinition(f"{cls.__qualname__}: `run` yields, and a process returns")

    # For whoever runs it

    def __new__(cls, *arguments: Any, **others: Any) -> Self:
        """Refuse what a user might write in the place of `submit`."""
        if len(arguments) < 3:  # a worker gives pid, inputs, host and row
            name = cls.__name__
            raise InvalidDefinition(
                f"{name} is not called: write run({name}, ...) or submit({name}, ...), with inputs by name"
            )
        return super().__new__(cls)

    def __init__(self, pid: int, inputs: bytes, host: Host, row: Any = None) -> None:
        self._pid = pid
        self._given = Given(inputs, self.spec().inputs)
        self._host = host
        self._row = row
        self._outputs: dict[str, Any] = {}
        self._record = StepRecord()
        self._stop = threading.Event()
        self._once_blocks = OnceBlocks(row, host)
        self._programs = Programs()
        self._expected: list[Expected] = []
        self._arrived: list[Arrival] = []
        self._used: list[SignalRow] = []
        self.status: str | None = None

    def _begin(self) -> None:
        """A step begins."""
        self._record = StepRecord()
        self._given.renew()

    def _search(self) -> Search:
        """Look for the step to run now; the tests of the user's that are met are yielded, to be asked."""
        yield from ()
        return Call(type(self).run, ())

    _over = False
    """Nothing is left to run, as is known without asking the user's code."""

    def _direct(self) -> Call | None:
        """The step to run now if it is known without asking the user's code."""
        return Call(type(self).run, ())

    def _label(self) -> str | None:
        return "run"

    def _took(self, call: Call, answer: Any) -> ExitCode | None:
        """A step has returned: an exit code if the process ends with it, None if it goes on."""
        if isinstance(answer, Mapping):
            for name, value in answer.items():
                self.out(name, value)
            return SUCCESS
        return SUCCESS if answer is None else self._exit_code(call, answer)

    def _exit_code(self, call: Call | None, answer: Any) -> ExitCode:
        if isinstance(answer, ExitCode):
            return replace(answer, status=fitted(answer.status, int))
        answer = fitted(answer, int)
        if isinstance(answer, int) and not isinstance(answer, bool):
            if not 0 <= answer <= LARGEST_STATUS:
                raise UnexpectedReturn(
                    f"{type(self).__name__}: exit status {answer} is not between 0 and {LARGEST_STATUS}"
                )
            return ExitCode(int(answer), self.exit_codes.message_of(answer))
        step = call.function.__name__ if call else "return_"
        raise UnexpectedReturn(
            f"{type(self).__name__}.{step} returned {reprlib.repr(answer)} ({type(answer).__name__}): "
            f"{self._instead(answer)}"
        )

    def _instead(self, answer: Any) -> str:
        """What to write where a step has returned such a thing."""
        return (
            "return None to go on, an exit code (`self.exit_codes.LABEL`, an int) or a mapping of outputs; "
            "only a WorkChain can wait"
        )

    def _memory(self) -> dict[str, Any] | None:
        """What a checkpoint of this process must hold beside its inputs, or None for nothing."""
        return None

    def _recall(self, memory: Mapping[str, Any]) -> None:
        """Take in what `_memory` gave."""

    def _receive(self) -> None:
        """Take in the signals that have come, before the step that shall have them."""

    # For the user

    @property
    def pid(self) -> int:
        """The process's id, unique in its store."""
        return self._pid

    @property
    def inputs(self) -> Namespace:
        """The inputs, checked and with defaults; as attributes or items. They cannot be set.

        Each step finds them as they were submitted: what is done to a list or an array of them (here, by
        an earlier step, or by whoever submitted them) is gone when the next step begins.

        A child or a handle that was given is there a process, as `self.submit` returns it: with its outputs
        if it had ended when the step first looked, else to be waited for.
        """
        with collect_children() as met:
            values = self._given.values()
        if met:
            self._look_at(met)
        return values

    @property
    def outputs(self) -> Mapping[str, Any]:
        """What has been put out so far."""
        return self._outputs

    @property
    def exit_codes(self) -> ExitCodes:
        """The declared exit codes: `return self.exit_codes.LABEL` ends the process with it."""
        codes: ExitCodes = self.spec().exit_codes
        return codes

    @property
    def stopping(self) -> bool:
        """Somebody wants this process, or its worker, to stop: a long step may leave early."""
        return self._stop.is_set()

    @property
    def logger(self) -> logging.Logger:
        """A logger named after the class; what it writes goes to the worker's log."""
        logger = logging.getLogger(f"quince.process.{type(self).__qualname__}")
        logger.addFilter(with_speaker)  # of one that has it already, nothing is changed
        return logger

    def out(self, name: str, value: Any) -> None:
        """Put out a value; `a.b` goes into the namespace `a`. Durable with this step.

        Raises:
            InvalidOutput: the spec has no such output, or not of this type, or it would lie inside another.
            Unsaveable: a value that cannot be stored; names where it is.
        """
        forbid_inside("out", name)
        path = check_output(self.spec(), type(self).__name__, name, value)
        if check(value, f"outputs.{name}") > LARGE:
            check_together({**self._outputs, name: value}, "outputs")
        put_out(self._outputs, self.spec().outputs, path, value)

    def out_many(self, values: Mapping[str, Any]) -> None:
        """Put out several values, by name, as `out` does."""
        if not isinstance(values, Mapping):
            raise InvalidOutput(f"out_many() takes a mapping of names to values, not {type(values).__name__}")
        for name, value in values.items():
            self.out(name, value)

    def report(self, text: str) -> None:
        """Write a line to the process's history (`quince logs PID`). Durable with this step."""
        self.logger.info("[%s] %s", self._pid, text, extra={"pid": self._pid})
        line = storable(str(text))
        self._record.add(len(line), "what this step reports")
        self._record.reports.append(NewEvent("report", {"text": line, "at": time.time()}))

    def submit(
        self,
        process_class: Any,
        /,
        *,
        inputs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        **named: Any,
    ) -> ChildProcess:
        """Submit a child. It exists, and goes to the queue, when this step commits; not before.

        A step that crashes and runs again leaves no second copy.

        Args:
            process_class: A process class or a `@process` function.
            inputs: Its inputs, by name; those called `inputs`, `queue` or `priority` can be given only here.
            queue: Where it runs; this process's queue if not given.
            priority: 0 to 9 (first); this process's priority if not given.
            named: Its inputs, or more of them.

        Raises:
            InvalidInput: names the port and what is wrong.
            Unsaveable: an input that cannot be stored; names where it is.
        """
        cls = class_of(process_class)
        forbid_inside("submit", getattr(cls, "__name__", str(cls)))
        child = new_process(
            cls,
            gathered(cls, inputs, named, queue=queue, priority=priority),
            pid=self._pid_for_child(),
            class_path=self._host.name_of(cls),
            parent=self._row,
            queue=queue,
            priority=priority,
        )
        self._record.add(len(child.inputs), f"what this step submits, with inputs of {cls.__name__},")
        self._record.children.append(child)
        return ChildProcess(child.pid, child.class_path)

    def _pid_for_child(self) -> int:
        """A fresh pid, however long the store is away. A coroutine step, which must not block the loop, is
        cut off then, and begun anew when the store is back."""
        if not on_loop():
            return wait_for_store(self._host, self._pid, self._host.new_pid)
        try:
            return self._host.new_pid(within=LOOP_SECONDS)
        except StoreUnavailable as away:
            self._record.unmet = away
            raise

    def _look_at(self, given: Sequence[ChildProcess]) -> None:
        """Learn how processes stand that are inputs."""
        read = partial(self._host.store.results, [child.pid for child in given])
        try:
            found = read() if on_loop() else wait_for_store(self._host, self._pid, read)
        except StoreUnavailable as away:
            self._record.unmet = away
            raise
        results = {result.row.pid: result for result in found}
        for child in given:
            if child.pid in results:
                child.load(results[child.pid])

    def _outputs_of(self, pid: int) -> bytes | None:
        """What a child has put out. A coroutine cannot wait for a store that is away, as with `submit`."""
        read: Callable[..., bytes | None] = self._host.store.outputs
        if not on_loop():
            return wait_for_store(self._host, self._pid, lambda: read(pid))
        try:
            return read(pid, within=LOOP_SECONDS)
        except StoreUnavailable as away:
            self._record.unmet = away
            raise

    def signal(self, process: Any, name: str, value: Any = True) -> None:
        """Send a value to another process. It is sent when this step commits, once; not before.

        A process that has terminated by then does not get it.

        Args:
            process: What `self.submit` returned, a handle, or a pid.
            name: What the other one waits for, with `signal_(name)`.

        Raises:
            Unsaveable: the value cannot be stored; names where it is.
            ValueError: no name.
        """
        forbid_inside("signal", name)
        pid = pid_of(process)
        if pid is None:
            raise TypeError(f"signal() takes what submit() returned, a handle or a pid, not {process!r}")
        signal = new_signal(pid, name, value)
        self._record.add(len(signal.value), f"what this step sends, with signal {name},")
        self._record.sends.append(signal)

    def once(self, key: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run a function whose effect must not happen twice, or return what it returned before.

        Its result is durable when this returns; from then on every call with this key, in this step
        when it runs again or in a later one, returns it and does not run the function. If the worker
        dies after the function has acted and before its result is durable, it runs again: give what
        it calls `self.token(key)`, so that a second call is recognised. A function that raises
        records nothing.

        In an `async` step: `await self.once(key, coroutine_function, ...)`.

        Args:
            key: Names the block within this process; in a loop, put the turn into it.
            function: Returns a value that can be saved. It must not submit, put out or set `ctx`.

        Returns:
            The result as it was recorded (a copy).

        Raises:
            MisusedOnce: the function would block an `async` step, or does what would be lost.
            Unsaveable: its result cannot be recorded (it did run).
            ClaimLost: this worker has lost the process; another one goes on with it.
        """
        return self._once_blocks(key, function, args, kwargs)

    def token(self, key: str) -> str:
        """A short text that is the same whenever this process asks with this key, and no other's.

        For services that take an idempotency key, and for names by which a job can be found again.
        """
        return self._once_blocks.token(key)

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
        mark = Mark(self._once_blocks.token("program"), self._row.epoch)
        await self._programs.make_way(mark, self)
        return await self._programs.run(
            arguments,
            mark=mark,
            folder=folder,
            environment=environment,
            with_urls=with_urls,
            stdin=stdin,
            check=check,
            suspendable=suspendable,
        )

    def run(self) -> Any:
        """Do the work. May be `def` (it may block, it has a thread) or `async def`."""
        raise InvalidDefinition(f"{type(self).__qualname__} has no `run`")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._pid}>"


def new_process(
    cls: Any,
    inputs: Mapping[str, Any],
    *,
    pid: int,
    class_path: str,
    parent: Any = None,
    queue: str | None = None,
    priority: int | None = None,
    key: str | None = None,
) -> NewProcess:
    """Check the inputs and make the row that is inserted.

    Args:
        parent: The row of the parent (for pid, root, queue and priority), or None.

    Raises:
        InvalidInput, Unsaveable: as `Process.submit`.
        InvalidDefinition: it is no process class, or one that cannot work.
    """
    cls = class_of(cls)
    values = parse_inputs(cls.spec(), cls.__name__, inputs)
    for name, value in values.items():
        check(value, f"inputs.{name}")
    wrong = None if key is None else name_problem(key, LONGEST_KEY)
    if wrong:
        raise InvalidInput(f"{cls.__name__}: its key {wrong}")
    priority = fitted(priority, int)
    try:
        if priority is not None:
            check_priority(priority)
        if queue is not None:
            check_queue(queue)
            if not queue:
                raise ValueError("the name of a queue is empty")
    except ValueError as error:
        raise InvalidInput(f"{cls.__name__}: {error}") from None
    return NewProcess(
        pid=pid,
        class_path=class_path,
        class_version=str(cls.version),
        inputs=encode_each(values, "inputs"),
        parent=parent.pid if parent is not None else None,
        root=parent.root if parent is not None else pid,
        queue=queue or (parent.queue if parent is not None else "default"),
        priority=priority if priority is not None else (parent.priority if parent is not None else 0),
        key=key,
    )


LARGEST_STATUS = 2**31 - 1
LONGEST_KEY = 500
"""Characters; an index of PostgreSQL holds no more than 2,700 bytes."""
