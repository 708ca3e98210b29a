"""What workers say is wrong with them; and how many have died with nothing but one process at work."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("troubles", sa.Text))
    op.add_column("processes", sa.Column("deaths_alone", sa.Integer, nullable=False, server_default="0"))
