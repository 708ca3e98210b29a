"""Limits in the simulated world: who asks for which, and that never more hold one than may."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any

from sqlalchemy import select

from quince_persistence.reading.row_reader import RowReader
from quince_persistence.records import ProcessRow
from quince_persistence.schema.mutable_row import decode_options
from quince_persistence.schema.tables import limit_uses, limits, processes
from quince_persistence.store import Store

SCARCE, SLOW = "scarce", "slow"
"""One of which few may be held at once; and one of which few may begin in a time."""
RATE, PER = 2, 1.0
RATIONED = 0.4
"""In so many of the simulations there are limits."""

u, p = limit_uses, processes
_slots = select(limits.c.name, limits.c.slots).where(limits.c.slots.is_not(None))
_holders = select(p.c.options).where(p.c.granted.is_(True), p.c.ended.is_(None))
_uses = select(u.c.name, u.c.held)
_asking = select(p.c.pid, p.c.options).where(
    p.c.granted.is_(False),
    p.c.ended.is_(None),
    (p.c.attempt == 0) | (p.c.state != "waiting") | (p.c.awaiting == 0),
    p.c.paused.is_(False),
)
_standing = select(u.c.pid).where(u.c.held.is_(False))
_slowly = (
    select(u.c.pid)
    .join(limits, limits.c.name == u.c.name)
    .where(u.c.held.is_(False), limits.c.rate.is_not(None))
)


def ration(seed: int, store: Store) -> Random | None:
    """Set the limits of a simulation. None: it has none."""
    random = Random(f"limits of {seed}")
    if random.random() > RATIONED:
        return None
    store.set_limit(SCARCE, slots=random.randint(1, 2)).result()
    store.set_limit(SLOW, rate=RATE, per=PER).result()
    return random


def have_ask(plan: dict[str, Any], random: Random) -> None:
    """Have some processes of a plan ask for limits, and some that wait for children run few at once."""
    names = random.choice(([], [], [], [SCARCE], [SLOW], [SCARCE, SLOW]))
    if names:
        plan["limits"] = names
    below = [*plan["inputs"].get("first", ()), *plan["inputs"].get("second", ())]
    if plan["kind"] == "tree" and len({child["kind"] for child in below}) == 1 and random.random() < 0.5:
        plan["inputs"]["at_once"] = 1
    for child in below:
        have_ask(child, random)


def broken(reads: RowReader) -> Iterator[str]:
    """What is wrong with who holds limits, as the store stands just now."""
    held: Counter[str] = Counter()
    for (options,) in reads.rows(_holders):
        held.update(decode_options(options).limits)
    uses: dict[bool, Counter[str]] = defaultdict(Counter)
    for name, is_held in reads.rows(_uses):
        uses[bool(is_held)][name] += 1
    if held != uses[True]:
        yield f"limits are granted to {dict(held)}, and held by {dict(uses[True])}"
    for name, slots in reads.rows(_slots):
        if held[name] > slots:
            yield f"{held[name]} processes hold limit {name}, which {slots} may"
    standing = {pid for (pid,) in reads.rows(_standing)}
    asking = {pid for pid, _ in reads.rows(_asking)}
    if standing != asking:
        yield f"{sorted(asking)} ask for limits, and {sorted(standing)} stand where they are given"


def waits_for_time(reads: RowReader) -> bool:
    """Somebody waits for what a rate will allow."""
    return bool(reads.rows(_slowly))


def is_kept_from(row: ProcessRow, store: Store) -> bool:
    """It waits for a limit that others have."""
    wait = store.limit_waits([row.pid]).get(row.pid)
    if wait is None:
        return False
    limit = next(one for one in store.limits() if one.name == wait.name)
    return limit.slots is not None and limit.held >= limit.slots
