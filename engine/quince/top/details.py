"""The parts of the screen of one process: all about it, its tree, its history, what it prints."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import RichLog, Static

from quince.cli.printed import cleaned
from quince.cli.terminal import Styled, Text, block
from quince.concurrency import aside
from quince.moments import clock
from quince.monitor.monitor import Monitor
from quince.monitor.trees import Node
from quince.top.about import about
from quince.top.columns import TREE, Twig, key_of, twigs
from quince.top.listing import Listing
from quince.top.renewing import Renewed

MOST_LINES = 5000
"""Of a log, that one can go back to."""
MOST_NODES = 2000
"""Of a tree; what has more children shows the rest on a screen of its own."""


class AboutView(VerticalScroll, Renewed, can_focus=True):
    """All about it."""

    def __init__(self, monitor: Monitor, pid: int, **options: Any) -> None:
        super().__init__(**options)
        self._monitor, self._pid = monitor, pid
        self._text = Static(Text("it is being read", style="dim"))

    def compose(self) -> ComposeResult:
        yield self._text

    async def renew(self) -> None:
        self._text.update(about(await aside(self._monitor.process, self._pid)))


class TreeView(Vertical, Renewed):
    """Those below it, with lines; a part can be folded."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "fold(True)", "Fold"),
        Binding("right", "fold(False)", "Unfold", show=False),
    ]

    def __init__(self, monitor: Monitor, pid: int, **options: Any) -> None:
        super().__init__(**options)
        self._monitor, self._pid = monitor, pid
        self._tree: Node | None = None
        self._folded: set[int] = set()
        self.listing = Listing(TREE, key_of, "")

    def compose(self) -> ComposeResult:
        yield self.listing

    async def renew(self) -> None:
        self._tree = await aside(partial(self._monitor.tree, self._pid, limit=MOST_NODES))
        self._show()

    def _show(self) -> None:
        if self._tree is not None:
            self.listing.show(twigs(self._tree, self._folded))

    def action_fold(self, fold: bool) -> None:
        at = self.listing.item
        if isinstance(at, Twig):
            (self._folded.add if fold else self._folded.discard)(at.node.pid)
            self._show()


class _LogView(RichLog, Renewed):
    """Lines that come at the end, which stays in sight unless one has gone up."""

    def __init__(self, monitor: Monitor, pid: int, **options: Any) -> None:
        super().__init__(wrap=True, max_lines=MOST_LINES, auto_scroll=False, **options)
        self._monitor, self._pid = monitor, pid

    def add(self, line: Styled) -> None:
        """One more."""
        self.write(line, scroll_end=self.is_vertical_scroll_end)


class HistoryView(_LogView):
    """What has happened to it."""

    _after = 0

    async def renew(self) -> None:
        for line in await aside(partial(self._monitor.history, self._pid, after=self._after)):
            self._after = line.seq
            when = clock(line.at)
            told = block(line.text, indent=len(when) + 2)
            self.add(Text.assemble((when, "dim"), "  ", told))


class PrintedView(_LogView):
    """What its steps print, on this host."""

    _after: str | None = None
    _begun = ""
    _told = False

    async def renew(self) -> None:
        more = True
        while more:
            piece = await aside(partial(self._monitor.printed, self._pid, after=self._after))
            self._after, more = piece.after, piece.more
            *lines, self._begun = (self._begun + piece.text).split("\n")
            if piece.over and not more and self._begun:
                lines, self._begun = [*lines, self._begun], ""
            for line in lines:
                self.add(Text(cleaned(line)))
            if not self._told and (piece.elsewhere or piece.why):
                self._told = True
                there = f"it also ran on {', '.join(piece.elsewhere)}, where what it printed there is kept"
                self.add(Text(there if piece.elsewhere else piece.why or "", "dim"))
