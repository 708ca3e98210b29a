"""Files that only ever grow, kept to a size: what is old goes to `NAME.1`, then `NAME.2`, and then away.

Several programs write to such a file at a time and keep it open. None of them needs to be told: the file is
copied and then emptied under their hands. Each of them has it open for appending, so that it goes on at the
new beginning; what is written in the instant between copying and emptying is lost.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from quince.errors import WorkspaceError
from quince.private_files import open_private
from quince.settings import SIZES

DROPPED = rb"=== ([\d,]+) bytes that stood here are dropped ===\n"
"""The line with which a file of what is older begins if not all of that was kept."""
_AT_ONCE = 1 << 22


def size_of(variable: str) -> int:
    """What holds of one of the `SIZES`.

    Raises:
        WorkspaceError: the environment says what is no number, or none that could be meant.
    """
    said = os.environ.get(variable) or str(SIZES[variable])
    if not said.isdecimal() or not 0 < int(said) < 1_000_000:
        raise WorkspaceError(f"{variable} is {said!r}; it may be a whole number, 1 or more")
    return int(said)


def check_sizes() -> None:
    """Raises WorkspaceError if one of the `SIZES` makes no sense."""
    for variable in SIZES:
        size_of(variable)


def older(file: Path, number: int = 1) -> Path:
    """Where what was older of this file lies, the youngest of it under number 1."""
    return file.with_name(f"{file.name}.{number}")


def rotate(file: Path, most: int, kept: int = 1) -> bool:
    """Empty a file that has more than so many bytes. What was in it is kept beside it; of one that has more
    than twice as many, the last ones.

    A disk that is full costs what would have been kept, and the file is emptied all the same.

    Args:
        kept: How many files of what was older there are, at most.

    Returns:
        Whether it was too large.
    """
    with suppress(FileNotFoundError), open_private(file, "r+b") as stream:
        source = stream.fileno()
        size = os.fstat(source).st_size
        if size <= most:
            return False
        fresh = file.with_name(f"{file.name}.new")
        try:
            _copy(source, 0 if size <= 2 * most else _line_after(source, size - most - 1), size + most, fresh)
            whole = True
        except OSError:
            whole = False
        os.ftruncate(source, 0)
        if not whole:
            fresh.unlink(missing_ok=True)
        else:
            _shift(file, fresh, kept)
        return True
    return False


def _copy(source: int, begin: int, end: int, fresh: Path) -> None:
    """Until it has caught up with those who write, or they seem to be faster."""
    with open_private(fresh, "wb") as target:
        if begin:
            target.write(f"=== {begin:,} bytes that stood here are dropped ===\n".encode())
            target.flush()
        while begin < end and (count := os.sendfile(target.fileno(), source, begin, _AT_ONCE)):
            begin += count


def _line_after(source: int, offset: int) -> int:
    """Where the next line begins, if that is not far."""
    return offset + os.pread(source, _AT_ONCE >> 4, offset).find(b"\n") + 1


def _shift(file: Path, fresh: Path, kept: int) -> None:
    older(file, kept).unlink(missing_ok=True)  # so that nothing stands in the way
    for number in range(kept - 1, 0, -1):
        with suppress(FileNotFoundError):
            older(file, number).rename(older(file, number + 1))
    fresh.rename(older(file))  # to replace a file would have it written to the disk at once


def moved(stream: BinaryIO, offset: int) -> int:
    """Where, in the file of before, stands what stood at `offset` when it was written."""
    note = stream.readline(200)
    found = re.fullmatch(DROPPED, note)
    if found is None:
        return offset
    dropped = int(found[1].replace(b",", b""))
    return 0 if offset < dropped else len(note) + offset - dropped
