"""What really happened, noted outside the engine: which steps ran, and which of them were committed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from quince_persistence.records import TERMINAL, Control, ControlOutcome
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.claim import ClaimProcesses
from quince_persistence.writing.operations.control import ControlProcesses
from quince_persistence.writing.operations.once import RecordOnce
from quince_persistence.writing.operations.steps import CommitStep, Release
from quince_persistence.writing.operations.workers import ReleaseWorker
from tests.simulation.world import Actor, World

Claim = tuple[str, int]
"""A worker id and an epoch."""


@dataclass(slots=True)
class Run:
    """One execution of a step, or of a once-block.

    Attributes:
        late: It began when another one had been committed (or recorded) already.
        kept: It was committed (or recorded) itself.
    """

    pid: int
    location: int | str
    token: int
    claim: Claim
    late: bool
    kept: bool = False


class Ledger:
    """Written by the steps as they begin, and by the store as it commits.

    Attributes:
        runs, acts: Executions of steps (by pid and number), of once-blocks (by pid).
        killed, paused: Processes for which such a control was accepted; pause: the last word.
        trees_paused: Those whose children were born paused for a while.
        declared_dead: Workers that were released by others.
        after_commit: What is to be called after the n-th commit of a claim, a step or a once-block.
        after_record: After the n-th one of a once-block alone, whose step is not committed yet.
        wrong: What must not be, one sentence each.
        explode: Called by a process that kills its worker, with the worker's id.
    """

    def __init__(self, world: World) -> None:
        self.explode: Callable[[str], None] = lambda _worker_id: None
        self.runs: dict[tuple[int, int], list[Run]] = defaultdict(list)
        self.acts: dict[int, list[Run]] = defaultdict(list)
        self.killed: set[int] = set()
        self.paused: dict[int, bool] = {}
        self.trees_paused: set[int] = set()
        self.declared_dead: set[str] = set()
        self.wrong: list[str] = []
        self.after_commit: dict[int, Callable[[Actor], None]] = {}
        self.after_record: dict[int, Callable[[Actor], None]] = {}
        self._commits = self._records = 0
        self._claims: dict[int, Claim] = {}
        self._world = world
        self._tokens = 0
        self._open: dict[tuple[int, Claim], Run] = {}

    # From the steps

    def began(self, pid: int, number: int, claim: Claim) -> int:
        """A step begins; returns a token that no other execution has."""
        before = self.runs[pid, number]
        run = Run(pid, number, self._token(), claim, any(other.kept for other in before))
        if any(other.claim == claim for other in before):
            self.wrong.append(f"step {number} of {pid} began twice under one claim, {claim}")
        before.append(run)
        self._open[pid, claim] = run
        self._world.note(f"step {number} of {pid} begins under {claim}")
        return run.token

    def acted(self, pid: int, claim: Claim) -> int:
        """A once-block acts."""
        before = self.acts[pid]
        run = Run(pid, "job", self._token(), claim, any(other.kept for other in before))
        if any(other.claim == claim for other in before):
            self.wrong.append(f"the once-block of {pid} acted twice under one claim, {claim}")
        before.append(run)
        self._world.note(f"once-block of {pid} acts under {claim}")
        return run.token

    def _token(self) -> int:
        self._tokens += 1
        return self._tokens

    # From the store

    def witness(self, actor: Actor, operation: Operation[Any], outcome: Any) -> None:
        """Something was committed."""
        if isinstance(operation, (CommitStep, RecordOnce, ClaimProcesses)):
            self._commits += 1
            if self._commits in self.after_commit:
                self.after_commit.pop(self._commits)(actor)
        if isinstance(operation, RecordOnce) and outcome:
            self._records += 1
            if self._records in self.after_record:
                self.after_record.pop(self._records)(actor)
        if isinstance(operation, ClaimProcesses):
            self._claims.update((claim.row.pid, (claim.row.owner, claim.row.epoch)) for claim in outcome)
        elif isinstance(operation, CommitStep):
            self._committed(operation, outcome)
            self._cascaded(outcome.cascade)
        elif isinstance(operation, Release) and not outcome.fenced:
            self._written(operation._pid, (operation._owner, operation._epoch), over=not outcome.kept)
            self._cascaded(outcome.cascade)
        elif isinstance(operation, RecordOnce) and outcome:
            self._written(operation._pid, (operation._owner, operation._epoch), over=False)
            self._recorded(operation)
        elif isinstance(operation, ControlProcesses):
            self._controlled(operation, outcome)
        elif isinstance(operation, ReleaseWorker):
            if operation._died:
                self.declared_dead.add(operation._id)
            self._claims = {pid: claim for pid, claim in self._claims.items() if claim[0] != operation._id}

    def _written(self, pid: int, claim: Claim, *, over: bool) -> None:
        """A write was let through: only who holds the process may make one."""
        if self._claims.get(pid) != claim:
            self.wrong.append(f"{pid} was written under {claim}, but is claimed by {self._claims.get(pid)}")
        if over:
            self._claims.pop(pid, None)

    def _committed(self, operation: CommitStep, outcome: Any) -> None:
        step = operation._step
        if outcome.fenced:
            return
        claim = (step.owner, step.epoch)
        self._written(step.pid, claim, over=step.state in TERMINAL)
        self._world.note(f"step of {step.pid} committed under {claim}: {step.state.value}")
        run = self._open.pop((step.pid, claim), None)
        if run is None:
            if step.state not in TERMINAL:
                self.wrong.append(f"a step of {step.pid} was committed twice under {claim}")
            return
        if any(other.kept for other in self.runs[step.pid, int(run.location)]):
            self.wrong.append(f"step {run.location} of {step.pid} was committed twice")
        run.kept = True

    def _recorded(self, operation: RecordOnce) -> None:
        acts = self.acts[operation._pid]
        if not any(act.kept for act in acts):
            claim = (operation._owner, operation._epoch)
            for act in acts:
                act.kept = act.claim == claim

    def _controlled(self, operation: ControlProcesses, outcomes: list[ControlOutcome]) -> None:
        verb = operation._verb
        for outcome in outcomes:
            if not outcome.found or outcome.refused is not None:
                continue
            if verb is Control.KILL:
                self.killed.add(outcome.pid)
                if outcome.applied:
                    self._claims.pop(outcome.pid, None)
            else:
                self.paused[outcome.pid] = verb is Control.PAUSE
                if verb is Control.PAUSE and operation._selection.trees:
                    self.trees_paused.add(outcome.pid)

    def _cascaded(self, cascade: list[ControlOutcome]) -> None:
        self.killed.update(outcome.pid for outcome in cascade)


_open: list[Ledger] = []


def open_ledger() -> Ledger:
    """The ledger of the simulation that runs now."""
    return _open[-1]


@contextmanager
def opened(ledger: Ledger) -> Iterator[Ledger]:
    _open.append(ledger)
    try:
        yield ledger
    finally:
        _open.pop()
