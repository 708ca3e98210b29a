"""What goes in and out of the task file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NewTask = tuple[str, int, bytes]
"""The queue, the priority and the body of a task, which is an envelope."""
GivenTask = tuple[int, int, int, str | int]
"""A task that a consumer was given: what orders it, its id, whether it was redelivered, and its body in
hexadecimal digits; of a large one only the length."""


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """A task as its consumer gets it; `body` is an envelope."""

    id: int
    redelivered: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class WaitingConsumer:
    """A consumer that found too little on its queue, and waits for a bell."""

    consumer: int
    peer: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What a consumer settles and asks for in one exchange with the task file.

    Attributes:
        settled: Tasks that it is done with.
        most: How many it wants now.
        capacity: How many it could hold besides those that it holds.
        turn: Number of this claim; claims of a consumer count up.
        since: Number of its last claim that told it what it got.
    """

    consumer: int
    queue: str
    settled: Sequence[int]
    most: int
    capacity: int
    prefetch: int
    turn: int
    since: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim brought.

    Attributes:
        pass_on: Consumers to ring, because tasks are left for which this one has no capacity.
        unread: Tasks that it was given too, with bodies too large to be read in the same go.
    """

    tasks: Sequence[ClaimedTask]
    pass_on: Sequence[WaitingConsumer]
    unread: Sequence[GivenTask] = ()
