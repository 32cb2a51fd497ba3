"""The contracts that a platform knows: those that are shipped and those that were installed."""

import difflib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rivta import shipped
from rivta.contracts.domain import Contract, ContractFileError, read_domain, read_versions

# SOAP header entries belong to no single contract; these are the files of the releases that define them.
_HEADER_SCHEMAS = (
    "itintegration.registry/core_components/itintegration_registry_1.0.xsd",
    "infrastructure.itintegration.registry/core_components/infrastructure_itintegration_registry_2.0.xsd",
    "interoperability.headers/core_components/interoperability_headers_1.0.xsd",
)


MARKER = "installed.json"
"""Written last by an installation: says which releases in a folder count. Whoever reads the folder may watch it."""
RELEASES = ".releases"
"""Where those releases lie. What is in them never changes; another release has another name."""

_MOST_LISTED = 30


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a contract."""

    namespace: str
    name: str
    version: str
    """As `2.1`."""

    @classmethod
    def of(cls, contract: Contract) -> "Version":
        return cls(contract.namespace, contract.name, f"{contract.major}.{contract.minor}")

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Release:
    """A service domain that was installed."""

    folder: Path
    source: str
    """Name of the archive or folder that it came in."""
    versions: tuple[Version, ...]
    """The contracts that are taken from it; it may hold others, that were removed or came anew in a later release."""


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

        A folder holds domains that somebody put there and releases that were installed. Of a contract's minor versions
        in one folder the highest counts, of the same one twice what was installed last. A folder that does not exist
        holds none. Raises ContractFileError naming the first file that cannot be used.
        """
        known = cls(())
        for folder in folders:
            known = known.with_folder(folder)
        return known

    def with_folder(self, folder: Path) -> "Contracts":
        """These and, over them, those of `folder`. Raises as `load`."""
        found: dict[str, Contract] = {}
        for contract in _contracts_in(folder):
            rival = found.get(contract.namespace)
            if rival is None or rival.minor <= contract.minor:
                found[contract.namespace] = contract
        headers = {path.name: path for name in _HEADER_SCHEMAS if (path := folder / name).is_file()}
        headers |= {path.name: path for path in self.header_schemas}
        return Contracts(
            sorted(
                (self._by_namespace | found).values(),
                key=lambda contract: (contract.name, contract.major, contract.namespace),
            ),
            header_schemas=headers.values(),
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

    def near(self, namespace: str) -> list[str]:
        """The namespaces most like one that nobody has, at most three: other versions first, then a slip of the pen."""
        unversioned = namespace.rpartition(":")[0]
        versions = [known for known in self._by_namespace if unversioned and known.rpartition(":")[0] == unversioned]
        return versions[:3] or difflib.get_close_matches(namespace, self._by_namespace, n=3, cutoff=0.85)

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
        listed = _spelled(list(self)) if len(self) <= _MOST_LISTED else f"{len(self)} others"
        return f"{meant} (installed: {listed})"


def read_releases(folder: Path) -> tuple[Release, ...]:
    """What was installed in `folder`, oldest first. Raises ContractFileError when the marker cannot be read."""
    marker = folder / MARKER
    try:
        content: Any = json.loads(marker.read_bytes())
        return tuple(_release(folder, entry) for entry in content["releases"])
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ContractFileError(marker, f"cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        reason = "does not say what is installed: put a backup of it back, or remove it and add the contracts again"
        raise ContractFileError(marker, reason) from error


def placed_by_hand(folder: Path) -> list[tuple[Path, Version]]:
    """The contracts of domains that somebody put into `folder`, with the domain's folder; broken ones are passed by."""
    found = []
    for domain in _domains_by_hand(folder):
        try:
            found += [(domain, Version.of(contract)) for contract in read_domain(domain)]
        except ContractFileError:
            continue
    return found


def _release(folder: Path, entry: dict[str, Any]) -> Release:
    name = entry["folder"]
    if Path(name).name != name:
        raise ValueError(f"{name!r} is not the name of a folder")
    return Release(
        folder=folder / RELEASES / name,
        source=str(entry["source"]),
        versions=tuple(Version(one["namespace"], one["name"], one["version"]) for one in entry["contracts"]),
    )


def _contracts_in(folder: Path) -> Iterator[Contract]:
    for domain in _domains_by_hand(folder):
        yield from read_domain(domain)
    for release in read_releases(folder):
        wanted = set(release.versions)
        found = [contract for contract in read_versions(release.folder) if Version.of(contract) in wanted]
        if len(found) < len(wanted):
            lost = ", ".join(str(one) for one in release.versions if one not in {*map(Version.of, found)})
            raise ContractFileError(release.folder, f"no longer holds {lost}: add {release.source} again")
        yield from found


def _domains_by_hand(folder: Path) -> list[Path]:
    names = sorted(folder.iterdir()) if folder.is_dir() else []
    return [domain for domain in names if domain.is_dir() and not domain.name.startswith(".")]


def _spellings(contract: Contract) -> tuple[str, ...]:
    return (contract.name, contract.short_name, contract.namespace)


def _spelled(contracts: list[Contract]) -> str:
    """Each contract by the shortest name that means only it."""
    names = [contract.short_name for contract in contracts]
    return ", ".join(
        contract.namespace if names.count(contract.short_name) > 1 else contract.short_name for contract in contracts
    )
