"""One run: everything started, rounds interleaved, and what was measured as rows."""

import asyncio
import contextlib
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks import load, messages, pair, proxy
from benchmarks.processes import cpu_seconds
from benchmarks.waiting import free_port, wait_for_port
from producers_stub.world import World
from rivta.run.endpoints import Endpoints
from rivta.tls.authority import Authority, Issued
from rivta.tls.contexts import client_context

SIZES_KB = (2, 20)
PRODUCER_PROCESSES = 2
HEADERS = {"Content-Type": "text/xml;charset=UTF-8", "SOAPAction": '""', "User-Agent": "rivta-bench"}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured. Times in seconds."""

    rounds: int
    seconds: float
    connections: int = 16
    open_connections: int = 64
    open_seconds: float = 10.0


FULL = Plan(rounds=5, seconds=4.0, open_seconds=10.0)
QUICK = Plan(rounds=2, seconds=1.0, open_seconds=2.0)


@dataclass(slots=True)
class Series:
    """One thing that is measured, round after round: where calls go, and whose processor time they cost."""

    name: str
    kb: int
    target: load.Target
    carriers: list[int] = field(default_factory=list)
    """Processes whose time is the cost of a call."""
    keepers: list[int] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    keeper_us: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    first_failure: str = ""

    def row(self, mode: str, connections: int, **more: object) -> dict[str, object]:
        """What was measured, for machines: times as their units say, CPU as the median of the rounds."""
        return {
            "what": self.name,
            "kb": self.kb,
            "mode": mode,
            "connections": connections,
            "calls": len(self.latencies),
            "failures": self.failures,
            "per_second": _rounded(self.per_second, 0),
            "cpu_us": _rounded(self.cpu_us, 1),
            "keeper_cpu_us": _rounded(self.keeper_us, 1),
            "p50_ms": round(load.percentile(self.latencies, 0.50) * 1e3, 2),
            "p99_ms": round(load.percentile(self.latencies, 0.99) * 1e3, 2),
            **({"first_failure": self.first_failure} if self.failures else {}),
            **more,
        }

    def add(self, outcome: load.Outcome, *, cpu: float, keeper: float) -> None:
        """Count a round: processor times in seconds, of the whole round."""
        self.latencies += outcome.latencies
        self.failures += outcome.failures
        self.first_failure = self.first_failure or outcome.first_failure
        if outcome.calls:
            self.per_second.append(outcome.calls / outcome.seconds)
            self.cpu_us.append(cpu / outcome.calls * 1e6)
            self.keeper_us.append(keeper / outcome.calls * 1e6)


def _rounded(values: list[float], digits: int) -> float | None:
    return round(statistics.median(values), digits) if values else None


@dataclass(frozen=True, slots=True)
class Result:
    """A whole run."""

    rows: list[dict[str, object]]
    up_warm_s: float
    idle_pss_mb: float
    with_proxy: bool


def run(plan: Plan, folder: Path, say: Callable[[str], None]) -> Result:
    """Measure in `folder`, which is empty and has a short path. Raises PairError when something does not start."""
    producer_port = free_port()
    shipped = pair.Shipped(folder / "home", folder / "tables")
    world = World.load()
    consumer = next(identity.hsa_id for identity in world.identities if identity.name == "npo")
    platforms = {platform.key: str(platform.hsa_id) for platform in world.platforms}
    pair.write_tables(
        shipped.tables, producer_port=producer_port, sizes=SIZES_KB, consumer=consumer, platforms=platforms
    )
    with contextlib.ExitStack() as running:
        say("starting the pair, twice: the second time is warm")
        shipped.up()
        running.callback(shipped.down)
        shipped.down()
        up_warm = shipped.up()
        time.sleep(3.0)  # idle is when what starting left behind has been done
        idle = shipped.idle_memory_mb()
        endpoints = shipped.endpoints()
        context = consumer_context(endpoints)
        say("starting the platforms with the fixed settings, the producer and the proxy")
        fixed = pair.Fixed(folder / "fixed", shipped)
        running.callback(fixed.stop)
        fixed.start()
        authority = Authority.open(Path(endpoints["ca"]).parent)
        running.enter_context(producers(folder / "producer", producer_port, authority))
        proxied = start_proxy(running, folder / "proxy", producer_port, authority)
        series = all_series(shipped, fixed, producer_port, proxied)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rows = runner.run(measure(plan, series, context, say))
    return Result(rows=rows, up_warm_s=round(up_warm, 2), idle_pss_mb=round(idle, 1), with_proxy=proxied is not None)


def consumer_context(endpoints: Endpoints) -> ssl.SSLContext:
    """TLS as the consumer that may call everything."""
    identity = endpoints["identities"]["npo"]
    return client_context(certificate=Path(identity["cert"]), key=Path(identity["key"]), trusted=Path(endpoints["ca"]))


def issue(authority: Authority, name: str, hsa_id: str) -> Issued:
    """A certificate of the pair's own authority, good on this machine."""
    return authority.issue(
        name, hsa_id=hsa_id, common_name=name, organisation="benchmark", hosts=["localhost", "127.0.0.1"]
    )


