"""`rivta cert`: the development CA of a pair, and the certificates that it made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.options import home_and_json, print_json
from rivta.cli.times import Time

if TYPE_CHECKING:
    from rivta.tls.authority import Authority, Issued, Listed

# Spelled here too, so that `rivta cert --help` does not import the CA; a test compares them with its enumerations.
KEY_KINDS = ("rsa-2048", "rsa-3072", "rsa-4096", "ec-p256")
REASONS = (
    "unspecified",
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
)

_DEFAULT_HOSTS = ("localhost", "127.0.0.1", "::1")
_HURRY_DAYS = 30


@click.group(
    name="cert", epilog="Example: rivta cert issue my-journal --hsa-id SE2321000016-MY --host journal.example.se"
)
def command() -> None:
    """Issue and revoke certificates of the development CA, in the shape of SITHS.

    The CA is made by `rivta up`, or by the first `rivta cert issue`. Nobody but your test systems should trust it.
    """


@command.command(name="list", epilog="Example: rivta cert list --all")
@click.option("--all", "with_superseded", is_flag=True, help="Also those that a newer one has replaced.")
@home_and_json
def list_(with_superseded: bool, home: str | None, as_json: bool) -> None:
    """Show the certificates and how long they last.

    With --all also those that were replaced, and the serial numbers.
    """
    with _ca(home) as ca:
        rows = [row for row in ca.issued() if with_superseded or not row.superseded]
    now = datetime.now(UTC)
    if as_json:
        print_json({"certificates": [_listed_json(ca, row, now) for row in rows]})
    else:
        _print_table(rows, now, with_serial=with_superseded)


@command.command(epilog="Example: rivta cert issue my-journal --hsa-id SE2321000016-MY --host journal.example.se")
@click.argument("name")
@click.option("--hsa-id", metavar="ID", help="Identity of the system: subject serialNumber.")
@click.option("--without-hsa-id", is_flag=True, help="Leave serialNumber out: no platform can tell who calls.")
@click.option("--common-name", metavar="TEXT", help="Subject CN: host or name of the system.  [default: NAME]")
@click.option("--organisation", default="rivta demo", show_default=True, metavar="TEXT", help="Subject O.")
@click.option("--host", "hosts", multiple=True, metavar="HOST", help="DNS name or IP address.  [default: localhost]")
@click.option("--days", type=click.IntRange(min=1), help="Lifetime.  [default: as in certs/profiles.toml]")
@click.option(
    "--not-before", type=Time(), help="First moment of validity, Swedish time without an offset: to test with."
)
@click.option(
    "--not-after",
    type=Time(),
    help="Last moment; a past one makes an expired certificate.",
)
@click.option("--key-kind", type=click.Choice(KEY_KINDS), help="Kind of key.  [default: as in certs/profiles.toml]")
@home_and_json
def issue(
    name: str,
    hsa_id: str | None,
    without_hsa_id: bool,
    common_name: str | None,
    organisation: str,
    hosts: tuple[str, ...],
    days: int | None,
    not_before: datetime | None,
    not_after: datetime | None,
    key_kind: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Make a certificate and key for a system.

    What is there already under this NAME is kept, if it is for the same system and still serves.
    """
    from rivta.tls.profiles import KeyKind

    if (hsa_id is None) is not without_hsa_id:
        raise click.UsageError("give --hsa-id ID, or --without-hsa-id to test what a platform says to that")
    with _ca(home, make=True) as ca:
        issued = ca.issue(
            name,
            hsa_id=hsa_id,
            common_name=common_name or name,
            organisation=organisation,
            hosts=hosts or _DEFAULT_HOSTS,
            days=days,
            key_kind=KeyKind(key_kind) if key_kind else None,
            not_before=not_before,
            not_after=not_after,
        )
    _print_issued(ca, issued, as_json=as_json)


