"""What processes have printed, as `quince logs --output` shows it."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from contextlib import suppress

from quince.cli.errors import DONE
from quince.cli.output import put, say
from quince.cli.tail import Tail
from quince.cli.terminal import show_documents
from quince.hosts.output_files import OutputFiles
from quince.messages import worker_of_run
from quince.monitor.printing import elsewhere_of
from quince.monitor.words import class_name
from quince.text import visible, without_passwords
from quince.workspace.workspace import Workspace
from quince_persistence.errors import StoreUnavailable
from quince_persistence.records import ProcessRow

_PAUSE = 0.25
PROGRESS_SECONDS = 5.0
"""Seconds between two looks at a line that does not end, as that of a progress bar."""
_STYLES = re.compile(r"\x1b\[[0-9;:]*[mK]")
_TAB = 8


def show_printed(home: Workspace, rows: Sequence[ProcessRow], *, lines: int | None) -> int:
    """Print what the steps of processes have printed, each under its name if there are several.

    Args:
        lines: Only so many last ones of each.
    """
    for index, row in enumerate(rows):
        if len(rows) > 1:
            if index:
                put()
            put(f"{row.pid} {class_name(row)}")
        tail, said = _printed(home, row, lines)
        for line in (*said, tail.begun) if tail.begun else said:
            put(cleaned(line))
        _say_where_else(home, row, found=bool(said or tail.begun))
    return DONE


def printed_documents(home: Workspace, rows: Sequence[ProcessRow], *, single: bool, lines: int | None) -> int:
    """The same as JSON, unchanged: `output` is the text."""
    documents = []
    for row in rows:
        tail, said = _printed(home, row, lines)
        text = "".join(f"{line}\n" for line in said) + tail.begun
        documents.append({"pid": row.pid, "output": text, "elsewhere": _elsewhere(home, row.pid)})
    show_documents(documents, single=single)
    return DONE


def follow_printed(home: Workspace, row: ProcessRow, *, lines: int | None) -> int:
    """Print what a process has printed and what it prints, until its end."""
    tail, new = _printed(home, row, lines)
    over, found = False, False
    shown, told = "", time.monotonic()
    while True:
        for line in new:
            put(cleaned(line))
        found = found or bool(new or tail.begun)
        if over or time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            if tail.begun not in ("", shown):
                put(cleaned(shown := tail.begun))
        if over:
            break
        over = row.terminated  # then all of it is there by now
        if not over:
            with suppress(StoreUnavailable):  # it is waited for
                (row,) = home.watcher.wait([row.pid], lambda row: row.terminated, _PAUSE)
        new = tail.fresh()
    _say_where_else(home, row, found=found)
    return DONE


def _printed(home: Workspace, row: ProcessRow, lines: int | None) -> tuple[Tail, list[str]]:
    """What a process has printed up to now, and where it goes on."""
    files = OutputFiles(home.location.folder)
    tail = Tail(files.of(row.pid))
    if files.is_older(row.pid, row.created):
        tail.skip()
        return tail, []
    said = list(itertools.islice(tail.backwards(), lines if lines != 0 else 1))
    return tail, said[::-1] if lines != 0 else []


def _say_where_else(home: Workspace, row: ProcessRow, *, found: bool) -> None:
    if elsewhere := _elsewhere(home, row.pid):
        also = "also ran" if found else "ran"
        there = ", ".join(elsewhere)
        say(f"process {row.pid} {also} on {there}: what it printed there is kept there")
    elif not found:
        yet = "" if row.terminated else " yet"
        why = "it has printed nothing, or too long ago"
        if worker_of_run(row.queue) is not None:
            why = "it runs in `run()`, and prints where that program does"
        say(f"nothing is kept of what process {row.pid} printed{yet}: {why}")


def _elsewhere(home: Workspace, pid: int) -> Sequence[str]:
    """Other hosts whose workers have run it."""
    return elsewhere_of(home.store.events(pid))


def cleaned(line: str) -> str:
    """A line as it is seen in the end: without what was written over (by progress bars), and colours."""
    shown = _STYLES.sub("", line.rstrip("\r").rpartition("\r")[2]).expandtabs(_TAB)
    return without_passwords(visible(shown)).rstrip()
