"""What a case says must be true of its answer: assertions as data, and checking them. Pure functions.

Each kind is a frozen value whose `str` is how a report names it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, TypeVar

from lxml import etree

from rivta.contracts.verdict import Violation
from rivta.soap import namespaces
from rivta.testing.answers import ReadAnswer
from rivta.testing.comparison import Difference, Rules, compare
from rivta.testing.documents import BadPath, Document, text_of

_SHOWN = 200
_STATUS_LIST = f"{{{namespaces.INTEROPERABILITY_HEADERS}}}ProcessingStatusList"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a text: exactly one of the four."""

    how: Literal["equals", "matches", "contains", "exists"]
    text: str = ""
    """Of `exists`: `true` or `false`. Of `matches`: a regular expression for the whole text."""

    def accepts(self, found: str) -> bool:
        """Whether a text that is there is as wanted."""
        match self.how:
            case "equals":
                return found == self.text
            case "contains":
                return self.text in found
            case "matches":
                return re.fullmatch(self.text, found, re.DOTALL) is not None
            case "exists":
                return self.text == "true"

    def __str__(self) -> str:
        if self.how == "exists":
            return "exists" if self.text == "true" else "does not exist"
        return f"{self.how} {self.text!r}"


@dataclass(frozen=True, slots=True)
class StatusIs:
    """The HTTP status is one of these."""

    statuses: tuple[int, ...]

    def __str__(self) -> str:
        return f"status is {' or '.join(map(str, self.statuses))}"


@dataclass(frozen=True, slots=True)
class NoFault:
    """The answer is no SOAP fault, and an envelope with something in its body."""

    def __str__(self) -> str:
        return "no fault"


@dataclass(frozen=True, slots=True)
class FaultIs:
    """The answer is a SOAP fault: any, or the one described."""

    code: str | None = None
    """The platform's own: `VP004`."""
    text: str | None = None
    """Stands somewhere in the faultstring."""
    detail: str | None = None
    """The same of the detail."""

    def __str__(self) -> str:
        more = [f"{name} with {value!r}" for name, value in (("text", self.text), ("detail", self.detail)) if value]
        return " ".join(["fault", self.code or "", ", ".join(more)]).strip()


@dataclass(frozen=True, slots=True)
class SchemaValid:
    """The answer fits its contract's schema; a fault has the form that SOAP gives it."""

    def __str__(self) -> str:
        return "valid by the schema"


@dataclass(frozen=True, slots=True)
class XPathIs:
    """Every node that the path finds is as wanted, and there is at least one."""

    path: str
    wanted: Wanted

    def __str__(self) -> str:
        return f"{self.path} {self.wanted}"


@dataclass(frozen=True, slots=True)
class CountIs:
    """The path finds so many nodes."""

    path: str
    count: int | str
    """A number, or one with variables in it."""

    def __str__(self) -> str:
        return f"{self.path} is there {self.count} times"


@dataclass(frozen=True, slots=True)
class RecordsHave:
    """A value in all records of the answer, or in any of them, is as wanted."""

    records: str
    """Path of the records."""
    value: str
    """Path of the value, from a record."""
    wanted: Wanted
    of: Literal["all", "any"] = "all"

    def __str__(self) -> str:
        return f"{self.value} in {self.of} of {self.records} {self.wanted}"


@dataclass(frozen=True, slots=True)
class SourcesSay:
    """The header ProcessingStatus has these status codes for these source systems."""

    statuses: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "ProcessingStatus " + ", ".join(f"{source}={status}" for source, status in self.statuses)


@dataclass(frozen=True, slots=True)
class HeaderIs:
    """A header of HTTP is as wanted."""

    name: str
    wanted: Wanted

    def __str__(self) -> str:
        return f"header {self.name} {self.wanted}"


@dataclass(frozen=True, slots=True)
class TimeWithin:
    """The answer took at least and at most so many seconds."""

    shortest_s: float | None = None
    longest_s: float | None = None

    def __str__(self) -> str:
        bounds = [("at least", self.shortest_s), ("at most", self.longest_s)]
        return "takes " + ", ".join(f"{word} {seconds:g} s" for word, seconds in bounds if seconds is not None)


@dataclass(frozen=True, slots=True)
class BodyHas:
    """The text of the whole answer holds something, or does not; or a regular expression finds something in it."""

    text: str
    is_pattern: bool = False
    is_absent: bool = False

    def __str__(self) -> str:
        text = f"/{self.text}/" if self.is_pattern else repr(self.text)
        return f"body {'lacks' if self.is_absent else 'has'} {text}"


@dataclass(frozen=True, slots=True)
class SameAsRecorded:
    """The answer means the same as the one in `response.xml`."""

    def __str__(self) -> str:
        return "same as recorded"


