"""`rivta route import` and `order`: tables of other catalogues, and orders, merged into a draft."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from rivta.cli.contract import installed
from rivta.cli.options import home_and_json, print_json
from rivta.cli.progress import busy, bytes_bar
from rivta.cli.route_drafts import ChangedDraft, Foreseen, draft_of, write
from rivta.cli.route_sources import EXISTING

if TYPE_CHECKING:
    from rivta.catalogue.exchange.changes import Changes
    from rivta.catalogue.exchange.draft_folder import DraftFolder, Planned
    from rivta.catalogue.exchange.imported import Imported, Remark
    from rivta.catalogue.exchange.signed import SignedPublication
    from rivta.contracts.installed import Contracts

_Command = TypeVar("_Command", bound=Callable[..., Any])

_BOTH = "both"
_PLATFORMS = ("national", "regional")
_LONGEST_REASON = 1000


def _writing_options(command: _Command) -> _Command:
    """What every command that changes a draft has."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing."),
        click.option("--yes", is_flag=True, help="Do not ask before writing."),
        click.option(
            "--variable", "variables", multiple=True, metavar="NAME=URL", help="What ${NAME} in URLs stands for."
        ),
        click.option("--into", metavar="NAME.yaml", help="The file of the draft that takes new rows."),
        click.option("--tables", type=EXISTING, metavar="DIR", help="The draft in this folder instead of a pair's."),
    ):
        command = option(command)
    return command


@click.command(
    name="import",
    epilog="Example: rivta route export --format takcache > tables.xml && rivta route import tables.xml --dry-run",
)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "url", metavar="URL", help="Ask SokVagvalsInfo there instead: https, or http on this machine.")
@click.option("--service-version", type=click.Choice(["1", "2"]), default="2", help="Of SokVagvalsInfo.  [default: 2]")
@click.option("--certificate", type=EXISTING, metavar="PEM", help="Ours, for --from.")
@click.option("--key", type=EXISTING, metavar="PEM", help="Its key.")
@click.option("--ca", type=EXISTING, metavar="PEM", help="Authorities to trust, for --from.")
@click.option("--trust", type=EXISTING, metavar="PEM", help="The certificate that must have signed a publication file.")
@click.option("--of", "owner", metavar="HSA-ID", help="Whose publication it must be.  [default: the platform itself]")
@click.option("--replace", "replaces", is_flag=True, help="Rows that are not in the source go.")
@click.option(
    "--tak-dates", is_flag=True, help="Read times without zone 14 hours wider, as the incumbent's routers do."
)
@click.option("--agreement", metavar="TEXT", help="Of new permissions, where the source does not say.")
@click.option("--component", metavar="HSA-ID", help="Of new producer addresses, where the source does not say.")
@click.option("--platform", metavar="NAME", default="national", help="Whose draft.  [default: national]")
@_writing_options
@home_and_json
def import_(
    file: Path | None,
    url: str | None,
    platform: str,
    home: str | None,
    as_json: bool,
    dry_run: bool,
    yes: bool,
    **options: Any,
) -> None:
    """Merge another catalogue's tables into the draft.

    FILE is a router's local file (persistentCache, XML), a catalogue's export or snapshot (JSON), or a signed
    publication. Rows that change do so where they stand, new ones go into one file, comments stay. What would change
    is shown before it is written; a file with a mistake changes nothing.
    """
    from rivta.catalogue.exchange.changes import Unsaid, changes_of

    if (file is None) == (url is None):
        raise click.UsageError("say FILE or --from URL, one of them")
    work = _Work.on(home, [platform], options, _Answers(as_json, yes, dry_run))
    with _refusals(as_json):
        (draft,) = work.drafts
        there = draft.look()
        signed = _read_signed(file, options, draft) if file is not None and _is_publication(file) else None
        imported = _of_signed(signed) if signed else _fetched(url, options) if url else _read_file(file, options)
        source = _without_user(url) if url else str(file)
        unsaid = Unsaid(options["agreement"] or f"Not said by {source}", options["component"] or "")
        changes, remarks = changes_of(
            there.draft, imported.draft, variables=draft.variables, unsaid=unsaid, replaces=options["replaces"]
        )
        into = options["into"] or ("imported.yaml" if url else f"{_word(Path(source).name.split('.')[0])}.yaml")
        planned = work.plan(draft, there, changes, into=into, heading=f"# Imported from {source}.\n")
        told = _Told((*imported.remarks, *remarks), (), f"import of {source if url else Path(source).name}", signed)
        work.finish([planned], told)


