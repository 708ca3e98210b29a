"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_PID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _processes()
    for name in ("inputs", "checkpoints"):
        op.create_table(name, _pid("pid"), sa.Column("blob", sa.LargeBinary, nullable=False))
    op.create_table(
        "results", _pid("pid"), sa.Column("outputs", sa.LargeBinary), sa.Column("error", sa.LargeBinary)
    )
    op.create_table("awaits", _pid("pid"), _pid("child"))
    op.create_index("ix_awaits_child", "awaits", ["child"])
    op.create_table(
        "once",
        _pid("pid"),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    _events()
    _workers()
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", _PID, nullable=False),
    )
    op.bulk_insert(counters, [{"name": "pid", "value": 0}])


def _processes() -> None:
    op.create_table(
        "processes",
        _pid("pid"),
        sa.Column("parent", _PID),
        sa.Column("root", _PID, nullable=False),
        sa.Column("class_path", sa.Text, nullable=False),
        sa.Column("class_version", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("ready", sa.Boolean, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("intent", sa.String(16)),
        sa.Column("intent_reason", sa.Text),
        sa.Column("status", sa.Text),
        sa.Column("step", sa.Text),
        sa.Column("awaiting", sa.Integer, nullable=False),
        sa.Column("due", sa.Float(53)),
        sa.Column("deaths", sa.Integer, nullable=False),
        sa.Column("exit_status", sa.Integer),
        sa.Column("exit_message", sa.Text),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("updated", sa.Float(53), nullable=False),
        sa.Column("ended", sa.Float(53)),
        sa.Column("idle_since", sa.Float(53)),
        sa.Column("tree_paused", sa.Boolean, nullable=False),
        sa.Column("pause_void", sa.Boolean, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE processes SET (fillfactor = 80)")
    for name, columns, where in (
        ("ix_processes_idle", "idle_since, queue", "idle_since IS NOT NULL"),
        ("ix_processes_owner", "owner", "owner IS NOT NULL"),
        ("ix_processes_due", "due", "due IS NOT NULL"),
        ("ix_processes_parent", "parent", "parent IS NOT NULL"),
        ("uq_processes_key", "key", "key IS NOT NULL"),
    ):
        op.create_index(
            name,
            "processes",
            columns.split(", "),
            unique=name.startswith("uq_"),
            postgresql_where=sa.text(where),
            sqlite_where=sa.text(where),
        )
    op.create_index("ix_processes_root", "processes", ["root"])
    op.create_index("ix_processes_state", "processes", ["state"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("seq", _PID, primary_key=True, autoincrement=True),
        sa.Column("pid", _PID, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("author", sa.Text),
    )
    op.create_index("ix_events_pid", "events", ["pid", "seq"])


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("ospid", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("queues", sa.Text, nullable=False),
        sa.Column("slots", sa.Integer, nullable=False),
        sa.Column("lock", sa.Text),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started", sa.Float(53), nullable=False),
        sa.Column("heartbeat", sa.Float(53), nullable=False),
    )


def _pid(name: str) -> sa.Column[int]:
    return sa.Column(name, _PID, primary_key=True, autoincrement=False)
