"""The SokVagvalsInfo service of another catalogue, asked for everything it has, as the incumbent's routers do.

Answers are read as they come, so that a hundred thousand rows take the memory of their rows. Version 2 is asked for
components too, which say whose addresses are, and the agreements; version 1 has no such answer.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests
from lxml import etree

from rivta.catalogue.exchange.imported import Gatherer, Imported
from rivta.catalogue.exchange.vagvalsinfo import FAULT, ServiceFault, children, fault_text, gather_rows, text_of
from rivta.soap.namespaces import SOAP_ENVELOPE, VAGVALSINFO_1, VAGVALSINFO_2
from rivta.soap.xml import XmlRefused, elements_of

MAX_BYTES = 1024 * 1024 * 1024
"""Of one answer."""

_CHUNK_BYTES = 65_536
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NAMESPACES = {1: VAGVALSINFO_1, 2: VAGVALSINFO_2}


class CatalogueUnreachable(ValueError):
    """The other catalogue gave no answer that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Access:
    """How the other catalogue is reached."""

    url: str
    version: int = 2
    certificate: str | None = None
    key: str | None = None
    """PEM files of ours for mutual TLS."""
    ca: str | None = None
    """PEM file with the authorities trusted; None for those of the system. Host names are always verified."""
    seconds: float = 600.0
    """For each answer in all."""


@dataclass(slots=True)
class _Directory:
    """What the answer about components adds to rows."""

    owners: dict[tuple[str, str], str] = field(default_factory=dict)
    agreements: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def owner(self, url: str, profile: str) -> str:
        return self.owners.get((url, profile.upper()), "")

    def agreement(self, consumer: str, address: str, contract: str) -> str:
        return self.agreements.get((consumer.lower(), address.lower(), contract.lower()), "")


def fetch(
    access: Access, *, tak_dates: bool = False, progress: Callable[[str, int], None] = lambda _what, _count: None
) -> Imported:
    """Everything that the catalogue at `access` has. `progress` is told what is fetched, and how many bytes there are.

    Raises CatalogueUnreachable, also when it has no routes or no permissions, which the incumbent's routers take for a
    failure as well; and ImportRefused for rows that are wrong.
    """
    _check_url(access)
    gatherer = Gatherer(access.url, tak_dates=tak_dates)
    directory = _Directory()
    with requests.Session() as session:
        session.trust_env = False  # a proxy in the environment may see neither certificate nor table
        session.verify = access.ca if access.ca else True
        if access.certificate:
            session.cert = (access.certificate, access.key) if access.key else access.certificate
        if access.version > 1:
            _fetch_components(session, access, gatherer, directory, progress)
        for operation in ("hamtaAllaVirtualiseringar", "hamtaAllaAnropsBehorigheter"):
            with _answer(session, access, operation, progress) as chunks:
                count = gather_rows(gatherer, chunks, owner=directory.owner, agreement=directory.agreement)
            if not count:
                raise CatalogueUnreachable(f"{access.url}: {operation} has no rows: an empty answer is not imported")
    if access.version == 1:
        gatherer.remark("version", access.url, "version 1 says neither filters nor agreements nor whose an address is")
    return gatherer.result()


def _fetch_components(
    session: requests.Session,
    access: Access,
    gatherer: Gatherer,
    directory: _Directory,
    progress: Callable[[str, int], None],
) -> None:
    try:
        with _answer(session, access, "hamtaAllaTjanstekomponenter", progress) as chunks:
            _gather_components(gatherer, chunks, directory)
    except CatalogueUnreachable as error:
        # Older catalogues lack this one; routes and permissions will tell whether there is a catalogue at all.
        gatherer.remark("components", access.url, f"components are not known: {error}")


