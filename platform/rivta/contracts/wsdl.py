"""WSDLs and schemas as a platform serves them: with its own addresses in them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from lxml import etree

from rivta.contracts.domain import Contract, imported_files, importing_elements, local_file, read_contract_file
from rivta.soap import namespaces
from rivta.soap.identifiers import Profile

_SOAP_ADDRESS = f"{{{namespaces.WSDL_SOAP}}}address"
# What may stand in a query as it is (RFC 3986 section 3.4); the incumbent writes locations raw.
_SAFE_IN_QUERY = "/:.-_~"


class UnknownSchema(LookupError):
    """No schema of the contract is imported by that location."""


def contract_path(contract: Contract, profile: Profile | None) -> str:
    """The contract's path below a platform's URL, as `itintegration/monitoring/PingForConfiguration/1/rivtabp21`."""
    last = [profile.value.lower()] if profile else []
    return "/".join((*contract.domain.split(":"), contract.name, str(contract.major), *last))


def find_by_path(contracts: Iterable[Contract], path: str) -> tuple[Contract, Profile | None] | None:
    """The contract and profile whose WSDL is at `path`, in any case and with or without a leading slash."""
    wanted = path.strip("/").lower()
    for contract in contracts:
        for profile, _ in contract.wsdls:
            if contract_path(contract, profile).lower() == wanted:
                return contract, profile
    return None


def served_paths(contracts: Iterable[Contract]) -> list[str]:
    """The path of every WSDL that can be served."""
    return [contract_path(contract, profile) for contract in contracts for profile, _ in contract.wsdls]


def not_found_text(contracts: Iterable[Contract], base_url: str) -> str:
    """What a platform answers for a WSDL path that it does not have, word for word as the incumbent does."""
    lines = [f"{_url(base_url, path)}?wsdl" for path in served_paths(contracts)]
    return "\n".join(("No wsdl found on this path, following wsdl paths is available:", *lines))


def wsdl(contract: Contract, profile: Profile | None, base_url: str) -> bytes:
    """The contract's WSDL, its endpoint and imports at `base_url` (a platform's `https://host:port/vp`).

    Raises LookupError when the contract has none for the profile.
    """
    return wsdl_at(_url(base_url, contract_path(contract, profile)), contract, profile)


def wsdl_at(own_url: str, contract: Contract, profile: Profile | None) -> bytes:
    """The same for a service that has a URL of its own."""
    file = _wsdl_file(contract, profile)
    root = read_contract_file(file)
    for address in root.iter(_SOAP_ADDRESS):
        address.set("location", own_url)
    return _with_imports_at(own_url, root, file, _Imports(contract, profile))


def schema(contract: Contract, profile: Profile | None, location: str, base_url: str) -> bytes:
    """The schema that the WSDL, or a schema below it, imports by `location`; its own imports are at `base_url` too.

    Raises UnknownSchema, in the incumbent's words, and LookupError when the contract has no WSDL for the profile.
    """
    return schema_at(_url(base_url, contract_path(contract, profile)), contract, profile, location)


def schema_at(own_url: str, contract: Contract, profile: Profile | None, location: str) -> bytes:
    """The same for a service that has a URL of its own."""
    imports = _Imports(contract, profile)
    file = imports.file(location)
    return _with_imports_at(own_url, read_contract_file(file), file, imports)


def served_schemas(contract: Contract, profile: Profile | None, base_url: str) -> Iterator[tuple[str, bytes]]:
    """Every schema below the WSDL, with the key that it is served under. Raises as `schema` does."""
    own_url, imports = _url(base_url, contract_path(contract, profile)), _Imports(contract, profile)
    for key in imports.locations():
        file = imports.file(key)
        yield key, _with_imports_at(own_url, read_contract_file(file), file, imports)


class _Imports:
    """The schemas below a WSDL by the key they are served under: the location as it is spelled where it is imported.

    Where the same spelling means another file elsewhere, the farther of the two is keyed by its path in the release.
    """

    def __init__(self, contract: Contract, profile: Profile | None) -> None:
        self._folder = contract.folder
        self._files: dict[str, Path] = {}
        for location, file in imported_files(_wsdl_file(contract, profile), self._folder):
            if self._files.setdefault(location, file) != file:
                self._files[self._path(file)] = file

    def locations(self) -> tuple[str, ...]:
        return tuple(self._files)

    def file(self, key: str) -> Path:
        if key not in self._files:
            raise UnknownSchema(f"Couldn't find xsd named {key}")
        return self._files[key]

    def key(self, importer: Path, location: str) -> str:
        file = local_file(importer, location, self._folder)
        return location if self._files.get(location) == file else self._path(file)

    def _path(self, file: Path) -> str:
        return file.relative_to(self._folder.resolve()).as_posix()


def _with_imports_at(own_url: str, root: etree._Element, file: Path, imports: _Imports) -> bytes:
    for element in importing_elements(root):
        key = imports.key(file, element.get("schemaLocation", ""))
        element.set("schemaLocation", f"{own_url}?xsd={quote(key, safe=_SAFE_IN_QUERY)}")
    return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True)


def _wsdl_file(contract: Contract, profile: Profile | None) -> Path:
    for served, file in contract.wsdls:
        if served is profile:
            return file
    raise LookupError(f"{contract.short_name} has no WSDL for {profile.value if profile else 'any profile'}")


def _url(base_url: str, path: str) -> str:
    return f"{base_url.rstrip('/')}/{path}"
