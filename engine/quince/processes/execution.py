"""What the engine knows of a process that it runs, apart from the object that the user's class makes of it.

The object is the user's: it carries nothing of the engine's, and is asked for nothing. An `Execution` makes
it and keeps it; the documented methods of `Process` find theirs with `execution_of`.
"""

from __future__ import annotations

import logging
import reprlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

import msgspec
from msgspec import structs

from quince.errors import EngineError, InvalidDefinition, InvalidOutput, UnexpectedReturn
from quince.logs import with_speaker
from quince.patience import LOOP_SECONDS, on_loop, wait_for_store
from quince.processes.bases import is_base, owner_of
from quince.processes.child import ChildProcess, collect_children, pid_of
from quince.processes.creation import gathered, new_process
from quince.processes.definition import class_of, definition_of
from quince.processes.fitting import fitted
from quince.processes.interfaces import Host
from quince.processes.left_programs import Mark
from quince.processes.namespace import Given, Namespace
from quince.processes.once import OnceBlocks, forbid_inside
from quince.processes.options import Wishes
from quince.processes.outline import Call, Search
from quince.processes.port_values import check_output, put_out
from quince.processes.programs import Completed, Programs
from quince.processes.retries import ONCE, policy_of
from quince.processes.signals import Arrival, Expected, new_signal
from quince.processes.signatures import takes_self, yields
from quince.processes.spans import span_of_child
from quince.processes.spec import STATUSES, SUCCESS, ExitCode, ProcessSpec
from quince.processes.telling import progress_of, teller
from quince.text import storable
from quince_persistence.clock import now
from quince_persistence.codec import LARGE, check, check_step, check_together, fold
from quince_persistence.errors import StoreUnavailable
from quince_persistence.records import NewEvent, NewProcess, NewSignal, ProcessRow, Progress, SignalRow
from quince_persistence.records.limits import NewLimit

T = TypeVar("T")


class StepRecord(msgspec.Struct):
    """What the running step has gathered; committed with it, or forgotten with it."""

    children: list[NewProcess] = []
    limits: list[NewLimit] = []
    awaits: list[ChildProcess] = []
    reports: list[NewEvent] = []
    sends: list[NewSignal] = []
    size: int = 0  # bytes of the inputs of its children, and of what it sends and reports
    contents: dict[str, bytes] = {}  # large parts of these
    due: float | None = None
    timer: str | None = None  # what `due` is for: "sleep", "signals", "all"
    first: bool | None = None  # the first of what it waits for is enough; None: it waits for nothing yet
    kills: list[int] = []
    run: int = 0  # names this run, once it has said something
    told: int = 0  # how many of its reports were told while it runs
    noted: bool = False  # it has said something that is to be told
    progress: Progress | None = None
    cancellable: bool = False  # the user's coroutine is running: it may be cancelled
    doomed: bool = False  # it is to be killed: its coroutine need not begin
    function: Any = None  # the step, or the test before it, that was called last
    limit: float | None = None  # seconds that it has, while its time is watched
    unmet: StoreUnavailable | None = None  # it needed the store at once: it is begun anew

    def add(self, size: int, what: str) -> None:
        """Count so many bytes more.

        Raises:
            TooLarge: that is too much for one step.
        """
        check_step(self.size + size, what)
        self.size += size

    def folded(self, blob: bytes) -> tuple[bytes, int]:
        """The value without its large parts, which are kept once; and how many bytes both add."""
        known = len(self.contents)
        small = fold(blob, self.contents)
        parts = list(self.contents.values())[known:]
        return small, len(small) + sum(map(len, parts))


