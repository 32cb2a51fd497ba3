"""Whatever a table says is there again after it was written in another catalogue's format and read, but for what that
format has no place for."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivta.catalogue import content as contents
from rivta.catalogue.exchange import order_writer, tak_json, takcache
from rivta.catalogue.exchange.changes import Changes, Unsaid, applied, changes_of
from rivta.catalogue.exchange.imported import Imported, ImportRefused
from rivta.catalogue.exchange.order_file import read_order
from rivta.catalogue.exchange.orders import Surroundings, apply_order
from rivta.catalogue.exchange.written import About, ExportRefused
from rivta.catalogue.rows import (
    Bound,
    Component,
    Draft,
    NamedAddress,
    NotificationFilter,
    PermissionRow,
    Place,
    ProducerAddress,
    RouteRow,
)
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ABOUT = About(7, NOW, "åsa", "k & <l>")
HERE = Place("t.yaml", 1)
CONTRACTS = tuple(ContractNamespace(f"urn:riv:a:b:Get{name}Responder:{major}") for name, major in (("A", 1), ("B", 2)))
WORDS = st.text("abcå &<>'\"é-_", min_size=1, max_size=8).map(str.strip).filter(bool)
DAYS = st.dates(date(1990, 1, 1), date(2100, 1, 1))
AT_NOON = st.builds(
    lambda day, hours: datetime(day.year, day.month, day.day, 12, 30, tzinfo=timezone(timedelta(hours=hours))),
    DAYS,
    st.integers(-3, 3),
)
BOUNDS: st.SearchStrategy[Bound | None] = st.none() | DAYS | AT_NOON


def ids(letter: str) -> st.SearchStrategy[str]:
    return st.integers(1, 4).map(lambda number: f"SE2321000016-{letter}{number}")


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    """A table of which no two rows have the same key, since other catalogues tell rows apart by that."""
    components = draw(
        st.lists(
            st.builds(Component, ids("C").map(HsaId), WORDS, st.just(False), st.just(HERE)),
            unique_by=lambda row: row.hsa_id,
        )
    )
    owners = [row.hsa_id for row in components] or [HsaId("SE2321000016-C9")]
    producers = [
        ProducerAddress(
            f"p{number}",
            draw(st.sampled_from(owners)),
            f"https://h{number}.se/{draw(st.sampled_from(['x', 'y?a=b&c']))}",
            draw(st.sampled_from(Profile)),
            None,
            None,
            HERE,
        )
        for number in range(draw(st.integers(1, 3)))
    ]
    addresses = draw(
        st.lists(
            st.builds(NamedAddress, ids("L").map(LogicalAddress), WORDS, st.just(HERE)),
            unique_by=lambda row: row.logical_address,
        )
    )
    where = ids("L") | st.just("*")
    routes = draw(
        st.lists(
            st.builds(
                RouteRow,
                where.map(LogicalAddress),
                st.sampled_from(CONTRACTS),
                st.sampled_from([row.name for row in producers]),
                BOUNDS,
                BOUNDS,
                st.just(HERE),
            ),
            unique_by=lambda row: (row.logical_address, row.contract),
        )
    )
    filters = st.lists(
        st.builds(
            NotificationFilter, WORDS.map(lambda one: one.replace(" ", "_")), st.lists(WORDS, unique=True).map(tuple)
        ),
        unique_by=lambda one: one.domain,
        max_size=2,
    ).map(tuple)
    permissions = draw(
        st.lists(
            st.builds(
                PermissionRow,
                st.sampled_from(owners),
                where.map(LogicalAddress),
                st.sampled_from(CONTRACTS),
                WORDS,
                BOUNDS,
                BOUNDS,
                filters,
                st.just(HERE),
            ),
            unique_by=lambda row: (row.consumer, row.logical_address, row.contract),
        )
    )
    return Draft(tuple(components), tuple(producers), tuple(addresses), tuple(routes), tuple(permissions))


@dataclass(frozen=True)
class Format:
    there_and_back: Callable[[Draft], Imported]
    owners: bool = True
    agreements: bool = True


def by_takcache(draft: Draft, *, is_zoned: bool = False) -> Imported:
    return takcache.read(takcache.write(draft, variables={}, is_zoned=is_zoned), file="x")


def by_json(style: tak_json.Style) -> Callable[[Draft], Imported]:
    return lambda draft: tak_json.read(tak_json.write(draft, ABOUT, variables={}, style=style), file="x")


FORMATS = {
    "takcache": Format(by_takcache, owners=False, agreements=False),
    "takcache with offsets": Format(lambda draft: by_takcache(draft, is_zoned=True), owners=False, agreements=False),
    "export": Format(by_json(tak_json.Style.EXPORT)),
    "snapshot": Format(by_json(tak_json.Style.SNAPSHOT)),
}


def said(draft: Draft, form: Format) -> tuple[set[Any], set[Any]]:
    """Routes with where they go, and permissions, as far as the format says them."""
    producers = {
        row.name: (row.url, row.profile, row.component if form.owners else "") for row in draft.producer_addresses
    }
    routes = {
        (row.logical_address, row.contract, *producers[row.producer_address], row.valid_from, row.valid_to)
        for row in draft.routes
    }
    permissions = {
        (
            row.consumer,
            row.logical_address,
            row.contract,
            row.agreement if form.agreements else "",
            row.valid_from,
            row.valid_to,
            row.filters,
        )
        for row in draft.permissions
    }
    return routes, permissions


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=20)
@given(draft=drafts())
def test_there_and_back_is_the_same(name: str, draft: Draft) -> None:
    form = FORMATS[name]
    if not form.owners and not draft.routes and not draft.permissions:
        return
    found = form.there_and_back(draft).draft
    assert said(found, form) == said(draft, form)
    if form.owners:
        names = {row.logical_address: row.name for row in found.logical_addresses}
        assert {row.logical_address: row.name for row in draft.logical_addresses}.items() <= names.items()
        assert {row.hsa_id: row.name for row in draft.components}.items() <= {
            row.hsa_id: row.name for row in found.components
        }.items()


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=12)
@given(draft=drafts())
def test_importing_what_was_exported_changes_nothing(name: str, draft: Draft) -> None:
    form = FORMATS[name]
    if not draft.routes and not draft.permissions:
        return
    known = (
        {row.hsa_id for row in draft.components}
        | {row.component for row in draft.producer_addresses}
        | {row.consumer for row in draft.permissions}
    )
    where = (
        {row.logical_address for row in draft.routes}
        | {row.logical_address for row in draft.permissions}
        | {row.logical_address for row in draft.logical_addresses}
    )
    whole = replace(
        draft,
        components=tuple(
            next((row for row in draft.components if row.hsa_id == one), Component(one, "", False, HERE))
            for one in known
        ),
        logical_addresses=tuple(
            next((row for row in draft.logical_addresses if row.logical_address == one), NamedAddress(one, "", HERE))
            for one in where
        ),
    )
    found = form.there_and_back(whole).draft
    changes, _ = changes_of(whole, found, variables={}, unsaid=Unsaid("?"))
    assert changes.is_empty


@settings(max_examples=12)
@given(drafts(), drafts())
def test_replacing_makes_one_table_say_what_the_other_does(mine: Draft, theirs: Draft) -> None:
    if not theirs.routes:
        return
    found = FORMATS["snapshot"].there_and_back(theirs).draft
    changes, _ = changes_of(mine, found, variables={}, unsaid=Unsaid("?"), replaces=True)
    after = draft_of(applied(mine, changes))
    assert said(after, FORMATS["snapshot"]) == said(theirs, FORMATS["snapshot"])


@settings(max_examples=12)
@given(drafts())
def test_an_order_makes_an_empty_table_say_the_same(draft: Draft) -> None:
    order = read_order(order_writer.write(draft, ABOUT, platform="X", variables={}), file="o")
    around = Surroundings("X", {"X"}, CONTRACTS, lambda url: url, "o", date(2026, 11, 24))
    done = apply_order(order, Draft(), around)
    assert said(draft_of(applied(Draft(), done.changes)), FORMATS["snapshot"]) == said(draft, FORMATS["snapshot"])


def draft_of(rows: Iterable[Any]) -> Draft:
    found: dict[type[Any], list[Any]] = {}
    for row in rows:
        found.setdefault(type(row), []).append(row)
    return Draft(
        tuple(found.get(Component, ())),
        tuple(found.get(ProducerAddress, ())),
        tuple(found.get(NamedAddress, ())),
        tuple(found.get(RouteRow, ())),
        tuple(found.get(PermissionRow, ())),
    )


ROW = b"""<virtualiseringsInfo xmlns="urn:skl:tp:vagvalsinfo:v2"><virtualiseringsInfoId>1</virtualiseringsInfoId><receiverId>A</receiverId>
<rivProfil>RIVTABP21</rivProfil><tjansteKontrakt>urn:x</tjansteKontrakt><fromTidpunkt>2024-01-01T00:00:00.000</fromTidpunkt>
<tomTidpunkt>2024-12-31T00:00:00.000</tomTidpunkt><adress>https://a/x</adress></virtualiseringsInfo>"""


