"""What each logical address is set to do now, and what has been called: the one mutable thing of the stub producers."""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from producers_stub.behaviours import OF_THE_DOOR, Behaviour, Setting
from producers_stub.rules import MOST_RULES, Aim, Called, Rule, UnknownAddress, Wish, aim_of
from producers_stub.world import Producer, StubAddress
from rivta.soap.identifiers import LogicalAddress

__all__ = ["Switchboard", "Taken", "UnknownAddress"]

Steered = Callable[[str, str], Setting | None]


@dataclass(frozen=True, slots=True)
class Taken:
    """How one call is treated."""

    setting: Setting
    wait_s: float
    rule: Rule | None = None
    """Whose end is the end of the wait."""

    @property
    def behaviour(self) -> Behaviour:
        return self.setting.behaviour


@dataclass(slots=True)
class _Line:
    """One address of one producer."""

    address: StubAddress
    producer: Producer
    calls: int = 0
    last_headers: Mapping[str, str] | None = None
    last_caller: str | None = None


class Switchboard:
    """Addresses are told apart without regard to case, as HSA-ids are. To be used from one thread."""

    def __init__(
        self,
        producers: tuple[Producer, ...],
        steered: Steered = lambda _patient, _address: None,
        *,
        find_contract: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
        dice: random.Random | None = None,
    ) -> None:
        """`steered` says how an address behaves in calls about a patient, None for as in any other call;
        `find_contract` gives a contract's namespace, LookupError for one that is not installed; `clock` gives seconds.
        """
        self._producers = producers
        self._steered = steered
        self._find_contract = find_contract
        self._clock = clock
        self._dice = dice or random.Random()
        self._lines = {
            address.logical_address.upper(): _Line(address, producer)
            for producer in producers
            for address in producer.addresses
        }
        self._strays = dict.fromkeys((producer.name for producer in producers), 0)
        self._rules: list[Rule] = []
        self._spent: weakref.WeakSet[Rule] = weakref.WeakSet()
        """Rules whose calls are used up, while some of these still wait."""

    def take(
        self,
        producer: Producer,
        address: LogicalAddress | None,
        headers: Mapping[str, str],
        *,
        caller: str | None = None,
        contract: str = "",
        patient: str = "",
    ) -> Taken:
        """Counts a call to `producer` and says how to treat it. `headers` and `caller`, the HSA-id of the certificate
        it was made with, are remembered; `patient` is not.

        What a tester has set comes before what goes for the patient, and of that the narrowest, and of those the
        newest. An address that is not the producer's own (a unit below it, say, that was routed by its parent) is
        normal unless the whole producer is set otherwise.
        """
        line = self._lines.get((address or "").strip().upper())
        if line is None or line.producer.name != producer.name:
            self._strays[producer.name] += 1
            return self._taken(Called(producer.name, "", contract, patient), Setting())
        line.calls += 1
        line.last_headers = headers
        line.last_caller = caller
        known = line.address.logical_address
        usual = self._steered(patient, known) or line.address.default
        return self._taken(Called(producer.name, known.upper(), contract, patient), usual)

    def _taken(self, call: Called, usual: Setting) -> Taken:
        self._end_those_that_are_over()
        meant = [rule for rule in self._rules if rule.setting.behaviour not in OF_THE_DOOR and rule.aim.is_of(call)]
        meant.reverse()  # the newest first, which stays so among those equally narrow
        for rule in sorted(meant, key=lambda one: one.aim.narrowness, reverse=True):
            if rule.takes(self._dice):
                wait_s = rule.setting.wait_s(self._dice)
                if rule.until is not None:
                    wait_s = min(wait_s, max(rule.until - self._clock(), 0.0))
                if rule.is_over(self._clock()):
                    self._rules.remove(rule)
                    self._spent.add(rule)
                return Taken(rule.setting, wait_s, rule)
        return Taken(usual, usual.wait_s(self._dice))

    def door(self, producer: str) -> Behaviour:
        """How a producer's door is set: one of OF_THE_DOOR, or normal."""
        self._end_those_that_are_over()
        meant = [
            rule
            for rule in reversed(self._rules)
            if rule.setting.behaviour in OF_THE_DOOR and rule.aim.producer in ("", producer)
        ]
        best = max(meant, key=lambda rule: rule.aim.narrowness, default=None)
        return best.setting.behaviour if best else Behaviour.NORMAL

    def next_end_s(self) -> float | None:
        """In how many seconds the next rule is over by time; None when none will be."""
        now = self._clock()
        return min((max(rule.until - now, 0.0) for rule in self._rules if rule.until is not None), default=None)

    def set(self, target: str, wish: Setting | Wish) -> dict[str, Any]:
        """Makes calls to `target`, an address, a producer or `*`, be treated so from the next one on; what it is now.

        It takes the place of what was set for the same target, contract and patient. Raises UnknownAddress, LookupError
        for a contract that is not installed, ValueError when there are too many rules.
        """
        asked = wish if isinstance(wish, Wish) else Wish(wish)
        spelled, aim = aim_of(target, asked, self._producers, self._find_contract)
        self._end_those_that_are_over()
        is_door = asked.setting.behaviour in OF_THE_DOOR
        self._end(lambda one: one.aim == aim and (one.setting.behaviour in OF_THE_DOOR) is is_door)
        if len(self._rules) >= MOST_RULES:
            raise ValueError(f"{MOST_RULES} rules are set, which is the most: clear some")
        rule = Rule.of(spelled, aim, asked.setting, now=self._clock())
        self._rules.append(rule)
        return self._address_json(aim.address) if aim.is_whole_address else rule.to_json(self._clock())

    def reset(self, target: str) -> dict[str, Any]:
        """Takes back everything that was set for `target`; what it is after that. Raises UnknownAddress."""
        spelled, aim = aim_of(target, Wish(Setting()), self._producers, self._find_contract)
        self._end(lambda one: (one.aim.producer, one.aim.address) == (aim.producer, aim.address))
        return self._address_json(aim.address) if aim.address else {"target": spelled, "behaviour": "normal"}

    def clear(self) -> int:
        """Takes back everything that was set; how many rules there were."""
        return self._end(lambda _rule: True)

    def describe(self) -> dict[str, Any]:
        """Every producer with its addresses, and every rule, as JSON."""
        self._end_those_that_are_over()
        return {
            "producers": [
                {
                    "name": producer.name,
                    "hsa_id": producer.hsa_id,
                    "title": producer.title,
                    "contracts": list(producer.contracts),
                    "door": self.door(producer.name).value,
                    "calls_to_other_addresses": self._strays[producer.name],
                    "addresses": [self._address_json(one.logical_address.upper()) for one in producer.addresses],
                }
                for producer in self._producers
            ],
            "rules": [rule.to_json(self._clock()) for rule in self._rules],
        }

    def _end_those_that_are_over(self) -> None:
        now = self._clock()
        self._rules = [rule for rule in self._rules if not rule.is_over(now)]  # nobody waits longer than its rule lasts

    def _end(self, is_meant: Callable[[Rule], bool]) -> int:
        ended = [rule for rule in self._rules if is_meant(rule)]
        for rule in (*ended, *filter(is_meant, list(self._spent))):
            rule.ended.set()
        self._rules = [rule for rule in self._rules if not rule.ended.is_set()]
        return len(ended)

    def _address_json(self, address: str) -> dict[str, Any]:
        line = self._lines[address]
        rule = next((one for one in self._rules if one.aim == Aim(address=address)), None)
        setting = rule.setting if rule else line.address.default
        return {
            "logical_address": line.address.logical_address,
            "producer": line.producer.name,
            "behaviour": setting.behaviour.value,
            "seconds": setting.seconds,
            "detail": setting.detail,
            "calls_left": rule.calls_left if rule else None,
            "every": setting.every,
            "percent": setting.percent,
            "seconds_left": rule.to_json(self._clock())["seconds_left"] if rule else None,
            "default": line.address.default.behaviour.value,
            "calls": line.calls,
            "last_headers": line.last_headers,
            "last_caller": line.last_caller,
        }
