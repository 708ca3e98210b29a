"""Walking an outline: `if_`, `while_`, `return_` and blocks, one step at a time.

A *position* is a tuple of integers, a path through the tree of instructions: the index in the outer
block, then for an `if_` the branch taken and the index in its body, for a `while_` the index in its
body. It is all that a checkpoint needs to hold. `None` is the end.
"""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import msgspec

from quince.errors import InvalidDefinition, UnexpectedReturn
from quince.processes.instructions import (
    Block,
    Conditional,
    If,
    Instruction,
    Return,
    Step,
    While,
    block,
    checked,
)
from quince.processes.spec import ProcessSpec

Position = tuple[int, ...]
START: Position = (0,)
MOST_EMPTY_TURNS = 10_000
"""Turns of a `while_` in a row that meet no step, after which it is taken to turn for ever."""


class Call(msgspec.Struct, frozen=True):
    """The next step is this function, at this position."""

    function: Callable[[Any], Any]
    position: Position


Test = Callable[[Any], Any]
Search = Generator[Test, bool, Call | Return | None]
"""Looks for the next step: yields the tests to ask, is sent what they say, and returns the call to make, the
`return_` that was met, or None at the end."""


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
        self._refuse_twice(id(self), "the", "outline", sys._getframe(1))
        self.steps = block(steps)


class Outline:
    """An outline that can be walked from any position.

    Raises:
        InvalidDefinition: it has steps that the class cannot take.
    """

    def __init__(self, block: Block, cls: type) -> None:
        self.block = checked(block, cls)

    def names(self) -> frozenset[str]:
        """Those of all steps and tests."""
        return frozenset(_names(self.block))

    def steps(self) -> Iterator[Callable[..., Any]]:
        """The functions of all steps."""
        return _functions(self.block)

    def position_of(self, name: str) -> Position | None:
        """Where the (first) step of that name stands; None if there is none."""
        return next((place for step, place in _places(self.block, ()) if step.__name__ == name), None)

    def calls(self) -> Iterator[Callable[..., Any]]:
        """The functions of all steps and tests."""
        return _functions(self.block, tests=True)

    def search(self, position: Position) -> Search:
        """Look for the step to run from `position` on."""
        return _enter(self.block, position, ())

    def after(self, position: Position) -> Position:
        """The position that follows a step."""
        return (*position[:-1], position[-1] + 1)

    def over(self, position: Position) -> bool:
        """Whether nothing stands at `position`, nor after it."""
        return len(position) == 1 and position[0] >= len(self.block)

    def direct(self, position: Position) -> Call | None:
        """The step at `position` if no predicate has to be asked to know it, else None."""
        if len(position) == 1 and position[0] < len(self.block):
            instruction = self.block[position[0]]
            if isinstance(instruction, Step):
                return Call(instruction.function, position)
        return None

    def label(self, position: Position) -> str | None:
        """What stands at `position`, for people: a step's name, or `if(...)`, `while(...)`."""
        block = self.block
        place = list(position)
        while True:
            index = place.pop(0)
            if index >= len(block):
                return None
            instruction = block[index]
            if isinstance(instruction, Step):
                return str(instruction.function.__name__)
            if isinstance(instruction, If):
                if not place:
                    return f"if({instruction.branches[0].test.__name__})"
                block = instruction.branches[place.pop(0)].steps
            elif isinstance(instruction, While):
                block = instruction.conditional.steps
                if not place or place[0] >= len(block):
                    return f"while({instruction.conditional.test.__name__})"
            else:
                return "return"
            if place[0] >= len(block):
                return None


def _names(block: Block) -> Iterator[str]:
    for one in block:
        if isinstance(one, Step):
            yield one.function.__name__
        elif isinstance(one, If):
            for branch in one.branches:
                yield branch.test.__name__
                yield from _names(branch.steps)
        elif isinstance(one, While):
            yield one.conditional.test.__name__
            yield from _names(one.conditional.steps)


def _functions(block: Block, *, tests: bool = False) -> Iterator[Callable[..., Any]]:
    for one in block:
        if isinstance(one, Step):
            yield one.function
        elif isinstance(one, (If, While)):
            branches: Iterable[Conditional[Any]] = one.branches if isinstance(one, If) else [one.conditional]
            for branch in branches:
                if tests:
                    yield branch.test
                yield from _functions(branch.steps, tests=tests)


def _places(block: Block, prefix: Position) -> Iterator[tuple[Callable[..., Any], Position]]:
    for index, one in enumerate(block):
        here = (*prefix, index)
        if isinstance(one, Step):
            yield one.function, here
        elif isinstance(one, If):
            for number, branch in enumerate(one.branches):
                yield from _places(branch.steps, (*here, number))
        elif isinstance(one, While):
            yield from _places(one.conditional.steps, here)


def verdict(owner: str, test: Test, answer: Any) -> bool:
    """What a test of `if_` or `while_` has said.

    Raises:
        UnexpectedReturn: it is neither True nor False (numpy's are as good as Python's).
    """
    kind = getattr(getattr(answer, "dtype", None), "kind", None)
    if isinstance(answer, bool) or (kind == "b" and getattr(answer, "shape", None) == ()):
        return bool(answer)
    name = getattr(test, "__name__", repr(test))
    raise UnexpectedReturn(
        f"{owner}.{name} returned {reprlib.repr(answer)} ({type(answer).__name__}): a test of if_ and while_ "
        "returns True or False" + ("; is its `return` missing?" if answer is None else ": write bool(...)")
    )


def _enter(block: Block, position: Position, prefix: Position) -> Search:
    """The next step in `block` from `position` on (relative to the block)."""
    index, inside = position[0], position[1:]
    while index < len(block):
        instruction = block[index]
        found: Call | Return | None
        here = (*prefix, index)
        if isinstance(instruction, Step):
            return Call(instruction.function, here)
        if isinstance(instruction, Return):
            return instruction
        if isinstance(instruction, If):
            found = yield from _enter_if(instruction, inside, here)
        else:
            found = yield from _enter_while(instruction.conditional, inside, here)
        if found is not None:
            return found
        index, inside = index + 1, ()
    return None


def _enter_if(instruction: If, inside: Position, here: Position) -> Search:
    if inside:  # a branch was taken: go on in it, and do not ask again
        branch = inside[0]
        return (yield from _enter(instruction.branches[branch].steps, inside[1:], (*here, branch)))
    for branch, conditional in enumerate(instruction.branches):
        if (yield conditional.test):
            return (yield from _enter(conditional.steps, START, (*here, branch)))
    return None


def _enter_while(turn: Conditional[While], inside: Position, here: Position) -> Search:
    if inside and inside[0] < len(turn.steps):
        found = yield from _enter(turn.steps, inside, here)
        if found is not None:
            return found
    for _ in range(MOST_EMPTY_TURNS):
        if not (yield turn.test):
            return None
        found = yield from _enter(turn.steps, START, here)
        if found is not None:
            return found
    name = getattr(turn.test, "__name__", "...")
    raise InvalidDefinition(
        f"while_({name}) has turned {MOST_EMPTY_TURNS:,} times without a step: nothing in it can change what "
        f"{name} says"
    )
