"""What the engine knows of a work chain that it runs: where it stands, its context, what it waits for."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NoReturn, cast

from quince.errors import InvalidDefinition, InvalidInput, InvalidWait, UnreadableCheckpoint
from quince.moments import Duration
from quince.processes.awaiting import Append, ToContext, awaited, processes_in, without_timeout
from quince.processes.bases import is_base, owner_of
from quince.processes.child import ChildProcess, ProcessReference
from quince.processes.context import Context
from quince.processes.creation import each_given
from quince.processes.definition import class_of
from quince.processes.execution import Execution, execution_of
from quince.processes.fitting import fitted
from quince.processes.limits import MOST_SLOTS, OF_A_MAP
from quince.processes.once import forbid_inside
from quince.processes.options import Wishes
from quince.processes.outline import START, Call, Outline, Position, Search, WorkChainSpec
from quince.processes.signals import Arrival, AwaitedSignal, Expected, duration
from quince.processes.signatures import takes_self
from quince.processes.spec import ExitCode
from quince_persistence.clock import now
from quince_persistence.records.limits import NewLimit


class ChainExecution(Execution):
    """One work chain under one claim.

    Attributes:
        context: What its checkpoints hold of values.
        position: The place in the outline from where the next step is looked for.
        timed_out: The wait before this step ended because its time was over.
    """

    spec_class: ClassVar[type[Any]] = WorkChainSpec

    __slots__ = ("_outline", "_timed", "context", "position", "timed_out")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outline: Outline = self.definition.outline
        self.context = Context(lists=self.definition.appended)
        self.position: Position = START
        self.timed_out = False
        self._timed: tuple[bool, list[ChildProcess]] | None = None  # the wait, if its time is limited

    # One step

    @classmethod
    def outline_of(cls, process_class: type[Any], spec: Any) -> Outline:
        if spec.steps is None:
            raise InvalidDefinition(
                f"{process_class.__qualname__} has no outline: call spec.outline(cls.first_step, ...)"
            )
        outline = Outline(spec.steps, process_class)
        own = takes_self(process_class.run) and not is_base(owner_of(process_class, "run"))
        if own and "run" not in outline.names():
            raise InvalidDefinition(
                f"{process_class.__qualname__}: `run` would never be called: the work of a WorkChain is its "
                "outline; make it a step there, or give it another name, or derive from Process"
            )
        return outline

    def receive(self) -> None:
        arrived, self.arrived, self.expected = self.arrived, [], []
        for one in arrived:
            if one.row is not None:
                self.used.append(one.row)
            if one.expected.append:
                self._append(one.expected.key, one.value)
            else:
                self.context[one.expected.key] = one.value
        self.timed_out = self._timed is not None and not _enough(*self._timed, arrived)

    @property
    def over(self) -> bool:
        return self._outline.over(self.position)

    def direct(self) -> Call | None:
        return self._outline.direct(self.position)

    def search(self) -> Search:
        return self._outline.search(self.position)

    def label(self) -> str | None:
        return self._outline.label(self.position)

    def handled(self, call: Call, answer: Any) -> ExitCode | None:
        if isinstance(answer, ToContext):
            self.to_context(answer, first=answer.first_is_enough)
            answer = None
        record = self.record
        self._timed = (bool(record.first), record.awaits) if record.timer == "all" else None
        if answer is not None:
            return self.exit_code(call, answer)
        self.position = self._outline.after(call.position)
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

    # Checkpoints

    def memory(self) -> dict[str, Any] | None:
        memory: dict[str, Any] = {
            "position": list(self.position),
            "step": self.label(),
            "ctx": dict(vars(self.context)),
        }
        if self.expected:
            memory["signals"] = [one.plain() for one in self.expected]
        if self._timed is not None:
            memory["timed"] = list(self._timed)
        return memory

    def recall(self, memory: Mapping[str, Any]) -> None:
        try:
            position = tuple(int(index) for index in memory["position"])
            context = dict(memory["ctx"])
            expected = [Expected(*one) for one in memory.get("signals", ())]
            timed = memory.get("timed")
            timed = None if timed is None else (bool(timed[0]), list(timed[1]))
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise UnreadableCheckpoint(f"its checkpoint has no position or context: {error!r}") from error
        self._check_place(position, memory.get("step"))
        self.position, self.expected, self._timed = position, expected, timed
        self.context = Context(context, lists=self.definition.appended)

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
            f"{self.name} has {there} now; run the code that wrote it, or give the class another "
            "`version` and a `migrate` hook"
        )

    # What the methods of `WorkChain` of these names do, and what they need

    def to_context(self, named: Mapping[str, Any], *, first: bool = False) -> None:
        waits, timeout = without_timeout(named)
        record = self.record
        if record.first is not None and record.first is not first:
            raise InvalidWait(
                f"{self.name}: a step waits for all that it names or for any of it (any_), not for both; put "
                "one of them into a step of its own"
            )
        if first and record.timer == "sleep":
            self._refuse_sleep()
        record.first = first
        if timeout is not None:
            self._set_timer(duration(timeout, "to_context(timeout=...)"), "all")
        for name, value in waits.items():
            forbid_inside("to_context", name)
            one, append = (value.child, True) if isinstance(value, Append) else (value, False)
            there = vars(self.context).get(name, [])
            if append and not isinstance(there, list):
                raise TypeError(
                    f"to_context({name}=append_(...)) appends to a list, and self.ctx.{name} is "
                    f"{reprlib.repr(there)} ({type(there).__name__}): give one of them another name"
                )
            if isinstance(one, AwaitedSignal):
                self._expect(one, name, append=append)
                continue
            found = awaited(one, name)
            for process in processes_in(found):
                process.require_there()
            if append:
                self._append(name, found)
            else:
                self.context[name] = found
            self.record.awaits += processes_in(found)

    def _refuse_sleep(self) -> NoReturn:
        raise InvalidWait(
            f"{self.name}: a step that waits for the first of several does so for at most a time "
            "by `any_(..., timeout=...)`, and not by `sleep`"
        )

    def map(
        self, process_class: Any, inputs: Iterable[Mapping[str, Any]], at_once: int | None, wishes: Wishes
    ) -> list[ChildProcess]:
        given = each_given("self.map()", inputs, None)
        at_once = fitted(at_once, int)
        if at_once is not None and (type(at_once) is not int or not 0 < at_once <= MOST_SLOTS):
            raise InvalidInput(f"map(): at_once is a number from 1 on, and not {reprlib.repr(at_once)}")
        if at_once is not None and len(given) > at_once:
            number = self._answered(lambda within: self.host.new_pid(within=within))  # of nothing else
            name = f"{OF_A_MAP}{self.pid}.{number}"
            wishes = replace(wishes, limits=[*(wishes.limits or ()), name])
            self.record.limits.append(NewLimit(name, at_once))
        return [self.submit(process_class, inputs=one, wishes=wishes, named={}) for one in given]

    def _append(self, name: str, value: Any) -> None:
        values = vars(self.context)
        if name not in values:
            self.context[name] = []
        values[name].append(value)

    def _expect(self, signal: AwaitedSignal, key: str, *, append: bool) -> None:
        if signal.timeout is not None:
            self._set_timer(signal.timeout, "all" if self.record.first else "signals")
        self.expected.append(Expected(signal.name, key, append))

    def exposed_inputs(self, source: Any, namespace: str | None) -> dict[str, Any]:
        """See `WorkChain.exposed_inputs`. What stands nearer to the namespace wins."""
        found: dict[str, Any] = {}
        for space, names in self._exposed(source, namespace, "inputs"):
            given: Any = self.inputs
            for part in space.split(".") if space else ():
                given = dict.get(given, part, {})
            found.update({name: given[name] for name in names if name in given})
        return found

    def exposed_outputs(self, child: Any, source: Any, namespace: str | None) -> dict[str, Any]:
        exposed = self._exposed(source, namespace, "outputs")
        if not hasattr(child, "outputs"):
            raise TypeError(
                f"exposed_outputs() takes a child that has ended (self.ctx.child) and its class, not "
                f"{reprlib.repr(child)} ({type(child).__name__})"
            )
        outputs, found = child.outputs, dict[str, Any]()
        for space, names in exposed:
            for name in names:
                if name in outputs:
                    found[name] = (f"{space}.{name}" if space else name, outputs[name])
        return dict(found.values())

    def _exposed(self, given: Any, namespace: str | None, word: str) -> list[tuple[str | None, list[str]]]:
        """From the outermost namespace to the one that is meant, what was exposed there."""
        source, spec = class_of(given), self.definition.spec
        memory = spec._exposed_inputs if word == "inputs" else spec._exposed_outputs
        if not isinstance(namespace, (str, type(None))):
            raise TypeError(f"exposed_{word}(): a namespace is a name, not {reprlib.repr(namespace)}")
        parts = namespace.split(".") if namespace else []
        spaces = [None, *(".".join(parts[: depth + 1]) for depth in range(len(parts)))]
        found = [
            (space, names)
            for space in spaces
            for one, names in memory.get(space, {}).items()
            if class_of(one) is source  # a class and the `@process` function that it comes from are the same
        ]
        if not found:
            name, where = source.__name__, f" in {namespace!r}" if namespace else ""
            raise InvalidDefinition(
                f"the {word} of {name} are not exposed{where}: define() says spec.expose_{word}({name}"
                + (f", namespace={namespace!r})" if namespace else ")")
            )
        return found

    def sleep(self, given: Duration) -> None:
        self._set_timer(duration(given, "sleep()"), "sleep")

    def _set_timer(self, seconds: float, what: str) -> None:
        record, due = self.record, now() + seconds
        if what == "sleep" and record.first:
            self._refuse_sleep()
        if record.timer not in (None, what):
            raise InvalidWait(
                f"{self.name}: a step waits for a time (`sleep`), for signals with a timeout, or with a "
                "timeout for all that it waits for, not for two of these; put one of them into a step of its "
                "own"
            )
        record.due = due if record.due is None or what == "sleep" else min(due, record.due)
        record.timer = what


chain_execution_of = cast("Callable[[object], ChainExecution]", execution_of)
"""What the engine knows of a work chain that is run just now; as `execution_of` otherwise."""


def _enough(first: bool, children: Sequence[ChildProcess], signals: Sequence[Arrival]) -> bool:
    """What a wait was for has come."""
    come = [child.terminated for child in children] + [signal.row is not None for signal in signals]
    return not come or (any(come) if first else all(come))


def _place(label: str | None) -> str:
    return "the end" if label is None else f"step {label!r}"
