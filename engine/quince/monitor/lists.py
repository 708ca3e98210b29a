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
"""pids that are looked at together at first, and then four times as many, while that is quick ..."""
WIDEST = 32_000
"""... but no more, since those before may have been quick because few of them came into question."""


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
    top, width = selection.before, FIRST_WINDOW
    while most > 0 and (top := _next(store, selection, top)) is not None:
        bottom = max(0, top - width)
        began = time.monotonic()
        rows = store.select(replace(selection, before=top, above=bottom - 1, limit=most))
        most -= len(rows)
        yield rows, bottom if bottom else None
        width, top = min(WIDEST, width * (4 if time.monotonic() - began < MOMENT / 8 else 1)), bottom


def _is_slow(selection: Selection) -> bool:
    """There is no index that finds these rows and no others."""
    quick = selection.pids or selection.trees or selection.parent is not None or selection.key is not None
    return not quick and bool(
        selection.classes
        or selection.text is not None
        or selection.queue is not None
        or selection.labels
        or selection.roots
        or selection.paused is False
        or len(selection.exits) > 1
        or 0 in selection.exits
        or (selection.since, selection.until) != (None, None)
        or (selection.ended_since, selection.ended_until) != (None, None)
    )


def _next(store: StoreContract, selection: Selection, before: int | None) -> int | None:
    """Below which pid to go on, past all those that are not there, or do not come into question by what an
    index knows; None: none is left."""
    known = [Selection(states=selection.states, live=selection.live)]
    known += [Selection(labels=[label]) for label in selection.labels if label[1] is not None]
    known += [Selection(failed=True)] if selection.failed else []
    for one in (*known, *known[:-1]):
        newest = store.select(replace(one, before=before, limit=1))
        if not newest:
            return None
        before = newest[0].pid + 1
    return before


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
        none = _have_ended(selection) or (selection.states and not states)
        return None if none else replace(selection, states=states, live=True)
    if selection.live or selection.paused:
        return None
    if _have_ended(selection) and not selection.states:
        return selection
    ends = [state for state in selection.states or State if state in TERMINAL]
    return replace(selection, states=ends) if ends else None


def _have_ended(selection: Selection) -> bool:
    """Whatever else it asks for, none of these lives."""
    return bool(
        selection.failed or selection.exits or (selection.ended_since, selection.ended_until) != (None, None)
    )
