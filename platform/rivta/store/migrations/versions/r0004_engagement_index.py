"""The engagement index: its rows, when they changed, and what its subscribers are still to be told."""

import sqlalchemy as sa
from alembic import op

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NUMBER = sa.Integer().with_variant(sa.BigInteger, "postgresql")


def upgrade() -> None:
    op.create_table(
        "engagements",
        sa.Column("id", sa.Text, nullable=False, comment="SHA-256 of the key's fields, hexadecimal: the incumbent's"),
        sa.Column("registered_resident_id", sa.Text, nullable=False),
        sa.Column("service_domain", sa.Text, nullable=False),
        sa.Column("categorization", sa.Text, nullable=False),
        sa.Column("logical_address", sa.Text, nullable=False),
        sa.Column("business_object_instance_id", sa.Text, nullable=False),
        sa.Column("clinical_process_interest_id", sa.Text, nullable=False),
        sa.Column("most_recent_content", sa.Text, comment="yyyyMMddHHmmss, Swedish time, as are the two below"),
        sa.Column("source_system", sa.Text, nullable=False),
        sa.Column("creation_time", sa.Text, nullable=False),
        sa.Column("update_time", sa.Text),
        sa.Column("data_controller", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_engagements"),
    )
    op.create_index(
        "ix_engagements_search", "engagements", ["registered_resident_id", "service_domain", "categorization"]
    )
    op.create_table(
        "engagement_changes",
        sa.Column("service_domain", sa.Text, nullable=False),
        sa.Column("registered_resident_id", sa.Text, nullable=False),
        sa.Column("changed", TIME, nullable=False),
        sa.PrimaryKeyConstraint("service_domain", "registered_resident_id", name="pk_engagement_changes"),
    )
    op.create_index("ix_engagement_changes_service_domain_changed", "engagement_changes", ["service_domain", "changed"])
    op.create_table(
        "notifications",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("subscriber", sa.Text, nullable=False, comment="logical address"),
        sa.Column("time", TIME, nullable=False, comment="of the change"),
        sa.Column("correlation_id", sa.Text, nullable=False, comment="of the message that made it"),
        sa.Column("changes", sa.Integer, nullable=False, comment="how many"),
        sa.Column("content", sa.LargeBinary, nullable=False, comment="zlib of JSON: patient data"),
        sa.Column(
            "attempts", sa.Integer, nullable=False, comment="how often it was sent in vain, alone or with others"
        ),
        sa.Column("died", TIME, comment="when it was given up: a dead letter; null while it waits"),
        sa.Column("reason", sa.Text, nullable=False, comment="why it was sent in vain the last time"),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
    )
    op.create_index("ix_notifications_subscriber_died_id", "notifications", ["subscriber", "died", "id"])
    op.create_table(
        "notification_queues",
        sa.Column("subscriber", sa.Text, nullable=False),
        sa.Column("next_attempt", TIME, comment="null: at once"),
        sa.Column("delivered", TIME, comment="when the last message was taken"),
        sa.Column("reason", sa.Text, nullable=False, comment="why the last message was not taken; empty when it was"),
        sa.PrimaryKeyConstraint("subscriber", name="pk_notification_queues"),
    )
    op.create_table(
        "index_inbox",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("kind", sa.Text, nullable=False, comment="a member of index.changes.Kind"),
        sa.Column("time", TIME, nullable=False),
        sa.Column("correlation_id", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False, comment="zlib of JSON: patient data"),
        sa.PrimaryKeyConstraint("id", name="pk_index_inbox"),
    )
    op.create_table(
        "index_switches",
        sa.Column("name", sa.Text, nullable=False, comment="a member of index.store.Switch"),
        sa.Column("since", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_index_switches"),
    )


def downgrade() -> None:
    for table in (
        "index_switches",
        "index_inbox",
        "notification_queues",
        "notifications",
        "engagement_changes",
        "engagements",
    ):
        op.drop_table(table)
