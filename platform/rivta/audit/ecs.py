"""A call record as the incumbent's log events, for dashboards that already read them.

JSON lines with flat dotted keys; every value is a string; what is unknown is left out. No payload and no patient data:
a CallRecord holds none. Times between arrival and answer are not recorded, so the platform's own time is taken to lie
before the producer is called. HTTP headers are not recorded either: `http.*.headers`, forwarded headers and the body's
content are what the incumbent's events have and these lack, and the thread's name, which says nothing here.
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
_FAULTS = {fault.value.code: fault for fault in Fault}
_ERROR_OF_OURS = "error"
_ITS_CODE = Fault.PRODUCER_TROUBLE.value.code
"""What the incumbent logs as the code of a fault that has none."""
_BEFORE_REQ_IN = frozenset(
    fault.value.code
    for fault in (
        Fault.NO_SENDER,
        Fault.NOT_WHITELISTED,
        Fault.ORIGINAL_CONSUMER_REFUSED,
        Fault.LOOP,
        Fault.UNREADABLE,
    )
)
"""Faults found before the incumbent logs `req-in`; an answer without SOAP is found earlier still."""
_MILLISECOND_NS = 1_000_000


def describe_host(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The `host.*` fields of this machine."""
    system = machine.uname()
    in_container = "container" in environment or "KUBERNETES_SERVICE_HOST" in environment
    return {
        **({"host.type": "container"} if in_container else {}),
        **({"host.ip": address} if (address := _own_address()) else {}),
        "host.hostname": socket.gethostname(),
        "host.architecture": system.machine,
        "host.os.family": system.system,
        "host.os.name": system.system,
        "host.os.version": system.release,
        "host.os.platform": system.system.lower(),
    }


def _own_address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return ""


def events(
    record: CallRecord,
    *,
    service_name: str = "vp-services",
    url: str = "",
    host: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """The events of one call in the order they happened: four when all went well, fewer when not.

    `url` is where consumers reach the platform. Event and span ids are derived from the record, so that a line that
    is written twice can be recognised.
    """
    common = _common(record, service_name, url) | dict(host or {})
    arrived = datetime.fromisoformat(record.time).astimezone(UTC)
    answered = arrived + timedelta(milliseconds=record.elapsed_ms)
    duration = {"event.duration": str(round(record.elapsed_ms * _MILLISECOND_NS))}
    result = []
    if _was_read(record):
        result.append(_event(record, "req-in", arrived, common | _incoming(record)))
    if record.left_platform:
        sent = answered - timedelta(milliseconds=record.producer_ms or 0.0)
        producer = common | _outgoing(record)
        result.append(_event(record, "req-out", sent, producer))
        if record.is_routed:
            result.append(_event(record, "resp-in", answered, producer | _producer_answer(record)))
    if not record.is_routed or record.is_fault_of_producer:
        result.append(_event(record, "error", answered, common | duration | _failure(record) | _error(record)))
    result.append(_event(record, "resp-out", answered, common | duration | _failure(record) | _answer(record)))
    return result


def _was_read(record: CallRecord) -> bool:
    """Whether the call came as far as `req-in`. A broken schema and a loop may also be found later: after the route."""
    if record.outcome.startswith("http-"):
        return False
    return record.outcome not in _BEFORE_REQ_IN or bool(record.route_trace)


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


def _common(record: CallRecord, service_name: str, url: str) -> dict[str, str]:
    outgoing = (record.original_consumer or record.sender) if record.left_platform else None
    return _present(
        {
            "trace.id": record.correlation_id,
            "corr.id": f"[{record.correlation_id}]",
            "transaction.id": record.id,
            "span.id": _id(record, "span"),
            "service.name": service_name,
            "labels.route": "vp-https-route" if record.tls else "vp-http-route",
            "url.full": url if record.tls else "",
            "source.address": record.sender_address,
            "source.ip": record.sender_address,
            **_connection(record),
            "labels.senderid": record.sender,
            "labels.receiverid": record.logical_address,
            "labels.servicecontract_namespace": record.contract,
            "labels.rivversion": record.profile_out or record.profile_in,
            "labels.wsdl_namespace": _wsdl_namespace(record.contract, record.profile_out or record.profile_in),
            "labels.originalServiceconsumerHsaid": outgoing,
            "labels.originalServiceconsumerHsaid_in": record.original_consumer,
            "labels.actingOnBehalfOfHsaid": record.acting_on_behalf_of,
            "labels.routerVagvalTrace": record.route_trace,
            "labels.routerBehorighetTrace": record.permission_trace,
        }
    )


def _incoming(record: CallRecord) -> dict[str, str]:
    # At req-in nothing has been looked up: the profile is the incoming one and there are no traces.
    return {
        "http.request.method": record.method or "",
        "http.request.body.bytes": str(record.bytes_in),
        "labels.rivversion": (record.profile_in or "").lower(),
        "labels.wsdl_namespace": _wsdl_namespace(record.contract, (record.profile_in or "").lower()) or "",
        "labels.originalServiceconsumerHsaid": "",
        "labels.routerVagvalTrace": "",
        "labels.routerBehorighetTrace": "",
    }


def _outgoing(record: CallRecord) -> dict[str, str]:
    fields: dict[str, str | None] = {
        "span.id": _id(record, "producer-span"),
        "labels.parent.id": _id(record, "span"),
        "http.request.method": record.method,
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
    if record.is_routed:
        return {}
    fault = _FAULTS.get(record.outcome)
    text = None if fault is None else f"{fault.value.code} {fault.value.text}"
    fields: dict[str, str | None] = {
        "labels.sessionStatus": "true",
        "labels.errorCode": _ITS_CODE if record.outcome == _ERROR_OF_OURS else record.outcome,
        "labels.statusCode": _status_line(record.http_status) if record.http_status else None,
        "labels.sessionErrorDescription": text,
        "labels.sessionErrorTechnicalDescription": record.detail,
    }
    if fault is Fault.PRODUCER_TROUBLE:
        fields |= {
            "labels.faultCode": f"SOAP-ENV:{fault.value.side.value}",
            "labels.faultString": text,
            "labels.faultDetail": record.detail,
        }
    return _present(fields)


def _error(record: CallRecord) -> dict[str, str]:
    """What went wrong, as an exception has it: a kind and words."""
    fault = _FAULTS.get(record.outcome)
    return _present({"error.type": fault.name if fault else record.outcome, "error.message": record.detail})


def _connection(record: CallRecord) -> dict[str, str | None]:
    """The caller's TLS connection and certificate; the incumbent has these for connections of its own only."""
    if record.tls is None:
        return {}
    version, _, cipher = record.tls.partition(" ")
    return {
        "tls.version_protocol": "tls",
        "tls.version": version.removeprefix("TLSv"),
        "tls.cipher": cipher,
        "tls.established": "true",
        "tls.client.subject": record.certificate_subject,
        "tls.client.issuer": record.certificate_issuer,
        "tls.client.not_after": record.certificate_valid_to,
    }


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _wsdl_namespace(contract: str | None, profile: str | None) -> str | None:
    if contract is None or not profile:
        return None
    return f"{contract.replace('Responder', '')}:{profile}"


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
        url: str = "",
        host: Mapping[str, str] | None = None,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._service_name = service_name
        self._url = url
        self._host = dict(host or {})

    def write(self, records: Sequence[CallRecord]) -> None:
        """Appends the events of the records. Raises OSError, with the path in it."""
        lines = [
            json.dumps(event, ensure_ascii=False, separators=(",", ":"))
            for record in records
            for event in events(record, service_name=self._service_name, url=self._url, host=self._host)
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
