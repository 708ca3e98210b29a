"""What those look for who look: what has ended lately, what is paused, how workers are."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("vitals", sa.Text))
    _partial("ix_processes_ended", "ended", where="ended IS NOT NULL")
    _partial("ix_processes_paused", "pid", where="paused")
    op.drop_index("ix_processes_state", "processes")
    op.create_index("ix_processes_state", "processes", ["state", "pid"])
    op.drop_index("ix_processes_failed_at", "processes")
    counted = ("ended", "class_path", "state", "exit_status")
    _partial(
        "ix_processes_failed_at", *counted, where="(state IN ('excepted', 'killed') OR exit_status <> 0)"
    )


def _partial(name: str, *columns: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "processes", [*columns], postgresql_where=condition, sqlite_where=condition)
