"""One step of a process, run alone: no workspace, no worker, no other step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar

import msgspec

from quince.concurrency import StepThreads, settle
from quince.errors import UnknownTarget
from quince.hosts.stepped import SteppedProcess
from quince.hosts.stepper import StepEnd, Stepper
from quince.patience import on_loop
from quince.processes.chain_execution import ChainExecution
from quince.processes.child import ChildProcess
from quince.processes.creation import new_process
from quince.processes.definition import class_of, definition_of
from quince.processes.execution import Execution
from quince.processes.options import Wishes
from quince.processes.retries import policy_of
from quince.testing.alone import Alone
from quince.testing.arguments import mapping
from quince.testing.stand_ins import row_of, unfinished
from quince.text import close_to
from quince_persistence import clock
from quince_persistence.codec import decode, encode
from quince_persistence.codec.folding import unfold
from quince_persistence.records import Claim, NewProcess, ProcessOptions, State
from quince_persistence.records.steps import Step

T = TypeVar("T")


@dataclass(frozen=True)
class Submitted:
    """A child that the step would submit.

    Attributes:
        name: Of its class, or `@process` function.
        inputs: As they were checked, with defaults.
        queue, priority: Where it would run.
        options: Its labels, limits and so on.
        awaited: The next step waits for it.
    """

    name: str
    inputs: Mapping[str, Any]
    queue: str
    priority: int
    options: ProcessOptions
    awaited: bool


@dataclass(frozen=True)
class StepRun:
    """What one step has done.

    Attributes:
        ctx: The context after it (of a work chain).
        outputs: All that has been put out: what was given to `run_step`, and what the step has added.
        children: What it would submit, in order.
        signals: Names of the signals that the next step waits for.
        first: The first of those is enough.
        sleep: Seconds that it waits for time to pass, or for all else at most; None: any time.
        kills: The pids of the children that it would kill.
        sent: The signals that it would send: pid, name and value of each.
        reports: What it has written into the history.
        status: Its `self.status`.
        exit_status: None if the process goes on; else it ends with this step, with this exit status.
        exit_message: What that says to people.
        failed: What the step has raised, if its handler was asked and has not let the process end with it.
        next_step: The step that comes next, as far as nobody has to be asked (`if(...)`, else); None: none.
    """

    ctx: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    children: Sequence[Submitted] = ()
    signals: Sequence[str] = ()
    first: bool = False
    sleep: float | None = None
    kills: Sequence[int] = ()
    sent: Sequence[tuple[int, str, Any]] = ()
    reports: Sequence[str] = ()
    status: str | None = None
    exit_status: int | None = None
    exit_message: str | None = None
    failed: BaseException | None = None
    next_step: str | None = None

    @property
    def waits(self) -> bool:
        """The next step does not come at once."""
        return self.sleep is not None or bool(self.signals) or any(child.awaited for child in self.children)


def run_step(
    process_class: Any,
    step: str = "run",
    *,
    ctx: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    labels: Mapping[str, Any] | None = None,
    timed_out: bool = False,
) -> StepRun:
    """Run one step alone, as a worker would: with a checkpoint before it and one after it.

    Nothing is submitted, sent or kept: it is told. Functions run on the thread that calls this.

    Args:
        process_class: A process class or a `@process` function.
        step: The name of a step of its outline (of the first one, if it stands there several times).
        ctx: What the steps before have left in `self.ctx`; children as `finished({...})`, `excepted(error)`,
            `killed("why")` and `unfinished()`, signals as their values.
        inputs: Its inputs, by name; those that are required must be there.
        outputs: What the steps before have put out.
        labels: With which it was submitted; `{"scheduled": "2026-11-30T02:00+01:00"}` is `self.scheduled`.
        timed_out: What `self.timed_out` says.

    Raises:
        Exception: What the step (or its handler) raises, as it was raised: it is not tried again.
            (If it has a handler that does not let the process end with it, nothing is raised, and `failed`
            has the error.)
        UnknownTarget: It has no such step; names those that it has.
        InvalidInput: names the port and what is wrong.
        Unsaveable: what is given, or what the step leaves, cannot be saved; names where it is.
        ValueError: what is given makes no sense; says what.
    """
    cls = class_of(process_class)
    engine = Alone(cls)
    given, put_out = (
        mapping("run_step()", "inputs", inputs, "{'n': 3}"),
        mapping("run_step()", "outputs", outputs, "{'total': 3}"),
    )
    memory: dict[str, Any] = {"ctx": mapping("run_step()", "ctx", ctx, "{'part': finished({'square': 9})}")}
    if memory["ctx"] and definition_of(cls).outline is None:
        raise ValueError(f"run_step(): {cls.__name__} is no work chain, and has no ctx")
    if not isinstance(timed_out, bool):
        raise ValueError(f"run_step(): timed_out is {timed_out!r}, and must be True or False")
    if timed_out:
        memory["timed"] = [False, [unfinished()]]
    path = engine.name_of(cls)
    new = new_process(cls, given, pid=1, class_path=path, wishes=Wishes(labels=labels))
    claim = _claim(cls, step, memory | {"outputs": put_out}, new)
    with clock.still():
        return _in_a_loop(lambda threads: _run(claim, engine, threads))


async def _run(claim: Claim, engine: Alone, threads: Executor) -> StepRun:
    stepper = _Watched(threads)
    stepped = SteppedProcess(claim, engine, stepper)
    written = await stepped.step()
    error = stepper.end.error or engine.error
    if written.state is State.EXCEPTED:
        error = engine.error or error  # that of its handler, if this has failed
    if error is not None and not _is_handled(stepper, written):
        raise error.__cause__ if isinstance(error.__cause__, KeyboardInterrupt) else error
    assert stepper.execution is not None
    after = stepped.execution or stepper.execution
    return _told(written, stepper.execution, after, error, clock.now())


def _is_handled(stepper: _Watched, written: Step) -> bool:
    """The handler of the step has said what is to follow, other than that the error ends the process."""
    if stepper.execution is None or written.state is State.EXCEPTED or written.paused:
        return False
    return policy_of(stepper.execution.record.function).handler is not None


class _Watched(Stepper):
    """A stepper that keeps how the step has ended."""

    end = StepEnd()
    execution: Execution | None = None

    async def step(self, execution: Execution) -> StepEnd:
        self.execution = execution
        self.end = await super().step(execution)
        return self.end


def _claim(cls: type[Any], step: str, given: dict[str, Any], new: NewProcess) -> Claim:
    definition = definition_of(cls)
    memory: dict[str, Any] = {"v": 1, "version": definition.version, "outputs": given["outputs"]}
    if definition.outline is None:
        if step != "run":
            raise UnknownTarget(f"{cls.__name__} has no step {step!r}: its only one is 'run'")
    else:
        position = definition.outline.position_of(step)
        if position is None:
            names = [function.__name__ for function in definition.outline.steps()]
            raise UnknownTarget(
                f"{cls.__name__} has no step {step!r}{close_to(step, names)}; its outline has "
                f"{', '.join(dict.fromkeys(names))}"
            )
        memory |= {"position": list(position), "step": step, **given}
    row = msgspec.structs.replace(
        row_of(new.pid, new.class_path, State.RUNNING),
        class_version=new.class_version,
        owner=Alone.id,
        step=step,
        options=new.options,
    )
    return Claim(row, new.inputs, encode(memory, ""))


def _told(step: Step, ran: Execution, after: Execution, error: BaseException | None, now: float) -> StepRun:
    awaited = {*step.awaits}
    return StepRun(
        ctx=dict(vars(after.context)) if isinstance(after, ChainExecution) else {},
        outputs=dict((ran if error is None else after).outputs),
        children=[_submitted(child, awaited, step.contents) for child in step.children],
        signals=list(step.signals),
        first=step.wait_any,
        sleep=None if step.due is None else round(step.due - now, 6),
        kills=list(step.kills),
        sent=[(one.pid, one.name, decode(unfold(one.value, step.contents))) for one in step.sends],
        reports=[str(event.body["text"]) for event in step.events if event.kind == "report"],
        status=step.status,
        exit_status=step.exit_status,
        exit_message=step.exit_message,
        failed=error,
        next_step=None if step.state is State.FINISHED else step.step,
    )


def _submitted(child: NewProcess, awaited: set[int], contents: Mapping[str, bytes]) -> Submitted:
    return Submitted(
        name=ChildProcess(child.pid, child.class_path).class_name,
        inputs=decode(unfold(child.inputs, contents)),
        queue=child.queue,
        priority=child.priority,
        options=child.options,
        awaited=child.pid in awaited,
    )


class _Here(Executor):
    """Runs functions on the thread that is in `serve`."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        self._work.put(lambda: settle(future, lambda: function(*args, **kwargs)))
        return future

    def serve(self, until: Future[T]) -> T:
        """Run functions until this future is done; returns, or raises, what it has."""
        until.add_done_callback(lambda _: self._work.put(None))
        while (work := self._work.get()) is not None:
            work()
        return until.result()


def _in_a_loop(make: Callable[[Executor], Coroutine[Any, Any, T]]) -> T:
    """What a coroutine returns, on a loop of its own; functions of users run here, if no loop does."""
    here, threads, loops = _Here(), StepThreads(1), StepThreads(1, "quince-run-step")
    try:
        if on_loop():
            return loops.submit(lambda: asyncio.run(make(threads))).result()
        return here.serve(loops.submit(lambda: asyncio.run(make(here))))
    finally:
        loops.shutdown()
        threads.shutdown()
