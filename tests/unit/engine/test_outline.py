"""Walking outlines, and walking on from every position on the way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from quince import InvalidDefinition, WorkChain, if_, return_, while_
from quince.processes.instructions import Return
from quince.processes.outline import START, Call, Outline, Position
from quince.processes.workchain import WorkChainSpec


class Steps:
    def one(self) -> None: ...
    def two(self) -> None: ...
    def three(self) -> None: ...
    def yes(self) -> bool:
        return True

    def no(self) -> bool:
        return False


def outline(*instructions: Any, **methods: Any) -> Outline:
    spec = WorkChainSpec()
    spec.outline(*instructions)
    return Outline(spec.steps or (), type("Steps", (Steps,), methods))


def next_step(walked: Outline, process: Any, position: Position) -> Call | Return | None:
    """The step that follows, when each test is asked."""
    search = walked.search(position)
    try:
        test = next(search)
        while True:
            test = search.send(test(process))
    except StopIteration as found:
        step: Call | Return | None = found.value
        return step


def walk(walked: Outline, process: Any, position: Position = START) -> list[tuple[str, Position]]:
    """Names of the steps taken and the positions after each; `return` ends with its code."""
    trail: list[tuple[str, Position]] = []
    while True:
        found = next_step(walked, process, position)
        if found is None:
            return trail
        if isinstance(found, Return):
            return [*trail, (f"return {found.exit_code}", position)]
        assert isinstance(found, Call)
        found.function(process)
        position = walked.after(found.position)
        trail.append((found.function.__name__, position))


def names(trail: list[tuple[str, Position]]) -> list[str]:
    return [name for name, _ in trail]


def test_a_block_runs_in_order() -> None:
    assert names(walk(outline(Steps.one, Steps.two, Steps.three), Steps())) == ["one", "two", "three"]


def test_a_single_step_is_an_outline() -> None:
    assert names(walk(outline(Steps.one), Steps())) == ["one"]


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [(Steps.yes, Steps.yes, "one"), (Steps.no, Steps.yes, "two"), (Steps.no, Steps.no, "three")],
)
def test_if_takes_the_first_true_branch(first: Any, second: Any, taken: str) -> None:
    walked = outline(if_(first)(Steps.one).elif_(second)(Steps.two).else_(Steps.three))
    assert names(walk(walked, Steps())) == [taken]


def test_while_repeats_and_nests() -> None:
    process = SimpleNamespace(n=0)

    def more(self: Any) -> bool:
        return bool(self.n < 3)

    def count(self: Any) -> None:
        self.n += 1

    walked = outline(while_(more)(count, if_(lambda self: self.n == 2)(Steps.one)), Steps.three, count=count)
    assert names(walk(walked, process)) == ["count", "count", "one", "count", "three"]


def test_return_ends_the_outline_with_its_code() -> None:
    assert names(walk(outline(Steps.one, if_(Steps.yes)(return_(7)), Steps.two), Steps())) == [
        "one",
        "return 7",
    ]


def test_an_empty_while_ends() -> None:
    assert names(walk(outline(while_(Steps.no)(Steps.one), Steps.two), Steps())) == ["two"]


def test_every_position_leads_to_the_same_rest() -> None:
    """What a checkpoint restores: from each position on the way the remaining steps are the same."""
    process = SimpleNamespace(n=0)

    def more(self: Any) -> bool:
        return bool(self.n < 2)

    def count(self: Any) -> None:
        self.n += 1

    walked = outline(
        Steps.one, while_(more)(count, if_(Steps.yes)(Steps.two, Steps.three)), Steps.one, count=count
    )
    full = walk(walked, process)
    counts = [0]
    for name, _ in full:
        counts.append(counts[-1] + (name == "count"))
    for index, (_, position) in enumerate(full):
        rest = walk(walked, SimpleNamespace(n=counts[index + 1]), position)
        assert names(rest) == names(full[index + 1 :])


def test_labels_name_what_comes_next() -> None:
    walked = outline(Steps.one, if_(Steps.yes)(Steps.two), while_(Steps.no)(Steps.three))
    assert [walked.label((i,)) for i in range(4)] == ["one", "if(yes)", "while(no)", None]
    assert walked.label((1, 0, 0)) == "two"


def test_a_step_that_is_no_method_is_refused() -> None:
    def stranger(self: Any) -> None: ...

    class Chain(WorkChain):
        @classmethod
        def define(cls, spec: Any) -> None:
            super().define(spec)
            spec.outline(stranger)

    with pytest.raises(InvalidDefinition, match="stranger"):
        Chain.spec()


def test_a_chain_without_outline_is_refused() -> None:
    class Chain(WorkChain):
        pass

    with pytest.raises(InvalidDefinition, match="no outline"):
        Chain.spec()
