"""`rivta log verify`, `proof`, `looks`, `sample`, `review`: who looked at patients' data, and whether all is there."""

from __future__ import annotations

import csv
import getpass
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rivta.cli.options import home_and_json, print_json
from rivta.cli.terminal import harmless
from rivta.cli.times import Time

if TYPE_CHECKING:
    from rivta.audit.access.follow_up import Employee, Look, Night
    from rivta.audit.access.log import AccessLog
    from rivta.audit.access.verify import Verification
    from rivta.run.settings import Settings

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Row = TypeVar("_Row")
_STAFF_COLUMNS = ("patient", "user_id", "care_provider_id")
_SIGNS = ("no-relation", "self", "colleague", "night", "emergency", "refused")
_VERDICTS = ("in-order", "questioned", "wrong")
_COUNT = 20
_LONGEST_NUMBER = 9
_MOST_ENTRIES = 500_000
"""That are held at once: about a gigabyte."""


class _NoLog(Exception):
    """Nothing was ever recorded."""


@dataclass(frozen=True, slots=True)
class _Opened:
    log: AccessLog
    settings: Settings


def _of_a_log(command: _Command) -> _Command:
    command = click.option(
        "--config",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Settings of the platform, where it does not run in a pair.",
    )(command)
    command = click.option(
        "--platform", metavar="NAME", default="national", show_default=True, help="Whose log, in a pair."
    )(command)
    return home_and_json(command)


def _of_a_time(command: _Command) -> _Command:
    command = click.option("--to", "last", type=Time(), required=True, help="The last day, Swedish time.")(command)
    command = click.option("--from", "first", type=Time(), required=True, help="The first day, Swedish time.")(command)
    command = click.option("--care-provider", metavar="HSA-ID", required=True, help="Whose people looked.")(command)
    command = click.option(
        "--staff",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=f"CSV with columns {', '.join(_STAFF_COLUMNS)}: whose own data are looked at. Without it nobody is known "
        "to have looked at their own data, or at a colleague's.",
    )(command)
    return click.option(
        "--night", metavar="HH-HH", default="22-06", show_default=True, help="What is night, Swedish time."
    )(command)


