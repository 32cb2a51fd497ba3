"""`rivta route import`, `export` and `order`: tables from other catalogues, to them, and orders."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rivta.cli.contract import installed
from rivta.cli.options import home_and_json, print_json
from rivta.cli.route_sources import EXISTING, ask, hsa_beside, known_variables

if TYPE_CHECKING:
    from rivta.catalogue.exchange.changes import Changes
    from rivta.catalogue.exchange.draft_folder import DraftFolder, Planned
    from rivta.catalogue.exchange.imported import Imported, Remark
    from rivta.catalogue.exchange.signed import SignedPublication
    from rivta.catalogue.exchange.written import About
    from rivta.catalogue.rows import Draft, Problem
    from rivta.contracts.installed import Contracts
    from rivta.run.settings import Settings

_Command = TypeVar("_Command", bound=Callable[..., Any])

_BOTH = "both"
_PLATFORMS = ("national", "regional")
_SHOWN_LINES = 400
_PROGRESS_SECONDS = 1.0


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
    _check_answers(as_json=as_json, yes=yes, dry_run=dry_run)
    work = _Work.on(home, [platform], options["tables"], options["variables"])
    with _refusals(as_json):
        (target,) = work.targets
        there = target.look(work.contracts)
        signed = None
        if file is not None and _is_publication(file):
            signed = _read_signed(file, options, target)
            imported = _of_signed(signed)
        else:
            imported = _fetched(url, options) if url else _read_file(file, options)
        source = url or str(file)
        unsaid = Unsaid(options["agreement"] or f"Not said by {source}", options["component"] or "")
        changes, remarks = changes_of(
            there.draft, imported.draft, variables=target.variables, unsaid=unsaid, replaces=options["replaces"]
        )
        into = options["into"] or ("imported.yaml" if url else f"{_word(Path(source).name.split('.')[0])}.yaml")
        planned = work.plan(target, there, changes, into=into, heading=f"# Imported from {source}.\n")
        extra = {}
        if signed is not None:
            extra = _ledger(target.folder, signed)
        work.finish(
            [(target, planned)],
            (*imported.remarks, *remarks),
            _Answers(as_json, yes, dry_run),
            extra_files=extra,
        )


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

    _check_answers(as_json=as_json, yes=yes, dry_run=dry_run)
    wanted = _PLATFORMS if platform == _BOTH else (platform,)
    work = _Work.on(home, wanted, options["tables"], options["variables"])
    with _refusals(as_json):
        found = read_order(file.read_bytes(), file=str(file))
        planned: list[tuple[_Target, Planned]] = []
        remarks: list[Remark] = []
        report: list[str] = []
        for target in work.targets:
            there = target.look(work.contracts)
            around = Surroundings(
                platform=target.name,
                names={name} if name else ({_BOTH} if platform == _BOTH else target.names),
                contracts=[str(one.namespace) for one in work.contracts],
                resolve=target.resolve,
                file=str(file),
                day=datetime.now(SWEDISH_TIME).date(),
            )
            done = apply_order(found, there.draft, around)
            into = options["into"] or f"{_word(file.name.split('.')[0])}.yaml"
            heading = f"# Ordered by {found.author or 'nobody named'}: {found.comment or file.name}\n"
            planned.append((target, work.plan(target, there, done.changes, into=into, heading=heading)))
            prefix = f"{target.name}: " if len(work.targets) > 1 else ""
            remarks += [_prefixed(prefix, one) for one in done.remarks]
            report += [f"{prefix}{line}" for line in done.report]
        work.finish(planned, remarks, _Answers(as_json, yes, dry_run), report=report)


@click.command(name="export", epilog="Example: rivta route export --format tak --output tables.json")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["takcache", "tak", "tak-snapshot", "order", "signed"]),
    required=True,
    help="takcache: a router's local file; tak, tak-snapshot: JSON, by names or row ids; signed: for another platform.",
)
@click.option("--publication", metavar="N|draft", help="This one.  [default: the one in force]")
@click.option(
    "--dates",
    type=click.Choice(["tak", "zoned"]),
    default="tak",
    help="Whole days in takcache: as TAK, or with offset.",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Instead of standard output."
)
@click.option("--certificate", type=EXISTING, metavar="PEM", help="To sign with.  [default: the platform's]")
@click.option("--key", type=EXISTING, metavar="PEM", help="Its key.  [default: the platform's]")
@click.option("--variable", "variables", multiple=True, metavar="NAME=URL", help="What ${NAME} in URLs stands for.")
@click.option(
    "--tables", type=EXISTING, metavar="DIR", help="The draft in this folder instead of a pair's publication."
)
@click.option("--platform", metavar="NAME", default="national", help="Whose tables.  [default: national]")
@home_and_json
def export(
    format_: str,
    publication: str | None,
    dates: str,
    output: Path | None,
    platform: str,
    home: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a table as other catalogues and platforms read it; what has no place there is said."""
    from rivta.catalogue.exchange.written import ExportRefused, losses

    if options["tables"] and publication:
        raise click.UsageError("--publication is of a running pair; it does not go together with --tables")
    if as_json and output is None:
        raise click.UsageError("--json needs --output FILE: standard output is for one of them")
    work = _Work.on(home, [platform], options["tables"], options["variables"])
    (target,) = work.targets
    try:
        content, about = _exported(target, work, publication, home)
        pieces, draft = _in_format(format_, content, about, target, dates, options)
        written = _write_out(pieces, output)
    except ExportRefused as error:
        raise click.ClickException(str(error)) from error
    told = () if format_ == "signed" else losses(draft, names=format_ != "takcache", agreements=format_ != "takcache")
    if as_json:
        print_json({"file": str(output), "bytes": written, "remarks": [str(one) for one in told]})
        return
    for one in told:
        click.echo(str(one), err=True)


