"""`rivta record`: calls of the call log made into cases that can be sent again."""

from __future__ import annotations

from datetime import datetime
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
@click.option("--keep-personal-numbers", is_flag=True, help="Do not replace personal numbers by test numbers.")
@home_and_json
def command(
    out: Path,
    limit: int,
    platform: str,
    keep_personal_numbers: bool,
    home: str | None,
    as_json: bool,
    **filters: Any,
) -> int:
    """Make calls of the call log into cases for `rivta replay`, a folder each, the oldest first.

    The platform has to keep messages: call_log.payload = true. Personal numbers are replaced by official test numbers,
    the same always by the same; where the platform has masked them, requests ask about ${patient}.
    """
    from rivta.cli.admin import AdminClient
    from rivta.cli.logged import logged_calls
    from rivta.run.home import resolve
    from rivta.testing.case_writing import next_number, write_case
    from rivta.testing.persons import Persons
    from rivta.testing.recording import NotRecorded, case_of, name_of

    found = resolve(home)
    client = AdminClient.of_platform(found, platform)
    identities = {one["hsa_id"].upper(): name for name, one in found.endpoints()["identities"].items()}
    records = sorted(
        logged_calls(client, filters, limit=limit), key=lambda one: (datetime.fromisoformat(one.time), one.id)
    )
    persons = Persons()
    hide = str if keep_personal_numbers else persons.hidden
    number, written, reasons = next_number(out), [], []
    with progress_bar("recording") as progress:
        for done, record in enumerate(records, 1):
            request, response = _messages(client, record)
            case = case_of(record, request, response, hide=hide, identities=identities)
            if isinstance(case, NotRecorded):
                reasons.append((record.correlation_id, case.reason))
            else:
                folder = out / name_of(record, number, hide)
                try:
                    write_case(case, folder)
                except OSError as error:
                    raise click.ClickException(f"{error.filename or folder}: {error.strerror}") from error
                written.append(folder)
                number += 1
            progress(done, len(records))
    if as_json:
        left_out = [{"correlation_id": id, "reason": reason} for id, reason in reasons]
        print_json({"cases": [str(one) for one in written], "left_out": left_out, "replaced": persons.replaced})
    else:
        _tell(out, len(written), reasons, persons.replaced)
    if written:
        return 0
    if not as_json and not records:
        raise click.ClickException("no call of the call log is as asked for: `rivta log search` shows what is there")
    return 1


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
