"""`rivta contract`: which contracts there are, what is in one, whether a message fits its own, and adding others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.options import home_and_json, print_json

if TYPE_CHECKING:
    from rivta.cli.contract_names import AmbiguousName
    from rivta.contracts.domain import Contract, Operation
    from rivta.contracts.installation import Installed
    from rivta.contracts.installed import Contracts
    from rivta.contracts.tree import Node
    from rivta.contracts.validation import Validators
    from rivta.soap.identifiers import Profile

_MOST_BYTES = 100_000_000
"""Of a message to check: twice what a platform takes."""


@click.group(name="contract", epilog="Example: rivta contract show GetDiagnosis")
def command() -> None:
    """Show contracts, check and make messages, and install contracts of others.

    Needs no running pair: the contracts are those that come with the program and those installed in the pair's folder.
    """


@command.command(name="list", epilog="Example: rivta contract list")
@home_and_json
def list_(home: str | None, as_json: bool) -> None:
    """Show every contract that is installed."""
    contracts = installed(home)
    if as_json:
        print_json({"contracts": [_summary(contract, home) for contract in contracts]})
        return
    from rivta.cli.contract_output import print_list

    print_list([_summary(contract, home) for contract in contracts])


@command.command(epilog="Example: rivta contract show GetDiagnosis")
@click.argument("contract")
@home_and_json
def show(contract: str, home: str | None, as_json: bool) -> None:
    """Show one contract: its names on the wire, its files, every field of its messages, and a sample of each.

    CONTRACT is GetDiagnosis, GetDiagnosis:2 or the whole namespace.
    """
    from rivta.contracts.domain import address_entries

    found = _find(installed(home), contract)
    shown = _summary(found, home) | {
        "operation": found.operation,
        "soap_action": found.soap_action,
        "request": found.request,
        "response": found.response,
        "logical_address": [
            {"profile": one.profile.value, "entry": one.entry, "also": list(one.also)} for one in address_entries(found)
        ],
        "files": [str(file) for file in _files(found)],
        "sample": _sample(found, "request", found.operations[0]),
        "operations": list(_operations(found)),
    }
    if as_json:
        print_json(shown)
        return
    from rivta.cli.contract_output import print_shown

    print_shown(shown)


@command.command(epilog="Example: rivta contract check request.xml")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@home_and_json
def check(files: tuple[str, ...], home: str | None, as_json: bool) -> None:
    """Check messages, SOAP envelopes or payloads alone, against the contracts they belong to.

    Ends with 1 when a message is not valid, and says where and why. FILE may be a pattern in quotes, as 'log/*.xml';
    `-` reads from standard input. The form of a SOAP fault is checked too. With several files, --json prints
    {"files": [...]}.
    """
    from rivta.contracts.validation import Validators

    validators = Validators(installed(home))
    names = list(_expanded(files))
    results = [_checked(name, validators) for name in names]
    for result in results:
        if "error" in result:
            click.echo(f"rivta: {result['error']}", err=True)
    if as_json and len(results) > 1:
        print_json({"files": results})
    elif as_json and "error" not in results[0]:
        print_json({key: value for key, value in results[0].items() if key != "file"})
    elif not as_json:
        from rivta.cli.contract_output import print_checked

        for result in results:
            if "error" not in result:
                print_checked(result)
    if not all(result.get("valid", False) for result in results):
        raise click.exceptions.Exit(1)


@command.command(epilog="Example: rivta contract sample GetDiagnosis --response --seed 7")
@click.argument("contract")
@click.option("--request", "message", flag_value="request", default="request", help="A request (the default).")
@click.option("--response", "message", flag_value="response", help="A response.")
@click.option("--operation", metavar="NAME", help="Of which operation, where the contract has several.")
@click.option("--generated", is_flag=True, help="Made from the schema, though the contract came with a sample.")
@click.option("--seed", type=int, metavar="N", help="Which of the messages made from the schema; the same N, the same.")
@click.option("--envelope", is_flag=True, help="In a SOAP envelope.")
@click.option("--to", metavar="ADDRESS", help="Logical address in the envelope.")
@home_and_json
def sample(
    contract: str,
    message: str,
    operation: str | None,
    generated: bool,
    seed: int | None,
    envelope: bool,
    to: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Write a valid message of a contract.

    It is the sample that the contract came with, else or with --generated one made from the schema alone.
    """
    from rivta.contracts import samples
    from rivta.contracts.domain import ContractFileError
    from rivta.contracts.generation import CannotGenerate

    found = _find(installed(home), contract)
    chosen = _operation(found, operation)
    profiles = [profile for profile, _ in found.wsdls if profile]
    if to is not None and not envelope:
        raise click.UsageError("--to goes into an envelope: add --envelope")
    if envelope and profiles and to is None:
        raise click.UsageError("give the receiver with --to ADDRESS")
    is_made = generated or seed is not None or not samples.sample_file(found, message, chosen).is_file()
    try:
        payload = _made(found, message, chosen, seed or 0) if is_made else _whole(found, message, chosen)
        written = _enveloped(payload, to if profiles else None, profiles[-1:]) if envelope else payload
    except CannotGenerate as error:
        raise click.ClickException(f"{found.short_name}: {error}") from error
    except ContractFileError as error:
        raise click.ClickException(str(error)) from error
    except ValueError as error:
        raise click.UsageError(f"--to {to!r} cannot stand in a message: {error}") from error
    if as_json:
        print_json(
            {
                "contract": found.namespace,
                "operation": chosen.name,
                "message": message,
                "generated": is_made,
                "xml": written.decode(),
            }
        )
    else:
        click.echo(written.decode().rstrip("\n"))