Assertion = (
    StatusIs
    | NoFault
    | FaultIs
    | SchemaValid
    | XPathIs
    | CountIs
    | RecordsHave
    | SourcesSay
    | HeaderIs
    | TimeWithin
    | BodyHas
    | SameAsRecorded
)


@dataclass(frozen=True, slots=True)
class Finding:
    """An assertion that does not hold."""

    assertion: str
    place: str
    """`file:line` where the case says so."""
    message: str
    differences: tuple[Difference, ...] = ()
    more: int = 0
    """Differences that are not listed."""


@dataclass(frozen=True, slots=True)
class Given:
    """What assertions are checked with, besides the answer."""

    recorded: Document | None = None
    """The answer that was recorded; None when there is none."""
    rules: Rules = dataclasses.field(default_factory=Rules)
    validate: Callable[[ReadAnswer], Sequence[Violation]] | None = None
    """What is wrong with an answer by its schema. Raises LookupError when there is no schema for it."""


_MOST_DIFFERENCES = 50


def check(assertion: Assertion, answer: ReadAnswer, given: Given, place: str = "") -> Finding | None:
    """Why the assertion does not hold; None when it does."""
    if isinstance(assertion, SameAsRecorded):
        return _check_recorded(assertion, answer, given, place)
    try:
        message = _complaint(assertion, answer, given)
    except (BadPath, re.error) as error:  # of a path or pattern that a variable stands in
        message = f"cannot be checked: {error}"
    return None if message is None else Finding(str(assertion), place, message)


def _complaint(assertion: Assertion, answer: ReadAnswer, given: Given) -> str | None:
    match assertion:
        case StatusIs():
            return None if answer.answer.status in assertion.statuses else f"got {_status(answer)}"
        case NoFault():
            return _no_fault(answer)
        case FaultIs():
            return _fault(assertion, answer)
        case SchemaValid():
            return _schema(answer, given)
        case XPathIs():
            return _xpath(assertion, answer)
        case CountIs():
            return _count(assertion, answer)
        case RecordsHave():
            return _records(assertion, answer)
        case SourcesSay():
            return _sources(assertion, answer)
        case HeaderIs():
            return _text_complaint(assertion.wanted, answer.answer.header(assertion.name))
        case TimeWithin():
            return _time(assertion, answer.answer.elapsed_s)
        case BodyHas():
            return _body(assertion, answer)
        case _:
            raise TypeError(f"{type(assertion).__name__} is no assertion")


def _status(answer: ReadAnswer) -> str:
    status = answer.answer.status
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    told = f"{status} {phrase}".strip()
    return f"{told} ({_told(answer)})" if answer.fault else told


def _told(answer: ReadAnswer) -> str:
    fault = answer.fault
    return (
        "no fault"
        if fault is None
        else f"fault: {_short(fault.text)}" + (f", {_short(fault.detail)}" if fault.detail else "")
    )


def _no_fault(answer: ReadAnswer) -> str | None:
    if answer.fault is not None:
        return f"got a {_told(answer)}"
    if answer.problem:
        return f"{answer.problem} (HTTP {answer.answer.status})"
    return "the answer is no SOAP envelope with a message in it" if answer.payload is None else None


def _fault(assertion: FaultIs, answer: ReadAnswer) -> str | None:
    fault = answer.fault
    if fault is None:
        return f"got {answer.problem or 'no fault'} (HTTP {answer.answer.status})"
    if assertion.code is not None and fault.code != assertion.code:
        return f"got {fault.code or 'another'}: {_told(answer)}"
    for name, wanted, found in (("text", assertion.text, fault.text), ("detail", assertion.detail, fault.detail)):
        if wanted is not None and wanted not in found:
            return f"its {name} is {_short(found)!r}"
    return None


def _schema(answer: ReadAnswer, given: Given) -> str | None:
    if answer.problem or answer.payload is None:
        return answer.problem or "the answer is no SOAP envelope with a message in it"
    if given.validate is None:
        return "there is nothing here that knows schemas"
    try:
        violations = given.validate(answer)
    except LookupError as error:
        return str(error)
    if not violations:
        return None
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return f"line {first.line}, {first.path}: {first.reason}{more}"


def _xpath(assertion: XPathIs, answer: ReadAnswer) -> str | None:
    document = answer.document
    if document is None:
        return answer.problem
    found = [text_of(one) for one in document.select(assertion.path)]
    if assertion.wanted.how == "exists":
        is_there = bool(found) and found != ["false"]
        return None if is_there == (assertion.wanted.text == "true") else f"it finds {_listed(found)}"
    wrong = [text for text in found if not assertion.wanted.accepts(text)]
    return None if found and not wrong else f"it finds {_listed(wrong or found)}"


