"""Signals, and the column that says which of them a process has and waits for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("processes", sa.Column("signals", sa.Text))
    op.create_table(
        "signals",
        sa.Column("seq", _PID, primary_key=True, autoincrement=True),
        sa.Column("pid", _PID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
        sa.Column("author", sa.Text),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_index("ix_signals_pid", "signals", ["pid", "seq"])
