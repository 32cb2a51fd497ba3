"""Calls of the call log, with the messages that were kept of them, made into cases. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rivta.router.headers import ACTING_ON_BEHALF_OF, ORIGINAL_CONSUMER
from rivta.router.record import CallRecord
from rivta.soap.head import read_head
from rivta.soap.identifiers import short_name
from rivta.soap.xml import XmlRefused, parse_xml
from rivta.testing.answers import Answer, ReadAnswer
from rivta.testing.case_writing import NewCase, folder_name

NEW_EVERY_TIME = ("//result/logId",)
"""What a producer makes anew for every answer, masked from the beginning: RIV-TA's result type has a log id."""

_MASKED = re.compile(r"(?<![0-9A-Za-z])x{10,13}(?![0-9A-Za-z])")
_MASKED_PATH = "//*[not(*)][contains(., 'xxxxxxxxxx')]"
_PATIENT = "191212121212"
_UNREADABLE = "\ufffd"


@dataclass(frozen=True, slots=True)
class NotRecorded:
    """A call that cannot be made into a case, and why."""

    reason: str


def case_of(
    record: CallRecord,
    request: str | None,
    response: str | None,
    *,
    hide: Callable[[str], str],
    identities: Mapping[str, str],
) -> NewCase | NotRecorded:
    """The case of a call. `hide` replaces personal numbers, `identities` has the pair's by their HSA-ids."""
    if request is None:
        return NotRecorded("nothing was kept of its messages")
    if _UNREADABLE in request or "\0" in request:
        return NotRecorded("its request is not in UTF-8")
    request = hide(request)
    was_masked = _MASKED.search(request) is not None
    body = _MASKED.sub("${patient}", request.replace("${", "$${")).encode()
    answer = _response(record, response, hide)
    message: dict[str, Any] = {
        "name": " ".join(f"{short_name(record.contract)} to {hide(record.logical_address or '-')}".split()),
        "contract": record.contract,
        "logical_address": _sayable(hide(record.logical_address or "")),
        "sender": _sayable(record.sender),
        "identity": identities.get((record.sender or "").upper()),
        "profile": record.profile_in,
        "headers": _headers(record),
        "variables": {"patient": _PATIENT} if was_masked else None,
        "masks": [*NEW_EVERY_TIME, *([_MASKED_PATH] if answer and _MASKED.search(answer) else [])] if answer else None,
        "assertions": _assertions(record, answer),
        "recorded": {
            "time": record.time,
            "outcome": record.outcome,
            "producer_url": record.producer_url,
            "elapsed_ms": record.elapsed_ms,
            "correlation_id": record.correlation_id,
        },
    }
    if _cannot_be_read(body):
        del message["contract"], message["logical_address"], message["profile"]
    response_file = answer.replace("${", "$${").encode() if answer else None
    return NewCase(body, response_file, message)


def name_of(record: CallRecord, number: int, hide: Callable[[str], str]) -> str:
    """The folder of a case."""
    words = (f"{number:04}", short_name(record.contract).replace(":", "_"), hide(record.logical_address or ""))
    return folder_name("-".join(word for word in words if word))


def _sayable(text: str | None) -> str | None:
    """A text that may stand in `message.yaml`; one with blanks around it, or unprintable, is in the request alone."""
    return text if text and text == text.strip() and text.isprintable() else None


def _response(record: CallRecord, response: str | None, hide: Callable[[str], str]) -> str | None:
    """The answer where it can be compared with another."""
    if response is None or _UNREADABLE in response or record.http_status == 0:
        return None
    try:
        parse_xml(response.encode())
    except XmlRefused:
        return None
    return hide(response)


def _cannot_be_read(body: bytes) -> bool:
    try:
        return read_head(parse_xml(body)).payload is None
    except XmlRefused:
        return True


def _headers(record: CallRecord) -> dict[str, str]:
    said = {ORIGINAL_CONSUMER: record.original_consumer, ACTING_ON_BEHALF_OF: record.acting_on_behalf_of}
    return {
        name: value for name, value in said.items() if value is not None and _sayable(value) and value != record.sender
    }


def _assertions(record: CallRecord, response: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"status": record.http_status}] if record.http_status else []
    if response is None:
        return found
    fault = ReadAnswer(Answer(record.http_status, (), response.encode(), 0.0)).fault
    if fault is not None and fault.code:
        # The detail names ids of the very call; the code is what stays.
        return [*found, {"fault": fault.code}]
    return [*found, {"same_as_recorded": True}]