COMMANDS = (import_, order, export)
"""They join `rivta route`."""


# Where drafts are


@dataclass(frozen=True, slots=True)
class _Target:
    """One platform's draft."""

    name: str
    folder: Path
    settings: Settings | None
    """None where no configuration is known: files alone."""
    given: tuple[str, ...]

    @property
    def variables(self) -> dict[str, str]:
        """What is known for certain of ${name}."""
        known = dict(self.settings.variables) if self.settings else {}
        return known | dict(one.split("=", 1) for one in self.given if "=" in one)

    @property
    def names(self) -> set[str]:
        """What an order may call the platform."""
        if self.settings is None:
            return {self.name}
        platform = self.settings.platform
        return {self.name, platform.name, platform.hsa_id}

    def look(self, contracts: Contracts) -> DraftFolder:
        from rivta.catalogue.exchange.draft_folder import look
        from rivta.catalogue.exchange.saving import finish

        try:
            finished = finish([self.folder])
        except OSError as error:
            raise click.ClickException(f"{error.filename}: {error.strerror}") from error
        if finished:
            click.echo("an earlier import was interrupted while it wrote: finished now", err=True)
        with _busy(f"reading {self.folder}"):
            return look(self.folder, contracts=contracts)

    def resolve(self, url: str) -> str:
        """A URL with the variables that are known."""
        from rivta.catalogue.compile import UncompilableTable, resolve

        try:
            return resolve(url, self.variables)
        except UncompilableTable:
            return url


