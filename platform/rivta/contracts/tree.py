"""A contract's messages as a tree of what they may hold: for people to read, to compare versions, to make samples from.

Validation does not use it: lxml decides there, by the schema itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lxml import etree

from rivta.contracts.domain import Contract, ContractFileError
from rivta.contracts.patterns import read_patterns_alike
from rivta.contracts.validation import compile_schema
from rivta.soap import namespaces

if TYPE_CHECKING:
    from xmlschema import XMLSchema10

MAX_NODES = 20_000
"""A schema of a few lines can say more elements than any memory holds."""

_XS = f"{{{namespaces.XML_SCHEMA}}}"
_WORDS = {
    "string": "text",
    "normalizedString": "text on one line",
    "token": "text on one line",
    "boolean": "true or false",
    "decimal": "number",
    "float": "number",
    "double": "number",
    "integer": "whole number",
    "int": "whole number",
    "long": "whole number",
    "short": "whole number",
    "byte": "whole number",
    "nonNegativeInteger": "whole number, not negative",
    "positiveInteger": "whole number over 0",
    "unsignedInt": "whole number, not negative",
    "unsignedLong": "whole number, not negative",
    "unsignedShort": "whole number, not negative",
    "dateTime": "date and time",
    "gYear": "year",
    "gYearMonth": "year and month",
    "anyURI": "URI",
    "base64Binary": "bytes in base64",
    "hexBinary": "bytes in hexadecimal",
    "NCName": "name without colon",
    "QName": "name with prefix",
    "language": "language code",
    "anySimpleType": "any text",
    "anyType": "anything",
}
_LIMITS = {
    "length": "exactly {} characters",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minInclusive": "at least {}",
    "maxInclusive": "at most {}",
    "minExclusive": "over {}",
    "maxExclusive": "under {}",
    "totalDigits": "at most {} digits",
    "fractionDigits": "at most {} decimals",
}


@dataclass(frozen=True, slots=True)
class Values:
    """What the text of an element or attribute may be."""

    base: str
    """The built-in type that it comes from, as `string` or `dateTime`; `union` or `list` of `members`."""
    allowed: tuple[str, ...] = ()
    """Empty: any."""
    patterns: tuple[str, ...] = ()
    """Regular expressions of XML Schema; the text fits each."""
    limits: tuple[tuple[str, str], ...] = ()
    """Other facets with their values, as (`maxLength`, `36`)."""
    members: tuple[Values, ...] = ()
    fixed: str | None = None
    """The only text that it may have."""
    default: str | None = None
    """What it means when it is empty."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute that an element may have."""

    name: str
    """`Local`, or `{namespace}Local`."""
    required: bool
    values: Values


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A place for elements that the schema does not name."""

    namespaces: tuple[str, ...]
    """Which they may be of: namespaces, `##any`, `##other` or `##local`."""
    checked: str
    """`lax`: against their schema where it is known; `strict` or `skip`."""
    least: int
    most: int | None
    other_than: str = ""
    """The namespace that `##other` is not."""


@dataclass(frozen=True, slots=True)
class Node:
    """An element that a message may hold."""

    name: str
    """`{namespace}Local`."""
    least: int
    most: int | None
    """How many times it may stand here, the groups around it counted in; None is any number."""
    type_name: str
    """Local name of its type; empty when it has none."""
    description: str
    """What the schema says of it, on one line."""
    values: Values | None
    """None when it holds elements."""
    children: tuple[Node, ...] = ()
    """In the order of the message; empty where the element stands inside itself."""
    attributes: tuple[Attribute, ...] = ()
    wildcards: tuple[Wildcard, ...] = ()
    nillable: bool = False
    recurs: bool = False
    """Its children are those of the element above it that has the same type."""
    choice: int = 0
    """Siblings with the same number, other than 0, are alternatives."""
    model: str = ""
    """How the children are grouped, as `a? (b | c)+`; empty for one after the other."""

    @property
    def local(self) -> str:
        """The name without its namespace."""
        return str(etree.QName(self.name).localname)

    @property
    def is_open(self) -> bool:
        """Elements that the schema does not name may stand among its children."""
        return bool(self.wildcards)


def load_schema(contract: Contract) -> XMLSchema10:
    """The contract's schema for reading. Raises ContractFileError when it is not a valid schema."""
    from xmlschema import XMLSchema10, XMLSchemaException

    compile_schema(contract.schema)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Lax: lxml has accepted the schema, and it is lxml that decides.
            return read_patterns_alike(XMLSchema10(contract.schema.as_uri(), allow="local", validation="lax"))
    except (XMLSchemaException, OSError, RecursionError) as error:
        raise ContractFileError(contract.schema, f"is not a valid schema: {error}") from error


