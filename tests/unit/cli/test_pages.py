"""The pages of `quince ps`: whoever follows its hints has seen all."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from quince.cli.filters import Filter
from quince.cli.ps import how_to_see_more, page
from quince_persistence.records import TERMINAL, ProcessRow, Selection, State
from tests.unit.cli.rows import row


class _Store:
    """Of ten processes 2 and 5 live; they came in blocks of pids: the lower five are the younger ones."""

    rows = tuple(
        row(pid=pid, state=State.WAITING if pid in (2, 5) else State.FINISHED, created=float(pid % 6))
        for pid in range(1, 11)
    )

    def select(self, selection: Selection) -> list[ProcessRow]:
        found = [
            one
            for one in reversed(self.rows)
            if one.pid < (selection.before or 99) and not (selection.live and one.state in TERMINAL)
        ]
        return found[: selection.limit]


HOME: Any = SimpleNamespace(store=_Store(), location=SimpleNamespace(folder=Path("/")))


def test_pages_that_follow_each_other_leave_nothing_out() -> None:
    seen: set[int] = set()
    rows, more = page(HOME, Filter(), 4, None)
    assert {one.pid for one in rows} == {2, 5, 10, 9}, "what lives comes first, then the highest pids"
    hint = how_to_see_more(rows, paged=False)
    while more:
        seen |= {one.pid for one in rows}
        below = int(hint.partition("--before ")[2].split()[0])
        rows, more = page(HOME, Filter(), 4, below)
        hint = how_to_see_more(rows, paged=True)
    assert seen | {one.pid for one in rows} == set(range(1, 11))


def test_a_page_of_nothing_but_what_lives_offers_none_before() -> None:
    rows, more = page(HOME, Filter(), 1, None)
    assert ([one.pid for one in rows], more) == ([5], True)
    assert how_to_see_more(rows, paged=False) == "--limit N or --all shows more"
