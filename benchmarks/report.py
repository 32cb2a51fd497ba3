"""What a run says: ratios against the proxy, for scripts and for people."""

import os
import platform
from typing import Any

from benchmarks.measure import Result

TARGETS = {
    "routed_2kb_validated_cpu": 16.0,
    "open_2kb_p99": 10.0,
    "pair_2kb_cpu": 2.2,
}
"""What a ratio may be at most, where that is promised."""
MOST_SECONDS_UP_WARM = 6.0
MOST_IDLE_MB = 550.0


def as_json(result: Result, *, quick: bool) -> dict[str, Any]:
    """The machine output: `ratios`, `rows`, and what else was measured."""
    return {
        "ratios": ratios(result.rows),
        "targets": TARGETS,
        "rows": result.rows,
        "up_warm_s": result.up_warm_s,
        "idle_pss_mb": result.idle_pss_mb,
        "quick": quick,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
    }


def ratios(rows: list[dict[str, object]]) -> dict[str, float]:
    """Ours to the proxy's, and the pair's to one platform's; a ratio is left out when one of its halves is not there.

    `routed_*_cpu`: processor time of a worker per call. `open_*_p99`: the slowest hundredth, at half of our capacity.
    """
    found: dict[str, float] = {}
    for kb in sorted({kb for row in rows if isinstance(kb := row["kb"], int)}):
        for name, ours, theirs, mode, measure in (
            (f"routed_{kb}kb_validated_cpu", "platform", "proxy", "closed", "cpu_us"),
            (f"routed_{kb}kb_shipped_cpu", "platform as shipped", "proxy", "closed", "cpu_us"),
            (f"pair_{kb}kb_cpu", "pair", "platform", "closed", "cpu_us"),
            (f"pair_{kb}kb_p50", "pair", "platform", "closed", "p50_ms"),
            (f"open_{kb}kb_p99", "platform", "proxy", "open", "p99_ms"),
        ):
            over, under = (_value(rows, who, kb, mode, measure) for who in (ours, theirs))
            if over and under:
                found[name] = round(over / under, 2)
    return found


def _value(rows: list[dict[str, object]], what: str, kb: int, mode: str, measure: str) -> float | None:
    for row in rows:
        value = row.get(measure)
        if (row["what"], row["kb"], row["mode"]) == (what, kb, mode) and isinstance(value, int | float):
            return float(value)
    return None


def as_text(result: Result) -> str:
    """The same for people: one line for each thing measured, then the ratios and whether they keep their promise."""
    columns = (
        "what",
        "kb",
        "mode",
        "connections",
        "calls",
        "failures",
        "per_second",
        "cpu_us",
        "keeper_cpu_us",
        "p50_ms",
        "p99_ms",
    )
    table = [columns, *(tuple(_shown(row[column]) for column in columns) for row in result.rows)]
    widths = [max(len(line[index]) for line in table) for index in range(len(columns))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == "what" or column == "mode" else cell.rjust(width)
            for column, cell, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in table
    ]
    lines.append("")
    for name, value in ratios(result.rows).items():
        promise = f"   promised: at most {TARGETS[name]:g}" if name in TARGETS else ""
        lines.append(f"{name:<28}{value:>8.2f}{promise}")
    lines.append(f"{'up, warm, to ready':<28}{result.up_warm_s:>8.2f} s promised: at most {MOST_SECONDS_UP_WARM:g} s")
    lines.append(f"{'idle memory (PSS)':<28}{result.idle_pss_mb:>8.1f} MB promised: at most {MOST_IDLE_MB:g} MB")
    lines += [f"{row['what']} {row['kb']} KB failed: {row['first_failure']}" for row in result.rows if row["failures"]]
    return "\n".join(lines)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if isinstance(value, float) and value >= 1000 else str(value)