@click.command(
    name="order",
    epilog="Example: rivta route export --format order > order.json && rivta route order order.json --dry-run",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--platform",
    type=click.Choice([*_PLATFORMS, _BOTH]),
    default="national",
    help="Whose draft, or both: all of it or nothing.  [default: national]",
)
@click.option(
    "--plattform", "name", metavar="NAME", help="What the order's `plattform` must say.  [default: its names]"
)
@_writing_options
@home_and_json
def order(
    file: Path,
    platform: str,
    name: str | None,
    home: str | None,
    as_json: bool,
    dry_run: bool,
    yes: bool,
    **options: Any,
) -> None:
    """Apply a JSON order to the draft, as the incumbent's catalogue applies it.

    Whatever is ignored is said, with the reason. From formatVersion 2 on an order may have dates for each item,
    filters, and parts for each platform.
    """
    from rivta.catalogue.exchange.order_file import read_order
    from rivta.catalogue.exchange.orders import Surroundings, apply_order
    from rivta.catalogue.rows import SWEDISH_TIME

    work = _Work.on(home, _PLATFORMS if platform == _BOTH else (platform,), options, _Answers(as_json, yes, dry_run))
    with _refusals(as_json):
        found = read_order(file.read_bytes(), file=str(file))
        planned: list[_Looked] = []
        remarks: list[Remark] = []
        report: list[str] = []
        for draft in work.drafts:
            there = draft.look()
            around = Surroundings(
                platform=draft.name,
                names={name} if name else ({_BOTH} if platform == _BOTH else draft.names),
                contracts=[str(one.namespace) for one in work.contracts],
                resolve=partial(_resolved, draft.variables),
                file=str(file),
                day=datetime.now(SWEDISH_TIME).date(),
            )
            done = apply_order(found, there.draft, around)
            into = options["into"] or f"{_word(file.name.split('.')[0])}.yaml"
            heading = f"# Ordered by {found.author or 'nobody named'}: {found.comment or file.name}\n"
            planned.append(work.plan(draft, there, done.changes, into=into, heading=heading))
            prefix = f"{draft.name}: " if len(work.drafts) > 1 else ""
            remarks += [_prefixed(prefix, one) for one in done.remarks]
            report += [f"{prefix}{line}" for line in done.report]
        who = f" by {found.author}" if found.author else ""
        why = f": {found.comment}" if found.comment else ""
        work.finish(planned, _Told(remarks, report, f"order {file.name}{who}{why}"))


COMMANDS = (import_, order)
"""They join `rivta route`."""


@dataclass(frozen=True, slots=True)
class _Answers:
    as_json: bool
    yes: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class _Looked:
    """A change of one draft: what becomes of its files, and what that brings."""

    draft: ChangedDraft
    planned: Planned
    foreseen: Foreseen


@dataclass(frozen=True, slots=True)
class _Told:
    """What the source of a change says beside its rows."""

    remarks: Sequence[Remark]
    report: Sequence[str]
    reason: str
    """For the audit trail."""
    signed: SignedPublication | None = None


