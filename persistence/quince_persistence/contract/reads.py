"""What a store promises of reads of processes; a part of `StoreContract`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from quince_persistence.records import (
    EventRow,
    ProcessRow,
    Result,
    Selection,
    SignalRow,
    State,
    Tally,
)
from quince_persistence.records.controls import PastStep


class ReadContract(Protocol):
    """What there is to be known of processes."""

    def get(self, pid: int) -> ProcessRow | None:
        """The row of a process; None if there is none."""

    def find_key(self, key: str) -> ProcessRow | None:
        """The row of the process that has this key; None if none has."""

    def keys_near(self, key: str) -> Sequence[str]:
        """Keys that there are and that begin like this one, or stand beside it in the alphabet; not many."""

    def select(self, selection: Selection) -> Sequence[ProcessRow]:
        """The rows of a selection, newest first."""

    def tree(self, pid: int) -> Sequence[ProcessRow]:
        """A process and all its descendants: by pid, and parents before children."""

    def tree_sizes(self, roots: Sequence[int]) -> Mapping[int, int]:
        """How many processes there are in trees, by root."""

    def results(self, pids: Sequence[int], *, small: int | None = None) -> Sequence[Result]:
        """How processes stand or ended, with outputs and error, in the order of the pids; those that do not
        exist are left out.

        Args:
            small: Outputs of more bytes than that are not read (`unread` tells how many they are), nor are
                errors.
        """

    def outputs(self, pid: int, *, within: float | None = None) -> bytes | None:
        """The outputs of a process that has ended; None if there are none.

        Args:
            within: Seconds to wait for a database that is away.
        """

    def inputs(self, pid: int) -> bytes | None:
        """The inputs of a process; None if there is no such process."""

    def checkpoint(self, pid: int) -> bytes | None:
        """The newest checkpoint of a process; None if it has not made one, or has terminated."""

    def past_steps(self, pid: int) -> Sequence[PastStep]:
        """Before which of its steps a process has kept its checkpoint, in their order; last the newest, if
        there is one."""

    def signals(self, pid: int) -> Sequence[SignalRow]:
        """Signals that a process has not used yet, in the order in which they came."""

    def awaited(self, pid: int) -> Sequence[ProcessRow]:
        """The processes that a waiting one waits for and that have not terminated, by pid."""

    def awaited_in_tree(self, pid: int) -> dict[int, list[int]]:
        """Of a process and its descendants, the pids of those that wait for others, each with these
        others."""

    def awaited_by(self, pids: Sequence[int]) -> Mapping[int, Sequence[int]]:
        """pids of the processes that each of these waits for; those that wait for none are left out."""

    def events(self, pid: int, *, after: int = 0, limit: int | None = None) -> Sequence[EventRow]:
        """The history of a process, oldest first.

        Args:
            after: Only lines with a greater `seq`.
            limit: At most so many.
        """

    def histories(self, pids: Sequence[int], kinds: Sequence[str]) -> Mapping[int, Sequence[EventRow]]:
        """The lines of these kinds in the histories of some processes, oldest first; who has none is left
        out."""

    def started(self, pids: Sequence[int]) -> Mapping[int, float]:
        """When a worker first claimed each of these; those that none has claimed are left out."""

    def children(self, parents: Sequence[int], *, most: int) -> Sequence[ProcessRow]:
        """The children of some processes, by parent and pid; at most so many in all."""

    def child_counts(self, parents: Sequence[int]) -> Mapping[int, int]:
        """How many children each of these has; those that have none are left out."""

    def tallies(self, parents: Sequence[int]) -> Mapping[int, Sequence[Tally]]:
        """How many children of each of these are what; those that have none are left out."""

    def counts(self) -> dict[State, int]:
        """How many processes are in each state."""

    def last_failed(self, most: int) -> Sequence[ProcessRow]:
        """Those that have ended last, and not well, the last one first; at most so many."""

    def live_counts(self) -> dict[tuple[str, str], int]:
        """How many processes that have not terminated there are, by class path and state."""

    def paused_counts(self) -> Mapping[State, int]:
        """How many processes are paused, by state."""

    def failures(self, since: float) -> Mapping[tuple[str, State, int | None], int]:
        """How many processes have ended since then, and not well, by class path, state and exit status."""

    def ends(self, since: float, width: float) -> Sequence[tuple[int, int, int]]:
        """How many processes have ended since then, by stretches of so many seconds: the number of the
        stretch, how many, and how many of these not well. Stretches in which none has are left out."""

    def label_names(self) -> Sequence[str]:
        """The names of all labels that there are, by the alphabet; a hundred at most."""