@command.command(epilog="Example: rivta contract diff GetDiagnosis:2 GetDiagnosis_2.0.zip")
@click.argument("old")
@click.argument("new")
@home_and_json
def diff(old: str, new: str, home: str | None, as_json: bool) -> None:
    """Tell what differs between two versions of a contract, and whether who was made for OLD breaks.

    OLD and NEW are installed contracts, as GetCareContacts:2, or archives and folders of releases. Ends with 0 when
    consumers and producers made for OLD both work on with NEW, and with 1 when one of them breaks.
    """
    from contextlib import ExitStack

    from rivta.cli.contract_output import difference_json, print_difference
    from rivta.contracts.changes import compare_contracts
    from rivta.contracts.domain import ContractFileError
    from rivta.contracts.installation import CannotInstall, SourceRefused

    contracts = installed(home)
    try:
        with ExitStack() as stack:
            sides = [_side(text, contracts, stack) for text in (old, new)]
            pairs, only_old, only_new = _paired(*sides)
            differences = [compare_contracts(*pair) for pair in pairs]
    except (ContractFileError, SourceRefused, CannotInstall) as error:
        raise click.ClickException(str(error)) from error
    except ValueError as error:
        raise click.ClickException(f"these cannot be compared: {error}") from error
    if not pairs:
        ours, theirs = (", ".join(one.short_name for one in side) for side in sides)
        raise click.ClickException(f"no contract is in both: {old} has {ours}, {new} has {theirs}")
    if as_json:
        print_json(difference_json(differences, only_old, only_new))
    else:
        print_difference(differences, only_old, only_new)
    if only_old or any(one.consumer_breaks or one.producer_breaks for one in differences):
        raise click.exceptions.Exit(1)


