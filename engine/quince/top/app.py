"""The program: the screen of lists, from which one goes to processes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.widgets import Input

from quince.cli.formatting import counts_text
from quince.cli.terminal import Styled, Text
from quince.concurrency import aside
from quince.monitor.filters import WORDS
from quince.monitor.monitor import Monitor
from quince.top.columns import LIMITS, QUEUES, SCHEDULES, WORKERS, pid_of
from quince.top.help import HelpScreen
from quince.top.listing import Listing
from quince.top.process_screen import HISTORY, OUTPUT, TREE, ProcessScreen
from quince.top.screens import Part, PartsScreen
from quince.top.views import FleetView, ProcessesView

TYPING_SECONDS = 0.15
"""Seconds after the last letter of a filter until it is looked for."""


class ListsScreen(PartsScreen):
    """Processes, workers, queues, limits, schedules."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", priority=True),
        Binding("t", f"open('{TREE}')", "Tree"),
        Binding("h", f"open('{HISTORY}')", show=False),
        Binding("l", f"open('{OUTPUT}')", "Log"),
        Binding("space", "mark", show=False),
        Binding("o", "turn_round", show=False),
        Binding("question_mark", "help", "Help"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self, monitor: Monitor, words: str) -> None:
        self._processes = ProcessesView(monitor, words)
        fleet = [
            ("Workers", WORKERS, monitor.workers, "no worker is registered: `quince daemon start`"),
            ("Queues", QUEUES, monitor.queues, "nothing waits on a queue, and no worker takes from one"),
            ("Limits", LIMITS, monitor.limits, "no limit is set: `quince limit set NAME SLOTS`"),
            ("Schedules", SCHEDULES, monitor.schedules, "there is no schedule: `quince schedule add`"),
        ]
        views = [Part(name, FleetView(columns, read, empty)) for name, columns, read, empty in fleet]
        super().__init__(monitor, [Part("Processes", self._processes), *views])

    async def heading(self) -> Styled:
        counts, paused = await aside(lambda: (self.monitor.counts(), self.monitor.paused_counts()))
        return Text.assemble(
            (" quince top  ", "bold"), counts_text(counts, paused), (f"  {self._folder()}", "dim")
        )

    def _folder(self) -> str:
        folder = self.monitor.workspace.location.folder
        try:
            return f"~/{folder.relative_to(Path.home())}"
        except ValueError:
            return str(folder)

    # Processes

    def pids(self) -> list[int]:
        listing = self.listing
        if listing is None:
            return []
        if self.view is self._processes and listing.marked:
            return sorted(pid for pid in listing.marked if isinstance(pid, int))
        pid = pid_of(listing.item)
        return [] if pid is None else [pid]

    def signals(self) -> tuple[str, ...]:
        row = getattr(self.listing and self.listing.item, "row", None)
        return getattr(row, "signals", ())

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        self.action_open(None)

    def action_open(self, part: str | None) -> None:
        pid = None if self.listing is None else pid_of(self.listing.item)
        if pid is not None:
            self.app.push_screen(ProcessScreen(self.monitor, pid, part))

    def action_mark(self) -> None:
        if self.view is self._processes:
            self._processes.listing.mark()

    def action_turn_round(self) -> None:
        self._processes.turn_round()

    def action_help(self) -> None:
        self.app.push_screen(HelpScreen())

    # The filter

    def action_filter(self) -> None:
        self.turn_to(0)
        self.set_focus(self.query_one("#filter", Input))  # at once: letters may follow it closely

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        typing = isinstance(self.focused, Input)
        return not (action == "filter" and typing) and super().check_action(action, parameters)

    @on(Input.Changed, "#filter")
    def _typed(self, event: Input.Changed) -> None:
        self.set_timer(TYPING_SECONDS, partial(self._typed_so_far, event.value))

    def _typed_so_far(self, words: str) -> None:
        box = self.query_one("#filter", Input)
        if box.value == words and (box.has_focus or not words):  # nothing more was typed
            self._choose(without_beginning(words))

    @on(Input.Submitted, "#filter")
    def _done(self, event: Input.Submitted) -> None:
        self._processes.listing.focus()
        self._choose(event.value)

    def on_key(self, event: Key) -> None:
        if isinstance(self.focused, Input) and event.key in ("escape", "down"):
            event.stop()
            if event.key == "escape":
                self.focused.value = ""
            self._processes.listing.focus()

    @work(exclusive=True, group="filter")
    async def _choose(self, words: str) -> None:
        self.say(await self._processes.choose(words) or "")


def without_beginning(words: str) -> str:
    """A filter without its last word, if that may become the name of a filter: `argon sta` is no text yet."""
    rest, _, last = words.rpartition(" ")
    names = (word.name for word in WORDS.values())
    return rest if last and any(name.startswith(last.removeprefix("--")) for name in names) else words


class QuinceTop(App[None]):
    """`quince top`. In the colours of the terminal, or in none (`NO_COLOR`).

    Args:
        words: The filter at first, as it is typed.
    """

    CSS = """
    Input > .input--cursor { color: ansi_default; background: ansi_default; text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", show=False, priority=True)]
    ENABLE_COMMAND_PALETTE = False
    TITLE = "quince top"

    def __init__(self, monitor: Monitor, words: str = "", **options: Any) -> None:
        super().__init__(ansi_color=True, **options)
        self.theme = "ansi-dark"
        self._monitor, self._words = monitor, words

    def _fatal_error(self) -> None:
        """End without textual's picture of the error, which the command line tells as any other."""
        self._close_messages_no_wait()

    def get_default_screen(self) -> ListsScreen:
        return ListsScreen(self._monitor, self._words)
