"""The screen of one process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from quince.cli.formatting import state_text
from quince.cli.terminal import Styled, Text
from quince.concurrency import aside
from quince.monitor.monitor import Monitor
from quince.top.columns import pid_of
from quince.top.details import AboutView, HistoryView, PrintedView, TreeView
from quince.top.listing import Listing
from quince.top.screens import Part, PartsScreen

PROCESS, TREE, HISTORY, OUTPUT = "Process", "Tree", "History", "Output"


class ProcessScreen(PartsScreen):
    """One process."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back"),
        Binding("q", "app.pop_screen", show=False),
    ]

    def __init__(self, monitor: Monitor, pid: int, first: str | None = None) -> None:
        self._pid = pid
        parts = [
            Part(PROCESS, AboutView(monitor, pid)),
            Part(TREE, TreeView(monitor, pid)),
            Part(HISTORY, HistoryView(monitor, pid)),
            Part(OUTPUT, PrintedView(monitor, pid)),
        ]
        super().__init__(monitor, parts, first)
        self._signals: Sequence[str] = ()

    async def heading(self) -> Styled:
        row = await aside(self.monitor.row, self._pid)
        self._signals = row.row.signals
        return Text.assemble(
            f" {row.pid} ", (row.name, "bold"), "  ", state_text(row.row), (f"  {row.doing}", "dim")
        )

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        pid = pid_of(event.item)
        if pid is not None and pid != self._pid:
            self.app.push_screen(ProcessScreen(self.monitor, pid))

    def pids(self) -> list[int]:
        at = None if self.listing is None else pid_of(self.listing.item)
        return [self._pid if at is None else at]

    def signals(self) -> Sequence[str]:
        return self._signals
