"""Random changes to a message, the same for the same seed everywhere: what an oracle and our schemas must agree on."""

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lxml import etree

_T = TypeVar("_T")
_XSI = "http://www.w3.org/2001/XMLSchema-instance"

VALUES = (
    *("", " ", "x", "ja", "true", "false", " true ", "TRUE", "0", "1", "2", "-1", "1.5", "Huvuddiagnos", "Bidiagnos"),
    *("huvuddiagnos", "OK", "ok", "ERROR", "INFO", "INVALID_REQUEST", "YYYY", "YYYYMM", "YYYYMMDD", "1912", "191213"),
    *("20240311", "19000101", "21000101", "20241301", "20240230", "20240232", "20240311101500", "20240311240000"),
    *("20240311236000", "20240311235960", "19991231235959", "99991231235959", "09991231235959", "20240300101500"),
    *("2024-03-11", "2024-03-11T10:15:00", "２０２４０３１１", "٢٠٢٤٠٣١١", "-0044", "-44", "subject_of_care", "other"),
    *("urn:riv:x", "http://exempel.se/å ä", "%zz", "::", "a\nb", "åäö", "DataFromSource", "NoDataSynchFailed"),
)
_FOREIGN = ("{urn:exempel:tillagg:1}extra", "{urn:exempel:tillagg:1}id", "extra", "{urn:riv:itintegration:registry:1}x")
_ATTRIBUTES = (
    *(("extra", "1"), ("{urn:exempel:tillagg:1}extra", "1"), (f"{{{_XSI}}}nil", "true"), (f"{{{_XSI}}}nil", "false")),
    *((f"{{{_XSI}}}type", "finnsinte"), (f"{{{_XSI}}}schemaLocation", "urn:x finns-inte.xsd"), ("id", "a")),
)


@dataclass(frozen=True, slots=True)
class Mutator:
    """Makes mutants of one payload. `names` are the elements, as `{namespace}Local`, that it may put in."""

    payload: etree._Element
    names: Sequence[str]

    def mutant(self, seed: int) -> etree._Element:
        """A copy with one to three changes."""
        dice = _Dice(seed)
        root = copy.deepcopy(self.payload)
        for _ in range(dice.pick((1, 1, 2, 3))):
            dice.pick(_CHANGES)(root, dice, self.names)
        # Written and read again, since a message that reaches a schema has been on the wire.
        return etree.fromstring(etree.tostring(root))


class _Dice:
    """Choices from nothing but Random.random(), the one method whose sequence Python promises to keep."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, choices: Sequence[_T]) -> _T:
        return choices[int(self._random.random() * len(choices))]


def timelike(seed: int) -> str:
    """A string that a date or a time may look like, or nearly."""
    dice = _Dice(seed)
    parts = (
        ("19", "20", "20", "18", "21", "00", "09", "-20", "٢٠"),
        ("00", "24", "99", "4", "٢٤"),
        ("", "01", "09", "10", "12", "00", "13", "1"),
        ("", "01", "09", "10", "19", "20", "29", "30", "31", "00", "32", "39"),
        ("", "00", "09", "10", "19", "20", "23", "24", "29", "30"),
        ("", "00", "09", "59", "60", "5", "٥٩"),
        ("", "00", "59", "60", "99", " "),
    )
    length = dice.pick((2, 3, 4, 7, 7, 7, 7))
    return "".join(
        dice.pick([one for one in part if one or dice.pick((True, False, False))]) for part in parts[:length]
    )


def tags(*payloads: etree._Element) -> list[str]:
    """The elements that occur in `payloads`, sorted."""
    return sorted({str(element.tag) for payload in payloads for element in payload.iter(etree.Element)})


def _element(root: etree._Element, dice: _Dice) -> etree._Element:
    return dice.pick(list(root.iter(etree.Element)))


def _inner(root: etree._Element, dice: _Dice) -> etree._Element:
    below = list(root.iterdescendants(etree.Element))
    return dice.pick(below) if below else root


def _leaf(root: etree._Element, dice: _Dice) -> etree._Element:
    return dice.pick(
        [element for element in root.iter(etree.Element) if next(element.iterchildren(etree.Element), None) is None]
    )


def _drop(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    element = _inner(root, dice)
    if (parent := element.getparent()) is not None:
        parent.remove(element)


def _repeat(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    element = _inner(root, dice)
    if element is not root:
        element.addnext(copy.deepcopy(element))


def _swap_neighbours(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    element = _inner(root, dice)
    if (following := element.getnext()) is not None and element is not root:
        following.addnext(element)


def _move(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    element, target = _inner(root, dice), _element(root, dice)
    if element is not root and target is not element and element not in target.iterancestors():
        target.insert(dice.pick(range(len(target) + 1)), element)


def _swap_contents(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    one, other = _leaf(root, dice), _leaf(root, dice)
    one.text, other.text = other.text, one.text


def _retype(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    _leaf(root, dice).text = dice.pick(VALUES)


def _change_a_character(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    leaf = _leaf(root, dice)
    if text := leaf.text:
        at = dice.pick(range(len(text)))
        leaf.text = text[:at] + dice.pick(("", "0", "1", "3", "9", "x", " ", "٣", "00")) + text[at + 1 :]


def _rename(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    _element(root, dice).tag = dice.pick((*names, *_FOREIGN))


def _change_namespace(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    element = _element(root, dice)
    namespace = etree.QName(dice.pick(names)).namespace
    local = etree.QName(element).localname
    element.tag = dice.pick((f"{{{namespace}}}{local}", local, f"{{urn:exempel:annan}}{local}"))


def _add_foreign(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    target = _element(root, dice)
    target.insert(dice.pick(range(len(target) + 1)), target.makeelement(dice.pick(_FOREIGN)))


def _extend(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    parents = [element for element in root.iter(etree.Element) if len(element)] or [root]
    extra = etree.SubElement(dice.pick(parents), dice.pick((*_FOREIGN, *names)))
    extra.text = dice.pick(VALUES)


def _add_known(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    target = _element(root, dice)
    known = target.makeelement(dice.pick(names))
    known.text = dice.pick(VALUES)
    target.insert(dice.pick(range(len(target) + 1)), known)


def _empty(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    element = _element(root, dice)
    for child in list(element):
        element.remove(child)
    element.text = None


def _add_text(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    element = _element(root, dice)
    element.text = (element.text or "") + dice.pick(VALUES)


def _add_attribute(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    name, value = dice.pick(_ATTRIBUTES)
    _element(root, dice).set(name, value)


def _add_comment(root: etree._Element, dice: _Dice, names: Sequence[str]) -> None:
    _element(root, dice).append(etree.Comment("x"))


_CHANGES: tuple[Callable[[etree._Element, _Dice, Sequence[str]], None], ...] = (
    *(_drop, _repeat, _swap_neighbours, _move, _swap_contents, _retype, _retype, _change_a_character, _rename),
    *(_change_namespace, _add_foreign, _extend, _extend, _add_known, _empty, _add_text, _add_attribute, _add_comment),
)
