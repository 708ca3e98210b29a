"""Attempts, deadlines, limits, labels, schedules, a cache, values stored once; checkpoints that are kept;
notices."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_PID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SECONDS = sa.Float(53)


def _pid(*, key: bool = True) -> sa.Column[int]:
    if key:
        return sa.Column("pid", _PID, primary_key=True, autoincrement=False)
    return sa.Column("pid", _PID, nullable=False)


FAILED = "(state IN ('excepted', 'killed') OR exit_status <> 0)"


def upgrade() -> None:
    for column in (
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("deadline", _SECONDS),
        sa.Column("wait_mode", sa.String(8)),
        sa.Column("granted", sa.Boolean),
        sa.Column("progress", sa.Text),
        sa.Column("options", sa.Text),
        sa.Column("parts", sa.Integer, nullable=False, server_default="0"),
    ):
        op.add_column("processes", column)
    where = sa.text("deadline IS NOT NULL")
    op.create_index(
        "ix_processes_deadline", "processes", ["deadline"], sqlite_where=where, postgresql_where=where
    )
    for name, columns, ended in (
        ("ix_processes_failed", ["pid"], FAILED),
        ("ix_processes_failed_at", ["ended"], FAILED),
        ("ix_processes_exit", ["exit_status", "pid"], "exit_status <> 0"),
    ):
        where = sa.text(ended)
        op.create_index(name, "processes", columns, sqlite_where=where, postgresql_where=where)
    where = sa.text("idle_since IS NOT NULL AND priority > 0")
    op.create_index(
        "ix_processes_urgent",
        "processes",
        ["queue", "priority"],
        sqlite_where=where,
        postgresql_where=where,
    )
    op.add_column("checkpoints", sa.Column("awaits", sa.Text))
    op.add_column("checkpoints", sa.Column("replaced", sa.Text))
    op.add_column("checkpoints", sa.Column("wait", sa.Text))
    op.create_table(
        "past_checkpoints",
        _pid(),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("step", sa.Text),
        sa.Column("blob", sa.LargeBinary, nullable=False),
        sa.Column("awaits", sa.Text),
        sa.Column("replaced", sa.Text),
        sa.Column("wait", sa.Text),
    )
    _labels_and_limits()
    _schedules()
    _values()
    _notices()


def _labels_and_limits() -> None:
    op.create_table(
        "labels",
        _pid(),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_index("ix_labels_value", "labels", ["name", "value", "pid"])
    op.create_table(
        "refers",
        sa.Column("target", _PID, primary_key=True, autoincrement=False),
        _pid(),
        sa.Column("always", sa.Boolean, nullable=False),
    )
    op.create_index("ix_refers_pid", "refers", ["pid"])
    op.create_table(
        "limits",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("slots", sa.Integer),
        sa.Column("rate", sa.Integer),
        sa.Column("per", _SECONDS),
        sa.Column("tokens", _SECONDS),
        sa.Column("stamp", _SECONDS),
        sa.Column("owner", _PID),
    )
    op.create_table(
        "limit_uses",
        sa.Column("name", sa.Text, primary_key=True),
        _pid(),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
    )
    op.create_index("ix_limit_uses_pid", "limit_uses", ["pid"])
    op.create_index(
        "ix_limit_uses_order", "limit_uses", ["name", "held", sa.text("priority DESC"), "pid", "queue"]
    )


def _schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("inputs", sa.LargeBinary, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("queued", sa.Integer, nullable=False),
        sa.Column("next_at", _SECONDS),
        sa.Column("last_at", _SECONDS),
        sa.Column("planned", _SECONDS, nullable=False),
        sa.Column("last_pid", _PID),
        sa.Column("created", _SECONDS, nullable=False),
    )
    op.create_index("ix_schedules_next", "schedules", ["next_at"])


def _values() -> None:
    op.create_table("cache", sa.Column("key", sa.Text, primary_key=True), _pid(key=False))
    op.create_index("ix_cache_pid", "cache", ["pid"])
    op.create_table(
        "contents",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "content_uses",
        sa.Column("digest", sa.String(64), primary_key=True),
        _pid(),
        sa.Column("kind", sa.Integer, primary_key=True, autoincrement=False),
    )
    op.create_index("ix_content_uses_pid", "content_uses", ["pid"])


def _notices() -> None:
    op.add_column("workers", sa.Column("metrics", sa.Text))
    op.create_table(
        "receivers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("event", sa.String(16), primary_key=True),
        sa.Column("seen", _SECONDS, nullable=False),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("receiver", sa.Text, primary_key=True),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("at", _SECONDS, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("due", _SECONDS, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
    )
    op.create_index("ix_notices_due", "notices", ["receiver", "due"])
