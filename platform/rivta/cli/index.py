"""`rivta index`: what an engagement index holds, changing it, and what its subscribers are still to be told."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rivta.cli.options import home_and_json, print_json
from rivta.cli.times import Time

if TYPE_CHECKING:
    from rivta.cli.admin import AdminClient
    from rivta.cli.index_call import IndexCaller
    from rivta.cli.index_check import Checked, Plan
    from rivta.index.engagement import Engagement, Transaction

_Command = TypeVar("_Command", bound=Callable[..., Any])

_POLL_SECONDS = 0.1
_WIDTH_IN_A_FILE = 1000
"""Lines for grep, where there is no terminal to fit into."""
_FEWEST_PASSES = 2
"""Looks in which nothing waited and nothing came in, before an index has settled."""


def _platform_option(command: _Command) -> _Command:
    help = "Whose index.  [default: national]"
    return click.option("--platform", metavar="NAME", default="national", help=help)(command)


def _as_options(command: _Command) -> _Command:
    """`--as` and `--index`, for real calls."""
    command = click.option(
        "--index", "address", metavar="ADDRESS", help="Logical address of the index.  [default: what the platform says]"
    )(command)
    help = "Whose certificate to use: an identity, or a stub producer.  [default: journal]"
    return click.option("--as", "identity", metavar="IDENTITY", help=help)(command)


@click.group(name="index", epilog="Example: rivta index find --patient 191212121212")
def command() -> None:
    """Ask and change the engagement index, and see what its subscribers are still to be told."""


@command.command(epilog="Example: rivta index find --patient 191212121212 --category dia")
@click.option("--patient", metavar="ID", required=True, help="About whom.")
@click.option("--domain", metavar="DOMAIN", help="Service domain.  [default: every domain that the index has]")
@click.option("--category", metavar="CATEGORY", help="Categorization, as dia.")
@click.option("--logical-address", metavar="ADDRESS", help="Of the engagement.")
@click.option("--source", metavar="HSA-ID", help="Source system.")
@click.option("--owner", metavar="HSA-ID", help="The index that it was first reported to.")
@click.option("--since", type=Time(), help="Only with content at least as new.")
@_as_options
@_platform_option
@home_and_json
def find(
    patient: str,
    domain: str | None,
    category: str | None,
    logical_address: str | None,
    source: str | None,
    owner: str | None,
    since: datetime | None,
    identity: str | None,
    address: str | None,
    platform: str,
    home: str | None,
    as_json: bool,
) -> None:
    """Show which sources have something about a patient, by FindContent."""
    from rivta.cli.index_call import caller
    from rivta.index.client import Question, find_content, hits
    from rivta.index.engagement import timestamp
    from rivta.run.home import resolve

    domains = [domain] if domain else _domains(_client(home, platform))
    questions = [
        Question(
            registered_resident_id=patient,
            service_domain=one,
            categorization=category,
            logical_address=logical_address,
            source_system=source,
            owner=owner,
            most_recent_content=timestamp(since) if since else None,
        )
        for one in domains
    ]
    with caller(resolve(home), platform, identity, address) as index:
        found = [one for question in questions for one in hits(index.call(find_content(question)))]
    if as_json:
        print_json({"engagements": [_engagement_json(one) for one in found]})
    else:
        _print_engagements(found)


@command.command(
    epilog="Example: rivta index update --patient 191212121212 --domain riv:clinicalprocess:healthcond:description "
    "--category dia --logical-address SE2321000255-SUS --source SE2321000255-JS --controller SE2321000255 "
    "--object note-1"
)
@click.option("--patient", metavar="ID", required=True, help="About whom.")
@click.option("--domain", metavar="DOMAIN", required=True, help="Service domain.")
@click.option("--category", metavar="CATEGORY", required=True, help="Categorization, as dia.")
@click.option("--logical-address", metavar="ADDRESS", required=True, help="Whom a consumer must be permitted to call.")
@click.option("--source", metavar="HSA-ID", required=True, help="Source system: where the call goes.")
@click.option("--controller", metavar="ID", required=True, help="Who answers for the data.")
@click.option("--object", "business_object", metavar="ID", default="NA", show_default=True, help="One document.")
@click.option("--process", metavar="ID", default="NA", show_default=True, help="Course of care.")
@click.option("--newest", type=Time(), help="When the newest content became of interest.  [default: now]")
@click.option("--delete", is_flag=True, help="Take it away instead.")
@_as_options
@_platform_option
@home_and_json
def update(
    patient: str,
    domain: str,
    category: str,
    logical_address: str,
    source: str,
    controller: str,
    business_object: str,
    process: str,
    newest: datetime | None,
    delete: bool,
    identity: str | None,
    address: str | None,
    platform: str,
    home: str | None,
    as_json: bool,
) -> None:
    """Add, change or take away an engagement, by Update."""
    from datetime import UTC

    from rivta.cli.index_call import caller
    from rivta.index.engagement import Engagement, Transaction, timestamp
    from rivta.run.home import resolve

    row = Engagement(
        registered_resident_id=patient,
        service_domain=domain,
        categorization=category,
        logical_address=logical_address,
        business_object_instance_id=business_object,
        clinical_process_interest_id=process,
        most_recent_content=timestamp(newest or datetime.now(UTC)),
        source_system=source,
        data_controller=controller,
    )
    with caller(resolve(home), platform, identity, address) as index:
        _update(index, [Transaction(delete, row)])
    if as_json:
        print_json({"updated": 1, "index": index.address})
    else:
        click.echo(f"{'taken away at' if delete else 'stored in'} the index {index.address}")


@command.command(epilog="Example: rivta index load engagements.csv")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--skip", type=click.IntRange(0), default=0, metavar="N", help="Leave out the first N rows.")
@_as_options
@_platform_option
@home_and_json
def load(
    file: Path,
    skip: int,
    identity: str | None,
    address: str | None,
    platform: str,
    home: str | None,
    as_json: bool,
) -> None:
    """Send the rows of FILE (.csv, .json or .xml) to the index, in Updates of at most 1000.

    Columns are named as the elements of the schema, with deleteFlag for rows to be taken away. What the index refuses
    ends it; the rows before stay, and it says how to go on.
    """
    from rivta.cli.index_call import caller
    from rivta.cli.progress import progress_bar
    from rivta.run.home import resolve

    total = _count(file) - skip  # every row is looked at before the first is sent
    with (
        caller(resolve(home), platform, identity, address) as index,
        progress_bar(f"loading {file.name}") as tell,
    ):
        sent = _load(index, file, skip, lambda done: tell(done, total))
    if as_json:
        print_json({"updated": sent, "index": index.address})
    else:
        click.echo(f"{sent} rows are in the index {index.address}")


def _count(file: Path) -> int:
    from rivta.cli.index_rows import BadRows, read_rows

    try:
        return sum(1 for _ in read_rows(file))
    except (BadRows, OSError) as error:
        raise click.ClickException(str(error)) from error


def _load(index: IndexCaller, file: Path, skip: int, tell: Callable[[int], None]) -> int:
    from itertools import islice

    from rivta.cli.index_rows import portions, read_rows
    from rivta.index.validation import MOST_TRANSACTIONS

    sent = 0
    for rows in portions(islice(read_rows(file), skip, None), MOST_TRANSACTIONS):
        first = skip + sent + 1
        try:
            _update(index, rows)
        except click.ClickException as error:
            raise click.ClickException(
                f"{file}: rows {first} to {first + len(rows) - 1} are not stored: {error.message}; "
                f"{sent} rows are. Go on with --skip {skip + sent}"
            ) from error
        sent += len(rows)
        tell(sent)
    return sent


def _update(index: IndexCaller, rows: Sequence[Transaction]) -> None:
    from rivta.index.wire import changes_element
    from rivta.soap import namespaces

    index.call(changes_element(namespaces.UPDATE_1, "Update", rows))


@command.command(epilog="Example: rivta index stats --json")
@_platform_option
@home_and_json
def stats(platform: str, home: str | None, as_json: bool) -> None:
    """Show how many engagements of each kind the index has, who subscribes, and what waits for them."""
    found = _client(home, platform).get("/index")
    if as_json:
        print_json(found)
    else:
        _print_stats(found)


@command.command(epilog="Example: rivta index wait --timeout 30")
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=30, show_default=True, metavar="SECONDS", help="At most so long."
)
@click.option("--platform", metavar="NAME", help="Only this platform's.  [default: all of the pair]")
@home_and_json
def wait(timeout: float, platform: str | None, home: str | None, as_json: bool) -> int:
    """Wait until the indexes have settled: everything taken is stored, and whoever subscribes has been told; and the
    stub producers have announced what they have.

    The exit code is 1 when that takes too long; what was given up is not waited for.
    """
    clients = _clients(home, platform)
    started, passes, taken = time.monotonic(), 0, -1
    while True:
        found = {name: client.get("/index/queues") for name, client in clients.items()}
        now_taken = sum(one["taken"] for one in found.values())
        unannounced = _unannounced(home, platform)
        quiet = all(one["settled"] for one in found.values()) and (now_taken == taken or not passes)
        quiet = quiet and not unannounced
        passes, taken = passes + 1 if quiet else 0, now_taken
        waited = time.monotonic() - started
        if passes >= _FEWEST_PASSES or waited > timeout:
            break
        time.sleep(_POLL_SECONDS)
    settled = passes >= _FEWEST_PASSES
    if as_json:
        print_json({"settled": settled, "waited_s": round(waited, 1), "platforms": found})
    elif settled:
        click.echo(f"settled after {waited:.1f} s")
    else:
        raise click.ClickException(f"not settled after {timeout:g} s: {'; '.join(unannounced or _what_waits(found))}")
    return 0 if settled else 1


@command.command(epilog="Example: rivta index check --source SE2321000016-KS --contract GetDiagnosis")
@click.option("--source", "sources", metavar="ADDRESS", multiple=True, help="A source.  [default: all that announced]")
@click.option(
    "--contract", "contracts", metavar="CONTRACT", multiple=True, help="A contract.  [default: all aggregated]"
)
@click.option("--patient", "patients", metavar="ID", multiple=True, help="A patient.  [default: all in the index]")
@click.option(
    "--as", "identity", metavar="IDENTITY", help="Whose certificate to use.  [default: npo, or journal at regional]"
)
@click.option("--most", type=click.IntRange(1), default=2000, show_default=True, metavar="N", help="Calls.")
@_platform_option
@home_and_json
def check(
    sources: tuple[str, ...],
    contracts: tuple[str, ...],
    patients: tuple[str, ...],
    identity: str | None,
    most: int,
    platform: str,
    home: str | None,
    as_json: bool,
) -> int:
    """Ask the sources for what they have, and compare it with what they have announced.

    Told are records that are not announced, announcements without records, and those whose newest content is older than
    the newest record's header says; and sources that did not answer, which nobody knows of. A source is given up for a
    contract after three calls without an answer. It reads patients' data: it needs an admin's token, and every call is
    recorded. The exit code is 1 when anything differs.
    """
    from rivta.cli.index_check import Wanted, planned
    from rivta.cli.index_check import check as checked
    from rivta.cli.options import find_contract
    from rivta.cli.progress import progress_bar
    from rivta.cli.source_call import CALLERS
    from rivta.contracts.installed import Contracts
    from rivta.run.home import resolve

    found = resolve(home)
    client = _client(home, platform)
    endpoints = found.endpoints()
    name = identity or CALLERS.get(platform, "npo")
    if name not in endpoints["identities"]:
        raise click.UsageError(f"identity {name!r} is not one of this pair's: {', '.join(endpoints['identities'])}")
    caller = endpoints["identities"][name]
    namespaces = tuple(str(find_contract(found, one).namespace) for one in contracts)
    plan = planned(Wanted(sources, namespaces, patients, most), client.ask, sender=caller["hsa_id"])
    with progress_bar("asking sources") as tell:
        done = checked(
            plan,
            endpoints=endpoints,
            platform=platform,
            identity=caller,
            contracts=Contracts.shipped(found.contracts),
            tell=tell,
        )
    if as_json:
        print_json(_checked_json(done, plan))
    else:
        _print_checked(done, plan)
    return 1 if done.differences else 0


def _checked_json(done: Checked, plan: Plan) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "calls": done.calls,
        "not_asked": done.not_asked,
        "left_out": plan.left_out,
        "whole_index": plan.is_whole,
        "differences": [asdict(one) | {"kind": one.kind.value} for one in done.differences],
    }


def _print_checked(done: Checked, plan: Plan) -> None:
    from rivta.soap.identifiers import short_name

    if done.differences:
        _print_table(
            ("", "source", "contract", "patient", "announced", "records", "newest", "why"),
            [
                (
                    one.kind.value,
                    one.source,
                    short_name(one.contract),
                    one.patient,
                    _written(one.announced),
                    str(one.records),
                    _written(one.newest),
                    one.text,
                )
                for one in done.differences
            ],
        )
    if done.not_asked:
        click.echo(f"{done.not_asked} calls were not made: their source had stopped answering, or has no schema here")
    if plan.left_out:
        click.echo(f"{plan.left_out} calls were left out: --most is how many are made, or narrow it")
    if not plan.is_whole:
        click.echo("the index has more engagements than were read: narrow it with --source and --patient")
    click.echo(f"{len(done.differences)} differences in {done.calls} calls")


def _unannounced(home: str | None, platform: str | None) -> list[str]:
    """What the demo's stub producers, where there are any, have not got rid of yet."""
    from rivta.cli.admin import AdminClient
    from rivta.run.home import resolve

    if resolve(home).endpoints()["stubs"] is None:
        return []
    announced = AdminClient.of_stubs(resolve(home)).get("/announcements")
    return [
        f"{one['platform']} has not taken what {one['producer']} announces ({one['problem'] or 'not sent yet'})"
        for one in announced["announcements"]
        if not one["taken"] and platform in (None, one["platform"])
    ]


