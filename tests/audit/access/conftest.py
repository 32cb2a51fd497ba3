import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rivta.audit.access.log import AccessLog
from rivta.store.engine import open_database
from rivta.store.kinds import ACCESS_LOG
from tests.audit.access.logs import Kept
from tests.databases import ENGINES, postgres_schema_url

__all__ = ["postgres_schema_url"]


@pytest.fixture(scope="session")
def empty_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with an access log that has no entries, to be copied."""
    file = tmp_path_factory.mktemp("access") / "access.sqlite"
    open_database(f"sqlite:///{file}", ACCESS_LOG).dispose()
    return file


@pytest.fixture
def sqlite_url(empty_log: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_log, tmp_path / 'access.sqlite')}"


@pytest.fixture(params=ENGINES)
def log_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_schema_url")
    return url


@pytest.fixture
def kept(log_url: str, tmp_path: Path) -> Iterator[Kept]:
    """An empty log on each engine, with its checkpoints."""
    log = AccessLog.open(log_url)
    yield Kept(log, tmp_path)
    log.close()


@pytest.fixture
def kept_on_sqlite(sqlite_url: str, tmp_path: Path) -> Iterator[Kept]:
    log = AccessLog.open(sqlite_url)
    yield Kept(log, tmp_path)
    log.close()
