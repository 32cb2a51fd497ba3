"""`rivta contract`: which contracts there are, what is in one, and whether a message fits its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import click

from rivta.cli.options import home_and_json, print_json

if TYPE_CHECKING:
    from rivta.contracts.archive import Contract
    from rivta.contracts.installed import Contracts
    from rivta.contracts.verdict import Verdict


@click.group(name="contract", epilog="Example: rivta contract show GetDiagnosis")
def command() -> None:
    """Show contracts and check messages against them.

    Needs no running pair: the contracts are those that come with the program and those installed in the pair's folder.
    """


@command.command(name="list", epilog="Example: rivta contract list")
@home_and_json
def list_(home: str | None, as_json: bool) -> None:
    """Show every contract that is installed."""
    contracts = installed(home)
    if as_json:
        print_json({"contracts": [_summary(contract) for contract in contracts]})
        return
    from rich.console import Console
    from rich.table import Column, Table

    domain = Column("Service domain", overflow="fold")
    table = Table("Contract", "Version", "Profiles", domain, box=None, pad_edge=False)
    for contract in contracts:
        table.add_row(contract.short_name, _version(contract), ", ".join(_profiles(contract)), contract.domain)
    Console(highlight=False).print(table)


@command.command(epilog="Example: rivta contract show GetDiagnosis")
@click.argument("contract")
@home_and_json
def show(contract: str, home: str | None, as_json: bool) -> None:
    """Show one contract: its names on the wire, its files, and a request to start from.

    CONTRACT is GetDiagnosis, GetDiagnosis:2 or the whole namespace.
    """
    found = _find(installed(home), contract)
    shown = _summary(found) | {
        "operation": found.operation,
        "soap_action": found.soap_action,
        "request": found.request,
        "response": found.response,
        "files": [str(file) for file in _files(found)],
        "sample": _sample(found),
    }
    if as_json:
        print_json(shown)
        return
    from rich.console import Console
    from rich.syntax import Syntax

    console = Console(highlight=False, soft_wrap=True)
    for label, text in (
        ("Contract", f"{found.short_name} (version {_version(found)})"),
        ("Namespace", found.namespace),
        ("Service domain", found.domain),
        ("Operation", found.operation),
        ("SOAPAction", found.soap_action),
        ("Request", found.request),
        ("Response", found.response),
        ("Profiles", ", ".join(_profiles(found))),
        *(("File", str(file)) for file in _files(found)),
    ):
        console.print(f"{label:<15}{text}", markup=False)
    if shown["sample"]:
        console.print("\nA request:")
        console.print(Syntax(shown["sample"], "xml", background_color="default"))


@command.command(epilog="Example: rivta contract check request.xml")
@click.argument("file", type=click.File("rb"))
@home_and_json
def check(file: BinaryIO, home: str | None, as_json: bool) -> None:
    """Check the message in FILE, a SOAP envelope or the payload alone, against the contract it belongs to.

    Ends with 1 when the message is not valid, and says where and why. `-` reads from standard input.
    """
    from rivta.contracts.archive import ContractFileError
    from rivta.contracts.installed import UnknownContract
    from rivta.contracts.validation import Validators
    from rivta.soap.xml import XmlRefused, parse_xml

    contracts = installed(home)
    name = getattr(file, "name", "<stdin>")  # standard input need not have one
    try:
        root = parse_xml(file.read())
        contract, message, verdict = Validators(contracts).check_document(root)
    except XmlRefused as error:
        raise click.ClickException(f"{name}: line {error.line}: not XML that can be checked: {error.reason}") from None
    except UnknownContract as error:
        raise click.ClickException(f"{name}: {error}; `rivta contract list` shows those that are") from None
    except ContractFileError as error:
        raise click.ClickException(str(error)) from None
    except ValueError as error:
        raise click.ClickException(f"{name}: {error}; there is nothing to check") from None
    if as_json:
        print_json(_checked_json(contract, message, verdict))
    else:
        _print_checked(name, f"{message} of {contract.short_name}", verdict)
    if not verdict.valid:
        raise click.exceptions.Exit(1)


def _checked_json(contract: Contract, message: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "contract": contract.namespace,
        "message": message,
        "valid": verdict.valid,
        "violations": [{"line": one.line, "path": one.path, "reason": one.reason} for one in verdict.violations],
        "ns": dict(verdict.namespaces),
    }


def _print_checked(name: str, what: str, verdict: Verdict) -> None:
    if verdict.valid:
        click.echo(f"{name}: a valid {what}")
        return
    click.echo(f"{name}: not a valid {what}")
    for one in verdict.violations:
        click.echo(f"{name}:{one.line}: {one.reason}\n    {one.path}")
    for prefix, namespace in verdict.namespaces:
        click.echo(f"  {prefix} = {namespace}")


def installed(home: str | None) -> Contracts:
    """The shipped contracts and those of a pair's folder; ClickException when one cannot be used."""
    from rivta.contracts.archive import ContractFileError
    from rivta.contracts.installed import Contracts
    from rivta.run.home import resolve

    try:
        return Contracts.shipped(resolve(home).contracts)
    except (ContractFileError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from error


def _find(contracts: Contracts, text: str) -> Contract:
    from rivta.contracts.installed import UnknownContract

    try:
        return contracts.find(text)
    except UnknownContract as error:
        raise click.ClickException(str(error)) from None


def _summary(contract: Contract) -> dict[str, Any]:
    return {
        "contract": contract.short_name,
        "namespace": contract.namespace,
        "version": _version(contract),
        "domain": contract.domain,
        "profiles": _profiles(contract),
    }


def _version(contract: Contract) -> str:
    return f"{contract.major}.{contract.minor}"


def _profiles(contract: Contract) -> list[str]:
    return [profile.value for profile, _ in contract.wsdls]


def _files(contract: Contract) -> list[Any]:
    """Every file that defines the contract: its WSDLs, its schema, and what they import."""
    from rivta.contracts.archive import imported_files

    files = [*(file for _, file in contract.wsdls), contract.schema]
    imported = [found for file in files for _, found in imported_files(file, contract.folder)]
    return list(dict.fromkeys(file.resolve() for file in (*files, *imported)))


def _sample(contract: Contract) -> str | None:
    """A request to start from, or None where the release has no sample."""
    from rivta.contracts import samples

    try:
        return samples.request(contract).decode()
    except FileNotFoundError:
        return None
