"""Reading a service domain: a folder laid out as an official release, into the contracts that it holds."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace, Profile
from rivta.soap.xml import XmlRefused, parse_xml

_PREFIXES = {"wsdl": namespaces.WSDL, "soap": namespaces.WSDL_SOAP, "xs": namespaces.XML_SCHEMA}
_IMPORTING = tuple(f"{{{namespaces.XML_SCHEMA}}}{name}" for name in ("import", "include", "redefine"))
# RIV-TA's naming of an interaction: urn:riv:<domain>:<Name>:<major>:<profile>.
_INTERACTION = re.compile(r"urn:[^:]+:(?P<domain>.+):(?P<name>[^:]+):(?P<major>\d+):(?P<profile>rivtabp2[01])", re.I)
_VERSION_IN_FILE_NAME = re.compile(r"_\d+\.(?P<minor>\d+)")
_VERSION = re.compile(r"\d+\.(?P<minor>\d+)")
_NOT_A_LOCAL_FILE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|/")


class ContractFileError(ValueError):
    """A schema or WSDL cannot be used; the message names the file, what is wrong and what to do."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Contract:
    """A service contract: one operation with its request and response, and the files that define it."""

    namespace: ContractNamespace
    name: str
    """As `GetDiagnosis`."""
    major: int
    minor: int
    domain: str
    """As `clinicalprocess:healthcond:description`."""
    folder: Path
    """Of the service domain: holds `core_components`, `interactions` and perhaps `samples`."""
    operation: str
    """Its name in the WSDL."""
    request: str
    response: str
    """Root elements of the two messages, as `{namespace}Local`."""
    schema: Path
    """Defines both messages; what it imports lies in the same folder."""
    wsdls: tuple[tuple[Profile, Path], ...]
    soap_action: str

    @property
    def short_name(self) -> str:
        """As `GetDiagnosis:2`; two domains may have the same."""
        return f"{self.name}:{self.major}"


@dataclass(frozen=True, slots=True)
class _Interaction:
    """What one WSDL file says: a contract under one profile."""

    contract: Contract
    profile: Profile
    wsdl: Path


def read_domain(folder: Path) -> tuple[Contract, ...]:
    """The contracts of a service domain, ordered by name and version; none when it only has core components.

    Of several minor versions of a contract the highest is taken. Raises ContractFileError for the first file that
    cannot be used: not XML, not the WSDL of a RIV-TA interaction, or importing something that is not in the folder.
    Nothing is ever read from the network.
    """
    found: dict[ContractNamespace, list[_Interaction]] = {}
    for wsdl in sorted(folder.glob("interactions/**/*.wsdl")):
        interaction = _read_interaction(wsdl, folder)
        found.setdefault(interaction.contract.namespace, []).append(interaction)
    contracts = [_newest(interactions) for interactions in found.values()]
    for contract in contracts:
        for path in (contract.schema, *(path for _, path in contract.wsdls)):
            for _ in imported_files(path, folder):
                pass
    return tuple(sorted(contracts, key=lambda contract: (contract.name, contract.major)))


