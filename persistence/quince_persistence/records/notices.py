"""Notices: what has happened that somebody wants to be told of."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class Happening(enum.StrEnum):
    """Of what receivers can be told."""

    FAILED = "failed"
    """A process has ended, and not well: excepted, killed, or with an exit status other than 0."""
    PAUSED = "paused"
    """Quince has paused a process, and a person is to see to it."""
    WAITING = "waiting"
    """A process waits for a signal."""
    ENDED = "ended"
    """A process with labels and without a parent has ended, in whatever way."""
    TROUBLE = "trouble"
    """A worker has died, or is in trouble."""
    TEST = "test"
    """Somebody wants to see whether it arrives."""


class NoticeRow(msgspec.Struct, frozen=True):
    """Something of which one receiver is still to be told.

    Attributes:
        id: Names what has happened: the same for all receivers, and each time that it is sent.
        body: What it was, as it stood then.
        tries: How often it was sent, or tried to be, with the try that is going on.
        due: When it is sent next.
        error: Why the last try has failed.
    """

    id: str
    receiver: str
    event: Happening
    at: float
    body: Mapping[str, Any]
    tries: int
    due: float
    error: str | None = None


class ReceiverRow(msgspec.Struct, frozen=True):
    """A receiver, as the store knows it.

    Attributes:
        events: Of what it is told; empty: nobody has it any more, but notices for it are there.
        seen: When a worker said last that it has it.
        pending: How many notices are still to be sent to it.
        oldest: Since when the oldest of them is there.
        error: Why the last try of one of them has failed.
    """

    name: str
    events: Sequence[Happening]
    seen: float | None
    pending: int = 0
    oldest: float | None = None
    error: str | None = None


class Sent(msgspec.Struct, frozen=True):
    """What became of a try to send one.

    Attributes:
        error: Why it has failed; None: it was sent, and is forgotten.
        again: In how many seconds it is tried again.
    """

    id: str
    receiver: str
    error: str | None = None
    again: float = 0.0
