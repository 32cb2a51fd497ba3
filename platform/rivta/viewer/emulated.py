"""What stands in for services that the overview would ask: who works where, care relations, consents, blocks.

Plainly an emulation: whoever sits at the page may be anybody of its staff. The persons of emulated.toml are made up.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from rivta.viewer.policy.situation import (
    Assignment,
    Block,
    BlockKind,
    By,
    Capacity,
    CareRelation,
    Consent,
    Covers,
    Patient,
    Period,
    Purpose,
)

_FILE = Path(__file__).with_name("emulated.toml")


@dataclass(frozen=True, slots=True)
class WorkAssignment:
    """An assignment (medarbetaruppdrag) at a unit, which says what for."""

    id: str
    name: str
    unit_id: str
    unit: str
    care_provider_id: str
    care_provider: str
    purpose: Purpose

    def of(self, user_id: str) -> Assignment:
        """As the rules look at it."""
        return Assignment(user_id, self.unit_id, self.care_provider_id, self.purpose)


@dataclass(frozen=True, slots=True)
class Staff:
    """Somebody who may log in."""

    user_id: str
    name: str
    title: str
    assignments: tuple[WorkAssignment, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """A patient, as the population register and the care know them."""

    name: str
    patient: Patient = field(default_factory=Patient)
    note: str = ""
    """What the page tells at once, as that the identity is protected."""


@dataclass(frozen=True, slots=True)
class Emulated:
    """Everything that the emulated services know."""

    staff: tuple[Staff, ...]
    care_providers: Mapping[str, str]
    """Name by HSA-id."""
    persons: Mapping[str, Person]
    relations: Mapping[str, tuple[CareRelation, ...]]
    """These three by patient."""
    consents: Mapping[str, tuple[Consent, ...]]
    blocks: Mapping[str, tuple[Block, ...]]

    @classmethod
    def load(cls, path: Path = _FILE) -> Emulated:
        """Raises ValueError naming the file and what is wrong with it."""
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            providers = dict(content["care_providers"])
            return cls(
                staff=tuple(_staff(one, providers) for one in content["staff"]),
                care_providers=providers,
                persons={one["id"]: _person(one) for one in content["persons"]},
                relations=_by_patient(content["relations"], _relation),
                consents=_by_patient(content["consents"], _consent),
                blocks=_by_patient(content["blocks"], _block),
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error!r}") from error

    def find_staff(self, user_id: str, assignment: str) -> tuple[Staff, WorkAssignment] | None:
        """Who it is with which assignment; None for what there is not."""
        for staff in self.staff:
            for one in staff.assignments:
                if (staff.user_id, one.id) == (user_id, assignment):
                    return staff, one
        return None


def _staff(row: Mapping[str, Any], providers: Mapping[str, str]) -> Staff:
    assignments = tuple(
        WorkAssignment(
            id=one["id"],
            name=one["name"],
            unit_id=one["unit_id"],
            unit=one["unit"],
            care_provider_id=one["care_provider"],
            care_provider=providers[one["care_provider"]],
            purpose=Purpose[one["purpose"]],
        )
        for one in row["assignments"]
    )
    return Staff(row["user_id"], row["name"], row["title"], assignments)


def _person(row: Mapping[str, Any]) -> Person:
    capacity = Capacity(row.get("capacity", Capacity.ADULT.value))
    return Person(row["name"], Patient(capacity, is_mature=row.get("is_mature", False)), row.get("note", ""))


def _relation(row: Mapping[str, Any]) -> CareRelation:
    return CareRelation(row["care_provider"], row["basis"], _period(row))


def _consent(row: Mapping[str, Any]) -> Consent:
    return Consent(
        By(row["by"]), Covers(row["covers"]), row["care_provider"], _period(row), is_given=row.get("is_given", True)
    )


def _block(row: Mapping[str, Any]) -> Block:
    return Block(BlockKind(row["kind"]), row["care_provider"], row.get("unit", ""), By(row["by"]), _period(row))


def _period(row: Mapping[str, Any]) -> Period:
    ends = row.get("ends")
    return Period(_start_of(row["begins"]), None if ends is None else _start_of(ends))


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _by_patient(rows: list[dict[str, Any]], made: Any) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for row in rows:
        for patient in row["patients"]:
            found[patient] = (*found.get(patient, ()), made(row))
    return found
