from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import StatementError

from rivta.store import migrate, schema
from rivta.store.engine import open_database, writing
from rivta.store.kinds import KINDS, Kind

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.builds(
    lambda seconds, microsecond, zone: (EPOCH + timedelta(seconds=seconds, microseconds=microsecond)).astimezone(zone),
    st.integers(-60_000_000_000, 250_000_000_000),
    st.integers(0, 999_999),
    ZONES,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_migrations_lead_to_the_schema_that_the_program_uses(database_url: str, kind: Kind) -> None:
    engine = open_database(database_url, kind)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, kind.metadata) == []
    engine.dispose()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_program_knows_every_migration(kind: Kind) -> None:
    revisions = [script.revision for script in migrate.scripts(kind.migrations).walk_revisions()]

    assert tuple(reversed(revisions)) == kind.revisions


def test_no_two_kinds_of_database_have_a_revision_of_the_same_name() -> None:
    revisions = [revision for kind in KINDS for revision in kind.revisions]

    assert len(set(revisions)) == len(revisions)


@given(time=INSTANTS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_time_comes_back_as_the_same_instant_in_utc(database: Engine, time: datetime) -> None:
    with writing(database) as connection:
        connection.execute(delete(schema.hsa_versions))
        connection.execute(insert(schema.hsa_versions), _version(1, time))
        stored = connection.execute(select(schema.hsa_versions.c.time)).scalar_one()

    assert stored == time
    assert stored.tzinfo is UTC


def test_times_sort_by_instant_whatever_zone_they_were_given_in(database: Engine) -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    times = [noon + timedelta(minutes=n) for n in (3, 1, 2)]
    with writing(database) as connection:
        for number, time in enumerate(times):
            zoned = time.astimezone(timezone(timedelta(hours=number * 5)))
            connection.execute(insert(schema.hsa_versions), _version(number, zoned))

        found = connection.execute(select(schema.hsa_versions.c.number).order_by(schema.hsa_versions.c.time)).scalars()

        assert list(found) == [1, 2, 0]


def test_a_time_without_zone_is_refused(database: Engine) -> None:
    with pytest.raises(StatementError, match="has no zone"), writing(database) as connection:
        connection.execute(insert(schema.hsa_versions), _version(1, datetime(2026, 11, 24)))  # noqa: DTZ001


def _version(number: int, time: datetime) -> dict[str, object]:
    return {"number": number, "time": time, "digest": "d", "content": b"", "units": 0}
