"""The lists of the first screen: processes, by pages; workers, queues, limits and schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from quince.concurrency import aside
from quince.errors import InvalidFilter, ProcessNotFound
from quince.monitor.filters import Filter
from quince.monitor.monitor import Monitor
from quince.monitor.rows import Order, Page
from quince.top.columns import PROCESSES, key_of
from quince.top.listing import Column, Listing
from quince.top.renewing import Renewed


class ProcessesView(Vertical, Renewed):
    """A page of processes, as many as there is room for, and the filter above it."""

    DEFAULT_CSS = "ProcessesView Input { height: 1; border: none; padding: 0 1; }"

    def __init__(self, monitor: Monitor, words: str, **options: Any) -> None:
        super().__init__(**options)
        self._monitor = monitor
        self._words = words
        self._chosen = Filter.from_words(words)
        self._order = Order.LIVE
        self._begins: list[str | None] = [None]
        """Where the pages up to this one begin."""
        self._next: str | None = None
        self._at: int | None = None
        self.listing = Listing(PROCESSES, key_of, "no such processes")

    def compose(self) -> ComposeResult:
        yield Input(
            self._words,
            id="filter",
            compact=True,
            select_on_focus=False,
            placeholder="filter: / then state=waiting class=Relax argon",
        )
        yield self.listing

    @property
    def title(self) -> str:
        """Which part of which list it is."""
        order = "" if self._order is Order.LIVE else ", newest first"
        return f"page {len(self._begins)}{order}" if len(self._begins) > 1 or self._next or order else ""

    async def renew(self) -> None:
        wanted = (self._chosen, self._order, self._begins[-1], self.listing.room)
        chosen, order, after, room = wanted
        page: Page = await aside(
            partial(self._monitor.processes, chosen, order=order, after=after, limit=room)
        )
        if wanted != (self._chosen, self._order, self._begins[-1], self.listing.room):
            self.ask_renewal()
            return
        if not page.rows and len(self._begins) > 1:  # what was there has gone up
            self._begins.pop()
            self.ask_renewal()
        self._next = page.next
        self.listing.show(page.rows, at=self._at)
        self._at = None

    async def choose(self, words: str) -> str | None:
        """Show what a filter chooses, from its first page on; why it cannot be, if it cannot."""
        try:
            chosen = Filter.from_words(words)
            await aside(chosen.selection, self._monitor.workspace)
        except (InvalidFilter, ProcessNotFound) as error:
            return str(error)
        if chosen != self._chosen:
            self._chosen = chosen
            self._begin()
        return None

    def turn_round(self) -> None:
        """The other order: what lives before the rest, or all by age."""
        self._order = Order.NEWEST if self._order is Order.LIVE else Order.LIVE
        self._begin()

    def _begin(self) -> None:
        self._begins, self._at = [None], 0
        self.ask_renewal()

    def on_listing_beyond(self, event: Listing.Beyond) -> None:
        if event.way > 0 and self._next is not None:
            self._begins.append(self._next)
            self._next, self._at = None, 0
        elif event.way < 0 and len(self._begins) > 1:
            self._begins.pop()
            self._at = -1
        self.ask_renewal()

    def on_listing_begin(self, event: Listing.Begin) -> None:
        if len(self._begins) > 1:
            self._begin()

    def on_listing_resized(self, event: Listing.Resized) -> None:
        self.ask_renewal()


class FleetView(Vertical, Renewed):
    """All workers, queues, limits or schedules."""

    def __init__(
        self, columns: Sequence[Column], read: Callable[[], Sequence[Any]], empty: str, **options: Any
    ) -> None:
        super().__init__(**options)
        self._read = read
        self.listing = Listing(columns, key_of, empty)

    def compose(self) -> ComposeResult:
        yield self.listing

    async def renew(self) -> None:
        self.listing.show(await aside(self._read))
