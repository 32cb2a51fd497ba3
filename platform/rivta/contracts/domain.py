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
_INTERACTION = re.compile(
    r"urn:[^:]+:(?P<domain>.+):(?P<name>[^:]+):(?P<major>[0-9]{1,4}):(?P<profile>rivtabp2[01])", re.I
)
# The service platform's own services, older than RIV-TA's naming: urn:<owner>:<domain>:v<major>.
_BEFORE_RIVTA = re.compile(r"urn:[^:]+:(?P<domain>.+):v(?P<major>[0-9]{1,4})")
_VERSION_IN_FILE_NAME = re.compile(r"[_-][0-9]+\.(?P<minor>[0-9]{1,4})(?![0-9])")
_VERSION = re.compile(r"[0-9]+\.(?P<minor>[0-9]{1,4})(?![0-9])")
_LOGICAL_ADDRESS, _LOGICAL_ADDRESS_2 = (
    f"{{{namespace}}}LogicalAddress" for namespace in (namespaces.REGISTRY_1, namespaces.REGISTRY_2)
)
_XML_BASE = f"{{{namespaces.XML}}}base"
_MOST_FILES = 100
"""Schemas that one file may reach; a contract of RIV-TA has six at most."""
_MOST_IMPORTS = 500
"""The same of the imports and includes in them."""
_MOST_SHOWN = 200
"""Characters of something unexpected in a message about it."""
_NOT_A_LOCAL_FILE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|/")


class ContractFileError(ValueError):
    """A schema or WSDL cannot be used; the message names the file, what is wrong and what to do."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class NotAnInteraction(ContractFileError):
    """A file that may be a fine WSDL, but not that of a RIV-TA interaction."""


class MissingImport(ContractFileError):
    """An import leads to a file that is not there."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A question that a contract answers."""

    name: str
    """In the WSDL."""
    request: str
    response: str
    """Root elements of the two messages, as `{namespace}Local`."""
    soap_action: str


@dataclass(frozen=True, slots=True)
class Contract:
    """A service contract: its operation with its request and response, and the files that define it.

    A RIV-TA contract has one operation. Services from before RIV-TA (SokVagvalsInfo) may have several, and no profile:
    their messages carry no logical address.
    """

    namespace: ContractNamespace
    name: str
    """As `GetDiagnosis`."""
    major: int
    minor: int
    domain: str
    """As `clinicalprocess:healthcond:description`."""
    folder: Path
    """Of the service domain: holds `core_components`, `interactions` and perhaps `samples`."""
    operations: tuple[Operation, ...]
    """At least one, in the order of the WSDL."""
    schema: Path
    """Defines all messages; what it imports lies in the same folder."""
    wsdls: tuple[tuple[Profile | None, Path], ...]

    @property
    def short_name(self) -> str:
        """As `GetDiagnosis:2`; two domains may have the same."""
        return f"{self.name}:{self.major}"

    @property
    def operation(self) -> str:
        """Name of the first operation; a RIV-TA contract has no other."""
        return self.operations[0].name

    @property
    def request(self) -> str:
        """Root element of the first operation's request."""
        return self.operations[0].request

    @property
    def response(self) -> str:
        """Root element of the first operation's response."""
        return self.operations[0].response

    @property
    def soap_action(self) -> str:
        """SOAPAction of the first operation."""
        return self.operations[0].soap_action

    @property
    def requests(self) -> tuple[str, ...]:
        """Root elements of the requests of all operations."""
        return tuple(operation.request for operation in self.operations)

    @property
    def responses(self) -> tuple[str, ...]:
        """Root elements of the responses of all operations."""
        return tuple(operation.response for operation in self.operations)


@dataclass(frozen=True, slots=True)
class AddressEntry:
    """The SOAP header entry that carries the logical address under one profile."""

    profile: Profile
    entry: str
    """`{namespace}Local`, as the WSDL has it."""
    also: tuple[str, ...] = ()
    """Other forms of it that are in use and accepted."""


@dataclass(frozen=True, slots=True)
class _Interaction:
    """What one WSDL file says: a contract under one profile."""

    contract: Contract
    profile: Profile | None
    wsdl: Path


def read_domain(folder: Path) -> tuple[Contract, ...]:
    """The contracts of a service domain, ordered by name and version; none when it only has core components.

    Of several minor versions of a contract the highest is taken. Raises ContractFileError for the first file that
    cannot be used: not XML, not the WSDL of a RIV-TA interaction, or importing something that is not in the folder.
    Nothing is ever read from the network.
    """
    newest = {contract.namespace: contract for contract in read_versions(folder)}
    return tuple(newest.values())


