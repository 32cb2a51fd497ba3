"""The contracts that a platform knows: those that are shipped and those that were installed."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path

from rivta import shipped
from rivta.contracts.archive import Contract, read_domain

# SOAP header entries belong to no single contract; these are the files of the releases that define them.
_HEADER_SCHEMAS = (
    "itintegration.registry/core_components/itintegration_registry_1.0.xsd",
    "interoperability.headers/core_components/interoperability_headers_1.0.xsd",
)


class UnknownContract(LookupError):
    """No installed contract, or more than one, is what was asked for; the message says what there is."""


class Contracts:
    """Every known contract by its namespace; immutable."""

    def __init__(self, contracts: Iterable[Contract], header_schemas: Iterable[Path] = ()) -> None:
        self._by_namespace: dict[str, Contract] = {str(contract.namespace): contract for contract in contracts}
        self.header_schemas = tuple(header_schemas)
        """Schemas of the SOAP header entries that are checked beside the payload."""

    @classmethod
    def load(cls, *folders: Path) -> "Contracts":
        """Reads every service domain in `folders`; a contract of a later folder replaces the same one of an earlier.

        A folder that does not exist holds none. Raises ContractFileError naming the first file that cannot be used.
        """
        known: dict[str, Contract] = {}
        for folder in folders:
            found: dict[str, Contract] = {}
            for domain in sorted(folder.iterdir()) if folder.is_dir() else ():
                for contract in read_domain(domain):
                    rival = found.get(contract.namespace)
                    if rival is None or rival.minor < contract.minor:
                        found[contract.namespace] = contract
            known |= found
        headers = [folder / name for name in _HEADER_SCHEMAS for folder in folders]
        present = {path.name: path for path in reversed(headers) if path.is_file()}
        return cls(
            sorted(known.values(), key=lambda contract: (contract.name, contract.major, contract.namespace)),
            header_schemas=present.values(),
        )

    @classmethod
    def shipped(cls, installed: Path | None = None) -> "Contracts":
        """Those that come with the program and, over them, those of the folder `installed`. Raises as `load`."""
        return cls.load(shipped.folder("contracts") / "xsd", *([installed] if installed else []))

    def get(self, namespace: str) -> Contract | None:
        """The contract whose messages have this namespace."""
        return self._by_namespace.get(namespace)

    def find(self, text: str) -> Contract:
        """The contract meant by `GetDiagnosis`, `GetDiagnosis:2` or its namespace; UnknownContract unless just one."""
        exact = self.get(text)
        if exact is not None:
            return exact
        named = [contract for contract in self if text in (contract.name, contract.short_name)]
        if len(named) == 1:
            return named[0]
        if named:
            raise UnknownContract(f"contract {text!r} is ambiguous: say one of {_spelled(named)}")
        raise UnknownContract(f"contract {text!r} is not installed{self._hint(text)}")

    def __iter__(self) -> Iterator[Contract]:
        return iter(self._by_namespace.values())

    def __len__(self) -> int:
        return len(self._by_namespace)

    def _hint(self, text: str) -> str:
        if not self._by_namespace:
            return ": no contract is"
        spellings = {spelling.lower(): contract for contract in self for spelling in _spellings(contract)}
        near = difflib.get_close_matches(text.lower(), spellings, n=1)
        meant = f"; did you mean {spellings[near[0]].short_name}?" if near else ""
        return f"{meant} (installed: {_spelled(list(self))})"


def _spellings(contract: Contract) -> tuple[str, ...]:
    return (contract.name, contract.short_name, contract.namespace)


def _spelled(contracts: list[Contract]) -> str:
    """Each contract by the shortest name that means only it."""
    names = [contract.short_name for contract in contracts]
    return ", ".join(
        contract.namespace if names.count(contract.short_name) > 1 else contract.short_name for contract in contracts
    )