class Execution:
    """One process under one claim, whose work is to `run`.

    Attributes:
        cls: The user's class.
        process: The user's object.
        row: As it was claimed.
        outputs: What it has output so far; what is a `Namespace` in it is no value, but holds some.
        record: What the step that runs now has gathered.
        stop: Set while the process, or its worker, is to stop.
        expected: The signals that it waits for.
        arrived: What has come of them, for the next step.
        used: The signals that the running step has got; dropped with its commit.
        status: What the user has last said of its progress.
        revision: That of the code that runs it, or wrote its checkpoint, if it is known.
    """

    spec_class: ClassVar[type[Any]] = ProcessSpec

    __slots__ = (
        "__weakref__", "_given", "arrived", "cls", "definition", "expected", "host", "name", "once_blocks",
        "outputs", "pid", "process", "programs", "record", "revision", "row", "status", "stop", "used",
    )  # fmt: skip

    def __init__(self, cls: type[Any], row: ProcessRow, inputs: bytes, host: Host) -> None:
        self.cls = cls
        self.name: str = cls.__name__
        self.definition = definition_of(cls)
        self.pid = row.pid
        self.row = row
        self.host = host
        self.outputs = Namespace()
        self.record = StepRecord()
        self.stop = threading.Event()
        self.once_blocks = OnceBlocks(row, host)
        self.programs = Programs()
        self.expected: list[Expected] = []
        self.arrived: list[Arrival] = []
        self.used: list[SignalRow] = []
        self.status: str | None = None
        self.revision: str | None = None
        self._given = Given(inputs, self.definition.spec.inputs)

    def make_process(self) -> None:
        """Make the user's object. Runs its `__init__`, which may fail in any way."""
        self.process: Any = object.__new__(self.cls)
        _executions[id(self.process)] = self
        self.cls.__init__(self.process)

    # One step

    @classmethod
    def outline_of(cls, process_class: type[Any], spec: Any) -> Any:
        name = process_class.__qualname__
        if is_base(owner_of(process_class, "run")):
            raise InvalidDefinition(f"{name} has no `run`: define `run(self)`, as `def` or `async def`")
        run = process_class.run
        if not callable(run) or not takes_self(run):
            raise InvalidDefinition(f"{name}: `run` must be a method that takes self alone")
        if yields(run):
            raise InvalidDefinition(f"{name}: `run` yields, and a process returns")
        return None

    def begin(self) -> None:
        """A step begins."""
        self.record = StepRecord()
        self._given.renew()

    def enter(self, function: Any) -> None:
        """A step, or a test before it, is called now."""
        record = self.record
        record.function = function
        policy, by_class = policy_of(function), self.definition.on_failure
        if policy is ONCE and by_class is None and record.limit is None:
            return
        record.limit = policy.timeout
        self.host.under_terms(
            self.pid,
            function.__name__,
            policy.timeout,
            policy.on_failure or self.row.options.on_failure or by_class,
        )

    def receive(self) -> None:
        """Take in the signals that have come, before the step that shall have them."""

    @property
    def over(self) -> bool:
        """Nothing is left to run, as is known without asking the user's code."""
        return False

    def direct(self) -> Call | None:
        """The step to run now if it is known without asking the user's code."""
        return Call(self.cls.run, ())

    def search(self) -> Search:
        """Look for the step to run now; the tests of the user's that are met are yielded, to be asked."""
        yield from ()
        return Call(self.cls.run, ())

    def label(self) -> str | None:
        """The step to run now, for people; None at the end."""
        return "run"

    def handled(self, call: Call, answer: Any) -> ExitCode | None:
        """A step has returned: an exit code if the process ends with it, None if it goes on."""
        if isinstance(answer, Mapping):
            self.out_many(answer)
            return SUCCESS
        return SUCCESS if answer is None else self.exit_code(call, answer)

    def exit_code(self, call: Call | None, answer: Any) -> ExitCode:
        """The exit code that is meant by what a step (None: `return_`) has returned.

        Raises:
            UnexpectedReturn: none is.
        """
        given = answer.status if isinstance(answer, ExitCode) else answer
        status = fitted(given, int)
        if isinstance(status, int) and not isinstance(status, bool):
            if status not in STATUSES:
                raise UnexpectedReturn(
                    f"{self.name}: exit status {reprlib.repr(status)} is not between 0 and {STATUSES[-1]}"
                )
            if not isinstance(answer, ExitCode):
                return ExitCode(int(status), self.definition.spec.exit_codes.message_of(status))
            if answer.message is None or isinstance(answer.message, str):
                return replace(answer, status=int(status))
        step = call.function.__name__ if call else "return_"
        raise UnexpectedReturn(
            f"{self.name}.{step} returned {reprlib.repr(answer)} ({type(answer).__name__}): "
            f"{self._instead(answer)}"
        )

    def _instead(self, answer: Any) -> str:
        """What to write where a step has returned such a thing."""
        return (
            "return None to go on, an exit code (`self.exit_codes.LABEL`, an int) or a mapping of outputs; "
            "only a WorkChain can wait"
        )

    # Checkpoints

    def memory(self) -> dict[str, Any] | None:
        """What a checkpoint must hold beside inputs and outputs, or None for nothing."""
        return None

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Take in what `memory` gave.

        Raises:
            UnreadableCheckpoint: the class cannot go on from it.
        """

    # What the methods of `Process` of these names do, and what they need

    @property
    def inputs(self) -> Namespace:
        with collect_children() as met:
            values = self._given.values()
        if met:
            self._load(met)
        return values

    def _load(self, given: Sequence[ChildProcess]) -> None:
        """Learn how processes stand that are inputs."""
        pids, store = [child.pid for child in given], self.host.store
        found = self._answered(lambda _: store.results(pids))
        results = {result.row.pid: result for result in found}
        for child in given:
            if child.pid in results:
                child.load(results[child.pid])
            else:
                child.lose()

    def outputs_of(self, pid: int) -> bytes | None:
        """The outputs of a child."""
        store = self.host.store
        return self._answered(lambda within: store.outputs(pid, within=within))

    def _answered(self, ask: Callable[[float | None], T]) -> T:
        """The store's answer, however long it is away. A coroutine step, which must not block the loop, is
        cut off then, and begun anew when the store is back.

        Args:
            ask: Takes the seconds within which the store must answer, if it has to.
        """
        if not on_loop():
            return wait_for_store(self.host, self.pid, lambda: ask(None))
        try:
            return ask(LOOP_SECONDS)
        except StoreUnavailable as away:
            self.record.unmet = away
            raise

    def out(self, name: str, value: Any) -> None:
        forbid_inside("out", name)
        spec = self.definition.spec
        path = check_output(spec, self.name, name, value)
        if check(value, f"outputs.{name}") > LARGE:
            check_together({**self.outputs, name: value}, "outputs")
        put_out(self.outputs, spec.outputs, path, value)

    def out_many(self, values: Mapping[str, Any]) -> None:
        if not isinstance(values, Mapping):
            raise InvalidOutput(f"out_many() takes a mapping of names to values, not {type(values).__name__}")
        for name in values:  # a namespace may have an output called `items`
            self.out(name, values[name])

    @property
    def stopping(self) -> bool:
        ordered = self.host.ordered(self.pid)
        return self.stop.is_set() if ordered is None else ordered

    def logger(self) -> logging.Logger:
        logger = logging.getLogger(f"quince.process.{self.cls.__qualname__}")
        logger.addFilter(with_speaker)  # of one that has it already, nothing is changed
        return logger

    def report(self, text: str) -> None:
        line = storable(str(text))
        self.logger().info("[%s] %s", self.pid, line, extra={"pid": self.pid})
        self.record.add(len(line), "what this step reports")
        self.record.reports.append(NewEvent("report", {"text": line, "at": now()}))
        self.says()

    def progress(self, done: object, total: object, text: object) -> None:
        self.record.progress = progress_of(done, total, text)
        self.says()

    def says(self) -> None:
        """The step has said something that is to be seen while it runs."""
        if not self.record.noted:
            teller.note(self)

    def submit(
        self,
        process_class: Any,
        *,
        inputs: Mapping[str, Any] | None,
        wishes: Wishes,
        named: Mapping[str, Any],
    ) -> ChildProcess:
        cls = class_of(process_class)
        forbid_inside("submit", getattr(cls, "__name__", str(cls)))
        child = new_process(
            cls,
            gathered(cls, inputs, named, wishes),
            pid=self._answered(lambda within: self.host.new_pid(within=within)),
            class_path=self.host.name_of(cls),
            parent=self.row,
            wishes=wishes,
            revision=self.host.revision,
            origin=self._origin,
            span=span_of_child(),
        )
        blob, size = self.record.folded(child.inputs)
        self.record.add(size, f"what this step submits, with inputs of {cls.__name__},")
        self.record.children.append(structs.replace(child, inputs=blob))
        return ChildProcess(child.pid, child.class_path)

    def _origin(self, pid: int) -> int:
        """Which process has computed the outputs of this one."""
        store = self.host.store
        for found in self._answered(lambda _: store.results([pid], small=0)):
            return found.row.options.cached_from or pid
        return pid

    def signal(self, process: Any, name: str, value: Any) -> None:
        forbid_inside("signal", name)
        pid = pid_of(process)
        if pid is None or not 0 < pid < 2**63:
            raise TypeError(
                f"signal() takes what submit() returned, a handle or a pid, not {reprlib.repr(process)}"
            )
        signal = new_signal(pid, name, value)
        blob, size = self.record.folded(signal.value)
        self.record.add(size, f"what this step sends, with signal {name},")
        self.record.sends.append(structs.replace(signal, value=blob))

    def kill(self, process: Any) -> None:
        forbid_inside("kill", "...")
        pid = pid_of(process)
        if pid is None or not 0 < pid < 2**63:
            raise TypeError(
                f"kill() takes what submit() returned, or the pid of a child, not {reprlib.repr(process)}"
            )
        self.record.kills.append(pid)

    async def command(self, *arguments: Any, **options: Any) -> Completed:
        mark = Mark(self.once_blocks.token("program"), self.row.epoch)
        await self.programs.make_way(mark, self)
        return await self.programs.run(arguments, mark=mark, **options)

    def __repr__(self) -> str:
        return f"<execution of {self.name} {self.pid}>"


_executions: WeakValueDictionary[int, Execution] = WeakValueDictionary()
"""By the identity of the user's object, whatever its class says of equality, attributes or `__dict__`. An
execution holds its object, so an identity is another's only when it is gone from here."""


def execution_of(process: object) -> Execution:
    """What the engine knows of a process that is run just now.

    Raises:
        EngineError: it is not.
    """
    found = _executions.get(id(process))
    if found is None:
        raise EngineError(
            f"this {type(process).__name__} is no process that runs here: it has ended or goes on elsewhere, "
            "or it is a copy; inputs, outputs and the like are for the steps of a process"
        )
    return found
