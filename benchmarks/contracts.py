"""`python -m benchmarks.contracts [--json]`: what contracts cost, to compile and to check a message against."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from rivta.contracts import samples
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators, compile_schema
from rivta.soap.xml import parse_xml

MOST_COMPILE_MS = 100.0
MOST_RATIO = 1.3
ROUNDS = 15
_SECONDS = 0.002
"""Processor time spent on one figure of a round, at least."""

# Checks a valid message, then one that is not, in a process of its own: when is the library that explains loaded?
_WHEN_XMLSCHEMA_IS_LOADED = """
import sys
from rivta.contracts import samples
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.soap.xml import parse_xml
contracts = Contracts.shipped()
validators, contract = Validators(contracts), contracts.find("GetDiagnosis")
payload = parse_xml(samples.response(contract))
before = validators.check(contract, payload, "response").valid, "xmlschema" in sys.modules
payload.append(payload.makeelement("wrong"))
after = validators.check(contract, payload, "response").valid, "xmlschema" in sys.modules
print(before == (True, False) and after == (False, True))
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One message of one contract."""

    contract: str
    message: str
    bytes: int
    lxml_us: float
    ours_us: float

    @property
    def ratio(self) -> float:
        """What checking takes, to what lxml alone does."""
        return self.ours_us / self.lxml_us


@dataclass(frozen=True, slots=True)
class Costs:
    """All that was measured."""

    contracts: int
    read_ms: float
    """Reading every shipped contract."""
    compile_ms: float
    """Compiling the schemas of all."""
    rows: tuple[Row, ...]
    explains_only_refusals: bool
    """xmlschema is loaded when a message is refused, and not before."""

    @property
    def ratio(self) -> float:
        """Over all messages, by the time they take."""
        return sum(row.ours_us for row in self.rows) / sum(row.lxml_us for row in self.rows)


def measure(rounds: int = ROUNDS) -> Costs:
    """Takes a second or two at the usual number of rounds; each figure is the median of them."""
    contracts = Contracts.shipped()
    validators = Validators(contracts)
    rows = []
    for contract in contracts:
        schema = compile_schema(contract.schema)
        for message in samples.MESSAGES:
            data = samples.whole(contract, message)
            payload = parse_xml(data)
            validators.compile(contract)
            lxml_us, ours_us = _medians(
                rounds,
                lambda schema=schema, payload=payload: schema.validate(payload),  # type: ignore[misc]
                lambda contract=contract, payload=payload, message=message: validators.check(
                    contract, payload, message
                ),  # type: ignore[misc]
            )
            rows.append(Row(contract.short_name, message, len(data), lxml_us, ours_us))
    read_us, compile_us = _medians(
        max(3, rounds // 3),
        lambda: Contracts.shipped(),
        lambda: [compile_schema(contract.schema) for contract in contracts],
    )
    asked = subprocess.run(
        [sys.executable, "-c", _WHEN_XMLSCHEMA_IS_LOADED], capture_output=True, text=True, check=True
    )
    return Costs(len(contracts), read_us / 1000, compile_us / 1000, tuple(rows), asked.stdout.strip() == "True")


def as_json(costs: Costs) -> dict[str, object]:
    """The machine output."""
    return {
        "contracts": costs.contracts,
        "read_ms": round(costs.read_ms, 2),
        "compile_ms": round(costs.compile_ms, 2),
        "ratio": round(costs.ratio, 3),
        "explains_only_refusals": costs.explains_only_refusals,
        "targets": {"compile_ms": MOST_COMPILE_MS, "ratio": MOST_RATIO},
        "rows": [asdict(row) | {"ratio": round(row.ratio, 3)} for row in costs.rows],
    }


def as_text(costs: Costs) -> str:
    """The same for people: the messages, slowest first, then what is promised."""
    lines = [f"{'contract':<42}{'message':<10}{'bytes':>8}{'lxml us':>10}{'ours us':>10}{'ratio':>8}"]
    lines += [
        f"{row.contract:<42}{row.message:<10}{row.bytes:>8}{row.lxml_us:>10.1f}{row.ours_us:>10.1f}{row.ratio:>8.2f}"
        for row in sorted(costs.rows, key=lambda row: -row.lxml_us)
    ]
    lines += [
        "",
        f"{f'reading {costs.contracts} contracts':<42}{costs.read_ms:>8.1f} ms",
        f"{'compiling their schemas':<42}{costs.compile_ms:>8.1f} ms   promised: at most {MOST_COMPILE_MS:g} ms",
        f"{'checking, to lxml alone':<42}{costs.ratio:>8.2f}      promised: at most {MOST_RATIO:g}",
        f"{'xmlschema is loaded for refusals only':<42}{'yes' if costs.explains_only_refusals else 'no':>8}",
    ]
    return "\n".join(lines)


def _medians(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Microseconds of processor time that each takes, in turns, so that what else the machine does hits all alike."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, times, strict=True):
            repeats, spent = 0, 0.0
            started = time.process_time()
            while spent < _SECONDS:
                work()
                repeats += 1
                spent = time.process_time() - started
            taken.append(spent / repeats * 1_000_000)
    return [statistics.median(taken) for taken in times]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    costs = measure()
    print(json.dumps(as_json(costs)) if arguments.json else as_text(costs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
