"""Keeping large parts once: which of them a transaction brings, who uses them from now on, who does no more.

A part is dropped by the sweeps, when nobody uses it. None goes while a transaction begins to use it: what is
there is locked by who reads that it is there; what is not there is written, or locked, by its insert.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence, Set
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, bindparam, delete, exists, select

from quince_persistence.codec.folding import Marked, digests, fold, is_folded
from quince_persistence.databases.pipeline import fetch_bytes
from quince_persistence.reading.sound_parts import SoundParts
from quince_persistence.reading.whole_values import CONTENTS
from quince_persistence.records import NewProcess
from quince_persistence.records.steps import Step
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.parts import DONE, Of
from quince_persistence.schema.tables import content_uses, contents
from quince_persistence.writing.changes import Changes

Parts = MutableMapping[str, bytes]
_NONE: Set[str] = frozenset()

AT_ONCE = 1_000
"""How many parts one sweep looks at; the next one goes on."""

_there = (
    select(contents.c.digest)
    .where(one_of(contents.c.digest, "digests"))
    .order_by(contents.c.digest)
    .with_for_update(read=True, key_share=True)
)
_some = (
    select(contents.c.digest)
    .where(contents.c.digest > bindparam("after"))
    .order_by(contents.c.digest)
    .limit(AT_ONCE)
)
_used = select(content_uses.c.digest).where(one_of(content_uses.c.digest, "digests")).distinct()
_lock = (
    select(contents.c.digest)
    .where(one_of(contents.c.digest, "digests"))
    .order_by(contents.c.digest)
    .with_for_update(skip_locked=True)
)
_drop = delete(contents).where(
    one_of(contents.c.digest, "digests"), ~exists().where(content_uses.c.digest == contents.c.digest)
)
_DROPPED_LAST = Of.ONCE | Of.SIGNALS
"""What is dropped after what comes was written, if both stand in one transaction."""


def folded_step(step: Step, parts: Parts) -> Step:
    """The step without large parts; they are put into `parts`."""
    changed: dict[str, Any] = {}
    for name, blob in (("checkpoint", step.checkpoint), ("outputs", step.outputs)):
        if type(blob) is Marked:
            changed[name] = fold(blob, parts)
    if step.children and any(type(child.inputs) is Marked for child in step.children):
        changed["children"] = [folded_process(child, parts) for child in step.children]
    if step.sends and any(type(signal.value) is Marked for signal in step.sends):
        changed["sends"] = [replace(signal, value=fold(signal.value, parts)) for signal in step.sends]
    return replace(step, **changed) if changed else step


def folded_process(new: NewProcess, parts: Parts) -> NewProcess:
    """The same for a process that is to be inserted."""
    small = fold(new.inputs, parts)
    return new if small is new.inputs else replace(new, inputs=small)


def blobs_of(step: Step) -> Sequence[bytes]:
    """All values that a step writes."""
    blobs = [blob for blob in (step.checkpoint, step.outputs, step.error) if blob is not None]
    if step.children:
        blobs += [child.inputs for child in step.children]
    if step.sends:
        blobs += [signal.value for signal in step.sends]
    return blobs


def referred(blobs: Iterable[bytes]) -> Set[str]:
    """The digests of the parts of these that stand elsewhere."""
    folded = [blob for blob in blobs if is_folded(blob)]
    return {digest for blob in folded for digest in digests(blob)} if folded else _NONE


def there(connection: Connection, wanted: Iterable[str]) -> set[str]:
    """Those of these parts that the store has. They stay until the end of the transaction."""
    return {row[0] for row in connection.execute(_there, {"digests": sorted(wanted)})}


def damaged(connection: Connection, given: Mapping[str, bytes], sound: SoundParts) -> Iterator[str]:
    """Those of the given parts that the store has otherwise: they are to be written again.

    Args:
        sound: These are not looked at; those that are found whole are put there.
    """
    for digest, part in given.items():  # each by itself: they are large
        if digest in sound:
            continue
        for _, stored in fetch_bytes(connection, CONTENTS, {"digests": [digest]}):
            if stored == part:
                sound.add(digest)
            else:
                yield digest


def keep(changes: Changes, rows: Mapping[int, MutableRow], given: Mapping[str, bytes]) -> None:
    """Note which parts are used from now on, by what is written, and by what they are used no more.

    Args:
        given: Parts that the store does not have, or has damaged.
    """
    now: dict[tuple[int, Of], set[str]] = {}
    for pid, kind, blob in _written(changes):
        if is_folded(blob):
            now.setdefault((pid, kind), set()).update(digests(blob))
    if not now and not any(row.parts for row in rows.values()):
        return
    over = {pid: Of.CHECKPOINT if new is not None else DONE for pid, new in changes.checkpoints.items()}
    over |= dict.fromkeys(changes.revised, Of.CHECKPOINT)
    for kept in changes.past:
        if Of.CHECKPOINT & (row := rows[kept["at"]]).parts:
            row.parts |= Of.PAST
            changes.parts_kept.append(row.pid)
    for pids, kind in (
        (changes.inputs_replaced, Of.INPUTS),
        (changes.results, Of.RESULT),
        (changes.signals_dropped, Of.SIGNALS),
    ):
        for pid in pids:
            over[pid] = over.get(pid, Of(0)) | kind
    for pid, kinds in over.items():
        _use_no_more(changes, rows[pid], kinds)
    for (pid, kind), used in now.items():
        if kind in _DROPPED_LAST & over.get(pid, Of(0)):
            continue  # it is written, and dropped again
        row = rows[pid]
        row.parts |= kind
        if not row.fresh:
            changes.rows[pid] = row
        changes.parts_used += [{"digest": digest, "pid": pid, "kind": int(kind)} for digest in sorted(used)]
        changes.contents.update((digest, given[digest]) for digest in used if digest in given)


def _written(changes: Changes) -> Iterator[tuple[int, Of, bytes | None]]:
    for row in changes.inputs:
        yield row["pid"], Of.INPUTS, row["blob"]
    for pid, given in changes.inputs_replaced.items():
        yield pid, Of.INPUTS, given
    for pid, checkpoint in changes.checkpoints.items():
        if checkpoint is not None:
            yield pid, Of.CHECKPOINT, checkpoint[0]
    for pid, revised in changes.revised.items():
        yield pid, Of.CHECKPOINT, revised
    for pid, result in changes.results.items():
        for blob in result:
            yield pid, Of.RESULT, blob
    for row in changes.once:
        yield row["pid"], Of.ONCE, row["blob"]
    for row in changes.signals:
        yield row["pid"], Of.SIGNALS, row["blob"]


def _use_no_more(changes: Changes, row: MutableRow, kinds: Of) -> None:
    gone = Of(row.parts) & kinds
    if gone:
        row.parts &= ~gone
        if not row.fresh:
            changes.rows[row.pid] = row
        changes.parts_over += [{"at": row.pid, "of": int(kind)} for kind in gone]


def drop_unused(connection: Connection, after: str) -> str:
    """Drop parts that nobody uses, of the next few.

    Args:
        after: Where the last look ended.

    Returns:
        Where this one has; empty at the end of all.
    """
    some = [row[0] for row in connection.execute(_some, {"after": after})]
    used = {row[0] for row in connection.execute(_used, {"digests": some})} if some else set()
    idle = [digest for digest in some if digest not in used]
    if idle and (locked := [row[0] for row in connection.execute(_lock, {"digests": idle})]):
        connection.execute(_drop, {"digests": locked})
    return some[-1] if len(some) == AT_ONCE else ""
