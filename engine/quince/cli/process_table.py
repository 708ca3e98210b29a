"""Processes as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.table import Table

from quince.cli.formatting import exit_cell, state_text
from quince.cli.terminal import Styled, Text
from quince.moments import span
from quince.monitor.rows import Row
from quince.monitor.words import step_text

NARROW = 100
"""Columns of a terminal below which some columns of the table have no room."""


@dataclass(frozen=True)
class _Column:
    """One column: its heading, what stands in it, and how.

    Attributes:
        spare: Left out on a narrow terminal.
        rare: Left out, also where the output is piped, if it is empty.
        cut: May be shortened, with an ellipsis, on a terminal.
    """

    heading: str
    cell: Callable[[Row], str | Styled]
    right: bool = False
    style: str = ""
    spare: bool = False
    rare: bool = False
    cut: bool = False


def process_table(rows: Sequence[Row], *, width: int | None) -> Table:
    """The table of `ps`.

    Args:
        width: Of the terminal, for which empty columns are left out too; None if the output is
            piped: then every column is there, and no cell is empty or made narrower.
    """
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    shown = []
    for column in _COLUMNS:
        cells = [_one_line(column.cell(row)) for row in rows]
        if column.rare and not any(cells):
            continue
        if width is None:
            cells = [cell or Text("-") for cell in cells]
        elif (column.spare and width < NARROW) or not any(cells):
            continue
        shown.append(cells)
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            style=column.style,
            no_wrap=not column.cut,  # columns that may wrap are the ones that are made narrower ...
        )
    for line in zip(*shown, strict=True):
        table.add_row(*line)
    return table


def _took(row: Row) -> str:
    return span(row.took) if row.terminated and row.took is not None else ""


def _left(row: Row) -> str:
    return "" if row.row.deadline is None else span(row.row.deadline - row.seen)


_COLUMNS = (
    _Column("PID", lambda row: str(row.pid), right=True, style="bold"),
    _Column("PARENT", lambda row: str(row.parent or ""), right=True, style="dim", spare=True),
    _Column("CLASS", lambda row: row.name, cut=True),
    _Column("STATE", lambda row: state_text(row.row)),
    _Column("STEP", lambda row: step_text(row.row, row.limit), style="dim", cut=True),
    _Column("EXIT", lambda row: exit_cell(row.row), cut=True),
    _Column("WORKER", lambda row: row.worker or "", style="dim", spare=True),
    _Column("TOOK", _took, right=True, style="dim", spare=True),
    _Column("LEFT", _left, right=True, style="dim", rare=True),
    _Column("AGE", lambda row: span(row.age), right=True, style="dim"),
)


def _one_line(cell: str | Styled) -> Styled:
    """... but no cell ever takes a second line: it ends in an ellipsis instead."""
    text = cell if isinstance(cell, Styled) else Text(cell)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
