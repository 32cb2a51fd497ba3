"""A database of an older version, with rows, becomes one of today, and loses nothing."""

from datetime import UTC, datetime

import pytest
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from sqlalchemy import Connection, Engine, create_engine, select, text

from rivta.catalogue import content
from rivta.catalogue.publications import Divergence, HsaVersions, Publications
from rivta.catalogue.rows import Draft
from rivta.store import migrate, schema
from rivta.store.engine import open_database

THEN = datetime(2026, 5, 1, 12, tzinfo=UTC)
EMPTY = content.encode(Draft())

PUBLICATION = text(
    "INSERT INTO publications (number, time, author, comment, digest, content, routes, permissions, rollback_of) "
    "VALUES (:number, :time, 'kim', :comment, :digest, :content, 3, 4, :rollback_of)"
)
CALL = text(
    "INSERT INTO calls (id, time, platform, correlation_id, outcome, route_trace, permission_trace, http_status, "
    "elapsed_ms, bytes_in, bytes_out, detail, violations) "
    "VALUES ('w-b-1', :time, 'P', 'c', 'routed', 'A', 'A', 200, 1.5, 10, 20, '', '[]')"
)


@pytest.fixture
def old_database(database_url: str) -> str:
    """The URL of a database as the first version made it, with two publications and a call."""
    url = database_url
    engine = create_engine(url)
    with engine.begin() as connection:
        upgrade(connection, "r0001")
        stored = content.compress(EMPTY)
        for number, rollback_of in ((1, None), (2, None), (3, 1)):
            row = {"number": number, "time": moment(engine), "comment": f"no {number}", "rollback_of": rollback_of}
            connection.execute(PUBLICATION, row | {"digest": content.digest(EMPTY), "content": stored})
        connection.execute(CALL, {"time": moment(engine)})
    engine.dispose()
    return url


def moment(engine: Engine) -> object:
    """THEN as the database has it: SQLite's times are texts."""
    return THEN.replace(tzinfo=None).isoformat(" ", "microseconds") if engine.dialect.name == "sqlite" else THEN


def upgrade(connection: Connection, revision: str) -> None:
    """The schema as `revision` has it."""
    directory = migrate.scripts()

    def steps(at: object, _context: object) -> list[object]:
        return list(directory._upgrade_revs(revision, at))  # type: ignore[arg-type]

    with EnvironmentContext(Config(), directory, fn=steps, destination_rev=revision) as environment:
        environment.configure(connection=connection, transactional_ddl=True, render_as_batch=True)
        with environment.begin_transaction():
            environment.run_migrations()


def test_what_an_older_version_has_written_is_all_there_after_the_upgrade(old_database: str) -> None:
    engine = open_database(old_database)
    publications = Publications(engine)
    assert [one.number for one in publications.history()] == [3, 2, 1]
    first = publications.get(1)
    assert (first.author, first.comment, first.time, first.routes) == ("kim", "no 1", THEN, 3)
    assert (first.approver, first.scheduled_for, first.files, publications.sources(1)) == (None, None, None, None)
    assert publications.content(2) == EMPTY
    assert HsaVersions(engine).newest() is None
    with engine.connect() as connection:
        assert connection.execute(select(schema.calls.c.id, schema.calls.c.tls)).all() == [("w-b-1", None)]
    engine.dispose()


def test_a_rollback_that_was_in_force_still_holds_autopublish_back(old_database: str) -> None:
    engine = open_database(old_database)
    assert Publications(engine).divergences() == (Divergence(publication=3, undone=2),)
    engine.dispose()