@command.command(epilog="Example: rivta cert renew journal")
@click.argument("name")
@home_and_json
def renew(name: str, home: str | None, as_json: bool) -> None:
    """Replace a certificate and its key.

    The old certificate stays valid until it expires or is revoked by its serial number.
    """
    with _ca(home) as ca:
        issued = ca.renew(name)
    _print_issued(ca, issued, as_json=as_json)


@command.command(epilog="Example: rivta cert revoke journal --reason keyCompromise")
@click.argument("name", required=False)
@click.option("--serial", metavar="HEX", help="Serial number instead of a name: of a replaced certificate.")
@click.option("--reason", type=click.Choice(REASONS), default=REASONS[0], show_default=True)
@home_and_json
def revoke(name: str | None, serial: str | None, reason: str, home: str | None, as_json: bool) -> None:
    """Put a certificate on the revocation list.

    A running pair refuses it within seconds.
    """
    from rivta.tls.certificates import RevocationReason

    if (name is None) is (serial is None):
        raise click.UsageError("give the NAME of a certificate, or --serial HEX")
    with _ca(home) as ca:
        revoked = ca.revoke(name if name is not None else _serial(serial or ""), RevocationReason(reason))
    if as_json:
        print_json({"serial": f"{revoked:x}", "reason": reason, "crl": str(ca.crl_file)})
    else:
        click.echo(f"Revoked {name or 'certificate'} (serial number {revoked:x}): on the list in {ca.crl_file}")


@command.command(epilog="Example: rivta cert crl")
@home_and_json
def crl(home: str | None, as_json: bool) -> None:
    """Sign the revocation lists anew and show them."""
    with _ca(home) as ca:
        lists = ca.crl()
    if as_json:
        described = [
            {
                "issuer": item.issuer,
                "number": item.number,
                "this_update": item.this_update.isoformat(),
                "next_update": item.next_update.isoformat(),
                "revoked": [f"{serial:x}" for serial in item.serials],
            }
            for item in lists
        ]
        print_json({"crl": str(ca.crl_file), "lists": described})
        return
    click.echo(ca.crl_file)
    for item in lists:
        click.echo(f"{item.issuer}: number {item.number}, {len(item.serials)} revoked, due {item.next_update:%Y-%m-%d}")


_out = click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
_password_file = click.option(
    "--password-file", type=click.File(encoding="utf-8"), help="Its first line; - reads standard input."
)
_force = click.option("--force", is_flag=True, help="Replace the file if it exists.")


@command.command(epilog="Example: rivta cert export journal --out journal.p12 --password-file password.txt")
@click.argument("name")
@_out
@click.option("--pem", is_flag=True, help="One PEM file, its key without a password, in place of PKCS#12.")
@_password_file
@_force
@home_and_json
def export(name: str, out: Path, pem: bool, password_file: Any, force: bool, home: str | None, as_json: bool) -> None:
    """Write certificate, key and chain as PKCS#12.

    For systems that take no PEM: Java, Windows, browsers.
    """
    if pem and password_file is not None:
        raise click.UsageError("a PEM file has no password here: leave out --pem or --password-file")
    password = "" if pem else _password(password_file)
    with _ca(home) as ca:
        _write(out, ca.export_pem(name) if pem else ca.export(name, password=password), force=force, mode=0o600)
    if as_json:
        print_json({"name": name, "file": str(out)})
    else:
        click.echo(f"Wrote {out}: it holds the private key of {name}")


@command.command(name="trust", epilog="Example: rivta cert trust --out trust.p12 --password-file password.txt")
@_out
@_password_file
@_force
@home_and_json
def trust(out: Path, password_file: Any, force: bool, home: str | None, as_json: bool) -> None:
    """Write the CA as PKCS#12, a trust store of Java.

    What reads PEM takes ca.pem as it is.
    """
    password = _password(password_file)
    with _ca(home) as ca:
        _write(out, ca.export_trust(password=password), force=force, mode=0o644)
    if as_json:
        print_json({"file": str(out), "ca": str(ca.ca)})
    else:
        click.echo(f"Wrote {out}: whoever uses it trusts the CA in {ca.ca}")


