"""A run as JSON values: what `rivta replay --json` prints. More fields may be added."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rivta.testing.assertions import Finding
from rivta.testing.results import Outcome, Result, Run, figures, grouped


def run_json(run: Run) -> dict[str, Any]:
    """The whole run."""
    return {
        "started": run.started,
        "seconds": round(run.seconds, 3),
        "target": run.target,
        "planned": run.planned,
        "was_stopped": run.was_stopped,
        "passed": run.has_passed,
        "totals": {outcome.value: run.count(outcome) for outcome in Outcome},
        "contracts": _groups(run.results, "contract"),
        "producers": _groups(run.results, "producer"),
        "logical_addresses": _groups(run.results, "logical_address"),
        "results": [result_json(one) for one in run.results],
    }


def result_json(result: Result) -> dict[str, Any]:
    """One message."""
    return {
        "number": result.number,
        "case": result.name,
        "title": result.title,
        "row": result.row,
        "outcome": result.outcome.value,
        "contract": result.contract,
        "logical_address": result.logical_address,
        "sender": result.sender,
        "producer": result.producer,
        "correlation_id": result.correlation_id,
        "status": result.status,
        "fault": result.fault,
        "started_ms": round(result.started_s * 1000, 1),
        "late_ms": round(result.late_s * 1000, 1),
        "elapsed_ms": None if result.elapsed_s is None else round(result.elapsed_s * 1000, 1),
        "message": result.message,
        "findings": [_finding(one) for one in result.findings],
        "touched": None if result.touched is None else dataclasses.asdict(result.touched),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "assertion": finding.assertion,
        "place": finding.place,
        "message": finding.message,
        "differences": [
            {"path": one.path, "kind": one.kind.value, "expected": one.expected, "actual": one.actual}
            for one in finding.differences
        ],
        "more": finding.more,
    }


def _groups(results: Sequence[Result], by: str) -> list[dict[str, Any]]:
    found = []
    for name, some in grouped(results, by).items():
        numbers = figures(some)
        times = {f"p{percent}_ms": round(value * 1000, 1) for percent, value in numbers.percentiles_s.items()}
        found.append({"name": name, "messages": numbers.messages, "passed": numbers.passed, **times})
    return found