def read_versions(folder: Path) -> tuple[Contract, ...]:
    """The same with every minor version, ordered by name and version."""
    found: dict[tuple[ContractNamespace, int], list[_Interaction]] = {}
    for wsdl in sorted(folder.glob("interactions/**/*.wsdl")):
        interaction = _interaction(wsdl, folder)
        if interaction is not None:
            found.setdefault((interaction.contract.namespace, interaction.contract.minor), []).append(interaction)
    contracts = [_with_wsdls(interactions) for interactions in found.values()]
    for contract in contracts:
        for path in (contract.schema, *(path for _, path in contract.wsdls)):
            for _ in imported_files(path, folder):
                pass
    return tuple(sorted(contracts, key=lambda contract: (contract.name, contract.major, contract.minor)))


def read_wsdl(wsdl: Path, folder: Path) -> Contract | None:
    """The contract that one WSDL of the domain in `folder` defines, without other profiles of it.

    None when the file only gives the interface of another WSDL an address. Raises ContractFileError, which is
    NotAnInteraction when the file is a WSDL of something else.
    """
    found = _interaction(wsdl, folder)
    return None if found is None else _with_wsdls([found])


def address_entries(contract: Contract) -> tuple[AddressEntry, ...]:
    """How a request carries its logical address, for each profile; none for services from before RIV-TA."""
    return tuple(_address_entry(contract, profile, file) for profile, file in contract.wsdls if profile)


