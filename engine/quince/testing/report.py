"""What came of crashing everywhere, and the story of it."""

from __future__ import annotations

import enum
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from quince.testing.outcomes import Ending, Portrait
from quince.testing.points import Point

MOST_TOLD = 10


class Verdict(enum.StrEnum):
    """What came of one crash."""

    SAME = "same"
    """It ended as without the crash."""

    MISSED = "missed"
    """This time the worker did not come past the point (it depends on timing); it ended all the same."""

    DIFFERENT = "different"
    """It did not end as without the crash."""


class Outcome(msgspec.Struct, frozen=True):
    """One crash.

    Attributes:
        linger: Seconds that waiting processes stayed in memory.
        differences: What differed, one sentence each.
        folder: Where the workspace and the log of a run that differed are kept.
        second: Where the worker died that recovered from the first death.
    """

    point: Point
    linger: float
    verdict: Verdict
    differences: Sequence[str] = ()
    folder: str = ""
    second: Point | None = None

    def __str__(self) -> str:
        """Where workers died."""
        return f"{self.point}" if self.second is None else f"{self.point}, then {self.second}"


@dataclass(frozen=True, slots=True)
class CrashReport:
    """Every crash of one workflow.

    Attributes:
        target: Class path of the workflow.
        outcomes: One for each point.
        seconds: How long it took.
    """

    target: str
    outcomes: Sequence[Outcome]
    seconds: float

    @property
    def passed(self) -> bool:
        """No crash made a difference."""
        return not self.failures

    @property
    def failures(self) -> Sequence[Outcome]:
        """The points from which it did not end as it does when nothing disturbs it."""
        return [outcome for outcome in self.outcomes if outcome.verdict is Verdict.DIFFERENT]

    @property
    def crashes(self) -> int:
        """How many workers really died."""
        return sum(outcome.verdict is not Verdict.MISSED for outcome in self.outcomes)

    def story(self) -> str:
        """For people: what was crashed where, and what differed."""
        verdicts = Counter(outcome.verdict for outcome in self.outcomes)
        rate = self.crashes / self.seconds if self.seconds else 0.0
        lines = [
            f"{self.target}: crashed at {self.crashes} points in {self.seconds:.1f} s ({rate:.0f} a second); "
            f"{verdicts[Verdict.SAME]} ended the same, {verdicts[Verdict.DIFFERENT]} did not"
            + (f", {verdicts[Verdict.MISSED]} points were not met again" if verdicts[Verdict.MISSED] else "")
        ]
        for outcome in self.failures[:MOST_TOLD]:
            lines.append(f"  crashed {outcome} (linger {outcome.linger:g} s):")
            lines += [f"    {difference}" for difference in outcome.differences[:MOST_TOLD]]
            lines.append(f"    kept in {outcome.folder}")
        if len(self.failures) > MOST_TOLD:
            lines.append(f"  ... and {len(self.failures) - MOST_TOLD} more")
        return "\n".join(lines)


def compare(expected: Portrait, found: Portrait, deaths: int = 1) -> list[str]:
    """What differs between a run that was not disturbed and one that was, one sentence each.

    Args:
        deaths: How many workers died.
    """
    differences = ["it was not at rest when the time was over"] if found.late else []
    for place in sorted(expected.processes.keys() - found.processes.keys()):
        differences.append(f"{place} is missing")
    for place in sorted(found.processes.keys() - expected.processes.keys()):
        differences.append(f"{place} is there though it should not be: a child exists twice, or was lost")
    for place in sorted(expected.processes.keys() & found.processes.keys()):
        differences += _endings(place, expected.processes[place], found.processes[place], deaths)
    return differences + found.left_behind


def _endings(place: str, expected: Ending, found: Ending, deaths: int) -> Iterator[str]:
    for name in ("state", "exit_status", "exit_message", "outputs"):
        wanted, got = getattr(expected, name), getattr(found, name)
        if wanted != got:
            yield f"{place}: {name.replace('_', ' ')} is {got!r}, without the crash it is {wanted!r}"
    if found.committed != expected.committed:
        yield f"{place}: committed the steps {found.committed}, without the crash {expected.committed}"
    elif not may_begin(found.committed, found.begun, deaths):
        yield f"{place}: began the steps {found.begun} to commit {found.committed}: one ran after its commit"


def may_begin(committed: Sequence[str], begun: Sequence[str], deaths: int = 1) -> bool:
    """Whether these beginnings are right for these commits: each step once, except that one in which a
    worker died may be there once more for each death."""
    wanted, found = _runs(committed), _runs(begun)
    if [step for step, _ in wanted] != [step for step, _ in found]:
        return False
    extra = [number - least for (_, least), (_, number) in zip(wanted, found, strict=True)]
    return min(extra, default=0) >= 0 and sum(extra) <= deaths


def _runs(steps: Sequence[str]) -> list[tuple[str, int]]:
    """The steps, each with how often in a row it is there."""
    return [(step, len(list(run))) for step, run in itertools.groupby(steps)]
