"""Calls that cross two platforms, all four ways: who is seen where, what travels along, and which hop says what."""

import ssl
import threading
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.pair.consumer import (
    CORRELATION_ID,
    JOURNAL,
    KS,
    NATIONAL,
    NPO,
    REGIONAL,
    SUS,
    Admin,
    Consumer,
    Identity,
    consumer,
    document_ids,
    get_diagnosis,
    http_post,
    new_id,
    read_answer,
    read_fault,
    tls_connection,
)
from tests.pair.outer import BY_ALONE, NAME, SLOW
from tests.pair.outer import SECONDS as OUTER_SECONDS
from tests.pair.standalone import PRODUCER_SECONDS, Standalone
from tests.support import Pair, until

HISTORY, ORIGINAL = "x-rivta-routing-history", "x-rivta-original-serviceconsumer-hsaid"
VCN = "SE5560123456-VCN"
"""A unit of the private provider in Stockholm that only the national platform has a route to."""
LOOP = "SE2321000016-LOOP"


@dataclass(frozen=True)
class Way:
    """A way through the pair: who calls which address, and the platforms in the order that they are called."""

    caller: str
    hsa_id: str
    address: str
    platforms: tuple[str, ...]


IDS = {"national": NATIONAL, "regional": REGIONAL}
WAYS = {
    "region to region": Way("journal", JOURNAL, "SE2321000016-SOS", ("regional",)),
    "region to another region": Way("journal", JOURNAL, SUS, ("regional", "national")),
    "national to region": Way("npo", NPO, "SE2321000016-DS", ("national", "regional")),
    "region to a national address and back": Way("journal", JOURNAL, VCN, ("regional", "national")),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_hop_sees_the_one_before_it_and_the_first_consumer(
    way: Way, request: pytest.FixtureRequest, admin: Admin
) -> None:
    sent = new_id("way")
    caller: Consumer = request.getfixturevalue(way.caller)
    answer = caller.call(get_diagnosis(way.address), {CORRELATION_ID: sent})
    assert (answer.status_code, answer.headers[CORRELATION_ID]) == (200, sent)
    assert document_ids(answer.content)

    chain = [way.hsa_id, *(IDS[platform] for platform in way.platforms)]
    records = admin.records(sent, *way.platforms)
    assert [record["sender"] for record in records] == chain[:-1]
    assert [record["platform"] for record in records] == chain[1:]
    assert {record["outcome"] for record in records} == {"routed"}
    # The first platform is told of no other consumer, and tells the next one of its own.
    assert [record["original_consumer"] for record in records] == [None, *[way.hsa_id] * (len(records) - 1)]

    stub, seen = admin.stub(way.address), admin.last_headers(way.address)
    assert stub["last_caller"] == chain[-1]
    assert (seen[ORIGINAL], seen[HISTORY]) == (way.hsa_id, "#".join(chain))
    assert seen.keys().isdisjoint({"x-vp-sender-id", "x-vp-instance-id", CORRELATION_ID})


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_platform_beside_the_way_hears_of_the_call(way: Way, request: pytest.FixtureRequest, admin: Admin) -> None:
    sent = new_id("way")
    request.getfixturevalue(way.caller).call(get_diagnosis(way.address), {CORRELATION_ID: sent})
    admin.records(sent, *way.platforms)
    for platform in IDS.keys() - set(way.platforms):
        assert admin.get(platform, "/calls", correlation_id=sent)["calls"] == []


def test_the_regions_platform_does_not_let_a_consumer_speak_for_another_across_it(journal: Consumer) -> None:
    assert journal.refused(get_diagnosis(VCN), {ORIGINAL: NPO}).text.startswith("VP013 [RTP-STOCKHOLM-DEMO] ")


class TestALoop:
    """Each table sends SE2321000016-LOOP to the other platform."""

    @pytest.mark.parametrize(
        ("caller", "first", "second", "name"),
        [
            ("npo", "national", "regional", "NTJP-DEMO"),
            ("journal", "regional", "national", "RTP-STOCKHOLM-DEMO"),
        ],
    )
    def test_ends_where_it_comes_back(
        self, caller: str, first: str, second: str, name: str, request: pytest.FixtureRequest, admin: Admin
    ) -> None:
        sent = new_id("loop")
        fault = request.getfixturevalue(caller).refused(get_diagnosis(LOOP), {CORRELATION_ID: sent})
        assert fault.text.startswith(f"VP014 [{name}] ")
        assert (fault.side, fault.detail) == ("Server", "")
        assert outcomes(admin, first, sent, count=2) == ["VP014", "routed"]
        assert outcomes(admin, second, sent, count=1) == ["routed"]

    @pytest.mark.parametrize("history", ["x", f"{REGIONAL}#{NATIONAL}", f"{NATIONAL}#x", "#" * 1000, "å\xff"])
    def test_is_no_longer_whatever_history_a_consumer_gives(self, npo: Consumer, admin: Admin, history: str) -> None:
        sent = new_id("loop")
        body = get_diagnosis(LOOP)
        lines = (f"{HISTORY}: {history}".encode("latin-1"), f"{CORRELATION_ID}: {sent}".encode())
        with tls_connection(npo.url, npo.identity.context()) as connection:
            connection.sendall(http_post(body, *lines))
            assert read_fault(read_answer(connection).body).code == "VP014"
            connection.sendall(http_post(get_diagnosis(KS)))
            assert read_answer(connection).status == 200
        assert len(outcomes(admin, "national", sent, count=1)) <= 2

    def test_is_not_made_by_a_consumers_history_where_there_is_none(self, npo: Consumer) -> None:
        answer = npo.call(get_diagnosis(KS), {HISTORY: f"{NATIONAL}#SE1-SOMEBODY#{REGIONAL}#SE1-SOMEBODY"})
        assert answer.status_code == 200


def outcomes(admin: Admin, platform: str, correlation_id: str, *, count: int) -> list[str]:
    """Sorted, once there are that many."""

    def look() -> list[str]:
        calls = admin.get(platform, "/calls", correlation_id=correlation_id)["calls"]
        return [] if len(calls) < count else sorted(call["outcome"] for call in calls)

    return until(look)


@pytest.mark.parametrize("address", ["SE2321000016-FAULT", "SE2321000016-EMPTY", "SE2321000016-CLOSE"])
def test_the_regions_fault_arrives_as_the_region_wrote_it(npo: Consumer, pair: Pair, address: str) -> None:
    sent = {CORRELATION_ID: new_id("fault")}
    issued = pair.home / "certs" / "issued"
    identity = Identity(str(issued / "national.pem"), str(issued / "national.key"), pair.endpoints["ca"])
    in_front = Consumer(pair.endpoints["platforms"]["regional"]["https"], identity)
    direct = in_front.call(get_diagnosis(address), sent)
    in_front.close()
    carried = npo.call(get_diagnosis(address), sent)
    assert (carried.status_code, carried.content) == (direct.status_code, direct.content) == (500, carried.content)
    told = {"date", "x-skltp-prt"}
    assert without(carried.headers, told) == without(direct.headers, told)
    # The time is the national platform's own measure, of a producer that has answered.
    assert carried.headers["x-skltp-prt"].isdigit()
    assert ("x-skltp-prt" in direct.headers) == (address == "SE2321000016-FAULT")


def without(headers: Any, names: set[str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() not in names}


def test_a_broken_request_is_refused_by_the_first_platform_alone(npo: Consumer, admin: Admin) -> None:
    sent = new_id("schema")
    fault = npo.refused(get_diagnosis(KS).replace(b"<c:type>", b"<c:type/><c:type>"), {CORRELATION_ID: sent})
    assert fault.text.startswith("VP015 [NTJP-DEMO] ")
    assert outcomes(admin, "national", sent, count=1) == ["VP015"]
    assert admin.get("regional", "/calls", correlation_id=sent)["calls"] == []


class TestTimes:
    def test_of_the_pair_nest(self, pair: Pair) -> None:
        seconds = {}
        for platform in IDS:
            settings = tomllib.loads((pair.home / platform / "platform.toml").read_text())
            seconds[platform] = settings["timeouts"]["producer_seconds"]
        assert seconds == {"regional": 25.0, "national": 27.0}

    def test_when_the_inner_one_gives_up_it_says_so_through_the_outer_one(
        self, outer_npo: Consumer, admin: Admin
    ) -> None:
        admin.set_stub(BY_ALONE, behaviour="slow", seconds=OUTER_SECONDS * 4, calls=1)
        began = time.monotonic()
        fault = outer_npo.refused(get_diagnosis(BY_ALONE))
        assert PRODUCER_SECONDS <= time.monotonic() - began < OUTER_SECONDS
        assert fault.text == "VP009 [ALONE] Fel vid kontakt med tjänsteproducenten."
        assert "ReadTimeoutException" in fault.detail

    def test_when_the_outer_one_gives_up_first_it_names_itself_and_the_platform_behind(
        self, outer_npo: Consumer, pair: Pair
    ) -> None:
        began = time.monotonic()
        fault = outer_npo.refused(get_diagnosis(SLOW))
        assert OUTER_SECONDS <= time.monotonic() - began < OUTER_SECONDS * 3
        assert fault.text == f"VP009 [{NAME}] Fel vid kontakt med tjänsteproducenten."
        regional = pair.endpoints["platforms"]["regional"]["https"]
        assert fault.detail.startswith(f"Error connecting to service producer at address {regional}. ")
        assert "ReadTimeoutException" in fault.detail


@pytest.fixture(scope="module")
def outer_npo(outer: Standalone, pair: Pair) -> Iterator[Consumer]:
    made = Consumer(outer.url, Identity.of(pair, "npo"))
    yield made
    made.close()


SERVICE, UNIT = "SE165565594230-SERVICE", KS
"""A national service: its HSA-id, and the address that it is called by."""


@dataclass
class Service:
    """A national service that answers a call by calling on, for another address, through the national platform."""

    platform: str
    identity: Identity
    server: ThreadingHTTPServer = field(init=False)
    heard: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.heard.append({name.lower(): value for name, value in self.headers.items()})
                answer = service.ask(body, self.headers)
                self.send_response(answer.status_code)
                self.send_header("Content-Type", "text/xml; charset=UTF-8")
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.identity.cert, self.identity.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def ask(self, body: bytes, headers: Any) -> Any:
        """The same question to a unit in the region, with the history and correlation id that came."""
        client = Consumer(self.platform, self.identity)
        passed = {name: headers[name] for name in (HISTORY, CORRELATION_ID) if name in headers}
        answer = client.call(body.replace(SERVICE.encode(), UNIT.encode()), passed)
        client.close()
        return answer


@pytest.fixture
def service(own_pair: Pair) -> Iterator[Service]:
    """The service, routed by both platforms of a pair of our own."""
    identity = Identity.issued(own_pair, "service", "--hsa-id", SERVICE, "--host", "localhost")
    made = Service(own_pair.endpoints["platforms"]["national"]["https"], identity)
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    files = _route(own_pair, f"https://localhost:{made.server.server_port}/")
    yield made
    for file in files:
        file.unlink()
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def _route(pair: Pair, url: str) -> list[Path]:
    tables = {
        "national": f"""\
components:
  {SERVICE}: {{name: "A national service"}}
producer_addresses:
  service: {{component: {SERVICE}, url: "{url}", profile: RIVTABP21}}
routes:
  - {{logical_address: {SERVICE}, contracts: GetDiagnosis:2, producer_address: service}}
permissions:
  - {{consumer: {REGIONAL}, logical_address: {SERVICE}, contracts: GetDiagnosis:2, agreement: "Test"}}
  - {{consumer: {SERVICE}, logical_address: {UNIT}, contracts: GetDiagnosis:2, agreement: "Test"}}
""",
        "regional": f"""\
permissions:
  - {{consumer: {JOURNAL}, logical_address: {SERVICE}, contracts: GetDiagnosis:2, agreement: "Test"}}
""",
    }
    files = []
    for platform, table in tables.items():
        file = pair.home / "routing" / platform / "a_service_of_the_tests.yaml"
        file.write_text(table)
        files.append(file)
    return files


def test_a_national_service_calls_back_into_the_region_that_called_it(own_pair: Pair, service: Service) -> None:
    admin, sent = Admin(own_pair), new_id("back")
    with consumer(own_pair, "journal", via="regional") as journal:
        # Until the tables are in force.
        until(lambda: journal.call(get_diagnosis(SERVICE)).status_code == 200)
        answer = journal.call(get_diagnosis(SERVICE), {CORRELATION_ID: sent})
    assert (answer.status_code, answer.headers[CORRELATION_ID]) == (200, sent)
    assert all(id.startswith(f"{UNIT}:") for id in document_ids(answer.content))

    assert service.heard[-1][ORIGINAL] == JOURNAL
    assert admin.last_headers(UNIT)[HISTORY] == "#".join([JOURNAL, REGIONAL, NATIONAL, NATIONAL, REGIONAL])
    assert admin.stub(UNIT)["last_caller"] == REGIONAL
