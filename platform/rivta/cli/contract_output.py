"""How `rivta contract` shows to people what its `--json` has."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from rivta.cli.contract_names import AmbiguousName
    from rivta.contracts.changes import Difference
    from rivta.contracts.domain import Contract

_LABEL = 15
_MOST_VALUES = 20


def print_list(contracts: list[dict[str, Any]]) -> None:
    """The contracts below their service domains; no line is wider than a narrow terminal."""
    width = max((len(one["contract"]) for one in contracts), default=0)
    in_order = sorted(contracts, key=lambda one: (one["domain"], one["contract"]))
    for domain, members in itertools.groupby(in_order, key=lambda one: one["domain"]):
        click.echo(domain)
        for one in members:
            origin = "  installed" if one["origin"] == "installed" else ""
            profiles = ", ".join(one["profiles"]) or "no profile"
            click.echo(f"  {one['contract']:<{width}}  {one['version']:<5} {profiles}{origin}".rstrip())


def print_shown(shown: dict[str, Any]) -> None:
    """All that there is to know of a contract."""
    from rich.console import Console

    console = Console(highlight=False)
    several = len(shown["operations"]) > 1
    for label, text in (
        ("Contract", f"{shown['contract']} (version {shown['version']})"),
        ("Namespace", shown["namespace"]),
        ("Service domain", shown["domain"]),
        ("Profiles", ", ".join(shown["profiles"]) or "none: a service from before RIV-TA"),
        *(("Logical address", _address(one)) for one in shown["logical_address"]),
        *([] if shown["logical_address"] else [("Logical address", "none in the messages")]),
        *(("File", file) for file in shown["files"]),
    ):
        _print_pair(console, label, text)
    for operation in shown["operations"]:
        console.print()
        _print_pair(console, "Operation", operation["name"])
        _print_pair(console, "SOAPAction", operation["soap_action"])
        for message in ("request", "response"):
            part = operation[message]
            _print_pair(console, message.capitalize(), part["element"])
            _print_fields(console, part["fields"])
    for operation in shown["operations"]:
        of = f" of {operation['name']}" if several else ""
        for message in ("request", "response"):
            _print_sample(console, f"A {message}{of}:", operation[message]["sample"])


def print_checked(result: dict[str, Any]) -> None:
    """Each violation as file, line and reason, as compilers do; then where in the message it is."""
    name, what = result["file"], f"{result['message']} of {_short(result['contract'])}"
    if result["message"] == "fault":
        fault = result["fault"]
        what = f"SOAP fault ({fault['code']}): {fault['string']}"
    click.echo(f"{name}: {'a' if result['valid'] else 'not a'} valid {what}")
    for one in result["violations"]:
        click.echo(f"{name}:{one['line']}: {one['reason']}\n    {one['path']}")
    for prefix, namespace in result["ns"].items():
        click.echo(f"  {prefix} = {namespace}")


def print_installed(done: dict[str, Any]) -> None:
    """A line for each version that came, and for what was left out or is not as it should be."""
    for one in done["contracts"]:
        rest = (
            "" if one["version"] == one["served"] else f"; {one['served']} is installed too, and is the one that counts"
        )
        if not rest and one["instead_of_shipped"]:
            rest = f", and counts instead of the {one['instead_of_shipped']} that comes with rivta"
        effect = {"unchanged": "was there already"}.get(one["effect"], one["effect"])
        click.echo(f"{one['name']} {one['version']} {effect}{rest}")
    for warning in done["warnings"]:
        click.echo(f"warning: {warning}")


def print_ambiguous(names: Sequence[AmbiguousName]) -> None:
    """On standard error: where tables have to be changed, and how."""
    for one in names:
        click.echo(f"warning: {one}", err=True)
    if names:
        what = "this name" if len(names) == 1 else "these names"
        click.echo(
            f"warning: write {what} as namespaces: until then these tables cannot be published, what is in force stays",
            err=True,
        )


@contextlib.contextmanager
def progress(*, as_json: bool) -> Iterator[Callable[[str], None]]:
    """Says on a terminal what is being looked at; nothing anywhere else."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if as_json or not console.is_terminal:
        yield lambda what: None
        return
    with console.status("Looking ...") as status:
        yield lambda what: status.update(f"Looking at {what} ...")


def difference_json(
    differences: list[Difference], only_old: list[Contract], only_new: list[Contract]
) -> dict[str, Any]:
    """What `--json` prints of a comparison."""
    return {
        "consumer_breaks": bool(only_old) or any(one.consumer_breaks for one in differences),
        "producer_breaks": bool(only_old) or any(one.producer_breaks for one in differences),
        "only_in_old": [one.namespace for one in only_old],
        "only_in_new": [one.namespace for one in only_new],
        "contracts": [_one_difference_json(one) for one in differences],
    }


