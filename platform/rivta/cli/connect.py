"""`rivta connect`: what a system of your own must be able to before it is connected, and the rows that connect it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rivta.cli.options import find_contract, home_and_json, print_json
from rivta.cli.terminal import harmless, harmless_json

if TYPE_CHECKING:
    from rivta.onboarding.findings import Report
    from rivta.onboarding.tls_probe import Identity
    from rivta.run.endpoints import Endpoints
    from rivta.run.home import Home

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red"), "skipped": ("-", "dim")}
_LABEL = 26
_EXAMPLE = "rivta connect check --url takecare-ks --contract GetDiagnosis --to SE2321000016-KS"


@click.group(name="connect", epilog=f"Example: {_EXAMPLE}")
def command() -> None:
    """Connect a system of your own."""


@command.command(epilog=f"Example: {_EXAMPLE}", short_help="Look at somebody's endpoint, step by step.")
@click.option(
    "--url",
    required=True,
    metavar="URL",
    help="https://host:port/path; or the name of a stub producer or platform of the pair.",
)
@click.option("--contract", metavar="CONTRACT", help="Call it: GetDiagnosis, GetDiagnosis:2 or a whole namespace.")
@click.option("--to", "logical_address", metavar="ADDRESS", help="The logical address to call it for.")
@click.option("--profile", type=click.Choice(["RIVTABP20", "RIVTABP21"], case_sensitive=False), help="Only this one.")
@click.option(
    "--as",
    "name",
    metavar="NAME",
    help="Whose certificate to call with: of the pair's.  [default: national; npo for a platform of the pair]",
)
@click.option("--cert", type=_FILE, metavar="FILE", help="A certificate of your own to call with, in PEM.")
@click.option("--key", type=_FILE, metavar="FILE", help="Its key.")
@click.option("--ca", type=_FILE, metavar="FILE", help="CAs to trust, in PEM.  [default: the pair's]")
@click.option("--consumer", metavar="HSA-ID", help="Whom the rows at the end permit.")
@click.option("--allow-writes", is_flag=True, help="Call also a contract that may change something.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1, max=600),
    default=50,
    show_default=True,
    metavar="SECONDS",
    help="For everything together.",
)
@home_and_json
def check(
    url: str,
    contract: str | None,
    logical_address: str | None,
    profile: str | None,
    name: str | None,
    cert: Path | None,
    key: Path | None,
    ca: Path | None,
    consumer: str | None,
    allow_writes: bool,
    timeout: float,
    home: str | None,
    as_json: bool,
) -> int:
    """Look at somebody's endpoint, a producer's or a platform's, step by step: what was seen and what to change.

    Name and port, TLS, certificate, who is let in, HTTP, WSDL, and, with --contract and --to, the answer
    to the contract's sample and to a broken one. Ends with a verdict and the rows that connect it. Nothing but test
    data is sent, contracts that may change something are not called, no redirect is followed. Ends with 1 when the
    endpoint is not ready.
    """
    from rivta.contracts.installed import Contracts
    from rivta.onboarding.check import Target
    from rivta.onboarding.check import check as look
    from rivta.run.home import resolve
    from rivta.soap.identifiers import Profile
    from rivta.tls.contexts import TlsSetupError

    found = resolve(home)
    known = _endpoints(found, needed=name is not None or cert is None or ca is None)
    url = _whole_url(known, url)
    identity = _identity(found, known, url=url, name=name, cert=cert, key=key)
    called = None if contract is None else find_contract(found, contract)
    target = Target(
        url=url,
        identity=identity,
        trusted=ca or Path(known["ca"] if known else ""),
        contract=called,
        logical_address=logical_address,
        profile=Profile.parse(profile) if profile else None,
        allow_writes=allow_writes,
        consumer=consumer or _consumer(known, identity),
        is_platform=_is_platform(known, url),
        seconds=timeout,
    )
    try:
        report = look(target, contracts=Contracts.shipped(found.contracts), now=datetime.now(UTC))
    except TlsSetupError as error:
        raise click.ClickException(str(error)) from error
    except ValueError as error:
        raise click.UsageError(f"--url {url!r}: {error}") from error
    if as_json:
        print_json(_json(report))
    else:
        _print(report)
    return 1 if report.verdict.value == "not ready" else 0


def _endpoints(home: Home, *, needed: bool) -> Endpoints | None:
    """Of the pair; None when none runs and everything is given. Raises ClickException."""
    from rivta.run.home import HomeError

    try:
        return home.endpoints()
    except HomeError as error:
        if needed:
            raise click.ClickException(f"{error}; without a pair give --cert, --key and --ca") from error
        return None


def _whole_url(endpoints: Endpoints | None, text: str) -> str:
    """The URL that is meant: as it stands, or that of something in the pair."""
    if "://" in text:
        return text
    named = {producer["name"]: producer["url"] for producer in endpoints["producers"]} if endpoints else {}
    named |= {name: one["https"] for name, one in endpoints["platforms"].items()} if endpoints else {}
    if text not in named:
        some = f", or one of {', '.join(named)}" if named else ""
        raise click.UsageError(f"--url {text!r}: expected https://host:port/path{some}")
    return named[text]


def _identity(
    home: Home, endpoints: Endpoints | None, *, url: str, name: str | None, cert: Path | None, key: Path | None
) -> Identity:
    from rivta.onboarding.tls_probe import Identity
    from rivta.tls.authority import Authority

    if (cert is None) != (key is None):
        raise click.UsageError("give --cert and --key together")
    if cert is not None and key is not None:
        if name is not None:
            raise click.UsageError("give --as, or --cert and --key, not both")
        return Identity(cert, key, _hsa_id(cert))
    chosen = name or ("npo" if _is_platform(endpoints, url) else "national")
    known = endpoints["identities"] if endpoints else {}
    if chosen in known:
        return Identity(Path(known[chosen]["cert"]), Path(known[chosen]["key"]), known[chosen]["hsa_id"])
    # Only a name, never a path: what is not issued here is given with --cert and --key.
    issued = {path.stem: path for path in (home.certs / "issued").glob("*.pem")}
    if chosen not in issued:
        raise click.UsageError(f"--as {chosen!r} is none of the pair's certificates: {', '.join(sorted(issued))}")
    certificate, private_key = Authority.open(home.certs).files(chosen)
    return Identity(certificate, private_key, _hsa_id(certificate))


def _hsa_id(certificate: Path) -> str | None:
    from rivta.tls.sender import NoSenderId, sender_in_file

    try:
        return sender_in_file(certificate).hsa_id
    except NoSenderId:
        return None
    except ValueError as error:
        raise click.UsageError(f"{certificate}: holds no certificate in PEM") from error


def _is_platform(endpoints: Endpoints | None, url: str) -> bool:
    platforms = endpoints["platforms"].values() if endpoints else ()
    return any(url.rstrip("/").lower().startswith(one["https"].lower()) for one in platforms)


def _consumer(endpoints: Endpoints | None, identity: Identity) -> str | None:
    """Whoever called, unless that was a platform: whom it will call for is not known here."""
    platforms = [one["id"] for one in endpoints["platforms"].values()] if endpoints else []
    return None if identity.hsa_id in platforms else identity.hsa_id


def _json(report: Report) -> dict[str, object]:
    return {
        "url": report.url,
        "caller": report.caller,
        "verdict": report.verdict.value,
        "findings": [asdict(one) | {"grade": one.grade.value} for one in report.findings],
        "rows": report.rows,
        "elapsed_ms": report.elapsed_ms,
    }


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    console.print(Text(f"{report.url}, called as {report.caller or 'a certificate without HSA-id'}"))
    for one in report.findings:
        mark, colour = _MARKS[one.grade.value]
        first, *rest = map(harmless, one.seen.splitlines() or [""])
        console.print(Text.assemble((f"{mark} ", colour), (f"{one.step:<{_LABEL}}", "bold"), first))
        for line in rest:
            console.print(Text(f"  {'':<{_LABEL}}{line}"))
        if one.change:
            console.print(Text.assemble(f"  {'':<{_LABEL}}", (f"-> {harmless(one.change)}", colour)))
    colour = {"ready": "green", "not ready": "red"}.get(report.verdict.value, "yellow")
    console.print(Text(f"\n{report.verdict.value}, in {report.elapsed_ms / 1000:.1f} s", style=f"bold {colour}"))
    if report.rows is None:
        console.print(Text(f"no rows for the tables: {report.rows_lack}"))
        return
    when = "" if report.verdict.value != "not ready" else " once it is ready"
    console.print(Text(f"\nRows for routing/<platform>/ that connect it{when}; leave out what is there already:"))
    click.echo(harmless_json(report.rows))