def imported_files(path: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file that `path` reaches by import or include: how its importer spells the location, and the file itself.

    Each pair comes once, nearest first. Raises ContractFileError for a location outside `folder`.
    """
    seen: set[tuple[str, Path]] = set()
    waiting, read = [path], {path.resolve()}
    while waiting:
        importer = waiting.pop(0)
        for element in importing_elements(read_contract_file(importer)):
            location = element.get("schemaLocation", "")
            imported = local_file(importer, location, folder)
            if (location, imported) not in seen:
                seen.add((location, imported))
                yield location, imported
            if imported not in read:
                read.add(imported)
                waiting.append(imported)


def importing_elements(root: etree._Element) -> list[etree._Element]:
    """The elements of a schema or WSDL whose schemaLocation names another schema."""
    return [element for element in root.iter(*_IMPORTING) if element.get("schemaLocation") is not None]


def local_file(importer: Path, location: str, folder: Path) -> Path:
    """The file that `importer` means by `location`; ContractFileError unless it is there, below `folder`."""
    if _NOT_A_LOCAL_FILE.match(location):
        advice = "put that schema into the release and import it by a relative path"
        raise ContractFileError(importer, f"imports {location!r}, which is not a file of the release: {advice}")
    imported = (importer.parent / unquote(location)).resolve()
    if not imported.is_relative_to(folder.resolve()):
        raise ContractFileError(importer, f"imports {location!r}, which lies outside {folder}")
    if not imported.is_file():
        raise ContractFileError(importer, f"imports {location!r}, and there is no {imported}")
    return imported


def read_contract_file(path: Path) -> etree._Element:
    """The root of a schema, WSDL or sample; ContractFileError when it cannot be read or is not plain XML."""
    try:
        return parse_xml(path.read_bytes())
    except XmlRefused as error:
        raise ContractFileError(path, f"line {error.line}: {error.reason}") from error
    except OSError as error:
        raise ContractFileError(path, f"cannot be read: {error.strerror}") from error


def _newest(interactions: list[_Interaction]) -> Contract:
    """One contract of all the WSDLs of its namespace: the highest minor version, with a WSDL per profile."""
    newest = max(interactions, key=lambda interaction: interaction.contract.minor).contract
    wsdls = {found.profile: found.wsdl for found in interactions if found.contract.minor == newest.minor}
    return replace(newest, wsdls=tuple(sorted(wsdls.items(), key=lambda item: item[0].value)))


def _read_interaction(wsdl: Path, folder: Path) -> _Interaction:
    root = read_contract_file(wsdl)
    interaction = root.get("targetNamespace", "")
    named = _INTERACTION.fullmatch(interaction)
    if root.tag != f"{{{namespaces.WSDL}}}definitions" or not named:
        expected = "a WSDL whose targetNamespace is RIV-TA's <domain>:<Name>:<major>:<profile>"
        raise ContractFileError(wsdl, f"expected {expected}, found {interaction or root.tag!r}")
    operation = _only(root, "wsdl:portType/wsdl:operation", wsdl)
    request = _body_element(root, operation, "input", wsdl)
    response = _body_element(root, operation, "output", wsdl)
    namespace = str(etree.QName(request).namespace)
    schema = _schema_of(root, namespace, wsdl, folder)
    action = root.find("wsdl:binding/wsdl:operation/soap:operation", _PREFIXES)
    contract = Contract(
        namespace=ContractNamespace(namespace),
        name=named["name"],
        major=int(named["major"]),
        minor=_minor_version(schema),
        domain=named["domain"],
        folder=folder,
        operation=operation.get("name", ""),
        request=request,
        response=response,
        schema=schema,
        wsdls=(),
        soap_action=(action.get("soapAction") if action is not None else None) or f"{namespace}:{named['name']}",
    )
    return _Interaction(contract=contract, profile=Profile.parse(named["profile"]), wsdl=wsdl)


def _body_element(root: etree._Element, operation: etree._Element, direction: str, wsdl: Path) -> str:
    """`{namespace}Local` of the message that goes in the SOAP body, by way of its WSDL message."""
    message = _only(operation, f"wsdl:{direction}", wsdl).get("message", "").rpartition(":")[2]
    in_header = root.findall(f"wsdl:binding/wsdl:operation/wsdl:{direction}/soap:header", _PREFIXES)
    headers = {header.get("part") for header in in_header}
    messages = [found for found in root.findall("wsdl:message", _PREFIXES) if found.get("name") == message]
    parts = [part for found in messages for part in found.findall("wsdl:part[@element]", _PREFIXES)]
    body = [part for part in parts if part.get("name") not in headers]
    if len(body) != 1:
        raise ContractFileError(wsdl, f"message {message!r} has {len(body)} body parts with an element, expected one")
    prefix, _, local = body[0].get("element", "").rpartition(":")
    namespace = body[0].nsmap.get(prefix or None)
    if namespace is None:
        raise ContractFileError(wsdl, f"line {body[0].sourceline}: prefix {prefix!r} has no namespace")
    return f"{{{namespace}}}{local}"


def _schema_of(root: etree._Element, namespace: str, wsdl: Path, folder: Path) -> Path:
    for element in importing_elements(root):
        if element.get("namespace") == namespace:
            return local_file(wsdl, element.get("schemaLocation", ""), folder)
    raise ContractFileError(wsdl, f"imports no schema for {namespace}")


def _minor_version(schema: Path) -> int:
    """From the file name as releases have it (`..._2.1.xsd`), else from the schema's own version; 0 without either."""
    named = _VERSION_IN_FILE_NAME.search(schema.stem)
    stated = named or _VERSION.match(read_contract_file(schema).get("version", ""))
    return int(stated["minor"]) if stated else 0


def _only(parent: etree._Element, path: str, file: Path) -> etree._Element:
    found = parent.findall(path, _PREFIXES)
    if len(found) != 1:
        raise ContractFileError(file, f"has {len(found)} {path.rpartition(':')[2]} elements, expected one")
    return found[0]