def _count(assertion: CountIs, answer: ReadAnswer) -> str | None:
    document = answer.document
    if document is None:
        return answer.problem
    found = len(document.select(assertion.path))
    return None if str(found) == str(assertion.count).strip() else f"it is there {found} times"


def _records(assertion: RecordsHave, answer: ReadAnswer) -> str | None:
    document = answer.document
    if document is None:
        return answer.problem
    records = [one for one in document.select(assertion.records) if isinstance(one, etree._Element)]
    if not records:
        return f"there is no record at {assertion.records}"
    wrong = []
    for number, record in enumerate(records, 1):
        values = [text_of(one) for one in document.select(assertion.value, within=record)]
        if _text_complaint_of_all(assertion.wanted, values) is None:
            if assertion.of == "any":
                return None
        else:
            wrong.append(f"record {number} has {_listed(values)}")
    if not wrong:
        return None
    shown = "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more records" if len(wrong) > 3 else "")
    return f"{shown} (of {len(records)})"


def _text_complaint_of_all(wanted: Wanted, values: Sequence[str]) -> str | None:
    """Of a record: every value there is is as wanted, and there is one; or that there is none, where that is wanted."""
    if wanted.how == "exists":
        return None if bool(values) == (wanted.text == "true") else "exists otherwise"
    return None if values and all(map(wanted.accepts, values)) else "another"


def _sources(assertion: SourcesSay, answer: ReadAnswer) -> str | None:
    document = answer.document
    if document is None:
        return answer.problem
    said = dict(_processing_status(document.root))
    wrong = [
        f"{source} has {said.get(source) or 'no status'}"
        for source, status in assertion.statuses
        if said.get(source) != status
    ]
    return "; ".join(wrong) or None


def _processing_status(root: etree._Element) -> Iterable[tuple[str, str]]:
    for record in root.iter(_STATUS_LIST):
        values = {etree.QName(child).localname: text_of(child) for child in record.iterchildren(etree.Element)}
        yield values.get("logicalAddress", ""), values.get("statusCode", "")


def _text_complaint(wanted: Wanted, found: str | None) -> str | None:
    if wanted.how == "exists":
        return (
            None if (found is not None) == (wanted.text == "true") else f"got {found!r}" if found else "it is missing"
        )
    if found is None:
        return "it is missing"
    return None if wanted.accepts(found) else f"got {_short(found)!r}"


def _time(assertion: TimeWithin, elapsed_s: float) -> str | None:
    too_short = assertion.shortest_s is not None and elapsed_s < assertion.shortest_s
    too_long = assertion.longest_s is not None and elapsed_s > assertion.longest_s
    return f"it took {elapsed_s:.3f} s" if too_short or too_long else None


def _body(assertion: BodyHas, answer: ReadAnswer) -> str | None:
    text = answer.answer.body.decode("utf-8", "replace")
    is_there = re.search(assertion.text, text) is not None if assertion.is_pattern else assertion.text in text
    if is_there is not assertion.is_absent:
        return None
    return "it is there" if is_there else f"it is not there (HTTP {answer.answer.status}, {len(text)} characters)"


def _check_recorded(assertion: SameAsRecorded, answer: ReadAnswer, given: Given, place: str) -> Finding | None:
    if given.recorded is None:
        return Finding(str(assertion), place, "the case has no response.xml")
    if answer.document is None:
        return Finding(str(assertion), place, answer.problem)
    try:
        found = compare(given.recorded, answer.document, given.rules)
    except BadPath as error:
        return Finding(str(assertion), place, str(error))
    if not found:
        return None
    message = f"{len(found)} difference{'s' if len(found) > 1 else ''}"
    return Finding(
        str(assertion), place, message, tuple(found[:_MOST_DIFFERENCES]), max(0, len(found) - _MOST_DIFFERENCES)
    )


_Some = TypeVar("_Some")


def filled(assertion: _Some, fill: Callable[[str], str]) -> _Some:
    """The assertion with `fill` done to every text in it."""
    values: Mapping[str, Any] = {
        field.name: _filled_value(getattr(assertion, field.name), fill)
        for field in dataclasses.fields(assertion)  # type: ignore[arg-type]  # every assertion is a dataclass
    }
    return type(assertion)(**values)


def _filled_value(value: Any, fill: Callable[[str], str]) -> Any:
    match value:
        case str():
            return fill(value)
        case tuple():
            return tuple(_filled_value(one, fill) for one in value)
        case Wanted():
            return filled(value, fill)
        case _:
            return value


def _listed(texts: Sequence[str]) -> str:
    if not texts:
        return "nothing"
    shown = ", ".join(repr(_short(text)) for text in texts[:3])
    return shown + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
