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
class Hungry:
    """A consumer that found too little on its queue and waits for a bell."""

    consumer: int
    peer: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What a consumer gives and asks for at once.

    Attributes:
        settled: Tasks that it is done with.
        most: How many it wants now.
        room: How many it could hold beside those it holds.
        turn: Number of this claim; claims of a consumer count up.
        since: Number of its last claim that told it what it got.
    """

    consumer: int
    queue: str
    settled: Sequence[int]
    most: int
    room: int
    prefetch: int
    turn: int
    since: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim brought.

    Attributes:
        pass_on: Consumers to ring because tasks are left that this consumer has no room for.
        unread: Tasks that it has got too, and whose bodies are too large to be read in one go.
    """

    tasks: Sequence[ClaimedTask]
    pass_on: Sequence[Hungry]
    unread: Sequence[GivenTask] = ()
