"""Processes as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from quince.cli.formatting import exit_cell, state_text, took
from quince.cli.terminal import Styled, Text
from quince.moments import span
from quince.monitor.words import class_name, step_text
from quince_persistence.limit_records import LimitWait
from quince_persistence.records import ProcessRow

NARROW = 100
"""Columns of a terminal below which some columns of the table have no room."""


_NOBODY: Mapping[int, float] = {}
_NOTHING: Mapping[int, LimitWait] = {}


@dataclass(frozen=True)
class _Column:
    """One column: its heading, what stands in it, and how.

    Attributes:
        spare: Left out on a narrow terminal.
        rare: Left out, also where the output is piped, if it is empty.
        cut: May be shortened, with an ellipsis, on a terminal.
    """

    heading: str
    cell: Callable[[ProcessRow], str | Styled]
    right: bool = False
    style: str = ""
    spare: bool = False
    rare: bool = False
    cut: bool = False


def process_table(
    rows: Sequence[ProcessRow],
    names: Mapping[str, str],
    now: float,
    *,
    width: int | None,
    started: Mapping[int, float] = _NOBODY,
    waits: Mapping[int, LimitWait] = _NOTHING,
) -> Table:
    """The table of `ps`.

    Args:
        names: Of workers, by their ids.
        waits: For which limits processes wait, by their pids.
        started: When processes were first taken up, by their pids.
        width: Of the terminal, for which empty columns are left out too; None if the output is
            piped: then every column is there, and no cell is empty or made narrower.
    """
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    shown = []
    for column in _columns(names, started, waits, now):
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


def worker_name(owner: str | None, names: Mapping[str, str]) -> str:
    """A worker as people know it: its name, else its id."""
    return "" if owner is None else names.get(owner, owner)


def _columns(
    names: Mapping[str, str], started: Mapping[int, float], waits: Mapping[int, LimitWait], now: float
) -> Sequence[_Column]:
    return (
        _Column("PID", lambda row: str(row.pid), right=True, style="bold"),
        _Column("PARENT", lambda row: str(row.parent or ""), right=True, style="dim", spare=True),
        _Column("CLASS", class_name, cut=True),
        _Column("STATE", state_text),
        _Column("STEP", lambda row: step_text(row, waits.get(row.pid)), style="dim", cut=True),
        _Column("EXIT", exit_cell, cut=True),
        _Column("WORKER", lambda row: worker_name(row.owner, names), style="dim", spare=True),
        _Column(
            "TOOK",
            lambda row: took(row, started.get(row.pid), now) if row.terminated else "",
            right=True,
            style="dim",
            spare=True,
        ),
        _Column(
            "LEFT",
            lambda row: "" if row.deadline is None else span(row.deadline - now),
            right=True,
            style="dim",
            rare=True,
        ),
        _Column("AGE", lambda row: span(now - row.created), right=True, style="dim"),
    )


def _one_line(cell: str | Styled) -> Styled:
    """... but no cell ever takes a second line: it ends in an ellipsis instead."""
    text = cell if isinstance(cell, Styled) else Text(cell)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
