"""Publications, versions of the HSA tree, the call log and where it was read to."""

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "publications",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("signature", sa.LargeBinary),
        sa.Column("content", sa.LargeBinary, nullable=False, comment="gzip of canonical JSON"),
        sa.Column("routes", sa.Integer, nullable=False),
        sa.Column("permissions", sa.Integer, nullable=False),
        sa.Column("rollback_of", sa.Integer),
        sa.PrimaryKeyConstraint("number", name="pk_publications"),
    )
    op.create_table(
        "hsa_versions",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False, comment="gzip of canonical JSON"),
        sa.Column("units", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_hsa_versions"),
    )
    op.create_table(
        "calls",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("correlation_id", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("sender", sa.Text),
        sa.Column("original_consumer", sa.Text),
        sa.Column("contract", sa.Text),
        sa.Column("logical_address", sa.Text),
        sa.Column("profile_in", sa.Text),
        sa.Column("profile_out", sa.Text),
        sa.Column("publication", sa.Integer),
        sa.Column("hsa_version", sa.Integer),
        sa.Column("route_trace", sa.Text, nullable=False),
        sa.Column("permission_trace", sa.Text, nullable=False),
        sa.Column("producer_url", sa.Text),
        sa.Column("http_status", sa.Integer, nullable=False),
        sa.Column("elapsed_ms", sa.Float(53), nullable=False),
        sa.Column("producer_ms", sa.Float(53)),
        sa.Column("bytes_in", sa.BigInteger, nullable=False),
        sa.Column("bytes_out", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("violations", sa.Text, nullable=False, comment="JSON array of RecordedViolation"),
        sa.Column("stored_request", sa.Text),
        sa.Column("stored_response", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index("ix_calls_time", "calls", ["time"])
    op.create_index("ix_calls_correlation_id", "calls", ["correlation_id"])
    op.create_index("ix_calls_logical_address_time", "calls", ["logical_address", "time"])
    op.create_index("ix_calls_outcome_time", "calls", ["outcome", "time"])
    op.create_table(
        "call_gaps",
        sa.Column("id", sa.Text, nullable=False, comment="<writer>-<boot>-<sequence>-<kind>"),
        sa.Column("time", TIME, nullable=False),
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("boot", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False, comment="of the spool line at or after the hole"),
        sa.Column("kind", sa.Text, nullable=False, comment="a member of audit.spool.GapKind"),
        sa.Column("missing", sa.BigInteger, comment="records known to be missing; null when it cannot be known"),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call_gaps"),
    )
    op.create_index("ix_call_gaps_time", "call_gaps", ["time"])
    op.create_table(
        "spool_positions",
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("boot", sa.Text, nullable=False),
        sa.Column("segment", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False, comment="bytes of the segment that have been read"),
        sa.Column("sequence", sa.BigInteger, nullable=False, comment="of the last line read; -1 before the first"),
        sa.Column("hash", sa.Text, nullable=False, comment="SHA-256 of the last line read"),
        sa.Column("sealed", sa.Boolean, nullable=False, comment="the last line read was the segment's seal"),
        sa.Column("time", TIME, nullable=False),
        sa.PrimaryKeyConstraint("writer", "boot", name="pk_spool_positions"),
    )


def downgrade() -> None:
    for table in ("spool_positions", "call_gaps", "calls", "hsa_versions", "publications"):
        op.drop_table(table)