@dataclass(frozen=True, slots=True)
class _Answers:
    as_json: bool
    yes: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class _Work:
    """The drafts that a command works on."""

    targets: Sequence[_Target]
    contracts: Contracts

    @classmethod
    def on(cls, home: str | None, platforms: Sequence[str], tables: Path | None, given: tuple[str, ...]) -> _Work:
        if tables is not None and tables.is_file():
            raise click.UsageError("--tables names a folder here: new rows need a file of their own")
        return cls([_target(home, name, tables, given, len(platforms)) for name in platforms], installed(home))

    def plan(self, target: _Target, there: DraftFolder, changes: Changes, *, into: str, heading: str) -> Planned:
        from rivta.catalogue.exchange.draft_folder import plan
        from rivta.catalogue.exchange.merging import Merging
        from rivta.catalogue.exchange.row_text import short_names
        from rivta.catalogue.hsa import HsaTree, read_hsa
        from rivta.catalogue.lint import Surroundings

        if "/" in into or into.startswith(".") or not into.endswith(".yaml"):
            raise click.UsageError(f"--into {into!r}: the name of a file, as mine.yaml")
        hsa = hsa_beside((target.folder,))
        tree, _ = read_hsa(*hsa) if hsa else (HsaTree(), ())
        targets = target.settings.tls.targets if target.settings else None
        around = Surroundings(tree, known_variables(()) | target.variables, (target.name,), targets)
        name = str(Path(target.folder.name) / into)
        how = Merging(name, self.contracts, short_names(self.contracts), heading)
        with _busy(f"checking {target.name} with {into}"):
            return plan(there, changes, how, around, now=datetime.now(UTC))

    def finish(
        self,
        planned: Sequence[tuple[_Target, Planned]],
        remarks: Sequence[Remark],
        answers: _Answers,
        *,
        report: Sequence[str] = (),
        extra_files: Mapping[Path, bytes] | None = None,
    ) -> None:
        """Show everything, ask, and write all files as one."""
        is_empty = all(one.is_empty for _, one in planned)
        if not answers.as_json:
            _show(planned, remarks, report)
        files = {path: text for _, one in planned for path, text in one.files.items()}
        before = {path: text for _, one in planned for path, text in one.before.items()}
        writes = bool(files or extra_files) and not answers.dry_run
        if writes and files and not answers.yes and not click.confirm("Write this?", default=False):
            click.echo("nothing is written")
            raise click.exceptions.Exit(1)
        if writes:
            _save({**files, **(extra_files or {})}, before)
        if answers.as_json:
            print_json(_as_json(planned, remarks, report, is_written=writes))
        elif is_empty:
            click.echo("nothing changes")
        elif writes:
            click.echo(f"written: {', '.join(str(path) for path in files)}")
        else:
            click.echo("nothing is written (--dry-run)")


def _target(home: str | None, name: str, tables: Path | None, given: tuple[str, ...], count: int) -> _Target:
    from rivta.run.home import resolve

    there = resolve(home)
    settings = _settings(there.settings_file(name))
    if tables is not None:
        narrowed = tables / name if (tables / name).is_dir() else tables
        if count > 1 and narrowed == tables:
            raise click.UsageError(f"--tables {tables}: has no folder {name}, which --platform both needs")
        return _Target(name, narrowed.absolute(), settings, given)
    folder = settings.tables.draft if settings else None
    if folder is None:
        folder = there.routing / name
    if not folder.is_dir():
        raise click.ClickException(f"no draft of {name} in {there.folder}: start a pair, or say --tables DIR")
    return _Target(name, folder.absolute(), settings, given)


def _settings(file: Path) -> Settings | None:
    from rivta.run.settings import Settings, SettingsError

    try:
        return Settings.load(file) if file.is_file() else None
    except SettingsError:
        return None


# Reading sources


def _read_file(file: Path | None, options: Mapping[str, Any]) -> Imported:
    from rivta.catalogue.exchange import tak_json, takcache

    assert file is not None
    beginning = _beginning(file)
    if beginning.startswith(b"\x1f\x8b") or beginning.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        if file.stat().st_size > tak_json.MAX_BYTES:
            raise click.ClickException(f"{file}: larger than {tak_json.MAX_BYTES // 2**20} MB")
        return tak_json.read(file.read_bytes(), file=str(file), tak_dates=options["tak_dates"])
    with _progress(str(file), file.stat().st_size) as count, file.open("rb") as source:

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
        with _progress(url, None) as count:
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


def _read_signed(file: Path, options: Mapping[str, Any], target: _Target) -> SignedPublication:
    from rivta.catalogue.exchange.signed import (
        PublicationFileRefused,
        loaded_from,
        read,
        refuse_other_or_older,
    )

    if options["trust"] is None:
        raise click.UsageError("say --trust PEM: the certificate that must have signed the publication")
    owner = options["owner"] or (target.settings.platform.hsa_id if target.settings else None)
    if owner is None:
        raise click.UsageError("say --of HSA-ID: whose publication it must be")
    try:
        found = read(file.read_bytes(), trusted=options["trust"].read_bytes(), now=datetime.now(UTC))
        refuse_other_or_older(found, platform=owner, loaded=loaded_from(target.folder, owner))
    except PublicationFileRefused as error:
        raise click.ClickException(f"{file}: {error}") from error
    return found


def _of_signed(found: SignedPublication) -> Imported:
    from rivta.catalogue.exchange.imported import Imported, Remark

    about = found.about
    what = f"publication {about.version} of {found.platform}, {about.time:%Y-%m-%d %H:%M %Z}"
    said = (f"{what}, by {about.author}: {about.comment}", f"signed by {found.signer}")
    return Imported(found.draft, tuple(Remark("", one) for one in said))


