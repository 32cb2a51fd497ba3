"""`rivta why`: why a patient's data does not show for a consumer, step by step, to the first that fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.options import find_contract, home_and_json, home_option, print_json

if TYPE_CHECKING:
    from rivta.cli.why_call import Caller
    from rivta.cli.why_chain import Ask, Chain, Question, SourceChain
    from rivta.contracts.domain import Contract
    from rivta.run.endpoints import Endpoints
    from rivta.run.home import Home


@click.command(
    name="why",
    epilog="Example: rivta why --patient 191212121212 --contract GetDiagnosis --as npo --source SE2321000016-KS",
)
@click.option("--patient", metavar="ID", required=True, help="Whose data does not show.")
@click.option("--contract", metavar="CONTRACT", required=True, help="GetDiagnosis, GetDiagnosis:2 or a namespace.")
@click.option(
    "--as", "consumer", metavar="CONSUMER", required=True, help="For whom: an HSA-id, or an identity of this home."
)
@click.option("--source", metavar="ADDRESS", help="Only this source system.  [default: every one that is announced]")
@click.option("--via", metavar="PLATFORM", default="national", show_default=True, help="The platform that it calls.")
@click.option("--to", metavar="ADDRESS", help="Address of the aggregate.  [default: that platform's own]")
@click.option("--call", "makes_calls", is_flag=True, help="Ask the sources too: reads the patient's data.")
@click.option(
    "--call-as", "identity", metavar="IDENTITY", help="With whose key.  [default: the consumer's, or who may call most]"
)
@home_and_json
def command(
    patient: str,
    contract: str,
    consumer: str,
    source: str | None,
    via: str,
    to: str | None,
    makes_calls: bool,
    identity: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Say why a patient's data does not show for a consumer that asks an aggregating service.

    The whole chain, in order: may the consumer ask, does the index know, the filters, the decision about both addresses
    of each engagement, that of every platform behind with the sender that it sees; with --call also the answer of the
    source, its schema, and what is joined. Each source stops at the first step that fails, with the row to add.

    For operators: it needs an admin's token, and shows what the index has about the patient. Platforms' logs say who
    asked, never about whom. The exit code is 1 when something does not show.
    """
    from rivta.cli.why_chain import Question, examine
    from rivta.cli.why_view import chain_json, print_chain
    from rivta.run.home import HomeError, resolve
    from rivta.soap.identifiers import short_name

    if identity is not None and not makes_calls:
        raise click.UsageError("--call-as says with whose key --call calls: give --call too")
    found = resolve(home)
    meant = find_contract(found, contract)
    try:
        endpoints = found.endpoints()
    except HomeError as error:
        raise click.ClickException(str(error)) from error
    if via not in endpoints["platforms"]:
        raise click.UsageError(f"{found.folder} has no platform {via!r}, but {', '.join(endpoints['platforms'])}")
    known = endpoints["identities"].get(consumer)
    question = Question(
        patient=patient,
        contract=meant.namespace,
        consumer=known["hsa_id"] if known else consumer,
        via=via,
        to=to or endpoints["platforms"][via]["aggregation_address"],
        source=source,
    )
    ask = _asking(found)
    chain = examine(question, endpoints, ask)
    if makes_calls:
        chain = _with_calls(chain, question, meant, endpoints, ask, found, identity)
    else:
        chain = _without_calls(chain)
    where = home_option(found)
    if as_json:
        print_json({"contract": question.contract, "consumer": question.consumer} | chain_json(chain, where))
    else:
        title = f"{short_name(question.contract)} for {question.consumer} at {question.to}, through {via}"
        print_chain(chain, title, where)
    return 0 if chain.passes else 1


def _asking(home: Home) -> Ask:
    """The admin APIs of the platforms. What was asked before is not asked again."""
    import json

    from rivta.cli.admin import AdminClient

    answers: dict[tuple[str, str, str, str], Any] = {}

    def ask(platform: str, verb: str, path: str, content: Mapping[str, Any]) -> Any:
        key = (platform, verb, path, json.dumps(content, sort_keys=True))
        if key not in answers:
            answers[key] = AdminClient.of_platform(home, platform).ask(verb, path, content)
        return answers[key]

    return ask


def _without_calls(chain: Chain) -> Chain:
    from rivta.cli.why_call import not_called

    sources = [not_called(one, "not made: --call makes it") if one.passes else one for one in chain.sources]
    return replace(chain, sources=tuple(sources))


def _with_calls(
    chain: Chain,
    question: Question,
    contract: Contract,
    endpoints: Endpoints,
    ask: Ask,
    home: Home,
    identity: str | None,
) -> Chain:
    from rivta.aggregation.services import services
    from rivta.contracts.installed import Contracts

    contracts = Contracts.shipped(home.contracts)
    sources: list[SourceChain] = []
    for one in chain.sources:
        if not one.passes:
            sources.append(one)
            continue
        row = ask(one.platform, "GET", "/aggregation/services", {})["services"][question.contract]
        service = services({question.contract: _keys(row)})[contract.namespace]
        caller = _caller(endpoints, one, identity)
        sources.append(_called(one, question, ask, endpoints, contracts, service, contract, caller))
    return replace(chain, sources=tuple(sources))


def _keys(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a service as `services` takes it."""
    return {name: value for name, value in row.items() if name != "contract_name"}


def _called(
    chain: SourceChain,
    question: Question,
    ask: Ask,
    endpoints: Endpoints,
    contracts: Any,
    service: Any,
    contract: Contract,
    caller: Caller,
) -> SourceChain:
    from rivta.cli.why_call import called, not_called

    asked = {"sender": caller.identity["hsa_id"], "contract": question.contract, "logical_address": chain.source}
    outcome = ask(chain.platform, "GET", "/explain", asked)["outcome"]
    if caller.identity["hsa_id"] != chain.sender and outcome != "routed":
        why = f"not made: {caller.name} meets {outcome} there itself; name an identity that may call with --call-as"
        return not_called(chain, why)
    try:
        return called(
            chain,
            endpoints=endpoints,
            contracts=contracts,
            service=service,
            contract=contract,
            patient=question.patient,
            caller=caller,
        )
    except FileNotFoundError as error:
        return not_called(chain, f"not made: {error}")
    except ValueError as error:
        raise click.UsageError(f"--patient {question.patient!r} cannot stand in a message: {error}") from error


def _caller(endpoints: Endpoints, chain: SourceChain, identity: str | None) -> Caller:
    """Whose key is used: that named, the sender's where this home has it, else that of one that may call most."""
    from rivta.cli.source_call import CALLERS
    from rivta.cli.why_call import Caller

    identities = endpoints["identities"]
    own = next((name for name, one in identities.items() if one["hsa_id"] == chain.sender), None)
    name = identity or own or CALLERS.get(chain.platform, "npo")
    if name not in identities:
        raise click.UsageError(f"identity {name!r} is not one of this pair's: {', '.join(identities)}")
    return Caller(name, identities[name])
