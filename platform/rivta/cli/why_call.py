"""The last steps of the chain, with a real call: the source's answer, its schema, and what an aggregate takes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rivta.cli.source_call import Fetched, source_caller
from rivta.cli.why_chain import CALL, MERGE, SCHEMA, SourceChain
from rivta.cli.why_steps import Remedy, State, Step
from rivta.contracts.validation import Validators
from rivta.soap.head import read_head
from rivta.soap.identifiers import short_name
from rivta.soap.xml import XmlRefused, parse_xml

if TYPE_CHECKING:
    from rivta.aggregation.services import Service
    from rivta.contracts.domain import Contract
    from rivta.contracts.installed import Contracts
    from rivta.run.endpoints import Endpoints, Identity

_SHOWN_VIOLATIONS = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes the calls: whoever has a key in this home, which need not be the sender of the aggregate's calls."""

    name: str
    identity: Identity


def not_called(chain: SourceChain, why: str) -> SourceChain:
    """The chain with its call left out."""
    return _longer(chain, [Step(CALL, chain.platform, State.NOT_TRIED, why)])


def called(
    chain: SourceChain,
    *,
    endpoints: Endpoints,
    contracts: Contracts,
    service: Service,
    contract: Contract,
    patient: str,
    caller: Caller,
) -> SourceChain:
    """The chain with a real call to the source, through the platform that aggregates.

    Raises FileNotFoundError for a contract without a sample request, ValueError for an id that XML cannot hold.
    """
    with source_caller(endpoints, chain.platform, caller.identity) as calling:
        fetched = calling.get(contract, service, chain.source, patient)
    return _longer(chain, steps_of(chain, fetched, Validators(contracts), contract, caller))


def _longer(chain: SourceChain, steps: list[Step] | Iterator[Step]) -> SourceChain:
    return replace(chain, steps=(*chain.steps, *steps))


def steps_of(
    chain: SourceChain, fetched: Fetched, validators: Validators, contract: Contract, caller: Caller
) -> Iterator[Step]:
    """What an answer comes to, up to the first step that fails."""
    by = f"as {caller.name} ({caller.identity['hsa_id']})"
    if caller.identity["hsa_id"] != chain.sender:
        by += f", in place of {chain.sender}"
    trace = (("log", "show", fetched.correlation_id),)
    failure = fetched.failure
    if failure is not None and not fetched.body:
        advice = "look at how far the call came"
        text = f"{failure.text}, after {fetched.ms:.0f} ms, {by}"
        yield Step(CALL, chain.platform, State.FAILED, text, remedy=Remedy(advice, commands=trace))
        return
    if failure is not None:
        text = f"HTTP {fetched.status}, {fetched.ms:.0f} ms, {by}: {failure.code} {failure.text}"
        advice = "an aggregate has this as a failed source: the call's story says who answered so"
        yield Step(CALL, chain.platform, State.FAILED, text, remedy=Remedy(advice, commands=trace))
        return
    yield Step(CALL, chain.platform, State.PASSED, f"HTTP {fetched.status}, {fetched.ms:.0f} ms, {by}")
    yield _schema(chain, fetched, validators, contract)
    yield _merge(chain, fetched, contract)


def _schema(chain: SourceChain, fetched: Fetched, validators: Validators, contract: Contract) -> Step:
    """What the platform rejects never comes here; what it passes on is told of, and shows."""
    try:
        head = read_head(parse_xml(fetched.body))
    except XmlRefused as error:
        return Step(SCHEMA, chain.platform, State.DOUBTFUL, f"the answer cannot be checked: {error.reason}")
    if head.payload is None:
        return Step(SCHEMA, chain.platform, State.DOUBTFUL, "the answer is empty")
    verdict = validators.check(contract, head.payload, "response", head.header)
    if verdict.valid:
        return Step(SCHEMA, chain.platform, State.PASSED, f"as {short_name(contract.namespace)} demands")
    count = len(verdict.violations)
    shown = tuple(
        f"line {one.line}: {one.private_reason}  {one.path}" for one in verdict.violations[:_SHOWN_VIOLATIONS]
    )
    text = f"{count} violation{'s' if count != 1 else ''}, passed on (validation.response)"
    return Step(SCHEMA, chain.platform, State.DOUBTFUL, text, shown)


def _merge(chain: SourceChain, fetched: Fetched, contract: Contract) -> Step:
    number = len(fetched.records)
    if number:
        return Step(
            MERGE, chain.platform, State.PASSED, f"{number} record{'s' if number != 1 else ''} in the aggregate"
        )
    text = "the source answers without records, though it has announced some"
    advice = "ask the management of the source why; `rivta index check` compares all that it has announced"
    commands = (("index", "check", "--source", chain.source, "--contract", short_name(contract.namespace)),)
    return Step(MERGE, chain.platform, State.FAILED, text, remedy=Remedy(advice, commands=commands))