def message_tree(schema: XMLSchema10, root: str) -> Node:
    """The tree below the root element `root` (`{namespace}Local`).

    Raises LookupError when the schema lacks it, and ValueError for one of more than MAX_NODES elements.
    """
    element = schema.maps.elements.get(root)
    if element is None:
        raise LookupError(f"{root} is not defined in the schema")
    return _Reader(root).node(element, 1, 1, 0, ())


def walk(node: Node, depth: int = 0) -> Iterator[tuple[int, Node]]:
    """Every node below and with `node`, each with its depth, in the order of the message."""
    yield depth, node
    for child in node.children:
        yield from walk(child, depth + 1)


def occurrence(least: int, most: int | None) -> str:
    """As `0..1` or `1..*`."""
    return f"{least}..{'*' if most is None else most}"


def in_words(values: Values) -> str:
    """What the text may be, in plain words; allowed values and patterns are left to the reader of them."""
    if values.base in ("union", "list"):
        members = dict.fromkeys(in_words(member) for member in values.members)
        return f"list of {next(iter(members))}" if values.base == "list" else " or ".join(members)
    words = [_WORDS.get(values.base, values.base)]
    words += [_LIMITS[name].format(value) for name, value in values.limits if name in _LIMITS]
    return ", ".join(words)


def restrictions(values: Values) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What else there is to say: (`one of`, the values), (`fits`, the patterns), (`always`, ...) ..."""
    if values.fixed is not None:
        yield "always", (values.fixed,)
    if values.default is not None:
        yield "by default", (values.default,)
    if values.allowed:
        yield "one of", values.allowed
    elif values.patterns:
        yield "fits", values.patterns
    for member in values.members:
        yield from restrictions(member)


class _Reader:
    """xmlschema's components are an untyped rim: what comes of them is ours."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._nodes = 0

    def node(self, element: Any, least: int, most: int | None, choice: int, above: tuple[Any, ...]) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ValueError(f"{self._root} may hold more than {MAX_NODES} different elements: too many to show")
        kind = element.type
        recurs = kind in above
        group = kind.content if kind.is_complex() and not kind.has_simple_content() else None
        particles = [] if group is None or recurs else list(_particles(group))
        wildcards = [] if group is None else [_wildcard(*one[:3]) for one in _particles(group) if _is_wildcard(one[0])]
        return Node(
            name=str(element.name),
            least=least,
            most=most,
            type_name=kind.local_name or "",
            description=_description(element) or _description(kind),
            values=_values_of_element(element, group),
            children=tuple(
                self.node(part, low, high, which, (*above, kind))
                for part, low, high, which in particles
                if not _is_wildcard(part)
            ),
            attributes=tuple(_attributes(element)),
            wildcards=tuple(wildcards),
            nillable=bool(element.nillable),
            recurs=recurs,
            choice=choice,
            model="" if group is None else _model(group),
        )


def _particles(group: Any) -> Iterator[tuple[Any, int, int | None, int]]:
    """Elements and wildcards with how often they stand there, groups within groups laid flat."""
    numbers = iter(range(1, 1_000_000))

    def flat(part: Any, least: int, most: int | None, choice: int) -> Iterator[tuple[Any, int, int | None, int]]:
        low = least * int(part.min_occurs)
        high = None if most is None or part.max_occurs is None else most * int(part.max_occurs)
        if not _is_group(part):
            yield part, low, high, choice
            return
        alternatives = part.model == "choice" and len(part) > 1
        number = next(numbers) if alternatives else choice
        for one in part:
            yield from flat(one, 0 if alternatives else low, high, number)

    yield from flat(group, 1, 1, 0)


