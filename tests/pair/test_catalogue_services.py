"""What a running platform tells of its catalogue: to consumers through the router, and to routers of another make."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from lxml import etree

from rivta.run.toml import to_toml
from tests.pair.consumer import (
    DIAGNOSIS,
    JOURNAL,
    KS,
    NATIONAL,
    NPO,
    REGIONAL,
    Consumer,
    Identity,
    consumer,
    envelope,
    read_fault,
)
from tests.pair.pki import Pki
from tests.pair.standalone import free_port, serving, write_settings
from tests.run.services.other_router import V2, OtherRouter, at
from tests.support import Pair, run_rivta, until

SUPPORTED = "urn:riv:infrastructure:itintegration:registry:GetSupportedServiceContractsResponder:2"
V2_NAMESPACE = V2.strip("{}")
ROUTES = envelope(f'<v:hamtaAllaVirtualiseringar xmlns:v="{V2_NAMESPACE}"/>', to=None)
PERMISSIONS = envelope(f'<v:hamtaAllaAnropsBehorigheter xmlns:v="{V2_NAMESPACE}"/>', to=None)
NIGHT = at("2026-11-24T05:00:00")
STRANGER = "SE5561234567-STRANGER"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


def supported(address: str, *, to: str) -> bytes:
    name = "GetSupportedServiceContracts"
    return envelope(f'<{name} xmlns="{SUPPORTED}"><logicalAdress>{address}</logicalAdress></{name}>', to=to)


@pytest.mark.parametrize(("name", "platform"), [("npo", NATIONAL), ("journal", REGIONAL)])
def test_a_consumer_asks_the_registry_through_the_router(
    request: pytest.FixtureRequest, name: str, platform: str
) -> None:
    caller: Consumer = request.getfixturevalue(name)

    answer = caller.call(supported(KS, to=platform))

    assert answer.status_code == 200, answer.text
    names = {one.text for one in etree.fromstring(answer.content).iter("{*}ServiceContractNamespace")}
    assert DIAGNOSIS in names


def test_a_list_of_addresses_goes_through_the_router_as_any_answer(npo: Consumer) -> None:
    name = "GetLogicalAddresseesByServiceContract"
    types = "urn:riv:infrastructure:itintegration:registry:2"
    contract = f'<r:ServiceContractNamespace xmlns:r="{types}">{DIAGNOSIS}</r:ServiceContractNamespace>'
    payload = (
        f'<{name} xmlns="{SUPPORTED.replace("GetSupportedServiceContracts", name)}">'
        f"<serviceConsumerHsaId>{NPO}</serviceConsumerHsaId>"
        f"<serviceContractNameSpace>{contract}</serviceContractNameSpace></{name}>"
    )

    answer = npo.call(envelope(payload, to=NATIONAL))

    assert answer.status_code == 200, answer.text
    assert KS in {one.text for one in etree.fromstring(answer.content).iter("{*}logicalAddress")}


def test_the_registrys_own_fault_reaches_the_consumer(npo: Consumer) -> None:
    answer = npo.call(supported(" ", to=NATIONAL))

    assert answer.status_code == 500
    assert read_fault(answer.content).text == "LogicalAddress must not be empty or null"


def test_the_registry_is_closed_to_whom_nobody_permitted_it(pair: Pair) -> None:
    with consumer(pair, "stranger") as stranger:
        assert stranger.refused(supported(KS, to=NATIONAL)).code == "VP007"


@pytest.mark.parametrize(("platform", "sender"), [("national", NPO), ("regional", JOURNAL)])
def test_a_router_of_another_make_lives_on_what_the_pair_publishes(
    pair: Pair, session: requests.Session, platform: str, sender: str
) -> None:
    entry = pair.endpoints["platforms"][platform]
    assert entry["tak"] == entry["admin"] + "/tak-services"

    etag = session.get(entry["tak"]).headers["ETag"]
    routes, permissions = (
        session.post(f"{entry['tak']}/SokVagvalsInfo/v2", data=body, headers={"If-Match": etag})
        for body in (ROUTES, PERMISSIONS)
    )
    other = OtherRouter()
    other.refresh(routes.content, permissions.content)

    assert other.decide(sender, DIAGNOSIS, KS, NIGHT).startswith("https://localhost:")
    assert other.decide(STRANGER, DIAGNOSIS, KS, NIGHT) == "VP007"


def test_the_admin_api_beside_it_still_asks_for_a_token(pair: Pair, session: requests.Session) -> None:
    admin = pair.endpoints["platforms"]["national"]["admin"]

    assert session.get(f"{admin}/tak-services/SokVagvalsInfo/v2?wsdl").status_code == 200
    assert session.get(f"{admin}/status").status_code == 401
    assert session.get(f"{admin}/tak-services/../status").status_code == 401


def test_towards_other_machines_it_asks_for_a_certificate_that_is_not_revoked(
    pair: Pair, short_folder: Path, session: requests.Session
) -> None:
    alone = write_settings(pair, short_folder / "tak")
    content = tomllib.loads(alone.config.read_text(encoding="utf-8"))
    port = free_port()
    content["listen"]["tak"] = f"0.0.0.0:{port}"
    content["registry"] = {"dates": "zoned"}
    known, late = Pki.make(alone.home / "known"), Pki.make(alone.home / "late")
    trusted = known.write_ca("ca.pem", known.issuing)
    content["tls"]["trusted"].append(str(trusted))
    content["tls"]["crl"].append("")
    alone.config.write_text(to_toml(content), encoding="utf-8")
    reader = Identity.issued(pair, "tak-reader", "--hsa-id", "SE1-READER")
    url = f"https://localhost:{port}/tak-services/SokVagvalsInfo/v2"
    session.verify = reader.ca

    with serving(alone):
        with pytest.raises(requests.exceptions.ConnectionError):
            session.post(url, data=ROUTES)
        session.cert = (reader.cert, reader.key)
        answer = session.post(url, data=ROUTES)
        assert answer.status_code == 200
        assert b"2999-12-31T23:59:59.999+01:00" in answer.content
        assert b'"' + url.encode() + b'"' in session.get(f"{url}?wsdl").content

        assert run_rivta("cert", "revoke", "tak-reader", "--home", str(pair.home)).returncode == 0
        until(lambda: session.post(url, data=ROUTES).status_code == 403)
        refused = session.post(url, data=ROUTES)
        with requests.Session() as newcomer:
            newcomer.trust_env, newcomer.verify = False, reader.ca
            newcomer.cert = str(late.client("reader", "SE1-READER").pem)
            with pytest.raises(requests.exceptions.ConnectionError):
                newcomer.post(url, data=ROUTES)
            known.write_ca("ca.pem", known.issuing, late.issuing)
            until(lambda: posted(newcomer, url) == 200)
        assert session.post(url, data=ROUTES).status_code == 403  # its connection has gone on
    assert refused.text == "the client certificate of SE1-READER is revoked\n"


def posted(session: requests.Session, url: str) -> int:
    try:
        return session.post(url, data=ROUTES).status_code
    except requests.exceptions.ConnectionError:
        return 0
