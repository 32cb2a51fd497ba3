"""A message as a tree: how often, what it may hold, where it is open, and what becomes of types within themselves."""

from pathlib import Path

import pytest

from rivta import shipped
from rivta.contracts.domain import Contract, ContractFileError
from rivta.contracts.installed import Contracts
from rivta.contracts.tree import (
    Attribute,
    Node,
    Values,
    Wildcard,
    in_words,
    load_schema,
    message_tree,
    restrictions,
    walk,
)
from tests.contracts.releases import contract_of
from tests.contracts.test_generation import ODD_MODELS, TYPES

CONTRACTS = Contracts.load(shipped.folder("contracts") / "xsd")


def tree(folder: Path, content: str, *, types: str = "") -> Node:
    contract = contract_of(folder, content, types=types)
    return message_tree(load_schema(contract), contract.request)


def child(folder: Path, content: str, *, types: str = "") -> Node:
    (only,) = tree(folder, content, types=types).children
    return only


def values(folder: Path, definition: str) -> Values:
    found = child(folder, f'<xs:element name="a"><xs:simpleType>{definition}</xs:simpleType></xs:element>').values
    assert found is not None
    return found


@pytest.mark.parametrize("contract", list(CONTRACTS), ids=[one.short_name for one in CONTRACTS])
def test_every_message_of_every_shipped_contract_has_a_tree(contract: Contract) -> None:
    schema = load_schema(contract)
    for root in (*contract.requests, *contract.responses):
        nodes = [node for _, node in walk(message_tree(schema, root))]
        assert nodes[0].name == root
        assert all(
            node.values is not None or node.children or node.is_open or node.recurs or node is nodes[0]
            for node in nodes
        )


def test_tree_has_names_times_types_and_what_the_schema_says() -> None:
    contract = CONTRACTS.find("GetDiagnosis")
    request = message_tree(load_schema(contract), contract.request)
    unit, patient, *_ = request.children
    assert (unit.local, unit.least, unit.most, unit.choice) == ("careUnitHSAId", 0, None, 0)
    assert unit.values == Values("string")
    assert (patient.type_name, patient.values, patient.least, patient.most) == ("PersonIdType", None, 1, 1)
    assert patient.description == "A person, by national or local id."
    assert patient.wildcards == (
        Wildcard(("##other",), "lax", 0, None, "urn:riv:clinicalprocess:healthcond:description:2"),
    )
    assert [depth for depth, _ in walk(request)][:4] == [0, 1, 1, 2]


@pytest.mark.parametrize("content", ODD_MODELS.values(), ids=ODD_MODELS)
def test_any_model_has_a_tree(content: str, tmp_path: Path) -> None:
    assert tree(tmp_path, content, types=TYPES).name


@pytest.mark.parametrize(
    ("content", "model", "times"),
    [
        (ODD_MODELS["choice"], "(a | b){1..3}", [(0, 3), (0, 3)]),
        (ODD_MODELS["choice of sequences"], "((a b) | c)", [(0, 1), (0, 1), (0, 1)]),
        (ODD_MODELS["repeated sequence"], "(a b?){2..4}", [(2, 4), (0, 4)]),
        ('<xs:sequence><xs:element name="a"/></xs:sequence><xs:element name="b" minOccurs="0"/>', "", [(1, 1), (0, 1)]),
        ('<xs:choice><xs:element name="a"/></xs:choice>', "(a)", [(1, 1)]),
        ('<xs:sequence minOccurs="0"><xs:element name="a" maxOccurs="unbounded"/></xs:sequence>', "(a+)?", [(0, None)]),
    ],
)  # fmt: skip
def test_groups_count_in_how_often_an_element_stands_there(
    content: str, model: str, times: list[tuple[int, int | None]], tmp_path: Path
) -> None:
    found = tree(tmp_path, content)
    assert found.model == model
    assert [(node.least, node.most) for node in found.children] == times


def test_alternatives_have_a_number_in_common(tmp_path: Path) -> None:
    both = '<xs:choice><xs:element name="a"/><xs:element name="b"/></xs:choice><xs:choice><xs:element name="c"/><xs:element name="d"/></xs:choice><xs:element name="e"/>'
    assert [node.choice for node in tree(tmp_path, both).children] == [1, 1, 2, 2, 0]


