"""The call log knows which sources an aggregate was made of."""

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("sources", sa.Text))


def downgrade() -> None:
    op.drop_column("calls", "sources")
