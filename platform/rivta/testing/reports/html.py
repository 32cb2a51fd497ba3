"""A run as one HTML file that needs nothing else: no script, style, font or picture from anywhere.

Whatever stands in it comes from answers, and is escaped; a policy in the page lets no other script run than its own.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.resources import files

from rivta.catalogue.rows import SWEDISH_TIME
from rivta.soap.identifiers import short_name
from rivta.testing.assertions import Finding
from rivta.testing.results import Outcome, Result, Run, figures, grouped
from rivta.testing.touched import Touched

MOST_ROWS = 3_000
"""Messages that are listed, those that did not pass first."""
_MOST_POINTS = 2_000
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 960, 220, 56, 26, 10
_STEPS_MS = (1, 10, 100, 1_000, 10_000, 100_000)
_UNSHOWABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_CALL_COLUMNS = ("platform", "contract", "logical address", "outcome", "route", "permission", "went to")
_STUB_COLUMNS = ("call", "stub producer", "logical address", "behaviour", "status", "headers as it saw them")
_CLASS = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.UNANSWERED: "unanswered",
    Outcome.REFUSED: "refused",
    Outcome.CUT_OFF: "cut",
}


def html_page(run: Run) -> str:
    """The page."""
    style, script = _part("page.css"), _part("page.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'"
    listed = sorted(run.results, key=lambda one: (not one.is_bad, one.number))[:MOST_ROWS]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{_verdict(run)}: rivta replay</title><style>{style}</style></head><body><main>",
        _heading(run),
        _timing(run),
        _table("Contracts", "contract", grouped(run.results, "contract"), short=True),
        _table("Producers", "producer", grouped(run.results, "producer")),
        _table("Logical addresses", "logical address", grouped(run.results, "logical_address")),
        _messages(run, listed),
        f"</main><script>{script}</script></body></html>",
    ]
    return _UNSHOWABLE.sub("\ufffd", "\n".join(part for part in parts if part))


def _verdict(run: Run) -> str:
    bad = sum(one.is_bad for one in run.results)
    if run.has_passed:
        return f"{len(run.results)} passed"
    if run.was_stopped:
        return f"stopped after {len(run.results)} of {run.planned}"
    return f"{bad} of {len(run.results)} did not pass" if run.results else "nothing was sent"


def _heading(run: Run) -> str:
    started = datetime.fromisoformat(run.started).astimezone(SWEDISH_TIME)
    numbers = figures(run.results)
    cards = [("", str(len(run.results)), "messages"), ("good", str(numbers.passed), "passed")]
    cards += [
        ("warn" if outcome in (Outcome.REFUSED, Outcome.CUT_OFF) else "bad", str(count), outcome.value)
        for outcome in Outcome
        if outcome is not Outcome.PASSED and (count := run.count(outcome))
    ]
    cards += [
        ("", _ms(value), f"p{percent}" if percent < 100 else "longest")
        for percent, value in numbers.percentiles_s.items()
        if percent != 90
    ]
    shown = "".join(
        f'<div class="card {kind}"><b>{value}</b><span>{label}</span></div>' for kind, value, label in cards
    )
    stopped = f" &middot; stopped: {run.planned - len(run.results)} were not sent" if run.was_stopped else ""
    return (
        f'<h1>{_verdict(run)}</h1><p class="sub">{escape(run.target)} &middot; {started:%Y-%m-%d %H:%M:%S} &middot; '
        f'{run.seconds:.1f} s{stopped}</p><div class="cards">{shown}</div>'
    )


def _timing(run: Run) -> str:
    """Every answered message as a point: when it was sent, and how long it took, on a logarithmic scale."""
    answered = [one for one in run.results if one.elapsed_s is not None]
    if not answered:
        return ""
    bad = [one for one in answered if one.is_bad][:_MOST_POINTS]
    good = [one for one in answered if not one.is_bad]
    good = good[:: max(1, -(-len(good) // _MOST_POINTS))]
    longest_ms = max((one.elapsed_s or 0.0) * 1000 for one in answered)
    shortest_ms = max(0.1, min((one.elapsed_s or 0.0) * 1000 for one in answered))
    top = 10 ** math.ceil(math.log10(max(longest_ms, 1.0)) + 1e-9)
    bottom = min(10 ** math.floor(math.log10(shortest_ms)), top / 10)
    width_s = max(max(one.started_s for one in answered), 0.001)

    def x(seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 10) * seconds / width_s

    def y(milliseconds: float) -> float:
        part = math.log10(max(milliseconds, bottom) / bottom) / math.log10(top / bottom)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * part

    lines = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y(step):.1f}" y2="{y(step):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y(step) + 4:.1f}" text-anchor="end">{_ms(step / 1000)}</text>'
        for step in _STEPS_MS
        if bottom <= step <= top
    ]
    lines += [
        f'<text x="{x(at):.1f}" y="{_HEIGHT - 8}" text-anchor="{"middle" if at < width_s else "end"}">{at:.3g} s</text>'
        for at in (width_s * part / 4 for part in range(5))
    ]
    points = [_point(one, x(one.started_s), y((one.elapsed_s or 0.0) * 1000)) for one in (*good, *bad)]
    label = f"Times of {len(answered)} messages, from {_ms(shortest_ms / 1000)} to {_ms(longest_ms / 1000)}"
    return (
        f'<h2>Times</h2><div class="box"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(lines)}{''.join(points)}</svg></div>"
    )


def _point(result: Result, x: float, y: float) -> str:
    told = f"{result.name}: {_ms(result.elapsed_s or 0.0)}, {result.outcome.value}"
    kind = ' class="bad"' if result.is_bad else ""
    return f'<circle{kind} cx="{x:.1f}" cy="{y:.1f}" r="3.2"><title>{escape(told)}</title></circle>'


def _table(title: str, heading: str, groups: dict[str, list[Result]], *, short: bool = False) -> str:
    if set(groups) <= {"-"}:
        return ""
    head = "".join(f'<th class="n">{name}</th>' for name in ("messages", "not passed", "p50", "p95", "p99", "longest"))
    rows = []
    for name, some in groups.items():
        numbers = figures(some)
        times = [_ms(numbers.percentiles_s[percent]) if numbers.percentiles_s else "-" for percent in (50, 95, 99, 100)]
        bad = f'<b class="failed">{numbers.bad}</b>' if numbers.bad else "0"
        cells = "".join(f'<td class="n">{value}</td>' for value in (str(numbers.messages), bad, *times))
        rows.append(f"<tr><td>{escape(short_name(name) if short else name)}</td>{cells}</tr>")
    return f'<h2>{title}</h2><div class="box"><table><tr><th>{heading}</th>{head}</tr>{"".join(rows)}</table></div>'


def _messages(run: Run, listed: Sequence[Result]) -> str:
    there = dict.fromkeys(one.outcome for one in listed)
    options = "".join(f'<option value="{_CLASS[one]}">{one.value}</option>' for one in there)
    left_out = len(run.results) - len(listed)
    note = f'<p class="note">{left_out} more that passed are not listed.</p>' if left_out else ""
    return (
        '<h2>Messages</h2><div class="filter"><input id="words" type="search" aria-label="Filter" '
        'placeholder="Filter by case, address, code, text"><select id="outcome" aria-label="Outcome">'
        f'<option value="">all outcomes</option>{options}</select>'
        '<span class="note" id="shown" role="status"></span></div>'
        '<div class="box"><table><tr><th>outcome</th><th>case</th><th>contract</th><th>logical address</th>'
        f'<th class="n">status</th><th class="n">time</th></tr>{"".join(map(_row, listed))}</table></div>{note}'
    )


def _row(result: Result) -> str:
    name = f"{escape(result.name)}{f' [{result.row}]' if result.row else ''}"
    told = f'<div class="note">{escape(result.title)}</div>' if result.title else ""
    body = f"{name}{told}"
    if result.is_bad:
        body = f"<details open><summary>{name}</summary>{told}{_details(result)}</details>"
    elif result.touched is not None:
        body = f"<details><summary>{name}</summary>{told}{_touched(result.touched)}</details>"
    status = " ".join(str(one) for one in (result.status, result.fault) if one)
    kind = _CLASS[result.outcome]
    return (
        f'<tr data-outcome="{kind}"><td class="outcome {kind}">{result.outcome.value}</td><td>{body}</td>'
        f"<td>{escape(short_name(result.contract))}</td><td>{escape(result.logical_address or '-')}</td>"
        f'<td class="n">{escape(status) or "-"}</td><td class="n">'
        f"{'-' if result.elapsed_s is None else _ms(result.elapsed_s)}</td></tr>"
    )


def _details(result: Result) -> str:
    parts = [f"<p>{escape(result.message)}</p>"] if result.message else []
    parts += map(_finding, result.findings)
    if result.correlation_id:
        parts.append(f'<p class="note">correlation id <code>{escape(result.correlation_id)}</code></p>')
    if result.touched is not None:
        parts.append(_touched(result.touched))
    if result.answer:
        parts.append(f"<details><summary>the answer</summary><pre>{escape(result.answer)}</pre></details>")
    return "".join(parts)


def _touched(touched: Touched) -> str:
    """The calls that were made for a message, and what stub producers were sent."""
    calls = "".join(
        f"<tr><td>{escape(one.platform)}</td><td>{escape(short_name(one.contract))}</td>"
        f"<td>{escape(one.logical_address or '-')}</td><td>{escape(one.outcome)}</td>"
        f"<td><code>{escape(one.route or '-')}</code></td><td><code>{escape(one.permission or '-')}</code></td>"
        f"<td>{escape(', '.join(one.sources) or one.producer_url or '-')}</td></tr>"
        for one in touched.calls
    )
    stubs = "".join(
        f"<tr><td>{one.number}</td><td>{escape(one.producer)}</td><td>{escape(one.logical_address)}</td>"
        f"<td>{escape(one.behaviour)}</td><td>{one.status or '-'}</td>"
        f"<td><pre>{escape(chr(10).join(f'{name}: {value}' for name, value in one.headers))}</pre></td></tr>"
        for one in touched.stubs
    )
    head = "".join(f"<th>{name}</th>" for name in _CALL_COLUMNS)
    parts = [f'<table class="diff"><tr>{head}</tr>{calls}</table>'] if calls else []
    if stubs:
        head = "".join(f"<th>{name}</th>" for name in _STUB_COLUMNS)
        parts.append(f'<table class="diff"><tr>{head}</tr>{stubs}</table>')
    told = "".join(parts) or '<p class="note">nothing is in the call logs</p>'
    return f"<details><summary>what it touched</summary>{told}</details>"


def _finding(finding: Finding) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one.path)}</code></td><td>{one.kind.value}</td>"
        f"<td>{f'<del>{escape(one.expected)}</del>' if one.expected else ''}</td>"
        f"<td>{f'<ins>{escape(one.actual)}</ins>' if one.actual else ''}</td></tr>"
        for one in finding.differences
    )
    head = "<tr><th>path</th><th></th><th>expected</th><th>got</th></tr>"
    table = f'<table class="diff">{head}{rows}</table>' if rows else ""
    more = f'<p class="note">and {finding.more} more</p>' if finding.more else ""
    return (
        f'<div class="finding"><b>{escape(finding.assertion)}</b>: {escape(finding.message)} '
        f'<span class="place">{escape(finding.place)}</span>{table}{more}</div>'
    )


def _ms(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1000:.3g} ms"


def _part(name: str) -> str:
    return files("rivta.testing.reports").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
