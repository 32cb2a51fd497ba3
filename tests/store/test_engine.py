import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, func, insert, inspect, select, text

from rivta.store import schema
from rivta.store.engine import DatabaseUnusable, catch_up, open_database, open_when_possible, writing


def test_opening_makes_every_table(database: Engine) -> None:
    assert set(schema.metadata.tables) <= set(inspect(database).get_table_names())


def test_opening_again_keeps_what_is_there(database_url: str) -> None:
    _add_gap(open_database(database_url), "1")

    engine = open_database(database_url)

    assert _gaps(engine) == 1


def test_a_warm_start_does_not_import_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/rivta.sqlite"
    open_database(url).dispose()
    program = (
        "import sys; from rivta.store.engine import open_database; "
        f"open_database({url!r}); sys.exit('alembic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], timeout=30).returncode == 0


def test_several_nodes_may_start_at_once(database_url: str) -> None:
    start = threading.Barrier(4)

    def node() -> int:
        start.wait()
        engine = open_database(database_url)
        tables = len(inspect(engine).get_table_names())
        engine.dispose()
        return tables

    with ThreadPoolExecutor(4) as threads:
        results = [threads.submit(node) for _ in range(4)]

    assert {result.result() for result in results} == {len(schema.metadata.tables) + 1}


def test_a_writing_transaction_is_undone_by_an_error(database: Engine) -> None:
    def fail_after_writing() -> None:
        with writing(database) as connection:
            connection.execute(insert(schema.call_gaps), _gap("1"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_writing()

    assert _gaps(database) == 0


def test_writers_that_read_first_wait_for_each_other(database: Engine) -> None:
    """On SQLite a plain transaction would be refused here: it read before another wrote."""
    start = threading.Barrier(4)

    def count_up() -> None:
        start.wait()
        for _ in range(10):
            with writing(database) as connection:
                if database.dialect.name == "postgresql":
                    connection.execute(text("LOCK TABLE call_gaps"))
                number = connection.execute(select(func.count()).select_from(schema.call_gaps)).scalar_one()
                connection.execute(insert(schema.call_gaps), _gap(str(number)))

    with ThreadPoolExecutor(4) as threads:
        results = [threads.submit(count_up) for _ in range(4)]

    assert [result.exception() for result in results] == [None] * 4
    assert _gaps(database) == 40


def test_a_schema_newer_than_the_program_is_refused(database_url: str) -> None:
    engine = open_database(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
    engine.dispose()

    with pytest.raises(DatabaseUnusable, match=r"has schema r9999, newer than this program.*upgrade rivta"):
        open_database(database_url)


class TestSqlite:
    def test_only_the_owner_can_read_the_file_and_its_folder(self, tmp_path: Path) -> None:
        file = tmp_path / "new" / "rivta.sqlite"

        engine = open_database(f"sqlite:///{file}")

        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [file.parent, *file.parent.iterdir()]}
        engine.dispose()
        assert modes.pop("new") == 0o700
        assert set(modes.values()) == {0o600}

    def test_a_file_that_others_could_read_is_closed_to_them(self, tmp_path: Path) -> None:
        file = tmp_path / "rivta.sqlite"
        file.touch(0o644)

        open_database(f"sqlite:///{file}").dispose()

        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_commits_are_durable_and_readers_do_not_wait(self, tmp_path: Path) -> None:
        engine = open_database(f"sqlite:///{tmp_path}/rivta.sqlite")
        with engine.connect() as connection:
            pragmas = {
                name: connection.execute(text(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        engine.dispose()

        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(DatabaseUnusable, match=rf"cannot open database file {tmp_path}/file/x.sqlite.*writable"):
            open_database(f"sqlite:///{tmp_path}/file/x.sqlite")

    def test_a_file_that_is_no_database_is_left_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "rivta.sqlite"
        file.write_bytes(b"minutes of the meeting\n" * 100)

        with pytest.raises(DatabaseUnusable, match="file is not a database; move the file away"):
            open_database(f"sqlite:///{file}")

        assert file.read_bytes().startswith(b"minutes")

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
    def test_a_database_in_memory_is_refused(self, url: str) -> None:
        with pytest.raises(DatabaseUnusable, match="lost at restart"):
            open_database(url)


class TestAddress:
    def test_another_kind_of_database_is_refused_without_showing_the_password(self) -> None:
        with pytest.raises(DatabaseUnusable, match="not supported") as refused:
            open_database("mysql://rivta:hemligt@db/rivta")

        assert "hemligt" not in str(refused.value)

    def test_what_is_no_url_is_not_repeated(self) -> None:
        with pytest.raises(DatabaseUnusable, match="is not a URL") as refused:
            open_database("rivta:hemligt@db")

        assert "hemligt" not in str(refused.value)


class TestPostgresql:
    @pytest.mark.postgres
    def test_a_database_that_does_not_exist_is_named(self, postgres_url: str) -> None:
        url = postgres_url.replace("/postgres?", "/nowhere?")

        with pytest.raises(DatabaseUnusable, match=r'database "nowhere" does not exist; create the database'):
            open_database(url)

    @pytest.mark.postgres
    def test_a_connection_that_the_server_dropped_costs_no_statement(self, postgres_schema_url: str) -> None:
        engine = open_database(postgres_schema_url)
        with engine.connect() as one, engine.connect() as other:
            pid = one.execute(text("SELECT pg_backend_pid()")).scalar_one()
            one.rollback()
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

        with engine.connect() as one, engine.connect() as other:
            assert [one.execute(text("SELECT 1")).scalar(), other.execute(text("SELECT 1")).scalar()] == [1, 1]
        engine.dispose()

    @pytest.mark.sockets
    def test_a_wrong_password_is_told_without_showing_it(self, refusing_server: int) -> None:
        with pytest.raises(DatabaseUnusable, match=r"password authentication failed.*check the password") as refused:
            open_database(f"postgresql+psycopg://rivta:hemligt@127.0.0.1:{refusing_server}/rivta?sslmode=disable")

        assert "hemligt" not in str(refused.value)
        assert "\n" not in str(refused.value)

    @pytest.mark.sockets
    def test_a_server_that_is_down_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]

        with pytest.raises(DatabaseUnusable, match=rf"127.0.0.1:{port}.*check that PostgreSQL answers"):
            open_database(f"postgresql+psycopg://rivta@127.0.0.1:{port}/rivta")


class TestWithoutTheServer:
    @pytest.mark.sockets
    def test_one_that_is_down_is_waited_for(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]

        engine, is_open = open_when_possible(f"postgresql+psycopg://rivta@127.0.0.1:{port}/rivta")

        assert (is_open, catch_up(engine)) == (False, False)
        engine.dispose()

    @pytest.mark.sockets
    def test_a_wrong_password_is_not(self, refusing_server: int) -> None:
        with pytest.raises(DatabaseUnusable, match="check the password"):
            open_when_possible(f"postgresql+psycopg://rivta:x@127.0.0.1:{refusing_server}/rivta?sslmode=disable")

    def test_its_schema_is_made_when_it_is_back(self, database_url: str) -> None:
        engine = create_engine(database_url)

        assert catch_up(engine)

        assert set(schema.metadata.tables) <= set(inspect(engine).get_table_names())
        engine.dispose()


@pytest.fixture
def refusing_server() -> Iterator[int]:
    """A server that answers the start of a PostgreSQL session with error 28P01, invalid password; its port."""
    fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "rivta"\0\0'
    message = b"E" + struct.pack("!I", len(fields) + 4) + fields

    def answer(server: socket.socket) -> None:
        with server:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(message)

    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(10)
    thread = threading.Thread(target=answer, args=(server,))
    thread.start()
    yield server.getsockname()[1]
    thread.join()


def _gap(id: str) -> dict[str, object]:
    return {
        "id": id,
        "time": datetime(2026, 11, 24, tzinfo=UTC),
        "writer": "w",
        "boot": "b",
        "sequence": 0,
        "kind": "dropped",
        "missing": 1,
        "detail": "",
    }


def _add_gap(engine: Engine, id: str) -> None:
    with writing(engine) as connection:
        connection.execute(insert(schema.call_gaps), _gap(id))
    engine.dispose()


def _gaps(engine: Engine) -> int:
    with engine.connect() as connection:
        count: int = connection.execute(select(func.count()).select_from(schema.call_gaps)).scalar_one()
    engine.dispose()
    return count


@pytest.mark.postgres
def test_a_postgresql_that_falls_silent_is_given_up_in_seconds_and_the_url_may_say_otherwise(postgres_url: str) -> None:
    for query, seconds in (("", "10000"), ("&tcp_user_timeout=3000", "3000")):
        engine, is_open = open_when_possible(postgres_url + query)
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            assert driver.info.get_parameters()["tcp_user_timeout"] == seconds
        engine.dispose()
        assert is_open
