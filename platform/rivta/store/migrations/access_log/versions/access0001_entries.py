"""The access log: entries that can be added and never changed, and those that retention may take away."""

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "access0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
APPEND_ONLY = ("access_logs", "access_removals")
"""Tables of which no row may ever be changed or deleted."""
MESSAGE = "rows of the access log are never changed"
YEARS = 5
"""HSLF-FS 2016:40 chapter 4 section 9 point 7: access logs are kept for at least five years."""


def upgrade() -> None:
    _create_tables()
    _name_the_log()
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _create_tables() -> None:
    op.create_table(
        "access_logs",
        sa.Column("id", sa.Text, nullable=False, comment="UUID"),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_access_logs"),
    )
    texts = (
        ("kind", "a member of audit.access.entry.Kind"),
        ("about", "id of the entry that it answers, or empty"),
        ("correlation_id", None),
        ("user_id", None),
        ("user_name", None),
        ("assignment", None),
        ("unit_id", None),
        ("unit_name", None),
        ("care_provider_id", None),
        ("care_provider_name", None),
        ("patient", None),
        ("purpose", None),
        ("information_set", None),
        ("sources", "JSON array of HSA-ids"),
        ("outcome", "a member of audit.access.entry.Outcome, or empty"),
        ("relation", "the care relation that the look stood on, or empty"),
        ("consent", "the consent, or what stood in its place"),
        ("permission", "the row of the permission table, or its rule"),
        ("reason", None),
        ("detail", "JSON object, of entries that the log makes about itself"),
        ("previous", "hash of the writer's entry before; of the first, its own start"),
        ("hash", "SHA-256 of the canonical bytes, hexadecimal"),
    )
    op.create_table(
        "access_entries",
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False, comment="1, 2, 3, ... of its writer"),
        sa.Column("time", TIME, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False, comment=comment) for name, comment in texts),
        sa.PrimaryKeyConstraint("writer", "number", name="pk_access_entries"),
    )
    for columns in (["patient", "time"], ["care_provider_id", "time"], ["kind", "time"], ["about"]):
        op.create_index(f"ix_access_entries_{'_'.join(columns)}", "access_entries", columns)
    op.create_table(
        "access_removals",
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("last", sa.Integer, autoincrement=False, nullable=False, comment="number of the last entry removed"),
        sa.Column("older_than", TIME, nullable=False, comment="every one of them was from before then"),
        sa.Column("entry", sa.Text, nullable=False, comment="id of the entry that tells it"),
        sa.PrimaryKeyConstraint("writer", "last", name="pk_access_removals"),
    )
    op.create_table(
        "access_reports",
        sa.Column("id", sa.Text, nullable=False, comment="UUID"),
        sa.Column("patient", sa.Text, nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("asked", TIME, nullable=False),
        sa.Column("consumer", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_access_reports"),
    )
    op.create_index("ix_access_reports_asked", "access_reports", ["asked"])


def _name_the_log() -> None:
    logs = sa.table("access_logs", sa.column("id", sa.Text), sa.column("created", TIME))
    now = datetime.now(UTC)
    if op.get_bind().dialect.name == "sqlite":
        now = now.replace(tzinfo=None)
    op.get_bind().execute(sa.insert(logs).values(id=str(uuid.uuid4()), created=now))


def _guard_sqlite() -> None:
    covered = (
        "SELECT 1 FROM access_removals r "
        "WHERE r.writer = OLD.writer AND OLD.number <= r.last AND OLD.time < r.older_than"
    )
    refuse = f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
    for table in (*APPEND_ONLY, "access_entries"):
        op.execute(f"CREATE TRIGGER {table}_stay BEFORE UPDATE ON {table} {refuse}")
    for table in APPEND_ONLY:
        op.execute(f"CREATE TRIGGER {table}_remain BEFORE DELETE ON {table} {refuse}")
    op.execute(
        f"CREATE TRIGGER access_entries_remain BEFORE DELETE ON access_entries WHEN NOT EXISTS ({covered}) {refuse}"
    )
    op.execute(
        "CREATE TRIGGER access_removals_wait BEFORE INSERT ON access_removals "
        f"WHEN NEW.older_than > datetime('now', '-{YEARS} years') "
        f"BEGIN SELECT RAISE(ABORT, 'the access log is kept for {YEARS} years'); END"
    )
    # INSERT OR REPLACE deletes what it replaces, without a trigger for deletion being asked.
    taken = "SELECT 1 FROM access_entries e WHERE e.writer = NEW.writer AND e.number = NEW.number"
    op.execute(f"CREATE TRIGGER access_entries_once BEFORE INSERT ON access_entries WHEN EXISTS ({taken}) {refuse}")


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION access_log_refuses() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{MESSAGE}'; END $$"
    )
    op.execute(
        "CREATE FUNCTION access_log_retains() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "  # noqa: S608
        "IF EXISTS (SELECT 1 FROM access_removals r WHERE r.writer = OLD.writer AND OLD.number <= r.last "
        "AND OLD.time < r.older_than) THEN RETURN OLD; END IF; "
        f"RAISE EXCEPTION '{MESSAGE}'; END $$"
    )
    op.execute(
        "CREATE FUNCTION access_log_waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF NEW.older_than <= now() - interval '{YEARS} years' THEN RETURN NEW; END IF; "
        f"RAISE EXCEPTION 'the access log is kept for {YEARS} years'; END $$"
    )
    for table in (*APPEND_ONLY, "access_entries"):
        op.execute(
            f"CREATE TRIGGER {table}_stay BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION access_log_refuses()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_emptied BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION access_log_refuses()"
        )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_remain BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION access_log_refuses()"
        )
    op.execute(
        "CREATE TRIGGER access_entries_remain BEFORE DELETE ON access_entries "
        "FOR EACH ROW EXECUTE FUNCTION access_log_retains()"
    )
    op.execute(
        "CREATE TRIGGER access_removals_wait BEFORE INSERT ON access_removals "
        "FOR EACH ROW EXECUTE FUNCTION access_log_waits()"
    )
