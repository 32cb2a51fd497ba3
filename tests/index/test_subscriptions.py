from collections.abc import Callable
from pathlib import Path

import pytest

from rivta.catalogue.rows import NotificationFilter
from rivta.catalogue.table import Table
from rivta.index.subscriptions import Subscriber, Subscriptions
from tests.catalogue.tables import NOW, compiled
from tests.index.built import DESCRIPTION, LOGISTICS, NATIONAL, REGIONAL, put

TABLE = """\
components: {SE2321000016-RTP: {name: r}, SE2321000016-X: {name: x}}
permissions:
  - consumer: SE2321000016-RTP
    logical_address: ["5565594230", SE2321000016-RTP, "*"]
    contracts: ProcessNotification:1
    agreement: a
    filters: [{domain: "riv:clinicalprocess:healthcond:description", categories: [dia]}]
  - {consumer: SE2321000016-RTP, logical_address: GONE, contracts: ProcessNotification:1, agreement: a, valid_to: 2026-01-01}
  - {consumer: SE2321000016-X, logical_address: OTHERS, contracts: ProcessNotification:1, agreement: a}
"""


def subscriptions(folder: Path, table: Callable[[], Table | None]) -> Subscriptions:
    return Subscriptions(table, platform=REGIONAL, index=REGIONAL, folder=folder, now=lambda: NOW)


def unreadable() -> Table:
    raise OSError("the disk is gone")


FILTERED = (Subscriber(NATIONAL, (NotificationFilter(DESCRIPTION, ("dia",)),)),)


class TestWho:
    def test_those_that_the_platform_may_notify_now_but_neither_itself_nor_everybody(self, tmp_path: Path) -> None:
        table = compiled(tmp_path, TABLE)
        assert subscriptions(tmp_path, lambda: table).current() == FILTERED

    @pytest.mark.parametrize("later", [lambda: None, unreadable], ids=["no table", "unreadable"])
    def test_the_last_good_list_survives_a_table_that_is_not_there_and_a_restart(
        self, tmp_path: Path, later: Callable[[], Table | None]
    ) -> None:
        table = compiled(tmp_path, TABLE)
        tables: list[Callable[[], Table | None]] = [lambda: table]
        first = subscriptions(tmp_path, lambda: tables[0]())
        assert (first.current(), first.problem) == (FILTERED, None)
        tables[0] = later
        assert first.current() == FILTERED
        assert str(first.problem).startswith("the last good list of 1 subscribers is used")

        again = subscriptions(tmp_path, later)
        assert again.current() == FILTERED

    def test_it_is_the_tables_again_when_there_is_one(self, tmp_path: Path) -> None:
        tables: list[Table | None] = [None]
        found = subscriptions(tmp_path, lambda: tables[0])
        assert found.current() == ()
        tables[0] = compiled(tmp_path, TABLE)
        assert (found.current(), found.problem) == (FILTERED, None)

    def test_a_table_without_subscribers_means_it(self, tmp_path: Path) -> None:
        tables = [compiled(tmp_path / "a", TABLE), compiled(tmp_path / "b", "components: {A: {name: a}}")]
        found = subscriptions(tmp_path, lambda: tables[0])
        found.current()
        del tables[0]
        assert found.current() == ()
        assert subscriptions(tmp_path, lambda: None).current() == ()

    @pytest.mark.parametrize("text", ["{", "[1]", '[{"logical_address": "A"}]'])
    def test_a_damaged_file_is_no_list(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "subscribers.json").write_text(text)
        assert subscriptions(tmp_path, lambda: None).current() == ()


class TestWhat:
    """Section 3.7: none is everything; else the domain, and no categories or one of them, in any case."""

    @pytest.mark.parametrize(
        ("filters", "wanted"),
        [
            ((), True),
            ((NotificationFilter(DESCRIPTION, ()),), True),
            ((NotificationFilter(DESCRIPTION.upper(), ("VOO", "DIA")),), True),
            ((NotificationFilter(DESCRIPTION, ("voo",)),), False),
            ((NotificationFilter(LOGISTICS, ()),), False),
            ((NotificationFilter(LOGISTICS, ("dia",)), NotificationFilter(DESCRIPTION, ("dia",))), True),
        ],
    )
    def test_filters(self, filters: tuple[NotificationFilter, ...], wanted: bool) -> None:
        assert Subscriber(NATIONAL, filters).wants(put()) is wanted

    def test_nobody_is_told_what_it_has_had_or_reported_itself(self) -> None:
        assert not Subscriber(NATIONAL).wants(put(REGIONAL, NATIONAL))
        assert not Subscriber("se2321000016-rtp").wants(put())
