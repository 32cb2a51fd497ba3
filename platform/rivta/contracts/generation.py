"""Valid messages of a contract, made from its schema alone: the same for the same seed."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from lxml import etree

from rivta.contracts.domain import Contract
from rivta.contracts.samples import PATIENT
from rivta.contracts.tree import is_builtin, load_schema
from rivta.contracts.validation import compile_schema
from rivta.soap import namespaces
from rivta.soap.person_ids import PersonIdType

_ATTEMPTS = 50
_MOST_ELEMENTS = 5_000
# Below this depth only what must be there is written, so that a type inside itself ends.
_DEPTH = 12
_LISTS_TO = 2
_DEEPEST = 100
_TEXT_ATTEMPTS = 25
_NEWEST = datetime(2024, 12, 31, tzinfo=UTC)
_WORDS = (
    "Återbesök",
    "Kontroll",
    "Uppföljning",
    "Provtagning",
    "Bedömning",
    "Utan anmärkning",
    "Enligt överenskommelse",
)
_PERSON = re.compile(r"(?i)(patient|person|registeredresident)\w*id\w*")
_PERSONAL_NUMBER_OID = PersonIdType.PERSONAL_NUMBER.value
_HSA_ID = re.compile(r"(?i)(hsaid|careunitid|careproviderid|sourcesystem|logicaladdress)$")
# XML 1.0, section 2.2.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XSI_TYPE = f"{{{namespaces.XML_SCHEMA_INSTANCE}}}type"
_EXTENSION = "urn:example:extension"


class CannotGenerate(ValueError):
    """No valid message could be made from the schema; the text says what stood in the way."""


def generate(contract: Contract, root: str, *, seed: int) -> bytes:
    """A valid message with the root element `root` (`{namespace}Local`), as a payload without envelope.

    Optional elements are there or not as the seed decides. Raises CannotGenerate, LookupError when the schema does not
    define `root`, and ContractFileError when it is not valid.
    """
    schema: Any = load_schema(contract)
    declared = schema.maps.elements.get(root)
    if declared is None:
        raise LookupError(f"{root} is not defined in the schema of {contract.short_name}")
    judge = compile_schema(contract.schema)
    local = etree.QName(root).localname
    for attempt in range(_ATTEMPTS):
        # Rules across elements (keys, what a derived type may hold) are not looked at while writing: the schema has
        # the last word. Later attempts are leaner, since what may be left out cannot be wrong.
        dice = random.Random(f"{seed}/{attempt}")
        message = _Writer(dice, schema, share=1 if attempt < _ATTEMPTS // 2 else 0).message(declared)
        if judge.validate(message):
            etree.indent(message)
            return etree.tostring(message, encoding="UTF-8", xml_declaration=True)
    log: Any = judge.error_log
    raise CannotGenerate(f"no valid {local} was found in {_ATTEMPTS} tries: {log.last_error.message}")


class _Writer:
    """Writes one message. xmlschema's components are an untyped rim."""

    def __init__(self, dice: random.Random, schema: Any, *, share: int) -> None:
        """`share` 0 leaves out all that may be."""
        self._dice = dice
        self._schema = schema
        self._share = share
        self._elements = 0
        self._ids = 0
        self._typed: list[tuple[etree._Element, etree.QName]] = []

    def message(self, declared: Any) -> etree._Element:
        root = self.element(declared, depth=0)
        _declare_at_the_top(root)
        for element, name in self._typed:
            _name_type(element, name)
        return root

    def element(self, declared: Any, *, depth: int) -> etree._Element:
        self._elements += 1
        if self._elements > _MOST_ELEMENTS or depth > _DEEPEST:
            raise CannotGenerate(f"a message has more than {_MOST_ELEMENTS} elements, or is nested without end")
        declared = self._concrete(declared)
        name = str(declared.name)
        namespace = etree.QName(name).namespace
        element = etree.Element(name, nsmap={"m": namespace} if depth == 0 and namespace else None)
        kind = self._concrete_type(element, declared.type)
        for attribute, rule in kind.attributes.items() if kind.is_complex() else ():
            if attribute is not None and self._has(rule.use):
                element.set(attribute, rule.fixed if rule.fixed is not None else self._text(rule.type, attribute))
        if declared.fixed is not None:
            element.text = declared.fixed
        elif kind.is_simple() or kind.has_simple_content():
            element.text = self._text(kind.content if kind.is_complex() else kind, name)
        else:
            for child in self._content(kind.content, depth):
                element.append(child)
            if _PERSON.fullmatch(etree.QName(name).localname):
                _name_test_person(element)
        return element

    def _concrete(self, declared: Any) -> Any:
        """The element itself, or one that stands in for it when it is abstract."""
        if not declared.abstract:
            return declared
        substitutes = [one for one in self._schema.maps.substitution_groups.get(declared.name, ()) if not one.abstract]
        if not substitutes:
            raise CannotGenerate(f"{declared.name} is abstract, and nothing may stand in its place")
        return self._dice.choice(sorted(substitutes, key=lambda one: str(one.name)))

    def _concrete_type(self, element: etree._Element, kind: Any) -> Any:
        """The type itself, or when it is abstract one that extends it, named on the element."""
        if not getattr(kind, "abstract", False):
            return kind
        derived = [one for one in self._schema.maps.types.values() if not one.abstract and one.is_derived(kind)]
        if not derived:
            raise CannotGenerate(f"{kind.name} is abstract, and no type is derived from it")
        chosen = self._dice.choice(sorted(derived, key=lambda one: str(one.name)))
        self._typed.append((element, etree.QName(chosen.name)))
        return chosen

    def _has(self, use: str) -> bool:
        return use == "required" or (use == "optional" and bool(self._share) and self._dice.random() < 0.5)

    def _content(self, group: Any, depth: int) -> Iterator[etree._Element]:
        """The elements of a group, as often as it stands there."""
        from xmlschema.validators import XsdAnyElement, XsdElement, XsdGroup

        for _ in range(self._times(group, depth)):
            parts = list(group)
            if group.model == "choice" and parts:
                parts = [self._choice(parts, depth)]
            for part in parts:
                if isinstance(part, XsdGroup):
                    yield from self._content(part, depth)
                elif isinstance(part, XsdElement):
                    for _ in range(self._times(part, depth)):
                        yield self.element(part, depth=depth + 1)
                elif isinstance(part, XsdAnyElement):
                    for _ in range(part.min_occurs):
                        yield self._extension(part, depth)

    def _choice(self, parts: list[Any], depth: int) -> Any:
        """One of them; deep down one that needs nothing, or no other element."""
        if depth < _DEPTH:
            return self._dice.choice(parts)
        return min(parts, key=lambda part: (part.min_occurs > 0, not _is_leaf(part)))

    def _times(self, part: Any, depth: int) -> int:
        least, most = part.min_occurs, part.max_occurs
        if depth >= _DEPTH or most == least or not self._share:
            return int(least)
        # Half of what may be left out is, and a list has few entries: the message stays one that a person can read.
        once, twice = (least + more if most is None else min(least + more, most) for more in (1, 2))
        return int(self._dice.choice([least, once, twice] if depth <= _LISTS_TO else [least, least, once]))

    def _extension(self, wildcard: Any, depth: int) -> etree._Element:
        """An element where the schema demands one that it does not name."""
        if wildcard.process_contents == "strict":
            elements = self._schema.maps.elements.items()
            for name, declared in sorted(elements, key=lambda item: (not _is_leaf(item[1]), item[0])):
                if wildcard.is_namespace_allowed(etree.QName(name).namespace or ""):
                    return self.element(declared, depth=depth + 1)
        allowed = [one for one in wildcard.namespace if not one.startswith("##")]
        if "##local" in wildcard.namespace and "##any" not in wildcard.namespace:
            return etree.Element("extension")
        return etree.Element(f"{{{allowed[0] if allowed else _EXTENSION}}}extension")

    def _text(self, kind: Any, name: str) -> str:
        """A text of the type: likely ones first, until one fits all that the type demands."""
        text = ""
        for attempt in range(_TEXT_ATTEMPTS):
            text = self._candidate(kind, name, attempt)
            if _NOT_IN_XML.search(text) is None and kind.text_is_valid(text):
                return text
        return _NOT_IN_XML.sub("", text)

    def _candidate(self, kind: Any, name: str, attempt: int) -> str:
        local = name.rpartition("}")[2]
        allowed, patterns, limits, members = _demands(kind)
        if allowed:
            return str(self._dice.choice(allowed))
        if members is not None:
            return self._of_members(members, limits, name, is_list=kind.is_list())
        if patterns:
            if attempt == 0 and _PERSON.search(local):
                return PATIENT
            # Rare letters and endless repetition are legal too, and tried last.
            return matching(patterns[0], self._dice, is_plain=attempt <= _TEXT_ATTEMPTS // 2)
        ends = [str(limits[facet]) for facet in ("minInclusive", "maxInclusive") if facet in limits]
        if ends and attempt > _TEXT_ATTEMPTS // 2:
            return self._dice.choice(ends)
        base = _builtin(kind)
        return (
            _cut(self._builtin(base, local, limits), limits) if base in _TEXTS else self._builtin(base, local, limits)
        )

    def _of_members(self, members: list[Any], limits: dict[str, Any], name: str, *, is_list: bool) -> str:
        if not is_list:
            return self._text(self._dice.choice(members), name)
        least = _length(limits, 1)
        most = int(limits.get("length", limits.get("maxLength", least + 2)))
        return " ".join(self._text(members[0], name) for _ in range(self._dice.randint(least, max(least, most))))

    def _builtin(self, base: str, local: str, limits: dict[str, Any]) -> str:
        dice = self._dice
        moment = _NEWEST - timedelta(minutes=dice.randrange(3 * 365 * 24 * 60))
        if base in _MOMENTS:
            return moment.strftime(_MOMENTS[base])
        if base in ("decimal", "double", "float"):
            return _number(dice, limits)
        if base in _WHOLE:
            return str(_whole(dice, limits, base))
        match base:
            case "boolean":
                return dice.choice(("true", "false"))
            case "duration":
                return f"P{dice.randrange(1, 30)}D"
            case "base64Binary":
                return base64.b64encode(dice.randbytes(_length(limits, 12))).decode()
            case "hexBinary":
                return dice.randbytes(_length(limits, 6)).hex()
            case "anyURI":
                return f"urn:example:{dice.randrange(1000)}"
            case "ID":
                self._ids += 1
                return f"id{self._ids}"
            case "IDREF" | "IDREFS":
                return "id1"
            case "NCName" | "Name" | "NMTOKEN" | "NMTOKENS" | "QName":
                return f"n{dice.randrange(10_000)}"
            case "language":
                return "sv"
        if _PERSON.fullmatch(local):
            return PATIENT
        if _HSA_ID.search(local):
            return f"SE2321000016-{dice.randrange(16**4):04X}"
        if local.lower().endswith("id"):
            return f"{dice.choice('ABCDEF')}-{dice.randrange(10**6):06d}"
        return dice.choice(_WORDS)


_TEXTS = frozenset({"string", "normalizedString", "token", "anySimpleType", "NCName", "Name", "NMTOKEN", "anyURI"})
_MOMENTS = {
    "dateTime": "%Y-%m-%dT%H:%M:%S",
    "date": "%Y-%m-%d",
    "time": "%H:%M:%S",
    "gYear": "%Y",
    "gYearMonth": "%Y-%m",
    "gMonthDay": "--%m-%d",
    "gMonth": "--%m",
    "gDay": "---%d",
}
_WHOLE = {
    "integer": (1, 100),
    "int": (1, 100),
    "long": (1, 100),
    "short": (1, 100),
    "byte": (1, 100),
    "nonNegativeInteger": (0, 100),
    "positiveInteger": (1, 100),
    "nonPositiveInteger": (-100, 0),
    "negativeInteger": (-100, -1),
    "unsignedLong": (0, 100),
    "unsignedInt": (0, 100),
    "unsignedShort": (0, 100),
    "unsignedByte": (0, 100),
}
"""Whole numbers by type, and from and to what they are taken."""


_READABLE = {
    r"\s": " ",
    r"\i": "A-Za-z_",
    r"\c": "A-Za-z0-9_.-",
    r"\w": "A-Za-z0-9",
    r"\p{L}": "A-ZÅÄÖa-zåäö",
    r"\p{Lu}": "A-ZÅÄÖ",
    r"\p{Ll}": "a-zåäö",
    r"\p{N}": "0-9",
    r"\p{Nd}": "0-9",
    r"\p{IsBasicLatin}": "A-Za-z0-9",
}
"""Classes of characters of XML Schema, and the part of each that is easily read."""
_TOKEN = re.compile(r"\\[pP]\{[^}]*\}|\\.|\[\^?|\]|\{\d+,\}|.", re.S)
_TOKEN_WITH_RANGES = re.compile(r"\\[pP]\{[^}]*\}|\\.|\[(?:\\.|[^\]\\])*\]|\{[\d,]+\}|.", re.S)
_STAR = 100
"""How often rstr repeats what may be repeated without end."""
_LONGEST_TEXT = 10_000
_LONGEST_ODD_TEXT = 500
"""Characters of what may fit a pattern, for it to be tried with rare letters and endless repetition."""
_ENDLESS = {"*": "{0,8}", "+": "{1,8}"}


def _readable(pattern: str) -> str:
    """A pattern for a part of what `pattern` allows; where a class excludes characters, perhaps for more."""
    written, depth = [], 0
    for token in _TOKEN.findall(pattern):
        if token.startswith("[") or token == "]":
            depth += 1 if token != "]" else -1
        elif token in _READABLE:
            token = _READABLE[token] if depth else f"[{_READABLE[token]}]"
        elif not depth and token in _ENDLESS:
            token = _ENDLESS[token]
        elif not depth and token.endswith(",}"):
            token = f"{token[:-1]}{int(token[1:-2]) + 8}}}"
        written.append(token)
    return "".join(written)


def matching(pattern: str, dice: random.Random, *, is_plain: bool = True) -> str:
    """A text that fits a pattern of XML Schema, of letters that are easily read where `is_plain`.

    Raises CannotGenerate when none is found, or when they may be too long.
    """
    import rstr
    from elementpath.regex import RegexError, translate_pattern

    readable = _readable(pattern)
    widest = _widest(readable)
    if widest > _LONGEST_TEXT:
        raise CannotGenerate(f"a text that fits its pattern may have over {_LONGEST_TEXT} characters")
    chosen = readable if is_plain or widest > _LONGEST_ODD_TEXT else pattern
    try:
        spelled = translate_pattern(
            chosen, xsd_version="1.0", back_references=False, lazy_quantifiers=False, anchors=False
        )
        return str(rstr.Rstr(dice).xeger(spelled))
    except (ValueError, RecursionError, re.error, RegexError) as error:
        raise CannotGenerate(f"no text was found for a pattern: {error}") from error


def _widest(pattern: str) -> int:
    """The most characters that fit a pattern, or a few more: alternatives count one after the other."""
    widths, last = [0], 0
    for token in _TOKEN_WITH_RANGES.findall(pattern):
        if token == "(":
            widths.append(0)
            last = 0
        elif token == ")" and len(widths) > 1:
            last = widths.pop()
            widths[-1] += last
        elif token[0] == "{" or token in ("?", "*", "+"):
            most = int(re.findall(r"\d+", token)[-1]) if token[0] == "{" else _STAR if token != "?" else 1
            widths[-1] += last * (max(most, 1) - 1)
            last *= max(most, 1)
        else:
            last = 1
            widths[-1] += last
    return sum(widths)


def _whole(dice: random.Random, limits: dict[str, Any], base: str) -> int:
    least, most = _WHOLE[base]
    low = _limit(limits, "minInclusive", "minExclusive", 1)
    high = _limit(limits, "maxInclusive", "maxExclusive", -1)
    if low is not None:
        least = int(low)
        most = max(most, least + 100)
    if high is not None:
        most = int(high)
        least = least if low is not None else min(least, most)
    if "totalDigits" in limits:
        most = min(most, 10 ** int(limits["totalDigits"]) - 1)
    return dice.randint(least, max(least, most))


def _number(dice: random.Random, limits: dict[str, Any]) -> str:
    decimals = int(limits.get("fractionDigits", 1))
    low = _limit(limits, "minInclusive", "minExclusive", 0)
    high = _limit(limits, "maxInclusive", "maxExclusive", 0)
    least = Decimal(low) if low is not None else Decimal(high) - 100 if high is not None and high < 1 else Decimal(0)
    most = Decimal(high) if high is not None else least + 200
    if "totalDigits" in limits:
        most = min(most, Decimal(10) ** max(int(limits["totalDigits"]) - decimals, 0))
    part = Decimal(dice.randint(1, 99)) / 100
    return str((least + (most - least) * part).quantize(Decimal(1).scaleb(-decimals)))


def _limit(limits: dict[str, Any], inclusive: str, exclusive: str, step: int) -> Decimal | None:
    if inclusive in limits:
        return Decimal(str(limits[inclusive]))
    return Decimal(str(limits[exclusive])) + step if exclusive in limits else None


def _length(limits: dict[str, Any], otherwise: int) -> int:
    """How long a text has to be at least; CannotGenerate for one that nobody wants to see."""
    least = int(limits.get("length", limits.get("minLength", otherwise)))
    if least > _LONGEST_TEXT:
        raise CannotGenerate(f"a text in it has at least {least} characters; at most {_LONGEST_TEXT} are made")
    return least


def _cut(text: str, limits: dict[str, Any]) -> str:
    """The text, cut or filled to the lengths that the type allows."""
    shortest = _length(limits, 0)
    longest = int(limits.get("length", limits.get("maxLength", len(text) + shortest)))
    return text.ljust(shortest, "x")[:longest]


def _declare_at_the_top(root: etree._Element) -> None:
    used = dict.fromkeys(str(etree.QName(element).namespace or "") for element in root.iter(etree.Element))
    used.pop("", None)
    etree.cleanup_namespaces(root, top_nsmap={f"n{number}" if number else "m": one for number, one in enumerate(used)})


def _name_type(element: etree._Element, name: etree.QName) -> None:
    """Says which type an element is of. Done last: a prefix in a value has to be bound where the element stands."""
    if not name.namespace:
        element.set(_XSI_TYPE, name.localname)
        return
    if name.namespace not in (bound for prefix, bound in element.nsmap.items() if prefix):
        element.set(f"{{{name.namespace}}}bound", "")  # an attribute is what makes lxml bind a prefix
        del element.attrib[f"{{{name.namespace}}}bound"]
    prefix = next(prefix for prefix, bound in element.nsmap.items() if prefix and bound == name.namespace)
    element.set(_XSI_TYPE, f"{prefix}:{name.localname}")


def _name_test_person(element: etree._Element) -> None:
    """An id in two parts, the number and the OID of its kind, in any of the domains' spellings."""
    parts = {etree.QName(child).localname: child for child in element.iterchildren(etree.Element)}
    for number, kind in (("id", "type"), ("extension", "root")):
        if number in parts and kind in parts:
            parts[number].text, parts[kind].text = PATIENT, _PERSONAL_NUMBER_OID


def _is_leaf(part: Any) -> bool:
    from xmlschema.validators import XsdElement

    return isinstance(part, XsdElement) and (part.type.is_simple() or part.type.has_simple_content())


def _demands(kind: Any) -> tuple[list[Any], list[str], dict[str, Any], list[Any] | None]:
    """Allowed values, patterns, other facets by name, and the types of a union or list; the nearest ones first."""
    from xmlschema.validators import XsdList, XsdUnion

    allowed: list[Any] = []
    patterns: list[str] = []
    limits: dict[str, Any] = {}
    while kind is not None and not is_builtin(kind):
        if isinstance(kind, XsdUnion):
            return allowed, patterns, limits, list(kind.member_types)
        if isinstance(kind, XsdList):
            return allowed, patterns, limits, [kind.item_type]
        allowed = allowed or list(getattr(kind, "enumeration", None) or ())
        if (own := getattr(kind, "patterns", None)) is not None:
            patterns.append("|".join(f"({one})" for one in own.regexps))
        for name, facet in kind.facets.items():
            if name is not None and hasattr(facet, "value"):
                limits.setdefault(str(name).rpartition("}")[2], facet.value)
        kind = kind.base_type
    return allowed, patterns, limits, None


def _builtin(kind: Any) -> str:
    while kind is not None and not is_builtin(kind):
        kind = kind.base_type
    return str(kind.local_name) if kind is not None else "string"
