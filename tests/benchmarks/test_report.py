"""From rows to ratios."""

import json
from typing import Any

from benchmarks import report
from benchmarks.measure import Result


def row(what: str, mode: str, **measured: Any) -> dict[str, object]:
    shape = {"connections": 16, "calls": 10, "failures": 0, "per_second": 1.0, "keeper_cpu_us": None, "p50_ms": 1.0}
    return {"what": what, "kb": 2, "mode": mode, **shape, "cpu_us": 1.0, "p99_ms": 1.0, **measured}


ROWS = [
    row("proxy", "closed", cpu_us=40.0),
    row("platform", "closed", cpu_us=500.0),
    row("pair", "closed", cpu_us=1000.0),
    row("proxy", "open", p99_ms=2.0),
    row("platform", "open", p99_ms=9.0),
]


def test_ratios_are_against_the_proxy_and_the_pair_against_one_platform() -> None:
    found = report.ratios(ROWS)
    assert found["routed_2kb_validated_cpu"] == 12.5
    assert found["pair_2kb_cpu"] == 2.0
    assert found["open_2kb_p99"] == 4.5


def test_without_the_proxy_there_are_no_ratios_against_it() -> None:
    found = report.ratios([one for one in ROWS if one["what"] != "proxy"])
    assert set(found) == {"pair_2kb_cpu", "pair_2kb_p50"}


def test_both_forms_hold_every_row() -> None:
    result = Result(rows=ROWS, up_warm_s=3.2, idle_pss_mb=321.0, with_proxy=True)
    machine = json.loads(json.dumps(report.as_json(result, quick=True)))
    assert machine["rows"] == ROWS
    text = report.as_text(result)
    assert len(text.splitlines()) == 1 + len(ROWS) + 1 + len(machine["ratios"]) + 2
    assert "at most 16" in text
