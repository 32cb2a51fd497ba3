"""What aggregating costs: a hundred sources over mutual TLS, one worker's pipeline, and single calls beside it.

Run by hand: `python -m benchmarks.aggregation`. The platform is this process, without its listening half; the sources
are another one, with a canned answer for each path, which all of them give at once. Measured are the time and processor
time of an aggregate, what single calls notice of twenty at once, memory, and what a dead and a slow source do to it.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import uvloop

from benchmarks import messages, wire
from benchmarks.waiting import free_port, wait_for_port
from rivta.aggregation.service import Aggregation, Rules, WithAggregation
from rivta.aggregation.services import services
from rivta.catalogue import content
from rivta.catalogue.compile import compile_table
from rivta.catalogue.decide import DecisionCache
from rivta.catalogue.files import read_draft
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.table import Table
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.router.calling import Calling
from rivta.router.client import ProducerClient
from rivta.router.identify import Caller, Way
from rivta.router.large import Giants
from rivta.router.messages import Answer, Peer, Request
from rivta.router.pipeline import Router
from rivta.router.policy import Policy
from rivta.router.record import CallRecord
from rivta.router.schemas import Schemas
from rivta.soap.identifiers import HsaId, LogicalAddress
from rivta.soap.namespaces import ENGAGEMENT_INDEX_1, FIND_CONTENT_1, SOAP_ENVELOPE
from rivta.tls.authority import Authority
from rivta.tls.contexts import server_context
from rivta.tls.targets import Identities, TlsTarget

PLATFORM, CONSUMER, ADDRESS = HsaId("SE1-PLATFORM"), "SE1-CONSUMER", LogicalAddress("5565594230")
SINGLE = "SE1-SINGLE"
SOURCES = [f"SE1-S{number}" for number in range(100)]
DEAD, SLOW = SOURCES[7], SOURCES[8]
_BYTES = 5_000
_AT_ONCE = 20


class _Nowhere:
    """Takes call records, and keeps none."""

    def check(self) -> None:
        """There is always room."""

    async def add(self, record: CallRecord) -> None:
        """Gone."""


def _identify(request: Request, *, now: datetime) -> Caller:
    return Caller(request.peer.inside or CONSUMER, Way.INSIDE, "")


def _request(address: str) -> Request:
    body = messages.request(address, 600)
    return Request("POST", "/vp", {}, (("Content-Type", "text/xml"),), body, Peer("", None))


def _hits() -> bytes:
    fields = (
        "<i:registeredResidentIdentification>191212121212</i:registeredResidentIdentification>"
        "<i:serviceDomain>riv:clinicalprocess:healthcond:description</i:serviceDomain>"
        "<i:categorization>dia</i:categorization><i:logicalAddress>{0}</i:logicalAddress>"
        "<i:businessObjectInstanceIdentifier>NA</i:businessObjectInstanceIdentifier>"
        "<i:clinicalProcessInterestId>NA</i:clinicalProcessInterestId><i:sourceSystem>{0}</i:sourceSystem>"
        "<i:creationTime>20240101000000</i:creationTime><i:dataController>SE1</i:dataController>"
    )
    hits = "".join(f"<m:engagement>{fields.format(source)}</m:engagement>" for source in SOURCES)
    return (
        f'<s:Envelope xmlns:s="{SOAP_ENVELOPE}"><s:Body><m:FindContentResponse xmlns:m="{FIND_CONTENT_1}" '
        f'xmlns:i="{ENGAGEMENT_INDEX_1}">{hits}</m:FindContentResponse></s:Body></s:Envelope>'
    ).encode()


def _table(folder: Path, contracts: Contracts, urls: dict[str, str], index: Path) -> Table:
    """A table with the aggregate, its index, and a producer address for each source."""
    addresses = "\n".join(
        f'  p{number}: {{component: {PLATFORM}, url: "{url}", profile: RIVTABP21}}'
        for number, url in enumerate(urls.values())
    )
    routes = "\n".join(
        f"  - {{logical_address: {address}, contracts: GetDiagnosis:2, producer_address: p{number}}}"
        for number, address in enumerate(urls)
    )
    draft = folder / "draft"
    draft.mkdir()
    draft.joinpath("all.yaml").write_text(
        f"""
