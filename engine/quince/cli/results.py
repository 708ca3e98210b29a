"""How processes ended: their outputs or their error, for people and as JSON."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Mapping
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.highlighter import ReprHighlighter
from rich.measure import Measurement
from rich.table import Table

from quince.cli.documents import plain, row_document
from quince.cli.errors import DONE, FAILED
from quince.cli.output import complain, say
from quince.cli.terminal import Styled, Text, block, show, show_json
from quince.client.outputs import outputs_of
from quince.errors import ProcessHeld, ResultUnavailable
from quince.monitor.details import error_record_of, readable
from quince.monitor.values import LONGEST_TEXT, written
from quince.on_hold import is_held
from quince.own_code import OWN_FOLDERS
from quince.workspace.workspace import Workspace
from quince_persistence.records import Result, State

_FRAME = re.compile(r'^[ |]*  File "(.+)", line (\d+), in (.+)\n(?:[ |]*    (.+)\n)?', re.MULTILINE)
_INSTALLED = (
    sysconfig.get_path("stdlib"),
    *OWN_FOLDERS,
)


def result_of(home: Workspace, pid: int) -> Result:
    """The result row of a process.

    Raises:
        ProcessNotFound: there is none.
    """
    for result in home.store.results([pid]):
        return result
    raise home.not_found(pid)


def result_document(result: Result, started: Mapping[int, float] | None = None) -> dict[str, Any]:
    """The row of a process with its outputs and its error; `started` as in `row_document`."""
    story = None if result.error is None else error_record_of(result.error)
    return {
        **row_document(result.row, started),
        "outputs": plain(readable(result.outputs)),
        "error": None
        if story is None
        else {"type": story.type_name, "message": story.text, "traceback": story.traceback},
    }


def succeeded(result: Result) -> bool:
    """It finished with exit status 0."""
    return result.row.state is State.FINISHED and not result.row.exit_status


def show_end(home: Workspace, pid: int, *, as_json: bool) -> int:
    """Print how a process ended; returns the exit status of the command."""
    result = result_of(home, pid)
    if as_json:
        show_json(result_document(result))
        return DONE if succeeded(result) else FAILED
    return show_result(result)


def show_result(result: Result) -> int:
    """Print the outputs of a process that has ended, or why it has none."""
    row = result.row
    if is_held(row):
        complain(str(ProcessHeld(row.pid, row.status)))
        if result.error is not None:
            _say_where(result.error)
        return FAILED
    if not row.terminated:
        complain(f"process {row.pid} has not ended: it is {'paused' if row.paused else row.state.value}")
        return FAILED
    try:
        show_values(outputs_of(result))
    except ResultUnavailable as error:
        show_values(readable(result.outputs))
        complain(str(error))
        if result.error is not None:
            _say_where(result.error)
            say(f"`quince show {row.pid}` tells more")
        return FAILED
    return DONE


def _say_where(error: bytes) -> None:
    for line in failing_line(error_record_of(error).traceback).splitlines():
        say(line)


def show_values(values: Mapping[str, Any]) -> None:
    """Print inputs or outputs, a name and a value on each line."""
    if values:
        show(values_table(values))


def values_table(values: Mapping[str, Any]) -> Table:
    """Names and values, side by side."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(Text(str(name)), _value(value))
    return table


def _value(value: Any) -> RenderableType:
    if isinstance(value, str) and len(value) <= LONGEST_TEXT:
        return block(value)
    return _Repr(value)


class _Repr:
    """A value as Python writes it, in as many lines as it needs. Its `__repr__` may say anything."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield ReprHighlighter()(self._said(options))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._said(options))

    def _said(self, options: ConsoleOptions) -> Styled:
        return block(written(self._value, options.max_width))


def failing_line(traceback: str) -> str:
    """The last line of users' own code in a traceback, as a line: `  flow.py, line 12, in collect: 1 / 0`.

    Code that is installed counts only if there is no other.
    """
    frames = [found.groups() for found in _FRAME.finditer(traceback)]
    own = [one for one in frames if not one[0].startswith(_INSTALLED) and "/site-packages/" not in one[0]]
    for file, line, function, code in reversed(own or frames):
        return f"  {file}, line {line}, in {function}" + (f": {code}\n" if code else "\n")
    return ""
