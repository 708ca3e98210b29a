"""What the steps of a process have printed, piece by piece."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from quince.errors import InvalidFilter
from quince.hosts.output_files import OutputFiles
from quince.messages import worker_of_run
from quince.monitor.spent import host_of
from quince.rotation import moved, older
from quince.settings import host_name
from quince.workspace.workspace import Workspace
from quince_persistence.records import EventRow, ProcessRow

PIECE = 65_536
"""Bytes of one piece at most."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A piece of what the steps of a process have printed.

    Attributes:
        text: It; lines `=== process 12, step relax, ... ===` stand before what each step prints.
        after: Where the next piece begins (`after=` of `Monitor.printed`).
        more: There is more already.
        cut: Something before it was left out, or is not there any more.
        over: The process has ended: nothing follows what is there.
        elsewhere: Other hosts on which it ran; what it printed there is kept there.
        why: If nothing is there: why that may be; else None.
    """

    text: str
    after: str
    more: bool
    cut: bool
    over: bool
    elsewhere: Sequence[str]
    why: str | None = None


def printed(
    home: Workspace, row: ProcessRow, events: Sequence[EventRow], after: str | None, most: int = PIECE
) -> Printed:
    """The piece behind `after`; without it the last one that is there."""
    files = OutputFiles(home.location.folder)
    elsewhere = elsewhere_of(events)
    if files.is_older(row.pid, row.created):
        data, place, more, cut = b"", after or "", False, False
    else:
        data, place, more, cut = _piece(files.of(row.pid), after, most)
    why = None
    if not data and after is None:
        why = "it has printed nothing, or too long ago"
        if worker_of_run(row.queue) is not None:
            why = "it runs in `run()`, and prints where that program does"
    text = data.decode(errors="backslashreplace")
    return Printed(text, place, more, cut, row.terminated, elsewhere, why)


def elsewhere_of(events: Sequence[EventRow]) -> list[str]:
    """Other hosts whose workers have run it."""
    hosts = {host_of(event.author) for event in events if event.kind in ("state", "claim")}
    return sorted(host for host in hosts if host is not None and host != host_name())


@dataclass(frozen=True, slots=True)
class _Part:
    """One of the two files: what is older, and what is written to.

    Attributes:
        size: Up to there it is read.
    """

    stream: BinaryIO
    is_older: bool
    size: int


def _piece(file: Path, after: str | None, most: int) -> tuple[bytes, str, bool, bool]:
    """Bytes, the place behind them, whether there are more, and whether some were left out."""
    with ExitStack() as stack:
        parts, number = _open(file, stack)
        if not parts:
            return b"", after or "", False, False
        index, offset, cut = _begin(parts, number, after, most)
        data = b""
        while True:
            part = parts[index]
            part.stream.seek(offset)
            data += part.stream.read(max(0, min(most - len(data), part.size - offset)))
            offset = part.stream.tell()
            if len(data) >= most or index == len(parts) - 1:
                break
            index, offset = index + 1, 0
        whole = _whole(data)
        if cut and not after:  # not from the middle of a line
            data = whole = whole[whole.find(b"\n") + 1 :]
        offset -= len(data) - len(whole)
        more = len(data) >= most and (index < len(parts) - 1 or offset < part.size)
        return whole, f"{'o' if part.is_older else 'c'}{number}:{offset}", more, cut


def _open(file: Path, stack: ExitStack) -> tuple[list[_Part], int]:
    """The file of before, if there is one, and that of now; and the number of the first; 0: there is none."""
    parts, number = [], 0
    for one in (older(file), file):
        with suppress(FileNotFoundError):
            stream = stack.enter_context(one.open("rb"))
            status = os.fstat(stream.fileno())
            number = status.st_ino if one != file else number
            parts.append(_Part(stream, one != file, status.st_size))
    return parts, number


_PLACE = re.compile(r"([oc])(\d{1,20}):(\d{1,18})")


def _begin(parts: Sequence[_Part], number: int, after: str | None, most: int) -> tuple[int, int, bool]:
    """In which file to begin, at which byte, and whether something before it is left out."""
    last = len(parts) - 1
    if not after:
        left = most
        for index in range(last, -1, -1):
            if (size := parts[index].size) >= left:
                return index, size - left, index > 0 or size > left
            left -= size
        return 0, 0, False
    if (place := _PLACE.fullmatch(after)) is None:
        raise InvalidFilter(f"there is no place {after!r} in what a process has printed")
    offset, same = int(place[3]), int(place[2]) == number
    if place[1] == "c" and same:
        return (last, offset, False) if offset <= parts[last].size else (last, 0, True)
    if place[1] == "o" and same:
        return 0, min(offset, parts[0].size), False
    if place[1] == "c" and number:  # it was begun anew: what stood there stands in that of before
        return 0, min(moved(parts[0].stream, offset), parts[0].size), False
    return 0, 0, True


def _whole(data: bytes) -> bytes:
    """Without the beginning of a character whose rest is not there."""
    for cut in range(1, min(4, len(data) + 1)):
        byte = data[-cut]
        if byte & 0xC0 != 0x80:
            wanted = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return data[:-cut] if wanted > cut else data
    return data
