"""The demo world of world.toml as values: platforms, consumers' identities, producers and patients."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producers_stub.behaviours import Setting
from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, short_name

FOLDER = Path(__file__).resolve().parent

JOURNAL_CONTRACTS = tuple(
    map(
        ContractNamespace,
        (
            namespaces.GET_ALERT_INFORMATION_2,
            namespaces.GET_CARE_CONTACTS_2,
            namespaces.GET_CARE_CONTACTS_3,
            namespaces.GET_CARE_DOCUMENTATION_2,
            namespaces.GET_DIAGNOSIS_2,
            namespaces.GET_LABORATORY_ORDER_OUTCOME_3,
            namespaces.GET_LABORATORY_ORDER_OUTCOME_4,
            namespaces.GET_MEDICATION_HISTORY_2,
            namespaces.GET_VACCINATION_HISTORY_2,
        ),
    )
)
"""The contracts that can be answered from a journal; which of them a producer does answer so is in world.toml."""
_ANSWERED = (*JOURNAL_CONTRACTS, ContractNamespace(namespaces.GET_DISPENSED_MEDICINES_1))


@dataclass(frozen=True, slots=True)
class Platform:
    """A service platform of the pair."""

    key: str
    """`national` or `regional`: its folder and its word on the command line."""
    hsa_id: HsaId
    name: str
    """Its name on the wire, in faults."""
    title: str
    aggregation_address: LogicalAddress
    """Logical address of its engagement index and of its aggregating services."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A consumer whose certificate is made with the pair."""

    name: str
    hsa_id: HsaId
    title: str


@dataclass(frozen=True, slots=True)
class StubAddress:
    """A logical address that a stub producer answers for, and how it behaves there unless told otherwise."""

    logical_address: LogicalAddress
    default: Setting
    platform: str
    """Key of the platform that has the way to it; its producer's, unless the row names another."""


@dataclass(frozen=True, slots=True)
class Producer:
    """A stub producer: a journal system with a port and a certificate of its own."""

    name: str
    """Also the name of its certificate, of its listening socket and of its variable in the routing tables."""
    hsa_id: HsaId
    title: str
    platform: str
    """Key of the platform that it is connected to, at least."""
    addresses: tuple[StubAddress, ...]
    contracts: tuple[ContractNamespace, ...]
    """What it answers itself, from its journal or about itself; any other installed contract it answers by sample."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A test person."""

    id: str
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A care unit whose records a patient has had blocked for other care providers."""

    patient: str
    care_unit: HsaId
    care_provider: HsaId


@dataclass(frozen=True, slots=True)
class World:
    """Everything in it, in the order of the file (which gives the producers their ports)."""

    platforms: tuple[Platform, ...]
    identities: tuple[Identity, ...]
    producers: tuple[Producer, ...]
    patients: tuple[Patient, ...]
    blocks: tuple[Block, ...]

    @classmethod
    def load(cls, path: Path = FOLDER / "world.toml") -> World:
        """The world that `path` describes; ValueError naming the file, the table and what is wrong with it."""
        with path.open("rb") as file:
            try:
                content = tomllib.load(file)
            except tomllib.TOMLDecodeError as error:
                raise ValueError(f"{path}: {error}") from error
        try:
            world = cls(
                platforms=tuple(_platform(key, row) for key, row in content["platforms"].items()),
                identities=tuple(_identity(name, row) for name, row in content["identities"].items()),
                producers=tuple(_producer(row, content["versions"]) for row in content["producers"]),
                patients=tuple(Patient(**row) for row in content["patients"]),
                blocks=tuple(Block(**row) for row in content["blocks"]),
            )
        except KeyError as error:
            raise ValueError(f"{path}: {error} is missing") from error
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        _check(world, path)
        return world

    def platform(self, key: str) -> Platform:
        """The platform with this key; KeyError if there is none."""
        return {platform.key: platform for platform in self.platforms}[key]


def _platform(key: str, row: Mapping[str, Any]) -> Platform:
    return Platform(
        key=key,
        hsa_id=HsaId(row["hsa_id"]),
        name=row["name"],
        title=row["title"],
        aggregation_address=LogicalAddress(row["aggregation_address"]),
    )


def _identity(name: str, row: Mapping[str, Any]) -> Identity:
    return Identity(name=name, hsa_id=HsaId(row["hsa_id"]), title=row["title"])


def _producer(row: Mapping[str, Any], versions: Mapping[str, Sequence[str]]) -> Producer:
    return Producer(
        name=row["name"],
        hsa_id=HsaId(row["hsa_id"]),
        title=row["title"],
        platform=row["platform"],
        addresses=tuple(_address(one, row["platform"]) for one in row["addresses"]),
        contracts=(ContractNamespace(namespaces.PING_FOR_CONFIGURATION_1), *_contracts(row, versions)),
    )


def _contracts(row: Mapping[str, Any], versions: Mapping[str, Sequence[str]]) -> Iterator[ContractNamespace]:
    known = {short_name(one): one for one in _ANSWERED}
    for name in versions[row["versions"]]:
        if name not in known:
            raise ValueError(f"versions {row['versions']}: {name!r} is not one of {', '.join(known)}")
        yield known[name]


def _address(row: Mapping[str, Any], platform: str) -> StubAddress:
    setting = {name: value for name, value in row.items() if name not in ("logical_address", "platform")}
    try:
        return StubAddress(
            LogicalAddress(row["logical_address"]), Setting.parse(setting), row.get("platform", platform)
        )
    except ValueError as error:
        raise ValueError(f"address {row['logical_address']}: {error}") from error


def _check(world: World, path: Path) -> None:
    """What must hold between the tables; ValueError if it does not."""
    keys = {platform.key for platform in world.platforms}
    for producer in world.producers:
        for platform in (producer.platform, *(one.platform for one in producer.addresses)):
            if platform not in keys:
                known = ", ".join(sorted(keys))
                raise ValueError(f"{path}: producer {producer.name}: platform {platform!r} is not one of {known}")
        if not producer.addresses:
            raise ValueError(f"{path}: producer {producer.name} has no address")
    names = [producer.name for producer in world.producers]
    addresses = [one.logical_address.upper() for producer in world.producers for one in producer.addresses]
    for kind, values in (("producer", names), ("logical address", addresses)):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"{path}: {kind} {twice[0]} stands there twice")
