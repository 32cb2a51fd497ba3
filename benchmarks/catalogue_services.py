"""`python -m benchmarks.catalogue_services [--rows N]`: SokVagvalsInfo 2 for a router that reads all of it.

A table of N routes and N permissions (100,000 unless told) is compiled; a process of its own serves it on the loopback,
as the keeper does, and another reads the lists. Printed: times, bytes, and how much memory the server took at the most,
beside what it takes for a table a hundredth as long: the lists are made in pieces, so both should be the same.
"""

import argparse
import asyncio
import http.client
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web

from rivta.catalogue import content, registry
from rivta.catalogue.compile import compile_table
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.quirks import RegistryRules
from rivta.catalogue.rows import Component, Draft, PermissionRow, Place, ProducerAddress, RouteRow
from rivta.catalogue.table import Table
from rivta.contracts.installed import Contracts
from rivta.run.endpoints import TAK_BASE
from rivta.run.services.catalogue import Catalogue
from rivta.run.tak_pages import tak_application
from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile

LISTS = ("Virtualiseringar", "AnropsBehorigheter", "Tjanstekomponenter", "Tjanstekontrakt")
_CONTRACTS = tuple(ContractNamespace(one) for one in (namespaces.GET_DIAGNOSIS_2, namespaces.GET_CARE_CONTACTS_3))
_PRODUCERS, _CONSUMERS = 200, 50
_PLACE = Place("bench.yaml", 1)
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader saw of one list."""

    seconds: float
    first_byte_seconds: float
    length: int


def draft(rows: int) -> Draft:
    """As many routes and permissions, at half as many addresses."""
    return Draft(
        components=tuple(Component(HsaId(f"SE1-P{n}"), f"Producer {n}", False, _PLACE) for n in range(_PRODUCERS)),
        producer_addresses=tuple(
            ProducerAddress(f"p{n}", HsaId(f"SE1-P{n}"), f"https://p{n}.test/vp", Profile.RIVTABP21, None, None, _PLACE)
            for n in range(_PRODUCERS)
        ),
        routes=tuple(
            RouteRow(_address(n), _CONTRACTS[n % 2], f"p{n % _PRODUCERS}", date(2024, 1, 1), None, _PLACE)
            for n in range(rows)
        ),
        permissions=tuple(
            PermissionRow(
                HsaId(f"SE1-K{n % _CONSUMERS}"), _address(n), _CONTRACTS[n % 2], "A", date(2024, 1, 1), None, (), _PLACE
            )
            for n in range(rows)
        ),
    )


def _address(number: int) -> LogicalAddress:
    return LogicalAddress(f"SE2321000016-{number // 2:07}")


def serve(path: Path, tell: Connection) -> None:
    """Serves the table in `path` until `tell` says anything; answers with the most memory it took, in MB."""

    async def run() -> None:
        table = Table.open(path)
        contracts, rules = Contracts.shipped(), RegistryRules()
        catalogue = Catalogue(lambda: contracts, "bench", lambda: table, rules, lambda: datetime.now(UTC))
        runner = web.AppRunner(tak_application(catalogue), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        tell.send((int(runner.addresses[0][1]), _peak_mb()))
        await asyncio.to_thread(tell.recv)
        tell.send(_peak_mb())
        await runner.cleanup()

    asyncio.run(run())


def _peak_mb() -> float:
    """Of this process alone: what `getrusage` says is its parent's too. The pages of the table's file are in it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def read(port: int, name: str) -> Reading:
    """One list, to its end, kept by nobody."""
    body = (
        f'<s:Envelope xmlns:s="{namespaces.SOAP_ENVELOPE}"><s:Body>'
        f'<v:hamtaAlla{name} xmlns:v="{namespaces.VAGVALSINFO_2}"/></s:Body></s:Envelope>'
    )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    started = time.perf_counter()
    connection.request("POST", f"{TAK_BASE}/SokVagvalsInfo/v2", body.encode())
    answer = connection.getresponse()
    first = time.perf_counter() - started
    if answer.status != 200:
        raise RuntimeError(f"hamtaAlla{name} was answered {answer.status}")
    length = sum(map(len, iter(lambda: answer.read(_CHUNK), b"")))
    connection.close()
    return Reading(time.perf_counter() - started, first, length)


def measure(rows: int, folder: Path) -> tuple[float, float, dict[str, Reading]]:
    """Memory of the server before and after all lists were read, in MB, and each reading."""
    path = compile_table(content.encode(draft(rows)), hsa=HsaTree(), variables={}, folder=folder)
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(path, there))
    server.start()
    try:
        port, before = here.recv()
        readings = {name: read(port, name) for name in LISTS}
        here.send("done")
        return before, here.recv(), readings
    finally:
        server.join(10)
        server.kill()


def queries(rows: int, folder: Path) -> Iterator[str]:
    """How long the registry's questions take."""
    table = Table.open(compile_table(content.encode(draft(rows)), hsa=HsaTree(), variables={}, folder=folder))
    now, rules = datetime.now(UTC), RegistryRules()
    count = 200
    started = time.perf_counter()
    for number in range(count):
        registry.supported_contracts(table, logical_address=_address(number), consumer=None, now=now, rules=rules)
    yield f"GetSupportedServiceContracts: {(time.perf_counter() - started) / count * 1e6:.0f} us"
    started = time.perf_counter()
    pages = registry.logical_addressees(table, consumer="SE1-K1", contract=_CONTRACTS[1], now=now, rules=rules)
    found = [one for page in pages for one in page]
    elapsed = time.perf_counter() - started
    yield f"GetLogicalAddresseesByServiceContract, {len(found)} addresses: {elapsed * 1e3:.1f} ms"
    table.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="routes, and permissions")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="rv-bench-") as folder:
        for number in (max(rows // 100, 1), rows):
            before, after, readings = measure(number, Path(folder))
            table = sum(path.stat().st_size for path in Path(folder).glob("*.sqlite")) / 1e6
            print(
                f"{number} routes and {number} permissions, a table of {table:.0f} MB; "
                f"server {before:.0f} MB idle, {after:.0f} MB at the most"
            )
            for name, one in readings.items():
                rate = one.length / one.seconds / 1e6
                print(
                    f"  hamtaAlla{name}: {one.seconds:.2f} s, first byte after {one.first_byte_seconds * 1e3:.0f} ms, "
                    f"{one.length / 1e6:.1f} MB ({rate:.0f} MB/s)"
                )
        for line in queries(rows, Path(folder)):
            print(f"  {line}")


if __name__ == "__main__":
    main()
