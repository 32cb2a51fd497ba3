"""Every table of the platform's database, and the one way time is kept in it.

A change here comes with a migration in `migrations/versions` and its revision in `REVISIONS`; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

REVISIONS = ("r0001", "r0002", "r0003", "r0004", "r0005", "r0006")
"""Alembic revisions this program knows, oldest first; the last is the schema below."""


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: takes any timezone-aware datetime, gives it back aware and in UTC on every database.

    SQLite has no type for it: there the UTC time is stored without zone, which sorts as text.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """`value` as the database stores it. Raises ValueError for a datetime without zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"time {value.isoformat()} has no zone: give an aware datetime")
        instant = value.astimezone(UTC)
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The stored instant, aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

publications = Table(
    "publications",
    metadata,
    # The number is given by the publisher, not by the database: it is part of what is signed.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time", UtcDateTime, nullable=False),
    Column("author", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("signature", LargeBinary),
    Column("content", LargeBinary, nullable=False, comment="gzip of canonical JSON"),
    Column("routes", Integer, nullable=False),
    Column("permissions", Integer, nullable=False),
    Column("rollback_of", Integer),
    Column("approver", Text, comment="who approved it, where two must agree"),
    Column("scheduled_for", UtcDateTime, comment="when it was to come into force, if that was said"),
    Column("files", Text, comment="JSON array of the files of the draft that it took; null is all"),
    Column("sources", Text, comment="JSON object: file of the draft to SHA-256 of its text; null when not known"),
)

draft_texts = Table(
    "draft_texts",
    metadata,
    # The files that publications were made of, each text once: so that a draft can be what it was, comments and all.
    Column("digest", Text, primary_key=True, comment="SHA-256 of the text, hexadecimal"),
    Column("content", LargeBinary, nullable=False, comment="gzip"),
)

divergences = Table(
    "divergences",
    metadata,
    # Rollbacks, after each of which the draft says something else than what is in force until it is settled.
    Column("publication", Integer, primary_key=True, autoincrement=False, comment="the rollback"),
    Column("undone", Integer, nullable=False, comment="the publication that was in force before it"),
    Column("settled", UtcDateTime),
    Column("settled_by", Text),
)

proposals = Table(
    "proposals",
    metadata,
    # Frozen tables that wait: for somebody's approval, for their time, or for both.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("time", UtcDateTime, nullable=False),
    Column("author", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("content", LargeBinary, nullable=False, comment="gzip of canonical JSON"),
    Column("routes", Integer, nullable=False),
    Column("permissions", Integer, nullable=False),
    Column("rollback_of", Integer),
    Column("files", Text, comment="as in publications"),
    Column("sources", Text, comment="as in publications"),
    Column("based_on", Integer, nullable=False, comment="the publication in force when it was made; 0 is none"),
    Column("confirmed", Text, nullable=False, comment="digest of the changes that were confirmed to come back"),
    Column("allow_empty", Boolean, nullable=False),
    Column("state", Text, nullable=False, comment="a member of catalogue.proposals.ProposalState"),
    Column("scheduled_for", UtcDateTime),
    Column("expires", UtcDateTime, comment="when nobody can approve it any more"),
    Column("approver", Text),
    Column("decided", UtcDateTime, comment="when it got its last state"),
    Column("decided_by", Text),
    Column("reason", Text, nullable=False, comment="why it was refused"),
    Column("publication", Integer, comment="what became of it"),
    Index(None, "state"),
)

tokens = Table(
    "tokens",
    metadata,
    # Who may use the admin API. A name may have several tokens, so that one can take over from another.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False, comment="a member of run.admin_door.Role"),
    Column("hash", Text, nullable=False, comment="SHA-256 of the token, hexadecimal"),
    Column("created", UtcDateTime, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires", UtcDateTime),
    Column("last_used", UtcDateTime),
    Column("revoked", UtcDateTime),
    Column("revoked_by", Text),
)

audit_trail = Table(
    "audit_trail",
    metadata,
    # Who did what to the tables and the tokens. Rows are only ever added.
    Column("id", Integer, primary_key=True),
    Column("time", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False, comment="a member of catalogue.trail.Action"),
    Column("subject", Text, nullable=False, comment="as publication 7, proposal 3, stockholm.yaml, token kim"),
    Column("detail", Text, nullable=False),
)

hsa_versions = Table(
    "hsa_versions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time", UtcDateTime, nullable=False),
    Column("digest", Text, nullable=False),
    Column("content", LargeBinary, nullable=False, comment="gzip of canonical JSON"),
    Column("units", Integer, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    # Columns are the fields of router.record.CallRecord, by the same names.
    Column("id", Text, primary_key=True),
    Column("time", UtcDateTime, nullable=False),
    Column("platform", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("sender", Text),
    Column("original_consumer", Text),
    Column("contract", Text),
    Column("logical_address", Text),
    Column("profile_in", Text),
    Column("profile_out", Text),
    Column("publication", Integer),
    Column("hsa_version", Integer),
    Column("route_trace", Text, nullable=False),
    Column("permission_trace", Text, nullable=False),
    Column("producer_url", Text),
    Column("http_status", Integer, nullable=False),
    Column("elapsed_ms", Float(53), nullable=False),
    Column("producer_ms", Float(53)),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("violations", Text, nullable=False, comment="JSON array of RecordedViolation"),
    Column("stored_request", Text),
    Column("stored_response", Text),
    Column("certificate_subject", Text),
    Column("certificate_issuer", Text),
    Column("certificate_valid_to", Text),
    Column("tls", Text),
    Column("sender_address", Text),
    Column("acting_on_behalf_of", Text),
    Column("sources", Text, comment="JSON array of RecordedSource; null where there are none"),
    Column("method", Text),
    # What is asked: newest first, one trace, one address, what failed. Senders and contracts are few: by time will do.
    Index(None, "time"),
    Index(None, "correlation_id"),
    Index(None, "logical_address", "time"),
    Index(None, "outcome", "time"),
)

call_gaps = Table(
    "call_gaps",
    metadata,
    # Where the call log is known to miss records, and why: a log with holes must say so.
    Column("id", Text, primary_key=True, comment="<writer>-<boot>-<sequence>-<kind>"),
    Column("time", UtcDateTime, nullable=False),
    Column("writer", Text, nullable=False),
    Column("boot", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False, comment="of the spool line at or after the hole"),
    Column("kind", Text, nullable=False, comment="a member of audit.spool.GapKind"),
    Column("missing", BigInteger, comment="records known to be missing; null when it cannot be known"),
    Column("detail", Text, nullable=False),
    Index(None, "time"),
)

spool_positions = Table(
    "spool_positions",
    metadata,
    # How far the collector has read each boot of each writer; committed together with the calls that were read.
    Column("writer", Text, primary_key=True),
    Column("boot", Text, primary_key=True),
    Column("segment", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False, comment="bytes of the segment that have been read"),
    Column("sequence", BigInteger, nullable=False, comment="of the last line read; -1 before the first"),
    Column("hash", Text, nullable=False, comment="SHA-256 of the last line read"),
    Column("sealed", Boolean, nullable=False, comment="the last line read was the segment's seal"),
    Column("time", UtcDateTime, nullable=False),
)

engagements = Table(
    "engagements",
    metadata,
    # The engagement index. Columns but for the id are the fields of index.engagement.Engagement, by the same names.
    Column("id", Text, primary_key=True, comment="SHA-256 of the key's fields, hexadecimal: the incumbent's"),
    Column("registered_resident_id", Text, nullable=False),
    Column("service_domain", Text, nullable=False),
    Column("categorization", Text, nullable=False),
    Column("logical_address", Text, nullable=False),
    Column("business_object_instance_id", Text, nullable=False),
    Column("clinical_process_interest_id", Text, nullable=False),
    Column("most_recent_content", Text, comment="yyyyMMddHHmmss, Swedish time, as are the two below"),
    Column("source_system", Text, nullable=False),
    Column("creation_time", Text, nullable=False),
    Column("update_time", Text),
    Column("data_controller", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Index("ix_engagements_search", "registered_resident_id", "service_domain", "categorization"),
)

engagement_changes = Table(
    "engagement_changes",
    metadata,
    # When something of a person last changed in a domain, a deletion too: what GetUpdates is asked for.
    Column("service_domain", Text, primary_key=True),
    Column("registered_resident_id", Text, primary_key=True),
    Column("changed", UtcDateTime, nullable=False),
    Index(None, "service_domain", "changed"),
)

notifications = Table(
    "notifications",
    metadata,
    # What subscribers of the index are still to be told, each in a queue of its own: written with the change itself.
    Column("id", Integer().with_variant(BigInteger, "postgresql"), primary_key=True),
    Column("subscriber", Text, nullable=False, comment="logical address"),
    Column("time", UtcDateTime, nullable=False, comment="of the change"),
    Column("correlation_id", Text, nullable=False, comment="of the message that made it"),
    Column("changes", Integer, nullable=False, comment="how many"),
    Column("content", LargeBinary, nullable=False, comment="zlib of JSON: patient data"),
    Column("attempts", Integer, nullable=False, comment="how often it was sent in vain, alone or with others"),
    Column("died", UtcDateTime, comment="when it was given up: a dead letter; null while it waits"),
    Column("reason", Text, nullable=False, comment="why it was sent in vain the last time"),
    Index(None, "subscriber", "died", "id"),
)

notification_queues = Table(
    "notification_queues",
    metadata,
    # How it goes with each subscriber. A queue whose first message is sent in vain waits.
    Column("subscriber", Text, primary_key=True),
    Column("next_attempt", UtcDateTime, comment="null: at once"),
    Column("delivered", UtcDateTime, comment="when the last message was taken"),
    Column("reason", Text, nullable=False, comment="why the last message was not taken; empty when it was"),
)

index_inbox = Table(
    "index_inbox",
    metadata,
    # Changes that were taken while the index must not be written to, in their order.
    Column("id", Integer().with_variant(BigInteger, "postgresql"), primary_key=True),
    Column("kind", Text, nullable=False, comment="a member of index.changes.Kind"),
    Column("time", UtcDateTime, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("content", LargeBinary, nullable=False, comment="zlib of JSON: patient data"),
)

index_switches = Table(
    "index_switches",
    metadata,
    # What holds for the index on every node.
    Column("name", Text, primary_key=True, comment="a member of index.store.Switch"),
    Column("since", UtcDateTime, nullable=False),
)
