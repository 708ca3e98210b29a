"""Waiting for processes with a display: how far their children are, and the step they are in."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TimeElapsedColumn

from quince.cli.formatting import style_of
from quince.cli.output import say
from quince.cli.terminal import Styled, Text, err
from quince.client.waits import settled
from quince.client.why import why
from quince.errors import ProcessHeld, WaitTimeout
from quince.monitor.words import class_name, doing
from quince.on_hold import is_held
from quince.workspace.workspace import Workspace
from quince_persistence.records import ProcessRow, Selection

BARS = 20
"""How many processes get a line of their own; with more there is one line for all."""

_PAUSE = 0.3
"""Seconds between two readings of the children, at least; they never take more than a tenth of
the time, however many they are."""


def watch(home: Workspace, pids: Sequence[int], timeout: float | None) -> list[ProcessRow]:
    """Wait until all have ended, with a progress display if somebody looks.

    Raises:
        ProcessNotFound: one of them does not exist.
        ProcessHeld: the engine has paused one, since it cannot go on with it.
        WaitTimeout: one has not ended in time; it goes on.
    """
    rows = _watched(home, pids, timeout)
    if missing := set(pids) - {row.pid for row in rows}:
        raise home.not_found(*missing)
    for row in rows:
        if is_held(row):
            raise ProcessHeld(row.pid, row.status)
    late = [row.pid for row in rows if not row.terminated]
    if late:
        first = f"{late[0]}: " if late[1:] else ""
        raise WaitTimeout(
            f"not ended after {timeout:g} s: {_listed(late)}{'; ' if first else ': '}{first}"
            f"{why(home, late[0]).sentence}"
        )
    return rows


@contextmanager
def going_on(pids: Sequence[int]) -> Iterator[None]:
    """Ctrl-C ends what is done here alone, and a sentence says so: the processes go on."""
    try:
        yield
    except KeyboardInterrupt:
        one = len(pids) == 1
        say(f"interrupted; {'process' if one else 'processes'} {_listed(pids)} {'goes' if one else 'go'} on")
        raise


def _watched(home: Workspace, pids: Sequence[int], timeout: float | None) -> list[ProcessRow]:
    if sys.stderr.isatty():
        with Display(home, pids) as display:
            return home.watcher.wait(pids, settled, timeout, progress=display.update)
    return home.watcher.wait(pids, settled, timeout, progress=Notes().update)


def _listed(pids: Sequence[int]) -> str:
    return ", ".join(str(pid) for pid in pids[:10]) + (" ..." if len(pids) > 10 else "")


class Notes:
    """What a wait says where there is no display: that a process it waits for has been paused."""

    def __init__(self) -> None:
        self._paused: set[int] = set()

    def update(self, rows: Sequence[ProcessRow]) -> None:
        """Say which are paused now, once."""
        paused = {row.pid: row for row in rows if row.paused and not is_held(row)}
        for pid in sorted(paused.keys() - self._paused)[:BARS]:
            reason = f": {paused[pid].status}" if paused[pid].status else ""
            say(f"process {pid} is paused{reason}; `quince play {pid}` lets it go on")
        self._paused = set(paused)


class Display:
    """A line for each process: state, children done of all, step, time. On stderr."""

    def __init__(self, home: Workspace, pids: Sequence[int]) -> None:
        self._home = home
        self._pids = list(pids)
        self._each = len(self._pids) <= BARS
        self._next_read = 0.0
        self._bars: dict[int, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(),
            _Words("title"),
            BarColumn(bar_width=24),
            _Words("children"),
            _Words("doing"),
            TimeElapsedColumn(),
            console=err(),
            transient=True,
        )

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, rows: Sequence[ProcessRow]) -> None:
        """Show how they stand now."""
        if not self._each:
            done = sum(row.terminated for row in rows)
            self._show(0, Text(f"{len(rows)} processes"), done, len(rows), f"{done}/{len(rows)} ended", "")
            return
        began = time.monotonic()
        due = began >= self._next_read
        for row in rows:
            self._update_one(row, read=due or row.terminated)
        if due:
            now = time.monotonic()
            self._next_read = now + max(_PAUSE, 9 * (now - began))

    def _update_one(self, row: ProcessRow, *, read: bool) -> None:
        if not read and row.pid in self._bars:
            return
        children = self._home.store.select(Selection(parent=row.pid))
        done = sum(child.terminated for child in children)
        shown = style_of(row)
        title = Text.assemble((shown.glyph, shown.style), " ", (str(row.pid), "bold"), f" {class_name(row)}")
        count = f"{done}/{len(children)} children" if children else ""
        total = len(children) or (1 if row.terminated else None)
        self._show(row.pid, title, done if children else int(row.terminated), total, count, doing(row))

    def _show(self, pid: int, title: Styled, done: int, total: int | None, children: str, step: str) -> None:
        if pid not in self._bars:
            self._bars[pid] = self._progress.add_task("", total=total)
        self._progress.update(
            self._bars[pid], completed=done, total=total,
            title=title, children=Text(children), doing=Text(step, "dim"),
        )  # fmt: skip


class _Words(ProgressColumn):
    """What one field of a task says."""

    def __init__(self, field: str) -> None:
        super().__init__()
        self._field = field

    def render(self, task: Task) -> Styled:
        words: Styled = task.fields.get(self._field, Text())
        return words
