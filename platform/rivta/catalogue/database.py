"""The database as the catalogue uses it: its errors are one error of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from rivta.store.engine import writing

ATTEMPTS = 10
"""How often a number is tried for when others take it first."""


class PublicationsUnavailable(OSError):
    """The database did not answer, or not as it should."""


class NumberTaken(Exception):
    """Another has given the number first: look again, and try the next one."""


@contextmanager
def translated(what: str = "the database of publications does not answer") -> Iterator[None]:
    """SQLAlchemy's errors as ours."""
    try:
        yield
    except SQLAlchemyError as error:
        # The statement's values are megabytes of content, and the driver's own message says what is wrong.
        reason = getattr(error, "orig", None) or type(error).__name__
        raise PublicationsUnavailable(f"{what}: {reason}") from error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection to read from. Raises PublicationsUnavailable."""
    with translated(), engine.connect() as connection:
        yield connection


@contextmanager
def numbering(engine: Engine) -> Iterator[Connection]:
    """A transaction that gives a number. Raises NumberTaken when another gave it first, PublicationsUnavailable."""
    with translated("the publication could not be stored"):
        try:
            with writing(engine) as connection:
                yield connection
        except IntegrityError as error:
            raise NumberTaken from error
