"""What happens to processes of which somebody may want to be told: noted when it happens, and written with
the same transaction, for those who want it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from quince_persistence.records.notices import Happening
from quince_persistence.schema.mutable_row import MutableRow, readable_options
from quince_persistence.schema.tables import receivers

AT_ONCE = 200
"""Of so many happenings of one kind, in one transaction, each is told by itself; of the others how many."""

_wanted = select(receivers.c.event, receivers.c.name).order_by(receivers.c.name)


class Happened(msgspec.Struct, frozen=True):
    """One thing that has happened. `name` is given to no other one."""

    name: str
    event: Happening
    body: dict[str, Any]


class Happenings:
    """What has happened in one transaction."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._happened: list[Happened] = []
        self._counted: Counter[Happening] = Counter()

    def has_ended(self, row: MutableRow, *, well: bool) -> None:
        """A process has ended; its row says how."""
        if not well:
            self._note(Happening.FAILED, row)
        if row.parent is None and readable_options(row.options).labels:
            self._note(Happening.ENDED, row)

    def was_put_aside(self, row: MutableRow, reason: str | None) -> None:
        """The engine pauses a process: a person is to see to it."""
        self._note(Happening.PAUSED, row, status=reason or row.status)

    def waits_for_signals(self, row: MutableRow, names: Sequence[str]) -> None:
        """A process begins to wait for these."""
        self._note(Happening.WAITING, row, signals=list(names))

    def add(self, happened: Happened) -> None:
        """Something has happened that no row of a process tells."""
        self._happened.append(happened)

    def notices(self, connection: Connection) -> list[dict[str, Any]]:
        """The rows to write: one for each thing and each who wants to be told of it."""
        if not self._happened:
            return []
        wanted: dict[str, list[str]] = {}
        for event, receiver in connection.execute(_wanted):
            wanted.setdefault(event, []).append(receiver)
        last = {one.event: one.name for one in self._happened}
        rows = []
        for one in self._happened:
            more = max(0, self._counted[one.event] - AT_ONCE) if last[one.event] == one.name else 0
            body = msgspec.json.encode(one.body | {"more": more} if more else one.body).decode()
            rows += [
                {
                    "id": one.name, "receiver": receiver, "event": one.event.value, "at": self._now,
                    "body": body, "owner": None, "due": self._now, "tries": 0, "error": None,
                }
                for receiver in wanted.get(one.event, ())
            ]  # fmt: skip
        return rows

    def _note(self, event: Happening, row: MutableRow, **more: Any) -> None:
        name = f"{row.pid}-{event}-{self._now * 1e6:.0f}"
        self._counted[event] += 1
        if self._counted[event] <= AT_ONCE:
            self._happened.append(Happened(name, event, _story(row) | more))


def _story(row: MutableRow) -> dict[str, Any]:
    options = readable_options(row.options)
    return {
        "pid": row.pid,
        "parent": row.parent,
        "root": row.root,
        "class": row.class_path,
        "state": row.state,
        "step": row.step,
        "key": row.key,
        "queue": row.queue,
        "labels": dict(options.labels),
        "exit_status": row.exit_status,
        "exit_message": row.exit_message,
        "status": row.status,
    }
