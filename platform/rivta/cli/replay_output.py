"""What `rivta replay` shows to people: every message that did not pass, and the numbers."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from rivta.cli.terminal import harmless
from rivta.testing.assertions import Finding
from rivta.testing.results import Outcome, Result, Run, figures

_MOST_SHOWN = 20
_MOST_DIFFERENCES = 10


def print_run(run: Run) -> None:
    """The messages that did not pass, shortly, and the summary in a line or two. What was not sent was told before."""
    console = Console(highlight=False, soft_wrap=True)
    bad = _alike(one for one in run.results if one.outcome in (Outcome.FAILED, Outcome.UNANSWERED))
    for results in bad[:_MOST_SHOWN]:
        _print_result(console, results[0], times=len(results))
    left_out = sum(map(len, bad[_MOST_SHOWN:]))
    if left_out:
        console.print(Text(f"and {left_out} more that did not pass: --html or --json shows them all"))
    console.print(Text.assemble((_counts(run), "green" if run.has_passed else "bold red"), _times(run)))
    if run.was_stopped:
        console.print(Text(f"stopped: {run.planned - len(run.results)} messages were not sent", style="yellow"))


def _alike(results: Iterable[Result]) -> list[list[Result]]:
    """Messages of one case that did not pass for the same reasons, together."""
    together: dict[object, list[Result]] = {}
    for one in results:
        reasons = tuple((finding.assertion, finding.message) for finding in one.findings) or one.message
        together.setdefault((one.name, one.outcome, reasons), []).append(one)
    return list(together.values())


def _print_result(console: Console, result: Result, *, times: int) -> None:
    row = f" [row {result.row}]" if result.row else ""
    row += f", {times} times alike" if times > 1 else ""
    console.print(Text.assemble((result.outcome.value, "bold red"), f" {harmless(result.name)}{row}"))
    if result.message:
        console.print(Text(f"    {harmless(result.message)}"))
    for finding in result.findings:
        _print_finding(console, finding)
    if result.correlation_id and result.status is not None:
        console.print(Text(f"    rivta log show {harmless(result.correlation_id)} --trace", style="dim"))


def _print_finding(console: Console, finding: Finding) -> None:
    console.print(Text(f"    {harmless(finding.place)}: {harmless(finding.assertion)}: {harmless(finding.message)}"))
    for difference in finding.differences[:_MOST_DIFFERENCES]:
        console.print(Text(f"        {harmless(str(difference))}"))
    left_out = len(finding.differences[_MOST_DIFFERENCES:]) + finding.more
    if left_out:
        console.print(Text(f"        and {left_out} more"))


def _counts(run: Run) -> str:
    count = len(run.results)
    parts = [f"{run.count(outcome)} {outcome.value}" for outcome in Outcome if run.count(outcome)]
    return f"{count} message{'' if count == 1 else 's'}: {', '.join(parts) or 'nothing was sent'}"


def _times(run: Run) -> str:
    times = figures(run.results).percentiles_s
    late = max((one.late_s for one in run.results), default=0.0)
    told = f", in {run.seconds:.1f} s"
    if times:
        told += f" (p50 {times[50] * 1000:.0f} ms, p95 {times[95] * 1000:.0f} ms, longest {times[100] * 1000:.0f} ms)"
    return told + (f"; up to {late:.1f} s later than the rate asked for" if late > 1 else "")