@dataclass(frozen=True, slots=True)
class _Work:
    """The drafts that a command changes."""

    drafts: Sequence[ChangedDraft]
    contracts: Contracts
    answers: _Answers

    @classmethod
    def on(cls, home: str | None, platforms: Sequence[str], options: Mapping[str, Any], answers: _Answers) -> _Work:
        """The drafts of `platforms`. Raises UsageError for options that do not go together; ClickException."""
        tables: Path | None = options["tables"]
        if answers.as_json and not (answers.yes or answers.dry_run):
            raise click.UsageError("--json asks nobody: say --yes or --dry-run with it")
        if tables is not None and tables.is_file():
            raise click.UsageError("--tables names a folder here: new rows need a file of their own")
        for name in platforms if tables is not None and len(platforms) > 1 else ():
            if not (tables / name).is_dir():  # type: ignore[operator]
                raise click.UsageError(f"--tables {tables}: has no folder {name}, which --platform both needs")
        contracts = installed(home)
        drafts = [draft_of(home, name, tables, options["variables"], contracts) for name in platforms]
        return cls(drafts, contracts, answers)

    def plan(self, draft: ChangedDraft, there: DraftFolder, changes: Changes, *, into: str, heading: str) -> _Looked:
        """What the changes make of the draft's files, and what that brings. Raises ImportRefused, MergeImpossible."""
        from rivta.catalogue.exchange.draft_folder import plan
        from rivta.catalogue.exchange.merging import Merging
        from rivta.catalogue.exchange.row_text import short_names

        if "/" in into or into.startswith(".") or not into.endswith(".yaml"):
            raise click.UsageError(f"--into {into!r}: the name of a file, as mine.yaml")
        name = str(Path(there.folder.name) / into)
        with busy(f"merging into {draft.name}"):
            planned = plan(there, changes, Merging(name, self.contracts, short_names(self.contracts), heading))
        foreseen = Foreseen((), None, None) if planned.is_empty else draft.foreseen(there, planned)
        return _Looked(draft, planned, foreseen)

    def finish(self, changes: Sequence[_Looked], told: _Told) -> None:
        """Show everything, ask, and write all files as one."""
        from rivta.cli.route_exchange_output import changes_json, print_changes

        answers = self.answers
        is_empty = all(one.planned.is_empty for one in changes)
        shown = [(one.draft.name, one.planned, one.foreseen) for one in changes]
        if not answers.as_json:
            print_changes(shown, told.remarks, told.report)
        writes = not answers.dry_run and not (is_empty and told.signed is None)
        if writes and not is_empty and not answers.yes and not click.confirm("Write this?", default=False):
            click.echo("nothing is written")
            raise click.exceptions.Exit(1)
        if writes:
            write(
                [(one.draft, one.planned) for one in changes], reason=told.reason[:_LONGEST_REASON], signed=told.signed
            )
        places = {one.draft.name: [one.draft.place(path) for path in one.planned.files] for one in changes}
        if answers.as_json:
            found = changes_json(shown, told.remarks, told.report)
            for name, files in places.items():
                found["platforms"][name]["files"] = files
            print_json({"written": writes, **found})
        elif is_empty:
            click.echo("nothing changes")
        elif writes:
            click.echo(f"written: {', '.join(path for files in places.values() for path in files)}")
            for one in changes:
                if one.draft.then and not one.planned.is_empty:
                    click.echo(f"in force once it is published: {one.draft.then}")
        else:
            click.echo("nothing is written (--dry-run)")


# Reading sources


def _read_file(file: Path | None, options: Mapping[str, Any]) -> Imported:
    from rivta.catalogue.exchange import tak_json, takcache

    assert file is not None
    beginning = _beginning(file)
    if beginning.startswith(b"\x1f\x8b") or beginning.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        if file.stat().st_size > tak_json.MAX_BYTES:
            raise click.ClickException(f"{file}: larger than {tak_json.MAX_BYTES // 2**20} MB")
        return tak_json.read(file.read_bytes(), file=str(file), tak_dates=options["tak_dates"])
    with bytes_bar(str(file), file.stat().st_size) as count, file.open("rb") as source:

        def chunks() -> Iterator[bytes]:
            while chunk := source.read(65_536):
                count(len(chunk))
                yield chunk

        return takcache.read(chunks(), file=str(file), tak_dates=options["tak_dates"])


