"""Every table of the access log's database, which is apart from the platform's.

Rows are only ever added. Triggers of the database refuse everything else (`migrations/access_log`), with one exception:
entries that a row of `access_removals` covers, which are older than the time of retention.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, MetaData, Table, Text

from rivta.store import schema
from rivta.store.schema import UtcDateTime

REVISIONS = ("access0001",)
"""Alembic revisions this program knows, oldest first; the last is the schema below."""

metadata = MetaData(naming_convention=schema.metadata.naming_convention)

access_logs = Table(
    "access_logs",
    metadata,
    # One row: which log this is, so that rows and signatures of another are told apart.
    Column("id", Text, primary_key=True, comment="UUID"),
    Column("created", UtcDateTime, nullable=False),
)

access_entries = Table(
    "access_entries",
    metadata,
    # Columns are the fields of audit.access.entry.Entry, by the same names, and how the entry is linked to others.
    Column("writer", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="1, 2, 3, ... of its writer"),
    Column("time", UtcDateTime, nullable=False),
    Column("kind", Text, nullable=False, comment="a member of audit.access.entry.Kind"),
    Column("about", Text, nullable=False, comment="id of the entry that it answers, or empty"),
    Column("correlation_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("assignment", Text, nullable=False),
    Column("unit_id", Text, nullable=False),
    Column("unit_name", Text, nullable=False),
    Column("care_provider_id", Text, nullable=False),
    Column("care_provider_name", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("information_set", Text, nullable=False),
    Column("sources", Text, nullable=False, comment="JSON array of HSA-ids"),
    Column("outcome", Text, nullable=False, comment="a member of audit.access.entry.Outcome, or empty"),
    Column("relation", Text, nullable=False, comment="the care relation that the look stood on, or empty"),
    Column("consent", Text, nullable=False, comment="the consent, or what stood in its place"),
    Column("permission", Text, nullable=False, comment="the row of the permission table, or its rule"),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False, comment="JSON object, of entries that the log makes about itself"),
    Column("previous", Text, nullable=False, comment="hash of the writer's entry before; of the first, its own start"),
    Column("hash", Text, nullable=False, comment="SHA-256 of the canonical bytes, hexadecimal"),
    Index(None, "patient", "time"),
    Index(None, "care_provider_id", "time"),
    Index(None, "kind", "time"),
    Index(None, "about"),
)

access_removals = Table(
    "access_removals",
    metadata,
    # What retention has taken away, or is about to: the only entries that may be deleted.
    Column("writer", Text, primary_key=True),
    Column("last", Integer, primary_key=True, autoincrement=False, comment="number of the last entry removed"),
    Column("older_than", UtcDateTime, nullable=False, comment="every one of them was from before then"),
    Column("entry", Text, nullable=False, comment="id of the entry that tells it"),
)

access_reports = Table(
    "access_reports",
    metadata,
    # Questions of patients whose answers wait to be fetched. No part of the log: they go away when they are old.
    Column("id", Text, primary_key=True, comment="UUID"),
    Column("patient", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("asked", UtcDateTime, nullable=False),
    Column("consumer", Text, nullable=False),
    Index(None, "asked"),
)
