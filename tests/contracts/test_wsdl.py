"""WSDLs as served: found by path, with our addresses, and read by a real SOAP client."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree
from zeep import Client
from zeep.transports import Transport

from rivta.contracts import samples, wsdl
from rivta.contracts.domain import Contract
from rivta.contracts.installed import Contracts
from rivta.soap import namespaces
from rivta.soap.identifiers import Profile
from rivta.soap.xml import parse_xml

CONTRACTS = Contracts.shipped()
PING = CONTRACTS.find("PingForConfiguration")
DIAGNOSIS = CONTRACTS.find("GetDiagnosis")
BASE = "https://localhost:20010/vp"
SERVED = [(contract, profile) for contract in CONTRACTS for profile, _ in contract.wsdls if profile]


class FakePlatform(Transport):
    """Answers zeep's requests as a platform would, without a socket."""

    def load(self, url: str) -> bytes:
        parts = urlsplit(url)
        found = wsdl.find_by_path(CONTRACTS, parts.path.removeprefix("/vp/"))
        assert found is not None, url
        contract, profile = found
        if parts.query == "wsdl":
            return wsdl.wsdl(contract, profile, BASE)
        (location,) = parse_qs(parts.query)["xsd"]
        return wsdl.schema(contract, profile, location, BASE)


@pytest.mark.parametrize(
    ("contract", "profile"), SERVED, ids=lambda value: getattr(value, "short_name", None) or value.name
)
def test_soap_client_loads_what_is_served_and_makes_the_request_from_it(contract: Contract, profile: Profile) -> None:
    client: Any = Client(f"{BASE}/{wsdl.contract_path(contract, profile)}?wsdl", transport=FakePlatform())
    service = client.bind(f"{contract.name}ResponderService", f"{contract.name}ResponderPort")
    assert service._binding_options["address"] == f"{BASE}/{wsdl.contract_path(contract, profile)}"
    made = client.get_element(contract.request)
    sent = parse_xml(samples.request(contract))
    value = made.parse(sent, client.wsdl.types)
    envelope = client.create_message(service, contract.operation, _soapheaders={"LogicalAddress": "SE2321000016-KS"}, **{
        name: value[name] for name in value if value[name] not in (None, [])
    })  # fmt: skip
    header = envelope.find(f"{{{namespaces.SOAP_ENVELOPE}}}Header")[0]
    assert (etree.QName(header).localname, header.text) == (
        "To" if profile is Profile.RIVTABP20 else "LogicalAddress",
        "SE2321000016-KS",
    )
    assert envelope.find(f"{{{namespaces.SOAP_ENVELOPE}}}Body")[0].tag == contract.request


def test_every_import_leads_back_to_the_platform() -> None:
    root = parse_xml(wsdl.wsdl(DIAGNOSIS, Profile.RIVTABP21, BASE))
    own = f"{BASE}/clinicalprocess/healthcond/description/GetDiagnosis/2/rivtabp21"
    assert [found.get("schemaLocation") for found in root.iter(f"{{{namespaces.XML_SCHEMA}}}import")] == [
        f"{own}?xsd=GetDiagnosisResponder_2.0.xsd",
        f"{own}?xsd=../../core_components/itintegration_registry_1.0.xsd",
    ]
    schema = parse_xml(wsdl.schema(DIAGNOSIS, Profile.RIVTABP21, "GetDiagnosisResponder_2.0.xsd", BASE))
    (imported,) = schema.iter(f"{{{namespaces.XML_SCHEMA}}}import")
    assert (
        imported.get("schemaLocation")
        == f"{own}?xsd=../../core_components/clinicalprocess_healthcond_description_2.1.xsd"
    )


def test_contract_is_found_by_path_in_any_case() -> None:
    assert wsdl.find_by_path(CONTRACTS, "/ItIntegration/monitoring/PINGforconfiguration/1/RIVTABP20") == (
        PING,
        Profile.RIVTABP20,
    )


@pytest.mark.parametrize("path", ["", "itintegration/monitoring/PingForConfiguration/2/rivtabp21", "../etc/passwd"])
def test_other_paths_find_nothing(path: str) -> None:
    assert wsdl.find_by_path(CONTRACTS, path) is None


def test_text_for_a_path_that_is_not_there_lists_those_that_are() -> None:
    lines = wsdl.not_found_text(CONTRACTS, BASE).splitlines()
    assert lines[0] == "No wsdl found on this path, following wsdl paths is available:"
    assert f"{BASE}/itintegration/monitoring/PingForConfiguration/1/rivtabp20?wsdl" in lines
    assert len(lines) == 1 + sum(len(contract.wsdls) for contract in CONTRACTS)


@pytest.mark.parametrize("location", ["nowhere.xsd", "../../../../etc/passwd", ""])
def test_unknown_schema_is_refused_in_the_incumbents_words(location: str) -> None:
    with pytest.raises(wsdl.UnknownSchema, match=f"Couldn't find xsd named {location}"):
        wsdl.schema(DIAGNOSIS, Profile.RIVTABP21, location, BASE)


def test_profile_without_a_wsdl_is_refused() -> None:
    with pytest.raises(LookupError, match="GetDiagnosis:2 has no WSDL for RIVTABP20"):
        wsdl.wsdl(DIAGNOSIS, Profile.RIVTABP20, BASE)
