"""What each logical address is set to do now, and what has been called: the one mutable thing of the stub producers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from producers_stub.behaviours import Setting
from producers_stub.world import Producer, StubAddress
from rivta.soap.identifiers import LogicalAddress


@dataclass(slots=True)
class _Line:
    """One address of one producer."""

    address: StubAddress
    producer: Producer
    setting: Setting
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

    def __init__(self, producers: tuple[Producer, ...]) -> None:
        self._producers = producers
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
    ) -> Setting:
        """Counts a call to `producer` and says how to treat it. `headers` and `caller`, the HSA-id of the certificate
        it was made with, are remembered; no payload is ever given.

        An address that is not the producer's own (a unit below it, say, that was routed by its parent) is normal.
        """
        line = self._lines.get((address or "").strip().upper())
        if line is None or line.producer.name != producer.name:
            self._strays[producer.name] += 1
            return Setting()
        line.calls += 1
        line.last_headers = headers
        line.last_caller = caller
        setting = line.setting
        if setting.calls is not None:
            line.setting = replace(setting, calls=setting.calls - 1) if setting.calls > 1 else line.address.default
        return setting

    def set(self, address: str, setting: Setting) -> dict[str, Any]:
        """Makes `address` behave so from the next call on; its state after that. Raises UnknownAddress."""
        line = self._line(address)
        line.setting = setting
        return line.to_json()

    def reset(self, address: str) -> dict[str, Any]:
        """Makes `address` behave as its default again; its state after that. Raises UnknownAddress."""
        line = self._line(address)
        line.setting = line.address.default
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
