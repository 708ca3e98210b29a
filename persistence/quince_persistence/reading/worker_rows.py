"""From a row of `workers` to a `WorkerRow`."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, select

from quince_persistence.records import OWN_QUEUE
from quince_persistence.records.workers import NO_VITALS, Vitals, WorkerRow
from quince_persistence.schema.tables import workers

_vitals = msgspec.json.Decoder(Vitals)
_texts = msgspec.json.Decoder(list[str])
_queues = select(workers.c.id, workers.c.queues)


def worker_row(row: Any, held: int = 0) -> WorkerRow:
    """Columns in the order of the table. Of a row that is damaged, what can be read; its troubles say so."""
    who, host, ospid, name, queues, slots, lock, state, started, heartbeat, troubles, metrics, vitals = row[
        :13
    ]
    listed, said = _listed(queues), _listed(troubles or "[]")
    how = NO_VITALS if vitals is None else _vitals_of(vitals)
    if listed is None or said is None or how is None:
        damage = f"the row of worker {name} in the store is damaged"
        listed, said, how = listed or (), (*(said or ()), damage), how or NO_VITALS
    return WorkerRow(
        who, host, ospid, name, listed, slots, lock, state, started, heartbeat, held, said, metrics, how
    )  # fmt: skip


def live_queues(connection: Connection) -> set[str]:
    """The queues that registered workers consume."""
    live: set[str] = set()
    for worker_id, queues in connection.execute(_queues):
        live.add(OWN_QUEUE + worker_id)
        live.update(_listed(queues) or ())
    return live


def _listed(text: Any) -> tuple[str, ...] | None:
    try:
        return tuple(_texts.decode(text))
    except (msgspec.MsgspecError, TypeError):
        return None


def _vitals_of(text: Any) -> Vitals | None:
    try:
        return _vitals.decode(text)
    except (msgspec.MsgspecError, TypeError):
        return None
