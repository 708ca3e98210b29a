"""The tables: narrow rows for lists and claims, blobs and history beside them.

There are no foreign keys: rows of `processes` are never deleted, every write goes through
`quince_persistence.writing.operations`, and each constraint would cost a look-up per step.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    event,
    text,
)

SCHEMA_VERSION = "0003"
"""The newest migration in `quince_persistence.migrations`."""

metadata = MetaData()

_Pid = BigInteger().with_variant(Integer(), "sqlite")
_Seconds = Float(53)

processes = Table(
    "processes",
    metadata,
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("parent", _Pid),
    Column("root", _Pid, nullable=False),
    Column("class_path", Text, nullable=False),
    Column("class_version", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("ready", Boolean, nullable=False),
    Column("owner", Text),
    Column("epoch", Integer, nullable=False),
    Column("queue", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("key", Text),
    Column("intent", String(16)),
    Column("intent_reason", Text),
    Column("status", Text),
    Column("step", Text),
    Column("awaiting", Integer, nullable=False),
    Column("due", _Seconds),
    Column("deaths", Integer, nullable=False),
    Column("exit_status", Integer),
    Column("exit_message", Text),
    Column("created", _Seconds, nullable=False),
    Column("updated", _Seconds, nullable=False),
    Column("ended", _Seconds),
    # Since when it is ready and unowned; null otherwise.
    Column("idle_since", _Seconds),
    # A pause of the whole tree is on (or asked for): children born meanwhile are born paused.
    Column("tree_paused", Boolean, nullable=False),
    # A pause that its owner had not applied was taken back by a play: the owner's late pause is void.
    Column("pause_void", Boolean, nullable=False),
    # Signals that have come, and those that it waits for; see `quince_persistence.schema.signal_state`.
    Column("signals", Text),
    # Those of `deaths` in which nothing else was at work in the worker: they prove something.
    Column("deaths_alone", Integer, nullable=False, server_default="0"),
)

# Room beside a row for its next version, so that most updates are HOT.
event.listen(
    processes,
    "after_create",
    DDL("ALTER TABLE processes SET (fillfactor = 80)").execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call]
)

inputs = Table(
    "inputs",
    metadata,
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("blob", LargeBinary, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("blob", LargeBinary, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("outputs", LargeBinary),
    Column("error", LargeBinary),
)

awaits = Table(
    "awaits",
    metadata,
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("child", _Pid, primary_key=True, autoincrement=False),
)

once = Table(
    "once",
    metadata,
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    Column("blob", LargeBinary, nullable=False),
)

signals = Table(
    "signals",
    metadata,
    Column("seq", _Pid, primary_key=True, autoincrement=True),
    Column("pid", _Pid, nullable=False),
    Column("name", Text, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("author", Text),
    Column("at", _Seconds, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("seq", _Pid, primary_key=True, autoincrement=True),
    Column("pid", _Pid, nullable=False),
    Column("at", _Seconds, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Column("author", Text),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("ospid", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("queues", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("lock", Text),
    Column("state", String(16), nullable=False),
    Column("started", _Seconds, nullable=False),
    Column("heartbeat", _Seconds, nullable=False),
    # What is wrong with it, as it says itself with its heartbeats: a list of sentences; null is none.
    Column("troubles", Text),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", _Pid, nullable=False),
)

WRITER = "writer "
"""Begins the names of the counters in which programs mark their transactions: the time of the last one, in
microseconds. What is old is of programs that are gone."""

schema = Table(
    "quince_schema",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="quince_schema_pkc"),
)
"""Where Alembic keeps the version; its own name, so that a shared database stays legible."""


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> None:
    Index(
        name,
        *(processes.c[column] for column in columns),
        unique=unique,
        postgresql_where=text(where),
        sqlite_where=text(where),
    )


# No index mentions `updated`, `step`, `awaiting` ...: on PostgreSQL an update that changes no indexed
# column touches no index (HOT), and most steps are such updates.
_partial("ix_processes_idle", "idle_since", "queue", where="idle_since IS NOT NULL")
_partial("ix_processes_owner", "owner", where="owner IS NOT NULL")
_partial("ix_processes_due", "due", where="due IS NOT NULL")
_partial("ix_processes_parent", "parent", where="parent IS NOT NULL")
_partial("uq_processes_key", "key", where="key IS NOT NULL", unique=True)
Index("ix_processes_root", processes.c.root)
Index("ix_processes_state", processes.c.state)
Index("ix_awaits_child", awaits.c.child)
Index("ix_signals_pid", signals.c.pid, signals.c.seq)
Index("ix_events_pid", events.c.pid, events.c.seq)
