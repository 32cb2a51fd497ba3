"""`rivta log`: what happened to calls, over both platforms; and the log of looks at patients' data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import click

from rivta.cli import access_log
from rivta.cli.options import of_a_home
from rivta.cli.terminal import harmless, harmless_json, harmless_lines
from rivta.cli.times import PastTime

if TYPE_CHECKING:
    from rich.text import Text

    from rivta.router.record import CallRecord
    from rivta.run.home import Home

_Command = TypeVar("_Command", bound=Callable[..., Any])
_STORY_LIMIT = 1000
_NOT_FOUND = "(HTTP 404)"
_SHOWN_COMPLETIONS = 5
_SHORTEST_ID, _LONGEST_ID = 8, 500
"""Characters of a correlation id in a table: enough to tell apart those in it."""
_WIDE = 100
"""Columns of a terminal that has room for the sender too."""
_WIDTH_IN_A_FILE = 1000
"""Lines for grep, where there is no terminal to fit into."""
_OUTCOME = 3
"""Its column."""
_WHOLE_MS = 100
"""From here on, tenths of a millisecond tell nothing."""


def _common_options(command: _Command) -> _Command:
    command = click.option("--json", "as_json", is_flag=True, help="Print one CallRecord per line.")(command)
    command = click.option("--platform", metavar="NAME", help="Only this platform.  [default: all of the pair]")(
        command
    )
    return of_a_home(command)


@click.group(name="log", epilog="Example: rivta log search --outcome failed --since 1h")
def command() -> None:
    """Search the call log; verify and follow up the log of looks at patients' data."""


for _of_the_access_log in (
    access_log.verify,
    access_log.proof,
    access_log.looks,
    access_log.sample,
    access_log.review,
):
    command.add_command(_of_the_access_log)


@command.command(epilog="Example: rivta log search --contract GetDiagnosis --to SE2321000016-KS --since 10m")
@click.option(
    "--since", type=PastTime(), help="From then on: 10m, 2h, 1d ago, or ISO 8601, in Swedish time without an offset."
)
@click.option("--until", type=PastTime(), help="Before then.")
@click.option("--correlation-id", metavar="ID", help="One consumer's call, on every platform it crossed.")
@click.option("--sender", metavar="HSA-ID", help="Who called the platform.")
@click.option("--contract", metavar="CONTRACT", help="GetDiagnosis, GetDiagnosis:2 or a whole namespace.")
@click.option("--to", "logical_address", metavar="ADDRESS", help="The logical address called.")
@click.option(
    "--outcome",
    metavar="OUTCOME",
    help="routed, a code such as VP007, http-413, fault (a producer's own), or failed for all but routed.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many calls.")
@click.option("--full", is_flag=True, help="Whole correlation ids, and everything else whole, however wide.")
@_common_options
def search(home: str | None, platform: str | None, as_json: bool, limit: int, full: bool, **filters: Any) -> None:
    """Show the calls that match everything given, newest first.

    A call that crossed both platforms stands there twice, with the same correlation id. Its beginning, as it is shown,
    is enough for `rivta log show`. The outcome `fault` is a producer's own fault, routed back to the consumer. Times
    are Swedish.
    """
    from rivta.run.home import resolve

    folder = resolve(home)
    params = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in filters.items()}
    found = _newest_first(_calls(folder, platform, params | {"limit": limit}))[:limit]
    if as_json:
        _print_json(found)
    else:
        _print_table(found, _names(folder), full=full)


@command.command(epilog="Example: rivta log show 8f14e45f", short_help="Tell the whole story of a call.")
@click.argument("id")
@click.option("--trace", is_flag=True, help="As `rivta call --trace` shows it.")
@click.option("--payload", is_flag=True, help="Its messages too, where the platform keeps them (call_log.payload).")
@_common_options
def show(id: str, trace: bool, payload: bool, home: str | None, platform: str | None, as_json: bool) -> None:
    """Tell the whole story of a call, by its correlation id, the beginning of that, or the id of one record."""
    from rivta.audit.story import tell
    from rivta.catalogue.rows import SWEDISH_TIME
    from rivta.run.home import resolve

    folder = resolve(home)
    found = _trace(folder, platform, id)
    if not found:
        raise click.ClickException(
            f"no call in {folder.folder} has the id {id}: `rivta log search` shows what is there; "
            "a call is in the log about a second after its answer"
        )
    if trace:
        _show_trace(folder, found, as_json=as_json)
    elif as_json:
        _print_json(found)
    else:
        click.echo("\n".join(map(harmless, tell(found, names=_names(folder), zone=SWEDISH_TIME))))
    if payload:
        for record in found:
            _show_payload(folder, record)


def _show_trace(home: Home, found: list[CallRecord], *, as_json: bool) -> None:
    from rivta.cli.options import print_json
    from rivta.cli.trace import Platforms, Seen, put_together, trace_json
    from rivta.cli.trace_view import print_trace

    trace = put_together(found[0].correlation_id, found, Platforms(home), Seen(), home=home)
    if as_json:
        print_json(trace_json(trace))
    else:
        print_trace(trace)


def _show_payload(home: Home, record: CallRecord) -> None:
    """The messages of a call as they were kept, under a heading each."""
    from rivta.cli.admin import AdminClient

    name = _names(home).get(record.platform)
    if name is None or not (record.stored_request or record.stored_response):
        click.echo(f"\n{name or record.platform}: nothing was kept of this call's messages")
        return
    kept = AdminClient.of_platform(home, name).get(f"/calls/{quote(record.id, safe='')}/payload")
    for part in ("request", "response"):
        text = kept[part]
        click.echo(f"\n{name}: {part}" + ("" if text is not None else " was not kept"))
        if text is not None:
            click.echo(harmless_lines(text))


