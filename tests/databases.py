"""An empty database for a test, on each engine that is supported. A folder's conftest imports the fixtures it uses."""

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import Engine, delete

from rivta.store.engine import open_database
from rivta.store.schema import metadata

ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


class PostgresServer:
    """A PostgreSQL server of our own with an empty database, on a Unix socket in `folder`. Skips where there is none."""

    def __init__(self, folder: Path) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        if not programs:
            pytest.skip("PostgreSQL's server programs are not installed (apt-get install postgresql)")
        self._programs, self._folder, self._as_owner = programs[-1], folder, list[str]()
        folder.mkdir()
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, "postgres")
            folder.parent.chmod(0o711)
            self._as_owner = ["runuser", "-u", "postgres", "--"]
        options = ("--no-sync", "--auth=trust", "--encoding=UTF8", "--no-locale", "--username=rivta")
        self._run("initdb", *options, "-D", self._data)

    @property
    def url(self) -> str:
        """Of its database."""
        return f"postgresql+psycopg://rivta@/postgres?host={self._folder}"

    @property
    def log(self) -> Path:
        """What it has logged."""
        return self._folder / "log"

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def start(self, *options: str) -> None:
        """Start it, with further `options`, as `-c log_statement=all`; it answers when this returns."""
        given = f"-c listen_addresses='' -c unix_socket_directories={self._folder} -c fsync=off {' '.join(options)}"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(self.log), "-o", given, "start")

    def stop(self) -> None:
        """Stop it as if it had crashed."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_owner, str(self._programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, timeout=60)


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of its own: a file, or a schema in the test run's PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/rivta.sqlite"
    url: str = request.getfixturevalue("postgres_schema_url")
    return url


@pytest.fixture
def postgres_schema_url(postgres_url: str) -> Iterator[str]:
    """An empty schema in the test run's PostgreSQL."""
    with _schema(postgres_url) as url:
        yield url


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An open database with the newest schema and no rows. Migrated once for all tests, which is most of the time."""
    if request.param == "sqlite":
        file = shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "rivta.sqlite")
        engine = open_database(f"sqlite:///{file}")
        yield engine
        engine.dispose()
        return
    migrated: Engine = request.getfixturevalue("migrated_postgres")
    with migrated.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
    yield migrated


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the newest schema and no rows, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "rivta.sqlite"
    open_database(f"sqlite:///{file}").dispose()
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str) -> Iterator[Engine]:
    """A schema in the test run's PostgreSQL with the newest tables; whoever uses it empties them first."""
    with _schema(postgres_url) as url:
        engine = open_database(url)
        yield engine
        engine.dispose()


@contextlib.contextmanager
def _schema(postgres_url: str) -> Iterator[str]:
    schema = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url.replace("postgresql+psycopg:", "postgresql:"), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        separator = "&" if "?" in postgres_url else "?"
        yield f"{postgres_url}{separator}options={quote(f'-csearch_path={schema}')}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE")
