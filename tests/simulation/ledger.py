"""What really happened, noted outside the engine: which steps ran, and which of them were committed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quince_persistence.records import TERMINAL, Control, State
from quince_persistence.records.controls import ControlOutcome, Restarted
from quince_persistence.records.steps import Step
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.claim import ClaimProcesses
from quince_persistence.writing.operations.control import ControlProcesses
from quince_persistence.writing.operations.fire import Fire
from quince_persistence.writing.operations.once import RecordOnce
from quince_persistence.writing.operations.restart import RestartProcess
from quince_persistence.writing.operations.retry import RetryProcesses
from quince_persistence.writing.operations.steps import CommitStep, RecordDeath, Release, Suspend
from quince_persistence.writing.operations.sweep import SweepProcesses
from quince_persistence.writing.operations.workers import ReleaseWorker
from tests.simulation.world import Actor, World

if TYPE_CHECKING:
    from tests.simulation.bodies import Body

Claim = tuple[str, int]
"""A worker id and an epoch."""


@dataclass(slots=True)
class Run:
    """One execution of a step, or of a once-block.

    Attributes:
        late: It began when another one had been committed (or recorded) already.
        kept: It was committed (or recorded) itself.
        failed: That it has failed was committed; it may run again.
    """

    pid: int
    location: int | str
    token: int
    claim: Claim
    late: bool
    kept: bool = False
    failed: bool = False


class Ledger:
    """Written by the steps as they begin, and by the store as it commits.

    Attributes:
        runs, acts: Executions of steps (by pid and number), of once-blocks (by pid).
        killed, paused: Processes for which such a control was accepted; pause: the last word.
        killed_once: Those that were killed, and may have been retried since.
        held: Those that are put aside, since a step of theirs has failed; `ever_held`: or were once.
        helped: Those that were retried, or played when they were held.
        retried: How often each was.
        restart_of: What was begun anew as another process, by the pid of that; `inherited`: the marks of the
            steps that it does not run again.
        failed_before: `failed` when it was retried last.
        trees_paused: Those whose children were born paused for a while.
        declared_dead: Workers that were released by others.
        after_commit: What is to be called after the n-th commit of a claim, a step or a once-block.
        after_record: After the n-th one of a once-block alone, whose step is not committed yet.
        at_point: What is to be done to a step host when the n-th of all is so far with a step.
        interrupted: How many step hosts have died with a step of a process, under a worker.
        guilty: How many of them while the code of that process had the main thread.
        suspended: Processes that were paused in the midst of a step, under a worker. If that drains, the step
            runs again elsewhere.
        failed: How many attempts of steps have failed, as was committed, by pid.
        charged: The deaths that were held against it, by claim and number. (One may be written twice.)
        wrong: What must not be, one sentence each.
        explode: Called by a process that kills its worker, with the worker's id.
    """

    def __init__(self, world: World) -> None:
        self.explode: Callable[[str], None] = lambda _worker_id: None
        self.runs: dict[tuple[int, int], list[Run]] = defaultdict(list)
        self.acts: dict[int, list[Run]] = defaultdict(list)
        self.killed: set[int] = set()
        self.killed_once: set[int] = set()
        self.retried: Counter[int] = Counter()
        self.restart_of: dict[int, int] = {}
        self.inherited: dict[int, list[int]] = {}
        self.failed_before: Counter[int] = Counter()
        self.paused: dict[int, bool] = {}
        self.trees_paused: set[int] = set()
        self.held: set[int] = set()
        self.ever_held: set[int] = set()
        self.helped: set[int] = set()
        self.declared_dead: set[str] = set()
        self.at_point: dict[tuple[str, int], Callable[[Body], None]] = {}
        self.interrupted: Counter[tuple[int, str]] = Counter()
        self.guilty: Counter[int] = Counter()
        self.failed: Counter[int] = Counter()
        self.charged: dict[int, set[tuple[int, int]]] = defaultdict(set)
        self.suspended: set[tuple[int, str]] = set()
        self._points: Counter[str] = Counter()
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
        if number != len(self.inherited.get(pid, ())) and not self._kept(pid, number - 1):
            self.wrong.append(f"step {number} of {pid} begins, and the one before it was not committed")
        before = self.runs[pid, number]
        run = Run(pid, number, self._token(), claim, any(other.kept for other in before))
        if (
            sum(other.claim == claim and not other.failed for other in before)
            > self.interrupted[pid, claim[0]]
        ):
            self.wrong.append(f"step {number} of {pid} began twice under one claim, {claim}")
        before.append(run)
        self._open[pid, claim] = run
        self._world.note(f"step {number} of {pid} begins under {claim}")
        return run.token

    def acted(self, pid: int, claim: Claim) -> int:
        """A once-block acts."""
        before = self.acts[pid]
        run = Run(pid, "job", self._token(), claim, any(other.kept for other in before))
        if sum(other.claim == claim for other in before) > self.interrupted[pid, claim[0]]:
            self.wrong.append(f"the once-block of {pid} acted twice under one claim, {claim}")
        before.append(run)
        self._world.note(f"once-block of {pid} acts under {claim}")
        return run.token

    # From the step hosts

    def at_host(self, body: Body, what: str) -> None:
        """A step host is so far with a step."""
        self._points[what] += 1
        if (strike := self.at_point.pop((what, self._points[what]), None)) is not None:
            strike(body)

    def host_died(self, worker_id: str, pids: list[int], guilty: int) -> None:
        """A step host has died with these steps in it."""
        self.interrupted.update((pid, worker_id) for pid in pids)
        if guilty:
            self.guilty[guilty] += 1

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
        elif isinstance(operation, Suspend) and outcome.paused:
            self.suspended.add((operation._pid, operation._owner))
        elif isinstance(operation, RecordDeath) and not outcome.fenced:
            if operation._by_itself:
                self.charged[operation._pid].add((operation._epoch, operation._deaths))
        elif isinstance(operation, Fire):
            self._taken_away(outcome.replaced)
        elif isinstance(operation, SweepProcesses):
            self._taken_away(outcome.killed)
        elif isinstance(operation, ControlProcesses):
            self._controlled(operation, outcome)
        elif isinstance(operation, RetryProcesses):
            self._retried(outcome)
        elif isinstance(operation, RestartProcess):
            self._restarted(operation._number, outcome)
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
        if step.attempt:
            self._failed(step, run)
            return
        if step.paused:
            self._put_aside(step, run, outcome.paused)
            return
        if run is None:
            if step.state not in TERMINAL:
                self.wrong.append(f"a step of {step.pid} was committed twice under {claim}")
            return
        if any(other.kept for other in self.runs[step.pid, int(run.location)]):
            self.wrong.append(f"step {run.location} of {step.pid} was committed twice")
        run.failed = step.state is State.EXCEPTED or outcome.state is State.KILLED  # a kill came before it
        run.kept = not run.failed

    def _failed(self, step: Step, run: Run | None) -> None:
        """An attempt has failed. Each counts once, and the step has one that retries."""
        self.failed[step.pid] += 1
        times = self.failed[step.pid] - self.failed_before[step.pid]
        if step.attempt != times:
            self.wrong.append(f"{step.pid} has failed {times} times, and says {step.attempt}")
        if run is None:
            self.wrong.append(f"{step.pid} has failed in a step that has not begun")
        else:
            run.failed = True

    def _put_aside(self, step: Step, run: Run | None, held: bool) -> None:
        """Its attempts are used up, and it is paused. They are counted anew when it goes on."""
        reason = step.reason or ""
        if "StepHostDied" not in reason:  # else no handler has counted it
            self.failed[step.pid] += 1
            times = self.failed[step.pid] - self.failed_before[step.pid]
            if (f" failed {times} times: " if times > 1 else " failed: ") not in reason:
                self.wrong.append(f"{step.pid} was put aside after {times} failures, and says {reason}")
        self.failed_before[step.pid] = self.failed[step.pid]
        if run is None:
            self.wrong.append(f"{step.pid} was put aside for a step that has not begun")
        else:
            run.failed = True
        self.ever_held.add(step.pid)
        if held:  # else a play or a kill came in between
            self.held.add(step.pid)

    def _recorded(self, operation: RecordOnce) -> None:
        acts = self.acts[operation._pid]
        if not any(act.kept for act in acts):
            claim = (operation._owner, operation._epoch)
            for act in reversed(acts):
                if act.claim == claim:  # those before it ended with their step host
                    act.kept = True
                    break

    def _controlled(self, operation: ControlProcesses, outcomes: list[ControlOutcome]) -> None:
        verb = operation._verb
        for outcome in outcomes:
            if not outcome.found or outcome.refused is not None:
                continue
            if verb is Control.KILL:
                self._kills([outcome.pid])
                if outcome.applied:
                    self._claims.pop(outcome.pid, None)
            else:
                if verb is Control.PLAY and outcome.pid in self.held:
                    self._help(outcome.pid)
                self.paused[outcome.pid] = verb is Control.PAUSE
                if verb is Control.PAUSE and operation._selection.trees:
                    self.trees_paused.add(outcome.pid)

    def _help(self, pid: int) -> None:
        self.held.discard(pid)
        self.helped.add(pid)

    def _taken_away(self, killed: Sequence[ControlOutcome]) -> None:
        """Killed by nobody's hand."""
        self._kills([one.pid for one in killed])
        for one in killed:
            if one.applied:
                self._claims.pop(one.pid, None)

    def _cascaded(self, cascade: list[ControlOutcome]) -> None:
        self._kills([outcome.pid for outcome in cascade])

    def _kills(self, pids: list[int]) -> None:
        self.killed.update(pids)
        self.killed_once.update(pids)

    def _retried(self, outcomes: list[ControlOutcome]) -> None:
        for outcome in outcomes:
            if outcome.refused is None and outcome.after is not None:
                self.retried[outcome.pid] += 1
                self._help(outcome.pid)
                self.failed_before[outcome.pid] = self.failed[outcome.pid]
                self.killed.discard(outcome.pid)
                self.paused.pop(outcome.pid, None)
                if not outcome.after.paused:
                    self.paused[outcome.pid] = False

    def _restarted(self, number: int | None, made: Restarted) -> None:
        """New processes, which go on from the newest checkpoint of others; the first of them perhaps from an
        earlier one, of which there is one before each step."""
        for row in made.made:
            old = self.restart_of[row.pid] = row.options.restart_of or 0
            marks = self.marks(old)
            if row.pid == made.pid and number is not None:
                marks = marks[: len(self.inherited.get(old, ())) + number - 1] if number else []
            self.inherited[row.pid] = marks
            if marks:
                self.failed[row.pid] = self.failed_before[row.pid] = self.failed[old]

    def marks(self, pid: int) -> list[int]:
        """Those of all steps that are behind it."""
        own = [run.token for (of, _), runs in self.runs.items() if of == pid for run in runs if run.kept]
        return [*self.inherited.get(pid, ()), *own]

    def _kept(self, pid: int, number: int) -> bool:
        return any(run.kept for run in self.runs.get((pid, number), ()))


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
