"""`rivta route export`: tables as other catalogues and platforms read them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.admin import AdminClient
from rivta.cli.contract import installed
from rivta.cli.options import home_and_json, print_json
from rivta.cli.route_drafts import ChangedDraft, FolderDraft, draft_of
from rivta.cli.route_sources import EXISTING, LARGE_TABLES_SECONDS

if TYPE_CHECKING:
    from rivta.catalogue.exchange.written import About
    from rivta.catalogue.rows import Draft


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
    draft = draft_of(home, platform, options["tables"], options["variables"], installed(home))
    try:
        content, about = _exported(draft, publication, home)
        pieces, rows = _in_format(format_, content, about, draft, dates, options | {"home": home})
        written = _write_out(pieces, output)
    except ExportRefused as error:
        raise click.ClickException(str(error)) from error
    told = () if format_ == "signed" else losses(rows, names=format_ != "takcache", agreements=format_ != "takcache")
    if as_json:
        print_json({"file": str(output), "bytes": written, "remarks": [str(one) for one in told]})
        return
    for one in told:
        click.echo(str(one), err=True)


def _exported(draft: ChangedDraft, publication: str | None, home: str | None) -> tuple[bytes, About]:
    """The rows, canonical, and what is known of them as a publication."""
    from rivta.catalogue import content as contents
    from rivta.catalogue.exchange.written import About
    from rivta.catalogue.files import read_draft
    from rivta.run.home import resolve

    if isinstance(draft, FolderDraft):
        reading = read_draft(draft.folder, contracts=draft.contracts, relative_to=draft.folder.parent)
        if reading.problems:
            raise click.ClickException(f"{reading.problems[0]}; `rivta route lint` lists everything that is wrong")
        return contents.encode(reading.draft), About(0, datetime.now(UTC), "", "draft")
    client = AdminClient.of_platform(resolve(home), draft.name, seconds=LARGE_TABLES_SECONDS)
    number = publication or str(client.get("/status")["table"]["publication"])
    content = client.content("/tables/content", {"publication": number})
    if number == "draft":
        return content, About(0, datetime.now(UTC), "", "draft")
    found = client.get(f"/tables/publications/{number}")
    return content, About(int(number), datetime.fromisoformat(found["time"]), found["author"], found["comment"])


def _in_format(
    format_: str, content: bytes, about: About, of: ChangedDraft, dates: str, options: Mapping[str, Any]
) -> tuple[Iterator[bytes], Draft]:
    from rivta.catalogue import content as contents
    from rivta.catalogue.exchange import order_writer, signed, tak_json, takcache
    from rivta.catalogue.exchange.ledger import PublicationFileRefused

    draft = contents.decode(content)
    if format_ == "takcache":
        return takcache.write(draft, variables=of.variables, is_zoned=dates == "zoned"), draft
    if format_ == "order":
        return iter([order_writer.write(draft, about, platform=of.name, variables=of.variables)]), draft
    if format_ == "signed":
        certificate, key, owner = _signing(of, options)
        try:
            return iter([signed.write(content, about, platform=owner, key=key, certificate=certificate)]), draft
        except PublicationFileRefused as error:
            raise click.ClickException(str(error)) from error
    style = tak_json.Style.EXPORT if format_ == "tak" else tak_json.Style.SNAPSHOT
    return iter([tak_json.write(draft, about, variables=of.variables, style=style)]), draft


def _signing(of: ChangedDraft, options: Mapping[str, Any]) -> tuple[bytes, bytes, str]:
    from rivta.cli.route_drafts import settings_of

    if of.hsa_id is None:
        raise click.ClickException("a publication is signed by its platform, and no configuration of one is known here")
    certificate, key = options["certificate"], options["key"]
    if (certificate is None) != (key is None):
        raise click.UsageError("say --certificate and --key together")
    settings = settings_of(options["home"], of.name)
    if certificate is None and settings is None:
        raise click.UsageError("say --certificate and --key: the platform's own settings are not in this home")
    try:
        if certificate is None and settings is not None:
            certificate, key = settings.tls.certificate, settings.tls.key
        return certificate.read_bytes(), key.read_bytes(), of.hsa_id
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
