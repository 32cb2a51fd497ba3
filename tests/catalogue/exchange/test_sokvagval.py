"""The service of another catalogue, asked over HTTP: a little server that says what a catalogue would."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from rivta.catalogue.exchange import sokvagval
from rivta.catalogue.exchange.imported import ImportRefused
from rivta.catalogue.exchange.sokvagval import Access, CatalogueUnreachable, fetch
from rivta.catalogue.rows import NotificationFilter
from rivta.soap.identifiers import HsaId
from tests.support import CHECKOUT

SAMPLES = CHECKOUT / "contracts" / "xsd" / "tp.vagval" / "samples"
Answer = tuple[int, bytes]
Catalogue = Callable[[str], Answer]


def sample(operation: str, version: str = "2.0") -> bytes:
    return (SAMPLES / f"{operation}_{version}.response.xml").read_bytes()


def good(operation: str) -> Answer:
    return 200, sample(operation)


@pytest.fixture
def serve() -> Iterator[Callable[[Catalogue], str]]:
    servers: list[HTTPServer] = []

    def start(catalogue: Catalogue) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, body = catalogue(asked.partition("<v:")[2].partition(" ")[0])
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                return

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/SokVagvalsInfo/v2"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.sockets
def test_everything_it_has_is_read_with_whose_addresses_are_and_the_agreements(
    serve: Callable[[Catalogue], str],
) -> None:
    found = fetch(Access(serve(good)))
    owners = {row.url: row.component for row in found.draft.producer_addresses}
    assert owners == {"https://rtp.exempel.se/vp": "SE2321000016-RTP", "https://gammal.exempel.se/vp": ""}
    agreements = {row.consumer: (row.agreement, row.filters) for row in found.draft.permissions}
    assert agreements[HsaId("SE165565594230-EI")][1] == (
        NotificationFilter("riv:clinicalprocess:healthcond:description", ("dia", "voo")),
    )
    assert [(row.logical_address, row.name) for row in found.draft.logical_addresses] == [
        ("SE2321000016-KS", "Karolinska, TakeCare")
    ]
    assert {row.hsa_id: row.name for row in found.draft.components} == {
        "SE2321000016-RTP": "Regional tjänsteplattform",
        "SE165565594230-NPO": "NPÖ",
    }
    assert len(found.draft.routes) == 2


@pytest.mark.sockets
def test_version_1_is_read_for_what_it_says(serve: Callable[[Catalogue], str]) -> None:
    found = fetch(Access(serve(lambda operation: (200, sample(operation, "1.0"))), version=1))
    assert len(found.draft.routes) == 2
    assert "version 1 says neither" in str(found.remarks)


@pytest.mark.sockets
def test_one_that_knows_no_components_is_read_without(serve: Callable[[Catalogue], str]) -> None:
    fault = b"<e><Fault><faultstring>unknown\n operation</faultstring></Fault></e>"
    found = fetch(Access(serve(lambda one: (500, fault) if "komponenter" in one else good(one))))
    assert len(found.draft.routes) == 2
    assert "SOAP fault: unknown operation" in str(found.remarks)


EMPTY = b"<e><b/></e>"


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, EMPTY), "has no rows"),
        ((500, b"<e><Fault><faultstring>no table</faultstring></Fault></e>"), "SOAP fault: no table"),
        ((503, b""), "answered 503"),
        ((302, b""), "answered 302"),
        ((500, sample("hamtaAllaVirtualiseringar")), "answered 500"),
        ((200, b"<!DOCTYPE a><a/>"), "DOCTYPE"),
        ((200, sample("hamtaAllaVirtualiseringar")[:-30]), "not XML that is read here"),
        ((200, b"<html>"), "not XML that is read here"),
    ],
)
def test_a_bad_answer_is_no_import(serve: Callable[[Catalogue], str], answer: Answer, words: str) -> None:
    with pytest.raises(CatalogueUnreachable, match=words):
        fetch(Access(serve(lambda operation: answer if operation == "hamtaAllaVirtualiseringar" else good(operation))))


@pytest.mark.sockets
def test_rows_that_are_wrong_are_refused_with_all_their_mistakes(serve: Callable[[Catalogue], str]) -> None:
    def catalogue(operation: str) -> Answer:
        return 200, sample(operation).replace(b"RIVTABP2", b"X").replace(b"2024-01-01T", b"2024-31-01T")

    with pytest.raises(ImportRefused) as refused:
        fetch(Access(serve(catalogue)))
    assert len(refused.value.problems) == 5


@pytest.mark.sockets
def test_an_endless_answer_is_cut(serve: Callable[[Catalogue], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sokvagval, "MAX_BYTES", 1000)
    with pytest.raises(CatalogueUnreachable, match="larger than"):
        fetch(Access(serve(good)))


@pytest.mark.sockets
def test_nobody_there_is_told(serve: Callable[[Catalogue], str]) -> None:
    with pytest.raises(CatalogueUnreachable, match="ConnectionError"):
        fetch(Access("http://127.0.0.1:9/"))


@pytest.mark.parametrize("url", ["http://catalogue.example.se/x", "ftp://a/b", "https:///x", "http://[::1", "x"])
def test_plain_http_is_for_this_machine_only(url: str) -> None:
    with pytest.raises(CatalogueUnreachable):
        fetch(Access(url))


def test_a_hundred_thousand_rows_take_the_memory_of_their_rows(tmp_path: Path) -> None:
    """What is read and emptied again takes none: the reader is given far more than it may keep."""
    import tracemalloc

    from rivta.soap.xml import elements_of

    row = b"<r><a>" + b"x" * 1000 + b"</a></r>"

    def chunks() -> Iterator[bytes]:
        yield b"<e><junk>"
        for _ in range(20_000):
            yield row
        yield b"</junk></e>"

    tracemalloc.start()
    count = sum(1 for _ in elements_of(chunks(), {"r"}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 2_000_000
