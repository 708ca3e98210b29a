"""A list that fills its part of the screen: columns, one line for each item, and the line that one is at."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.message import Message
from textual.widget import Widget

from quince.cli.terminal import Styled, Text

GAP = 2
"""Blanks between columns."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        cell: What stands in it; what comes from users is on one line, and acts on no terminal.
        width: In characters, at most; None: what the others leave.
        needs: Columns that the screen must have for this one to be shown.
    """

    heading: str
    cell: Callable[[Any], str | Styled]
    width: int | None = None
    right: bool = False
    needs: int = 0
    style: str = ""


class Listing(Widget, can_focus=True):
    """Items in lines. Whatever is read anew, one stays at the item that one was at.

    Args:
        columns: From left to right.
        key: By which an item is known when it is read anew.
        empty: What is said if there are none.
    """

    DEFAULT_CSS = "Listing { height: 1fr; width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "turn(-1)", show=False),
        Binding("pagedown", "turn(1)", show=False),
        Binding("home", "begin", show=False),
        Binding("end", "finish", show=False),
        Binding("enter", "choose", show=False),
    ]

    class Beyond(Message):
        """One has moved past the first (-1) or the last item (1)."""

        def __init__(self, way: int) -> None:
            super().__init__()
            self.way = way

    class Begin(Message):
        """One wants to the very first item."""

    class Chosen(Message):
        """Enter was pressed at an item, or it was clicked once more."""

        def __init__(self, item: Any) -> None:
            super().__init__()
            self.item = item

    class Resized(Message):
        """So many items have room now."""

        def __init__(self, room: int) -> None:
            super().__init__()
            self.room = room

    def __init__(
        self, columns: Sequence[Column], key: Callable[[Any], Hashable], empty: str, **options: Any
    ) -> None:
        super().__init__(**options)
        self._columns, self._key, self._empty = columns, key, empty
        self.items: Sequence[Any] = ()
        self._read = False
        self.marked: set[Hashable] = set()
        self.at = 0
        self._top = 0
        self._widest: dict[str, int] = {}

    @property
    def room(self) -> int:
        """Lines for items."""
        return max(1, self.size.height - 1)

    @property
    def item(self) -> Any:
        """That which one is at; None if there is none."""
        return self.items[self.at] if self.items else None

    def show(self, items: Sequence[Any], *, at: int | None = None) -> None:
        """Show these.

        Args:
            at: Be at the item of this number (-1: the last one).
        """
        known = None if self.item is None else self._key(self.item)
        self.items, self._read = items, True
        if at is not None:
            self.at = at % len(items) if items else 0
        else:
            places = (place for place, item in enumerate(items) if self._key(item) == known)
            self.at = next(places, min(self.at, max(0, len(items) - 1)))
        self._see()

    def _see(self) -> None:
        """Have the line that one is at on the screen."""
        self._top = max(0, min(self._top, self.at, len(self.items) - self.room))
        self._top = max(self._top, self.at - self.room + 1)
        self.refresh()

    def action_move(self, lines: int) -> None:
        wanted = self.at + lines
        if not 0 <= wanted < len(self.items):
            self.post_message(self.Beyond(1 if lines > 0 else -1))
            return
        self.at = wanted
        self._see()

    def action_turn(self, way: int) -> None:
        last = max(0, len(self.items) - 1)
        if self.at == (last if way > 0 else 0):
            self.post_message(self.Beyond(way))
            return
        self.at = min(last, max(0, self.at + way * self.room))
        self._see()

    def action_begin(self) -> None:
        self.at = 0
        self._see()
        self.post_message(self.Begin())

    def action_finish(self) -> None:
        self.at = max(0, len(self.items) - 1)
        self._see()

    def action_choose(self) -> None:
        if self.item is not None:
            self.post_message(self.Chosen(self.item))

    def mark(self) -> None:
        """Mark the item that one is at, or take its mark away, and go to the next one."""
        if self.item is not None:
            self.marked ^= {self._key(self.item)}
            self.at = min(self.at + 1, len(self.items) - 1)
            self._see()

    def on_click(self, event: Click) -> None:
        place = self._top + event.y - 1
        if event.y == 0 or place >= len(self.items):
            return
        again, self.at = place == self.at, place
        self._see()
        if again:
            self.action_choose()

    def on_resize(self, event: Resize) -> None:
        self._see()
        self.post_message(self.Resized(self.room))

    def render(self) -> Styled:
        width = self.size.width
        columns = [column for column in self._columns if width >= column.needs]
        shown = self.items[self._top : self._top + self.room]
        heads = [Text(column.heading, "bold dim") for column in columns]
        cells = [[_cell(column, item) for column in columns] for item in shown]
        widths = self._widths(columns, [heads, *cells], width)
        lines = [_line(columns, heads, widths, width)]
        if not self.items:
            lines.append(Text(self._empty if self._read else "reading ...", "dim"))
        for place, (item, texts) in enumerate(zip(shown, cells, strict=True), self._top):
            line = _line(columns, texts, widths, width)
            if self._key(item) in self.marked:
                line = Text.assemble(("*", "bold"), line[1:])
            if place == self.at and self.has_focus:
                line.stylize(Style(reverse=True))
            lines.append(line)
        return Styled("\n", no_wrap=True, end="").join(lines)

    def _widths(self, columns: Sequence[Column], lines: Sequence[Sequence[Styled]], width: int) -> list[int]:
        """A column is as wide as its cells were up to now; those that may be of any width share the rest."""
        for number, column in enumerate(columns):
            if column.width is not None:
                widest = max(line[number].cell_len for line in lines)
                self._widest[column.heading] = min(
                    column.width, max(widest, self._widest.get(column.heading, 0))
                )
        taken = sum(self._widest[one.heading] for one in columns if one.width is not None)
        left = max(0, width - taken - GAP * (len(columns) - 1) - 1)
        share, rest = divmod(left, max(1, sum(one.width is None for one in columns)))
        found = []
        for column in columns:
            found.append(self._widest[column.heading] if column.width is not None else share + rest)
            rest = rest if column.width is not None else 0
        return found


def _cell(column: Column, item: Any) -> Styled:
    content = column.cell(item)
    return content.copy() if isinstance(content, Styled) else Text(content, column.style)


def _line(columns: Sequence[Column], cells: Sequence[Styled], widths: Sequence[int], width: int) -> Styled:
    """Cells in a line as wide as the screen; behind its first blank, which is for a mark."""
    line = Styled(" ", no_wrap=True, end="")
    for number, (column, cell, room) in enumerate(zip(columns, cells, widths, strict=True)):
        text = cell.copy()
        text.truncate(room, overflow="ellipsis")
        blanks = " " * max(0, room - text.cell_len)
        line.append(" " * GAP if number else "")
        line.append_text(Styled.assemble(blanks, text) if column.right else Styled.assemble(text, blanks))
    line.truncate(width)
    line.append(" " * max(0, width - line.cell_len))
    return line
