"""The call log knows the HTTP method of a call."""

import sqlalchemy as sa
from alembic import op

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("method", sa.Text))


def downgrade() -> None:
    op.drop_column("calls", "method")