def _what_waits(found: dict[str, Any]) -> list[str]:
    told = []
    for name, one in found.items():
        if one["inbox"]:
            locked = " while it is write-locked" if one["write_locked"] else ""
            told.append(f"{name} has {one['inbox']} messages that have not taken effect{locked}")
        for queue in one["queues"]:
            if queue["waiting"]:
                why = f" ({queue['reason']})" if queue["reason"] else ""
                told.append(f"{name} has {queue['waiting']} notifications for {queue['subscriber']}{why}")
    return told or ["messages keep coming in"]


@command.group(epilog="Example: rivta index dead list")
def dead() -> None:
    """Notifications that were given up, since their subscriber did not take them."""


@dead.command(name="list", epilog="Example: rivta index dead list --json")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@_platform_option
@home_and_json
def list_(limit: int, platform: str, home: str | None, as_json: bool) -> None:
    """Show them, newest first, with the reason; not whom they are about."""
    found = _client(home, platform).get("/index/dead", {"limit": limit})
    if as_json:
        print_json(found)
    else:
        _print_dead(found["dead"])


@dead.command(epilog="Example: rivta index dead show 7")
@click.argument("id", type=click.IntRange(1))
@_platform_option
@home_and_json
def show(id: int, platform: str, home: str | None, as_json: bool) -> None:
    """Show one with what it says: patient data, so it needs an admin's token."""
    found = _client(home, platform).get(f"/index/dead/{id}")
    if as_json:
        print_json(found)
    else:
        _print_letter(found)


