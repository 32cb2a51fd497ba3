"""Patterns judged by libxml2 wherever they are judged, and those that would hold up everything found beforehand."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xmlschema import XMLSchema10
from xmlschema.validators import XsdSimpleType

from rivta import shipped
from rivta.contracts.domain import Contract
from rivta.contracts.installed import Contracts
from rivta.contracts.patterns import Pattern, is_slow, read_patterns_alike
from rivta.contracts.tree import load_schema
from rivta.contracts.validation import Validators
from rivta.soap.xml import parse_xml
from tests.contracts.releases import contract_of

ENDLESS = "(a+)+b"
"""Python's regular expressions would take a year for what this is asked here."""
GIVEN_UP = "(a|aa)+b"
"""And libxml2 gives up."""
LETTERS = "a" * 60 + "c"


def asking(folder: Path, pattern: str) -> Contract:
    content = (
        '<xs:element name="q" maxOccurs="unbounded"><xs:simpleType><xs:restriction base="xs:string">'
        f'<xs:pattern value="{pattern}"/></xs:restriction></xs:simpleType></xs:element>'
    )
    return contract_of(folder, content)


@given(text=st.text(alphabet="ab1-å \n", max_size=8))
def test_a_pattern_has_to_fit_all_of_a_text(text: str) -> None:
    assert (Pattern("a[b1]*|-+").match(text) is True) == (re.fullmatch("a[b1]*|-+", text) is not None)


def test_what_is_no_text_of_xml_fits_no_pattern() -> None:
    assert Pattern(".*").match("\0") is None


@pytest.mark.parametrize("pattern", [ENDLESS, GIVEN_UP])
def test_a_text_that_takes_too_long_does_not_fit(pattern: str) -> None:
    assert Pattern(pattern).match(LETTERS) is None


@pytest.mark.parametrize("pattern", [ENDLESS, GIVEN_UP])
@pytest.mark.parametrize("count", [1, 2500], ids=["explained", "too long to be explained one by one"])
def test_a_message_that_takes_too_long_is_refused_with_the_place(pattern: str, count: int, tmp_path: Path) -> None:
    contract = asking(tmp_path, pattern)
    asked = "".join(f"<q>{LETTERS if number == 0 else 'aab'}</q>" for number in range(count))
    payload = parse_xml(f'<Ask xmlns="{contract.namespace}">{asked}</Ask>'.encode())
    validators = Validators(Contracts([contract]))
    assert not validators.accepts(contract, payload, "request")
    verdict = validators.check(contract, payload, "request")
    assert not verdict.valid
    assert verdict.violations[0].path == "/ns1:Ask/ns1:q" + ("[1]" if count > 1 else "")
    assert LETTERS[:40] not in verdict.violations[0].private_reason


def test_every_pattern_of_a_schema_is_judged_so(tmp_path: Path) -> None:
    schema = load_schema(asking(tmp_path, ENDLESS))
    facets = [getattr(kind, "patterns", None) for kind in schema.iter_components(XsdSimpleType)]
    assert [type(one) for found in facets if found is not None for one in found.patterns] == [Pattern]
    assert read_patterns_alike(schema) is schema


def test_both_readers_agree_on_what_fits_in_every_shipped_contract() -> None:
    for contract in Contracts.load(shipped.folder("contracts") / "xsd"):
        for file in contract.folder.glob(f"samples/{contract.name}_{contract.major}.*.response.xml"):
            payload = parse_xml(file.read_bytes())[-1][0]
            assert XMLSchema10(contract.schema.as_uri(), validation="lax").is_valid(payload)
            assert load_schema(contract).is_valid(payload)


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        (GIVEN_UP, ["ab"]),
        ("(ab|abab)+c", ["ababc"]),
        ("x(\\d{1,3},?)+y", ["x123,4y"]),
        ("(.*)(.*)(.*)(.*)(.*)(.*)[^a]b", ["zzxb"]),
    ],
)
def test_a_pattern_that_short_texts_take_long_for_is_found(pattern: str, texts: list[str]) -> None:
    assert is_slow(pattern, texts)


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("[0-2](\\.(0|[1-9][0-9]*))*", ["1.2.752.129.2.1.3.1", "2"]),
        ("[a-z]+(\\.[a-z]+)*@[a-z]+(\\.[a-z]+)+", ["a.b@c.se"]),
        ("(19|20)\\d{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])", ["20260131"]),
        (ENDLESS, ["ab"]),
        (".*", []),
    ],
    ids=["OID", "mail", "date", "what libxml2 is quick with", "no text known"],
)
def test_an_ordinary_pattern_is_not(pattern: str, texts: list[str]) -> None:
    assert not is_slow(pattern, texts)
