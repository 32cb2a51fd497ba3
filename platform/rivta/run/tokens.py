"""Named tokens of the admin API: who may what, until when. Kept as hashes in the database, looked up in memory.

A token is 256 random bits, so one round of SHA-256 is enough: there is no password to guess. The first token is in a
file of its own, so that there is a way in before there are others and while the database is away.
"""

from __future__ import annotations

import hashlib
import hmac
import pwd
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, insert, select, update

from rivta.catalogue.database import ATTEMPTS, NumberTaken, PublicationsUnavailable, numbering, reading
from rivta.catalogue.trail import Action, event
from rivta.run.admin_door import Caller, Role
from rivta.store import schema

REFRESH_SECONDS = 0.5
"""How often the tokens are read again: one that another node revoked opens nothing a second later."""

_USED_INTERVAL = timedelta(minutes=1)
"""How exactly it is kept when a token was last used."""

_PREFIX = "rivta_"
"""So that programs that look for secrets where none should be know one."""

_NAME = re.compile(r"[A-Za-z0-9ÅÄÖåäö][\w.@-]{0,63}")
_RESERVED = ("autopublish", "keeper")
"""Names that stand in histories for what nobody did."""


class TokenRefused(ValueError):
    """No token was made, or revoked; the message says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, but for its secret."""

    id: int
    name: str
    role: Role
    created: datetime
    created_by: str
    expires: datetime | None
    last_used: datetime | None
    revoked: datetime | None
    revoked_by: str | None

    def to_json(self) -> dict[str, Any]:
        """As the admin API tells it."""
        moments = {name: getattr(self, name) for name in ("created", "expires", "last_used", "revoked")}
        told = {name: None if at is None else at.astimezone(UTC).isoformat() for name, at in moments.items()}
        return {
            "id": self.id,
            "name": self.name,
            "role": self.role.value,
            "created_by": self.created_by,
            "revoked_by": self.revoked_by,
            **told,
        }


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that may open something."""

    hash: bytes
    caller: Caller
    id: int | None
    """None for that of the file."""
    expires: datetime | None


class Tokens:
    """The tokens of one platform. `check` costs no I/O; `refresh` is to be called every REFRESH_SECONDS."""

    def __init__(self, engine: Engine, first: Path, *, now: Callable[[], datetime], viewer: Path | None = None) -> None:
        """`first` is the file with the first token, an admin's who has the name of the file's owner; `viewer` that of
        the patient overview's process, if there is one."""
        self._engine = engine
        self._first = first
        self._viewer = viewer
        self._now = now
        self._from_file: tuple[_Known, ...] = ()
        self._from_database: tuple[_Known, ...] = ()
        self._used: dict[int, datetime] = {}
        self._noted: dict[int, datetime] = {}

    def check(self, token: str) -> Caller | None:
        """Whose `token` is; None when it opens nothing. Takes the same time whatever is wrong with it."""
        given = _hash(token).encode()
        now = self._now()
        found: _Known | None = None
        for known in (*self._from_file, *self._from_database):
            is_alive = known.expires is None or now < known.expires
            if hmac.compare_digest(known.hash, given) and is_alive:
                found = known
        if found is None:
            return None
        if found.id is not None:
            self._used[found.id] = now
        return found.caller

    def refresh(self) -> None:
        """Read file and database again. When the database is away, the tokens that were known stay.

        Blocking. Raises nothing: a token that cannot be read opens nothing.
        """
        self._from_file = (*_read_file(self._first, Role.ADMIN), *_read_file(self._viewer, Role.VIEWER))
        try:
            rows = self._rows(select(schema.tokens).where(schema.tokens.c.revoked.is_(None)))
            self._from_database = tuple(
                _Known(row["hash"].encode(), Caller(row["name"], Role(row["role"])), row["id"], row["expires"])
                for row in rows
            )
            self._note_used()
        except PublicationsUnavailable:
            return

    def all(self) -> tuple[Token, ...]:
        """Every token there was, newest first. Raises PublicationsUnavailable."""
        return tuple(_token(row) for row in self._rows(select(schema.tokens).order_by(schema.tokens.c.id.desc())))

    def create(self, name: str, role: Role, *, expires: datetime | None, by: str) -> tuple[Token, str]:
        """A new token and its secret, which is told only now. Raises TokenRefused, PublicationsUnavailable."""
        now = self._now()
        self._refuse_name(name)
        if expires is not None and expires <= now:
            raise TokenRefused("a token that has expired already opens nothing: give a later time")
        secret = f"{_PREFIX}{secrets.token_urlsafe(32)}"
        values = {"name": name, "role": role.value, "hash": _hash(secret), "created": now, "created_by": by}
        for _ in range(ATTEMPTS):
            try:
                with numbering(self._engine) as connection:
                    id = (connection.scalar(select(func.max(schema.tokens.c.id))) or 0) + 1
                    connection.execute(insert(schema.tokens).values(id=id, expires=expires, **values))
                    connection.execute(event(now, by, Action.TOKEN_CREATED, f"token {id} of {name}", role.value))
            except NumberTaken:
                continue
            self.refresh()
            return Token(id, name, role, now, by, expires, None, None, None), secret
        raise PublicationsUnavailable("others keep making tokens at the same time; try again")

    def revoke(self, name: str, *, by: str) -> tuple[Token, ...]:
        """Every token of that name, or the one with that id, opens nothing any more.

        Raises TokenRefused when there is none, PublicationsUnavailable.
        """
        now, table = self._now(), schema.tokens
        meant = (table.c.name == name) if not name.isdigit() else (table.c.id == int(name))
        alive = [_token(row) for row in self._rows(select(table).where(meant & table.c.revoked.is_(None)))]
        if not alive:
            hint = " (that of the token file goes with the file)" if name in self._first_names() else ""
            raise TokenRefused(f"no token {name} that could be revoked{hint}: `rivta token list` shows them")
        with numbering(self._engine) as connection:
            for one in alive:
                change = update(table).where(table.c.id == one.id).values(revoked=now, revoked_by=by)
                connection.execute(change)
                connection.execute(event(now, by, Action.TOKEN_REVOKED, f"token {one.id} of {one.name}"))
        self.refresh()
        return tuple(alive)

    def _refuse_name(self, name: str) -> None:
        if not _NAME.fullmatch(name) or name.isdigit():
            raise TokenRefused(f"{name!r} is no name: letters, digits, . _ @ and -, at most 64, not digits alone")
        if name in _RESERVED or name in self._first_names():
            raise TokenRefused(f"{name} is taken: whoever did something must be told apart")

    def _first_names(self) -> tuple[str, ...]:
        return tuple(known.caller.name for known in self._from_file)

    def _rows(self, query: Any) -> list[dict[str, Any]]:
        with reading(self._engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _note_used(self) -> None:
        """Keep when tokens were used, once a minute at most."""
        due = {
            id: used
            for id, used in self._used.items()
            if id not in self._noted or used - self._noted[id] >= _USED_INTERVAL
        }
        if not due:
            return
        with numbering(self._engine) as connection:
            for id, used in due.items():
                connection.execute(update(schema.tokens).where(schema.tokens.c.id == id).values(last_used=used))
        self._noted |= due


def _read_file(file: Path | None, role: Role) -> tuple[_Known, ...]:
    """The token of a file, and whose: an admin is the file's owner, the viewer is called so. None where it cannot be
    read."""
    if file is None:
        return ()
    try:
        token = file.read_text(encoding="ascii").strip()
        owner = file.stat().st_uid
    except (OSError, ValueError):
        return ()
    if not token:
        return ()
    name = _user(owner) if role is Role.ADMIN else role.value
    return (_Known(_hash(token).encode(), Caller(name, role), None, None),)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _user(owner: int) -> str:
    """The operating system's name of a user; its number when it has none."""
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"user{owner}"


def _token(row: dict[str, Any]) -> Token:
    fields = {name: value for name, value in row.items() if name != "hash"}
    return Token(**fields | {"role": Role(fields["role"])})
