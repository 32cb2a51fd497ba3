"""Runs the migrations. Imports Alembic, which takes longer than a warm start may: imported only when one is needed."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

SCRIPTS = Path(__file__).parent / "migrations"


def scripts(folder: Path = SCRIPTS) -> ScriptDirectory:
    """The migrations that come with the program: of the platform's database, or those in `folder`."""
    return ScriptDirectory(str(folder))


def upgrade(connection: Connection, folder: Path = SCRIPTS) -> None:
    """Brings the schema to the newest revision inside `connection`'s transaction: all of it, or nothing."""
    directory = scripts(folder)

    def steps(revision: object, _context: MigrationContext) -> list[object]:
        return list(directory._upgrade_revs("head", revision))  # type: ignore[arg-type]

    with EnvironmentContext(Config(), directory, fn=steps, destination_rev="head") as environment:
        # Both databases roll DDL back; Alembic assumes that SQLite does not, because of how its driver begins.
        environment.configure(connection=connection, transactional_ddl=True, render_as_batch=True)
        with environment.begin_transaction():
            environment.run_migrations()