def mistakes(read: Callable[[], object]) -> list[str]:
    with pytest.raises(ImportRefused) as refused:
        read()
    return [f"{one.line}: {one.message}" for one in refused.value.problems]


def test_every_mistake_of_a_cache_file_is_told_with_its_line() -> None:
    data = (
        b"<persistentCache>\n"
        + ROW.replace(b"A</rec", b"</rec")
        + b"\n"
        + ROW.replace(b"BP21", b"BP22").replace(b"2024-12-31T", b"2024-13-31T")
        + b"</persistentCache>"
    )
    found = mistakes(lambda: takcache.read([data], file="c.xml"))
    assert [one.split(": ")[1] for one in found] == ["receiverId is missing", "rivProfil", "tomTidpunkt"]
    assert [one.partition(":")[0] for one in found] == ["2", "5", "5"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no element found|Document is empty|not XML"),
        (b"<persistentCache/>", "has neither"),
        (b"<persistentCache>" + ROW, "not XML"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><persistentCache>" + ROW + b"</persistentCache>", "DOCTYPE"),
        (b"<a>" * 300, "not XML"),
        (b"<e><Fault><faultstring>no table</faultstring></Fault></e>", "SOAP fault: no table"),
    ],
)
def test_what_is_no_cache_file_is_refused(data: bytes, words: str) -> None:
    (found,) = mistakes(lambda: takcache.read([data[at : at + 7] for at in range(0, len(data), 7)], file="c.xml"))
    assert any(word in found for word in words.split("|")), found


