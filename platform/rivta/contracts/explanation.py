"""Why a message does not fit its schema, in plain words: where lxml found it, worded from what xmlschema knows."""

import contextlib
import copy
import re
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lxml import etree

from rivta.contracts.domain import imported_files, read_contract_file
from rivta.contracts.patterns import read_patterns_alike
from rivta.soap import namespaces
from rivta.soap.xml import schema_errors

if TYPE_CHECKING:
    from xmlschema import XMLSchema10, XMLSchemaValidationError
    from xmlschema.validators import XsdPatternFacets

# xmlschema takes about 15 us an element, in which nothing else runs; above this, lxml's own words have to do, and those
# are had in another way (see `rivta.soap.xml.fits_schema`).
_MAX_EXPLAINED_ELEMENTS = 2_000
_MAX_PLACES = 20
_MAX_QUOTED = 60
_MAX_LISTED = 12
_MAX_DOCUMENTATION = 120

# Among a hundred thousand siblings, in which counting by hand would hold everything up.
_ELDERS = etree.XPath("count(preceding-sibling::*)")
_ELDER_NAMESAKES = etree.XPath("count(preceding-sibling::*[local-name() = $local and namespace-uri() = $namespace])")

_ENVELOPE_NAMES = frozenset(
    f"{{{namespace}}}{local}"
    for namespace in (namespaces.SOAP_ENVELOPE, namespaces.SOAP_12_ENVELOPE)
    for local in ("Envelope", "Header", "Body", "Fault")
)
_USUAL_PREFIXES = {
    namespaces.SOAP_ENVELOPE: "soap",
    namespaces.SOAP_12_ENVELOPE: "soap12",
    namespaces.REGISTRY_1: "registry",
    namespaces.INTEROPERABILITY_HEADERS: "interop",
}
# A prefix is free text of the sender: one that could hold an id or a name is not repeated.
_PLAIN_PREFIX = re.compile(r"[A-Za-z]{1,12}\d{0,2}")
_UNKNOWN_ELEMENT = "an element unknown to the contract"

