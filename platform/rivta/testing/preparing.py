"""From a case and the values of its variables to the bytes and headers that are sent. Reads files only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rivta.catalogue.rows import Problem
from rivta.contracts.installed import Contracts
from rivta.soap.head import Head, read_head
from rivta.soap.identifiers import CORRELATION_ID
from rivta.soap.xml import XmlRefused, parse_xml
from rivta.testing.assertions import SameAsRecorded, filled
from rivta.testing.cases import Case, Placed
from rivta.testing.documents import Document
from rivta.testing.state import State
from rivta.testing.variables import Filling, UnknownVariable
from rivta.testing.writing import reason_it_may_write

_ENCODING = re.compile(rb"\s*<\?xml[^>]*encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")


class NotSent(Exception):
    """A message that is not sent, and why: `problem` names file and line."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Message:
    """A message ready to be sent, and what is asserted of its answer, with every variable filled in."""

    case: Case
    body: bytes
    headers: tuple[tuple[str, str], ...]
    contract: str | None
    """Of the body; None for what cannot be read."""
    logical_address: str | None
    correlation_id: str
    assertions: tuple[Placed, ...]
    recorded: Document | None
    """The answer to compare with; None where nothing is compared."""
    state: State | None = None
    """What it wants to find."""


def prepare(case: Case, filling: Filling, *, contracts: Contracts, allow_writes: bool) -> Message:
    """The message of a case. Raises NotSent for what is wrong, or may write and may not be sent."""
    body = _filled_file(case, filling, is_request=True)
    try:
        head, why_writes = _read(body)
    except XmlRefused as error:
        if not allow_writes:
            told = f"is not XML ({error.reason}), so nobody can tell whether it writes; --allow-writes sends it"
            raise NotSent(Problem(str(case.request), error.line, "may-write", told)) from error
        head, why_writes = None, None
    if why_writes and not allow_writes:
        raise NotSent(Problem(str(case.request), 1, "may-write", f"{why_writes}; --allow-writes sends it"))
    if head is not None:
        _check_head(case, head, filling)
    headers = _headers(case, filling, body=body, contract=head.contract if head else case.contract, contracts=contracts)
    return Message(
        case=case,
        body=body,
        headers=tuple(headers.values()),
        contract=head.contract if head is not None else case.contract,
        logical_address=head.logical_address if head is not None else case.logical_address,
        correlation_id=headers[CORRELATION_ID][1],
        assertions=_filled_assertions(case, filling),
        recorded=_recorded(case, filling),
        state=_filled_state(case, filling),
    )


def _read(body: bytes) -> tuple[Head, str | None]:
    root = parse_xml(body)
    return read_head(root), reason_it_may_write(root)


def _filled_file(case: Case, filling: Filling, *, is_request: bool) -> bytes:
    path = case.request if is_request else case.response
    try:
        return filling.xml(path.read_bytes())
    except UnknownVariable as error:
        data = path.read_bytes()
        line = data.count(b"\n", 0, max(data.find(str(error).split(" ")[0].encode()), 0)) + 1
        raise NotSent(Problem(str(path), line, "unknown-variable", str(error))) from error
    except OSError as error:
        raise NotSent(Problem(str(path), 0, "unreadable", f"cannot be read: {error.strerror}")) from error


def _check_head(case: Case, head: Head, filling: Filling) -> None:
    """What the message says of itself is what the case says of it: else one of the two was forgotten in an edit."""
    said = {
        "contract": (case.contract, head.contract),
        "logical_address": (_text(case, filling, case.logical_address), head.logical_address),
        "profile": (case.profile, head.profile),
    }
    for key, (wanted, found) in said.items():
        if wanted is not None and found is not None and wanted != found:
            told = f"{key} is {_shown(wanted)} here, but {_shown(found)} in {case.request.name}: change one of the two"
            raise NotSent(Problem(case.file, 0, "differs", told))


def _shown(value: object) -> str:
    return str(getattr(value, "value", value))


def _text(case: Case, filling: Filling, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return filling.text(text)
    except UnknownVariable as error:
        raise NotSent(Problem(case.file, 0, "unknown-variable", str(error))) from error


def _headers(
    case: Case, filling: Filling, *, body: bytes, contract: str | None, contracts: Contracts
) -> dict[str, tuple[str, str]]:
    """HTTP headers by their names in lower case: those of the case, and what every call has."""
    known = contracts.get(contract) if contract else None
    action = case.soap_action if case.soap_action is not None else known.soap_action if known else ""
    declared = _ENCODING.match(body)
    charset = declared[1].decode() if declared else "UTF-8"
    lines = {
        "Content-Type": f"text/xml; charset={charset}",
        "SOAPAction": f'"{_text(case, filling, action)}"',
        CORRELATION_ID: filling.value("uuid"),
    }
    found = {name.lower(): (name, value) for name, value in lines.items()}
    for name, value in case.headers:
        found[name.lower()] = (name, _text(case, filling, value) or "")
    for name, value in found.values():
        if not value.isprintable():  # a line end, from a variable, would begin another header
            told = f"{name}: a value with unprintable characters cannot be sent"
            raise NotSent(Problem(case.file, 0, "header", told))
    return found


def _filled_assertions(case: Case, filling: Filling) -> tuple[Placed, ...]:
    found = []
    for placed in case.assertions:
        try:
            found.append(Placed(filled(placed.assertion, filling.text), placed.place))
        except UnknownVariable as error:
            raise NotSent(Problem(placed.place.file, placed.place.line, "unknown-variable", str(error))) from error
    return tuple(found)


def _filled_state(case: Case, filling: Filling) -> State | None:
    if case.state is None:
        return None
    try:
        return case.state.filled(filling.text)
    except UnknownVariable as error:
        raise NotSent(Problem(case.file, 0, "unknown-variable", str(error))) from error


def _recorded(case: Case, filling: Filling) -> Document | None:
    if not any(isinstance(placed.assertion, SameAsRecorded) for placed in case.assertions):
        return None
    data = _filled_file(case, filling, is_request=False)
    try:
        return Document(parse_xml(data), dict(case.namespaces))
    except XmlRefused as error:
        raise NotSent(Problem(str(case.response), error.line, "response", f"is no XML: {error.reason}")) from error
