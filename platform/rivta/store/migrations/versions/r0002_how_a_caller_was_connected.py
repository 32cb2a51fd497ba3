"""The call log knows the caller's certificate and connection."""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None

COLUMNS = (
    "certificate_subject",
    "certificate_issuer",
    "certificate_valid_to",
    "tls",
    "sender_address",
    "acting_on_behalf_of",
)


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("calls", sa.Column(name, sa.Text))


def downgrade() -> None:
    for name in reversed(COLUMNS):
        op.drop_column("calls", name)