@dead.command(epilog="Example: rivta index dead send --all")
@click.argument("ids", metavar="[ID]...", type=click.IntRange(1), nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every one.")
@_platform_option
@home_and_json
def send(ids: tuple[int, ...], every: bool, platform: str, home: str | None, as_json: bool) -> None:
    """Send some, or all, again. They tell how the rows are now, not how they were."""
    if every == bool(ids):
        raise click.UsageError("name the ids that `rivta index dead list` shows, or give --all")
    wish: dict[str, Any] = {"all": True} if every else {"ids": [str(id) for id in ids]}
    done = _client(home, platform).request("POST", "/index/dead/send", body=wish)
    if as_json:
        print_json(done)
    else:
        click.echo(f"{done['sent']} are back in their queues")


@dead.command(epilog="Example: rivta index dead discard 7")
@click.argument("id", type=click.IntRange(1))
@_platform_option
@home_and_json
def discard(id: int, platform: str, home: str | None, as_json: bool) -> None:
    """Throw one away: its subscriber is never told."""
    done = _client(home, platform).request("DELETE", f"/index/dead/{id}")
    if as_json:
        print_json(done)
    else:
        click.echo(f"{done['discarded']} is thrown away")


def _client(home: str | None, platform: str) -> AdminClient:
    from rivta.cli.admin import AdminClient
    from rivta.run.home import resolve

    return AdminClient.of_platform(resolve(home), platform)


def _clients(home: str | None, platform: str | None) -> dict[str, AdminClient]:
    from rivta.run.home import HomeError, resolve

    try:
        names = [platform] if platform else list(resolve(home).endpoints()["platforms"])
    except HomeError as error:
        raise click.ClickException(str(error)) from error
    return {name: _client(home, name) for name in names}


def _domains(client: AdminClient) -> list[str]:
    return sorted({one["service_domain"] for one in client.get("/index")["kinds"]})


def _engagement_json(one: Engagement) -> dict[str, Any]:
    from rivta.index.engagement import FIELDS

    return {field.wire: getattr(one, field.name) for field in FIELDS}


def _print_engagements(found: Sequence[Engagement]) -> None:
    if not found:
        click.echo("the index has nothing that matches")
        return
    _print_table(
        ("category", "logical address", "source system", "newest", "created", "changed", "controller", "owner"),
        [
            (
                one.categorization,
                one.logical_address,
                one.source_system,
                _written(one.most_recent_content),
                _written(one.creation_time),
                _written(one.update_time),
                one.data_controller,
                one.owner,
            )
            for one in found
        ],
    )


def _written(text: str | None) -> str:
    """`20261124120000` as people read it."""
    return "-" if not text else f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[8:10]}:{text[10:12]}"


