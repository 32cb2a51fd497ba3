"""Opening the database: SQLite beside the platform, or PostgreSQL when there are several nodes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from rivta.store.kinds import PLATFORM, Kind, kind_with

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_S = 10
"""How long a statement waits for another process's write lock on SQLite."""
CONNECT_TIMEOUT_S = 5
_SILENT_SERVER = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
"""A server whose machine or network is gone closes nothing: the kernel gives it up after ten seconds, not minutes."""
MIGRATION_LOCK = 0x72697674
"""Key of the PostgreSQL advisory lock under which one node migrates while the others wait."""
_WRITES = "rivta_writes"


class DatabaseUnusable(Exception):
    """The database cannot be opened; the message says what, where and what to do, and holds no password."""


def open_database(url: str, kind: Kind = PLATFORM) -> Engine:
    """The database at `url`, which is of `kind`, its schema brought up to what this program needs.

    `sqlite:///<path>` (file and folder are made, readable by the owner only) or `postgresql+psycopg://user@host/name`.
    Raises DatabaseUnusable.
    """
    parsed = _parse(url)
    place = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite":
        _make_file(parsed)
    engine = _engine(parsed)
    try:
        _bring_up_to_date(engine, place, kind)
    except DBAPIError as error:
        engine.dispose()
        raise DatabaseUnusable(f"cannot open database {place}: {_reason(error)}; {_advice(parsed, error)}") from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_when_possible(url: str, kind: Kind = PLATFORM) -> tuple[Engine, bool]:
    """The database at `url`, and whether it is open: of a PostgreSQL that cannot be reached, the engine alone.

    Then `catch_up` is to be called until it says True; meanwhile every statement fails. Raises DatabaseUnusable for
    everything that does not go away by itself.
    """
    try:
        return open_database(url, kind), True
    except DatabaseUnusable as error:
        parsed = _parse(url)
        if parsed.get_backend_name() == "sqlite" or not isinstance(error.__cause__, OperationalError):
            raise
        if _advice(parsed, error.__cause__) != _unreachable(parsed):
            raise
        return _engine(parsed), False


def catch_up(engine: Engine, kind: Kind = PLATFORM) -> bool:
    """Whether the database can be reached, its schema now being what this program needs. Raises DatabaseUnusable."""
    try:
        _bring_up_to_date(engine, engine.url.render_as_string(hide_password=True), kind)
    except DBAPIError:
        return False
    return True


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that is going to write: committed at the end, rolled back on an error.

    Takes SQLite's write lock at once: a transaction that reads first and asks for it later is refused without waiting
    when another has written in between. On PostgreSQL the same as `engine.begin()`.
    """
    with engine.connect() as connection:
        connection = connection.execution_options(**{_WRITES: True})
        with connection.begin():
            yield connection


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # The text is not repeated: it may hold a password.
        raise DatabaseUnusable(
            "the database address is not a URL: write sqlite:///<path> or postgresql+psycopg://<user>@<host>/<name>"
        ) from error
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise DatabaseUnusable(
            f"database {parsed.render_as_string(hide_password=True)} is of a kind that is not supported: "
            "use sqlite:///<path> or postgresql+psycopg://<user>@<host>/<name>"
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise DatabaseUnusable("an SQLite database in memory is lost at restart: write sqlite:///<path>")
    return parsed


def _make_file(url: URL) -> None:
    """Makes the file so that only its owner reads it; SQLite gives the files of its WAL the same mode."""
    assert url.database is not None
    path = Path(url.database)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DatabaseUnusable(
            f"cannot open database file {path}: {error.strerror}; "
            f"make {path.parent} writable for this user, or choose another place"
        ) from error


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        url,
        pool_pre_ping=True,  # a server that was restarted must cost no failed statement
        # What the URL says of these goes before.
        connect_args={
            name: value
            for name, value in {
                "connect_timeout": CONNECT_TIMEOUT_S,
                "application_name": "rivta",
                **_SILENT_SERVER,
            }.items()
            if name not in url.query
        },
    )


def _prepare_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # Python's driver would begin transactions by itself, after the first read, and not around DDL: we begin them.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        _use_wal(cursor)
        # FULL: a commit is on the disk when it returns. The collector deletes a spool segment after the commit, and a
        # publication is announced after it; with NORMAL a power cut could take both back. Costs one fsync per commit.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
    finally:
        cursor.close()


def _use_wal(cursor: Any) -> None:
    """Readers and the writer do not wait for each other. Kept in the file, so only the first start changes anything."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # While another process makes the same change, SQLite refuses at once instead of waiting.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _bring_up_to_date(engine: Engine, place: str, kind: Kind) -> None:
    """Migrates when the schema is older; the check is one query, so that a warm start never imports Alembic."""
    newest = kind.revisions[-1]
    with engine.connect() as connection:
        revision = _revision(connection)
    if revision == newest:
        return
    _refuse_other(revision, place, kind)
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            # Held until the transaction ends; SQLite's write lock does the same there.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        revision = _revision(connection)
        _refuse_other(revision, place, kind)
        if revision != newest:
            from rivta.store.migrate import upgrade

            upgrade(connection, kind.migrations)


def _revision(connection: Connection) -> str | None:
    """The Alembic revision of the schema; None when there is none yet."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _refuse_other(revision: str | None, place: str, kind: Kind) -> None:
    """Refuses a database that is newer than this program, or holds something else."""
    if revision is None or revision in kind.revisions:
        return
    other = kind_with(revision)
    if other is not None:
        raise DatabaseUnusable(f"database {place} is {other.name}, and {kind.name} is needed: give each its own")
    raise DatabaseUnusable(
        f"database {place} has schema {revision}, newer than this program, which knows up to "
        f"{kind.revisions[-1]}: upgrade rivta, or restore the backup made before the upgrade"
    )


def _reason(error: DBAPIError) -> str:
    """What the driver says, on one line."""
    return "; ".join(line.strip() for line in str(error.orig).splitlines() if line.strip()) or type(error.orig).__name__


def _advice(url: URL, error: DBAPIError) -> str:
    if url.get_backend_name() == "sqlite":
        if "not a database" in str(error.orig):
            return "move the file away and restore a backup, or start with a new one"
        return f"see that {url.database} and its folder are writable for this user and that the disk is not full"
    reason = str(error.orig).lower()
    if "password" in reason or "authentication" in reason:
        return f"check the password of {url.username!r} (in the URL, or in ~/.pgpass)"
    if "does not exist" in reason:
        return "create the database and the role first (createuser, createdb), or correct the URL"
    if "permission denied" in reason:
        return f"{url.username!r} must own the database, so that it may create tables"
    return _unreachable(url)


def _unreachable(url: URL) -> str:
    return f"check that PostgreSQL answers at {url.host or 'the local socket'} and the URL is right"
