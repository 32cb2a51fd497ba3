"""One call on its way: what has come to be known of it, of which its record is made once it has ended."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rivta.catalogue.decide import DecisionCache
from rivta.catalogue.decision import Decision
from rivta.router import headers
from rivta.router.identify import Caller
from rivta.router.messages import Answer, Peer, Request, Trouble
from rivta.router.record import CallRecord, RecordedSource, RecordedViolation
from rivta.soap.charsets import UTF_8
from rivta.soap.head import Head
from rivta.soap.identifiers import HsaId

_LONGEST_DETAIL = 2000


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended."""

    answer: Answer
    outcome: str
    """As in its record."""
    detail: str = ""
    trouble: Trouble | None = None
    """What happened below HTTP, where that is why the platform answered in the producer's place."""


@dataclass(slots=True)
class Course:
    """What is known of a call so far. Only the pipeline writes into it, and no step reads what another step wrote."""

    request: Request
    correlation_id: str
    received: datetime
    table: DecisionCache | None = None
    """The one that decides it, whatever is published meanwhile; None before the first."""
    began: float = field(default_factory=time.perf_counter)
    caller: Caller | None = None
    encoding: str = UTF_8
    """Of the request."""
    head: dict[str, Any] = field(default_factory=dict)
    """What the message says, as fields of a record. Not the message: it would outlive its use."""
    decision: Decision | None = None
    producer_ms: float | None = None
    violations: tuple[RecordedViolation, ...] = ()
    sources: tuple[RecordedSource, ...] = ()

    def read(self, head: Head) -> None:
        """Takes note of what the message says."""
        self.head = {
            "contract": bounded(head.contract),
            "logical_address": bounded(head.logical_address),
            "profile_in": head.profile.value if head.profile else None,
        }

    def record(self, ending: Ending, *, platform: HsaId, sender: str | None) -> CallRecord:
        """The record of the call, which ends now. `sender` stands there when the caller was not identified."""
        request, caller, table = self.request, self.caller, self.table
        return CallRecord(
            id=str(uuid.uuid4()),
            time=self.received.isoformat(timespec="milliseconds"),
            platform=platform,
            correlation_id=bounded(self.correlation_id) or "",
            outcome=ending.outcome,
            sender=caller.hsa_id if caller else sender,
            method=request.method or None,
            sender_address=(caller.address if caller else request.peer.address) or None,
            original_consumer=bounded(request.header(headers.ORIGINAL_CONSUMER)) or None,
            acting_on_behalf_of=bounded(request.header(headers.ACTING_ON_BEHALF_OF)) or None,
            publication=table.table.publication if table else None,
            hsa_version=table.table.hsa_version if table else None,
            http_status=ending.answer.status,
            elapsed_ms=round((time.perf_counter() - self.began) * 1000, 3),
            producer_ms=None if self.producer_ms is None else round(self.producer_ms, 3),
            bytes_in=len(request.body),
            bytes_out=len(ending.answer.body),
            detail=bounded(ending.detail, _LONGEST_DETAIL) or "",
            violations=self.violations,
            sources=self.sources,
            **self.head,
            **_decided(self.decision),
            **_connection(request.peer),
        )


def bounded(text: str | None, length: int = 500) -> str | None:
    """A consumer chooses what stands in its message: neither a record nor a fault must grow to the length of one."""
    return text if text is None or len(text) <= length else text[:length] + "…"


def _decided(decision: Decision | None) -> dict[str, Any]:
    if decision is None:
        return {}
    traces = {"route_trace": bounded(decision.route_trace), "permission_trace": bounded(decision.permission_trace)}
    if decision.route is None:
        return traces
    profile = decision.route.profile
    return traces | {"profile_out": profile.value if profile else None, "producer_url": decision.route.url}


def _connection(peer: Peer) -> dict[str, Any]:
    """How the caller was connected: what a person asks for first when a certificate is in doubt."""
    sender = peer.sender
    if sender is None:
        return {"tls": peer.tls}
    return {
        "certificate_subject": bounded(sender.subject),
        "certificate_issuer": bounded(sender.issuer),
        "certificate_valid_to": sender.not_after.isoformat(),
        "tls": peer.tls,
    }