def _print_stats(found: dict[str, Any]) -> None:
    click.echo(f"index {found['hsa_id']}: {found['engagements']} engagements")
    if found["kinds"]:
        _print_table(
            ("domain", "category", "owner", "engagements", "newest"),
            [
                (
                    one["service_domain"],
                    one["categorization"],
                    one["owner"],
                    str(one["number"]),
                    _written(one["newest"]),
                )
                for one in found["kinds"]
            ],
        )
    if found["write_locked"]:
        click.echo(f"write-locked: {found['inbox']} messages have not taken effect")
    for problem in filter(None, (found["problem"], found["subscribers_problem"])):
        click.echo(problem)
    queues = {one["subscriber"]: one for one in found["queues"]}
    names = dict.fromkeys([*(one["logical_address"] for one in found["subscribers"]), *queues])
    if names:
        _print_table(
            ("subscriber", "waiting", "given up", "last told", "trouble"), [_queue(name, queues) for name in names]
        )


def _queue(name: str, queues: dict[str, Any]) -> tuple[str, ...]:
    one = queues.get(name)
    if one is None:
        return name, "0", "0", "-", ""
    return name, str(one["waiting"]), str(one["dead"]), _moment(one["delivered"]), one["reason"]


def _print_dead(found: Sequence[dict[str, Any]]) -> None:
    if not found:
        click.echo("nothing was given up")
        return
    _print_table(
        ("id", "subscriber", "changed", "given up", "tries", "changes", "correlation id", "reason"),
        [
            (
                str(one["id"]),
                one["subscriber"],
                _moment(one["time"]),
                _moment(one["died"]),
                str(one["attempts"]),
                str(one["changes"]),
                one["correlation_id"],
                one["reason"],
            )
            for one in found
        ],
    )


def _print_letter(found: dict[str, Any]) -> None:
    _print_dead([found])
    _print_table(
        ("", "person", "domain", "category", "logical address", "source system"),
        [
            (
                "delete" if one["deleteFlag"] else "put",
                one["registeredResidentIdentification"],
                one["serviceDomain"],
                one["categorization"],
                one["logicalAddress"],
                one["sourceSystem"],
            )
            for one in found["transactions"]
        ],
    )


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from rivta.cli.terminal import harmless

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(harmless(cell)) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_IN_A_FILE
    console.print(table)


def _moment(text: str | None) -> str:
    from rivta.catalogue.rows import SWEDISH_TIME

    return "-" if text is None else f"{datetime.fromisoformat(text).astimezone(SWEDISH_TIME):%Y-%m-%d %H:%M}"
