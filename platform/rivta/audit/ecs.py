"""A call record as the incumbent's log events, for dashboards that already read them.

JSON lines with flat dotted keys; every value is a string; what is unknown is left out. No payload and no patient data:
a CallRecord holds none. Times between arrival and answer are not recorded, so the platform's own time is taken to lie
before the producer is called.
"""

from __future__ import annotations

import json
import os
import platform as machine
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from rivta.router.record import CallRecord
from rivta.soap.faults import Fault

ECS_VERSION = "1.2.0"
_NAMESPACE = UUID("5b6f3c1e-7d0a-5c55-9a27-6f2b8f6d4a10")
_FAULTS = {fault.value.code: fault.value for fault in Fault}
_BEFORE_REQ_IN = frozenset({"VP002", "VP011", "VP013", "VP014", "VP015"})
"""Faults found before the incumbent logs `req-in`; an answer without SOAP is found earlier still."""
_MILLISECOND_NS = 1_000_000


def describe_host() -> dict[str, str]:
    """The `host.*` fields of this machine."""
    system = machine.uname()
    return {
        "host.hostname": socket.gethostname(),
        "host.architecture": system.machine,
        "host.os.family": system.system,
        "host.os.name": system.system,
        "host.os.version": system.release,
        "host.os.platform": system.system.lower(),
    }


