"""What came of asking one source: its records as bytes, or why there are none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from lxml import etree

from rivta.aggregation.services import Service
from rivta.router.course import Ending, bounded
from rivta.router.messages import Answer, Trouble
from rivta.soap import namespaces
from rivta.soap.charsets import charset_of, read_answer
from rivta.soap.head import read_head
from rivta.soap.xml import XmlRefused

_FAULT = f"{{{namespaces.SOAP_ENVELOPE}}}Fault"
TIMED_OUT: Final = "504"
OTHER: Final = "43000"
"""Codes of the incumbent for what is no fault: a source that was too slow, and anything else."""
_CODE_OF_A_PLATFORM = re.compile(r"VP\d{3}\b")
_ERROR_CODE = re.compile(r"[A-Z_]{1,40}")
_LONGEST_TEXT = 4000
"""Characters of a source's own words in ProcessingStatus."""
_MOST_GROWN, _LEAST_BYTES = 20, 100_000
"""So many times the answer its records may be, each with its namespaces; below so many bytes nobody minds."""
UNKNOWN: Final = "Unknown error"
"""The incumbent's text for a source that has not answered when the time of the whole aggregate is up."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a source has given nothing, as ProcessingStatus says it."""

    code: str
    text: str
    is_logical: bool = False
    """Whether the source has answered, and that it could not: ProcessingStatus then names it as the cause."""
    private_text: str | None = None
    """The text without words of the source, which may be about a patient, fit for logs; None: the text itself."""

    @property
    def recorded_text(self) -> str:
        """What may stand in the call log."""
        return self.text if self.private_text is None else self.private_text


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What came of asking one source."""

    source: str
    records: tuple[tuple[bytes, ...], ...] = field(default=(), repr=False)
    """For each kind of record that the service joins, the elements, with the namespaces that are in force in them."""
    failure: Failure | None = None
    milliseconds: float = 0.0

    @property
    def number(self) -> int:
        """How many records there are."""
        return sum(map(len, self.records))


@dataclass(frozen=True, slots=True)
class Content:
    """What the answer of a source holds."""

    records: tuple[tuple[bytes, ...], ...] = field(default=(), repr=False)
    failure: Failure | None = None

    @property
    def size(self) -> int:
        """Bytes of the records."""
        return sum(len(record) for kind in self.records for record in kind)


def read_content(answer: Answer, service: Service, *, logical_errors_fail: bool = False) -> Content:
    """What a source has answered; its document is not kept.

    A `result` that says ERROR is no failure with the incumbent, and its text is lost: so it is here, unless
    `logical_errors_fail`.
    """
    try:
        root = read_answer(answer.body, charset_of(_content_type(answer))).root
    except XmlRefused as error:
        return Content(failure=Failure(OTHER, f"The answer cannot be read: {error.private_reason}"))
    payload = read_head(root).payload
    if payload is not None and payload.tag == _FAULT:
        return Content(failure=_fault(payload, answer.status))
    if payload is None or payload.tag != f"{{{service.contract}}}{service.response}":
        return Content(failure=Failure(OTHER, f"The answer is not the {service.response} of {service.contract}"))
    if logical_errors_fail and (failure := _logical_error(payload)) is not None:
        return Content(failure=failure)
    tags = [f"{{{service.contract}}}{name}" for name in service.records]
    records = _records(payload, tags, most_bytes=max(_MOST_GROWN * len(answer.body), _LEAST_BYTES))
    if records is None:
        return Content(
            failure=Failure(OTHER, f"Its records would be {_MOST_GROWN} times the answer, by its namespaces")
        )
    return Content(records)


def failure_of(ending: Ending, *, is_cut: bool, seconds: float) -> Failure | None:
    """Why a call has no answer that could be read, as far as the platform knows; None where one came.

    `is_cut`: the source had only `seconds` because the time of the whole aggregate is up then.
    """
    if ending.trouble is Trouble.TIMEOUT:
        return Failure(OTHER, UNKNOWN) if is_cut else Failure(TIMED_OUT, f"Read timed out after {seconds:g} s")
    if not ending.answer.body:
        return Failure(OTHER, f"The answer is empty, HTTP {ending.answer.status}")
    return None


def _records(payload: etree._Element, tags: Sequence[str], *, most_bytes: int) -> tuple[tuple[bytes, ...], ...] | None:
    """The elements of each tag. None: together they are longer, since each has all namespaces that are in force in it,
    of which its text may need any (xsi:type)."""
    found, left = [], most_bytes
    for tag in tags:
        kind = []
        for one in payload.iterchildren(tag):
            kind.append(etree.tostring(one, encoding="UTF-8", with_tail=False))
            left -= len(kind[-1])
            if left < 0:
                return None
        found.append(tuple(kind))
    return tuple(found)


def _fault(fault: etree._Element, status: int) -> Failure:
    code = status if status >= HTTPStatus.BAD_REQUEST else HTTPStatus.INTERNAL_SERVER_ERROR
    text = bounded(_repaired(fault.findtext("faultstring") or "a fault without a text"), _LONGEST_TEXT) or ""
    of_a_platform = _CODE_OF_A_PLATFORM.match(text)
    return Failure(str(int(code)), text, private_text=of_a_platform[0] if of_a_platform else "a fault of the source")


def _repaired(text: str) -> str:
    """Letters of UTF-8 that somebody on the way has read as Latin-1, as they were."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _logical_error(payload: etree._Element) -> Failure | None:
    """The error that a `result` tells of, whatever namespace it is in."""
    result = next((one for one in payload.iterchildren(etree.Element) if etree.QName(one).localname == "result"), None)
    if result is None:
        return None
    said = {etree.QName(one).localname: (one.text or "").strip() for one in result.iterchildren(etree.Element)}
    if said.get("resultCode") != "ERROR":
        return None
    code = said.get("errorCode", "")
    return Failure(
        code if _ERROR_CODE.fullmatch(code) else "ERROR",
        bounded(said.get("message"), _LONGEST_TEXT) or "resultCode ERROR",
        is_logical=True,
        private_text="resultCode ERROR",
    )


def _content_type(answer: Answer) -> str:
    return next((value for name, value in answer.headers if name.lower() == "content-type"), "")