def test_what_is_not_known_in_a_cache_file_is_ignored_aloud_and_rows_that_come_twice_are_one() -> None:
    data = b"<persistentCache>" + ROW.replace(b"<adress>", b"<extra>1</extra><adress>") + ROW + b"</persistentCache>"
    found = takcache.read([data], file="c.xml")
    assert len(found.draft.routes) == 1
    assert [str(one) for one in found.remarks] == [
        "c.xml:3: extra is ignored",
        "c.xml:3: the route at c.xml:1 once more: left out",
    ]


def test_a_comment_does_not_cut_a_value_short() -> None:
    data = b"<persistentCache>" + ROW.replace(b">A<", b">A<!-- x -->B<") + b"</persistentCache>"
    assert takcache.read([data], file="c.xml").draft.routes[0].logical_address == "AB"


def snapshot(**changed: Any) -> dict[str, Any]:
    draft = Draft(
        (Component(HsaId("C"), "c", False, HERE),),
        (ProducerAddress("p", HsaId("C"), "https://a/x", Profile.RIVTABP21, None, None, HERE),),
        (NamedAddress(LogicalAddress("L"), "l", HERE),),
        (RouteRow(LogicalAddress("L"), CONTRACTS[0], "p", None, None, HERE),),
        (
            PermissionRow(
                HsaId("C"), LogicalAddress("L"), CONTRACTS[0], "a", None, None, (NotificationFilter("d", ("c",)),), HERE
            ),
        ),
    )
    document: dict[str, Any] = json.loads(tak_json.write(draft, ABOUT, variables={}, style=tak_json.Style.SNAPSHOT))
    document["data"] |= changed
    return document