def _gather_components(gatherer: Gatherer, chunks: Iterator[bytes], directory: _Directory) -> None:
    """Components as they come: a platform's may have a hundred thousand rows below it, which are not kept."""
    hsa_id = name = url = ""
    names = {"hsaId", "beskrivning", "adress", "rivtaProfilNamn", "vagvalsInfo", "anropsbehorighetInfo", FAULT}
    for element in elements_of(chunks, {*names, "tjanstekomponentInfo"}):
        text = text_of(element)
        match etree.QName(element).localname:
            case "Fault":
                raise ServiceFault(fault_text(element))
            case "hsaId":
                hsa_id, name = text, ""
            case "beskrivning":
                name = text
            case "adress":
                url = text
            case "rivtaProfilNamn":
                owner = directory.owners.setdefault((url, text.upper()), hsa_id)
                if owner != hsa_id:
                    message = f"{url} is an address of {owner} and of {hsa_id}: taken for the first"
                    gatherer.remark("two owners", gatherer.file, message)
            case "vagvalsInfo":
                _gather_address(gatherer, element)
            case "anropsbehorighetInfo":
                _gather_address(gatherer, element)
                found = _texts(element)
                key = (hsa_id.lower(), found["logiskAdressHsaId"].lower(), found["tjanstekontraktNamnrymd"].lower())
                directory.agreements.setdefault(key, _clean(found["integrationsavtal"]))
            case "tjanstekomponentInfo":
                if hsa_id and hsa_id == _clean(hsa_id):
                    gatherer.component(hsa_id, _clean(name), 0)


def _gather_address(gatherer: Gatherer, element: etree._Element) -> None:
    found = _texts(element)
    address, name = _clean(found["logiskAdressHsaId"]), _clean(found["logiskAdressBeskrivning"])
    if address and name:
        gatherer.address(address, name, 0)


class _Texts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


def _texts(element: etree._Element) -> _Texts:
    return _Texts((etree.QName(child).localname, text_of(child)) for child in children(element))


def _clean(text: str) -> str:
    """Words fit for a name in a table."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


@contextmanager
def _answer(
    session: requests.Session, access: Access, operation: str, progress: Callable[[str, int], None]
) -> Iterator[Iterator[bytes]]:
    """The pieces of the answer to one operation; every way it can fail while they are read is CatalogueUnreachable."""
    namespace = _NAMESPACES[access.version]
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{SOAP_ENVELOPE}"><soapenv:Body>'
        f'<v:{operation} xmlns:v="{namespace}"/></soapenv:Body></soapenv:Envelope>'
    )
    headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""', "Accept-Encoding": "gzip, identity"}
    where = f"{access.url}: {operation}"
    try:
        with session.post(
            access.url,
            data=body.encode(),
            headers=headers,
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
            stream=True,
            allow_redirects=False,
        ) as answer:
            if answer.status_code not in (200, 500):  # 500 is what a SOAP fault comes with
                raise CatalogueUnreachable(f"{where}: answered {answer.status_code} {answer.reason}")
            yield _bounded(answer, where, access.seconds, lambda count: progress(operation, count))
            if answer.status_code != 200:
                raise CatalogueUnreachable(f"{where}: answered {answer.status_code} {answer.reason}")
    except ServiceFault as error:
        raise CatalogueUnreachable(f"{where}: SOAP fault: {error}") from error
    except XmlRefused as error:
        raise CatalogueUnreachable(f"{where}: not XML that is read here, line {error.line}: {error.reason}") from error
    except (requests.RequestException, OSError) as error:
        raise CatalogueUnreachable(f"{where}: {_reason(error)}") from error


def _bounded(answer: requests.Response, where: str, seconds: float, progress: Callable[[int], None]) -> Iterator[bytes]:
    deadline = time.monotonic() + seconds
    count = 0
    for chunk in answer.iter_content(_CHUNK_BYTES):
        count += len(chunk)
        if count > MAX_BYTES:
            raise CatalogueUnreachable(f"{where}: the answer is larger than {MAX_BYTES // 2**20} MB")
        if time.monotonic() > deadline:
            raise CatalogueUnreachable(f"{where}: the answer took longer than {seconds:g} s")
        progress(count)
        yield chunk


def _check_url(access: Access) -> None:
    try:
        parts = urlsplit(access.url)
        host = parts.hostname
    except ValueError as error:
        raise CatalogueUnreachable(f"{access.url}: {error}") from error
    if parts.scheme == "https" and host:
        return
    if parts.scheme == "http" and host in _LOOPBACK:
        return
    raise CatalogueUnreachable(f"{access.url}: expected https://host/path (http only on this machine itself)")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