def _fetched(url: str, options: Mapping[str, Any]) -> Imported:
    from rivta.catalogue.exchange.sokvagval import Access, CatalogueUnreachable, fetch

    files = {name: str(options[name]) if options[name] else None for name in ("certificate", "key", "ca")}
    access = Access(url, int(options["service_version"]), files["certificate"], files["key"], files["ca"])
    try:
        with bytes_bar(url, None) as count:
            seen: dict[str, int] = {}

            def told(what: str, total: int) -> None:
                count(total - seen.get(what, 0))
                seen[what] = total

            return fetch(access, tak_dates=options["tak_dates"], progress=told)
    except CatalogueUnreachable as error:
        raise click.ClickException(str(error)) from error


def _is_publication(file: Path) -> bool:
    from rivta.soap.namespaces import PUBLICATION_FILE

    return PUBLICATION_FILE.encode() in _beginning(file)


def _beginning(file: Path) -> bytes:
    with file.open("rb") as source:
        return source.read(4096)


def _read_signed(file: Path, options: Mapping[str, Any], draft: ChangedDraft) -> SignedPublication:
    from rivta.catalogue.exchange.ledger import PublicationFileRefused
    from rivta.catalogue.exchange.signed import read, refuse_other_or_older

    if options["trust"] is None:
        raise click.UsageError("say --trust PEM: the certificate that must have signed the publication")
    owner = options["owner"] or draft.hsa_id
    if owner is None:
        raise click.UsageError("say --of HSA-ID: whose publication it must be")
    try:
        found = read(file.read_bytes(), trusted=options["trust"].read_bytes(), now=datetime.now(UTC))
        refuse_other_or_older(found, platform=owner, loaded=draft.loaded(owner))
    except PublicationFileRefused as error:
        raise click.ClickException(f"{file}: {error}") from error
    return found


def _of_signed(found: SignedPublication) -> Imported:
    from rivta.catalogue.exchange.imported import Imported, Remark

    about = found.about
    what = f"publication {about.version} of {found.platform}, {about.time:%Y-%m-%d %H:%M %Z}"
    said = (f"{what}, by {about.author}: {about.comment}", f"signed by {found.signer}")
    return Imported(found.draft, tuple(Remark("", one) for one in said))


@contextmanager
def _refusals(as_json: bool) -> Iterator[None]:
    """Every mistake at once, and nothing written."""
    from rivta.catalogue.as_json import problem_json
    from rivta.catalogue.exchange.imported import ImportRefused
    from rivta.catalogue.exchange.merging import MergeImpossible
    from rivta.cli.route_exchange_output import print_problems

    try:
        yield
    except MergeImpossible as error:
        raise click.ClickException(f"{error}; nothing is written") from error
    except ImportRefused as refused:
        if as_json:
            print_json({"written": False, "errors": [problem_json(one) for one in refused.problems]})
        else:
            print_problems(refused.problems)
        count = len(refused.problems)
        raise click.ClickException(f"{count} mistake{'' if count == 1 else 's'}; nothing is written") from refused


def _resolved(variables: Mapping[str, str], url: str) -> str:
    """A URL with the variables that are known."""
    from rivta.catalogue.compile import UncompilableTable, resolve

    try:
        return resolve(url, variables)
    except UncompilableTable:
        return url


def _without_user(url: str) -> str:
    """A URL as it may be kept: without a user's name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _prefixed(prefix: str, remark: Remark) -> Remark:
    from dataclasses import replace

    return replace(remark, where=f"{prefix}{remark.where}")


def _word(text: str) -> str:
    """A name of a file made of another's."""
    return "".join(one if one.isalnum() or one in "_-" else "-" for one in text).strip("-") or "imported"
