"""What each logical address is set to do now, and what has been called: the one mutable thing of the stub producers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from producers_stub.behaviours import Setting
from producers_stub.world import Producer, StubAddress
from rivta.soap.identifiers import LogicalAddress

Steered = Callable[[str, str], Setting | None]


@dataclass(slots=True)
class _Line:
    """One address of one producer."""

    address: StubAddress
    producer: Producer
    setting: Setting
    is_set: bool = False
    """Whether a tester has set it."""
    calls: int = 0
    last_headers: Mapping[str, str] | None = None
    last_caller: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "logical_address": self.address.logical_address,
            "producer": self.producer.name,
            "behaviour": self.setting.behaviour.value,
            "seconds": self.setting.seconds,
            "detail": self.setting.detail,
            "calls_left": self.setting.calls,
            "default": self.address.default.behaviour.value,
            "calls": self.calls,
            "last_headers": self.last_headers,
            "last_caller": self.last_caller,
        }


class UnknownAddress(LookupError):
    """No stub producer has this logical address; the message names those that there are."""


class Switchboard:
    """Addresses are told apart without regard to case, as HSA-ids are. To be used from one thread."""

    def __init__(self, producers: tuple[Producer, ...], steered: Steered = lambda _patient, _address: None) -> None:
        """`steered` says how an address behaves in calls about a patient, None for as in any other call."""
        self._producers = producers
        self._steered = steered
        self._lines = {
            address.logical_address.upper(): _Line(address, producer, address.default)
            for producer in producers
            for address in producer.addresses
        }
        self._strays = dict.fromkeys((producer.name for producer in producers), 0)

    def take(
        self,
        producer: Producer,
        address: LogicalAddress | None,
        headers: Mapping[str, str],
        *,
        caller: str | None = None,
        patient: str = "",
    ) -> Setting:
        """Counts a call to `producer` and says how to treat it. `headers` and `caller`, the HSA-id of the certificate
        it was made with, are remembered; `patient` is not, and no payload is ever given.

        What a tester has set comes before what goes for the patient. An address that is not the producer's own (a unit
        below it, say, that was routed by its parent) is normal.
        """
        line = self._lines.get((address or "").strip().upper())
        if line is None or line.producer.name != producer.name:
            self._strays[producer.name] += 1
            return Setting()
        line.calls += 1
        line.last_headers = headers
        line.last_caller = caller
        setting = line.setting
        if not line.is_set:
            return self._steered(patient, line.address.logical_address) or setting
        if setting.calls == 1:
            line.setting, line.is_set = line.address.default, False
        elif setting.calls is not None:
            line.setting = replace(setting, calls=setting.calls - 1)
        return setting

    def set(self, address: str, setting: Setting) -> dict[str, Any]:
        """Makes `address` behave so from the next call on; its state after that. Raises UnknownAddress."""
        line = self._line(address)
        line.setting, line.is_set = setting, True
        return line.to_json()

    def reset(self, address: str) -> dict[str, Any]:
        """Makes `address` behave as its default again; its state after that. Raises UnknownAddress."""
        line = self._line(address)
        line.setting, line.is_set = line.address.default, False
        return line.to_json()

    def describe(self) -> dict[str, Any]:
        """Every producer with its addresses, as JSON."""
        return {
            "producers": [
                {
                    "name": producer.name,
                    "hsa_id": producer.hsa_id,
                    "title": producer.title,
                    "contracts": list(producer.contracts),
                    "calls_to_other_addresses": self._strays[producer.name],
                    "addresses": [self._line(one.logical_address).to_json() for one in producer.addresses],
                }
                for producer in self._producers
            ]
        }

    def _line(self, address: str) -> _Line:
        line = self._lines.get(address.strip().upper())
        if line is None:
            known = ", ".join(line.address.logical_address for line in self._lines.values())
            raise UnknownAddress(f"no stub producer has the logical address {address}: there are {known}")
        return line
