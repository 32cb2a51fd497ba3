"""Publications in the database: numbered, append-only, and safe when several publish at once."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, update

from rivta.catalogue import content
from rivta.catalogue.lint import Report
from rivta.catalogue.publications import (
    HsaVersions,
    Publication,
    PublicationRefused,
    Publications,
    PublicationsUnavailable,
    signed_digest,
)
from rivta.catalogue.rows import Draft
from rivta.store import schema
from tests.catalogue.tables import NOW, checked, tree


def report(folder: Path, address: str = "SE2321000016-KS", **changed: str) -> Report:
    text = f"""\
        components: {{SE2321000016-A: {{name: a}}}}
        producer_addresses: {{a: {{component: SE2321000016-A, url: "https://a.test/"}}}}
        routes: [{{logical_address: {address}, contracts: GetDiagnosis:2, producer_address: {changed.get("to", "a")}}}]
        """
    return checked(folder, text)


EMPTY = Report(Draft(), (), ())


def publish(publications: Publications, what: Report, **changed: object) -> Publication:
    options: dict[str, object] = {"author": "kim", "comment": "first", "now": NOW, **changed}
    return publications.publish(what, **options)  # type: ignore[arg-type]


def test_a_publication_keeps_who_when_why_and_what(database: Engine, tmp_path: Path) -> None:
    publications = Publications(database)
    assert publications.newest() is None
    assert publications.newest_number() == 0
    what = report(tmp_path)
    made = publish(publications, what)
    assert (made.number, made.author, made.comment, made.time) == (1, "kim", "first", NOW)
    assert (made.routes, made.permissions, made.rollback_of) == (1, 0, None)
    assert publications.newest() == publications.get(1) == made
    assert content.decode(publications.content(1)).routes == what.draft.routes
    assert made.digest == content.digest(publications.content(1))


def test_the_same_content_is_not_published_again(database: Engine, tmp_path: Path) -> None:
    publications = Publications(database)
    first = publish(publications, report(tmp_path))
    assert publish(publications, report(tmp_path), comment="again") == first
    assert publications.newest_number() == 1


def test_a_draft_with_errors_is_refused_with_all_of_them(database: Engine, tmp_path: Path) -> None:
    publications = Publications(database)
    with pytest.raises(PublicationRefused, match="1 error") as refusal:
        publish(publications, report(tmp_path, to="nowhere"))
    assert [problem.rule for problem in refusal.value.problems] == ["unknown-producer-address"]
    assert publications.newest() is None


def test_an_empty_draft_never_replaces_a_table_unless_that_is_meant(database: Engine, tmp_path: Path) -> None:
    publications = Publications(database)
    publish(publications, report(tmp_path))
    with pytest.raises(PublicationRefused, match="publication 1 has 1 route and 0 permissions"):
        publish(publications, EMPTY)
    assert publish(publications, EMPTY, allow_empty=True).number == 2
    assert publish(publications, report(tmp_path)).number == 3


def test_an_empty_draft_may_be_the_first(database: Engine) -> None:
    assert publish(Publications(database), EMPTY).number == 1


def test_a_rollback_is_a_new_publication_of_the_old_content(database: Engine, tmp_path: Path) -> None:
    publications = Publications(database)
    first = publish(publications, report(tmp_path))
    publish(publications, report(tmp_path, "SE2321000016-SOS"))
    back = publications.rollback(1, author="robin", comment="oops", now=NOW + timedelta(hours=1))
    assert (back.number, back.rollback_of, back.digest, back.author) == (3, 1, first.digest, "robin")
    assert publications.content(3) == publications.content(1)
    assert [one.number for one in publications.history()] == [3, 2, 1]
    assert [one.number for one in publications.history(limit=1)] == [3]


def test_a_number_that_is_not_there_is_named(database: Engine) -> None:
    publications = Publications(database)
    for call in (publications.get, publications.content):
        with pytest.raises(LookupError, match="no publication 9"):
            call(9)
    with pytest.raises(LookupError, match="no publication 9"):
        publications.rollback(9, author="a", comment="b", now=NOW)


def test_the_signature_covers_number_and_content(database: Engine, tmp_path: Path) -> None:
    publications = Publications(database, sign=lambda digest: b"signed " + digest)
    made = publish(publications, report(tmp_path))
    assert made.signature == b"signed " + signed_digest(1, made.digest)
    again = publications.rollback(1, author="a", comment="b", now=NOW)
    assert again.signature != made.signature
    assert publications.get(2) == again


def test_content_that_was_changed_in_the_database_is_refused(database: Engine, tmp_path: Path) -> None:
    publications = Publications(database)
    publish(publications, report(tmp_path))
    with database.begin() as connection:
        connection.execute(update(schema.publications).values(content=content.compress(b"{}")))
    with pytest.raises(ValueError, match="publication 1 is damaged"):
        publications.content(1)


def test_two_who_publish_at_once_get_numbers_of_their_own(database: Engine, tmp_path: Path) -> None:
    reports = [report(tmp_path / str(number), f"SE2321000016-A{number}") for number in range(6)]
    made: list[Publication] = []
    start = threading.Barrier(len(reports))

    def run(what: Report) -> None:
        start.wait()
        made.append(publish(Publications(database), what))

    threads = [threading.Thread(target=run, args=(what,)) for what in reports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.number for one in made) == [1, 2, 3, 4, 5, 6]


def test_the_same_draft_published_by_two_at_once_is_one_publication(database: Engine, tmp_path: Path) -> None:
    what = report(tmp_path)
    start = threading.Barrier(4)
    made: list[int] = []

    def run() -> None:
        start.wait()
        made.append(publish(Publications(database), what).number)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1, 1, 1, 1]
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.publications)) == 1


def test_a_database_that_is_away_is_an_error_of_ours(migrated_file: Path, tmp_path: Path) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{tmp_path}/nothing/here.sqlite")
    for call in (Publications(engine).newest, Publications(engine).newest_number, HsaVersions(engine).newest):
        with pytest.raises(PublicationsUnavailable, match="unable to open"):
            call()
    engine.dispose()


def test_each_new_tree_is_a_version_and_the_same_is_none(database: Engine) -> None:
    versions = HsaVersions(database)
    assert versions.newest() is None
    first = versions.publish(tree(A=None, B="A"), now=NOW)
    assert versions.publish(tree(B="A", A=None), now=NOW) == first
    second = versions.publish(tree(A=None, B=None), now=NOW)
    assert (first.number, second.number, second.units) == (1, 2, 2)
    assert versions.tree(1).ancestors("B") == ("A", "SE")
    with pytest.raises(LookupError, match="no version 3"):
        versions.tree(3)


def test_a_tree_that_lost_more_than_a_fifth_is_refused(database: Engine) -> None:
    versions = HsaVersions(database)
    names = [f"U{number}" for number in range(10)]
    versions.publish(tree(**dict.fromkeys(names)), now=NOW)
    with pytest.raises(PublicationRefused, match="from 10 to 7 units"):
        versions.publish(tree(**dict.fromkeys(names[:7])), now=NOW)
    assert versions.publish(tree(**dict.fromkeys(names[:8])), now=NOW).number == 2