components: {{{PLATFORM}: {{name: platform, platform: true}}, {CONSUMER}: {{name: consumer}}}}
producer_addresses:
  index: {{component: {PLATFORM}, url: "unix:{index}", profile: RIVTABP21}}
  aggregation: {{component: {PLATFORM}, url: "aggregation:", profile: RIVTABP21}}
{addresses}
routes:
  - {{logical_address: "{ADDRESS}", contracts: FindContent:1, producer_address: index}}
  - {{logical_address: "{ADDRESS}", contracts: GetDiagnosis:2, producer_address: aggregation}}
{routes}
permissions:
  - {{consumer: {PLATFORM}, logical_address: "{ADDRESS}", contracts: FindContent:1, agreement: bench}}
  - {{consumer: {CONSUMER}, logical_address: ["{ADDRESS}", {", ".join(urls)}], contracts: GetDiagnosis:2,
     agreement: bench}}
""",
        encoding="utf-8",
    )
    reading = read_draft(draft, contracts=contracts, relative_to=draft)
    if reading.problems:
        raise RuntimeError(str(reading.problems[0]))
    return Table.open(
        compile_table(
            content.encode(reading.draft),
            hsa=HsaTree(),
            variables={},
            folder=folder / "tables",
            publication=1,
            hsa_version=1,
        )
    )


@contextmanager
def _sources(folder: Path, authority: Authority, port: int) -> Iterator[None]:
    """The process with the sources."""
    answers = folder / "answers"
    answers.mkdir()
    for name in [*SOURCES, SINGLE]:
        (answers / f"{name}.xml").write_bytes(messages.answer(_BYTES))
    issued, log = authority.folder / "issued", folder / "sources.log"
    options = {"port": port, "certificate": issued / "source.pem", "key": issued / "source.key"}
    options |= {"trusted": authority.ca, "answers": answers}
    command = [sys.executable, "-m", "benchmarks.producer", *(f"--{name}={value}" for name, value in options.items())]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            wait_for_port(port, alive=lambda: process.poll() is None, log=log)
            yield
        finally:
            process.terminate()


class _Platform:
    """One worker's pipeline and aggregating service."""

    def __init__(self, table: Table, contracts: Contracts, authority: Authority, **rules: float) -> None:
        policy = Policy(PLATFORM, "BENCH", retry_attempts=0)
        issued, giants, cache = authority.folder / "issued", Giants(), DecisionCache(table)
        own = TlsTarget("", issued / "platform.pem", issued / "platform.key", (authority.ca,))
        self.client = ProducerClient(Identities(own, []))
        validators = Validators(contracts)
        self._aggregation = Aggregation(
            Rules(PLATFORM, address=ADDRESS, index_address=ADDRESS, services=services({}), **rules),  # type: ignore[arg-type]  # all of them are times
            carry=lambda request: self.router.carry_to_its_end(request),
            table=lambda: cache,
            limit=policy.in_flight_limit,
            now=_now,
            giants=giants,
        )
        self.router = Router(
            policy,
            table=lambda: cache,
            identify=_identify,
            schemas=Schemas(policy, lambda: (contracts, validators)),
            calling=Calling(policy, WithAggregation(self.client, self._aggregation.answer)),
            now=_now,
            recorder=_Nowhere(),
            giants=giants,
        )

    async def ask(self, address: str) -> tuple[float, Answer]:
        """A call, and the milliseconds that it took."""
        began = time.perf_counter()
        answer = await self.router.carry(_request(address))
        return (time.perf_counter() - began) * 1000, answer


def _now() -> datetime:
    return datetime.now(UTC)


