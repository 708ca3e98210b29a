"""Walking an outline: plumpy's `if_`, `while_`, `return_` and blocks, one step at a time.

A *position* is a tuple of integers, a path through the tree of instructions: the index in the outer
block, then for an `if_` the branch taken and the index in its body, for a `while_` the index in its
body. It is all that a checkpoint needs to hold. `None` is the end.

Source: the instruction classes are plumpy's (`plumpy.workchains`); plumpy's own steppers run the step
and move on in one call, which leaves no place to commit between them or to await a step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from plumpy import workchains as plumpy_outline

from engine.errors import InvalidDefinition

Position = tuple[int, ...]
START: Position = (0,)

_BLOCK = plumpy_outline._Block
_CALL = plumpy_outline._FunctionCall
_IF = plumpy_outline._If
_WHILE = plumpy_outline._While
_RETURN = plumpy_outline._Return


@dataclass(frozen=True, slots=True)
class Call:
    """The next step is this function, at this position."""

    function: Callable[[Any], Any]
    position: Position


@dataclass(frozen=True, slots=True)
class Return:
    """The outline says to stop here, with this exit status (None: 0)."""

    exit_code: Any


class Outline:
    """An outline that can be walked from any position.

    Raises:
        InvalidDefinition: the class declares no outline, or steps that are no functions of it.
    """

    def __init__(self, instruction: Any, class_name: str) -> None:
        self._block: Any = instruction if isinstance(instruction, _BLOCK) else _BLOCK([instruction])
        self._class_name = class_name

    def next_step(self, process: Any, position: Position) -> Call | Return | None:
        """The step to run from `position` on, asking predicates of `process` on the way.

        Returns:
            The call to make, the `return_` that was met, or None at the end.
        """
        return _enter(self._block, process, position, ())

    def after(self, position: Position) -> Position:
        """The position that follows a step."""
        return (*position[:-1], position[-1] + 1)

    def direct(self, position: Position) -> Call | None:
        """The step at `position` if no predicate has to be asked to know it, else None."""
        if len(position) == 1 and position[0] < len(self._block):
            instruction = self._block[position[0]]
            if isinstance(instruction, _CALL):
                return Call(instruction._fn, position)
        return None

    def label(self, position: Position) -> str | None:
        """What stands at `position`, for people: a step's name, or `if(...)`, `while(...)`."""
        block: Any = self._block
        place = list(position)
        while True:
            index = place.pop(0)
            if index >= len(block):
                return None
            instruction = block[index]
            if isinstance(instruction, _CALL):
                return str(instruction._fn.__name__)
            if isinstance(instruction, _IF):
                if not place:
                    return f"if({instruction[0].predicate.__name__})"
                block = instruction[place.pop(0)].body
            elif isinstance(instruction, _WHILE):
                if not place or place[0] >= len(instruction.body):
                    return f"while({instruction.predicate.__name__})"
                block = instruction.body
            else:
                return "return"
            if place[0] >= len(block):
                return None

    def functions(self) -> list[Callable[[Any], Any]]:
        """Every step and predicate, in the order of the outline."""
        return list(_functions(self._block))


def _enter(block: Sequence[Any], process: Any, position: Position, prefix: Position) -> Call | Return | None:
    """The next step in `block` from `position` on (relative to the block)."""
    index, inside = position[0], position[1:]
    while index < len(block):
        instruction = block[index]
        found: Call | Return | None
        here = (*prefix, index)
        if isinstance(instruction, _CALL):
            return Call(instruction._fn, here)
        if isinstance(instruction, _RETURN):
            return Return(instruction._exit_code)
        if isinstance(instruction, _IF):
            found = _enter_if(instruction, process, inside, here)
        else:
            found = _enter_while(instruction, process, inside, here)
        if found is not None:
            return found
        index, inside = index + 1, ()
    return None


def _enter_if(instruction: Any, process: Any, inside: Position, here: Position) -> Call | Return | None:
    if inside:  # a branch was taken: go on in it, and do not ask again
        branch = inside[0]
        return _enter(instruction[branch].body, process, inside[1:], (*here, branch))
    for branch, conditional in enumerate(instruction):
        if conditional.is_true(process):
            return _enter(conditional.body, process, START, (*here, branch))
    return None


def _enter_while(instruction: Any, process: Any, inside: Position, here: Position) -> Call | Return | None:
    if inside and inside[0] < len(instruction.body):
        found = _enter(instruction.body, process, inside, here)
        if found is not None:
            return found
    while instruction.is_true(process):
        found = _enter(instruction.body, process, START, here)
        if found is not None:
            return found
    return None


def _functions(block: Sequence[Any]) -> Any:
    for instruction in block:
        if isinstance(instruction, _CALL):
            yield instruction._fn
        elif isinstance(instruction, _IF):
            for conditional in instruction:
                yield conditional.predicate
                yield from _functions(conditional.body)
        elif isinstance(instruction, _WHILE):
            yield instruction.predicate
            yield from _functions(instruction.body)


def check_steps(outline: Outline, cls: type) -> None:
    """Refuse an outline whose functions are not methods that the class has.

    Raises:
        InvalidDefinition: names the function.
    """
    for function in outline.functions():
        name = getattr(function, "__name__", None)
        if name == "<lambda>":
            continue
        if name is None or not callable(inspect.getattr_static(cls, name, None)):
            raise InvalidDefinition(
                f"{cls.__name__}: the outline names {name or function!r}, which is no method of the class"
            )
