"""What sources do about one patient and not another: the testers' situations, from situations.toml.

A situation's records are made when they are asked for, from those of a journal that tell of nobody: a thousand of them
take no memory, and are the same each time.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from producers_stub.behaviours import Setting
from producers_stub.journals import CareContact, Medication, Record
from producers_stub.world import FOLDER, Patient, Producer, World
from rivta.soap.identifiers import LogicalAddress

PRODUCER = "situations"
"""The stub producer whose addresses are the sources of the situations, in their order in world.toml."""
NOBODY = "*"
"""The patient of the records that a situation's are made from."""

_APART = timedelta(hours=7)
"""Between one record of a source and the one before it."""


@dataclass(frozen=True, slots=True)
class Source:
    """What one address does about a patient."""

    logical_address: LogicalAddress
    records: int
    setting: Setting | None = None
    """How it behaves; None: as it does about everybody."""


@dataclass(frozen=True, slots=True)
class Situation:
    """One situation, with a patient of its own."""

    name: str
    patient: Patient
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Situations:
    """All of them, and what else is steered by patient."""

    situations: tuple[Situation, ...] = ()
    steered: Mapping[tuple[str, str], Setting] | None = None
    """By patient and logical address in upper case."""

    @classmethod
    def load(cls, world: World, path: Path = FOLDER / "situations.toml") -> Situations:
        """The situations in `path`; ValueError naming the file and what is wrong in it."""
        sources = next(producer for producer in world.producers if producer.name == PRODUCER)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            situations = tuple(_situation(row, sources) for row in content["situations"])
            others = {
                (row.pop("patient"), row.pop("logical_address").upper()): Setting.parse(row)
                for row in content.get("steered", ())
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        steered: dict[tuple[str, str], Setting] = {
            (situation.patient.id, source.logical_address): source.setting
            for situation in situations
            for source in situation.sources
            if source.setting is not None
        }
        return cls(situations, {**others, **steered})

    def setting(self, patient: str, address: str) -> Setting | None:
        """How the address behaves in a call about the patient; None where that is as in any other call."""
        return (self.steered or {}).get((patient, address.upper()))

    def records(self, patient: str, address: str, like: Sequence[Record]) -> Iterator[Record]:
        """What the address has about the patient, made like those of `like` that tell of nobody."""
        models = [one for one in like if one.document.patient == NOBODY]
        for source in self._sources(patient):
            if source.logical_address == address and models:
                for number in range(source.records):
                    yield _copy(models[number % len(models)], patient=patient, number=number)

    def announced(self, addresses: Sequence[LogicalAddress]) -> Iterator[tuple[str, LogicalAddress]]:
        """Patient and address of everything that these addresses have announced, also where they then have nothing."""
        for situation in self.situations:
            for source in situation.sources:
                if source.logical_address in addresses:
                    yield situation.patient.id, source.logical_address

    def _sources(self, patient: str) -> tuple[Source, ...]:
        return next((one.sources for one in self.situations if one.patient.id == patient), ())


def _situation(row: Mapping[str, Any], producer: Producer) -> Situation:
    count, failing = int(row["sources"]), int(row.get("failing", 0))
    if not 0 <= failing <= count <= len(producer.addresses):
        raise ValueError(f"situation {row['name']!r}: at most {len(producer.addresses)} sources, and no more failing")
    records = int(row.get("records", 1))
    bad = Setting.parse({"behaviour": row["behaviour"]}) if "behaviour" in row else None
    addresses = [one.logical_address for one in producer.addresses[:count]]
    good = count - failing
    return Situation(
        name=row["name"],
        patient=Patient(id=row["patient"]["id"], name=row["patient"]["name"], note=row["name"]),
        sources=(
            *(Source(address, records) for address in addresses[:good]),
            *(Source(address, int(row.get("failing_records", records)), bad) for address in addresses[good:]),
        ),
    )


def _copy(record: Record, *, patient: str, number: int) -> Record:
    """The record told of `patient`, `number` steps back in time, with an id of its own."""
    back = number * _APART
    document = record.document
    moved = replace(document, id=f"{document.id}-{number + 1:04}", patient=patient, time=document.time - back)
    if isinstance(record, CareContact | Medication):
        end = record.end - back if record.end else None
        return replace(record, document=moved, start=record.start - back, end=end)
    return replace(record, document=moved)
