"""Pages of processes: each read looks at so many rows that it takes a moment, however many there are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from quince.errors import InvalidFilter
from quince.monitor.rows import Order
from quince_persistence.contract import StoreContract
from quince_persistence.records import TERMINAL, ProcessRow, Selection, State

MOMENT = 0.03
"""Seconds after which a page is given as it is, if there is no index by which its rows can be found."""
FIRST_WINDOW = 2000
"""pids that are looked at together at first, and then four times as many, while that is quick."""


def page_of(
    store: StoreContract, selection: Selection, order: Order, after: str | None, limit: int
) -> tuple[list[ProcessRow], str | None]:
    """At most so many rows, and where the next page begins.

    A page may have fewer rows than it could, or none, though others follow: it has looked for as long as a
    read may take.

    Raises:
        InvalidFilter: there is no such page.
    """
    phase, before = _cursor(after, order)
    found: list[ProcessRow] = []
    until = time.monotonic() + MOMENT
    for part in ("live", "ended") if order is Order.LIVE else ("all",):
        narrowed = None if (phase, part) == ("ended", "live") else _part(selection, part)
        if narrowed is None:
            continue
        for rows, bound in _windows(store, replace(narrowed, before=before), limit + 1 - len(found)):
            found += rows
            if len(found) > limit:
                return found[:limit], _place(found[limit - 1], part)
            if bound is not None and time.monotonic() > until:
                return found, f"{part}:{bound}"
        before = None
    return found, None


def _windows(
    store: StoreContract, selection: Selection, most: int
) -> Iterator[tuple[Sequence[ProcessRow], int | None]]:
    """Rows, the newest first, and below which pid those that follow are; None: there are no others."""
    if not _is_slow(selection):
        yield store.select(replace(selection, limit=most)), None
        return
    top = selection.before
    if top is None:
        newest = store.select(Selection(limit=1))
        top = newest[0].pid + 1 if newest else 0
    width = FIRST_WINDOW
    while top > 0 and most > 0:
        bottom = max(0, top - width)
        began = time.monotonic()
        rows = store.select(replace(selection, before=top, above=bottom - 1, limit=most))
        most -= len(rows)
        yield rows, bottom if bottom else None
        width, top = width * (4 if time.monotonic() - began < MOMENT / 8 else 1), bottom


def _is_slow(selection: Selection) -> bool:
    """There is no index that finds these rows and no others."""
    quick = selection.pids or selection.trees or selection.parent is not None or selection.key is not None
    return not quick and bool(
        selection.classes
        or selection.text is not None
        or selection.queue is not None
        or selection.roots
        or selection.paused is False
        or (selection.since, selection.until) != (None, None)
        or (selection.ended_since, selection.ended_until) != (None, None)
    )


def _place(row: ProcessRow, part: str) -> str:
    return f"{part if part == 'all' else 'ended' if row.terminated else 'live'}:{row.pid}"


def _cursor(after: str | None, order: Order) -> tuple[str | None, int | None]:
    if after is None:
        return None, None
    phase, _, pid = after.partition(":")
    if phase not in (("live", "ended") if order is Order.LIVE else ("all",)) or not _is_pid(pid):
        raise InvalidFilter(f"there is no page {after!r} of a list in the order {order.value!r}")
    return phase, int(pid)


def _is_pid(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 20


def _part(selection: Selection, part: str) -> Selection | None:
    """What of a selection lives, or has ended; None: nothing can."""
    if part == "all":
        return selection
    if part == "live":
        states = [state for state in selection.states if state not in TERMINAL]
        ended = selection.failed or selection.exits or selection.ended_since or selection.ended_until
        return (
            None
            if ended or (selection.states and not states)
            else replace(selection, states=states, live=True)
        )
    if selection.live or selection.paused:
        return None
    ends = [state for state in selection.states or State if state in TERMINAL]
    return replace(selection, states=ends) if ends else None
