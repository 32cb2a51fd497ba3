"""Clients that nobody here wrote: zeep, curl and Java, from the WSDL that a platform serves, over mutual TLS."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from zeep import Client
from zeep.exceptions import Fault
from zeep.transports import Transport

from rivta.contracts import samples, wsdl
from rivta.contracts.domain import Contract
from rivta.contracts.installed import Contracts
from rivta.soap.identifiers import Profile
from rivta.soap.xml import parse_xml
from tests.pair.consumer import DIAGNOSIS, KS, NPO, SUS, Admin, Consumer, consumer, document_ids, get_diagnosis
from tests.pair.pki import Pki
from tests.support import CHECKOUT, Pair, run_rivta, running_pair, until

CONTRACTS = Contracts.shipped()
SERVED = [(contract, profile) for contract in CONTRACTS for profile, _ in contract.wsdls if profile]
NAME = "vp.example.se"
PASSWORD = "lang-och-hemlig"


@pytest.fixture(scope="module")
def reaching_all(own_pair: Pair) -> Iterator[Consumer]:
    """The national patient overview, where a stub producer answers every contract that there is."""
    admin = Admin(own_pair)

    def is_routed(contract: Contract) -> bool:
        rows = admin.get("national", "/tables/routes", logical_address=SUS, contract=contract.namespace)["routes"]
        return bool(rows)

    namespaces = [str(contract.namespace) for contract, _ in SERVED if not is_routed(contract)]
    file = own_pair.home / "routing" / "national" / "all_contracts.yaml"
    row = f"logical_address: {SUS}, contracts: {json.dumps(namespaces)}"
    file.write_text(
        f"routes: [{{{row}, producer_address: skane}}]\npermissions: [{{{row}, consumer: {NPO}, agreement: test}}]\n"
    )
    until(lambda: all(is_routed(contract) for contract, _ in SERVED))
    message = samples.envelope(samples.request(CONTRACTS.find(namespaces[0])), SUS)

    def status() -> int:
        with consumer(own_pair, "npo") as one:
            return one.call(message).status_code

    until(lambda: {status() for _ in range(8)} == {200})  # whichever worker answers
    with consumer(own_pair, "npo") as made:
        yield made
    file.unlink()
    until(lambda: not is_routed(CONTRACTS.find(namespaces[0])))


@pytest.mark.parametrize(
    ("contract", "profile"), SERVED, ids=lambda value: getattr(value, "short_name", None) or value.name
)
def test_zeep_loads_each_wsdl_from_the_platform_and_calls_with_it(
    reaching_all: Consumer, contract: Contract, profile: Profile
) -> None:
    npo = reaching_all
    url = f"{npo.url}/{wsdl.contract_path(contract, profile)}"
    with requests.Session() as session:
        session.trust_env = False
        session.cert, session.verify = (npo.identity.cert, npo.identity.key), npo.identity.ca
        client: Any = Client(f"{url}?wsdl", transport=Transport(session=session))
        service = client.bind(f"{contract.name}ResponderService", f"{contract.name}ResponderPort")
        assert service._binding_options["address"] == url

        answered = _call(client, service, contract, to=SUS)

    assert answered is not None


def _call(client: Any, service: Any, contract: Contract, *, to: str = KS) -> Any:
    """The answer to the contract's sample, made anew by zeep from what it has read."""
    request = client.get_element(contract.request).parse(parse_xml(samples.request(contract)), client.wsdl.types)
    fields = {name: request[name] for name in request if request[name] not in (None, [])}
    if "accessBasis" in fields:  # zeep reads a choice without content as no choice
        fields["accessBasis"] = {"consent": {}}
    return getattr(service, contract.operation)(_soapheaders={"LogicalAddress": to}, **fields)


def test_zeep_meets_a_refusal_as_a_fault_with_its_code(pair: Pair) -> None:
    contract, profile = CONTRACTS.find(DIAGNOSIS), Profile.RIVTABP21
    one = pair.endpoints["identities"]["stranger"]
    url = f"{pair.endpoints['platforms']['national']['https']}/{wsdl.contract_path(contract, profile)}?wsdl"
    with requests.Session() as session:
        session.trust_env = False
        session.cert, session.verify = (one["cert"], one["key"]), pair.endpoints["ca"]
        client: Any = Client(url, transport=Transport(session=session))
        service = client.bind("GetDiagnosisResponderService", "GetDiagnosisResponderPort")
        with pytest.raises(Fault) as refused:
            _call(client, service, contract)
    assert refused.value.message.startswith("VP007 ")
    assert refused.value.code.endswith(":Server")


