"""Rows of aggregating services: what is shipped, what settings may change, what is refused."""

import pytest

from rivta.aggregation.services import Asks, ResultBlock, services
from rivta.soap.identifiers import ContractNamespace
from rivta.soap.xml import parse_xml
from tests.aggregation.world import CONTRACTS, DIAGNOSIS
from tests.router.platforms import contracts

OWN = "urn:riv:test:things:GetThingsResponder:2"
LEAST = {"domain": "riv:test:things", "patient": "person/id", "records": ["thing"]}


def test_three_keys_make_a_service() -> None:
    made = services({OWN: LEAST})[ContractNamespace(OWN)]
    assert (made.request, made.response, made.operation) == ("GetThings", "GetThingsResponse", "GetThings")
    assert (made.result, made.asks, made.categories) == (None, Asks.SOURCE_SYSTEM, ())


def test_a_result_block_is_in_the_namespace_of_the_domains_types() -> None:
    made = services({OWN: {**LEAST, "result_code": "INFO", "log_id": "NA"}})[ContractNamespace(OWN)]
    assert made.result == ResultBlock("INFO", "NA", "urn:riv:test:things:2")


def test_a_key_of_a_shipped_service_may_be_changed_alone() -> None:
    made = services({DIAGNOSIS: {"source_seconds": 5.0}})[DIAGNOSIS]
    assert (made.source_seconds, made.categories) == (5.0, ("dia",))


@pytest.mark.parametrize(
    ("contract", "row", "reason"),
    [
        ("GetThings:2", LEAST, "expected the namespace of a contract"),
        (OWN, {"domain": "x", "patient": "p"}, "records is missing"),
        (OWN, {**LEAST, "patients": "x"}, "unknown key patients"),
        (OWN, {**LEAST, "patient": "/"}, "patient is empty"),
        (OWN, {**LEAST, "asks": "everybody"}, "everybody"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_contract_or_value(
    contract: str, row: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        services({contract: row})


@pytest.mark.parametrize("contract", [*CONTRACTS, "urn:riv:ehr:log:querying:GetAccessLogsForPatientResponder:1"])
def test_rows_name_what_the_contracts_schemas_have(contract: str) -> None:
    """Capitals differ between contracts: `sourceSystemHSAid` and `sourceSystemHSAId`."""
    service, known = services({})[ContractNamespace(contract)], contracts().get(contract)
    assert known is not None
    assert f"{{{contract}}}{service.request}" in known.requests
    assert f"{{{contract}}}{service.response}" in known.responses
    elements = {one.get("name") for one in parse_xml(known.schema.read_bytes()).iter("{*}element")}
    for place in (service.patient, service.source):
        assert not place or place[0] in elements
    assert set(service.records) <= elements
