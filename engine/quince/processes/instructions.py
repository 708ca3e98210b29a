"""What an outline is made of: `if_`, `while_`, `return_` and steps; and the refusal of what is none of them.

An outline takes anything first, and is looked at when its class is known: only then can be said what is wrong
with a step, in one sentence.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Never, NoReturn, Protocol, TypeVar

from quince.errors import InvalidDefinition
from quince.processes.awaiting import ToContext
from quince.processes.signatures import takes_self, yields
from quince.processes.spec import STATUSES, ExitCode
from quince.text import close_to


class NumpyBool(Protocol):
    """What numpy answers where Python says True or False."""

    def item(self) -> bool: ...


StepAnswer = ToContext | ExitCode | int | None
"""What a step returns: None to go on, `ToContext` to wait, an exit code or status to end."""
StepMethod = Callable[[Any], StepAnswer | Awaitable[StepAnswer]]
"""A method of the class that takes self alone, `def` or `async def`."""
TestMethod = Callable[[Any], bool | NumpyBool | Awaitable[bool | NumpyBool]]
"""One that says True or False."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step, whatever was given for one."""

    function: Any


@dataclass(frozen=True, slots=True)
class Return:
    """`return_` ends the chain where it stands; `return_(410)` with that exit status."""

    exit_code: ExitCode | int | None = None

    def __call__(self, exit_code: ExitCode | int | None = None) -> Return:
        """End with this exit status, or a code that the spec declares: `return_(spec.exit_codes.LABEL)`."""
        return Return(exit_code)


class If:
    """An `if_` with its branches: what `if_(test)(...)` returns."""

    __slots__ = ("branches", "closed")

    def __init__(self) -> None:
        self.branches: list[Conditional[If]] = []
        self.closed = False

    def elif_(self, test: TestMethod) -> Conditional[If]:
        """`.elif_(cls.other)(cls.step, ...)`: these steps, if no test before said True and this one does."""
        if self.closed:
            raise InvalidDefinition("elif_ comes before else_, which is the last")
        return self._branch("elif_", test)

    def else_(self, *steps: Instruction) -> If:
        """`.else_(cls.step, ...)`: these steps, if no test said True."""
        if self.closed:
            raise InvalidDefinition("an if_ has one else_, and it is the last")
        self.closed = True
        return self._branch("else_", _always)(*steps)

    def __call__(self, *steps: Never) -> NoReturn:
        """Refuse steps in a second pair of brackets."""
        _refuse_more(self.branches[-1])

    def _branch(self, word: str, test: TestMethod) -> Conditional[If]:
        self.branches.append(Conditional(word, test, self))
        return self.branches[-1]


class While:
    """A `while_` with its steps: what `while_(test)(...)` returns."""

    __slots__ = ("conditional",)

    def __init__(self, test: TestMethod) -> None:
        self.conditional = Conditional("while_", test, self)

    def __call__(self, *steps: Never) -> NoReturn:
        """Refuse steps in a second pair of brackets."""
        _refuse_more(self.conditional)


Whole = TypeVar("Whole", bound="If | While")


class Conditional(Generic[Whole]):
    """A test that wants its steps: called with them, it gives the instruction to which it belongs.

    Attributes:
        complete: Its steps were given.
    """

    __slots__ = ("complete", "steps", "test", "whole", "word")

    def __init__(self, word: str, test: TestMethod, whole: Whole) -> None:
        self.word = word
        self.test = test
        self.whole = whole
        self.steps: Block = ()
        self.complete = False

    def __call__(self, *steps: Instruction) -> Whole:
        """Take these steps and instructions, one after the other.

        Raises:
            InvalidDefinition: it has its steps already.
        """
        if self.complete:
            _refuse_more(self)
        self.steps, self.complete = block(steps), True
        return self.whole


def _refuse_more(conditional: Conditional[Any]) -> NoReturn:
    raise InvalidDefinition(
        f"{conditional.word}({_name(conditional.test)}) has its steps already: write all of them into one "
        "pair of brackets"
    )


Instruction = StepMethod | If | While | Return
"""What can stand in an outline."""
Block = tuple[Step | If | While | Return, ...]
"""Instructions in a row."""

return_ = Return()
"""`return_` ends the chain where it stands; `return_(410)` with that exit status."""


def if_(test: TestMethod) -> Conditional[If]:
    """`if_(cls.test)(cls.step, ...)`, with `.elif_(cls.other)(...)` and `.else_(...)` if need be.

    Args:
        test: A method, `def` or `async def`, that returns True or False.
    """
    return If()._branch("if_", test)


