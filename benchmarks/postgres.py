"""A PostgreSQL server of a benchmark's own, on a Unix socket, with the settings that it comes with."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OWNER = "postgres"


class NoServer(RuntimeError):
    """PostgreSQL's server programs are not installed."""


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database, until it is left. `folder` has a short path. Raises NoServer."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: int(one.parent.name))
    if not programs:
        raise NoServer("PostgreSQL's server programs are not installed: apt-get install postgresql")
    folder.mkdir()
    as_owner: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, _OWNER)
        folder.parent.chmod(0o711)
        as_owner = ["runuser", "-u", _OWNER, "--"]

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [*as_owner, str(programs[-1] / program), *arguments], check=True, capture_output=True, cwd=folder
        )

    data = str(folder / "data")
    run("initdb", "--auth=trust", "--encoding=UTF8", "--no-locale", "--username=rivta", "-D", data)
    options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://rivta@/postgres?host={folder}"
    finally:
        run("pg_ctl", "-D", data, "-m", "fast", "stop")