def test_type_within_itself_ends(tmp_path: Path) -> None:
    nodes = {node.local: node for _, node in walk(tree(tmp_path, ODD_MODELS["itself"], types=TYPES))}
    assert nodes["a"].recurs
    assert nodes["a"].children == ()


def test_attributes_are_there_but_not_those_that_are_prohibited(tmp_path: Path) -> None:
    assert child(tmp_path, ODD_MODELS["attributes"], types=TYPES).attributes == (
        Attribute("must", True, Values("date")),
        Attribute("may", False, Values("int")),
        Attribute("is", True, Values("anySimpleType", fixed="x")),
    )


@pytest.mark.parametrize(
    ("definition", "expected", "words"),
    [
        ('<xs:restriction base="xs:string"/>', Values("string"), "text"),
        ('<xs:restriction base="xs:string"><xs:enumeration value="a"/><xs:enumeration value="b"/></xs:restriction>', Values("string", allowed=("a", "b")), "text"),
        ('<xs:restriction base="xs:string"><xs:pattern value="a"/><xs:pattern value="b"/></xs:restriction>', Values("string", patterns=("(a)|(b)",)), "text"),
        ('<xs:restriction base="xs:string"><xs:minLength value="1"/><xs:maxLength value="9"/></xs:restriction>', Values("string", limits=(("maxLength", "9"), ("minLength", "1"))), "text, at most 9 characters, at least 1 characters"),
        ('<xs:restriction base="xs:int"><xs:minInclusive value="0"/></xs:restriction>', Values("int", limits=(("minInclusive", "0"),)), "whole number, at least 0"),
        ('<xs:union memberTypes="xs:int xs:date"/>', Values("union", members=(Values("int"), Values("date"))), "whole number or date"),
        ('<xs:list itemType="xs:int"/>', Values("list", members=(Values("int"),)), "list of whole number"),
        ('<xs:restriction><xs:simpleType><xs:restriction base="xs:string"><xs:pattern value="a"/></xs:restriction></xs:simpleType><xs:pattern value="b"/></xs:restriction>', Values("string", patterns=("b", "a")), "text"),
    ],
)  # fmt: skip
def test_values_are_those_of_the_type_and_of_what_it_restricts(
    definition: str, expected: Values, words: str, tmp_path: Path
) -> None:
    assert values(tmp_path, definition) == expected
    assert in_words(expected) == words


def test_restrictions_are_said_for_the_parts_of_a_union_too() -> None:
    both = Values("union", members=(Values("string", allowed=("a",)), Values("string", patterns=("b+",), default="b")))
    assert list(restrictions(both)) == [("one of", ("a",)), ("by default", ("b",)), ("fits", ("b+",))]


def test_element_without_a_type_holds_anything(tmp_path: Path) -> None:
    found = child(tmp_path, '<xs:element name="a"/>')
    assert found.values == Values("anyType")


def test_schema_that_says_more_than_memory_holds_is_refused(tmp_path: Path) -> None:
    doubling = "".join(
        f'<xs:complexType name="T{n}"><xs:sequence><xs:element name="a" type="t:T{n + 1}"/><xs:element name="b" type="t:T{n + 1}"/></xs:sequence></xs:complexType>'
        for n in range(30)
    )
    contract = contract_of(
        tmp_path, '<xs:element name="a" type="t:T0"/>', types=f'{doubling}<xs:complexType name="T30"/>'
    )
    with pytest.raises(ValueError, match="may hold more than 20000 different elements"):
        message_tree(load_schema(contract), contract.request)


def test_element_that_is_not_there_and_a_broken_schema_are_said(tmp_path: Path) -> None:
    contract = contract_of(tmp_path, '<xs:element name="a"/>')
    with pytest.raises(LookupError, match="is not defined"):
        message_tree(load_schema(contract), "{urn:x}Nothing")
    contract.schema.write_text("<xs:schema")
    with pytest.raises(ContractFileError, match="line 1"):
        load_schema(contract)