def while_(test: TestMethod) -> Conditional[While]:
    """`while_(cls.test)(cls.step, ...)`: its steps again and again, as long as the test says True.

    Args:
        test: A method, `def` or `async def`, that returns True or False.
    """
    return While(test).conditional


def block(steps: Sequence[Any]) -> Block:
    """These steps and instructions in a row."""
    whole = [one.whole if isinstance(one, Conditional) else one for one in steps]
    return tuple(one if isinstance(one, (If, While, Return)) else Step(one) for one in whole)


def _always(chain: Any) -> bool:
    return True


def checked(outline: Block, cls: type) -> Block:
    """An outline that its class can walk.

    Raises:
        InvalidDefinition: names the class, what cannot stand there, and what to write instead.
    """
    if not outline:
        raise InvalidDefinition(f"{cls.__qualname__}: its outline has no steps: spec.outline(cls.first, ...)")
    for problem in _problems(outline, cls):
        raise InvalidDefinition(f"{cls.__qualname__}: {problem}")
    return outline


def _problems(instructions: Block, cls: type) -> Iterator[str]:
    for one in instructions:
        if isinstance(one, Step):
            yield from _of_step(one.function, cls)
        elif isinstance(one, If):
            for branch in one.branches:
                yield from _of_branch("if_", branch, cls)
        elif isinstance(one, While):
            yield from _of_branch("while_", one.conditional, cls)
            if not one.conditional.steps:
                yield f"while_({_name(one.conditional.test)}) has no steps, and would turn for ever"
        else:
            yield from _of_return(one.exit_code)


def _of_branch(word: str, branch: Conditional[Any], cls: type) -> Iterator[str]:
    test: Any = branch.test
    if not callable(test) or isinstance(test, type):
        yield f"{word} takes a test: a method of the class (cls.converged), not {test!r}"
    elif not takes_self(test):
        yield f"{word}({_name(test)}): a test takes self alone, not {_signature(test)}"
    elif yields(test):
        yield f"{word}({_name(test)}): a test returns True or False, and this one yields"
    if not branch.complete:
        yield f"{word}({_name(test)}) has no steps: write {word}(cls.{_name(test)})(cls.step, ...)"
    else:
        yield from _problems(branch.steps, cls)


def _of_step(function: Any, cls: type) -> Iterator[str]:
    name = getattr(function, "__name__", None)
    if isinstance(function, str):
        there = hasattr(cls, function)
        hint = close_to(function, [one for one in dir(cls) if not one.startswith("_")])
        yield f"the outline has the text {function!r} where a step belongs" + (
            f"; write cls.{function}" if there else hint
        )
    elif isinstance(function, (list, tuple)):
        yield "the outline has a list where a step belongs; write the steps one after the other, as arguments"
    elif isinstance(function, property):
        yield "the outline has a property where a step belongs; a step is a plain method"
    elif type(function).__module__.startswith("plumpy."):
        yield "the outline has an instruction of plumpy's; write `from quince import if_, return_, while_`"
    elif not callable(function) or isinstance(function, type) or name is None:
        yield f"the outline has {function!r} where a step belongs; write cls.step, a method of the class"
    elif name == "<lambda>":
        yield "the outline has a lambda where a step belongs; write a method: checkpoints know steps by name"
    elif not _is_method(name, cls):
        yield f"the outline names {name!r}, which is no method of the class"
    elif not takes_self(function):
        yield (
            f"step {name!r} takes {_signature(function)}, and a step takes self alone; what it needs comes "
            "through self.inputs and self.ctx"
        )
    elif yields(function):
        yield f"step {name!r} yields, and a step returns"


def _of_return(code: Any) -> Iterator[str]:
    status = getattr(code, "status", code)
    if code is not None and (type(status) is not int or status not in STATUSES):
        yield (
            f"return_({code!r}): it takes an exit code (spec.exit_codes.LABEL) or a status, from 0 on to "
            f"{STATUSES[-1]}"
        )


def _is_method(name: str, cls: type) -> bool:
    """The class has it, if under the longer name that Python gives to `__private` ones."""
    longer = [f"_{base.__name__.lstrip('_')}{name}" for base in cls.__mro__ if name.startswith("__")]
    return any(hasattr(cls, one) for one in (name, *longer))


def _signature(function: Callable[..., Any]) -> str:
    """`(self, x)`, without hints."""
    names = [str(one).partition(":")[0] for one in inspect.signature(function).parameters.values()]
    return f"({', '.join(names)})"


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", function))
