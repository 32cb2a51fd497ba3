"""Rules that a tester sets: which calls they are for, and whether one of them is due. Pure but for counting calls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from producers_stub.behaviours import FIELDS, OF_THE_DOOR, Setting
from producers_stub.world import Producer

EVERY = "*"
"""The target that is every producer."""
MOST_RULES = 1000


@dataclass(frozen=True, slots=True)
class Aim:
    """Which calls a rule is for. The empty text is any."""

    producer: str = ""
    """Its name."""
    address: str = ""
    """In upper case."""
    contract: str = ""
    """Namespace."""
    patient: str = ""

    @property
    def narrowness(self) -> tuple[bool, ...]:
        """What decides between rules for the same call: patient before contract before address before producer."""
        return bool(self.patient), bool(self.contract), bool(self.address), bool(self.producer)

    @property
    def is_whole_address(self) -> bool:
        """Whether it is for all calls to one address."""
        return bool(self.address) and not self.contract and not self.patient

    def is_of(self, call: Called) -> bool:
        """Whether a call is among those meant."""
        return (
            (not self.producer or self.producer == call.producer)
            and (not self.address or self.address == call.address)
            and (not self.contract or self.contract == call.contract)
            and (not self.patient or self.patient == call.patient)
        )


@dataclass(frozen=True, slots=True)
class Called:
    """What of a call decides how it is treated."""

    producer: str
    address: str = ""
    """In upper case; empty for one that is not the producer's own."""
    contract: str = ""
    patient: str = ""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Rule:
    """A setting for some calls, and how much of it is used up."""

    target: str
    """As the tester named it."""
    aim: Aim
    setting: Setting
    until: float | None
    """On the clock of the switchboard; None for ever."""
    calls_left: int | None
    met: int = 0
    """Calls that it was for, whether it was their turn or not."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the rule is no more: calls that wait by it wait no longer."""

    @classmethod
    def of(cls, target: str, aim: Aim, setting: Setting, *, now: float) -> Rule:
        """A rule that begins now."""
        until = None if setting.lasts is None else now + setting.lasts
        return cls(target, aim, setting, until, setting.calls)

    def is_over(self, now: float) -> bool:
        """Whether its calls or its time are used up."""
        return self.calls_left == 0 or (self.until is not None and now >= self.until)

    def takes(self, dice: random.Random) -> bool:
        """Counts a call that it is for; whether it is to be treated so."""
        self.met += 1
        if self.met % self.setting.every:
            return False
        if self.setting.percent < 100 and dice.random() * 100 >= self.setting.percent:
            return False
        if self.calls_left is not None:
            self.calls_left -= 1
        return True

    def to_json(self, now: float) -> dict[str, Any]:
        """What it is for and what of it is left."""
        setting = self.setting
        said = {
            "spread": setting.spread,
            "detail": setting.detail,
            "status": setting.status,
            "over": setting.over,
            "size": setting.size,
            "body": setting.body,
            "seed": setting.seed,
        }
        return {
            "target": self.target,
            "contract": self.aim.contract or None,
            "patient": self.aim.patient or None,
            "behaviour": setting.behaviour.value,
            "seconds": setting.seconds,
            "distribution": setting.distribution.value,
            **said,
            "every": setting.every,
            "percent": setting.percent,
            "calls_left": self.calls_left,
            "seconds_left": None if self.until is None else round(max(self.until - now, 0.0), 3),
            "met": self.met,
        }


class UnknownAddress(LookupError):
    """No stub producer has this logical address or name; the message names those that there are."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a tester asks for: a setting, and which calls it is for."""

    setting: Setting
    contract: str = ""
    """As it was written."""
    patient: str = ""

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Wish:
        """The wish that JSON spells; ValueError naming the field and what it may be."""
        for name in ("contract", "patient"):
            value = fields.get(name)
            if value is not None and (not isinstance(value, str) or not value.strip()):
                raise ValueError(f"{name}: {value!r} is not a text")
        unknown = sorted(fields.keys() - FIELDS - {"contract", "patient"})
        if unknown:
            known = ", ".join(sorted(FIELDS | {"contract", "patient"}))
            raise ValueError(f"unknown field {unknown[0]!r}: the fields are {known}")
        setting = Setting.parse({name: value for name, value in fields.items() if name in FIELDS})
        wish = cls(setting, (fields.get("contract") or "").strip(), (fields.get("patient") or "").strip())
        if setting.behaviour in OF_THE_DOOR and (wish.contract or wish.patient):
            raise ValueError(
                f"behaviour: {setting.behaviour.value} is of a whole producer, not of a contract or patient"
            )
        return wish


def aim_of(
    target: str, wish: Wish, producers: tuple[Producer, ...], find_contract: Callable[[str], str]
) -> tuple[str, Aim]:
    """How a target is spelled and what it aims at. Raises UnknownAddress, and LookupError for an unknown contract."""
    contract = find_contract(wish.contract) if wish.contract else ""
    spelled, producer, address = _found(target.strip(), producers)
    if wish.setting.behaviour in OF_THE_DOOR:
        return producer or EVERY, Aim(producer)
    return spelled, Aim("" if address else producer, address, contract, wish.patient)


def _found(target: str, producers: tuple[Producer, ...]) -> tuple[str, str, str]:
    """The target as it is spelled, its producer's name, and its address in upper case, which may be none."""
    if target == EVERY:
        return EVERY, "", ""
    for producer in producers:
        if producer.name == target.lower():
            return producer.name, producer.name, ""
        for one in producer.addresses:
            if one.logical_address.upper() == target.upper():
                return one.logical_address, producer.name, one.logical_address.upper()
    addresses = ", ".join(one.logical_address for producer in producers for one in producer.addresses)
    names = ", ".join(producer.name for producer in producers)
    raise UnknownAddress(
        f"no stub producer has the logical address {target}: there are {addresses}; and the producers {names}"
    )
