"""The folder of one pair of platforms: where everything in it is, and which one a command means."""

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rivta.files import write_file
from rivta.run.endpoints import Endpoints

SOCKET_PATH_BYTES = 107
"""A Unix socket's address holds 108 bytes with the closing zero (unix(7))."""

_LONGEST_SOCKET_NAME = 24
_CHECKOUT_MARKS = ("pyproject.toml", "setup.cfg", ".git")


class HomeError(RuntimeError):
    """The folder cannot be used, or no pair runs in it; the message says which folder and what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """Paths of one pair. Nothing here touches the disk until a method that says so is called."""

    folder: Path

    @property
    def endpoints_file(self) -> Path:
        return self.folder / "endpoints.json"

    @property
    def admin_token_file(self) -> Path:
        return self.folder / "admin.token"

    @property
    def viewer_token_file(self) -> Path:
        """The token by which the console's process writes the access log."""
        return self.folder / "viewer.token"

    @property
    def console_file(self) -> Path:
        return self.folder / "console.toml"

    @property
    def certs(self) -> Path:
        return self.folder / "certs"

    @property
    def routing(self) -> Path:
        """The working copy of the routing tables, one folder per platform and one for the HSA tree."""
        return self.folder / "routing"

    @property
    def contracts(self) -> Path:
        """Contracts installed at run time, beside those that are shipped."""
        return self.folder / "contracts"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def state_file(self) -> Path:
        return self.run / "supervisor.json"

    @property
    def lock_file(self) -> Path:
        return self.run / "supervisor.lock"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def sockets(self) -> Path:
        """Where Unix sockets are: `run`, or a short folder of this home's own when that path is too long for one."""
        if len(os.fsencode(self.run)) + 1 + _LONGEST_SOCKET_NAME <= SOCKET_PATH_BYTES:
            return self.run
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(f"/tmp/rivta-{os.getuid()}-{digest}")  # noqa: S108 - `create` refuses it unless it is ours and 0700

    def platform(self, name: str) -> Path:
        """Folder of one platform's own data."""
        return self.folder / name

    def settings_file(self, platform: str) -> Path:
        return self.platform(platform) / "platform.toml"

    def create(self) -> None:
        """Make the folders that are missing, closed to others. Raises HomeError."""
        if self.folder.is_dir() and any((self.folder / mark).exists() for mark in _CHECKOUT_MARKS):
            raise HomeError(f"{self.folder} is a source folder, not a home for a pair: choose another with --home")
        for folder in (self.folder, self.run, self.certs, self.log, self.contracts):
            _make_private(folder)

    def create_sockets(self) -> None:
        """Make the folder of the Unix sockets. Raises HomeError."""
        _make_private(self.sockets)
        if self.sockets != self.run:
            _require_private(self.sockets)

    def remove_sockets(self) -> None:
        """Take the folder of the Unix sockets away again, if it is outside the home and empty."""
        if self.sockets != self.run:
            with contextlib.suppress(OSError):
                self.sockets.rmdir()

    def endpoints(self) -> Endpoints:
        """What the running pair published when it was ready; HomeError when none runs here."""
        try:
            content = self.endpoints_file.read_bytes()
        except FileNotFoundError:
            raise HomeError(
                f"no running pair in {self.folder}: start one with `rivta up --home {self.folder}`, "
                "or name another folder with --home"
            ) from None
        except OSError as error:
            raise HomeError(f"{self.endpoints_file} cannot be read: {error.strerror}") from error
        try:
            return cast(Endpoints, json.loads(content))
        except ValueError as error:
            raise HomeError(f"{self.endpoints_file} is not JSON ({error}): stop the pair and start it again") from error

    def admin_token(self) -> str:
        """The token that opens the admin APIs; HomeError when the pair was never started or the file is not ours."""
        try:
            return self.admin_token_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise HomeError(f"no admin token in {self.folder}: `rivta up --home {self.folder}` makes one") from None
        except (OSError, UnicodeDecodeError) as error:
            raise HomeError(f"{self.admin_token_file} cannot be read: {error}") from error


def resolve(home: str | None, *, environment: Mapping[str, str] = os.environ) -> Home:
    """The home that a command means.

    `home` (its --home) if given, else $RIVTA_HOME, else `.rivta` of the checkout that the program runs from, whatever
    the working folder is, else `~/.local/share/rivta`. Raises HomeError when the path is something else than a folder.
    """
    named = home or environment.get("RIVTA_HOME")
    folder = Path(named).expanduser() if named else _default_folder()
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - keeps symbolic links as the user wrote them
    if folder.exists() and not folder.is_dir():
        raise HomeError(f"{folder} is not a folder: name another with --home")
    return Home(folder)


def create_token(file: Path) -> None:
    """Make a token unless there is one; only its owner can read it."""
    if not file.exists():
        write_file(file, f"{secrets.token_urlsafe(32)}\n".encode("ascii"), mode=0o600)


def _default_folder() -> Path:
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "setup.cfg").is_file() and (checkout / "platform" / "rivta").is_dir():
        return checkout / ".rivta"
    return Path.home() / ".local" / "share" / "rivta"


def _make_private(folder: Path) -> None:
    """Make a folder that only its owner can enter; one that is there already keeps its mode. Raises HomeError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise HomeError(f"{folder} is not a folder: move it away, or name another home with --home") from None
    except OSError as error:
        where = error.filename or folder
        raise HomeError(f"{where} cannot be made: {error.strerror}. Name another home with --home") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HomeError(f"{folder} is not writable: name another home with --home")


def _require_private(folder: Path) -> None:
    """Refuse a folder, in a place that all may write to, that is not our own: another user may have laid it out."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise HomeError(f"{folder} was not made by us: remove it, or name a home with a shorter path with --home")