# What lxml calls the four usual kinds of error, for when xmlschema has no word on them; {} is the value's shape.
_PRIVATE_BY_TYPE = {
    "SCHEMAV_ELEMENT_CONTENT": "an element is missing, or one is not expected here",
    "SCHEMAV_CVC_ENUMERATION_VALID": "{} is not one of the allowed values",
    "SCHEMAV_CVC_PATTERN_VALID": "{} does not match the pattern of its type",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": "{} is not of the declared type",
}
# xmlschema's sentences that quote nothing from the message, and ours for them.
_FIXED_SENTENCES = {
    "character data between child elements not allowed": "text between the elements is not allowed",
    "a simple content element can't have child elements": "only text is allowed here, no elements",
    "xsi:nil attribute must has a boolean value": "xsi:nil is neither true nor false",
    "element is not nillable": "xsi:nil is not allowed here",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong at one element of the message."""

    element: etree._Element
    reason: str
    private_reason: str


@dataclass(frozen=True, slots=True)
class _LogEntry:
    """What lxml said, kept beyond the next validation."""

    path: str
    type_name: str
    text: str


class Names:
    """How elements are written in one verdict: prefixes that each mean one namespace, and no name the schema lacks."""

    def __init__(self, payload: etree._Element) -> None:
        self._nsmap = payload.nsmap
        self._prefixes: dict[str, str] = {}
        self._known: frozenset[str] = _ENVELOPE_NAMES

    def learn(self, vocabulary: frozenset[str]) -> None:
        """Adds names, as `{namespace}Local`, that may be shown to anybody."""
        self._known |= vocabulary

    def written(self, tag: str) -> str:
        """`prefix:Local` for `{namespace}Local`."""
        name = etree.QName(tag)
        return f"{self._prefix(name.namespace)}:{name.localname}" if name.namespace else str(name.localname)

    def private(self, tag: str) -> str:
        """The same for third parties: a name that the contract does not have is the sender's own text."""
        return self.written(tag) if tag in self._known else _UNKNOWN_ELEMENT

    def path(self, element: etree._Element) -> str:
        """An XPath from the root of the document that finds only `element`."""
        return "".join(f"/{self._step(node)}" for node in (*reversed([*element.iterancestors()]), element))

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(prefix, namespace) of every prefix given so far."""
        return tuple(sorted((prefix, namespace) for namespace, prefix in self._prefixes.items()))

    def _step(self, element: etree._Element) -> str:
        tag = str(element.tag)
        if tag not in self._known:
            return f"*[{_counted(_ELDERS(element)) + 1}]"
        name = etree.QName(tag)
        elders = _counted(_ELDER_NAMESAKES(element, local=name.localname, namespace=name.namespace or ""))
        is_alone = not elders and next(element.itersiblings(tag), None) is None
        return self.written(tag) + ("" if is_alone else f"[{elders + 1}]")

    def _prefix(self, namespace: str) -> str:
        if namespace not in self._prefixes:
            self._prefixes[namespace] = self._free_prefix(namespace)
        return self._prefixes[namespace]

    def _free_prefix(self, namespace: str) -> str:
        senders = [prefix for prefix, bound in self._nsmap.items() if bound == namespace and prefix]
        wanted = [prefix for prefix in senders if _PLAIN_PREFIX.fullmatch(prefix)]
        numbered = (f"ns{number}" for number in range(1, len(self._prefixes) + 2))
        candidates = (*wanted, *filter(None, [_USUAL_PREFIXES.get(namespace)]), *numbered)
        taken = set(self._prefixes.values())
        return next(prefix for prefix in candidates if prefix not in taken)


def wrong_root(
    element: etree._Element, expected: Sequence[str], *, message: str, is_other_message: bool, names: Names
) -> Finding:
    """The finding for a body whose element is not the one that this message of the contract has."""
    tag = str(element.tag)
    wanted = " or ".join(map(names.written, expected))
    other = f" is the contract's {'response' if message == 'request' else 'request'}" if is_other_message else ""
    rest = f"{other or ' is not an element of this contract'}; expected its {message} {wanted}"
    return Finding(element=element, reason=names.written(tag) + rest, private_reason=names.private(tag) + rest)


def is_long(element: etree._Element) -> bool:
    """Whether it holds more elements than are explained one by one."""
    return next(islice(element.iter(etree.Element), _MAX_EXPLAINED_ELEMENTS, None), None) is not None


class Explainer:
    """Words the violations of one schema; slow parts are made when first needed, under a lock."""

    def __init__(self, path: Path, schema: etree.XMLSchema) -> None:
        """`schema` is compiled from `path` and for this alone: all who validate with a schema share its error log."""
        self._path = path
        self._schema = schema
        self._lock = threading.Lock()
        self._wording: XMLSchema10 | None = None
        self._vocabulary: frozenset[str] | None = None

    @property
    def vocabulary(self) -> frozenset[str]:
        """Every element the schema names, as `{namespace}Local`."""
        if self._vocabulary is None:
            self._vocabulary = frozenset(_element_names(self._path))
        return self._vocabulary

    def prepare(self) -> None:
        """Loads what words the reasons."""
        with self._lock:
            self._load_wording()

    def explain(
        self, element: etree._Element, names: Names, originals: Mapping[etree._Element, etree._Element]
    ) -> list[Finding]:
        """What is wrong with `element`, in document order; at least one finding, of at most 20 places that lxml names.

        `originals` gives the element of the message for each element of an adjusted copy. lxml's places stand; of
        xmlschema's, only those below a place where lxml stops reading are added.
        """
        if is_long(element):
            return self._explain_long(element, originals)
        with self._lock:
            entries = self._log(element)
            worded = self._worded(element)
        places: dict[etree._Element, list[_LogEntry]] = {}
        for entry in entries:
            places.setdefault(_element_at(element, entry.path), []).append(entry)
        unread = _Unread(place for place, said in places.items() if said[0].type_name == "SCHEMAV_ELEMENT_CONTENT")
        findings: list[Finding] = []
        for place in _in_document_order(element, {*places, *(at for at in worded if at in unread)}):
            found = worded.get(place)
            origin = _original(place, originals)
            if found:
                findings += [_from_wording(error, place, origin, names) for error in found]
            else:
                findings += [_from_log(entry, place, origin) for entry in places[place]]
        return list(dict.fromkeys(findings))

    def _explain_long(
        self, element: etree._Element, originals: Mapping[etree._Element, etree._Element]
    ) -> list[Finding]:
        """In lxml's words, and without the lock: whoever sends a giant must not have others wait for it."""
        findings = [
            _from_log(_LogEntry("", error.type_name, error.text), error.element, _original(error.element, originals))
            for error in schema_errors(element, self._schema, most=_MAX_PLACES)
        ]
        return list(dict.fromkeys(findings))

    def _log(self, element: etree._Element) -> list[_LogEntry]:
        with contextlib.suppress(etree.XMLSchemaValidateError):  # it has given up, and its log says on what
            self._schema.validate(element)
        log: Any = self._schema.error_log  # lxml's stubs leave it empty
        return [
            _LogEntry(path=entry.path or "", type_name=entry.type_name, text=entry.message)
            for entry in islice(log, _MAX_PLACES)
        ]

    def _worded(self, element: etree._Element) -> dict[etree._Element, list["XMLSchemaValidationError"]]:
        """xmlschema's errors by the element of the message that they are about."""
        elements = list(element.iter(etree.Element))
        # xmlschema takes comments for children.
        bare = copy.deepcopy(element)
        bare.tail = None
        etree.strip_tags(bare, etree.Comment, etree.ProcessingInstruction)
        original = dict(zip(bare.iter(etree.Element), elements, strict=True))
        worded: dict[etree._Element, list[XMLSchemaValidationError]] = {}
        for error in _errors(self._load_wording(), bare):
            at = getattr(error, "invalid_child", None)
            at = at if at is not None else error.elem
            if at in original:
                worded.setdefault(original[at], []).append(error)
        return worded

    def _load_wording(self) -> "XMLSchema10":
        if self._wording is None:
            from xmlschema import XMLSchema10  # 70 ms, and only a message that breaks its contract needs it

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # Lax: what lxml accepts must be explained, whatever xmlschema thinks of the schema.
                schema = XMLSchema10(self._path.resolve().as_uri(), allow="local", validation="lax")
                self._wording = read_patterns_alike(schema)
        return self._wording


class _Unread:
    """The elements that lxml left unread: from an unexpected child on, it skips what is left of the parent."""

    def __init__(self, unexpected: Iterable[etree._Element]) -> None:
        self._from = {(child.getparent(), child) for child in unexpected}

    def __contains__(self, element: etree._Element) -> bool:
        for node in (element, *element.iterancestors()):
            parent = node.getparent()
            for stopped_in, child in self._from:
                if parent is not None and parent is stopped_in and parent.index(node) >= parent.index(child):
                    return True
        return False


def _errors(schema: "XMLSchema10", element: etree._Element) -> list["XMLSchemaValidationError"]:
    from xmlschema import XMLSchemaException

    try:
        return list(schema.iter_errors(element))
    # It gives up on an xsi:type that does not exist and on deep extensions, where lxml has already said no.
    except (XMLSchemaException, LookupError, ValueError, TypeError, RecursionError):
        return []


def _from_wording(
    error: "XMLSchemaValidationError", place: etree._Element, origin: etree._Element, names: Names
) -> Finding:
    from xmlschema.validators import XMLSchemaChildrenValidationError

    if isinstance(error, XMLSchemaChildrenValidationError):
        reason, private = _of_children(error, place, names)
    elif isinstance(error.obj, str):
        template = _of_value(error)
        reason, private = template.format(_quoted(error.obj)), template.format(_shape(error.obj))
    elif isinstance(error.obj, Mapping):
        reason = f"attribute not allowed: {', '.join(names.written(name) for name in error.obj)}"
        private = "an attribute is not allowed here"
    else:
        fixed = _FIXED_SENTENCES.get(error.reason or "")
        reason, private = fixed or str(error.reason), fixed or "the element does not fit the schema"
    return Finding(element=origin, reason=reason, private_reason=private)


def _of_children(error: "XMLSchemaValidationError", place: etree._Element, names: Names) -> tuple[str, str]:
    expected = [item.name for item in getattr(error, "expected", None) or () if getattr(item, "name", None)]
    wanted = " or ".join(names.written(name) for name in dict.fromkeys(expected[:_MAX_LISTED]))
    if getattr(error, "invalid_tag", None) is None:
        missing = f"{wanted or 'an element'} is missing"
        return missing, missing
    rest = f" is not expected here; expected {wanted}" if wanted else " is not expected here"
    return names.written(str(place.tag)) + rest, names.private(str(place.tag)) + rest


def _of_value(error: "XMLSchemaValidationError") -> str:
    """The reason with {} where the value stands."""
    from xmlschema.validators import XsdEnumerationFacets, XsdFacet, XsdPatternFacets, XsdType

    rule = error.validator
    if isinstance(rule, XsdEnumerationFacets):
        allowed = [str(value) for value in rule.enumeration]
        more = f" or {len(allowed) - _MAX_LISTED} more" if len(allowed) > _MAX_LISTED else ""
        return f"{{}} is not one of {_braced(', '.join(allowed[:_MAX_LISTED]))}{more}"
    if isinstance(rule, XsdPatternFacets):
        return f"{{}} does not match the pattern {_braced(' or '.join(rule.regexps) + _documented(rule))}"
    if isinstance(rule, XsdFacet):
        return f"{{}} breaks the rule {_braced(f'{rule.local_name} {rule.value!r}')}"
    if isinstance(rule, XsdType) and rule.prefixed_name:
        return f"{{}} is not a valid {_braced(rule.prefixed_name)}"
    return "{} is not of the declared type"


def _documented(rule: "XsdPatternFacets") -> str:
    """What the schema says about the type whose pattern it is, when that is short enough to help."""
    annotation = rule.parent.annotation if rule.parent is not None else None
    text = " ".join(str(annotation).split()).rstrip(".") if annotation is not None else ""
    return f" ({text})" if 0 < len(text) <= _MAX_DOCUMENTATION else ""


def _from_log(entry: _LogEntry, place: etree._Element, origin: etree._Element) -> Finding:
    text = re.sub(r"\{[^{}']*\}(?=[^\s{}'])", "", entry.text)  # namespaces in front of names
    private = _PRIVATE_BY_TYPE.get(entry.type_name, f"{{}} does not fit the schema ({entry.type_name})")
    return Finding(
        element=origin,
        reason=text.partition(": ")[2] or text,
        private_reason=private.format("the element" if len(place) else _shape(place.text or "")),
    )


def _element_at(root: etree._Element, path: str) -> etree._Element:
    """The element that libxml2 means by `/a:b/*[2]`: prefixes as the document has them, `*` for a default namespace."""
    element = root
    for step in path.split("/")[2:]:
        name, _, position = step.rstrip("]").partition("[")
        prefix, _, local = name.rpartition(":")
        children = [
            child
            for child in element.iterchildren(etree.Element)
            if name == "*" or (etree.QName(child).localname == local and (child.prefix or "") == prefix)
        ]
        if not children:
            break
        element = children[min(int(position or 1), len(children)) - 1]
    return element


def _in_document_order(root: etree._Element, places: set[etree._Element]) -> Iterator[etree._Element]:
    return (element for element in root.iter(etree.Element) if element in places)


def _original(element: etree._Element, originals: Mapping[etree._Element, etree._Element]) -> etree._Element:
    """The message's own element: itself unless it is in a copy; for one that was added there, its parent's."""
    if not originals:
        return element
    while element not in originals:
        parent = element.getparent()
        assert parent is not None, "the root of a copy has an original"
        element = parent
    return originals[element]


def _element_names(path: Path) -> Iterator[str]:
    anywhere = path.resolve().parents[-1]  # that imports stay in their release was checked when it was read
    for file in {path, *(imported for _, imported in imported_files(path, anywhere))}:
        root = read_contract_file(file)
        target = root.get("targetNamespace", "")
        for element in root.iter(f"{{{namespaces.XML_SCHEMA}}}element"):
            if (name := element.get("name")) is not None:
                yield name
                yield f"{{{target}}}{name}"


def _counted(number: Any) -> int:
    """What XPath counted, which it says as a float."""
    return int(number)


def _quoted(value: str) -> str:
    return f"'{value[:_MAX_QUOTED]}…'" if len(value) > _MAX_QUOTED else f"'{value}'"


def _shape(value: str) -> str:
    """A value as what kind of text it is and how long."""
    if not value:
        return "an empty value"
    kind = "digits" if value.isdigit() else "letters" if value.isalpha() else "characters"
    return f"'<{len(value)} {kind if len(value) > 1 else kind[:-1]}>'"


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