@contextmanager
def producers(folder: Path, port: int, authority: Authority) -> Iterator[None]:
    """The producer's processes, on one port, with an answer of every size."""
    answers = folder / "answers"
    answers.mkdir(parents=True)
    for kb in SIZES_KB:
        (answers / f"{kb}kb.xml").write_bytes(messages.answer(kb * 1000))
    identity = issue(authority, "bench-producer", pair.PRODUCER_ID)
    line = [sys.executable, "-m", "benchmarks.producer", "--port", str(port), "--answers", str(answers)]
    line += ["--certificate", str(identity.certificate), "--key", str(identity.key), "--trusted", str(authority.ca)]
    log = folder / "log"
    with log.open("wb") as output:
        started = [
            subprocess.Popen(line, cwd=pair.CHECKOUT, env=pair.environment(), stdout=output, stderr=output)
            for _ in range(PRODUCER_PROCESSES)
        ]
    try:
        wait_for_port(port, alive=lambda: all(process.poll() is None for process in started), log=log)
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=10)


@dataclass(frozen=True, slots=True)
class Proxied:
    """The proxy: its port, and the processes that carry calls."""

    port: int
    pids: list[int]


def start_proxy(
    running: contextlib.ExitStack, folder: Path, producer_port: int, authority: Authority
) -> Proxied | None:
    """nginx until `running` ends; None where it is not installed."""
    if proxy.program() is None:
        return None
    issued = issue(authority, "bench-proxy", f"{pair.PRODUCER_ID}-PROXY")
    identity = proxy.Identity(certificate=issued.certificate, key=issued.key, trusted=authority.ca)
    port = free_port()
    pids = running.enter_context(
        proxy.running(folder=folder, port=port, producer_port=producer_port, identity=identity)
    )
    return Proxied(port, pids)


def all_series(shipped: pair.Shipped, fixed: pair.Fixed, producer_port: int, proxied: Proxied | None) -> list[Series]:
    """What is measured, in the order of a round."""
    found = []
    for kb in SIZES_KB:
        one = messages.request(pair.address(kb, through_both=False), kb * 1000)
        both = messages.request(pair.address(kb, through_both=True), kb * 1000)
        straight = load.Target(f"https://localhost:{producer_port}/{kb}kb", one, HEADERS)
        found.append(Series("producer", kb, straight))
        if proxied is not None:
            target = load.Target(f"https://localhost:{proxied.port}/{kb}kb", one, HEADERS)
            found.append(Series("proxy", kb, target, carriers=proxied.pids))
        for name, request, setup, platforms in (
            ("platform", one, fixed, ("national",)),
            ("pair", both, fixed, pair.PLATFORMS),
            ("platform as shipped", one, shipped, ("national",)),
        ):
            found.append(
                Series(
                    name,
                    kb,
                    load.Target(setup.url("national"), request, HEADERS),
                    carriers=[pid for platform in platforms for pid in setup.pids(platform, "worker")],
                    keepers=[pid for platform in platforms for pid in setup.pids(platform, "keeper")],
                )
            )
    return found


async def measure(
    plan: Plan, series: list[Series], context: ssl.SSLContext, say: Callable[[str], None]
) -> list[dict[str, object]]:
    """The rows: first as much as each carries, in rounds that take turns; then at half of the platform's capacity."""
    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}")
        for one in series:
            await closed_round(one, plan, context)
    rows = [one.row("closed", plan.connections) for one in series]
    for kb in SIZES_KB:
        rows += await open_rounds(plan, [one for one in series if one.kb == kb], context, say)
    return rows


async def closed_round(one: Series, plan: Plan, context: ssl.SSLContext) -> None:
    """A round in which every connection calls as fast as it is answered. Handshakes are not part of it."""
    async with load.connected(one.target, context, plan.connections) as connections:
        keeper_before, before = cpu_seconds(one.keepers), cpu_seconds(one.carriers)
        outcome = await load.closed_loop(one.target, connections, plan.seconds)
        spent = cpu_seconds(one.carriers) - before
    await settle(one.keepers)
    one.add(outcome, cpu=spent, keeper=cpu_seconds(one.keepers) - keeper_before)


async def open_rounds(
    plan: Plan, series: list[Series], context: ssl.SSLContext, say: Callable[[str], None]
) -> list[dict[str, object]]:
    """Latencies at half of what the platform carries, the proxy under the same load; the pair at half of its own."""
    capacity = {one.name: statistics.median(one.per_second) for one in series if one.per_second}
    rates = {"proxy": "platform", "platform": "platform", "pair": "pair"}
    measured = {
        one.name: Series(one.name, one.kb, one.target, one.carriers, one.keepers)
        for one in series
        if rates.get(one.name) in capacity
    }
    for number in range(plan.rounds):
        say(f"at half of the capacity, {series[0].kb} KB: round {number + 1} of {plan.rounds}")
        for name, one in measured.items():
            rate = capacity[rates[name]] / 2
            async with load.connected(one.target, context, plan.open_connections) as connections:
                keeper_before, before = cpu_seconds(one.keepers), cpu_seconds(one.carriers)
                outcome = await load.open_loop(one.target, connections, plan.open_seconds / plan.rounds, rate)
                spent = cpu_seconds(one.carriers) - before
            await settle(one.keepers)
            one.add(outcome, cpu=spent, keeper=cpu_seconds(one.keepers) - keeper_before)
    return [one.row("open", plan.open_connections) for one in measured.values()]


async def settle(pids: list[int], *, pause: float = 0.3, longest: float = 5.0) -> None:
    """Wait until these processes have done what the round left them: what they do later belongs to no round."""
    end = time.monotonic() + longest
    before = cpu_seconds(pids)
    while pids and time.monotonic() < end:
        await asyncio.sleep(pause)
        now = cpu_seconds(pids)
        if now - before <= 0.02:
            return
        before = now
