"""The call log knows which sources an aggregate was made of."""

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "JSON array of RecordedSource; null where there are none"
    op.add_column("calls", sa.Column("sources", sa.Text, comment=comment))


def downgrade() -> None:
    op.drop_column("calls", "sources")