def events(
    record: CallRecord, *, service_name: str = "vp-services", host: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """The events of one call in the order they happened: four when all went well, fewer when not.

    Event and span ids are derived from the record, so that a line that is written twice can be recognised.
    """
    common = _common(record, service_name) | dict(host or {})
    arrived = datetime.fromisoformat(record.time).astimezone(UTC)
    answered = arrived + timedelta(milliseconds=record.elapsed_ms)
    duration = {"event.duration": str(round(record.elapsed_ms * _MILLISECOND_NS))}
    result = []
    if _was_read(record):
        result.append(_event(record, "req-in", arrived, common | _incoming(record)))
    if _reached_producer(record):
        sent = answered - timedelta(milliseconds=record.producer_ms or 0.0)
        producer = common | _outgoing(record)
        result.append(_event(record, "req-out", sent, producer))
        if record.outcome == "routed":
            result.append(_event(record, "resp-in", answered, producer | _producer_answer(record)))
    if _failed(record):
        result.append(_event(record, "error", answered, common | duration | _failure(record)))
    result.append(_event(record, "resp-out", answered, common | duration | _failure(record) | _answer(record)))
    return result


def _was_read(record: CallRecord) -> bool:
    return record.outcome not in _BEFORE_REQ_IN and not record.outcome.startswith("http-")


def _reached_producer(record: CallRecord) -> bool:
    return record.outcome in ("routed", "VP009") or record.producer_ms is not None


def _failed(record: CallRecord) -> bool:
    """A fault of the platform, or one of the producer's that was passed on."""
    return record.outcome != "routed" or record.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _event(record: CallRecord, action: str, time: datetime, fields: Mapping[str, str]) -> dict[str, str]:
    request = action.startswith("req")
    return {
        "@timestamp": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "log.level": "ERROR" if action == "error" else "INFO",
        "log.logger": f"se.skl.tp.vp.logging.{action.replace('-', '.')}",
        "ecs.version": ECS_VERSION,
        "message": f"{action} {record.sender or ''} -> {record.logical_address or ''}",
        "event.action": action,
        "event.module": "skltp-messages",
        "event.kind": "event",
        "event.category": '["web"]',
        "event.type": '["access","start"]' if request else '["access","end"]',
        "event.id": _id(record, action),
        **{name: value for name, value in fields.items() if value},
    }


def _common(record: CallRecord, service_name: str) -> dict[str, str]:
    return _present(
        {
            "trace.id": record.correlation_id,
            "corr.id": f"[{record.correlation_id}]",
            "transaction.id": record.id,
            "span.id": _id(record, "span"),
            "service.name": service_name,
            "labels.route": "vp-https-route",
            "labels.senderid": record.sender,
            "labels.receiverid": record.logical_address,
            "labels.servicecontract_namespace": record.contract,
            "labels.rivversion": record.profile_out or record.profile_in,
            "labels.wsdl_namespace": _wsdl_namespace(record),
            "labels.originalServiceconsumerHsaid": record.original_consumer,
            "labels.routerVagvalTrace": record.route_trace,
            "labels.routerBehorighetTrace": record.permission_trace,
        }
    )


def _incoming(record: CallRecord) -> dict[str, str]:
    # At req-in nothing has been looked up: the profile is the incoming one and there are no traces.
    return {
        "http.request.method": "POST",
        "http.request.body.bytes": str(record.bytes_in),
        "labels.rivversion": record.profile_in or "",
        "labels.routerVagvalTrace": "",
        "labels.routerBehorighetTrace": "",
    }


def _outgoing(record: CallRecord) -> dict[str, str]:
    fields: dict[str, str | None] = {
        "span.id": _id(record, "producer-span"),
        "labels.parent.id": _id(record, "span"),
        "http.request.method": "POST",
        "url.original": record.producer_url,
    }
    if record.producer_url:
        fields |= _destination(record.producer_url)
    return _present(fields)


def _destination(url: str) -> dict[str, str | None]:
    try:
        parts = urlsplit(url)
        domain, port = parts.hostname, parts.port
    except ValueError:
        return {}
    if domain is None:
        return {}
    return {
        "destination.address": domain if port is None else f"{domain}:{port}",
        "destination.domain": domain,
        "destination.port": None if port is None else str(port),
    }


def _producer_answer(record: CallRecord) -> dict[str, str]:
    fields = {"http.response.status_code": str(record.http_status)}
    if record.producer_ms is not None:
        fields["event.duration"] = str(round(record.producer_ms * _MILLISECOND_NS))
    return fields


def _answer(record: CallRecord) -> dict[str, str]:
    return {
        "http.response.status_code": str(record.http_status),
        "http.response.body.bytes": str(record.bytes_out),
    }


def _failure(record: CallRecord) -> dict[str, str]:
    if record.outcome == "routed":
        return {}
    fault = _FAULTS.get(record.outcome)
    return _present(
        {
            "labels.sessionStatus": "true",
            "labels.errorCode": record.outcome,
            "labels.statusCode": _status_line(record.http_status),
            "labels.sessionErrorDescription": None if fault is None else f"{fault.code} {fault.text}",
            "labels.sessionErrorTechnicalDescription": record.detail,
        }
    )


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _wsdl_namespace(record: CallRecord) -> str | None:
    profile = record.profile_out or record.profile_in
    if record.contract is None or profile is None:
        return None
    return f"{record.contract.replace('Responder', '')}:{profile}"


def _present(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}


def _id(record: CallRecord, part: str) -> str:
    return str(uuid5(_NAMESPACE, f"{record.platform}\n{record.id}\n{part}"))


class EcsFile:
    """`ecs.jsonl`, beside it `ecs.jsonl.1` (the newest of the old) and so on; readable by the owner only."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = 50_000_000,
        keep: int = 5,
        service_name: str = "vp-services",
        host: Mapping[str, str] | None = None,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._service_name = service_name
        self._host = dict(host or {})

    def write(self, records: Sequence[CallRecord]) -> None:
        """Appends the events of the records. Raises OSError, with the path in it."""
        lines = [
            json.dumps(event, ensure_ascii=False, separators=(",", ":"))
            for record in records
            for event in events(record, service_name=self._service_name, host=self._host)
        ]
        if not lines:
            return
        self._rotate_if_full()
        # Opened each time: whoever moves the file away, as logrotate does, is respected without a signal.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(("\n".join(lines) + "\n").encode("utf-8", "replace"))

    def _rotate_if_full(self) -> None:
        try:
            if self._path.stat().st_size < self._max_bytes:
                return
        except FileNotFoundError:
            return
        self._old(self._keep).unlink(missing_ok=True)
        for number in range(self._keep - 1, 0, -1):
            if self._old(number).exists():
                self._old(number).rename(self._old(number + 1))
        self._path.rename(self._old(1))

    def _old(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
