"""Work chains: processes cut into steps, with a checkpoint after each."""

from __future__ import annotations

import reprlib
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Never

from quince.errors import InvalidDefinition, InvalidWait, UnreadableCheckpoint
from quince.processes.appended import appended_names
from quince.processes.awaiting import Append, Awaited, ToContext, append_
from quince.processes.child import ChildProcess, ProcessReference, as_child
from quince.processes.context import Context
from quince.processes.exposing import exposed_inputs, exposed_outputs
from quince.processes.instructions import Block, Instruction, block, if_, return_, while_
from quince.processes.once import forbid_inside
from quince.processes.outline import START, Call, Outline, Position, Search
from quince.processes.process import Process
from quince.processes.signals import AwaitedSignal, Expected, is_duration, signal_
from quince.processes.spec import ExitCode, HasSpec, ProcessSpec

__all__ = [
    "Append",
    "ToContext",
    "WorkChain",
    "WorkChainSpec",
    "append_",
    "if_",
    "return_",
    "signal_",
    "while_",
]


class WorkChainSpec(ProcessSpec):
    """What a work chain declares: inputs, outputs, exit codes and the outline of its steps.

    Attributes:
        steps: The outline, as it was given; None if none was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps: Block | None = None

    def outline(self, *steps: Instruction) -> None:
        """Declare the work: methods of the class, `if_`, `while_` and `return_`, one after the other.

        `spec.outline(cls.begin, while_(cls.more)(cls.turn), if_(cls.failed)(return_(410)), cls.end)`
        """
        self.steps = block(steps)


class WorkChain(Process):
    """A process whose work is an outline of steps, with a checkpoint after each.

    Steps are methods of one argument, `def` (run in a thread, may block) or `async def`. `self.ctx`
    carries values from step to step. A crash costs at most the step that was running: it runs again
    from its beginning, with the context as the step before left it.
    """

    _spec_class: ClassVar[type] = WorkChainSpec
    _outline: ClassVar[Outline]
    _lists: ClassVar[frozenset[str]]

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Declare inputs, outputs, exit codes and the outline; call `super().define(spec)` first."""
        super().define(spec)

    @classmethod
    def _check_definition(cls, spec: Any) -> None:
        if spec.steps is None:
            raise InvalidDefinition(
                f"{cls.__qualname__} has no outline: call spec.outline(cls.first_step, ...)"
            )
        cls._outline = Outline(spec.steps, cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._context = Context(lists=self._appended)
        self._position: Position = START
        self.spec()

    # For whoever runs it

    @classmethod
    def _appended(cls) -> frozenset[str]:
        """Names in the context to which the class appends: lists, though nothing may come."""
        known = cls.__dict__.get("_lists")
        if known is None:
            known = cls._lists = appended_names(cls, WorkChain)
        return known

    def _search(self) -> Search:
        return self._outline.search(self._position)

    @property
    def _over(self) -> bool:  # type: ignore[override]
        return self._outline.over(self._position)

    def _direct(self) -> Call | None:
        return self._outline.direct(self._position)

    def _label(self) -> str | None:
        return self._outline.label(self._position)

    def _took(self, call: Call, answer: Any) -> ExitCode | None:
        if isinstance(answer, ToContext):
            self.to_context(**answer)
            answer = None
        if answer is not None:
            return self._exit_code(call, answer)
        self._position = self._outline.after(call.position)
        return None

    def _instead(self, answer: Any) -> str:
        if isinstance(answer, Mapping):
            return (
                "write `return ToContext(...)` to wait for processes, `self.out_many(...)` to put it out, or "
                "`self.ctx.update(...)` to keep it"
            )
        if isinstance(answer, (ProcessReference, AwaitedSignal, Append, list, tuple)):
            return "write `return ToContext(name=...)` to wait for it, and find it in `self.ctx.name`"
        return (
            "return None to go on, an exit code (`self.exit_codes.LABEL`, an int) to end, or ToContext to "
            "wait; what the next steps need goes into `self.ctx`"
        )

    def _memory(self) -> dict[str, Any] | None:
        memory: dict[str, Any] = {
            "position": list(self._position),
            "step": self._label(),
            "ctx": dict(vars(self.ctx)),
        }
        if self._expected:
            memory["signals"] = [one.plain() for one in self._expected]
        return memory

    def _recall(self, memory: Mapping[str, Any]) -> None:
        try:
            position = tuple(int(index) for index in memory["position"])
            context = dict(memory["ctx"])
            expected = [Expected(*one) for one in memory.get("signals", ())]
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableCheckpoint(f"its checkpoint has no position or context: {error!r}") from error
        self._check_place(position, memory.get("step"))
        self._position, self._expected = position, expected
        self._context = Context(context, lists=self._appended)

    def _check_place(self, position: Position, recorded: str | None) -> None:
        """Refuse to run another step than the one that the checkpoint stands before."""
        try:
            now = self._outline.label(position)
        except (IndexError, TypeError):
            there = "no such place"
        else:
            if now == recorded:
                return
            there = _place(now)
        raise UnreadableCheckpoint(
            f"its checkpoint stands before {_place(recorded)} (at {list(position)}), where the outline of "
            f"{type(self).__name__} has {there} now; run the code that wrote it, or give the class another "
            "`version` and a `migrate` hook"
        )

    def _receive(self) -> None:
        arrived, self._arrived, self._expected = self._arrived, [], []
        for one in arrived:
            if one.row is not None:
                self._used.append(one.row)
            if one.expected.append:
                self.ctx.setdefault(one.expected.key, []).append(one.value)
            else:
                self.ctx[one.expected.key] = one.value

    # For the user

    @property
    def ctx(self) -> Any:
        """The context: values that go from step to step, as a mapping and as attributes."""
        return self._context

    @ctx.setter
    def ctx(self, values: Any) -> None:
        raise AttributeError(
            "self.ctx cannot be replaced; write self.ctx.update(...), or self.ctx.name = ..."
        )

    def to_context(self, *unnamed: Never, **awaited: Awaited) -> None:
        """Wait for processes and signals after this step, and find them in `ctx` in the next one.

        Args:
            awaited: `name=child` sets `ctx.name`; `name=append_(child)` appends to the list `ctx.name`;
                a list or a dict of children becomes a list or a dict there, also an empty one. A child is
                what `self.submit` returned, or a handle; `signal_("name")` stands for the value of a
                signal, alone or in `append_`.

        Raises:
            TypeError: it is nothing that can be waited for; says what to write instead.
        """
        if unnamed:
            raise TypeError("to_context(...) wants a name for what is awaited: self.to_context(name=child)")
        for name, value in awaited.items():
            forbid_inside("to_context", name)
            one, append = (value.child, True) if isinstance(value, Append) else (value, False)
            there = self.ctx.get(name, [])
            if append and not isinstance(there, list):
                raise TypeError(
                    f"to_context({name}=append_(...)) appends to a list, and self.ctx.{name} is "
                    f"{reprlib.repr(there)} ({type(there).__name__}): give one of them another name"
                )
            if isinstance(one, AwaitedSignal):
                self._expect(one, name, append=append)
                continue
            found = _awaited(one, name)
            if append:
                self.ctx.setdefault(name, []).append(found)
            else:
                self.ctx[name] = found
            self._record.awaits += _processes(found)

    def exposed_inputs(self, process_class: HasSpec, namespace: str | None = None) -> dict[str, Any]:
        """The inputs for a process whose inputs the chain has exposed (`spec.expose_inputs`).

        `self.submit(Other, **self.exposed_inputs(Other, "other"))`. What was exposed in an outer namespace
        counts too.

        Raises:
            InvalidDefinition: they are not exposed so.
        """
        return exposed_inputs(self.spec(), self.inputs, process_class, namespace)

    def exposed_outputs(
        self, child: ChildProcess, process_class: HasSpec, namespace: str | None = None
    ) -> dict[str, Any]:
        """The outputs of a child, under the names by which the chain exposes them (`spec.expose_outputs`).

        `self.out_many(self.exposed_outputs(self.ctx.child, Other, "other"))`.

        Raises:
            InvalidDefinition: they are not exposed so.
            ResultUnavailable: the child has not ended.
        """
        return exposed_outputs(self.spec(), child.outputs, process_class, namespace)

    def _expect(self, signal: AwaitedSignal, key: str, *, append: bool) -> None:
        if signal.timeout is not None:
            self._set_timer(signal.timeout, deadline=True)
        self._expected.append(Expected(signal.name, key, append))

    def sleep(self, seconds: float) -> None:
        """Wait at least so many seconds after this step; the wait holds no slot and no memory.

        Raises:
            ValueError: not a number of seconds from 0 on.
        """
        if not is_duration(seconds):
            raise ValueError(f"sleep() takes a number of seconds from 0 on, not {seconds!r}")
        self._set_timer(seconds, deadline=False)

    def _set_timer(self, seconds: float, *, deadline: bool) -> None:
        record, due = self._record, time.time() + seconds
        if record.due is not None and record.deadline is not deadline:
            raise InvalidWait(
                f"{type(self).__name__}: a step waits for a time (`sleep`) or for signals with a timeout, "
                "not for both; put one of them into a step of its own"
            )
        record.due = min(due, record.due) if deadline and record.due is not None else due
        record.deadline = deadline


def _place(label: str | None) -> str:
    return "the end" if label is None else f"step {label!r}"


def _awaited(value: Any, name: str) -> Any:
    """A process as the context holds it; or a list or dict of them."""
    if isinstance(value, dict):
        return {key: _one(inner, name) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_one(inner, name) for inner in value]
    return _one(value, name)


def _one(value: Any, name: str) -> ChildProcess:
    if isinstance(value, ProcessReference):
        return as_child(value)
    instead = f"write self.ctx.{name} = ... to keep a value"
    if isinstance(value, int):
        instead = (
            f"write get_process({value}) for the process of that pid, or self.ctx.{name} = ... for a number"
        )
    elif isinstance(value, (AwaitedSignal, Append)):
        instead = "signals, and what is appended, stand by themselves: name=signal_(...), name=append_(...)"
    elif isinstance(value, type) or hasattr(value, "process_class"):
        instead = f"write {name}=self.submit({value.__name__}, ...)"
    raise TypeError(
        f"to_context({name}=...) waits for what self.submit() returned, handles and signal_(), and not for "
        f"{reprlib.repr(value)} ({type(value).__name__}): {instead}"
    )


def _processes(found: Any) -> list[ChildProcess]:
    if isinstance(found, ChildProcess):
        return [found]
    return list(found.values() if isinstance(found, dict) else found)
