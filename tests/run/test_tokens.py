"""Named tokens: kept as hashes, with a role and an end, and dead within a second of being revoked."""

import getpass
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, select

from rivta.catalogue.trail import AuditTrail
from rivta.run.admin_door import Caller, Role
from rivta.run.tokens import TokenRefused, Tokens
from rivta.store import schema
from tests.catalogue.tables import NOW
from tests.databases import database, migrated_file, migrated_postgres

__all__ = ["database", "migrated_file", "migrated_postgres"]


class Clock:
    """The time, as the test says."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def node(database: Engine, tmp_path: Path, clock: Clock) -> Callable[[], Tokens]:
    """Makes the tokens of one more node of a platform."""
    (tmp_path / "admin.token").write_text("first-token\n")

    def make() -> Tokens:
        made = Tokens(database, tmp_path / "admin.token", now=clock)
        made.refresh()
        return made

    return make


@pytest.fixture
def tokens(node: Callable[[], Tokens]) -> Tokens:
    return node()


def test_the_first_token_is_an_admins_with_the_name_of_the_files_owner(tokens: Tokens) -> None:
    assert tokens.check("first-token") == Caller(getpass.getuser(), Role.ADMIN)


@pytest.mark.parametrize("wrong", ["", "first-toke", "first-token ", "First-token", "f\udcffrst", "Bearer first-token"])
def test_anything_else_opens_nothing(tokens: Tokens, wrong: str) -> None:
    assert tokens.check(wrong) is None


def test_a_token_opens_in_its_name_and_only_its_hash_is_kept(tokens: Tokens, database: Engine) -> None:
    made, secret = tokens.create("kim", Role.EDITOR, expires=None, by="root")
    assert tokens.check(secret) == Caller("kim", Role.EDITOR)
    assert secret.startswith("rivta_")
    assert len(secret) > 40
    with database.connect() as connection:
        assert secret not in str(connection.execute(select(schema.tokens)).all())
    assert (made.name, made.role, made.created_by) == ("kim", Role.EDITOR, "root")


def test_a_revoked_token_opens_nothing_and_elsewhere_after_the_next_refresh(
    tokens: Tokens, node: Callable[[], Tokens]
) -> None:
    _, secret = tokens.create("kim", Role.READER, expires=None, by="root")
    other = node()
    assert other.check(secret) is not None
    tokens.revoke("kim", by="root")
    assert tokens.check(secret) is None
    other.refresh()
    assert other.check(secret) is None


def test_a_name_may_have_a_second_token_that_takes_over(tokens: Tokens) -> None:
    old, first = tokens.create("kim", Role.READER, expires=None, by="root")
    _, second = tokens.create("kim", Role.READER, expires=None, by="root")
    tokens.revoke(str(old.id), by="root")
    assert (tokens.check(first), tokens.check(second)) == (None, Caller("kim", Role.READER))


def test_a_token_ends_at_its_time(tokens: Tokens, clock: Clock) -> None:
    _, secret = tokens.create("kim", Role.READER, expires=NOW + timedelta(hours=1), by="root")
    clock.now = NOW + timedelta(minutes=59)
    assert tokens.check(secret) is not None
    clock.now = NOW + timedelta(hours=1)
    assert tokens.check(secret) is None


def test_it_is_known_when_a_token_was_last_used(tokens: Tokens, clock: Clock) -> None:
    _, secret = tokens.create("kim", Role.READER, expires=None, by="root")
    assert tokens.all()[0].last_used is None
    clock.now = NOW + timedelta(minutes=5)
    tokens.check(secret)
    tokens.refresh()
    assert tokens.all()[0].last_used == clock.now


@pytest.mark.parametrize(
    "name", ["", "two words", "7", "autopublish", "keeper", "a/b", "x" * 65, "-kim", getpass.getuser()]
)
def test_names_tell_who_did_something_and_are_not_taken_twice(tokens: Tokens, name: str) -> None:
    with pytest.raises(TokenRefused):
        tokens.create(name, Role.ADMIN, expires=None, by="root")
    assert tokens.all() == ()


def test_what_cannot_be_revoked_is_told(tokens: Tokens) -> None:
    with pytest.raises(TokenRefused, match="no token robin"):
        tokens.revoke("robin", by="root")
    with pytest.raises(TokenRefused, match="goes with the file"):
        tokens.revoke(getpass.getuser(), by="root")


def test_who_made_and_revoked_tokens_stands_in_the_trail(tokens: Tokens, database: Engine) -> None:
    tokens.create("kim", Role.PUBLISHER, expires=None, by="root")
    tokens.revoke("kim", by="lo")
    told = [(one.actor, one.action, one.subject, one.detail) for one in AuditTrail(database).newest()]
    assert told == [
        ("lo", "token revoked", "token 1 of kim", ""),
        ("root", "token created", "token 1 of kim", "publisher"),
    ]


def test_without_the_database_the_known_tokens_stay_and_a_new_file_counts(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "admin.token").write_text("first-token\n")
    tokens = Tokens(create_engine(f"sqlite:///{tmp_path}/nothing/here.sqlite"), tmp_path / "admin.token", now=clock)
    tokens.refresh()
    assert tokens.check("first-token") is not None
    (tmp_path / "admin.token").write_text("second-token\n")
    tokens.refresh()
    assert (tokens.check("first-token"), tokens.check("second-token") is not None) == (None, True)
    (tmp_path / "admin.token").write_text("\n")
    tokens.refresh()
    assert tokens.check("") is None
