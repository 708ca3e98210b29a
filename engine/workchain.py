"""Work chains: processes cut into steps, with a checkpoint after each."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from plumpy.workchains import ToContext, if_, return_, while_

from engine.child import ChildProcess, pid_of
from engine.context import Context
from engine.errors import InvalidDefinition, InvalidWait, UnreadableCheckpoint
from engine.once import forbid_inside
from engine.outline import START, Call, Outline, Position, Return, check_steps
from engine.process import Process
from engine.signals import AwaitedSignal, Expected, signal_
from engine.spec import ExitCode, WorkChainSpec

__all__ = ["Append", "ToContext", "WorkChain", "append_", "if_", "return_", "signal_", "while_"]


class Append:
    """Says that a child is appended to a list in the context, instead of being the value."""

    __slots__ = ("child",)

    def __init__(self, child: Any) -> None:
        self.child = child


def append_(child: Any) -> Append:
    """`to_context(parts=append_(child))`: `ctx.parts` is the list of all that were appended."""
    return Append(child)


class WorkChain(Process):
    """A process whose work is an outline of steps, with a checkpoint after each.

    Steps are methods of one argument, `def` (run in a thread, may block) or `async def`. `self.ctx`
    carries values from step to step. A crash costs at most the step that was running: it runs again
    from its beginning, with the context as the step before left it.
    """

    _spec_class: ClassVar[type] = WorkChainSpec
    _outline: ClassVar[Outline]

    @classmethod
    def _check_definition(cls, spec: Any) -> None:
        if spec._outline is None:
            raise InvalidDefinition(
                f"{cls.__qualname__} has no outline: call spec.outline(cls.first_step, ...)"
            )
        outline = Outline(spec.get_outline(), cls.__qualname__)
        check_steps(outline, cls)
        cls._outline = outline

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ctx: Any = Context()
        self._position: Position = START
        self.spec()

    # For whoever runs it

    def _next(self) -> Call | Return | None:
        return self._outline.next_step(self, self._position)

    def _direct(self) -> Call | None:
        return self._outline.direct(self._position)

    def _label(self) -> str | None:
        return self._outline.label(self._position)

    def _took(self, call: Call, answer: Any) -> ExitCode | None:
        if isinstance(answer, dict):
            self.to_context(**answer)
            answer = None
        if answer is not None:
            return self._exit_code(call, answer)
        self._position = self._outline.after(call.position)
        return None

    def _also_allowed(self) -> str:
        return " or ToContext"

    def _memory(self) -> dict[str, Any] | None:
        memory = {"position": list(self._position), "step": self._label(), "ctx": vars(self.ctx)}
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
        self.ctx = Context(**context)

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

    def to_context(self, **awaited: Any) -> None:
        """Wait for processes and signals after this step, and find them in `ctx` in the next one.

        Args:
            awaited: `name=child` sets `ctx.name`; `name=append_(child)` appends to the list
                `ctx.name`. A child is what `self.submit` returned, a handle, or a pid; or it is
                `signal_("name")`, for the value of a signal.
        """
        for name, value in awaited.items():
            forbid_inside("to_context", name)
            append = isinstance(value, Append)
            one = value.child if append else value
            if isinstance(one, AwaitedSignal):
                self._expect(one, name, append=append)
                continue
            child = _as_child(one, name)
            if append:
                self.ctx.setdefault(name, []).append(child)
            else:
                self.ctx[name] = child
            self._record.awaits.append(child)

    def _expect(self, signal: AwaitedSignal, key: str, *, append: bool) -> None:
        if signal.timeout is not None:
            self._set_timer(signal.timeout, deadline=True)
        self._expected.append(Expected(signal.name, key, append))

    def sleep(self, seconds: float) -> None:
        """Wait at least so many seconds after this step; the wait holds no slot and no memory.

        Raises:
            ValueError: not a number of seconds from 0 on.
        """
        if not (0 <= seconds < math.inf):
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


def _as_child(value: Any, name: str) -> ChildProcess:
    if isinstance(value, ChildProcess):
        return value
    pid = pid_of(value)
    if pid is not None:
        return ChildProcess(pid)
    raise TypeError(
        f"to_context({name}=...) takes what submit() returned, a handle, a pid or signal_(), not {value!r}"
    )