@pytest.fixture(scope="module")
def stores(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What `rivta cert` writes for other systems: key stores of two consumers, a trust store, everything as PEM."""
    folder = tmp_path_factory.mktemp("stores")
    password = folder / "password"
    password.write_text(PASSWORD + "\n")
    secret = ("--password-file", str(password))
    made = {name: folder / name for name in ("npo.p12", "stranger.p12", "trust.p12", "npo-all.pem")}
    for arguments in (
        ("export", "npo", "--out", str(made["npo.p12"]), *secret),
        ("export", "stranger", "--out", str(made["stranger.p12"]), *secret),
        ("export", "npo", "--out", str(made["npo-all.pem"]), "--pem"),
        ("trust", "--out", str(made["trust.p12"]), *secret),
    ):
        done = run_rivta("cert", *arguments, "--home", str(pair.home))
        assert done.returncode == 0, done.stderr
    return made | {"envelope": folder / "envelope.xml"}


@pytest.mark.parametrize("kind", ["PEM", "P12"])
def test_curl_calls_with_what_cert_export_writes(npo: Consumer, pair: Pair, stores: dict[str, Path], kind: str) -> None:
    identity = {
        "PEM": ("--cert", str(stores["npo-all.pem"])),
        "P12": ("--cert-type", "P12", "--cert", f"{stores['npo.p12']}:{PASSWORD}"),
    }[kind]
    answered = curl("--cacert", pair.endpoints["ca"], *identity, npo.url, body=get_diagnosis(KS))
    assert document_ids(answered)


def curl(*arguments: str, body: bytes | None = None) -> bytes:
    posting = () if body is None else ("--data-binary", "@-", "--header", "Content-Type: text/xml; charset=UTF-8")
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "30", *posting, *arguments]
    done = subprocess.run(command, input=body, capture_output=True, timeout=40)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.java
def test_a_java_system_calls_the_address_of_the_wsdl(pair: Pair, stores: dict[str, Path], tmp_path: Path) -> None:
    compiler = shutil.which("javac")
    if compiler is None:
        pytest.skip("there is no JDK on the path (apt-get install default-jdk-headless)")
    source = CHECKOUT / "tests" / "pair" / "JournalSystem.java"
    subprocess.run([compiler, "-d", str(tmp_path), str(source)], check=True, timeout=60)
    stores["envelope"].write_bytes(get_diagnosis(KS))
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
    url = f"{pair.endpoints['platforms']['national']['https']}/clinicalprocess/healthcond/description/GetDiagnosis/2/rivtabp21"
    misnamed = url.replace("localhost", NAME)
    npo, stranger = str(stores["npo.p12"]), str(stores["stranger.p12"])
    calls = (npo, f"{url}?wsdl", stranger, f"{url}?wsdl", npo, f"{misnamed}?wsdl")

    done = subprocess.run(
        [
            *("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", f"-Djdk.net.hosts.file={hosts}", "-cp", str(tmp_path)),
            *("JournalSystem", str(stores["trust.p12"]), PASSWORD, str(stores["envelope"]), *calls),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    answered, refused, other_name = done.stdout.splitlines()
    assert answered.startswith(f"200 {url} ")
    assert "documentId>" in answered
    assert refused.startswith(f"500 {url} ")
    assert "<faultstring>VP007 [" in refused
    assert other_name == f"SSLHandshakeException: No subject alternative DNS name matching {NAME} found."


@pytest.fixture(scope="module")
def reachable(short_folder: Path) -> Iterator[tuple[Pair, Pki]]:
    """A pair on another address of this machine, under a name, that trusts somebody else's CA."""
    theirs = Pki.make(short_folder / "theirs")
    crl = short_folder / "theirs.crl"
    theirs.write_lists(crl, 1)
    ca = theirs.write_ca("ca.pem", theirs.issuing, theirs.root)
    options = ("--listen", "127.0.0.2", "--name", NAME, "--trust", f"{ca}:{crl}")
    with running_pair(short_folder / "named", "--port-base", "auto", *options) as pair:
        yield pair, theirs


def test_a_pair_is_reached_under_its_name_and_says_so_in_wsdls(reachable: tuple[Pair, Pki]) -> None:
    pair, _ = reachable
    national, identity = pair.endpoints["platforms"]["national"], pair.endpoints["identities"]["npo"]
    port = urlsplit(national["https"]).port
    assert national["https"] == f"https://127.0.0.2:{port}/vp"
    assert national["public_url"] == f"https://{NAME}:{port}/vp"
    called_by_name = ("--resolve", f"{NAME}:{port}:127.0.0.2", "--cacert", pair.endpoints["ca"])
    own = ("--cert", identity["cert"], "--key", identity["key"])
    contract = f"{national['public_url']}/clinicalprocess/healthcond/description/GetDiagnosis/2/rivtabp21"

    served = curl(*called_by_name, *own, f"{contract}?wsdl")

    assert f'location="{contract}"'.encode() in served
    assert document_ids(curl(*called_by_name, *own, contract, body=get_diagnosis(KS)))


def test_a_system_of_another_authority_calls_until_that_authority_revokes_it(reachable: tuple[Pair, Pki]) -> None:
    pair, theirs = reachable
    client = theirs.client("their-journal", NPO)
    url = pair.endpoints["platforms"]["national"]["https"]

    def call() -> int:
        with requests.Session() as session:
            session.trust_env, session.verify, session.cert = False, pair.endpoints["ca"], str(client.pem)
            headers = {"Content-Type": "text/xml"}
            try:
                return session.post(url, data=get_diagnosis(KS), headers=headers, timeout=30).status_code
            except requests.ConnectionError:
                return 0  # a call that was under way when the list was read is cut

    assert call() == 200
    theirs.write_lists(theirs.folder.parent / "theirs.crl", 2, revoked=[client.certificate])
    until(lambda: {call() for _ in range(4)} == {500})  # whichever worker answers


def test_what_is_not_an_authority_is_not_trusted(pair: Pair, tmp_path: Path) -> None:
    system = pair.endpoints["identities"]["npo"]["cert"].replace("npo.pem", "npo.key")
    done = run_rivta("up", "--home", str(tmp_path / "h"), "--port-base", "auto", "--detach", "--trust", system)
    assert done.returncode == 1
    assert f"{system}: holds no readable certificate; expected an authority's, in PEM" in done.stderr
