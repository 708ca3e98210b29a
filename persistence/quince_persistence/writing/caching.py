"""The cache: a process that was asked for the same as one that ended well has that one's outputs at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import and_, bindparam, or_, select

from quince_persistence.codec.folding import is_folded
from quince_persistence.databases.pipeline import fetch_bytes
from quince_persistence.records import NewProcess, State
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.mutable_row import MutableRow, decode_options
from quince_persistence.schema.tables import cache, events, results
from quince_persistence.writing.contents import referred, there
from quince_persistence.writing.lifecycle import ended_well, enter
from quince_persistence.writing.unit_of_work import UnitOfWork

_known = select(cache.c.key, cache.c.pid).where(one_of(cache.c.key, "keys"))
_outputs = select(results.c.pid, results.c.outputs).where(one_of(results.c.pid, "pids"))
_turned = (
    select(events.c.seq)
    .where(
        events.c.pid == bindparam("of"),
        or_(
            events.c.kind == "revision",
            and_(events.c.kind == "retry", events.c.body.like('%"inputs":true%')),
        ),
    )
    .limit(1)
)
"""That its code or its inputs have become others since it was made."""


def look_up(unit: UnitOfWork, processes: Iterable[NewProcess]) -> Sequence[int]:
    """Find, without locks, those whose outputs new processes may have; their pids."""
    keys = {new.options.cache_key for new in processes if new.options.cache_key is not None}
    if not keys:
        return ()
    found: dict[str, int] = dict(map(tuple, unit.connection.execute(_known, {"keys": sorted(keys)})))
    unit.cached.update(found)
    return list(found.values())


def serve(unit: UnitOfWork, row: MutableRow, new: NewProcess) -> int | None:
    """Have a process that is not inserted yet end with the outputs of another one.

    Returns:
        The pid of that one; None: there is none, and the process is to run.
    """
    key = new.options.cache_key
    origin = None if key is None else unit.rows.get(unit.cached.get(key, -1))
    if origin is None or not ended_well(origin.state, origin.exit_status):
        return None
    outputs = _read(unit).get(origin.pid)
    if outputs is None:
        return None
    options = msgspec.structs.replace(new.options, cached_from=origin.pid)
    row.options = msgspec.json.encode(options).decode()
    enter(unit, row, State.FINISHED)
    unit.log(row.pid, "cached", msgspec.json.encode({"from": origin.pid}))
    row.exit_status, row.exit_message, row.ended = origin.exit_status, origin.exit_message, unit.now
    row.paused = row.tree_paused = False
    row.deadline = row.granted = None
    unit.changes.results[row.pid] = (outputs, None)
    return origin.pid


def _read(unit: UnitOfWork) -> Mapping[int, bytes]:
    """The outputs of all that were found and are locked, if they are whole; read once."""
    if unit.cached_outputs is None:
        pids = sorted({pid for pid in unit.cached.values() if pid in unit.rows})
        found = dict(map(tuple, fetch_bytes(unit.connection, _outputs, {"pids": pids})))
        there(unit.connection, referred(found.values()))  # they stay
        unit.cached_outputs = {
            pid: blob for pid, blob in found.items() if blob is not None and _is_whole(unit, blob)
        }
    return unit.cached_outputs


def _is_whole(unit: UnitOfWork, blob: bytes) -> bool:
    """Whether all of its parts are there and sound: what is damaged is computed again."""
    if not is_folded(blob):
        return True
    parts = unit.stored_parts()
    parts.read_for([blob])
    return not is_folded(parts.whole(blob))


def remember(unit: UnitOfWork, row: MutableRow, revision: str | None) -> None:
    """A process has ended well: others that are asked for the same may have its outputs, if the code that ran
    is the one that it was asked of, and its inputs are those that it was made with."""
    if row.options is None or '"cache_key"' not in row.options:
        return
    options = decode_options(row.options)
    key = options.cache_key
    if key is None or options.restart_of is not None or key.partition(":")[0] != revision:
        return
    if any(line["pid"] == row.pid and line["kind"] == "revision" for line in unit.changes.events):
        return
    if unit.connection.execute(_turned, {"of": row.pid}).first() is None:
        unit.changes.cache[key] = row.pid