@command.command(epilog="Example: rivta contract add GetDiagnosis_2.0.zip")
@click.argument("sources", metavar="FILE.zip|DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@home_and_json
def add(sources: tuple[Path, ...], home: str | None, as_json: bool) -> None:
    """Install contracts from release archives, or from folders laid out as they are.

    Everything is checked first; when something is wrong, nothing is installed. Running platforms and stubs take the
    contracts up by themselves. Names in routing tables that will no longer mean one contract are told before.
    """
    from rivta.cli.contract_names import ambiguous_names
    from rivta.cli.contract_output import print_ambiguous, print_installed, progress
    from rivta.contracts.domain import ContractFileError
    from rivta.contracts.installation import CannotInstall, SourceRefused, install
    from rivta.contracts.installed import Contracts
    from rivta.run.home import HomeError, resolve

    place = resolve(home)
    ambiguous: list[AmbiguousName] = []

    def look_at_names(coming: Sequence[Contract]) -> None:
        try:
            known = Contracts.shipped(place.contracts)
        except ContractFileError:  # a release that somebody damaged is repaired by adding it again
            known = Contracts.shipped()
        ambiguous.extend(ambiguous_names(place, known, coming))
        if not as_json:
            print_ambiguous(ambiguous)

    try:
        place.create()
        with progress(as_json=as_json) as tell:
            done = install(list(sources), place.contracts, progress=tell, before_change=look_at_names)
    except (CannotInstall, ContractFileError, HomeError) as error:
        raise click.ClickException(str(error)) from error
    except SourceRefused as error:
        raise click.ClickException(f"{error} (nothing was installed)") from error
    if as_json:
        print_json(_installed_json(done) | {"ambiguous": [_ambiguous_json(one) for one in ambiguous]})
    else:
        print_installed(_installed_json(done))


@command.command(epilog="Example: rivta contract remove GetDiagnosis:2")
@click.argument("contract")
@home_and_json
def remove(contract: str, home: str | None, as_json: bool) -> None:
    """Remove a contract that was installed; one that comes with the program counts again."""
    from rivta.contracts import installation
    from rivta.contracts.domain import ContractFileError
    from rivta.contracts.installation import CannotInstall
    from rivta.contracts.installed import UnknownContract
    from rivta.run.home import resolve

    folder = resolve(home).contracts
    try:
        gone = installation.remove(contract, folder)
    except (UnknownContract, CannotInstall, ContractFileError) as error:
        raise click.ClickException(str(error)) from error
    back = installed(home).get(gone[0].namespace)
    if as_json:
        print_json(
            {
                "removed": [{"namespace": one.namespace, "version": one.version} for one in gone],
                "now": _summary(back, home) if back else None,
            }
        )
        return
    click.echo(f"removed {', '.join(map(str, gone))}")
    if back is not None:
        click.echo(f"{back.short_name} is the one that comes with rivta again ({_version(back)})")


def installed(home: str | None) -> Contracts:
    """The shipped contracts and those of a pair's folder; ClickException when one cannot be used."""
    from rivta.contracts.domain import ContractFileError
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


def _operation(contract: Contract, name: str | None) -> Operation:
    found = [one for one in contract.operations if name in (None, one.name)]
    if not found:
        known = ", ".join(one.name for one in contract.operations)
        raise click.UsageError(f"{contract.short_name} has no operation {name!r}: it has {known}")
    return found[0]


def _summary(contract: Contract, home: str | None) -> dict[str, Any]:
    return {
        "contract": contract.short_name,
        "namespace": contract.namespace,
        "version": _version(contract),
        "domain": contract.domain,
        "profiles": _profiles(contract),
        "origin": _origin(contract, home),
    }


def _origin(contract: Contract, home: str | None) -> str:
    from rivta.run.home import resolve

    return "installed" if contract.folder.is_relative_to(resolve(home).contracts) else "shipped"


def _version(contract: Contract) -> str:
    return f"{contract.major}.{contract.minor}"


def _profiles(contract: Contract) -> list[str]:
    return [profile.value for profile, _ in contract.wsdls if profile]


def _files(contract: Contract) -> list[Any]:
    """Every file that defines the contract: its WSDLs, its schema, and what they import."""
    from rivta.contracts.domain import imported_files

    files = [*(file for _, file in contract.wsdls), contract.schema]
    imported = [found for file in files for _, found in imported_files(file, contract.folder)]
    return list(dict.fromkeys(file.resolve() for file in (*files, *imported)))


def _operations(contract: Contract) -> Iterator[dict[str, Any]]:
    """Each operation with every field of its two messages, in the order of the message."""
    from rivta.contracts.domain import ContractFileError
    from rivta.contracts.tree import load_schema, message_tree

    try:
        schema = load_schema(contract)
        for operation in contract.operations:
            messages = {}
            for message, root in (("request", operation.request), ("response", operation.response)):
                tree = message_tree(schema, root)
                fields = list(_fields(tree, 0, ""))
                messages[message] = {"element": root, "fields": fields, "sample": _sample(contract, message, operation)}
            yield {"name": operation.name, "soap_action": operation.soap_action, **messages}
    except (ContractFileError, LookupError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _fields(node: Node, depth: int, above: str) -> Iterator[dict[str, Any]]:
    from rivta.contracts.tree import in_words, occurrence, restrictions

    path = f"{above}/{node.local}"
    yield {
        "path": path,
        "depth": depth,
        "name": node.local,
        "namespace": node.name.rpartition("}")[0][1:],
        "times": occurrence(node.least, node.most),
        "type": node.type_name,
        "holds": in_words(node.values) if node.values is not None else "elements",
        "restrictions": [[word, list(values)] for word, values in restrictions(node.values)] if node.values else [],
        "description": node.description,
        "nillable": node.nillable,
        "recurs": node.recurs,
        "choice": node.choice,
        "groups": node.model,
        "open": node.is_open,
        "attributes": [
            {
                "name": one.name,
                "required": one.required,
                "holds": in_words(one.values),
                "restrictions": [[word, list(values)] for word, values in restrictions(one.values)],
            }
            for one in node.attributes
        ],
    }
    for child in node.children:
        yield from _fields(child, depth + 1, path)


def _sample(contract: Contract, message: str, operation: Operation) -> str | None:
    """A message to start from, the request for everything or the whole answer; None where there is no sample."""
    from rivta.contracts import samples

    make = samples.request if message == "request" else samples.response
    try:
        return make(contract, operation=operation).decode()
    except FileNotFoundError:
        return None


def _whole(contract: Contract, message: str, operation: Operation) -> bytes:
    from rivta.contracts import samples

    return samples.whole(contract, "request" if message == "request" else "response", operation)


def _made(contract: Contract, message: str, operation: Operation, seed: int) -> bytes:
    from rivta.contracts.generation import generate

    return generate(contract, operation.request if message == "request" else operation.response, seed=seed)


def _enveloped(payload: bytes, to: str | None, profile: list[Profile]) -> bytes:
    from lxml import etree

    from rivta.contracts import samples
    from rivta.soap.xml import parse_xml

    root = parse_xml(samples.envelope(payload, to, *profile))
    etree.indent(root)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _expanded(files: tuple[str, ...]) -> Iterator[str]:
    """The files meant: what a shell has not expanded is expanded here. UsageError for one that is not there."""
    import glob

    for name in files:
        if name == "-" or Path(name).is_file():
            yield name
        elif Path(name).is_dir():
            raise click.UsageError(f"{name} is a folder: give the files in it, as '{name.rstrip('/')}/*.xml'")
        else:
            found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - absolute patterns, and relative results
            if not found:
                raise click.UsageError(f"there is no file {name}")
            yield from (one for one in found if Path(one).is_file())


def _checked(name: str, validators: Validators) -> dict[str, Any]:
    """What `--json` prints for a file; `error` instead where there is nothing to check."""
    from rivta.contracts.domain import ContractFileError
    from rivta.contracts.installed import UnknownContract
    from rivta.contracts.validation import check_fault, fault_in
    from rivta.soap.charsets import read_document
    from rivta.soap.xml import XmlRefused

    shown = "<stdin>" if name == "-" else name
    try:
        root = read_document(_read(name), None).root
        fault = fault_in(root)
        if fault is not None:
            parts = {part: fault.findtext(f"fault{part}") for part in ("code", "string")}
            return _result(shown, None, "fault", check_fault(fault)) | {"fault": parts}
        contract, message, verdict = validators.check_document(root)
    except XmlRefused as error:
        line = f"line {error.line}: " if error.line else ""
        return {"file": shown, "error": f"{shown}: {line}not XML that can be checked: {error.reason}"}
    except UnknownContract as error:
        return {"file": shown, "error": f"{shown}: {error}; `rivta contract list` shows those that are"}
    except ContractFileError as error:
        return {"file": shown, "error": str(error)}
    except OSError as error:
        return {"file": shown, "error": f"{shown}: cannot be read: {error.strerror or error}"}
    except ValueError as error:
        return {"file": shown, "error": f"{shown}: {error}; there is nothing to check"}
    return _result(shown, contract, message, verdict)


def _read(name: str) -> bytes:
    """Never more than a platform would take twice over. Raises OSError and ValueError."""
    with click.open_file(name, "rb") as file:
        content = bytes(file.read(_MOST_BYTES + 1))
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes, which no platform takes")
    return content


def _result(name: str, contract: Contract | None, message: str, verdict: Any) -> dict[str, Any]:
    return {
        "file": name,
        "contract": contract.namespace if contract is not None else None,
        "message": message,
        "valid": verdict.valid,
        "violations": [{"line": one.line, "path": one.path, "reason": one.reason} for one in verdict.violations],
        "ns": dict(verdict.namespaces),
    }


def _side(text: str, contracts: Contracts, stack: Any) -> list[Contract]:
    """The contracts that one side of a comparison means."""
    from rivta.contracts.installation import opened

    if Path(text).exists() or text.endswith(".zip"):
        return list(stack.enter_context(opened(Path(text))))
    return [_find(contracts, text)]


def _paired(
    old: list[Contract], new: list[Contract]
) -> tuple[list[tuple[Contract, Contract]], list[Contract], list[Contract]]:
    """Which contract of one side is which of the other: the same namespace, else the highest version of the same name.

    Two that somebody named are a pair whatever they are called.
    """
    if len(old) == len(new) == 1:
        return [(old[0], new[0])], [], []
    pairs: list[tuple[Contract, Contract]] = []
    for contract in old:
        same = [one for one in new if one.namespace == contract.namespace]
        named = [one for one in new if one.name == contract.name]
        best = max(same or named, key=lambda one: (one.major, one.minor), default=None)
        if best is not None:
            pairs.append((contract, best))
    if len(old) == 1 or len(new) == 1:  # one contract was named: the others are not what is asked about
        return pairs, [], []
    matched = [one for pair in pairs for one in pair]
    return pairs, [one for one in old if one not in matched], [one for one in new if one not in matched]


def _installed_json(done: Installed) -> dict[str, Any]:
    return {
        "contracts": [
            {
                "name": one.version.name,
                "namespace": one.version.namespace,
                "version": one.version.version,
                "domain": one.domain,
                "effect": one.effect,
                "served": one.served,
                "instead_of_shipped": one.shipped,
            }
            for one in done.versions
        ],
        "warnings": list(done.warnings),
    }


def _ambiguous_json(one: AmbiguousName) -> dict[str, Any]:
    return {"file": str(one.file), "line": one.line, "name": one.name, "reason": one.reason}
