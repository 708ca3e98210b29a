"""Pause, play and kill: first written to the store, then applied where the process is.

A control answers twice. *Accepted*: the intent is durable; it needs no daemon and no broker.
*Applied*: the process has really stopped, gone on or ended. One that no worker holds, or that waits in
a worker's memory, is changed by the very transaction that accepts; for one that may be in a step its
worker is called by RPC.
"""

from __future__ import annotations

import getpass
import reprlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from quince.client.notify import notify
from quince.errors import WaitTimeout
from quince.text import storable
from quince.workspace.workspace import Workspace
from quince_persistence.records import Control, ProcessRow, Selection, State
from quince_persistence.records.controls import ControlOutcome


@dataclass(frozen=True, slots=True)
class Answer:
    """What a control answered for one process.

    Attributes:
        pid: The process.
        verb: What was asked: pause, play, kill, retry or set.
        accepted: It is durable; it will be applied, whatever happens to workers and broker.
        applied: It holds already.
        message: One sentence for people.
        row: The process as it was when the control was accepted.
    """

    pid: int
    verb: str
    accepted: bool
    applied: bool
    message: str
    row: ProcessRow | None = field(repr=False, default=None)
    _workspace: Workspace | None = field(repr=False, compare=False, default=None)

    def wait(self, timeout: float | None = None) -> Answer:
        """Block until it is applied.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            WaitTimeout: not yet applied; it will be.
        """
        if self.applied or not self.accepted or self._workspace is None:
            return self
        return self._seen(self._workspace.watcher.wait([self.pid], self._holds, timeout), timeout)

    def _holds(self, row: ProcessRow) -> bool:
        """Whether it has been applied, seen from the row alone."""
        if row.terminated:
            return True
        if row.intent is Control.KILL:
            return False  # it wins: what was asked after it holds when the process has ended
        if self.verb is Control.PAUSE:
            return row.paused or row.intent is not Control.PAUSE  # a play after it has taken it back
        return self.verb is Control.PLAY and not row.paused and row.intent is not Control.PAUSE

    def _seen(self, rows: Sequence[ProcessRow], timeout: float | None) -> Answer:
        if not rows or not self._holds(rows[0]):
            raise WaitTimeout(
                f"{self.verb} of process {self.pid} is accepted, but was not applied in {timeout:g} s"
            )
        return Answer(
            self.pid, self.verb, True, True, _done(Control(self.verb), rows[0]), rows[0], self._workspace
        )

    def __await__(self) -> Generator[Any, None, Answer]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> Answer:
        if self.applied or not self.accepted or self._workspace is None:
            return self
        return self._seen(await self._workspace.watcher.wait_async([self.pid], self._holds), None)


def control(
    workspace: Workspace,
    verb: Control,
    selection: Selection,
    *,
    reason: str | None = None,
    author: str | None = None,
    force: bool = False,
    now: bool = False,
) -> list[Answer]:
    """Pause, play or kill every selected process, in one transaction.

    Durable on return. Asking twice does no harm; the last intent wins. A kill takes all descendants
    along.

    Args:
        selection: Which; processes named by pid that have terminated are answered, not changed. Where it is
            all that have not terminated, one broadcast tells their workers.
        author: Who asks; the user's login name if not given.
        force: (kill) Give a running step no time to end.
        now: (pause) Stop a running step in its midst.

    Returns:
        One answer for each process met, by pid.
    """
    who, why = asked_by(verb.value, author, reason)
    wanted = workspace.store.control(verb, selection, author=who, reason=why, force=force, now=now)
    outcomes = wanted.result()
    notify(workspace, verb, outcomes, now=now, everybody=selection == Selection(live=True) and not force)
    return [_answer(workspace, verb, outcome) for outcome in outcomes]


def _answer(workspace: Workspace, verb: Control, outcome: ControlOutcome) -> Answer:
    if not outcome.found:
        return Answer(outcome.pid, verb, False, False, f"there is no process {outcome.pid}")
    if outcome.refused is not None:
        return Answer(outcome.pid, verb, False, False, outcome.refused, outcome.before)
    row = outcome.after
    if row is not None and row.intent is Control.KILL and verb is not Control.KILL:
        said = "accepted, but so was a kill before it, which wins"
        return Answer(outcome.pid, verb, True, False, said, row, workspace)
    if outcome.applied and row is not None:
        return Answer(outcome.pid, verb, True, True, _done(verb, row), row, workspace)
    return Answer(outcome.pid, verb, True, False, f"accepted; {outcome.owner} will apply it", row, workspace)


def _done(verb: Control, row: ProcessRow) -> str:
    if row.state is State.KILLED:
        return "killed"
    if row.terminated:
        return f"{row.state.value} before it could be {'paused' if verb is Control.PAUSE else verb.value}"
    if verb is Control.PAUSE and not row.paused:
        return "taken back by a play"
    return "paused" if row.paused else "playing"


def asked_by(verb: str, author: str | None, reason: str | None = None) -> tuple[str, str | None]:
    """Who asks for it, the user's login name if nobody is said, and why; as the store keeps it.

    Raises:
        TypeError: one of them is no text.
    """
    for word, said in (("reason", reason), ("author", author)):
        if said is not None and not isinstance(said, str):
            raise TypeError(f"{verb}() takes its {word} as a text, not {reprlib.repr(said)}")
    return storable(author or login()), None if reason is None else storable(reason)


def login() -> str:
    """Who asks: the user's login name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