def _ledger(folder: Path, signed: SignedPublication) -> dict[Path, bytes]:
    from rivta.catalogue.exchange.signed import LEDGER, ledger_with

    return {folder / LEDGER: ledger_with(folder, signed, datetime.now(UTC))}


# Writing tables


def _exported(target: _Target, work: _Work, publication: str | None, home: str | None) -> tuple[bytes, About]:
    """The rows, canonical, and what is known of them as a publication."""
    from rivta.catalogue import content as contents
    from rivta.catalogue.exchange.written import About
    from rivta.catalogue.files import read_draft

    now = datetime.now(UTC)
    if publication is None and target.folder.is_dir() and not _is_running(home, target.name):
        publication = "draft"
    if publication == "draft" or _is_offline(target, home):
        reading = read_draft(target.folder, contracts=work.contracts, relative_to=target.folder.parent)
        if reading.problems:
            raise click.ClickException(f"{reading.problems[0]}; `rivta route lint` lists everything that is wrong")
        return contents.encode(reading.draft), About(0, now, "", "draft")
    number = publication or str(ask(home, target.name, "/status")["table"]["publication"])
    from rivta.cli.admin import AdminClient
    from rivta.run.home import resolve

    client = AdminClient.of_platform(resolve(home), target.name)
    found = client.get(f"/tables/publications/{number}")
    about = About(int(number), datetime.fromisoformat(found["time"]), found["author"], found["comment"])
    return client.content("/tables/content", {"publication": number}), about


def _is_running(home: str | None, platform: str) -> bool:
    from rivta.run.home import HomeError, resolve

    try:
        return platform in resolve(home).endpoints()["platforms"]
    except HomeError:
        return False


def _is_offline(target: _Target, home: str | None) -> bool:
    """Files were named, which are not those of a running platform."""
    from rivta.run.home import resolve

    own = target.settings.tables.draft if target.settings else resolve(home).routing / target.name
    return own is None or own.absolute() != target.folder


def _in_format(
    format_: str, content: bytes, about: About, target: _Target, dates: str, options: Mapping[str, Any]
) -> tuple[Iterator[bytes], Draft]:
    from rivta.catalogue import content as contents
    from rivta.catalogue.exchange import order_writer, signed, tak_json, takcache

    draft = contents.decode(content)
    if format_ == "takcache":
        return takcache.write(draft, variables=target.variables, is_zoned=dates == "zoned"), draft
    if format_ == "order":
        return iter([order_writer.write(draft, about, platform=target.name, variables=target.variables)]), draft
    if format_ == "signed":
        certificate, key, owner = _signing(target, options)
        try:
            return iter([signed.write(content, about, platform=owner, key=key, certificate=certificate)]), draft
        except signed.PublicationFileRefused as error:
            raise click.ClickException(str(error)) from error
    style = tak_json.Style.EXPORT if format_ == "tak" else tak_json.Style.SNAPSHOT
    return iter([tak_json.write(draft, about, variables=target.variables, style=style)]), draft


def _signing(target: _Target, options: Mapping[str, Any]) -> tuple[bytes, bytes, str]:
    if target.settings is None:
        raise click.ClickException("a publication is signed by its platform, and no configuration of one is known here")
    certificate, key = options["certificate"], options["key"]
    if (certificate is None) != (key is None):
        raise click.UsageError("say --certificate and --key together")
    own = target.settings.tls
    certificate, key = certificate or own.certificate, key or own.key
    try:
        return certificate.read_bytes(), key.read_bytes(), target.settings.platform.hsa_id
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error


def _write_out(pieces: Iterator[bytes], output: Path | None) -> int:
    from rivta.files import write_file

    if output is not None:
        content = b"".join(pieces)
        try:
            write_file(output, content)
        except OSError as error:
            raise click.ClickException(f"{output}: {error.strerror}") from error
        return len(content)
    written = 0
    stream = sys.stdout.buffer
    for piece in pieces:
        written += len(piece)
        stream.write(piece)
    stream.flush()
    return written


# Showing and writing changes


def _check_answers(*, as_json: bool, yes: bool, dry_run: bool) -> None:
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json asks nobody: say --yes or --dry-run with it")