class _Index(asyncio.Protocol):
    """An index that answers every request with the same hits."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._messages = wire.Messages()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._messages.feed(data) is not None and self._transport is not None:
            self._transport.write(self._answer)


@asynccontextmanager
async def _slow(authority: Authority, port: int) -> AsyncIterator[None]:
    """A source that takes requests and never answers."""
    issued = authority.folder / "issued"
    tls = server_context(certificate=issued / "source.pem", key=issued / "source.key", trusted=authority.ca)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", port, ssl=tls)
    try:
        yield
    finally:
        server.close()


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def _say(what: str, value: str) -> None:
    sys.stdout.write(f"{what:<68}{value:>18}\n")
    sys.stdout.flush()


async def _one_at_a_time(platform: _Platform, rounds: int) -> None:
    cold, _ = await platform.ask(ADDRESS)
    _say(f"aggregate of {len(SOURCES)} sources, {len(SOURCES)} handshakes included", f"{cold:.0f} ms")
    single = [(await platform.ask(SINGLE))[0] for _ in range(50)]
    before, took = time.process_time(), []
    for _ in range(rounds):
        ms, answer = await platform.ask(ADDRESS)
        if answer.body.count(b"DataFromSource") != len(SOURCES):
            raise RuntimeError("a source is missing")
        took.append(ms)
    cpu = (time.process_time() - before) / rounds * 1000
    _say("the same, connections kept: median", f"{statistics.median(took):.0f} ms")
    _say("its processor time", f"{cpu:.0f} ms")
    _say("a single call: median", f"{statistics.median(single):.2f} ms")


async def _twenty_at_once(platform: _Platform) -> None:
    async def singles(ended: asyncio.Event) -> list[float]:
        took = []
        while not ended.is_set():
            took.append((await platform.ask(SINGLE))[0])
            await asyncio.sleep(0.002)
        return took

    alone_ended = asyncio.Event()
    alone = asyncio.create_task(singles(alone_ended))
    await asyncio.sleep(2)
    alone_ended.set()
    ended = asyncio.Event()
    beside = asyncio.create_task(singles(ended))
    rss, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    answers = await asyncio.gather(*(platform.ask(ADDRESS) for _ in range(_AT_ONCE)))
    took = time.perf_counter() - began
    ended.set()
    returned = sum(len(answer.body) for _, answer in answers)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss) * 1024
    _say(f"{_AT_ONCE} aggregates of {len(SOURCES)} at once", f"{took * 1000:.0f} ms")
    _say("single calls, p99 alone", f"{_p99(await alone):.1f} ms")
    _say("single calls, p99 beside them", f"{_p99(await beside):.1f} ms")
    _say(f"peak memory grown over the {returned / 1e6:.0f} MB returned", f"{grown / returned:.2f}")


async def _dead_and_slow(platform: _Platform, seconds: float) -> None:
    ms, answer = await platform.ask(ADDRESS)
    good = answer.body.count(b"DataFromSource")
    _say(f"1 dead, 1 slow, 98 good, {seconds:g} s for all: answered with {good}", f"{ms:.0f} ms")


async def _measure(folder: Path, authority: Authority, port: int, rounds: int) -> None:
    contracts, slow_port, dead_port = Contracts.shipped(), free_port(), free_port()
    index = folder / "index.sock"
    server = await asyncio.get_running_loop().create_unix_server(lambda: _Index(wire.answer(_hits())), str(index))
    urls = {name: f"https://localhost:{port}/{name}" for name in [*SOURCES, SINGLE]}
    (folder / "good").mkdir()
    (folder / "bad").mkdir()
    platform = _Platform(_table(folder / "good", contracts, urls, index), contracts, authority)
    await _one_at_a_time(platform, rounds)
    await _twenty_at_once(platform)
    await platform.client.close()
    urls |= {DEAD: f"https://localhost:{dead_port}/", SLOW: f"https://localhost:{slow_port}/"}
    platform = _Platform(_table(folder / "bad", contracts, urls, index), contracts, authority, deadline_seconds=3.0)
    async with _slow(authority, slow_port):
        await _dead_and_slow(platform, 3.0)
        await platform.client.close()
    server.close()


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="aggregates one after the other")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rivta-bench-") as name:
        folder = Path(name)
        authority = Authority.ensure(folder / "ca")
        for member, hsa_id in (("platform", PLATFORM), ("source", "SE1-SOURCE")):
            authority.issue(
                member, hsa_id=hsa_id, common_name=member, organisation="Bench", hosts=["localhost", "127.0.0.1"]
            )
        port = free_port()
        with _sources(folder, authority, port), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure(folder, authority, port, arguments.rounds))


if __name__ == "__main__":
    main()
