"""Where our schemas are meant to differ from the official ones, and where there is no official one: each with its reason.

A difference is a change to a message that makes of what only ours accepts something that both accept; so it is known
that nothing else differs.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from rivta.contracts.domain import Contract


@dataclass(frozen=True, slots=True)
class Difference:
    """`apply` changes a payload in place."""

    reason: str
    apply: Callable[[etree._Element], None]


def as_official(contract: Contract, payload: etree._Element) -> etree._Element:
    """A copy of `payload` without what only our schema of `contract` accepts."""
    changed = copy.deepcopy(payload)
    for difference in DIFFERENCES.get(contract.short_name, ()):
        difference.apply(changed)
    return changed


def _name_contracts_without_colons(payload: etree._Element) -> None:
    for element in payload.iter("{*}tjansteKontrakt"):
        if next(element.iterchildren(etree.Element), None) is None:
            del element[:]  # comments and instructions
            element.text = "kontrakt"


def _describe(payload: etree._Element) -> None:
    for before, missing in (
        ("minorVersion", "beskrivning"),
        ("hsaId", "beskrivning"),
        ("logiskAdressHsaId", "logiskAdressBeskrivning"),
    ):
        for element in payload.iter(f"{{*}}{before}"):
            namespace = etree.QName(element).namespace
            parent = element.getparent()
            if parent is not None and parent.find(f"{{{namespace}}}{missing}") is None:
                element.addnext(element.makeelement(f"{{{namespace}}}{missing}"))


def _permit_something(payload: etree._Element) -> None:
    for answer in payload.iter("{*}hamtaAllaAnropsBehorigheterResponse"):
        namespace = etree.QName(answer).namespace
        if answer.find(f"{{{namespace}}}anropsBehorighetsInfo") is None:
            answer.insert(0, _permission(answer, f"{{{namespace}}}"))


def _permission(answer: etree._Element, namespace: str) -> etree._Element:
    permission = answer.makeelement(f"{namespace}anropsBehorighetsInfo")
    for child, text in (
        ("anropsBehorighetsInfoId", "1"),
        ("receiverId", "a"),
        ("senderId", "b"),
        ("tjansteKontrakt", "kontrakt"),
        ("fromTidpunkt", "2024-01-01T00:00:00"),
        ("tomTidpunkt", "2024-01-01T00:00:00"),
    ):
        etree.SubElement(permission, f"{namespace}{child}").text = text
    return permission


_NO_COLON = Difference(
    "tjansteKontrakt is NCName there, and real catalogues send namespaces, which have colons",
    _name_contracts_without_colons,
)
_PERMISSION_DEMANDED = Difference(
    "a catalogue without permissions has no valid answer there, and routers ask new catalogues too", _permit_something
)
_DESCRIPTION_DEMANDED = Difference(
    "descriptions are demanded there, and the catalogue leaves out empty ones", _describe
)

DIFFERENCES: dict[str, tuple[Difference, ...]] = {
    "SokVagvalsInfo:1": (_NO_COLON, _PERMISSION_DEMANDED),
    "SokVagvalsInfo:2": (_NO_COLON, _PERMISSION_DEMANDED, _DESCRIPTION_DEMANDED),
}

OWN: dict[str, str] = {
    "GetDispensedMedicines:1": (
        "the register's keeper has released contracts of other names and contents, whose schemas are not among the "
        "official ones that we hold ours to; tests/contracts/test_own_contracts.py has what this one must refuse"
    ),
}
"""Contracts of our own, which no official schema exists for."""