@click.command(epilog="Example: rivta log verify")
@click.option(
    "--checkpoints",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Signed heads, as a copy kept elsewhere; may be given several times.  [default: the platform's own file]",
)
@click.option(
    "--certificate",
    "certificates",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificate of a key that has signed, beside the platform's own: an earlier one, another node's.",
)
@_of_a_log
def verify(
    home: str | None,
    platform: str,
    config: Path | None,
    checkpoints: tuple[Path, ...],
    certificates: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Check that nothing in the access log was removed, altered, reordered, put in or set back.

    Says up to which signed checkpoint that is proven, and exits 1 when something is wrong.
    """
    settings = _settings(home, platform, config)
    files = checkpoints or (settings.access_checkpoints,)
    try:
        with _opened(settings) as opened:
            found = _verified(opened, files, certificates)
    except _NoLog:
        return _without_a_log(settings, files, as_json=as_json)
    if as_json:
        print_json(_verification_json(found))
    else:
        _print_verification(found)
    return 0 if found.is_intact else 1


@click.command(epilog="Example: rivta log proof --patient 191212121212")
@click.option("--patient", metavar="ID", required=True, help="Personal, coordination or reserve number.")
@click.option("--since", type=Time(), help="From then on, Swedish time without an offset.")
@click.option("--until", type=Time(), help="Before then.")
@_of_a_log
def proof(
    home: str | None,
    platform: str,
    config: Path | None,
    patient: str,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> int:
    """Show each entry by which a patient's data was shown: who, the permission, the consent, and the log's own proof.

    The whole log is verified first; exits 1 when something is wrong with it.
    """
    from rivta.audit.access.entry import READ, Kind

    person = _person(patient)
    settings = _settings(home, platform, config)
    try:
        with _opened(settings) as opened:
            found = _verified(opened, (settings.access_checkpoints,), ())
            entries = opened.log.entries(patient=person, kinds=[Kind.OUTCOME], since=since, until=until)
    except _NoLog:
        return _say_nothing(as_json=as_json, nothing={"entries": []})
    rows = [_proof_row(one, found) for one in entries if one.entry.outcome in READ]
    if as_json:
        print_json({"verification": _verification_json(found), "entries": rows})
    else:
        _print_verification(found)
        for row in rows:
            click.echo("")
            for name, value in row.items():
                click.echo(harmless(f"{name:14} {', '.join(value) if isinstance(value, list) else value}"))
    return 0 if found.is_intact else 1


@click.command(epilog="Example: rivta log looks --care-provider SE2321000016 --from 2026-11-01 --to 2026-11-30")
@click.option(
    "--sign",
    "signs",
    type=click.Choice(_SIGNS),
    multiple=True,
    help="Only those that stand out so; may be given several times.  [default: any of them]",
)
@_of_a_time
@_of_a_log
def looks(
    home: str | None, platform: str, config: Path | None, signs: tuple[str, ...], as_json: bool, **time: Any
) -> int:
    """Show the look-ups that stand out: without a care relation, at one's own or a colleague's data, by night, and
    others. None of that need be wrong."""
    settings = _settings(home, platform, config)
    wanted = set(signs or _SIGNS)
    try:
        with _opened(settings) as opened:
            found = _looks(opened.log, **time)
    except _NoLog:
        return _say_nothing(as_json=as_json, nothing={"of": 0, "looks": []})
    _print_looks(
        [look for look in found if wanted & {sign.value for sign in look.signs}],
        about={"of": len(found)},
        as_json=as_json,
        as_csv=False,
    )
    return 0


@click.command(epilog="Example: rivta log sample --care-provider SE2321000016 --from 2026-10-01 --to 2026-10-31")
@click.option("--count", type=click.IntRange(1, 10_000), default=_COUNT, show_default=True, help="So many look-ups.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV for a spreadsheet.")
@_of_a_time
@_of_a_log
def sample(
    home: str | None, platform: str, config: Path | None, count: int, as_csv: bool, as_json: bool, **time: Any
) -> int:
    """Draw a random sample of a care provider's look-ups in a time, to be looked over.

    Drawing again gives the same, and a larger count the same and more. The seed is made of the first checkpoint that
    was signed after the time, so that nobody can choose what is drawn.
    """
    from rivta.audit.access.checkpoints import lines_of, readable
    from rivta.audit.access.export import sample_json
    from rivta.audit.access.follow_up import NotYetSigned, draw, first_after
    from rivta.catalogue.rows import SWEDISH_TIME

    settings = _settings(home, platform, config)
    first, last = (time[name].astimezone(SWEDISH_TIME).date() for name in ("first", "last"))
    try:
        with _opened(settings) as opened:
            found = _looks(opened.log, **time)
    except _NoLog:
        return _say_nothing(as_json=as_json, nothing={"of": 0, "looks": []})
    if not found:
        return _say_nothing(as_json=as_json, nothing={"of": 0, "looks": []})
    try:
        drawn = draw(
            found,
            care_provider=time["care_provider"],
            first=first,
            last=last,
            checkpoint=first_after(readable(lines_of(settings.access_checkpoints)), _day_after(time["last"])),
            count=count,
        )
    except NotYetSigned as error:
        raise click.ClickException(str(error)) from error
    about = {name: value for name, value in sample_json(drawn, SWEDISH_TIME).items() if name != "looks"}
    _print_looks(drawn.looks, about=about, as_json=as_json, as_csv=as_csv)
    return 0


@click.command(
    epilog="Example: rivta log review console-3f2a90b1c4d8:17 --reviewer SE2321000016-9001 --verdict in-order"
)
@click.argument("look")
@click.option("--reviewer", metavar="HSA-ID", required=True, help="Who has looked it over.")
@click.option("--verdict", type=click.Choice(_VERDICTS), required=True, help="What was found.")
@click.option("--note", metavar="TEXT", default="", help="In words.")
@_of_a_log
def review(
    home: str | None,
    platform: str,
    config: Path | None,
    look: str,
    reviewer: str,
    verdict: str,
    note: str,
    as_json: bool,
) -> int:
    """Write down that a look-up has been looked over. That is an entry of the log too, and is never changed.

    The entry says which account of this machine wrote it: the reviewer is who that account says it is.
    """
    from rivta.audit.access.entry import Entry, Kind, Reader
    from rivta.audit.access.follow_up import Verdict, review_detail

    settings = _settings(home, platform, config)
    try:
        with _opened(settings) as opened:
            stored = _entry(opened.log, look)
            entry = Entry(
                Kind.REVIEW,
                reader=Reader(user_id=reviewer, care_provider_id=stored.entry.reader.care_provider_id),
                patient=stored.entry.patient,
                correlation_id=stored.entry.correlation_id,
                about=look,
                reason=note,
                detail=review_detail(Verdict(verdict), getpass.getuser()),
            )
            (receipt,) = opened.log.writer("review", clock=_now).record(entry)
    except _NoLog:
        raise click.ClickException(f"{settings.access_log_url}: no look has been recorded") from None
    if as_json:
        print_json({"id": receipt.id, "about": look, "time": receipt.time.isoformat(), "hash": receipt.hash})
    else:
        click.echo(f"{look} is {verdict}, as {receipt.id} says")
    return 0


def _settings(home: str | None, platform: str, config: Path | None) -> Settings:
    from rivta.run.home import resolve
    from rivta.run.settings import Settings

    file = config or resolve(home).settings_file(platform)
    if not file.exists():
        raise click.ClickException(
            f"there is no settings file {file}: name the pair with --home and --platform, or the file with --config"
        )
    return Settings.load(file)


@contextmanager
def _opened(settings: Settings) -> Iterator[_Opened]:
    """The log, if there is one; raises _NoLog rather than make one."""
    from sqlalchemy import make_url

    from rivta.audit.access.log import AccessLog

    url = make_url(settings.access_log_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise _NoLog
    log = AccessLog.open(settings.access_log_url)
    try:
        yield _Opened(log, settings)
    finally:
        log.close()


def _verified(opened: _Opened, files: Sequence[Path], certificates: Sequence[Path]) -> Verification:
    from rivta.audit.access.checkpoints import lines_of
    from rivta.audit.access.verify import verify
    from rivta.cli.progress import progress_bar
    from rivta.run.access_log import signers_file
    from rivta.tls.signing import own_verifiers, verifiers

    known: dict[str, Callable[[bytes, bytes], bool]] = {}
    for file in (opened.settings.tls.certificate, *certificates):
        known |= verifiers(file)
    tls, earlier = opened.settings.tls, signers_file(opened.settings.access_checkpoints)
    if earlier.exists():
        known |= own_verifiers(earlier, hsa_id=opened.settings.platform.hsa_id, authorities=tls.trusted)

    def is_signed(signer: str, data: bytes, signature: bytes) -> bool | None:
        return known[signer](data, signature) if signer in known else None

    total = sum(head.number for head in opened.log.heads().values())
    with progress_bar("entries verified") as tell:
        return verify(
            _counted(opened.log.rows(), total, tell),
            log=opened.log.id,
            files={str(file): lines_of(file) for file in files},
            is_signed=is_signed,
            now=_now(),
        )


def _counted(rows: Iterable[_Row], total: int, tell: Callable[[int, int], None]) -> Iterator[_Row]:
    for number, row in enumerate(rows, 1):
        yield row
        tell(number, total)


def _without_a_log(settings: Settings, files: Sequence[Path], *, as_json: bool) -> int:
    """Without a database there may be nothing to lose; a checkpoint says that there was something."""
    if any(file.exists() and file.stat().st_size for file in files):
        raise click.ClickException(
            f"the access log is gone: {settings.access_log_url} is not there, and {files[0]} attests entries of it"
        )
    return _say_nothing(as_json=as_json, nothing={"intact": True, "entries": 0, "problems": []})


def _say_nothing(*, as_json: bool, nothing: dict[str, Any]) -> int:
    if as_json:
        print_json(nothing)
    else:
        click.echo("no looks")
    return 0


def _verification_json(found: Verification) -> dict[str, Any]:
    return {
        "intact": found.is_intact,
        "entries": found.entries,
        "writers": found.writers,
        "checkpoints": found.checkpoints,
        "covered": found.covered,
        "covered_until": found.covered_until.isoformat() if found.covered_until else None,
        "removed": found.removed,
        "problems": [{"where": one.where, "what": one.what} for one in found.problems],
        "further_problems": found.further_problems,
        "notes": found.notes,
    }


def _print_verification(found: Verification) -> None:
    for problem in found.problems:
        click.echo(harmless(f"{problem.where}: {problem.what}"))
    if found.further_problems:
        click.echo(f"and {found.further_problems} more")
    for note in found.notes:
        click.echo(harmless(f"note: {note}"))
    state = "intact" if found.is_intact else "NOT INTACT"
    click.echo(f"{state}: {found.entries} entries of {found.writers} writers, {found.removed} taken away by retention")
    if found.covered_until is None:
        click.echo("no checkpoint has been signed: that nothing was cut off or set back is not proven")
    else:
        later = found.entries - found.covered
        proven = "proven up to the checkpoint" if found.is_intact else "the last checkpoint is"
        click.echo(
            f"{proven} of {_swedish(found.covered_until)}: {found.covered} entries"
            + (f"; {later} later ones are chained, and not signed yet" if later else "")
        )


def _proof_row(one: Any, found: Verification) -> dict[str, Any]:
    entry, reader = one.entry, one.entry.reader
    is_covered = one.number <= found.attested.get(one.writer, 0)
    return {
        "time": _swedish(one.time),
        "user": f"{reader.user_id} {reader.user_name}".strip(),
        "assignment": reader.assignment,
        "unit": f"{reader.unit_id} {reader.unit_name}".strip(),
        "care_provider": reader.care_provider_id,
        "purpose": reader.purpose,
        "set": entry.information_set,
        "sources": list(entry.sources),
        "outcome": entry.outcome.value,
        "relation": entry.relation,
        "consent": entry.consent,
        "permission": entry.permission,
        "correlation_id": entry.correlation_id,
        "entry": one.id,
        "intent": entry.about,
        "hash": one.hash,
        "signed": "yes" if is_covered else "not yet",
    }


def _looks(
    log: AccessLog,
    *,
    care_provider: str,
    first: datetime,
    last: datetime,
    staff: Path | None,
    night: str,
) -> list[Look]:
    from rivta.audit.access.entry import Kind
    from rivta.audit.access.follow_up import looks_of
    from rivta.catalogue.rows import SWEDISH_TIME

    if last < first:
        raise click.UsageError("--to is before --from")
    people, hours = _staff(staff), _night(night)
    entries = log.entries(care_provider=care_provider, since=first, until=_day_after(last), limit=_MOST_ENTRIES + 1)
    if len(entries) > _MOST_ENTRIES:
        raise click.ClickException(f"more than {_MOST_ENTRIES} entries from --from to --to: choose fewer days")
    reviews = log.entries(care_provider=care_provider, kinds=[Kind.REVIEW])
    return looks_of(entries, reviews, staff=people, night=hours, zone=SWEDISH_TIME)


def _day_after(moment: datetime) -> datetime:
    """The first moment of the next day, Swedish time."""
    from rivta.catalogue.rows import SWEDISH_TIME

    day = moment.astimezone(SWEDISH_TIME).date() + timedelta(days=1)
    return datetime.combine(day, time(), SWEDISH_TIME).astimezone(UTC)


def _staff(file: Path | None) -> Mapping[str, Employee]:
    """People who work in care, by their personal number."""
    from rivta.audit.access.follow_up import Employee

    if file is None:
        return {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened)
            missing = [name for name in _STAFF_COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise click.ClickException(f"{file}: its first line does not name {', '.join(missing)}")
            return {row["patient"].strip(): Employee(row["user_id"], row["care_provider_id"]) for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, AttributeError) as error:
        raise click.ClickException(f"{file} cannot be read as CSV: {error}") from error


def _night(text: str) -> Night:
    from rivta.audit.access.follow_up import Night

    begins, _, ends = text.partition("-")
    try:
        return Night(time(int(begins)), time(int(ends)))
    except ValueError:
        raise click.UsageError(f"--night {text} is no time: write two hours, as 22-06") from None


def _entry(log: AccessLog, id: str) -> Any:
    writer, _, number = id.rpartition(":")
    is_number = number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER
    found = log.entries(writer=writer, number=int(number)) if is_number else []
    if not found:
        raise click.ClickException(f"there is no look {id} in the log: `rivta log looks` and `log sample` show them")
    return found[0]


def _person(text: str) -> str:
    from rivta.catalogue.rows import SWEDISH_TIME
    from rivta.soap.person_ids import NoPersonId, read_person_id

    try:
        return read_person_id(text, today=_now().astimezone(SWEDISH_TIME).date()).value
    except NoPersonId as error:
        raise click.UsageError(f"--patient: {error}") from None


def _print_looks(found: Sequence[Look], *, about: dict[str, Any], as_json: bool, as_csv: bool) -> None:
    from rivta.audit.access.export import look_json, looks_csv
    from rivta.catalogue.rows import SWEDISH_TIME

    if as_json:
        print_json(about | {"looks": [look_json(look, SWEDISH_TIME) for look in found]})
        return
    if as_csv:
        click.echo(looks_csv(found, SWEDISH_TIME), nl=False)
        return
    click.echo(f"{len(found)} of {about['of']} look-ups" + (f", seed {about['seed']}" if "seed" in about else ""))
    for look in found:
        reviewed = look.reviews[-1].verdict if look.reviews else "not reviewed"
        marks = ", ".join(sign.value for sign in look.signs) or "-"
        click.echo(
            harmless(
                f"{_swedish(look.time)}  {look.reader.user_id}  {look.reader.unit_id}  {look.patient}  "
                f"{', '.join(look.read) or 'nothing shown'}  {marks}  {reviewed}  {look.id}"
            )
        )


def _swedish(moment: datetime) -> str:
    from rivta.catalogue.rows import SWEDISH_TIME

    return f"{moment.astimezone(SWEDISH_TIME):%Y-%m-%d %H:%M:%S}"


def _now() -> datetime:
    return datetime.now(UTC)
