"""Which keys there are."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from quince.cli.terminal import Styled

KEYS = """\
 1 ... 5     processes, workers, queues, limits, schedules
 up, down    line by line; page up, page down, home, end
 enter       all about the process; its tree, history and output: t, h, l
 left, right fold and unfold a part of a tree
 escape, q   back, or the end

 /           filter as you type, with the words of `quince ps`:
             state=waiting class=Relax label=study=argon since=2h failed=1
             other words are looked for in classes, keys, steps, errors
             enter or down: to the list; escape: no filter
 o           what lives first, or all by age
 space       mark for the keys below, which else mean the line one is at

 p           pause      P  play      K  kill      R  retry      S  signal
             each asks why (a signal: which); it is kept with your name;
             ctrl+t there: pause in the midst of a step, kill by force
 N           restart: a new process begins where this one stands, or
             before a step of which the checkpoint is kept
"""


class HelpScreen(ModalScreen[None]):
    """Ends with any of the keys that lead back."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll { width: 78; max-width: 100%; height: auto; max-height: 100%; border: solid; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "Back")]

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Styled(KEYS))