def _one_difference_json(difference: Difference) -> dict[str, Any]:
    return {
        "old": {"namespace": difference.old.namespace, "version": _version(difference.old)},
        "new": {"namespace": difference.new.namespace, "version": _version(difference.new)},
        "consumer_breaks": difference.consumer_breaks,
        "producer_breaks": difference.producer_breaks,
        "namespaces": [{"old": old, "new": new} for old, new in difference.namespaces],
        "operations_only_in_old": list(difference.only_old),
        "operations_only_in_new": list(difference.only_new),
        "changes": [
            {
                "operation": one.operation,
                "message": one.message,
                "path": one.change.path,
                "kind": one.change.kind,
                "text": one.change.text,
                "hurts_consumer": one.hurts_consumer,
                "hurts_producer": one.hurts_producer,
                "consequence": one.consequence,
            }
            for one in difference.findings
        ],
    }


def print_difference(differences: list[Difference], only_old: list[Contract], only_new: list[Contract]) -> None:
    """What became of each contract; then who breaks."""
    for one in differences:
        _print_one_difference(one)
    for contract in only_old:
        click.echo(f"{contract.short_name} {_version(contract)} is gone")
    for contract in only_new:
        click.echo(f"{contract.short_name} {_version(contract)} is new")


def _print_one_difference(difference: Difference) -> None:
    old, new = difference.old, difference.new
    click.echo(f"{old.name} {_version(old)} -> {new.name} {_version(new)}")
    for before, after in difference.namespaces:
        click.echo(f"  namespace {before}\n    is now  {after}")
    for names, text in ((difference.only_old, "is gone"), (difference.only_new, "is new")):
        for name in names:
            click.echo(f"  operation {name} {text}")
    by_message = itertools.groupby(difference.findings, key=lambda one: (one.operation, one.message))
    for (operation, message), findings in by_message:
        click.echo(f"  {message} of {operation}")
        for one in findings:
            click.echo(f"    {one.change.path}\n      {one.change.kind}: {one.change.text}\n      {one.consequence}")
    if not (difference.findings or difference.namespaces or difference.only_old or difference.only_new):
        click.echo("  nothing differs")
    click.echo(_verdict(difference))


def _verdict(difference: Difference) -> str:
    if difference.namespaces:
        return (
            "Its messages have other namespaces: consumers and producers made for the old version both have to change."
        )
    broken = [
        who
        for who, breaks in (("consumer", difference.consumer_breaks), ("producer", difference.producer_breaks))
        if breaks
    ]
    if not broken:
        return "Consumers and producers made for the old version work on."
    rest = "" if len(broken) == 2 else f"; a {'producer' if broken == ['consumer'] else 'consumer'} works on"
    return (
        f"A {' and a '.join(broken)} made for the old version {'breaks' if len(broken) == 1 else 'both break'}{rest}."
    )


def _version(contract: Contract) -> str:
    return f"{contract.major}.{contract.minor}"


def _short(namespace: str | None) -> str:
    from rivta.soap.identifiers import short_name

    return short_name(namespace)


def _address(entry: dict[str, Any]) -> str:
    also = "".join(f", or {one}" for one in entry["also"])
    return f"{entry['entry']}{also} in the SOAP header ({entry['profile']})"


def _print_pair(console: Console, label: str, text: str) -> None:
    console.print(f"{label:<{_LABEL}} {text}", markup=False, soft_wrap=True)


def _print_fields(console: Console, fields: list[dict[str, Any]]) -> None:
    from rich.table import Column, Table
    from rich.text import Text

    if len(fields) == 1:
        console.print("  (holds nothing that the contract speaks of)")
        return
    table = Table(
        Column("Field", overflow="fold", ratio=9),
        Column("Times", no_wrap=True),
        Column("Holds", overflow="fold", ratio=10),
        box=None,
        pad_edge=False,
        expand=console.width <= 120,
    )
    for field in fields[1:]:
        name = Text("  " * (field["depth"] - 1) + field["name"])
        rows = list(_holds(field))
        holds = Text("\n").join([Text(rows[0]), *(Text(row, style="dim") for row in rows[1:])])
        table.add_row(name, field["times"], holds)
        for one in field["attributes"]:
            rest = "; ".join([one["holds"], *(_restriction(*it) for it in one["restrictions"])])
            table.add_row(
                Text("  " * field["depth"] + "@" + one["name"]), "1..1" if one["required"] else "0..1", Text(rest)
            )
    console.print(table)


def _holds(field: dict[str, Any]) -> Iterator[str]:
    """What a field holds, then each thing else there is to say of it, a line each."""
    is_group = field["holds"] == "elements"
    yield field["type"] or "elements" if is_group else field["holds"]
    if field["choice"]:
        yield "or one of those beside it"
    if field["groups"]:
        yield f"grouped as {field['groups']}"
    if field["recurs"]:
        yield "and so on, as above"
    for word, values in field["restrictions"]:
        yield _restriction(word, values)
    if field["nillable"]:
        yield "may be nil (xsi:nil)"
    if field["description"]:
        yield field["description"]
    if field["open"]:
        yield "further elements of other namespaces may follow"


def _restriction(word: str, values: list[str]) -> str:
    more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
    return f"{word} {', '.join(values[:_MOST_VALUES])}{more}"


def _print_sample(console: Console, title: str, sample: str | None) -> None:
    from rich.syntax import Syntax

    console.print(f"\n{title}", markup=False)
    if sample is None:
        console.print("  it came without one; `rivta contract sample` makes one", markup=False)
    else:
        console.print(Syntax(sample, "xml", background_color="default"), soft_wrap=True)