def imported_files(path: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file that `path` reaches by import or include: how its importer spells the location, and the file itself.

    Each pair comes once, nearest first. Raises ContractFileError for a location outside `folder`, for xml:base, which
    makes locations lead elsewhere, and for more files than are read.
    """
    seen: set[tuple[str, Path]] = set()
    waiting, read, imports = [path], {path.resolve()}, 0
    while waiting:
        importer = waiting.pop(0)
        for element in importing_elements(read_contract_file(importer)):
            location = element.get("schemaLocation", "")
            imports += 1
            _refuse_other_base(importer, element)
            imported = local_file(importer, location, folder)
            if (location, imported) not in seen:
                seen.add((location, imported))
                yield location, imported
            if imported not in read:
                read.add(imported)
                waiting.append(imported)
            if len(read) > _MOST_FILES or imports > _MOST_IMPORTS:
                reason = f"is made of more than {_MOST_FILES} files, or they import one another {_MOST_IMPORTS} times"
                raise ContractFileError(path, f"{reason}: so many are not read")


def importing_elements(root: etree._Element) -> list[etree._Element]:
    """The elements of a schema or WSDL whose schemaLocation names another schema."""
    return [element for element in root.iter(*_IMPORTING) if element.get("schemaLocation") is not None]


def _refuse_other_base(importer: Path, element: etree._Element) -> None:
    """libxml2 follows xml:base, from schema to schema, wherever it leads."""
    for one in (element, *element.iterancestors()):
        if one.get(_XML_BASE) is not None:
            reason = f"line {one.sourceline}: xml:base makes its imports lead elsewhere: take it away"
            raise ContractFileError(importer, reason)


def local_file(importer: Path, location: str, folder: Path) -> Path:
    """The file that `importer` means by `location`; ContractFileError unless it is there, below `folder`."""
    if _NOT_A_LOCAL_FILE.match(location):
        advice = "put that schema into the release and import it by a relative path"
        raise ContractFileError(importer, f"imports {location!r}, which is not a file of the release: {advice}")
    imported = (importer.parent / unquote(location)).resolve()
    if not imported.is_relative_to(folder.resolve()):
        raise ContractFileError(importer, f"imports {location!r}, which lies outside {folder}")
    if not imported.is_file():
        raise MissingImport(importer, f"imports {location!r}, and there is no {imported}")
    return imported


def read_contract_file(path: Path) -> etree._Element:
    """The root of a schema, WSDL or sample; ContractFileError when it cannot be read or is not plain XML."""
    try:
        return parse_xml(path.read_bytes())
    except XmlRefused as error:
        where = f"line {error.line}: " if error.line else ""
        raise ContractFileError(path, f"{where}{error.reason}") from error
    except OSError as error:
        raise ContractFileError(path, f"cannot be read: {error.strerror}") from error


def _interaction(wsdl: Path, folder: Path) -> _Interaction | None:
    root = read_contract_file(wsdl)
    return None if _only_wraps_another(root) else _read_interaction(root, wsdl, folder)


def _with_wsdls(interactions: list[_Interaction]) -> Contract:
    """One contract of all the WSDLs of one version of it: with one for each profile."""
    wsdls = {found.profile: found.wsdl for found in interactions}
    return replace(
        interactions[0].contract,
        wsdls=tuple(sorted(wsdls.items(), key=lambda item: item[0].value if item[0] else "")),
    )


def _address_entry(contract: Contract, profile: Profile, wsdl: Path) -> AddressEntry:
    usual = f"{{{namespaces.WS_ADDRESSING}}}To" if profile is Profile.RIVTABP20 else _LOGICAL_ADDRESS
    headers = _header_elements(read_contract_file(wsdl))
    entry = next((one for one in headers if etree.QName(one).localname == etree.QName(usual).localname), usual)
    forms = (_LOGICAL_ADDRESS, _LOGICAL_ADDRESS_2) if _is_registry_2(contract) else (entry,)
    return AddressEntry(profile, entry, tuple(form for form in forms if form != entry))


def _is_registry_2(contract: Contract) -> bool:
    """Version 2 of the registry was released twice, with the address entry in either namespace."""
    return f"urn:riv:{contract.domain}:{contract.major}" == namespaces.REGISTRY_2


def _header_elements(root: etree._Element) -> list[str]:
    """The header entries of the request, as `{namespace}Local`."""
    parts = {part.get("name"): part for part in root.findall("wsdl:message/wsdl:part[@element]", _PREFIXES)}
    headers = root.findall("wsdl:binding/wsdl:operation/wsdl:input/soap:header", _PREFIXES)
    return [_named(parts[name], "element") for header in headers if (name := header.get("part")) in parts]


def _named(element: etree._Element, attribute: str) -> str:
    """What a qualified name in an attribute means, as `{namespace}Local`."""
    prefix, _, local = element.get(attribute, "").rpartition(":")
    return f"{{{element.nsmap.get(prefix or None) or ''}}}{local}"


def _only_wraps_another(root: etree._Element) -> bool:
    """It gives the interface of a WSDL that it imports an address, and defines nothing itself."""
    return root.find("wsdl:import", _PREFIXES) is not None and root.find("wsdl:portType", _PREFIXES) is None


def _read_interaction(root: etree._Element, wsdl: Path, folder: Path) -> _Interaction:
    target = root.get("targetNamespace", "")
    named = _INTERACTION.fullmatch(target) or _BEFORE_RIVTA.fullmatch(target)
    if root.tag != f"{{{namespaces.WSDL}}}definitions" or not named:
        expected = "a WSDL whose targetNamespace is RIV-TA's <domain>:<Name>:<major>:<profile>"
        raise NotAnInteraction(wsdl, f"expected {expected}, found {(target or str(root.tag))[:_MOST_SHOWN]!r}")
    operations = _operations(root, wsdl, one=named.re is _INTERACTION)
    namespace = str(etree.QName(operations[0].request).namespace)
    if any(etree.QName(one.request).namespace != namespace for one in operations):
        raise ContractFileError(wsdl, "its operations have requests of several namespaces, expected one")
    schema = _schema_of(root, namespace, wsdl, folder)
    profile = named.groupdict().get("profile")
    contract = Contract(
        namespace=ContractNamespace(namespace),
        name=named.groupdict().get("name") or _port_type_name(root, wsdl),
        major=int(named["major"]),
        minor=_minor_version(schema),
        domain=named["domain"],
        folder=folder,
        operations=operations,
        schema=schema,
        wsdls=(),
    )
    return _Interaction(contract=contract, profile=Profile.parse(profile) if profile else None, wsdl=wsdl)


def _operations(root: etree._Element, wsdl: Path, *, one: bool) -> tuple[Operation, ...]:
    declared = root.findall("wsdl:portType/wsdl:operation", _PREFIXES)
    if not declared or (one and len(declared) > 1):
        raise ContractFileError(wsdl, f"has {len(declared)} operation elements, expected one")
    return tuple(_operation(root, operation, wsdl) for operation in declared)


def _operation(root: etree._Element, declared: etree._Element, wsdl: Path) -> Operation:
    name = declared.get("name", "")
    request = _body_element(root, declared, "input", wsdl)
    bound = [one for one in root.findall("wsdl:binding/wsdl:operation", _PREFIXES) if one.get("name") == name]
    actions = [one for each in bound for one in each.findall("soap:operation[@soapAction]", _PREFIXES)]
    return Operation(
        name=name,
        request=request,
        response=_body_element(root, declared, "output", wsdl),
        soap_action=actions[0].get("soapAction", "") if actions else f"{etree.QName(request).namespace}:{name}",
    )


def _port_type_name(root: etree._Element, wsdl: Path) -> str:
    return _only(root, "wsdl:portType", wsdl).get("name", "").removesuffix("Interface")


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
