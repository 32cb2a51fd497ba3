"""What differs between versions, who is hurt by it, and that what is said to fit does fit."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rivta import shipped
from rivta.contracts.changes import Change, Difference, compare, compare_contracts
from rivta.contracts.domain import Contract, read_domain
from rivta.contracts.generation import CannotGenerate, generate
from rivta.contracts.installed import Contracts
from rivta.contracts.tree import load_schema, message_tree
from rivta.contracts.validation import compile_schema
from rivta.soap.xml import parse_xml
from tests.contracts.releases import contract_of, release, schema, written

CONTRACTS = Contracts.load(shipped.folder("contracts") / "xsd")
BOTH_WAYS, FORWARDS, BACKWARDS, NEITHER = (True, True), (True, False), (False, True), (False, False)


def element(name: str = "a", kind: str = "xs:string", rest: str = "") -> str:
    return f'<xs:element name="{name}" type="{kind}" {rest}/>'


def restricted(base: str, facets: str, name: str = "a") -> str:
    return f'<xs:element name="{name}"><xs:simpleType><xs:restriction base="{base}">{facets}</xs:restriction></xs:simpleType></xs:element>'


def listed(*values: str) -> str:
    return restricted("xs:string", "".join(f'<xs:enumeration value="{value}"/>' for value in values))


OPEN = '<xs:any namespace="##other" processContents="lax" minOccurs="0" maxOccurs="unbounded"/>'
EXTENSION = '<xs:element ref="ext:more" xmlns:ext="urn:riv:test:asking:1.1" minOccurs="0"/>'


def changes(folder: Path, old: str, new: str, *, types: str = "") -> list[Change]:
    contracts = [contract_of(folder / name, content, types=types) for name, content in (("old", old), ("new", new))]
    trees = [message_tree(load_schema(contract), contract.request) for contract in contracts]
    return list(compare(*trees))


ONE_CHANGE = {
    "optional element added": (element(), element() + element("b", rest='minOccurs="0"'), "added /Ask/b: 0..1, text", FORWARDS),
    "mandatory element added": (element(), element() + element("b"), "added /Ask/b: 1..1, text", NEITHER),
    "element added before an extension point": (element() + OPEN, element() + element("b", rest='minOccurs="0"') + OPEN, "added /Ask/b: 0..1, text", FORWARDS),
    "optional element removed": (element() + element("b", rest='minOccurs="0"'), element(), "removed /Ask/b: 0..1, text", BACKWARDS),
    "mandatory element removed": (element() + element("b"), element(), "removed /Ask/b: 1..1, text", NEITHER),
    "element renamed": (element("a", "t:C"), element("b", "t:C"), "renamed /Ask/a: is called b now", NEITHER),
    "element moved": (element() + element("b") + element("c"), element("c") + element() + element("b"), "moved /Ask/c: stands elsewhere", NEITHER),
    "became optional": (element(), element(rest='minOccurs="0"'), "occurrence /Ask/a: stands 0..1 times instead of 1..1", FORWARDS),
    "became mandatory": (element(rest='minOccurs="0"'), element(), "occurrence /Ask/a: stands 1..1 times instead of 0..1", BACKWARDS),
    "became a list": (element(), element(rest='maxOccurs="unbounded"'), "occurrence /Ask/a: stands 1..* times instead of 1..1", FORWARDS),
    "became a shorter list": (element(rest='maxOccurs="9"'), element(rest='maxOccurs="5"'), "occurrence /Ask/a: stands 1..5 times instead of 1..9", BACKWARDS),
    "another range": (element(rest='maxOccurs="2"'), element(rest='minOccurs="2" maxOccurs="3"'), "occurrence /Ask/a: stands 2..3 times instead of 1..2", NEITHER),
    "narrower type": (element(kind="xs:integer"), element(kind="xs:int"), "type /Ask/a: is whole number instead of whole number", BACKWARDS),
    "text became a date": (element(), element(kind="xs:date"), "type /Ask/a: is date instead of text", BACKWARDS),
    "date became a time": (element(kind="xs:date"), element(kind="xs:dateTime"), "type /Ask/a: is date and time instead of date", NEITHER),
    "text became token": (element(), element(kind="xs:token"), "type /Ask/a: is text on one line instead of text", BOTH_WAYS),
    "text became elements": (element(), element(kind="t:C"), "type /Ask/a: holds elements instead of text (text)", NEITHER),
    "value added": (listed("x"), listed("x", "y"), "values /Ask/a: may be y too", FORWARDS),
    "value removed": (listed("x", "y"), listed("x"), "values /Ask/a: may no longer be y", BACKWARDS),
    "value exchanged": (listed("x"), listed("y"), "values /Ask/a: may no longer be x; may be y too", NEITHER),
    "values listed": (element(), listed("x", "y"), "values /Ask/a: has to be one of x, y", BACKWARDS),
    "values no longer listed": (listed("x"), element(), "values /Ask/a: may be any value, not only listed ones", FORWARDS),
    "pattern added": (element(), restricted("xs:string", '<xs:pattern value="x+"/>'), "values /Ask/a: has to fit x+", BACKWARDS),
    "pattern removed": (restricted("xs:string", '<xs:pattern value="x+"/>'), element(), "values /Ask/a: no longer has to fit x+", FORWARDS),
    "pattern changed": (restricted("xs:string", '<xs:pattern value="x+"/>'), restricted("xs:string", '<xs:pattern value="x*"/>'), "values /Ask/a: no longer has to fit x+ and has to fit x*", NEITHER),
    "longer": (restricted("xs:string", '<xs:maxLength value="3"/>'), restricted("xs:string", '<xs:maxLength value="12"/>'), "values /Ask/a: has the limit maxLength 12 instead of 3", FORWARDS),
    "shorter": (restricted("xs:string", '<xs:maxLength value="12"/>'), restricted("xs:string", '<xs:maxLength value="3"/>'), "values /Ask/a: has the limit maxLength 3 instead of 12", BACKWARDS),
    "at least more": (restricted("xs:int", '<xs:minInclusive value="1"/>'), restricted("xs:int", '<xs:minInclusive value="2"/>'), "values /Ask/a: has the limit minInclusive 2 instead of 1", BACKWARDS),
    "length changed": (restricted("xs:string", '<xs:length value="1"/>'), restricted("xs:string", '<xs:length value="2"/>'), "values /Ask/a: has the limit length 2 instead of 1", NEITHER),
    "limit gone": (restricted("xs:string", '<xs:maxLength value="3"/>'), element(), "values /Ask/a: no longer has the limit maxLength 3", FORWARDS),
    "fixed": (element(), element(rest='fixed="x"'), "values /Ask/a: is always 'x'", BACKWARDS),
    "default": (element(), element(rest='default="x"'), "values /Ask/a: empty means 'x'", BOTH_WAYS),
    "nillable": (element(), element(rest='nillable="true"'), "values /Ask/a: may be said to be nil (xsi:nil)", FORWARDS),
    "extension point added": (element(), element() + OPEN, "extension /Ask: takes elements that it does not name", FORWARDS),
    "extension point removed": (element() + OPEN, element(), "extension /Ask: takes no elements any more that it does not name", BACKWARDS),
    "extension point checked": (element() + OPEN, element() + OPEN.replace("lax", "strict"), "extension /Ask: takes other elements that it does not name", NEITHER),
    "choice instead of sequence": (element() + element("b"), f"<xs:choice>{element() + element('b')}</xs:choice>", "groups /Ask: is grouped as (a | b) instead of a sequence", NEITHER),
    "optional attribute added": (element(kind="t:C"), element(kind="t:D"), "added /Ask/a/@id: attribute, optional", FORWARDS),
    "attribute became mandatory": (element(kind="t:D"), element(kind="t:E"), "attribute /Ask/a/@id: attribute, now required", BACKWARDS),
    "attribute became a date": (element(kind="t:D"), element(kind="t:F"), "type /Ask/a/@id: is date instead of text", BACKWARDS),
}  # fmt: skip
TYPES = "".join(
    f'<xs:complexType name="{name}"><xs:sequence>{element("c")}</xs:sequence>{attribute}</xs:complexType>'
    for name, attribute in (
        ("C", ""),
        ("D", '<xs:attribute name="id" type="xs:string"/>'),
        ("E", '<xs:attribute name="id" type="xs:string" use="required"/>'),
        ("F", '<xs:attribute name="id" type="xs:date"/>'),
    )
)


@pytest.mark.parametrize(("old", "new", "text", "fits"), ONE_CHANGE.values(), ids=ONE_CHANGE)
def test_change_is_named_and_which_messages_still_fit(
    old: str, new: str, text: str, fits: tuple[bool, bool], tmp_path: Path
) -> None:
    found = changes(tmp_path, old, new, types=TYPES)
    assert text in [f"{one.kind} {one.path}: {one.text}" for one in found]
    assert (all(one.old_fits_new for one in found), all(one.new_fits_old for one in found)) == fits


def test_same_message_has_no_changes(tmp_path: Path) -> None:
    assert changes(tmp_path, element() + OPEN, element() + OPEN) == []


def minor_version(folder: Path) -> Contract:
    """Version 1.1 with an element of another namespace where its extension point was, as RIV-TA does it."""
    text = schema(
        element() + EXTENSION, head='<xs:import namespace="urn:riv:test:asking:1.1" schemaLocation="ext.xsd"/>'
    )
    extension = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:riv:test:asking:1.1"><xs:element name="more" type="xs:int"/></xs:schema>'
    files = release("1.1", schema=text) | {"interactions/AskInteraction/ext.xsd": extension}
    (contract,) = read_domain(written(folder, files))
    return contract


def test_element_within_the_extension_point_hurts_no_reader(tmp_path: Path) -> None:
    old, new = contract_of(tmp_path / "old", element() + OPEN), minor_version(tmp_path / "new")
    added, closed = (one.change for one in compare_contracts(old, new).findings)
    assert added == Change(
        "/Ask/more", "added", "0..1, whole number (within the extension point)", old_fits_new=True, new_fits_old=True
    )
    assert (closed.kind, closed.new_fits_old) == ("extension", True)
    for seed in range(5):
        assert compile_schema(old.schema).validate(parse_xml(generate(new, new.request, seed=seed)))


def difference_of(
    folder: Path, *, request: tuple[str, str] = ("", ""), answer: tuple[str, str] = ("", "")
) -> Difference:
    sides = []
    for index, name in enumerate(("old", "new")):
        text = schema(request[index], answer=answer[index])
        contract = contract_of(folder / name, "")
        contract.schema.write_text(text)
        sides.append(contract)
    return compare_contracts(*sides)


@pytest.mark.parametrize(
    ("old", "new", "breaks", "consequence"),
    [
        (element(), element() + element("b", rest='minOccurs="0"'), (False, True), "a producer made for the old version may refuse requests made for the new one"),
        (element(rest='minOccurs="0"'), element(), (True, False), "requests made for the old version may be refused"),
        (element(), element("b"), (True, True), "each version may refuse requests made for the other"),
    ],
)  # fmt: skip
def test_change_of_a_request_hurts_who_sends_too_little_or_knows_too_little(
    old: str, new: str, breaks: tuple[bool, bool], consequence: str, tmp_path: Path
) -> None:
    difference = difference_of(tmp_path, request=(old, new))
    assert (difference.consumer_breaks, difference.producer_breaks) == breaks
    assert {one.consequence for one in difference.findings} == {consequence}


@pytest.mark.parametrize(
    ("old", "new", "breaks", "consequence"),
    [
        (element(), element() + element("b", rest='minOccurs="0"'), (True, False), "a consumer made for the old version that reads strictly breaks"),
        (element(rest='minOccurs="0"'), element(), (False, True), "answers made for the old version may not fit the new one"),
        (element(), element("b"), (True, True), "each version's answers may not fit the other"),
        (element(), element(rest='default="x"'), (False, False), "nobody breaks"),
    ],
)  # fmt: skip
def test_change_of_a_response_hurts_the_other_way_round(
    old: str, new: str, breaks: tuple[bool, bool], consequence: str, tmp_path: Path
) -> None:
    difference = difference_of(tmp_path, answer=(old, new))
    assert (difference.consumer_breaks, difference.producer_breaks) == breaks
    assert {one.consequence for one in difference.findings} == {consequence}


def test_another_major_version_is_foreign_to_everybody_and_said_once() -> None:
    difference = compare_contracts(CONTRACTS.find("GetCareContacts:2"), CONTRACTS.find("GetCareContacts:3"))
    assert difference.namespaces[0] == (
        "urn:riv:clinicalprocess:logistics:logistics:2",
        "urn:riv:clinicalprocess:logistics:logistics:3",
    )
    assert difference.consumer_breaks
    assert difference.producer_breaks
    paths = [one.change.path for one in difference.findings]
    assert "/GetCareContacts/timePeriod" in paths
    assert len(paths) == len(set(paths)) or len(paths) < 60


def test_operations_that_come_and_go_are_named() -> None:
    one, two = CONTRACTS.find("SokVagvalsInfo:1"), CONTRACTS.find("SokVagvalsInfo:2")
    assert compare_contracts(one, two).only_new == ("hamtaAllaTjanstekomponenter", "hamtaAllaTjanstekontrakt")
    assert compare_contracts(two, one).only_old == ("hamtaAllaTjanstekomponenter", "hamtaAllaTjanstekontrakt")


@pytest.mark.parametrize("contract", list(CONTRACTS), ids=[one.short_name for one in CONTRACTS])
def test_contract_does_not_differ_from_itself(contract: Contract) -> None:
    difference = compare_contracts(contract, contract)
    assert (difference.findings, difference.namespaces) == ((), ())
    assert not difference.consumer_breaks


def test_type_within_itself_is_compared_once(tmp_path: Path) -> None:
    tree = '<xs:complexType name="T"><xs:sequence><xs:element name="leaf"{}/><xs:element name="t" type="t:T" minOccurs="0"/></xs:sequence></xs:complexType>'
    old = contract_of(tmp_path / "old", element("t", "t:T"), types=tree.format(""))
    new = contract_of(tmp_path / "new", element("t", "t:T"), types=tree.format(' minOccurs="0"'))
    assert [one.change.path for one in compare_contracts(old, new).findings] == ["/Ask/t/leaf"]


# What is said to fit does fit


@dataclass(frozen=True)
class Part:
    name: str
    kind: str
    least: int
    most: int | None

    def written(self) -> str:
        most = "unbounded" if self.most is None else max(self.most, self.least)
        return element(self.name, self.kind, f'minOccurs="{self.least}" maxOccurs="{most}"')


KINDS = ["xs:string", "xs:token", "xs:int", "xs:integer", "xs:decimal", "xs:date", "xs:boolean", "t:AB", "t:ABC", "t:Short", "t:Long", "t:Digits", "t:C", "t:D", "t:Union"]  # fmt: skip
SIMPLE = "".join(
    f'<xs:simpleType name="{name}"><xs:restriction base="{base}">{facets}</xs:restriction></xs:simpleType>'
    for name, base, facets in (
        ("AB", "xs:string", '<xs:enumeration value="a"/><xs:enumeration value="b"/>'),
        ("ABC", "xs:string", '<xs:enumeration value="a"/><xs:enumeration value="b"/><xs:enumeration value="c"/>'),
        ("Short", "xs:string", '<xs:maxLength value="3"/>'),
        ("Long", "xs:string", '<xs:minLength value="1"/><xs:maxLength value="9"/>'),
        ("Digits", "xs:string", '<xs:pattern value="[0-9]{2,4}"/>'),
    )
)
UNION = '<xs:simpleType name="Union"><xs:union memberTypes="xs:int t:AB"/></xs:simpleType>'
parts = st.builds(
    Part,
    name=st.sampled_from("abcd"),
    kind=st.sampled_from(KINDS),
    least=st.sampled_from([0, 0, 1, 2]),
    most=st.sampled_from([1, 2, 3, None]),
)
models = st.lists(parts, min_size=1, max_size=4, unique_by=lambda part: part.name)


@st.composite
def two_versions(draw: st.DrawFn) -> tuple[str, str]:
    old = draw(models)
    new = list(old)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(new) - 1))
        match draw(st.sampled_from(["retype", "times", "drop", "add", "swap"])):
            case "retype":
                new[at] = replace(new[at], kind=draw(st.sampled_from(KINDS)))
            case "times":
                other = draw(parts)
                new[at] = replace(new[at], least=other.least, most=other.most)
            case "drop" if len(new) > 1:
                new.pop(at)
            case "add":
                new.insert(at, replace(draw(parts), name="e"))
            case _:
                new.append(new.pop(at))
    assume(len({part.name for part in new}) == len(new))
    written_parts = ["".join(part.written() for part in side) for side in (old, new)]
    group = draw(st.sampled_from(["", "", "choice", "open"]))
    if group == "choice":
        written_parts = [f'<xs:choice maxOccurs="2">{text}</xs:choice>' for text in written_parts]
    elif group == "open":
        written_parts[draw(st.integers(0, 1))] += OPEN
    return written_parts[0], written_parts[1]


@settings(max_examples=50)
@given(versions=two_versions())
def test_messages_of_one_version_fit_the_other_where_that_is_said(
    versions: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("two")
    types = TYPES + SIMPLE + UNION
    old, new = (contract_of(folder / name, content, types=types) for name, content in zip("on", versions, strict=True))
    found = compare(*(message_tree(load_schema(one), one.request) for one in (old, new)))
    for sender, receiver, fits in (
        (old, new, all(one.old_fits_new for one in found)),
        (new, old, all(one.new_fits_old for one in found)),
    ):
        judge = compile_schema(receiver.schema)
        for seed in range(6 if fits else 0):
            try:
                message = parse_xml(generate(sender, sender.request, seed=seed))
            except CannotGenerate:
                continue
            assert judge.validate(message), (found, judge.error_log)