def _trace(home: Home, platform: str | None, id: str) -> list[CallRecord]:
    """The calls of one correlation id, oldest first: `id` is it, the id of a record in it, or its beginning."""
    found = _with_correlation_id(home, platform, id)
    if not found:
        ids = {record.correlation_id for record in _by_id(home, platform, id)} or _completions(home, platform, id)
        if len(ids) > 1:
            some = ", ".join(sorted(ids)[:_SHOWN_COMPLETIONS]) + (", ..." if len(ids) > _SHOWN_COMPLETIONS else "")
            raise click.ClickException(f"several correlation ids begin with {id}: {some}; write more of the one meant")
        found = [record for one in ids for record in _with_correlation_id(home, platform, one)]
    return _newest_first(found)[::-1]


def _with_correlation_id(home: Home, platform: str | None, correlation_id: str) -> list[CallRecord]:
    return _calls(home, platform, {"correlation_id": correlation_id, "limit": _STORY_LIMIT})


def _completions(home: Home, platform: str | None, beginning: str) -> set[str]:
    """The correlation ids that begin so."""
    found = _calls(home, platform, {"correlation_id_prefix": beginning, "limit": _STORY_LIMIT})
    return {record.correlation_id for record in found}


def _calls(home: Home, platform: str | None, params: Mapping[str, Any]) -> list[CallRecord]:
    from rivta.cli.admin import AdminClient

    answers = [AdminClient.of_platform(home, name).get("/calls", params) for name in _platforms(home, platform)]
    return [record for answer in answers for record in _records(answer)]


def _by_id(home: Home, platform: str | None, id: str) -> list[CallRecord]:
    from rivta.cli.admin import AdminClient

    found = []
    for name in _platforms(home, platform):
        try:
            found += _records(AdminClient.of_platform(home, name).get(f"/calls/{quote(id, safe='')}"))
        except click.ClickException as error:
            if not error.message.endswith(_NOT_FOUND):
                raise
    return found


def _records(answer: Any) -> list[CallRecord]:
    """The calls in an answer: a list of them under `calls`, or a single one."""
    from rivta.router.record import CallRecord

    try:
        return [CallRecord.from_fields(fields) for fields in answer.get("calls", [answer])]
    except (AttributeError, TypeError, ValueError) as error:
        raise click.ClickException("the keeper did not answer with calls: is it of the same version?") from error


def _platforms(home: Home, platform: str | None) -> list[str]:
    return [platform] if platform else list(home.endpoints()["platforms"])


def _names(home: Home) -> dict[str, str]:
    """The short names of the platforms by their HSA-ids."""
    return {endpoints["id"]: name for name, endpoints in home.endpoints()["platforms"].items()}


def _newest_first(records: Sequence[CallRecord]) -> list[CallRecord]:
    return sorted(records, key=lambda record: (datetime.fromisoformat(record.time), record.id), reverse=True)


def _print_json(records: Sequence[CallRecord]) -> None:
    for record in records:
        click.echo(harmless_json(record.to_json()))


def _print_table(records: Sequence[CallRecord], names: Mapping[str, str], *, full: bool) -> None:
    """One line a call, cut to the width of the terminal; the day stands above the first call of each."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from rivta.catalogue.rows import SWEDISH_TIME

    if not records:
        click.echo("no calls")
        return
    console = Console(highlight=False)
    if full or not console.is_terminal:
        console.width = _WIDTH_IN_A_FILE
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0) if console.width < _WIDE else (0, 2, 0, 0))
    for heading in ("id", "time", "platform", "outcome"):
        table.add_column(heading, no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("logical address", no_wrap=True)
    # What there is no room for is cut here, where the beginning tells the most.
    table.add_column("contract", overflow="ellipsis")
    has_senders = console.width >= _WIDE
    if has_senders:
        table.add_column("sender", overflow="ellipsis")
    length = _LONGEST_ID if full else _distinguishing_length([record.correlation_id for record in records])
    day = ""
    for record in records:
        time = datetime.fromisoformat(record.time).astimezone(SWEDISH_TIME)
        if (today := time.strftime("%Y-%m-%d")) != day:
            day = today
            table.add_row("", Text(day, style="dim"))
        table.add_row(*_row(record, time, names, id_length=length)[: None if has_senders else -1])
    console.print(table)


def _row(record: CallRecord, time: datetime, names: Mapping[str, str], *, id_length: int) -> list[Text]:
    from rich.text import Text

    from rivta.soap.identifiers import short_name

    texts = (
        record.correlation_id[:id_length],
        f"{time:%H:%M:%S}.{time.microsecond // 1000:03}",
        names.get(record.platform, record.platform),
        _outcome(record),
        f"{record.elapsed_ms:.1f}" if record.elapsed_ms < _WHOLE_MS else f"{record.elapsed_ms:.0f}",
        record.logical_address or "-",
        short_name(record.contract),
        record.sender or "-",
    )
    row = [Text(harmless(text)) for text in texts]
    if not record.is_routed:
        row[_OUTCOME].stylize("red")
    elif texts[_OUTCOME] != record.outcome:
        row[_OUTCOME].stylize("yellow")
    return row


def _outcome(record: CallRecord) -> str:
    """The outcome, where a producer's fault that was passed on is not shown as if all had gone well."""
    return "fault" if record.is_fault_of_producer else record.outcome


def _distinguishing_length(ids: Sequence[str]) -> int:
    """So many characters that no two of these ids look the same."""
    different = set(ids)
    lengths = range(_SHORTEST_ID, max(map(len, different)) + 1)
    return next((length for length in lengths if len({id[:length] for id in different}) == len(different)), _LONGEST_ID)
