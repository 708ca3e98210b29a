"""The tables: narrow rows for lists and claims, blobs and history beside them.

There are no foreign keys: every write goes through `quince_persistence.writing.operations`, the rows of a
process are deleted all together (`prune`), and each constraint would cost a look-up per step.
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
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    event,
    text,
)

from quince_persistence.schema.blob import Blob

SCHEMA_VERSION = "0005"
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
    # Those of `deaths` that its own code has caused.
    Column("deaths_alone", Integer, nullable=False, server_default="0"),
    # How often the step that runs next has been tried, and has failed.
    Column("attempt", Integer, nullable=False, server_default="0"),
    # When it, with its tree, is ended if it lives then.
    Column("deadline", _Seconds),
    # How it waits, if not for all: `any` of what it awaits is enough, `due` ends the wait for all of it.
    Column("wait_mode", String(8)),
    # Whether it holds all limits that it asks for; null: it asks for none.
    Column("granted", Boolean),
    # What its step has said last of how far it is, as JSON.
    Column("progress", Text),
    # What was said of it when it was made, as JSON; see `ProcessOptions`. Null: nothing.
    Column("options", Text),
    # For what of it parts stand in `contents`: the sum of some of `quince_persistence.schema.parts.Of`.
    Column("parts", Integer, nullable=False, server_default="0"),
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
    Column("blob", Blob, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("blob", Blob, nullable=False),
    # The pids that the step after it waits for, as JSON; null: none.
    Column("awaits", Text),
    # Which pids in it stand for which others by now (of children that were made anew), as JSON; null: none.
    Column("replaced", Text),
    # What else that step waits for, and how, as JSON; see `quince_persistence.schema.kept`. Null: nothing.
    Column("wait", Text),
)

# Those before, of processes that keep all of theirs; each with the step that follows it.
past_checkpoints = Table(
    "past_checkpoints",
    metadata,
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("step", Text),
    # Empty before the first step of a process that its inputs describe.
    Column("blob", Blob, nullable=False),
    Column("awaits", Text),
    Column("replaced", Text),
    Column("wait", Text),
)

results = Table(
    "results",
    metadata,
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("outputs", Blob),
    Column("error", Blob),
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
    Column("blob", Blob, nullable=False),
)

signals = Table(
    "signals",
    metadata,
    Column("seq", _Pid, primary_key=True, autoincrement=True),
    Column("pid", _Pid, nullable=False),
    Column("name", Text, nullable=False),
    Column("blob", Blob, nullable=False),
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

labels = Table(
    "labels",
    metadata,
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# Whom a process refers to since it was made: `always`, that one stays as long as this one is there; else as
# long as this one lives.
refers = Table(
    "refers",
    metadata,
    Column("target", _Pid, primary_key=True, autoincrement=False),
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("always", Boolean, nullable=False),
)

# Named limits. One that belongs to a process (`owner`) goes with its end.
limits = Table(
    "limits",
    metadata,
    Column("name", Text, primary_key=True),
    # How many processes may hold it at once; null: any number.
    Column("slots", Integer),
    # How many may begin in a time of so many seconds; null: any number.
    Column("rate", Integer),
    Column("per", _Seconds),
    # What is left of the rate, and when it was so much.
    Column("tokens", _Seconds),
    Column("stamp", _Seconds),
    Column("owner", _Pid),
)

# Who holds which limit (`held`), and who waits for it, the first by priority and pid. Who waits for several
# has one row: that of the first one that has no room.
limit_uses = Table(
    "limit_uses",
    metadata,
    Column("name", Text, primary_key=True),
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("held", Boolean, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("queue", Text, nullable=False),
)

schedules = Table(
    "schedules",
    metadata,
    Column("name", Text, primary_key=True),
    # What is made when, as JSON; see `quince_persistence.records.schedules.Schedule`.
    Column("body", Text, nullable=False),
    Column("inputs", Blob, nullable=False),
    Column("paused", Boolean, nullable=False),
    # What became of it so far, as JSON; see `quince_persistence.records.schedules.ScheduleState`.
    Column("state", Text, nullable=False),
    # How many of its processes wait for their turn.
    Column("queued", Integer, nullable=False),
    # When it fires next; null: never.
    Column("next_at", _Seconds),
    Column("last_at", _Seconds),
    # The clock when that was found out last.
    Column("planned", _Seconds, nullable=False),
    Column("last_pid", _Pid),
    Column("created", _Seconds, nullable=False),
)

# Which process ended well with this class, version, source and inputs.
cache = Table(
    "cache",
    metadata,
    Column("key", Text, primary_key=True),
    Column("pid", _Pid, nullable=False),
)

# Large parts of values, each once, by a digest of what it is; and the processes whose values have it, with
# what of them: see `quince_persistence.schema.parts.Of`. What nobody uses is dropped by the sweeps.
contents = Table(
    "contents",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("blob", Blob, nullable=False),
)

content_uses = Table(
    "content_uses",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("pid", _Pid, primary_key=True, autoincrement=False),
    Column("kind", Integer, primary_key=True, autoincrement=False),
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
    # `host:port` where its metrics are served; null: nowhere.
    Column("metrics", Text),
    # How it is, as it says itself with its heartbeats, as JSON; see `Vitals`. Null: it does not say.
    Column("vitals", Text),
)

# Who is to be told of what, as workers say it that have it in their `quince.toml`; and when one said so last.
receivers = Table(
    "receivers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("event", String(16), primary_key=True),
    Column("seen", _Seconds, nullable=False),
)

# What receivers are still to be told: written by the transaction in which it happens.
notices = Table(
    "notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("receiver", Text, primary_key=True),
    Column("event", String(16), nullable=False),
    Column("at", _Seconds, nullable=False),
    # What happened, as JSON: it stands as it was then, whatever has become of the process since.
    Column("body", Text, nullable=False),
    # Who sends it, or has tried to last; and when somebody else may.
    Column("owner", Text),
    Column("due", _Seconds, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("error", Text),
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

PRUNED = "pruned"
"""The counter with the greatest pid that was pruned."""

schema = Table(
    "quince_schema",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="quince_schema_pkc"),
)
"""Where Alembic keeps the version; its own name, so that a shared database stays legible."""


FAILED = "(state IN ('excepted', 'killed') OR exit_status <> 0)"
"""What has ended, and not well. A query that says it in the same words finds it by index."""
EXITED = "exit_status <> 0"
PAUSED = "paused"


_conditions: dict[Index, str] = {}


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> None:
    _conditions[Index(name, *(processes.c[column] for column in columns), unique=unique)] = where


def tell_conditions(dialect: str) -> None:
    """Tell a kind of database which rows each index has; before that, SQLAlchemy's module for it, whose
    import takes its time, is not needed."""
    for index, where in _conditions.items():
        index.dialect_options[dialect]["where"] = text(where)


# No index mentions `updated`, `step`, `awaiting` ...: on PostgreSQL an update that changes no indexed
# column touches no index (HOT), and most steps are such updates.
_partial("ix_processes_idle", "idle_since", "queue", where="idle_since IS NOT NULL")
_partial("ix_processes_urgent", "queue", "priority", where="idle_since IS NOT NULL AND priority > 0")
_partial("ix_processes_owner", "owner", where="owner IS NOT NULL")
_partial("ix_processes_due", "due", where="due IS NOT NULL")
_partial("ix_processes_deadline", "deadline", where="deadline IS NOT NULL")
_partial("ix_processes_parent", "parent", where="parent IS NOT NULL")
_partial("uq_processes_key", "key", where="key IS NOT NULL", unique=True)
_partial("ix_processes_failed", "pid", where=FAILED)
# With all that failures are counted by: no row is read, of however many that have failed in a day.
_partial("ix_processes_failed_at", "ended", "class_path", "state", "exit_status", where=FAILED)
_partial("ix_processes_ended", "ended", where="ended IS NOT NULL")
_partial("ix_processes_paused", "pid", where=PAUSED)
_partial("ix_processes_exit", "exit_status", "pid", where=EXITED)
Index("ix_processes_root", processes.c.root)
Index("ix_processes_state", processes.c.state, processes.c.pid)
Index("ix_awaits_child", awaits.c.child)
Index("ix_signals_pid", signals.c.pid, signals.c.seq)
Index("ix_events_pid", events.c.pid, events.c.seq)
Index("ix_labels_value", labels.c.name, labels.c.value, labels.c.pid)
Index("ix_refers_pid", refers.c.pid)
Index("ix_limit_uses_pid", limit_uses.c.pid)
Index(
    "ix_limit_uses_order",
    *(
        limit_uses.c.name,
        limit_uses.c.held,
        limit_uses.c.priority.desc(),
        limit_uses.c.pid,
        limit_uses.c.queue,
    ),
)
Index("ix_schedules_next", schedules.c.next_at)
Index("ix_notices_due", notices.c.receiver, notices.c.due)
Index("ix_cache_pid", cache.c.pid)
Index("ix_content_uses_pid", content_uses.c.pid)
