"""What happened to one call, put together once at its end; the log, the metrics, the console and replay all read it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RecordedViolation:
    """A violation as it may be stored: without values of the message."""

    message: str
    """`request` or `response`."""
    line: int
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call through one platform. Holds no payload and no patient data; times are milliseconds, `time` is UTC ISO 8601."""

    id: str
    """Unique for the call at this platform: what makes inserting the record idempotent."""
    time: str
    platform: str
    """HSA-id of the platform."""
    correlation_id: str
    outcome: str
    """`routed`, a VP code, or `http-<status>` where no SOAP answer was possible."""
    sender: str | None = None
    original_consumer: str | None = None
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
    """Status of the answer to the consumer; 0 when the consumer left before it."""
    elapsed_ms: float = 0.0
    producer_ms: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    detail: str = ""
    """The fault's detail in its private form; empty when routed."""
    violations: tuple[RecordedViolation, ...] = ()
    stored_request: str | None = None
    stored_response: str | None = None

    def to_json(self) -> str:
        """One line of JSON with every field."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> CallRecord:
        """The record that `to_json` wrote; unknown fields, from a newer version, are left out. Raises ValueError."""
        fields: dict[str, Any] = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError("a call record is a JSON object")
        known = {field.name for field in dataclasses.fields(cls)}
        values = {name: value for name, value in fields.items() if name in known}
        values["violations"] = tuple(RecordedViolation(**violation) for violation in values.get("violations", ()))
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"not a call record: {error}") from error