def test_the_keys_are_as_irregular_as_the_incumbents() -> None:
    data = snapshot()["data"]
    assert set(data["anropsbehorighet"][0]["relationships"]) == {"logiskAdress", "tjanstekomponent", "tjanstekontrakt"}
    assert set(data["vagval"][0]["relationships"]) == {"anropsadress", "logiskadress", "tjanstekontrakt"}
    assert snapshot()["formatVersion"] == "1"
    assert data["vagval"][0]["fromTidpunkt"].endswith(":00+0112") or data["vagval"][0]["fromTidpunkt"][-5] == "+"


def test_the_nightly_dump_is_read_too() -> None:
    """A snapshot in which the consumer of a permission has its other name."""
    document = snapshot()
    relations = document["data"]["anropsbehorighet"][0]["relationships"]
    relations["tjanstekonsument"] = relations.pop("tjanstekomponent")
    assert tak_json.read(json.dumps(document).encode(), file="x").draft.permissions[0].consumer == "C"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "no object `data`"),
        (b"\x1f\x8bnothing", "not JSON"),
        (json.dumps({"data": {}}).encode(), "data.vagval is missing"),
        (json.dumps(snapshot(vagval=[1])).encode(), "data.vagval[0] is no object"),
        (
            json.dumps(snapshot(logiskadress=[])).encode(),
            "data.vagval[0].relationships.logiskadress: no logiskadress has id 1",
        ),
        (json.dumps(snapshot(anropsadress=[])).encode(), "no anropsadress has id 1"),
        (json.dumps(snapshot(anropsbehorighet=[])).encode(), "data.filter[0].relationships.anropsbehorighet: no"),
        (json.dumps(snapshot()).replace("RIVTABP21", "X").encode(), "rivtaprofil: 'X' is not"),
        (json.dumps(snapshot()).replace("https://a/x", " https://a/x").encode(), "begins or ends with a blank"),
        (b'{"data": 1, "data": 2}', "'data' stands twice"),
        (b'{"data": NaN}', "NaN is no number"),
    ],
)
def test_a_file_of_json_with_a_mistake_is_refused_with_its_path(data: bytes, words: str) -> None:
    assert any(words in one for one in mistakes(lambda: tak_json.read(data, file="x")))


def test_a_url_of_two_profiles_is_not_guessed() -> None:
    draft = contents.decode(contents.encode(Draft()))
    two = tuple(ProducerAddress(f"p{one.value}", HsaId("C"), "https://a/x", one, None, None, HERE) for one in Profile)
    draft = replace(
        draft,
        producer_addresses=two,
        routes=(RouteRow(LogicalAddress("L"), CONTRACTS[0], two[0].name, None, None, HERE),),
    )
    (found,) = mistakes(lambda: by_json(tak_json.Style.EXPORT)(draft))
    assert "2 rows of anropsadress have the URL" in found
    assert by_json(tak_json.Style.SNAPSHOT)(draft).draft.routes


def test_a_variable_without_value_cannot_be_exported(tmp_path: Path) -> None:
    row = ProducerAddress("p", HsaId("C"), "${x}", Profile.RIVTABP21, None, None, HERE)
    with pytest.raises(ExportRefused, match="--variable"):
        takcache.write(Draft(producer_addresses=(row,)), variables={})


def test_a_source_that_does_not_say_whose_an_address_is_takes_over_what_the_draft_says() -> None:
    producer = ProducerAddress("p", HsaId("C"), "${x}", Profile.RIVTABP21, None, None, HERE)
    route = RouteRow(LogicalAddress("A"), ContractNamespace("urn:x"), "p", date(2024, 1, 1), date(2024, 12, 31), HERE)
    draft = Draft((Component(HsaId("C"), "c", False, HERE),), (producer,), (), (route,))
    found = takcache.read([b"<persistentCache>" + ROW + b"</persistentCache>"], file="c.xml").draft
    same, _ = changes_of(draft, found, variables={"x": "https://a/x"}, unsaid=Unsaid("?"))
    assert same.is_empty
    moved, remarks = changes_of(draft, found, variables={"x": "https://a/other"}, unsaid=Unsaid("?"))
    assert isinstance(moved, Changes)
    assert [row.component for row in moved.added.producer_addresses] == ["C"]
    assert "C is assumed" in str(remarks)
    unknown, _ = changes_of(Draft(), found, variables={}, unsaid=Unsaid("?"))
    assert [row.hsa_id for row in unknown.added.components] == ["UNKNOWN-A"]
