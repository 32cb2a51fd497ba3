"""`python -m benchmarks.dry_run [--calls N] [--rows N]`: what deciding recorded calls by another table costs.

N calls (by default 100,000), each another one, as `rivta log search --json` writes them: read from a file and decided
by a table of as many rows. A tenth was refused when made. The aim is 10 s for all of it, reading included.
"""

import argparse
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.tables import CONTRACTS, lines, names, tree
from rivta.catalogue.compile import compile_table
from rivta.catalogue.table import Table
from rivta.router.record import CallRecord
from rivta.testing.dry_run import dry_run, made_of_record

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AIM_S = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=100_000, help="routes, and permissions, of the table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rv-dry-run-") as name:
        folder = Path(name)
        units = [f"SE2321000016-U{number:06}" for number in range(arguments.rows // len(CONTRACTS) + 1)]
        content = b"".join(lines(units, arguments.rows))
        print(f"bench: a table of {arguments.rows:,} routes and permissions", file=sys.stderr)
        path = compile_table(content, hsa=tree(units), variables={}, folder=folder / "tables")
        calls = folder / "calls.jsonl"
        write_calls(calls, units, arguments.calls)
        table = Table.open(path)
        try:
            cpu, wall = time.process_time(), time.perf_counter()
            with calls.open(encoding="utf-8") as file:
                found = dry_run(table, (made_of_record(CallRecord.from_json(line)) for line in file), now=NOW)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        finally:
            table.close()
    totals = ", ".join(f"{number:,} {change.value}" for change, number in found.totals.items() if number)
    print(f"{found.calls:,} calls in {wall:.1f} s (processor {cpu:.1f} s), aim {AIM_S:.0f} s: {totals}")
    return 0 if wall < AIM_S else 1


def write_calls(file: Path, units: list[str], count: int) -> None:
    """Calls of many consumers to many addresses, some of them then refused, as a call log writes them."""
    chance = random.Random(8)
    with file.open("w", encoding="utf-8") as lines_out:
        for number in range(count):
            row, was_routed = names(units, number), chance.random() < 0.9
            record = CallRecord(
                id=f"call-{number}",
                time="2026-11-24T11:00:00+00:00",
                platform="SE165565594230-NTJP",
                correlation_id=f"correlation-{number}",
                outcome="routed" if was_routed else "VP007",
                sender=f"SE2321000016-C{row['consumer']}",
                contract=str(row["contract"]),
                logical_address=str(row["unit"]),
                producer_url=f"https://p{row['producer']}.test/",
                http_status=200 if was_routed else 500,
            )
            lines_out.write(record.to_json() + "\n")


if __name__ == "__main__":
    sys.exit(main())
