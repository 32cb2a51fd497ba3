"""`python -m benchmarks.tables [--rows N] [--million N] [--json]`: what large routing tables cost.

Two tables: one of N rows in files (by default 100,000), read, looked through, compared with a changed copy and
previewed; and one of N routes and N permissions (by default 1,000,000) as it is stored, compiled and decided by. Times
are of the processor, since machines that measure are seldom idle; wall time stands beside them.
"""

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from rivta.catalogue.checks.problems import Surroundings
from rivta.catalogue.compile import compile_table, switch_current
from rivta.catalogue.decide import DecisionCache, decide
from rivta.catalogue.differences import differences
from rivta.catalogue.files import Reading, read_draft
from rivta.catalogue.hsa import HsaTree, Unit
from rivta.catalogue.lint import check
from rivta.catalogue.preview import preview
from rivta.catalogue.serving import CurrentTable
from rivta.catalogue.sides import opened_side
from rivta.catalogue.table import Table
from rivta.contracts.installed import Contracts

_CONTRACT = "urn:riv:clinicalprocess:bench:GetBench%sResponder:%d"
CONTRACTS = [_CONTRACT % (name, major) for name in "ABCDEFGHIJ" for major in (1, 2)]
FILES = 20
PRODUCERS = 100
CONSUMERS = 100
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured."""

    what: str
    cpu_s: float
    wall_s: float
    aim: str


class Clock:
    """Measures one thing after the other."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def measure(self, what: str, aim: str, do: Callable[[], _Found]) -> _Found:
        """What `do` gives; its times are noted, and told on the error stream."""
        cpu, wall = time.process_time(), time.perf_counter()
        found = do()
        self.rows.append(Row(what, time.process_time() - cpu, time.perf_counter() - wall, aim))
        print(f"bench: {what}: {self.rows[-1].cpu_s:.1f} s", file=sys.stderr, flush=True)
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the table in files")
    parser.add_argument(
        "--million", type=int, default=1_000_000, help="routes, and permissions, of the stored table; 0: none"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rv-tables-"))
    clock = Clock()
    try:
        in_files(clock, folder, arguments.rows)
        if arguments.million:
            stored(clock, folder, arguments.million)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        print(
            json.dumps(
                [{"what": row.what, "cpu_s": row.cpu_s, "wall_s": row.wall_s, "aim": row.aim} for row in clock.rows]
            )
        )
    else:
        print(as_text(clock.rows))
    return 0


def in_files(clock: Clock, folder: Path, rows: int) -> None:
    """Reading, lint, diff and preview of a table in YAML."""
    units = [f"SE2321000016-U{number:06}" for number in range(rows // 2 // len(CONTRACTS) + 1)]
    hsa = tree(units)
    for name, seed in (("before", 1), ("after", 2)):
        write_files(folder / name, units, rows, changes=random.Random(seed) if seed == 2 else None)
    contracts = Contracts.shipped()

    def read(name: str) -> Reading:
        return read_draft(folder / name, contracts=contracts, relative_to=folder)

    thousands = f"{rows:,} rows"
    before = clock.measure(f"reading {thousands}", "60 s", lambda: read("before"))
    after = read("after")
    assert not before.problems
    assert not after.problems
    report = clock.measure(f"lint of {thousands}", "10 s", lambda: check(before, Surroundings(hsa, {}), now=NOW))
    assert not report.errors
    found = clock.measure(f"diff of {thousands}", "10 s", lambda: differences(before.draft, after.draft))

    def look_ahead() -> int:
        with ExitStack() as stack:
            sides = [stack.enter_context(opened_side(one.draft, hsa)) for one in (before, after)]
            return len(preview(sides[0], sides[1], now=NOW).effects)

    effects = clock.measure(f"preview of {thousands}, {len(found)} of them changed", "20 s", look_ahead)
    assert effects


def stored(clock: Clock, folder: Path, count: int) -> None:
    """Compiling, deciding and switching over with a table as the database has it."""
    units = [f"SE2321000016-U{number:06}" for number in range(count // len(CONTRACTS) + 1)]
    hsa, tables, size = tree(units), folder / "tables", f"{count:,} routes and permissions"
    path = compiled(clock, b"".join(lines(units, count)), hsa, tables, size)
    switch_current(path, publication=1, hsa_version=1)
    current = CurrentTable(tables)
    before = resident_mb()
    clock.measure(f"switching over to {size}", "0.01 s", current.check)
    assert current.table is not None
    assert current.decisions is not None
    cold, cached = decisions(current.table, current.decisions, units)
    clock.rows.append(Row("decide, cold (median)", cold, cold, "50 µs"))
    clock.rows.append(Row("decide, cached (median)", cached, cached, "2 µs"))
    print(f"bench: memory of a process that decides by it: {resident_mb() - before:+.0f} MB", file=sys.stderr)


def compiled(clock: Clock, content: bytes, hsa: HsaTree, folder: Path, size: str) -> Path:
    """The table compiled, once."""

    def compile_it() -> Path:
        return compile_table(content, hsa=hsa, variables={}, folder=folder, publication=1, hsa_version=1)

    return clock.measure(f"compiling {size}", "60 s", compile_it)


def decisions(table: Table, cache: DecisionCache, units: list[str]) -> tuple[float, float]:
    """Seconds of one decision: of addresses not asked for before, and again."""
    chosen = random.Random(3)
    questions = [
        {
            "sender": f"SE2321000016-C{chosen.randrange(CONSUMERS)}",
            "contract": chosen.choice(CONTRACTS),
            "logical_address": chosen.choice(units),
        }
        for _ in range(20_000)
    ]
    for question in questions:
        cache.decide(**question, now=NOW)
    return (
        median(lambda question: decide(table, **question, now=NOW), questions),
        median(lambda question: cache.decide(**question, now=NOW), questions),
    )


def median(ask: Callable[[dict[str, str]], object], questions: list[dict[str, str]]) -> float:
    """Seconds of one question, the median."""
    times = []
    for question in questions:
        started = time.perf_counter()
        ask(question)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def tree(units: list[str]) -> HsaTree:
    """The units under a hundred regions, three more below each."""
    found = {f"SE2321000016-R{number}": Unit(f"SE2321000016-R{number}", "", None) for number in range(100)}
    for number, unit in enumerate(units):
        found[unit] = Unit(unit, "", f"SE2321000016-R{number % 100}")
        found |= {f"{unit}-{letter}": Unit(f"{unit}-{letter}", "", unit) for letter in "ABC"}
    return HsaTree(found)


_ROUTE = """\
  - logical_address: {unit}
    contracts: {contract}
    producer_address: p{producer}
    valid_from: 2024-01-01
"""
_PERMISSION = """\
  - consumer: SE2321000016-C{consumer}
    logical_address: {unit}
    contracts: {contract}
    valid_from: 2024-01-01
    agreement: A{number}
"""


def write_files(folder: Path, units: list[str], rows: int, *, changes: random.Random | None) -> None:
    """A table in files: half routes, half permissions; with `changes`, one in five hundred is another one."""
    folder.mkdir()
    with (folder / "base.yaml").open("w", encoding="utf-8") as file:
        file.write("resolution: {}\ncomponents:\n")
        file.writelines(f"  SE2321000016-C{number}: {{name: c}}\n" for number in range(CONSUMERS))
        file.write("producer_addresses:\n")
        for number in range(PRODUCERS):
            file.write(f'  p{number}: {{component: SE2321000016-C0, url: "https://p{number}.test/"}}\n')
    each = rows // 2 // FILES
    for part in range(FILES):
        with (folder / f"part{part:02}.yaml").open("w", encoding="utf-8") as file:
            for section, row in (("routes", _ROUTE), ("permissions", _PERMISSION)):
                file.write(f"{section}:\n")
                for number in range(part * each, (part + 1) * each):
                    other = bool(changes and changes.random() < 0.002)
                    file.write(row.format(number=number, **names(units, number, other=other)))


def names(units: list[str], number: int, *, other: bool = False) -> dict[str, str | int]:
    """What row `number` names; with `other`, another producer and consumer."""
    return {
        "unit": units[number // len(CONTRACTS)],
        "contract": CONTRACTS[number % len(CONTRACTS)],
        "producer": (number + other) % PRODUCERS,
        "consumer": (number * 7 + other) % CONSUMERS,
    }


def lines(units: list[str], count: int) -> Iterator[bytes]:
    """The content of a publication with so many routes and permissions, in pieces."""
    yield b'{"format":1,\n"components":[\n],\n"logical_addresses":[\n],\n"permissions":[\n'
    yield from rows_of(_stored_permission(units, number) for number in range(count))
    yield b'],\n"producer_addresses":[\n'
    yield from rows_of(_stored_producer(number) for number in range(PRODUCERS))
    yield b'],\n"resolution":[\n],\n"routes":[\n'
    yield from rows_of(_stored_route(units, number) for number in range(count))
    yield b"]\n}\n"


def rows_of(rows: Iterator[dict[str, str]]) -> Iterator[bytes]:
    """Each row on a line of its own, a comma between them."""
    between = b""
    for row in rows:
        yield between + json.dumps(row, separators=(",", ":")).encode()
        between = b",\n"
    yield b"\n"


def _stored_permission(units: list[str], number: int) -> dict[str, str]:
    found = names(units, number)
    return {
        "agreement": f"A{number}",
        "consumer": f"SE2321000016-C{found['consumer']}",
        "contract": str(found["contract"]),
        "logical_address": str(found["unit"]),
        "source": f"t.yaml:{number}",
        "valid_from": "2024-01-01",
    }


def _stored_route(units: list[str], number: int) -> dict[str, str]:
    found = names(units, number)
    return {
        "contract": str(found["contract"]),
        "logical_address": str(found["unit"]),
        "producer_address": f"p{found['producer']}",
        "source": f"t.yaml:{number}",
        "valid_from": "2024-01-01",
    }


def _stored_producer(number: int) -> dict[str, str]:
    url = f"https://p{number}.test/"
    return {
        "component": "SE2321000016-C0",
        "name": f"p{number}",
        "profile": "RIVTABP21",
        "source": "t.yaml:1",
        "url": url,
    }


def resident_mb() -> float:
    """Memory of this process that no file stands behind, in MB; 0 where that cannot be told."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    anonymous = next((line for line in text.splitlines() if line.startswith("RssAnon:")), "RssAnon: 0 kB")
    return int(anonymous.split()[1]) / 1024


def as_text(rows: list[Row]) -> str:
    """The rows as a table."""
    widest = max(len(row.what) for row in rows)
    told = [f"{'what':{widest}}  {'CPU':>10}  {'wall':>10}  {'aim':>8}"]
    for row in rows:
        told.append(f"{row.what:{widest}}  {_seconds(row.cpu_s):>10}  {_seconds(row.wall_s):>10}  {row.aim:>8}")
    return "\n".join(told)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 0.1 else f"{value * 1e6:.1f} µs" if value < 1e-3 else f"{value * 1e3:.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
