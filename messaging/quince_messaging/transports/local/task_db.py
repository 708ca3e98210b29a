"""The SQLite file that holds the tasks: every statement of the transport is here.

Most statements are transactions of their own, and that matters: a statement takes and frees SQLite's
lock inside one call that runs without the interpreter's lock. A transaction of several would hold the
file while its thread waits, between them, for busy threads of its own process, and with it every
other process. So what must happen together in the hot path is one statement (`EXCHANGE`), and what
must follow in order is arranged so that dying in between is harmless.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from quince_messaging.contract import DeadLetter
from quince_messaging.transports.local.db_errors import is_busy
from quince_messaging.transports.local.file_lock import FileLock, try_until_locked
from quince_messaging.transports.local.records import (
    Claim,
    Claimed,
    ClaimedTask,
    GivenTask,
    NewTask,
    WaitingConsumer,
)
from quince_messaging.transports.local.task_tables import EXCHANGE, SCHEMA, SCHEMA_VERSION
from quince_messaging.transports.local.wal import WriteAheadLog

ROWS_PER_STATEMENT = 500
MOST_INLINE = 4096  # bytes of a body; twice that for each of 65,535 tasks is well under 10^9
MOST_READ = 16 * 1024 * 1024  # bytes of bodies that are read in one go, or one that is larger

_UNSOUND = (
    "(typeof(priority) != 'integer' OR typeof(redelivered) != 'integer' "
    "OR priority NOT BETWEEN -9223372036854775807 AND 9223372036854775807)"  # one less has no negative
)


_given_tasks = msgspec.json.Decoder(list[GivenTask])
_place = operator.itemgetter(0, 1)


class TaskDb:
    """One connection to the task file. Used by one thread at a time."""

    def __init__(self, path: Path, lock_path: Path) -> None:
        self._path = path
        self._lock_path = lock_path
        self._db: sqlite3.Connection
        self.lock: FileLock
        self.log: WriteAheadLog
        self._identity: tuple[int, int] = (0, 0)

    def open(self) -> None:
        """Open, and make the tables if they are missing."""
        self.lock = FileLock(self._lock_path)
        self._db = sqlite3.connect(self._path, isolation_level=None, timeout=0, check_same_thread=False)
        try:
            try_until_locked(self.lock.try_exclusive)
            self._set_up()
            self.lock.unlock()
        except BaseException:
            self._db.close()
            self.lock.close()
            raise
        self.log = WriteAheadLog(Path(f"{self._path}-wal"), self._lock_path)
        found = self._path.stat()
        self._identity = (found.st_dev, found.st_ino)

    def _set_up(self) -> None:
        self._db.execute("PRAGMA page_size = 2048")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint = 0")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise sqlite3.DatabaseError(f"task file of another version ({version})")
        self._db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        self._db.executescript(EXCHANGE)
        self._db.execute("SELECT count(*) FROM json_each('[]')")  # fails here if this SQLite has no JSON

    def close(self) -> None:
        """Close; the log is copied to the file if nobody else has it open."""
        self.log.close()
        self._db.close()
        self.lock.close()

    def descriptors(self) -> list[int]:
        """The lock, to be released in a forked child. (SQLite's own locks are not inherited.)"""
        return [self.lock.descriptor]

    def close_in_child(self) -> None:
        """In a forked child: the connection is the parent's."""
        self._db.close()

    def begin(self) -> None:
        """Begin a transaction of several statements."""
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End it; all of it is written."""
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        """End it, if there is one; nothing of it is written."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def checkpoint(self) -> None:
        """Copy the log to the file proper, while nobody writes. Safe beside everything else.

        It has its own connection and its own hold on the lock, so it may run in a thread of its own.
        """
        lock = FileLock(self._lock_path)
        try:
            with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as db:
                try_until_locked(lock.try_exclusive)
                db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            lock.close()

    def in_place(self) -> bool:
        """Whether the file is still the one at its path (its folder may have been removed)."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    # Tasks

    def insert(self, rows: Sequence[NewTask]) -> None:
        """Store tasks: queue, priority and body of each. All of them or none, up to 500."""
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            chunk = rows[start : start + ROWS_PER_STATEMENT]
            self._db.execute(_insertion(len(chunk)), [value for row in chunk for value in row])

    def waiting_consumers(self, queue: str) -> list[WaitingConsumer]:
        """The consumers that wait for tasks of this queue. Ask after storing some: see `LocalConsumer`."""
        found = self._db.execute("SELECT id, peer FROM consumers WHERE queue = ? AND hungry = 1", (queue,))
        return [WaitingConsumer(*row) for row in found.fetchall()]

    def claim(self, claim: Claim) -> Claimed:
        """Delete what a consumer has settled, give it tasks, and note whether it waits for more."""
        self._exchange(claim, claim.most)
        given = self._given(claim)
        tasks, unread = self.read(given)
        if len(given) < claim.capacity or not self.has_ready(claim.queue):
            return Claimed(tasks, (), unread)
        return Claimed(tasks, self.waiting_consumers(claim.queue), unread)

    def _exchange(self, claim: Claim, most: int) -> None:
        self._db.execute(
            "INSERT INTO exchange VALUES (?, ?, ?, ?, ?, ?)",
            (claim.consumer, _ids(claim.settled), claim.queue, most, claim.turn, claim.prefetch),
        )

    def _given(self, claim: Claim) -> list[GivenTask]:
        """What a consumer was given after its claim number `since`; the next ones instead of what is no
        task."""
        while True:
            try:
                return self._read_given(claim.consumer, claim.since)
            except (msgspec.MsgspecError, sqlite3.Error) as error:
                if is_busy(error):
                    raise
                found = self._dead_letter_unsound(claim.consumer)
                if not found:
                    raise
                self._exchange(claim, found)  # so that it waits exactly if it has capacity

    def _read_given(self, consumer: int, since: int) -> list[GivenTask]:
        """All in one row, few and quick calls, but for large bodies: a row has a limit of 10^9 bytes."""
        (found,) = self._db.execute(
            "SELECT json_group_array(json_array(-priority, id, redelivered, "
            f"CASE WHEN length(body) <= {MOST_INLINE} THEN hex(body) ELSE length(body) END)) "
            "FROM tasks WHERE owner = ? AND turn > ?",
            (consumer, since),
        ).fetchone()
        return sorted(_given_tasks.decode(found), key=_place)

    def read(self, given: Sequence[GivenTask]) -> tuple[list[ClaimedTask], Sequence[GivenTask]]:
        """The first of these tasks, as many as are read in one go, and the others. The consumer holds them,
        so nobody else changes them."""
        tasks: list[ClaimedTask] = []
        size = 0
        for position, (_, id_, again, body) in enumerate(given):
            if isinstance(body, str):
                tasks.append(ClaimedTask(id_, bool(again), bytes.fromhex(body)))
                continue
            size += body
            if tasks and size > MOST_READ:
                return tasks, given[position:]
            tasks.append(ClaimedTask(id_, bool(again), self._body(id_)))
        return tasks, ()

    def _body(self, id_: int) -> bytes:
        (body,) = self._db.execute("SELECT CAST(body AS BLOB) FROM tasks WHERE id = ?", (id_,)).fetchone()
        return bytes(body)

    def _dead_letter_unsound(self, consumer: int) -> int:
        """Dead-letter rows that a foreign program wrote, and that are no tasks. Returns how many.

        Dying between the two statements leaves a row in both places, to be dead-lettered again.
        """
        self._db.execute(
            "INSERT INTO dead_letters (queue, priority, reason, at, body) "
            "SELECT CAST(queue AS TEXT), 0, 'no task: its row has priority ' || quote(priority) || "
            "' and redelivered ' || quote(redelivered), ?, CAST(body AS BLOB) "
            f"FROM tasks WHERE owner = ? AND {_UNSOUND}",
            (time.time(), consumer),
        )
        return self._db.execute(f"DELETE FROM tasks WHERE owner = ? AND {_UNSOUND}", (consumer,)).rowcount

    def has_ready(self, queue: str) -> bool:
        """Whether a task waits on the queue."""
        found = self._db.execute("SELECT 1 FROM tasks WHERE queue = ? AND owner IS NULL LIMIT 1", (queue,))
        return found.fetchone() is not None

    def delete(self, consumer: int, ids: Sequence[int]) -> None:
        """Delete tasks of the consumer, which are done."""
        self._db.execute(
            "DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(?)) AND owner = ?",
            (_ids(ids), consumer),
        )

    def return_unseen(self, consumer: int, ids: Sequence[int]) -> None:
        """Return tasks of the consumer, which it has not seen, to their places on the queue."""
        self._db.execute(
            "UPDATE tasks SET owner = NULL, turn = NULL "
            "WHERE id IN (SELECT value FROM json_each(?)) AND owner = ?",
            (_ids(ids), consumer),
        )

    def requeue(self, consumer: int, ids: Sequence[int]) -> None:
        """Return tasks of the consumer to their places on the queue, as redelivered."""
        self._db.execute(
            "UPDATE tasks SET owner = NULL, redelivered = 1 "
            "WHERE id IN (SELECT value FROM json_each(?)) AND owner = ?",
            (_ids(ids), consumer),
        )

    def dead_letter(self, consumer: int, id_: int, reason: str) -> None:
        """Move a task that the consumer holds to the dead letters."""
        self._db.execute(
            "INSERT INTO dead_letters (queue, priority, reason, at, body) "
            "SELECT queue, priority, ?, ?, CAST(body AS BLOB) FROM tasks WHERE id = ? AND owner = ?",
            (reason, time.time(), id_, consumer),
        )
        self.delete(consumer, (id_,))

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """The oldest dead letters."""
        found = self._db.execute(
            "SELECT queue, reason, at, body, priority FROM dead_letters ORDER BY id LIMIT ?", (limit,)
        )
        return [DeadLetter(*row) for row in found]

    def revive(self, queue: str | None) -> dict[str, int]:
        """Return dead letters to their queues. Returns how many to which."""
        chosen = "FROM dead_letters WHERE :queue IS NULL OR queue = :queue"
        named = {"queue": queue}
        counted = self._db.execute(f"SELECT queue, count(*) {chosen} GROUP BY queue", named).fetchall()
        self._db.execute(
            f"INSERT INTO tasks (queue, priority, body) SELECT queue, priority, body {chosen} ORDER BY id",
            named,
        )
        self._db.execute(f"DELETE {chosen}", named)
        return dict(counted)

    def size(self, queue: str) -> int:
        """How many tasks wait on the queue."""
        found = self._db.execute("SELECT count(*) FROM tasks WHERE queue = ? AND owner IS NULL", (queue,))
        return int(found.fetchone()[0])

    def purge(self, queue: str) -> int:
        """Drop the tasks that wait on the queue; returns how many."""
        return self._db.execute("DELETE FROM tasks WHERE queue = ? AND owner IS NULL", (queue,)).rowcount

    # Consumers and identifiers

    def add_consumer(self, peer: str, queue: str) -> int:
        """Add a consumer, which does not wait yet. Returns its number, which is never used again."""
        added = self._db.execute(
            "INSERT INTO consumers (peer, queue, hungry) VALUES (?, ?, 0)", (peer, queue)
        )
        return int(added.lastrowid or 0)

    def set_waiting(self, consumer: int, waiting: bool) -> None:
        """Set whether the consumer waits for tasks, and senders are to ring it."""
        self._db.execute("UPDATE consumers SET hungry = ? WHERE id = ?", (waiting, consumer))

    def remove_consumer(self, consumer: int) -> None:
        """Return its tasks to their queue, and delete it."""
        self._db.execute("UPDATE tasks SET owner = NULL, redelivered = 1 WHERE owner = ?", (consumer,))
        self._db.execute("DELETE FROM consumers WHERE id = ?", (consumer,))

    def remove_peer(self, peer: str) -> list[str]:
        """Return the tasks of a communicator to their queues, and delete its consumers and identifiers.

        Returns:
            The queues that it consumed.
        """
        found = self._db.execute("SELECT id, queue FROM consumers WHERE peer = ?", (peer,)).fetchall()
        for consumer, _ in found:
            self.remove_consumer(consumer)
        self._db.execute("DELETE FROM identifiers WHERE peer = ?", (peer,))
        return sorted({queue for _, queue in found})

    def add_identifier(self, identifier: str, peer: str) -> str:
        """Register an RPC identifier; returns who has it now."""
        self._db.execute("INSERT OR IGNORE INTO identifiers VALUES (?, ?)", (identifier, peer))
        return self.who_serves(identifier) or peer

    def remove_identifier(self, identifier: str, peer: str) -> None:
        """Delete an RPC identifier, if this peer has it."""
        self._db.execute("DELETE FROM identifiers WHERE identifier = ? AND peer = ?", (identifier, peer))

    def is_registered(self, peer: str) -> bool:
        """Whether a peer consumes or serves anything, as far as is known here."""
        found = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM consumers WHERE peer = :peer) "
            "OR EXISTS (SELECT 1 FROM identifiers WHERE peer = :peer)",
            {"peer": peer},
        )
        return bool(found.fetchone()[0])

    def who_serves(self, identifier: str) -> str | None:
        """The peer that serves an identifier."""
        row = self._db.execute("SELECT peer FROM identifiers WHERE identifier = ?", (identifier,)).fetchone()
        return None if row is None else str(row[0])


@functools.cache
def _insertion(count: int) -> str:
    return "INSERT INTO tasks (queue, priority, body) VALUES " + ", ".join(["(?, ?, ?)"] * count)


def _ids(ids: Sequence[int]) -> str:
    return f"[{','.join(map(str, ids))}]"
