"""What a process class declares: its ports and its outline, as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

Position = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PortFacts:
    """A port.

    Attributes:
        name: With those of the namespaces around it: `code.options`.
        kind: `input` or `output`.
        type: The type of its values, as it is written; empty: any.
        required: It must be given.
        default: As Python writes it; None: there is none.
        help: What it is for; may be empty.
    """

    name: str
    kind: str
    type: str = ""
    required: bool = True
    default: str | None = None
    help: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an outline: a step, or what stands around steps.

    Attributes:
        kind: `step`, `if`, `while` or `return`.
        name: Of the step; of the test of an `if` or a `while`; what a `return` says.
        branches: (of `if`) Each with its test, the last one perhaps `else`; (of `while`) one.
        current: The process is in this step, or it comes next, or it ended in it.
        help: The first line of the docstring of the step.
    """

    kind: str
    name: str
    branches: Sequence[Branch] = ()
    current: bool = False
    help: str = ""

    @property
    def label(self) -> str:
        """How the step is called that begins with it."""
        return self.name if self.kind == "step" else f"{self.kind}({self.name})"


@dataclass(frozen=True, slots=True)
class Branch:
    """The steps below a test.

    Attributes:
        test: Its name; None: `else_`.
    """

    test: str | None
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Code:
    """What a class declares.

    Attributes:
        class_path: Of the class.
        doc: Its docstring; may be empty.
        outline: Its steps; of a class without an outline its one step `run`.
        ports: Inputs, then outputs.
        error: Why it cannot be loaded here; then all else is empty.
    """

    class_path: str
    doc: str = ""
    outline: Sequence[Part] = ()
    ports: Sequence[PortFacts] = ()
    error: str | None = None


def parts_in(parts: Sequence[Part]) -> Iterator[Part]:
    """All parts, in the order in which they are written."""
    for part in parts:
        yield part
        for branch in part.branches:
            yield from parts_in(branch.parts)


def marked(code: Code, step: str | None) -> Code:
    """It with the step marked in which a process is, if it is in one."""
    return code if step is None else replace(code, outline=_marked(code.outline, step))


def _marked(parts: Sequence[Part], step: str) -> tuple[Part, ...]:
    return tuple(
        replace(
            part,
            current=step == part.label,
            branches=tuple(Branch(one.test, _marked(one.parts, step)) for one in part.branches),
        )
        for part in parts
    )
