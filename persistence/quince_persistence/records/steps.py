"""What a step says while it runs, what it commits, and what that meets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from quince_persistence.records import (
    Control,
    NewEvent,
    NewProcess,
    NewSignal,
    Progress,
    SignalRow,
    State,
    Woken,
)
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.records.limits import NewLimit


class Telling(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step that runs has said, before it commits.

    Attributes:
        owner, epoch: The claim under which it runs; under any other it is dropped.
        run: A number that this run of the step has for itself; also in its `Step`.
        first: How many of its reports were told before.
        events: Further ones.
    """

    pid: int
    owner: str
    epoch: int
    run: int
    first: int = 0
    events: Sequence[NewEvent] = ()
    status: str | None = None
    progress: Progress | None = None


RanStep = tuple[str, float, float]
"""The name of a step, when it began, and for how many seconds it ran."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that one step changed: committed together or not at all.

    Attributes:
        owner, epoch: The claim under which it was made; a write with any other is refused (fenced).
        state: The state that the process enters.
        step: Name of the step that runs next, or in which the process has not ended well.
        checkpoint: Blob to restore from; None leaves the stored one as it is. It is dropped when the process
            finishes well (exit status 0), and else kept.
        outputs: Blob of all outputs; written when given (terminal states).
        error: Blob describing the exception (excepted).
        exit_status, exit_message: How it ended (terminal states).
        children: Processes to insert, in the order of their pids.
        awaits: pids whose termination this process now waits for (state `waiting`). They may be
            children of this very step, older processes, or terminated ones.
        due: Time at which a timer wakes it (state `waiting`), or None.
        signals: Names of the signals that it waits for (state `waiting`); one for each.
        deadline: `due` ends the wait for all signals that have not come, and is nothing to wait for itself.
        wait_any: One of `awaits` and `signals` is enough.
        wait_due: `due` ends the wait, whatever has not come, and is nothing to wait for itself.
        kills: Children that are killed, with their trees.
        attempt: How often the step that runs next has been tried, and has failed.
        refers: Processes that its memory names from now on, besides its children: they are not pruned as long
            as it lives.
        used: Signals that this step has used up; they are dropped.
        sends: Signals to other processes; those to processes that have terminated are dropped.
        limits: Limits for the children.
        release: Give the claim up with this commit.
        paused: Enter the paused flag with this commit (implies release; clears a pause intent).
        reason: With `paused` or `killed`: why, for the history and the row's status.
        revision: That of the code that ran the step; it is kept with the change of state.
        run: That of its `Telling`s: reports that were told are not written again. 0: there were none.
        contents: Large parts of its values, by digest, if these were folded.
        progress: How far it said it was; what has not ended well keeps it.
        ran: The name of the step that has run.
        history: Those that have run since the last line of history that says so, this one too; it says it.
        keep: The checkpoint before it is kept, too, if it has got anything done.
    """

    pid: int
    owner: str
    epoch: int
    state: State
    step: str | None = None
    status: str | None = None
    checkpoint: bytes | None = None
    outputs: bytes | None = None
    error: bytes | None = None
    exit_status: int | None = None
    exit_message: str | None = None
    children: Sequence[NewProcess] = ()
    awaits: Sequence[int] = ()
    due: float | None = None
    signals: Sequence[str] = ()
    deadline: bool = False
    wait_any: bool = False
    wait_due: bool = False
    kills: Sequence[int] = ()
    attempt: int = 0
    refers: Sequence[int] = ()
    used: Sequence[SignalRow] = ()
    sends: Sequence[NewSignal] = ()
    events: Sequence[NewEvent] = ()
    limits: Sequence[NewLimit] = ()
    release: bool = False
    paused: bool = False
    reason: str | None = None
    revision: str | None = None
    run: int = 0
    contents: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    progress: Progress | None = None
    ran: str | None = None
    keep: bool = False
    history: Sequence[RanStep] = ()

    @property
    def failed(self) -> bool:
        """The step that has run is the one that runs next: it has failed. A checkpoint corrects the stored
        one, and changes nothing of what that says of the wait before it."""
        return self.attempt > 0 or self.paused


class Recorded(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is recorded of a once-block, and under which claim its process is now.

    Attributes:
        result: Blob, or None if nothing is recorded.
    """

    owner: str | None
    epoch: int
    result: bytes | None


class StepOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a committed step met.

    Attributes:
        fenced: The claim was lost; nothing was written. All else is then empty.
        awaiting: What is still outstanding after the commit (0: go on at once).
        over: Those that it was to wait for and that had ended before.
        intent: A control that waits to be applied by the owner, or None.
        woken: Processes that waited for this one and are now ready.
        signalled: Those that became ready through the signals that it sent.
        kept: (of `release`) Not released: it was waiting and nothing is left to wait for, and no
            intent is on it; the owner goes on.
        state, paused, ready: What the row says after it.
        itself: (of `release`) Where the task of the process belongs.
        served: Of the children, those that have ended at once with outputs from the cache.
        cascade: What a kill that came into force with this commit did, as `control` would tell it:
            the live descendants of the process and, if an intent was applied, the process itself; and the
            children that the step kills.
            Those not `applied` have an owner to be told.
    """

    fenced: bool = False
    awaiting: int = 0
    over: Sequence[int] = ()
    intent: Control | None = None
    intent_reason: str | None = None
    woken: Sequence[Woken] = ()
    signalled: Sequence[Woken] = ()
    served: Sequence[int] = ()
    kept: bool = False
    state: State | None = None
    paused: bool = False
    ready: bool = False
    cascade: Sequence[ControlOutcome] = ()
    itself: Woken | None = None