def _write(out: Path, content: bytes, *, force: bool, mode: int) -> None:
    from rivta.files import write_file

    if out.exists() and not force:
        raise click.ClickException(f"{out} exists: name another file, or give --force to replace it")
    write_file(out, content, mode=mode)


@contextmanager
def _ca(home: str | None, *, make: bool = False) -> Iterator[Authority]:
    """The CA of the home that is meant; what the disk refuses becomes a line that names the file."""
    from rivta.run.home import resolve
    from rivta.tls.authority import Authority

    found = resolve(home)
    try:
        if make:
            found.create()
        yield Authority.ensure(found.certs) if make else Authority.open(found.certs)
    except OSError as error:
        hint = "name a home of your own with --home" if isinstance(error, PermissionError) else "nothing was changed"
        raise click.ClickException(f"{error.filename or found.certs}: {error.strerror}; {hint}") from error


def _password(file: Any) -> str:
    if file is not None:
        password = str(file.readline()).rstrip("\r\n")
    else:
        password = str(click.prompt("Password of the file", hide_input=True, confirmation_prompt=True, err=True))
    if not password:
        raise click.UsageError("the password is empty: --password-file takes its first line")
    return password


def _serial(text: str) -> int:
    try:
        return int(text.replace(":", ""), 16)
    except ValueError as error:
        raise click.UsageError(f"serial number {text!r} is not hexadecimal: `rivta cert list` shows them") from error


def _days_left(not_after: datetime, now: datetime) -> int:
    return (not_after - now).days


def _print_issued(ca: Authority, issued: Issued, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "name": issued.name,
                "hsa_id": issued.hsa_id,
                "certificate": str(issued.certificate),
                "key": str(issued.key),
                "ca": str(ca.ca),
                "serial": f"{issued.serial:x}",
                "not_after": issued.not_after.isoformat(),
            }
        )
        return
    click.echo(f"{issued.name}: {issued.hsa_id or 'no HSA-id'}, valid to {issued.not_after:%Y-%m-%d}")
    for label, path in (("certificate", issued.certificate), ("key", issued.key), ("ca", ca.ca)):
        click.echo(f"  {label:<12}{path}")


def _listed_json(ca: Authority, row: Listed, now: datetime) -> dict[str, Any]:
    certificate, key = ca.files(row.name)
    return {
        "name": row.name,
        "hsa_id": row.subject.hsa_id,
        "common_name": row.subject.common_name,
        "organisation": row.subject.organisation,
        "hosts": list(row.subject.hosts),
        "serial": f"{row.serial:x}",
        "not_before": row.not_before.isoformat(),
        "not_after": row.not_after.isoformat(),
        "days_left": _days_left(row.not_after, now),
        "state": row.state.value,
        "superseded": row.superseded,
        "certificate": None if row.superseded else str(certificate),
        "key": None if row.superseded else str(key),
    }


def _print_table(rows: list[Listed], now: datetime, *, with_serial: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("Name", "HSA-id", "Hosts", "State", "Valid to", "Days left"):
        table.add_column(heading, justify="right" if heading == "Days left" else "left", overflow="fold")
    if with_serial:
        table.add_column("Serial number", overflow="fold")
    for row in rows:
        days = _days_left(row.not_after, now)
        state = row.state.value + (", replaced" if row.superseded else "")
        colour = "red" if row.state.value != "valid" else "yellow" if days < _HURRY_DAYS else "green"
        table.add_row(
            Text(row.name),
            Text(row.subject.hsa_id or "-"),
            Text(", ".join(row.subject.hosts) or "-"),
            Text(state, style=colour),
            f"{row.not_after:%Y-%m-%d}",
            str(days),
            *([f"{row.serial:x}"] if with_serial else []),
        )
    Console().print(table)
