"""The aggregating services: one program, and a row of data for each contract that is aggregated.

The rows that are shipped stand in `services.toml`; the settings add to them. What sets the incumbent's services apart
(its section of differences) is a key of a row, so that no service needs code of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from rivta.soap.identifiers import ContractNamespace, short_name

Place = tuple[str, ...]
"""Where something stands in a request: names of elements from the first level down, without namespaces. Empty: it has
no place."""

_SHIPPED = Path(__file__).with_name("services.toml")
_KEYS = (
    "domain",
    "categories",
    "patient",
    "source",
    "wanted_categories",
    "records",
    "request_element",
    "response_element",
    "result_code",
    "log_id",
    "asks",
    "address_in_request",
    "newest_years",
    "refused",
    "source_seconds",
)
_MANDATORY = ("domain", "patient", "records")


class Asks(Enum):
    """Which of the two addresses of an engagement is called."""

    SOURCE_SYSTEM = "source_system"
    LOGICAL_ADDRESS = "logical_address"


@dataclass(frozen=True, slots=True)
class ResultBlock:
    """The `result` that is put into an answer, whatever the sources' own said."""

    code: str
    log_id: str
    """Empty: it has none."""
    namespace: str
    """Of what stands in it."""


@dataclass(frozen=True, slots=True)
class Service:
    """How one contract is aggregated."""

    contract: ContractNamespace
    domain: str
    """Service domain in the index, as `riv:crm:scheduling`."""
    categories: tuple[str, ...]
    """Of engagements. One is asked for; of several the index is asked for all, and hits of others are dropped."""
    patient: Place
    source: Place
    """Where a request says that it wants one source only."""
    wanted_categories: Place
    """Where a request says that it wants some categories only."""
    records: tuple[str, ...]
    """Names of the elements of an answer that are joined, in the order of the schema."""
    request: str
    response: str
    """Names of the two root elements."""
    result: ResultBlock | None
    asks: Asks
    address_in_request: Place
    """Where a request names the address that it is sent to, beside its header."""
    newest_years: int
    """Only engagements with content at most so old; 0 is all."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Elements that a request must not have, and the fault that one with them gets."""
    source_seconds: float | None = None
    """Time for a source to answer, where it is not the platform's."""

    @property
    def operation(self) -> str:
        """What a SOAPAction of the contract ends with."""
        return short_name(self.contract).partition(":")[0]


def services(changes: Mapping[str, Mapping[str, Any]]) -> dict[ContractNamespace, Service]:
    """The shipped services with the keys that `changes` has, by contract namespace, and those that only it has.

    Raises ValueError for a row that lacks a key or has one that cannot be used.
    """
    rows = dict(_shipped())
    for contract, keys in changes.items():
        rows[contract] = {**rows.get(contract, {}), **keys}
    return {ContractNamespace(contract): _service(contract, row) for contract, row in rows.items()}


def keys_of(service: Service) -> dict[str, Any]:
    """The row that a service is made of: given to `services` it makes the same again."""
    keys: dict[str, Any] = {
        "domain": service.domain,
        "categories": list(service.categories),
        "patient": "/".join(service.patient),
        "source": "/".join(service.source),
        "wanted_categories": "/".join(service.wanted_categories),
        "records": list(service.records),
        "request_element": service.request,
        "response_element": service.response,
        "result_code": service.result.code if service.result else "",
        "log_id": service.result.log_id if service.result else "",
        "asks": service.asks.value,
        "address_in_request": "/".join(service.address_in_request),
        "newest_years": service.newest_years,
        "refused": dict(service.refused),
    }
    return keys if service.source_seconds is None else keys | {"source_seconds": service.source_seconds}


@cache
def _shipped() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(_SHIPPED.read_text(encoding="utf-8"))


def _service(contract: str, row: Mapping[str, Any]) -> Service:
    words = contract.split(":")
    if len(words) < 4 or not words[-2].endswith("Responder") or contract == short_name(contract):
        raise ValueError(f"{contract}: expected the namespace of a contract, which ends with :<Name>Responder:<major>")
    if unknown := [key for key in row if key not in _KEYS]:
        raise ValueError(f"{contract}: unknown key {unknown[0]}; known are {', '.join(_KEYS)}")
    if missing := [key for key in _MANDATORY if key not in row]:
        raise ValueError(f"{contract}: {missing[0]} is missing: a service of your own has {', '.join(_MANDATORY)}")
    patient = _place(row["patient"])
    if not patient:
        raise ValueError(f"{contract}: patient is empty: expected where the patient's id stands, as patientId/id")
    name = words[-2].removesuffix("Responder")
    code = row.get("result_code", "")
    return Service(
        contract=ContractNamespace(contract),
        domain=row["domain"],
        categories=tuple(row.get("categories", ())),
        patient=patient,
        source=_place(row.get("source", "")),
        wanted_categories=_place(row.get("wanted_categories", "")),
        records=tuple(row["records"]),
        request=row.get("request_element") or name,
        response=row.get("response_element") or f"{name}Response",
        result=ResultBlock(code, row.get("log_id", ""), ":".join([*words[:-2], words[-1]])) if code else None,
        asks=Asks(row.get("asks", Asks.SOURCE_SYSTEM.value)),
        address_in_request=_place(row.get("address_in_request", "")),
        newest_years=row.get("newest_years", 0),
        refused=dict(row.get("refused", {})),
        source_seconds=row.get("source_seconds"),
    )


def _place(text: str) -> Place:
    return tuple(name for name in text.split("/") if name)
