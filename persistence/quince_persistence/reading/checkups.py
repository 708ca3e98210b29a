"""The reads of a check-up, as `quince doctor` makes them: of the whole store, and of its clock and file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import bindparam, exists, func, select, text

from quince_persistence.clock import now, skipped
from quince_persistence.reading.limits import LimitReads
from quince_persistence.reading.looks import LookReads
from quince_persistence.reading.notices import NoticeReads
from quince_persistence.reading.reads import PAGE, Reads, frozen
from quince_persistence.reading.row_reader import RowReader
from quince_persistence.reading.selecting import BLOBS, ENDED, IDLE
from quince_persistence.records import Claim, ProcessRow, Woken
from quince_persistence.schema.mutable_row import MutableRow, live_rows
from quince_persistence.schema.tables import checkpoints, content_uses, contents, inputs, processes

p = processes
_WIDTH = len(p.c)
_FEW = 20
"""So many damaged ones are told."""

AT_ONCE = 8_000_000
"""Bytes of inputs and checkpoints that are read together, of more processes than one."""

_size = func.coalesce(func.length(inputs.c.blob), 0) + func.coalesce(func.length(checkpoints.c.blob), 0)
_live_pages = (
    live_rows()
    .add_columns(_size)
    .select_from(
        p.outerjoin(inputs, inputs.c.pid == p.c.pid).outerjoin(checkpoints, checkpoints.c.pid == p.c.pid)
    )
    .where(p.c.pid > bindparam("after"), p.c.state.not_in(ENDED))
    .order_by(p.c.pid)
    .limit(PAGE)
)
_live_rows = (
    live_rows().where(p.c.pid > bindparam("after"), p.c.state.not_in(ENDED)).order_by(p.c.pid).limit(PAGE)
)
_clock = select(func.extract("epoch", func.clock_timestamp()))
_lost = (
    select(content_uses.c.pid)
    .where(~exists().where(contents.c.digest == content_uses.c.digest))
    .distinct()
    .order_by(content_uses.c.pid)
    .limit(_FEW)
)
_quick_check = text("PRAGMA quick_check")


class Checkups(Reads, LimitReads, LookReads, NoticeReads):
    """The reads that `StoreContract` names for a check of the whole store."""

    def live(self) -> Iterator[Claim]:
        return self._live(self._reader())

    def _live(self, reader: RowReader) -> Iterator[Claim]:
        """Not many are in memory at a time, and large ones one by one."""
        last = -1
        while page := reader.rows(_live_pages, after=last):
            some: list[ProcessRow] = []
            size = 0
            for row in page:
                if some and size + row[_WIDTH] > AT_ONCE:
                    yield from self._claims(some)
                    some, size = [], 0
                some.append(frozen(row))
                size += row[_WIDTH]
            yield from self._claims(some)
            last = page[-1][0]

    def _claims(self, rows: Sequence[ProcessRow]) -> Iterator[Claim]:
        found = self._reader().rows(BLOBS, large=True, pids=[row.pid for row in rows])
        blobs = {(pid, number): blob for pid, number, blob in found}
        for row in rows:
            given, checkpoint = blobs.pop((row.pid, 0), b""), blobs.pop((row.pid, 1), None)
            parts = self._parts()
            parts.read_for((given, checkpoint))
            yield Claim(row, parts.whole(given), None if checkpoint is None else parts.whole(checkpoint))

    def idle(self, seconds: float) -> list[Woken]:
        return [Woken(*row) for row in self._reader().rows(IDLE, before=self.clock() - seconds)]

    def clock(self) -> float:
        if self._reader().on_sqlite:
            return now()
        return float(self._reader().rows(_clock)[0][0]) + skipped()

    def damage(self) -> list[str]:
        reader = self._reader()
        lost = [str(row[0]) for row in reader.rows(_lost)]
        found = [f"parts of large values of processes {', '.join(lost)} are missing"] if lost else []
        found += [*self._unreadable(reader), *self._damaged_limits(reader)]
        checked = [str(row[0]) for row in reader.rows(_quick_check)] if reader.on_sqlite else []
        return found + [line for line in checked if line != "ok"]

    def _unreadable(self, reader: RowReader) -> list[str]:
        """Rows of live processes that cannot be read; the first few."""
        found: list[str] = []
        last = -1
        while len(found) < _FEW and (page := reader.rows(_live_rows, after=last)):
            for row in page:
                if (damage := MutableRow(*row).damage) is not None:
                    found.append(f"the row of process {row[0]} cannot be read, so it does not run: {damage}")
            last = page[-1][0]
        return found[:_FEW]
