"""What each screen has: a heading, parts of which one is seen, a line for answers, keys; and the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Footer, Static

from quince.cli.terminal import Styled, Text
from quince.concurrency import aside
from quince.errors import EngineError
from quince.monitor.monitor import Monitor
from quince.top.asking import Ask, Question
from quince.top.listing import Listing
from quince.top.renewing import AskRenewal, Renewal, Renewed
from quince.top.steering import RESTART, RETRY, SIGNAL, steer
from quince_persistence.errors import PersistenceError
from quince_persistence.records import Control

WARNINGS: Mapping[str, str] = {
    Control.KILL: "It ends, with all below it; a step that runs is stopped.",
    Control.PAUSE: "It stops after the step that runs now.",
    RETRY: "It goes on from the step in which it failed.",
    RESTART: "A new process begins there; this one stays as it is.",
}
OPTIONS: Mapping[str, str] = {
    Control.KILL: "by force: a step that runs gets no time to end",
    Control.PAUSE: "now, in the midst of the step",
}


@dataclass(frozen=True)
class Part:
    """A part of a screen, which a figure key shows."""

    name: str
    view: Renewed


class PartsScreen(Screen[None]):
    """Shows one of its parts, live.

    Args:
        monitor: What is to be seen.
        parts: The first one is seen at first.
        first: Or the one of this name.
    """

    DEFAULT_CSS = """
    PartsScreen > Static { height: 1; width: 1fr; }
    PartsScreen > ContentSwitcher { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "steer('pause')", "Pause"),
        Binding("P", "steer('play')", "Play"),
        Binding("K", "steer('kill')", "Kill"),
        Binding("R", "steer('retry')", "Retry"),
        Binding("N", "steer('restart')", show=False),
        Binding("S", "steer('signal')", "Signal"),
        *(Binding(str(n), f"part({n - 1})", show=False) for n in range(1, 10)),
    ]

    AUTO_FOCUS = None

    def __init__(self, monitor: Monitor, parts: Sequence[Part], first: str | None = None) -> None:
        super().__init__()
        self.monitor = monitor
        self._parts = parts
        self._seen = next((n for n, part in enumerate(parts) if part.name == first), 0)
        self._heading, self._strip, self._answer = (
            Static(id="heading"),
            Static(id="strip"),
            Static(id="answer"),
        )
        self._trouble: str | None = None
        self._said = ""
        self._busy = True
        """Keys mean nothing: it is being set up, or a question comes up, whose answer has letters."""
        self._renewal = Renewal(monitor, self._read, self._troubled)

    def compose(self) -> ComposeResult:
        yield self._heading
        yield self._strip
        with ContentSwitcher(initial=f"part-{self._seen}"):
            for number, part in enumerate(self._parts):
                part.view.id = f"part-{number}"
                yield part.view
        yield self._answer
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.set_focus(self.listing or self.view)  # at once: keys may follow
        self.run_worker(self._renewal.listen(), group="changes")
        self.run_worker(self._renewal.run(), group="renewal")
        self.call_after_refresh(self._free)

    def _free(self) -> None:
        self._busy = False
        self.refresh_bindings()

    def on_screen_resume(self) -> None:
        self._renewal.ask()

    # What is seen

    @property
    def view(self) -> Renewed:
        """The part that is seen."""
        return self._parts[self._seen].view

    @property
    def listing(self) -> Listing | None:
        """The list in that, if it has one."""
        found = getattr(self.view, "listing", None)
        return found if isinstance(found, Listing) else None

    async def _read(self) -> None:
        if not self.is_current and len(self.app.screen_stack) > 1:
            return
        view = self.view
        await view.renew()
        self._heading.update(await self.heading())
        self._draw_strip()

    async def heading(self) -> Styled:
        """What stands in the first line."""
        raise NotImplementedError

    def _draw_strip(self) -> None:
        strip = Text(" ")
        for number, part in enumerate(self._parts):
            at = number == self._seen
            strip.append(f" {number + 1} {part.name} ", "reverse" if at else "")
            strip.append(" ")
        if self.view.title:
            strip.append(f" {self.view.title}", "dim")
        self._strip.update(strip)

    def action_part(self, number: int) -> None:
        if number < len(self._parts):
            self.turn_to(number)
            self._focus()

    def turn_to(self, number: int) -> None:
        """Have that part seen."""
        self._seen = number
        self.query_one(ContentSwitcher).current = f"part-{number}"
        self._draw_strip()
        self._renewal.ask()

    def _focus(self) -> None:
        wanted: Widget = self.listing or self.view
        self.call_after_refresh(wanted.focus)

    def on_ask_renewal(self, event: AskRenewal) -> None:
        self._renewal.ask()

    def _troubled(self, sentence: str | None) -> None:
        if sentence != self._trouble:
            self._trouble = sentence
            self._draw_answer()

    def say(self, sentence: str) -> None:
        """Say what came of something."""
        self._said = sentence
        self._draw_answer()

    def _draw_answer(self) -> None:
        trouble = f" ! {self._trouble}; it is tried again" if self._trouble else ""
        self._answer.update(Text(trouble, "bold red") if trouble else Text(f" {self._said}"))

    # Control

    def pids(self) -> list[int]:
        """Which processes a control means."""
        raise NotImplementedError

    def signals(self) -> Sequence[str]:
        """Names of signals that they wait for."""
        return ()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not self._busy

    def action_steer(self, verb: str) -> None:
        pids = self.pids()
        if not pids:
            self.say("there is no process to steer here")
            return
        self._busy = True
        self._steer(verb, pids)

    @work
    async def _steer(self, verb: str, pids: Sequence[int]) -> None:
        of = str(pids[0]) if len(pids) == 1 else f"{len(pids)} processes"
        lines = [("reason", "")]
        if verb == RESTART:
            lines.append(("before which step (empty: where it stands)", ""))
        if verb == SIGNAL:
            lines = [("name", next(iter(self.signals()), "")), ("value (JSON, or a plain text)", "true")]
        question = Question(verb, of, lines, WARNINGS.get(verb, ""), OPTIONS.get(verb, ""))
        try:
            filled = await self.app.push_screen_wait(Ask(question))
        finally:
            self._free()
        if filled is None:
            return
        try:
            asked = partial(steer, self.monitor.workspace, verb, pids, filled.lines, option=filled.option)
            self.say(await aside(asked))
        except (EngineError, PersistenceError, ValueError) as error:
            self.say(f"refused: {error}")
        self._renewal.ask()
