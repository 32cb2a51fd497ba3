"""What happened to one call, put together once at its end; the log, the metrics, the console and replay all read it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from rivta.catalogue.decision import Outcome
from rivta.soap.faults import Fault

ROUTED = Outcome.ROUTED.value
"""The outcome of a call that its producer answered."""
CANCELLED = "cancelled"
"""The outcome of a call that was cut off: the platform stopped, or the aggregate that it was made for was answered."""
UNRECORDED = "unrecorded"
"""What came of a call that was not carried because its record could not have been made; it stands in no record."""


class CannotRecord(Exception):
    """The record of a call could not be made durable, so its answer must not leave."""


class Recorder(Protocol):
    """Where the records of calls go; both raise CannotRecord where a record has to be durable and cannot be."""

    def check(self) -> None:
        """Before a call is carried: whether its record could be made."""

    async def add(self, record: CallRecord) -> None:
        """Takes the record of a call before its answer leaves."""


class Payloads(Protocol):
    """Where messages are kept besides their records, if an operator asks for it."""

    def keep(self, record: CallRecord, request: bytes, response: bytes) -> CallRecord:
        """The record, with the names by which its messages are found."""


@dataclass(frozen=True, slots=True)
class RecordedViolation:
    """A violation as it may be stored: without values of the message."""

    message: str
    """`request` or `response`."""
    line: int
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """A source system that an aggregate has asked, or was not allowed to ask, and what came of it."""

    source: str
    """Its address."""
    status: str
    """As in ProcessingStatus: `DataFromSource` or `NoDataSynchFailed`; `Filtered` when it was not asked."""
    code: str = ""
    """The error's code, or the reason why it was filtered."""
    text: str = ""
    records: int = 0
    ms: float | None = None
    """How long it took; None when it was not asked."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call through one platform. Holds no payload and no patient data. `time` is UTC, ISO 8601."""

    id: str
    """Unique for the call at this platform: what makes inserting the record idempotent."""
    time: str
    platform: str
    """HSA-id of the platform."""
    correlation_id: str
    outcome: str
    """`routed`, a VP code, `http-<status>` where no SOAP answer was possible, `cancelled` or, for an error of ours,
    `error`."""
    sender: str | None = None
    sender_address: str | None = None
    """IP address of the sender; behind a proxy that we believe, what it says of its client's."""
    original_consumer: str | None = None
    acting_on_behalf_of: str | None = None
    """As the consumer says (x-rivta-acting-on-behalf-of-hsaid); the platform only passes it on."""
    contract: str | None = None
    logical_address: str | None = None
    profile_in: str | None = None
    profile_out: str | None = None
    publication: int | None = None
    hsa_version: int | None = None
    route_trace: str = ""
    permission_trace: str = ""
    producer_url: str | None = None
    http_status: int = 0
    """Status of the answer to the consumer; 0 when there was none."""
    elapsed_ms: float = 0.0
    producer_ms: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    detail: str = ""
    """The fault's detail in its private form; empty when routed."""
    violations: tuple[RecordedViolation, ...] = ()
    stored_request: str | None = None
    """Name of the message as it was kept (`rivta.audit.payloads`); None when it was not."""
    stored_response: str | None = None
    certificate_subject: str | None = None
    """Of the caller's certificate, as RFC 4514 spells it; None when the sender had none that names one."""
    certificate_issuer: str | None = None
    certificate_valid_to: str | None = None
    """Its last second, UTC, ISO 8601."""
    method: str | None = None
    """Of the HTTP request; None when there was none that could be read."""
    tls: str | None = None
    """Version and cipher of the caller's connection, as `TLSv1.3 TLS_AES_256_GCM_SHA384`; None outside TLS."""
    sources: tuple[RecordedSource, ...] = ()
    """Of an aggregate of this platform. Its calls to them have records of their own, by the same correlation id."""

    @property
    def is_routed(self) -> bool:
        """Whether the producer's answer was passed on: a fault of its own, too."""
        return self.outcome == ROUTED

    @property
    def is_fault_of_producer(self) -> bool:
        """Whether that answer was a fault."""
        return self.is_routed and self.http_status >= HTTPStatus.BAD_REQUEST

    @property
    def left_platform(self) -> bool:
        """Whether the producer was called: a record also has the URL of a route that was then not permitted."""
        sent = self.producer_ms is not None or self.is_routed or self.outcome == _PRODUCER_TROUBLE
        return sent and self.producer_url is not None

    @property
    def is_unanswered(self) -> bool:
        """Whether the call went to the producer, and no answer came."""
        return self.producer_ms is None and self.outcome == _PRODUCER_TROUBLE

    def to_json(self) -> str:
        """One line of JSON with every field."""
        # On the hot path: `dataclasses.asdict` on the whole record costs four times as much.
        return _encode({name: getattr(self, name) for name in _FIELDS})

    @classmethod
    def from_json(cls, text: str | bytes) -> CallRecord:
        """The record that `to_json` wrote; unknown fields, from a newer version, are left out. Raises ValueError."""
        return cls.from_fields(json.loads(text))

    @classmethod
    def from_fields(cls, fields: Any) -> CallRecord:
        """The record in a JSON object that is already read, as `from_json`. Raises ValueError."""
        if not isinstance(fields, dict):
            raise ValueError("a call record is a JSON object")
        values = {name: value for name, value in fields.items() if name in _FIELDS}
        try:
            values["violations"] = tuple(RecordedViolation(**violation) for violation in values.get("violations", ()))
            values["sources"] = tuple(RecordedSource(**source) for source in values.get("sources", ()))
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"not a call record: {error}") from error


_PRODUCER_TROUBLE = Fault.PRODUCER_TROUBLE.value.code
_FIELDS = tuple(field.name for field in dataclasses.fields(CallRecord))
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=dataclasses.asdict).encode