def _model(group: Any) -> str:
    """How the parts of a group are grouped; empty when it is just one sequence."""

    def is_plain(part: Any) -> bool:
        once = (part.min_occurs, part.max_occurs) == (1, 1)
        return not _is_group(part) or (
            (len(part) == 0 or (once and part.model == "sequence")) and all(map(is_plain, part))
        )

    def written(part: Any, within: str) -> str:
        times = {(1, 1): "", (0, 1): "?", (0, None): "*", (1, None): "+"}.get(
            (part.min_occurs, part.max_occurs), f"{{{occurrence(part.min_occurs, part.max_occurs)}}}"
        )
        if not _is_group(part):
            return ("..." if _is_wildcard(part) else str(part.local_name)) + times
        between = {"choice": " | ", "all": " & "}.get(part.model, " ")
        inner = between.join(written(one, part.model) for one in part if _says(one))
        is_plain_part = part.model == "sequence" and (within == "sequence" or len(part) == 1)
        return inner if not times and (is_plain_part or not within) else f"({inner}){times}"

    return "" if is_plain(group) else written(group, "")


def _says(part: Any) -> bool:
    return not _is_group(part) or len(part) > 0


def _is_group(part: Any) -> bool:
    from xmlschema.validators import XsdGroup

    return isinstance(part, XsdGroup)


def _is_wildcard(part: Any) -> bool:
    from xmlschema.validators import XsdAnyElement

    return isinstance(part, XsdAnyElement)


def _wildcard(part: Any, least: int, most: int | None) -> Wildcard:
    namespaces = tuple(str(one) for one in part.namespace)
    return Wildcard(namespaces, str(part.process_contents), least, most, str(part.target_namespace))


def _attributes(element: Any) -> Iterator[Attribute]:
    for name, rule in element.attributes.items():
        if name is not None and rule.use != "prohibited":
            values = values_of(rule.type, fixed=rule.fixed, default=rule.default)
            yield Attribute(str(name), rule.use == "required", values)


def _description(component: Any) -> str:
    annotation = getattr(component, "annotation", None)
    return " ".join(str(annotation).split()) if annotation is not None else ""


def _values_of_element(element: Any, group: Any) -> Values | None:
    if group is not None:
        return Values("anyType") if element.type.name == f"{_XS}anyType" else None
    simple = element.type.content if element.type.is_complex() else element.type
    return values_of(simple, fixed=element.fixed, default=element.default)


def values_of(simple: Any, *, fixed: str | None = None, default: str | None = None) -> Values:
    """The facets of a simple type of xmlschema and of all that it restricts."""
    allowed: tuple[str, ...] = ()
    patterns: list[str] = []
    limits: dict[str, str] = {}
    node = simple
    while not is_builtin(node) and not (members := _members(node)):
        allowed = allowed or tuple(str(value) for value in getattr(node, "enumeration", None) or ())
        patterns += _patterns(node)
        for name, facet in node.facets.items():
            local = str(name).rpartition("}")[2]
            if local in _LIMITS:
                limits.setdefault(local, str(facet.value))
        node = node.base_type
        if node is None:
            return Values("anySimpleType", fixed=fixed, default=default)
    else:
        members = () if is_builtin(node) else _members(node)
    return Values(
        base=type(node).__name__.removeprefix("Xsd").lower() if members else str(node.local_name),
        allowed=allowed,
        patterns=tuple(patterns),
        limits=tuple(sorted(limits.items())),
        members=tuple(values_of(member) for member in members),
        fixed=fixed,
        default=default,
    )


def is_builtin(simple: Any) -> bool:
    """Whether it is a type of XML Schema itself."""
    return str(simple.name or "").startswith(_XS)


def _members(simple: Any) -> tuple[Any, ...]:
    """Of a union its types, of a list that of its items."""
    from xmlschema.validators import XsdList, XsdUnion

    if isinstance(simple, XsdUnion):
        return tuple(simple.member_types)
    return (simple.item_type,) if isinstance(simple, XsdList) else ()


def _patterns(simple: Any) -> Iterator[str]:
    """What the type itself demands: patterns beside each other are alternatives."""
    own = getattr(simple, "patterns", None)
    if own is not None:
        yield own.regexps[0] if len(own.regexps) == 1 else "|".join(f"({one})" for one in own.regexps)
