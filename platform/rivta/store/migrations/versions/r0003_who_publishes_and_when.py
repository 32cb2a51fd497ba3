"""Publications know their approver, time and files; proposals, named tokens, and who did what."""

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)

PUBLICATION_COLUMNS = (
    ("approver", sa.Text, "who approved it, where two must agree"),
    ("scheduled_for", TIME, "when it was to come into force, if that was said"),
    ("files", sa.Text, "JSON array of the files of the draft that it took; null is all"),
    ("sources", sa.Text, "JSON object: file of the draft to SHA-256 of its text; null when not known"),
)


def upgrade() -> None:
    for name, kind, comment in PUBLICATION_COLUMNS:
        op.add_column("publications", sa.Column(name, kind, comment=comment))
    op.create_table(
        "draft_texts",
        sa.Column("digest", sa.Text, nullable=False, comment="SHA-256 of the text, hexadecimal"),
        sa.Column("content", sa.LargeBinary, nullable=False, comment="gzip"),
        sa.PrimaryKeyConstraint("digest", name="pk_draft_texts"),
    )
    op.create_table(
        "divergences",
        sa.Column("publication", sa.Integer, autoincrement=False, nullable=False, comment="the rollback"),
        sa.Column("undone", sa.Integer, nullable=False, comment="the publication that was in force before it"),
        sa.Column("settled", TIME),
        sa.Column("settled_by", sa.Text),
        sa.PrimaryKeyConstraint("publication", name="pk_divergences"),
    )
    _keep_the_last_rollback_open()
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False, comment="gzip of canonical JSON"),
        sa.Column("routes", sa.Integer, nullable=False),
        sa.Column("permissions", sa.Integer, nullable=False),
        sa.Column("rollback_of", sa.Integer),
        sa.Column("files", sa.Text, comment="as in publications"),
        sa.Column("sources", sa.Text, comment="as in publications"),
        sa.Column(
            "based_on", sa.Integer, nullable=False, comment="the publication in force when it was made; 0 is none"
        ),
        sa.Column(
            "confirmed", sa.Text, nullable=False, comment="digest of the changes that were confirmed to come back"
        ),
        sa.Column("allow_empty", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False, comment="a member of catalogue.proposals.ProposalState"),
        sa.Column("scheduled_for", TIME),
        sa.Column("expires", TIME, comment="when nobody can approve it any more"),
        sa.Column("approver", sa.Text),
        sa.Column("decided", TIME, comment="when it got its last state"),
        sa.Column("decided_by", sa.Text),
        sa.Column("reason", sa.Text, nullable=False, comment="why it was refused"),
        sa.Column("publication", sa.Integer, comment="what became of it"),
        sa.PrimaryKeyConstraint("id", name="pk_proposals"),
    )
    op.create_index("ix_proposals_state", "proposals", ["state"])
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False, comment="a member of run.admin_door.Role"),
        sa.Column("hash", sa.Text, nullable=False, comment="SHA-256 of the token, hexadecimal"),
        sa.Column("created", TIME, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires", TIME),
        sa.Column("last_used", TIME),
        sa.Column("revoked", TIME),
        sa.Column("revoked_by", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
    )
    op.create_table(
        "audit_trail",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False, comment="a member of catalogue.trail.Action"),
        sa.Column(
            "subject", sa.Text, nullable=False, comment="as publication 7, proposal 3, stockholm.yaml, token kim"
        ),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_trail"),
    )


def _keep_the_last_rollback_open() -> None:
    """A rollback that is in force keeps pausing autopublish: the draft has not been looked at since."""
    op.execute(
        "INSERT INTO divergences (publication, undone) SELECT number, number - 1 FROM publications "
        "WHERE rollback_of IS NOT NULL AND number = (SELECT max(number) FROM publications)"
    )


def downgrade() -> None:
    for table in ("audit_trail", "tokens", "proposals", "divergences", "draft_texts"):
        op.drop_table(table)
    for name, _, _ in reversed(PUBLICATION_COLUMNS):
        op.drop_column("publications", name)
