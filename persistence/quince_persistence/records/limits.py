"""Limits, who holds them and who waits for them."""

from __future__ import annotations

import msgspec


class NewLimit(msgspec.Struct, frozen=True, omit_defaults=True):
    """A limit of which so many may be held at once, for the children of one process."""

    name: str
    slots: int


class LimitRow(msgspec.Struct, frozen=True, gc=False):
    """A named limit.

    Attributes:
        slots: How many processes may hold it at once; None: any number.
        rate: How many may begin in `per` seconds; None: any number.
        owner: The process for whose children it is.
        held: How many hold it.
        waiting: How many wait for it first of all.
        next_at: When its rate lets the next one begin; None: now, or it has none.
        damage: Why its row in the store cannot be read, so that it lets nobody begin; None: it can.
    """

    name: str
    slots: int | None
    rate: int | None
    per: float | None
    owner: int | None
    held: int
    waiting: int
    next_at: float | None = None
    damage: str | None = None


class LimitWait(msgspec.Struct, frozen=True, gc=False):
    """A process that waits for a limit.

    Attributes:
        ahead: How many come before it.
    """

    pid: int
    name: str
    ahead: int
