"""`rivta record`: calls of the call log made into cases that can be sent again."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from rivta.cli.options import home_and_json, print_json
from rivta.cli.progress import progress_bar
from rivta.cli.times import PastTime

if TYPE_CHECKING:
    from rivta.cli.admin import AdminClient
    from rivta.router.record import CallRecord

_LATE = timedelta(seconds=30)
_LOOK_AGAIN_S = 0.5


@click.command(name="record", epilog="Example: rivta record --contract GetDiagnosis --since 10m --out recorded")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the cases.")
@click.option("--since", type=PastTime(), help="From then on: 10m, 2h, 1d ago, or ISO 8601.")
@click.option("--until", type=PastTime(), help="Before then.")
@click.option("--contract", metavar="CONTRACT", help="GetDiagnosis, GetDiagnosis:2 or a whole namespace.")
@click.option("--to", "logical_address", metavar="ADDRESS", help="The logical address called.")
@click.option("--sender", metavar="HSA-ID", help="Who called the platform.")
@click.option("--outcome", metavar="OUTCOME", help="routed, a code such as VP007, fault, or failed.")
@click.option("--correlation-id", metavar="ID", help="One consumer's call.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="At most so many calls."
)
@click.option("--platform", metavar="NAME", default="national", show_default=True, help="Whose calls.")
@click.option("--live", is_flag=True, help="Go on with what is called from now on, until Ctrl-C.")
@click.option(
    "--for", "seconds", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="With --live: so long."
)
@click.option("--keep-personal-numbers", is_flag=True, help="Do not replace personal numbers by test numbers.")
@home_and_json
def command(
    out: Path,
    limit: int,
    platform: str,
    keep_personal_numbers: bool,
    live: bool,
    seconds: float | None,
    home: str | None,
    as_json: bool,
    **filters: Any,
) -> int:
    """Make calls of the call log into cases for `rivta replay`, a folder each, the oldest first.

    The platform has to keep messages: call_log.payload = true. Personal numbers are replaced by official test numbers,
    the same always by the same; where the platform has masked them, requests ask about ${patient}.
    """
    from rivta.cli.admin import AdminClient
    from rivta.run.home import resolve

    if seconds is not None and not live:
        raise click.UsageError("--for goes together with --live")
    if live and (filters["since"] or filters["until"]):
        raise click.UsageError("--live is about what is called from now on: it goes without --since and --until")
    found = resolve(home)
    recorder = _Recorder(
        AdminClient.of_platform(found, platform),
        out,
        identities={one["hsa_id"].upper(): name for name, one in found.endpoints()["identities"].items()},
        keeps_numbers=keep_personal_numbers,
    )
    if live:
        recorder.follow(filters, limit=limit, seconds=seconds)
    else:
        recorder.record(filters, limit=limit)
    if as_json:
        left_out = [{"correlation_id": id, "reason": reason} for id, reason in recorder.reasons]
        written = [str(one) for one in recorder.written]
        print_json({"cases": written, "left_out": left_out, "replaced": recorder.replaced})
    else:
        _tell(out, len(recorder.written), recorder.reasons, recorder.replaced)
    if recorder.written:
        return 0
    if not as_json and not recorder.seen:
        told = "nothing was called" if live else "no call of the call log is as asked for"
        raise click.ClickException(f"{told}: `rivta log search` shows what is there")
    return 1


class _Recorder:
    """Makes calls into cases, each once."""

    def __init__(self, client: AdminClient, out: Path, *, identities: Mapping[str, str], keeps_numbers: bool) -> None:
        from rivta.testing.case_writing import next_number
        from rivta.testing.persons import Persons

        self._client, self._out, self._identities = client, out, identities
        self._persons = Persons()
        self._hide: Callable[[str], str] = str if keeps_numbers else self._persons.hidden
        self._number = next_number(out)
        self.seen: set[str] = set()
        self.written: list[Path] = []
        self.reasons: list[tuple[str, str]] = []

    @property
    def replaced(self) -> int:
        return self._persons.replaced

    def record(self, filters: Mapping[str, Any], *, limit: int) -> None:
        """Those that are in the call log, the oldest first."""
        records = self._new(filters, limit)
        with progress_bar("recording") as progress:
            for done, record in enumerate(records, 1):
                self._take(record)
                progress(done, len(records))

    def follow(self, filters: Mapping[str, Any], *, limit: int, seconds: float | None) -> None:
        """Those that come in from now on, as they come, until it has taken so long, there are `limit`, or Ctrl-C."""
        begun = datetime.now(UTC)
        ended = threading.Event()
        before = signal.signal(signal.SIGINT, lambda *_: ended.set())
        click.echo("recording what is called now; Ctrl-C ends it", err=True)
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            while not ended.is_set() and len(self.seen) < limit:
                # Records reach the log a little later than their time: those of the last seconds are looked at again.
                since = max(begun, datetime.now(UTC) - _LATE)
                for record in self._new({**filters, "since": since}, limit - len(self.seen)):
                    self._take(record)
                if deadline is not None and time.monotonic() >= deadline:
                    break
                ended.wait(_LOOK_AGAIN_S)
        finally:
            signal.signal(signal.SIGINT, before)

    def _new(self, filters: Mapping[str, Any], limit: int) -> list[CallRecord]:
        from rivta.cli.logged import logged_calls

        records = [
            one for one in logged_calls(self._client, filters, limit=limit + len(self.seen)) if one.id not in self.seen
        ]
        return sorted(records, key=lambda one: (datetime.fromisoformat(one.time), one.id))[:limit]

    def _take(self, record: CallRecord) -> None:
        from rivta.testing.case_writing import write_case
        from rivta.testing.recording import NotRecorded, case_of, name_of

        self.seen.add(record.id)
        request, response = _messages(self._client, record)
        case = case_of(record, request, response, hide=self._hide, identities=self._identities)
        if isinstance(case, NotRecorded):
            self.reasons.append((record.correlation_id, case.reason))
            return
        folder = self._out / name_of(record, self._number, self._hide)
        try:
            write_case(case, folder)
        except OSError as error:
            raise click.ClickException(f"{error.filename or folder}: {error.strerror}") from error
        self.written.append(folder)
        self._number += 1


def _tell(out: Path, written: int, reasons: list[tuple[str, str]], replaced: int) -> None:
    from rivta.cli.terminal import harmless

    numbers = f", {replaced} personal number{'' if replaced == 1 else 's'} replaced by test numbers" if replaced else ""
    click.echo(f"{written} case{'' if written == 1 else 's'} in {out}{numbers}")
    if reasons:
        id, reason = reasons[0]
        more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        hint = "" if written else "; a platform keeps messages with `up --keep-messages`, or call_log.payload = true"
        click.echo(f"left out {harmless(id)}{more}: {reason}{hint}", err=True)


def _messages(client: AdminClient, record: CallRecord) -> tuple[str | None, str | None]:
    if record.stored_request is None and record.stored_response is None:
        return None, None
    kept = client.get(f"/calls/{quote(record.id, safe='')}/payload")
    return kept["request"], kept["response"]
