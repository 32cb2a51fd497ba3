"""The catalogue's services at the incumbent's paths: over real sockets, by a client that nobody here wrote."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from lxml import etree
from zeep import Client, Settings
from zeep.helpers import serialize_object
from zeep.transports import Transport

from rivta.catalogue.table import Table
from rivta.contracts.domain import Contract, read_domain
from rivta.contracts.samples import sample_file
from rivta.contracts.validation import compile_schema
from rivta.run.tak_pages import PATHS, served_documents
from rivta.soap import namespaces
from tests.catalogue.tables import NOW, compiled
from tests.catalogue.worked_example import BOOKINGS, HSA, LAB, TABLE
from tests.run.services.served import CONTRACTS, catalogue, message, payload_of, tak

pytestmark = pytest.mark.sockets

ROUTES = message(f'<v:hamtaAllaVirtualiseringar xmlns:v="{namespaces.VAGVALSINFO_2}"/>')
HEADED = {path for path, namespace in PATHS.items() if "vagvalsinfo" not in namespace}
"""Services whose messages are addressed."""

SUPPORTED = {"serviceConsumerHsaId": "KONS1", "logicalAdress": "SE2321-R1"}
ADDRESSEES = {
    "serviceConsumerHsaId": "KONS1",
    "serviceContractNameSpace": {"ServiceContractNamespace": LAB},
}
QUESTIONS: dict[str, dict[str, Any]] = {
    "/SokVagvalsInfo/v2": {
        "hamtaAllaVirtualiseringar": {},
        "hamtaAllaAnropsBehorigheter": {},
        "hamtaAllaTjanstekontrakt": {},
        "hamtaAllaTjanstekomponenter": {},
    },
    "/SokVagvalsInfo": {"hamtaAllaVirtualiseringar": {}, "hamtaAllaAnropsBehorigheter": {}},
    "/GetSupportedServiceContracts/v2": {"GetSupportedServiceContracts": SUPPORTED},
    "/GetSupportedServiceContracts": {"GetSupportedServiceContracts": SUPPORTED},
    "/GetLogicalAddresseesByServiceContract/v2": {"GetLogicalAddresseesByServiceContract": ADDRESSEES},
    "/GetLogicalAddresseesByServiceContract": {"GetLogicalAddresseesByServiceContract": ADDRESSEES},
    "/itintegration/monitoring/pingForConfiguration/1/rivtabp21": {
        "PingForConfiguration": {"serviceContractNamespace": BOOKINGS, "logicalAddress": "SE1"}
    },
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return compiled(tmp_path_factory.mktemp("tak"), TABLE, hsa=HSA)


@pytest.fixture(scope="module")
def url(table: Table) -> Iterator[str]:
    with tak(catalogue(table, now=NOW)) as base:
        yield base


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


def asked(client: Any, service: Any, path: str) -> dict[str, Any]:
    """What zeep makes of the answer to every question that `path` is asked."""
    headers = {"_soapheaders": {"LogicalAddress": "anybody"}} if path in HEADED else {}
    found = {}
    for operation, fields in QUESTIONS[path].items():
        arguments = () if path in HEADED else (None,)
        found[operation] = serialize_object(getattr(service, operation)(*arguments, **fields, **headers), dict)
    return found


EXPECTED = {
    "hamtaAllaVirtualiseringar": lambda rows: {row["adress"] for row in rows} >= {"https://p1/l"},
    "hamtaAllaAnropsBehorigheter": lambda rows: {row["senderId"] for row in rows} == {"KONS1", "KONS2"},
    "hamtaAllaTjanstekontrakt": lambda rows: {row["namnrymd"] for row in rows} == {BOOKINGS, LAB},
    "hamtaAllaTjanstekomponenter": lambda rows: [row["hsaId"] for row in rows] == ["KONS1", "KONS2", "PROD1"],
    "GetSupportedServiceContracts": lambda rows: [row["ServiceContractNamespace"] for row in rows] == [BOOKINGS],
    "GetLogicalAddresseesByServiceContract": lambda rows: [_address(row) for row in rows] == ["*"],
    "PingForConfiguration": lambda answer: answer["configuration"][0]["name"] == "Applikation",
}


def _address(row: Any) -> Any:
    """Version 1 has addresses, version 2 records."""
    return row["logicalAddress"] if isinstance(row, dict) else row


def assert_as_expected(answers: dict[str, Any]) -> None:
    for operation, answer in answers.items():
        lists = (
            [value for value in answer.values() if isinstance(value, list)] if isinstance(answer, dict) else [answer]
        )
        rows = answer if operation == "PingForConfiguration" else lists[0]
        assert EXPECTED[operation](rows), (operation, answer)


@pytest.mark.parametrize("path", PATHS)
def test_zeep_loads_each_wsdl_from_its_place_and_calls_by_it(url: str, session: requests.Session, path: str) -> None:
    client: Any = Client(f"{url}{path}?wsdl", transport=Transport(session=session))
    (service,) = client.wsdl.services.values()
    (port,) = service.ports.values()
    assert port.binding_options["address"] == f"{url}{path}"

    assert_as_expected(asked(client, client.bind(service.name, port.name), path))


def official(path: str) -> tuple[Contract, Path]:
    """The official contract of a service, and its WSDL; skips without."""
    named = os.environ.get("RIVTA_OFFICIAL_CONTRACTS")
    if not named:
        pytest.skip("RIVTA_OFFICIAL_CONTRACTS does not name the folder of the official schemas")
    ours = CONTRACTS.find(PATHS[path])
    for contract in read_domain(Path(named) / ours.folder.name):
        if contract.namespace == ours.namespace:
            return contract, contract.wsdls[-1][1]
    raise AssertionError(f"no official contract for {path}")


def without_a_header_that_nobody_defines(contract: Contract, wsdl: Path, folder: Path) -> Path:
    """The WSDL as zeep can read it: that of SokVagvalsInfo names a header part which none of its messages has."""
    copied = shutil.copytree(contract.folder, folder / "official") / wsdl.relative_to(contract.folder)
    copied.write_text(re.sub(r"<soap:header [^>]*part=.header.[^>]*/>", "", wsdl.read_text(encoding="utf-8")))
    return copied


@pytest.mark.contracts
@pytest.mark.parametrize("path", PATHS)
def test_zeep_calls_by_the_official_wsdl_too(url: str, session: requests.Session, tmp_path: Path, path: str) -> None:
    wsdl = without_a_header_that_nobody_defines(*official(path), tmp_path)
    # The official schema demands words of every component and contract, and TAK sends none where it has none.
    settings = Settings(strict=path != "/SokVagvalsInfo/v2")
    client: Any = Client(str(wsdl), transport=Transport(session=session), settings=settings)
    (binding,) = client.wsdl.bindings
    service = client.create_service(binding, f"{url}{path}")

    assert_as_expected(asked(client, service, path))


@pytest.mark.contracts
@pytest.mark.parametrize("path", PATHS)
def test_answers_are_valid_by_the_official_schema_but_for_what_tak_does_too(
    url: str, session: requests.Session, path: str
) -> None:
    contract, _ = official(path)
    schema = compile_schema(contract.schema)
    for operation in contract.operations:
        sample = sample_file(CONTRACTS.find(PATHS[path]), "request", operation).read_bytes()
        payload = payload_of(session.post(f"{url}{path}", data=sample).content)
        alone = etree.fromstring(etree.tostring(payload))
        schema.validate(alone)
        others = [
            error.message
            for error in cast(Any, schema.error_log)
            # A namespace is no NCName; words that nobody gave are not there.
            if "tjansteKontrakt" not in error.message and "eskrivning" not in error.message
        ]
        assert others == []


def test_documents_are_found_in_any_case_and_nothing_else_is() -> None:
    documents = served_documents(CONTRACTS)

    def found(path: str, query: str) -> bytes | None:
        return documents(path=path, query=query, base_url="http://tak.test")

    wsdl = found("/tak-services/sokvagvalsinfo/V2/", "WSDL")
    assert wsdl is not None
    assert b'location="http://tak.test/tak-services/SokVagvalsInfo/v2"' in wsdl
    schema = b'schemaLocation="http://tak.test/tak-services/SokVagvalsInfo/v2?xsd=vagvalsinfo-sokvagvalsinfo-2.0.xsd"'
    assert schema in wsdl
    assert found("/tak-services/SokVagvalsInfo/v2", "xsd=vagvalsinfo-sokvagvalsinfo-2.0.xsd") is not None
    assert found("/tak-services/SokVagvalsInfo/v2", "xsd=../../../../etc/passwd") is None
    assert found("/tak-services/SokVagvalsInfo/v2", "") is None
    assert found("/tak-services/Nothing", "wsdl") is None


def test_both_lists_can_be_had_of_one_version(url: str, session: requests.Session) -> None:
    overview = session.get(url)
    etag = overview.headers["ETag"]

    assert f"{url}/SokVagvalsInfo/v2?wsdl" in overview.text
    assert session.get(f"{url}/", headers={"If-None-Match": etag}).status_code == 304
    assert session.get(url, headers={"If-None-Match": '"another"'}).status_code == 200
    held = session.post(f"{url}/SokVagvalsInfo/v2", data=ROUTES, headers={"If-Match": etag})
    assert (held.status_code, held.headers["ETag"]) == (200, etag)
    passed = session.post(f"{url}/SokVagvalsInfo/v2", data=ROUTES, headers={"If-Match": '"older"'})
    assert (passed.status_code, passed.headers["ETag"]) == (412, etag)
    assert "fetch all lists again" in passed.text


def test_a_monitor_is_told_what_is_in_force(url: str, session: requests.Session) -> None:
    told = session.get(f"{url}/reset/pv").json()

    assert (told["status"], told["currentVersion"]) == ("OK", 7)
    assert told["servicesList"] == {
        "VIRTUALISERING": 3,
        "ANROPSBEHORIGHT": 3,
        "TJANSTEKOMPONENT": 3,
        "TJANSTEKONTRAKT": 2,
    }
    assert session.get(f"{url}/reset/pv?version=7").json()["status"] == "OK"
    older = session.get(f"{url}/reset/pv?version=6").json()
    assert (older["status"], older["message"]) == ("ERROR", "only publication 7 is served")


def test_before_the_first_publication_it_says_so(session: requests.Session) -> None:
    with tak(catalogue(None)) as base:
        assert session.get(base).status_code == 503
        assert session.get(f"{base}/reset/pv").json()["status"] == "ERROR"
        refused = session.post(f"{base}/SokVagvalsInfo/v2", data=ROUTES)

    assert refused.status_code == 500
    assert payload_of(refused.content).findtext("faultstring") == "No publication is in force"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/SokVagvalsInfo/v3?wsdl", b"", 404),
        ("GET", "/SokVagvalsInfo/v2", b"", 404),
        ("PUT", "/SokVagvalsInfo/v2", ROUTES, 405),
        ("POST", "/SokVagvalsInfo/v2", b"", 500),
        ("POST", "/SokVagvalsInfo/v2", b"<!DOCTYPE a []>" + ROUTES, 500),
        ("POST", "/SokVagvalsInfo/v2", b" " * (1024 * 1024 + 1), 413),
    ],
)
def test_what_is_no_question_is_refused(
    url: str, session: requests.Session, method: str, path: str, body: bytes, status: int
) -> None:
    assert session.request(method, f"{url}{path}", data=body).status_code == status


def test_a_refused_reader_gets_nothing_of_it(table: Table, session: requests.Session) -> None:
    from rivta.run.tak_pages import tak_application
    from tests.run.services.served import listening

    with listening(tak_application(catalogue(table), admit=lambda _request: "not you")) as base:
        answers = [
            session.get(f"{base}/tak-services"),
            session.get(f"{base}/tak-services/reset/pv"),
            session.get(f"{base}/tak-services/SokVagvalsInfo/v2?wsdl"),
            session.post(f"{base}/tak-services/SokVagvalsInfo/v2", data=ROUTES),
        ]

    assert [(one.status_code, one.text) for one in answers] == [(403, "not you\n")] * 4