@contextmanager
def _refusals(as_json: bool) -> Iterator[None]:
    """Every mistake at once, and nothing written."""
    from rivta.catalogue.as_json import problem_json
    from rivta.catalogue.exchange.imported import ImportRefused
    from rivta.catalogue.exchange.merging import MergeImpossible

    try:
        yield
    except MergeImpossible as error:
        raise click.ClickException(f"{error}; nothing is written") from error
    except ImportRefused as refused:
        if as_json:
            print_json({"written": False, "errors": [problem_json(one) for one in refused.problems]})
        else:
            _show_problems(refused.problems)
        count = len(refused.problems)
        raise click.ClickException(f"{count} mistake{'' if count == 1 else 's'}; nothing is written") from refused


def _show_problems(problems: Sequence[Problem]) -> None:
    for one in problems:
        place = f"{one.file}:{one.line}" if one.line else one.file
        click.echo(f"{place}: error: {one.message} [{one.rule}]")


def _show(planned: Sequence[tuple[_Target, Planned]], remarks: Sequence[Remark], report: Sequence[str]) -> None:
    from rivta.catalogue.exchange.draft_folder import unified_diff

    for line in report:
        click.echo(line)
    for remark in remarks:
        click.echo(f"note: {remark}")
    shown = 0
    for _, one in planned:
        for warning in one.warnings[:20]:
            click.echo(f"{warning.file}: warning: {warning.message} [{warning.rule}]")
        if len(one.warnings) > 20:
            click.echo(f"and {len(one.warnings) - 20} warnings more: `rivta route lint` lists them")
        lines = list(unified_diff(one))
        for line in lines[: max(0, _SHOWN_LINES - shown)]:
            click.echo(line)
        if len(lines) > _SHOWN_LINES - shown:
            click.echo(f"... {len(lines) - max(0, _SHOWN_LINES - shown)} lines more")
        shown += len(lines)
    for target, one in planned:
        if one.differences:
            click.echo(f"{target.name}: {_counted(one)}")


def _counted(planned: Planned) -> str:
    counts: dict[str, int] = {}
    for one in planned.differences:
        counts[one.change.value] = counts.get(one.change.value, 0) + 1
    return ", ".join(f"{count} rows {change}" for change, count in counts.items())


def _as_json(
    planned: Sequence[tuple[_Target, Planned]], remarks: Sequence[Remark], report: Sequence[str], *, is_written: bool
) -> dict[str, Any]:
    from rivta.catalogue.as_json import problem_json
    from rivta.catalogue.differences import differences_json
    from rivta.catalogue.exchange.draft_folder import unified_diff

    return {
        "written": is_written,
        "report": list(report),
        "remarks": [{"where": one.where, "message": one.message} for one in remarks],
        "platforms": {
            target.name: {
                "folder": str(target.folder),
                "files": [str(path) for path in one.files],
                "diff": "\n".join(unified_diff(one)),
                "differences": differences_json(one.differences),
                "warnings": [problem_json(problem) for problem in one.warnings],
            }
            for target, one in planned
        },
    }


def _save(files: Mapping[Path, bytes], before: Mapping[Path, bytes | None]) -> None:
    from rivta.catalogue.exchange.saving import SaveRefused, save

    try:
        save(files, before=before)
    except SaveRefused as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}; nothing is written") from error


def _prefixed(prefix: str, remark: Remark) -> Remark:
    from dataclasses import replace

    return replace(remark, where=f"{prefix}{remark.where}")


def _word(text: str) -> str:
    """A name of a file made of another's."""
    return "".join(one if one.isalnum() or one in "_-" else "-" for one in text).strip("-") or "imported"


@contextmanager
def _busy(what: str) -> Iterator[None]:
    """Says on a terminal what takes its time."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, for what takes longer than a second."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    import time

    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TextColumn

    started = time.monotonic()
    progress = Progress(
        TextColumn("{task.description}"), DownloadColumn(), console=Console(stderr=True), transient=True
    )
    task = progress.add_task(what, total=total)
    is_shown = False

    def count(number: int) -> None:
        nonlocal is_shown
        if not is_shown and time.monotonic() - started > _PROGRESS_SECONDS:
            is_shown = True
            progress.start()
        progress.advance(task, number)

    try:
        yield count
    finally:
        progress.stop()
