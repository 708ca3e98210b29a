"""The question before a control: why, and of a signal what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from quince.cli.terminal import Text


@dataclass(frozen=True)
class Question:
    """What is to be done, with the lines to be filled in.

    Attributes:
        verb: What is asked for: pause, play, kill, retry, restart or signal.
        of: What it is done to, in words.
        lines: The name of each line, with what stands in it at first.
        warning: What else it does.
        option: How else it can be done, if that is wished.
    """

    verb: str
    of: str
    lines: Sequence[tuple[str, str]]
    warning: str = ""
    option: str = ""


@dataclass(frozen=True)
class Filled:
    """An answer.

    Attributes:
        lines: As they were filled in.
        option: It is to be done so.
    """

    lines: Sequence[str]
    option: bool = False


class Ask(ModalScreen[Filled | None]):
    """Ends with the answer; None: it is not to be done."""

    DEFAULT_CSS = """
    Ask { align: center middle; }
    Ask > Vertical { width: 76; max-width: 100%; height: auto; border: solid; padding: 0 1; }
    Ask Input { border: none; height: 1; padding: 0; text-style: underline; }
    Ask Label { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave it"),
        Binding("ctrl+t", "choose", priority=True),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question, self._chosen = question, False
        self._option = Label(self._said())

    def compose(self) -> ComposeResult:
        asked = self._question
        with Vertical():
            yield Label(Text(f"{asked.verb.capitalize()} {asked.of}", "bold"))
            if asked.warning:
                yield Label(Text(asked.warning))
            for name, value in asked.lines:
                yield Label(Text(f"{name}:"))
                yield Input(value, compact=True, select_on_focus=False)
            if asked.option:
                yield self._option
            yield Label(Text("enter does it, escape leaves it", "dim"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        boxes = list(self.query(Input))
        place = boxes.index(event.input)
        if place + 1 < len(boxes):
            boxes[place + 1].focus()
        else:
            self.dismiss(Filled([box.value for box in boxes], self._chosen))

    def _said(self) -> Text:
        return Text(f"[{'x' if self._chosen else ' '}] {self._question.option} (ctrl+t)")

    def action_choose(self) -> None:
        self._chosen = bool(self._question.option) and not self._chosen
        self._option.update(self._said())

    def action_leave(self) -> None:
        self.dismiss(None)
