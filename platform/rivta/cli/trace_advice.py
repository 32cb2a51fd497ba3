"""Who ended a call, whom to ask about it, and the command that tells more."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from rivta.cli.options import home_option
from rivta.soap.faults import Fault
from rivta.soap.identifiers import short_name

if TYPE_CHECKING:
    from rivta.cli.trace import Hop, Seen
    from rivta.run.endpoints import Endpoints
    from rivta.run.home import Home

_NAMED_PLATFORM = re.compile(r"\s*VP\d{3} \[(?P<name>[^\]]*)\]")
_OWN_LACK = "The platform has no "
"""So begins what the platform says of a producer that it lacks the means to call."""


class Party(Enum):
    """Who has to act."""

    CONSUMER = "the consumer"
    CALLER = "whoever called the platform that refused"
    PLATFORM = "the management of the platform"
    PRODUCER = "the management of the producer"


@dataclass(frozen=True, slots=True)
class Ask:
    """Whom to ask, and for what. The advice is a template with `{sender}`, `{address}` and `{contract}` of the hop."""

    party: Party
    advice: str


ASK: Final[dict[Fault, Ask]] = {
    Fault.NO_PROFILE: Ask(Party.CONSUMER, "send LogicalAddress or To in the SOAP header"),
    Fault.NO_SENDER: Ask(Party.CALLER, "call with a valid certificate that has an HSA-id in its subject"),
    Fault.NO_RECEIVER: Ask(Party.CONSUMER, "send a logical address"),
    Fault.NO_ROUTE: Ask(Party.PLATFORM, "order a route to {address} for {contract}, unless one of them is misspelled"),
    Fault.PROFILE_NOT_TRANSLATABLE: Ask(Party.PLATFORM, "have the profile of the producer address corrected"),
    Fault.SEVERAL_ROUTES: Ask(Party.PLATFORM, "have all but one of the routes removed"),
    Fault.NO_PERMISSION: Ask(Party.PLATFORM, "order a permission for {sender} to call {address} with {contract}"),
    Fault.NO_TABLE: Ask(Party.PLATFORM, "have the tables published"),
    Fault.PRODUCER_TROUBLE: Ask(Party.PRODUCER, "have it see to its endpoint; the detail says what was met"),
    Fault.NO_URL: Ask(Party.PLATFORM, "have the URL of the producer address filled in"),
    Fault.NOT_WHITELISTED: Ask(Party.CALLER, "call by https"),
    Fault.TRANSLATION_FAILED: Ask(Party.PLATFORM, "report the fault with the correlation id"),
    Fault.ORIGINAL_CONSUMER_REFUSED: Ask(Party.PLATFORM, "have {sender} listed as one that may name another"),
    Fault.LOOP: Ask(Party.PLATFORM, "have the routes that lead back to the platform corrected"),
    Fault.UNREADABLE: Ask(Party.CONSUMER, "correct the message; the detail has line, path and reason"),
}
"""Each fault of a platform and who can end it. A platform with other faults is an error here too."""

_PRODUCERS_FAULT = Ask(Party.PRODUCER, "ask what the fault means; the platforms only passed it on")
_OURS = Ask(Party.PLATFORM, "report the fault with the correlation id")
_OF_HTTP = Ask(Party.CONSUMER, "correct the request; the detail says what could not be taken in")
_BY_CODE = {fault.value.code: ask for fault, ask in ASK.items()}
_UNSAID = {
    "refused": Ask(Party.CONSUMER, "call with a certificate that the platform accepts"),
    "distrusted": Ask(Party.PLATFORM, "have its certificate corrected, or trust the CA that it is from"),
    "unreachable": Ask(Party.PLATFORM, "ask whether it is up"),
    "silent": Ask(Party.PLATFORM, "ask what it waits for"),
    "unsendable": Ask(Party.CONSUMER, "correct what the call was to be made with"),
}
"""By what `rivta call` says of a call without answer."""
NO_ANSWER = frozenset(_UNSAID)

_EXPLAINED = {
    fault.value.code
    for fault in (
        Fault.NO_ROUTE,
        Fault.PROFILE_NOT_TRANSLATABLE,
        Fault.SEVERAL_ROUTES,
        Fault.NO_PERMISSION,
        Fault.NO_URL,
        Fault.LOOP,
    )
}


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a call that failed ended."""

    by: str
    """`consumer`, `platform`, `producer` or `network`: who ended it."""
    who: str
    """That one's name, for people."""
    code: str | None
    """The fault's code; None for a producer's own fault, and below HTTP."""
    passed_on_by: tuple[str, ...]
    """The platforms that relayed the fault, from the one that refused to the consumer."""
    party: Party
    ask: str
    """Whom to ask: the party by its name."""
    advice: str
    detail: str = ""
    """What is known beyond the fault that the consumer got."""
    hop: int | None = None
    """Index of the hop where it ended; None when that is not one of those in the trace."""


def ending(hops: Sequence[Hop], seen: Seen, endpoints: Endpoints) -> Ending | None:
    """Where the call ended, unless it was answered well."""
    if seen.no_answer is not None and not any(not hop.record.is_routed for hop in hops[:1]):
        return _without_answer(hops, seen)
    if not hops:
        return _unrecorded(seen, endpoints)
    at = _writer_of_the_fault(hops)
    if at is None:
        return _left_early(hops) if not hops[0].record.http_status else None
    hop, above = hops[at], tuple(_platform(one) for one in reversed(_above(hops, at)))
    if hop.record.is_routed:
        return _behind(hop, at, (_platform(hop), *above), seen, endpoints)
    ask = _ask_of(hop)
    return Ending(
        by="platform",
        who=_platform(hop),
        code=hop.record.outcome if hop.record.outcome in _BY_CODE else None,
        passed_on_by=above,
        party=ask.party,
        ask=_name_of(ask.party, hops, at),
        advice=_filled_in(ask.advice, hop),
        detail=_what_the_next_says(hops, at),
        hop=at,
    )


def next_commands(
    hops: Sequence[Hop], seen: Seen, end: Ending | None, *, correlation_id: str, home: Home
) -> tuple[str, ...]:
    """Commands that say more, ready to paste."""
    if end is None:
        return ()
    where = home_option(home)
    commands = [*_commands(hops, seen, end)]
    if hops or seen.no_answer == "silent":
        commands.append(["log", "show", correlation_id])
    return tuple(dict.fromkeys(shlex.join(["rivta", *command, *where]) for command in commands))


def _commands(hops: Sequence[Hop], seen: Seen, end: Ending) -> Iterator[list[str]]:
    if end.hop is None:
        if end.by == "network" and seen.url is not None:
            yield ["status"]
            if end.party is Party.CONSUMER:
                yield ["cert", "list"]
            yield ["connect", "check", "--url", seen.url, *(["--as", seen.identity] if seen.identity else [])]
        return
    hop = hops[end.hop]
    record, code = hop.record, hop.record.outcome
    about = ["--contract", record.contract] if record.contract else []
    if code in _EXPLAINED and record.sender and record.contract and record.logical_address:
        yield [
            *("route", "explain", "--from", record.sender, *about, "--to", record.logical_address),
            *("--platform", hop.name, "--at", record.time),
        ]
    if code in (Fault.SEVERAL_ROUTES.value.code, Fault.NO_URL.value.code, Fault.LOOP.value.code):
        yield ["route", "lint"]
    elif code == Fault.NO_TABLE.value.code:
        yield ["route", "history", "--platform", hop.name]
    elif code == Fault.NO_SENDER.value.code:
        yield ["cert", "list"]
    elif code == Fault.UNREADABLE.value.code:
        if seen.body_file is not None:
            yield ["contract", "check", seen.body_file]
        elif record.contract:
            yield ["contract", "show", record.contract]
    elif end.party is Party.PRODUCER and record.producer_url and record.producer_url.startswith("http"):
        to = ["--to", record.logical_address] if record.logical_address else []
        yield ["connect", "check", "--url", record.producer_url, *about, *to, "--as", hop.name]


def _writer_of_the_fault(hops: Sequence[Hop]) -> int | None:
    """The hop that wrote, or got from its producer, the fault that reached the consumer; None when none did."""
    at = 0
    while hops[at].record.is_routed:
        if hops[at].record.http_status < HTTPStatus.BAD_REQUEST:
            return None
        failed = [
            index
            for index in range(at + 1, _end_of(hops, at))
            if hops[index].depth == hops[at].depth + 1 and _has_failed(hops[index])
        ]
        if not failed:
            return at
        at = failed[-1]
    return at


def _end_of(hops: Sequence[Hop], at: int) -> int:
    """Where the hops that a hop led to end."""
    later = (index for index in range(at + 1, len(hops)) if hops[index].depth <= hops[at].depth)
    return next(later, len(hops))


def _has_failed(hop: Hop) -> bool:
    return not hop.record.is_routed or hop.record.is_fault_of_producer


def _above(hops: Sequence[Hop], at: int) -> list[Hop]:
    """The hops that led to a hop, from the consumer on."""
    found: list[Hop] = []
    depth = hops[at].depth
    for hop in reversed(hops[:at]):
        if hop.depth < depth:
            depth = hop.depth
            found.insert(0, hop)
    return found


def _ask_of(hop: Hop) -> Ask:
    """The closed mapping from what a platform refused with to who can end it."""
    outcome = hop.record.outcome
    if outcome == Fault.PRODUCER_TROUBLE.value.code and _OWN_LACK in hop.record.detail:
        return Ask(Party.PLATFORM, "have it given what it lacks to call this producer with")
    if outcome in _BY_CODE:
        return _BY_CODE[outcome]
    if outcome.startswith("http-4"):
        return _OF_HTTP
    return _OURS


def _filled_in(advice: str, hop: Hop | None) -> str:
    sender = hop.record.sender if hop else None
    address = hop.record.logical_address if hop else None
    return advice.format(
        sender=sender or "the caller",
        address=address or "the logical address",
        contract=short_name(hop.record.contract) if hop and hop.record.contract else "the contract",
    )


def _name_of(party: Party, hops: Sequence[Hop], at: int) -> str:
    hop = hops[at]
    match party:
        case Party.CONSUMER:
            return _consumer(hops[0])
        case Party.CALLER:
            above = _above(hops, at)
            return f"the management of {_platform(above[-1])}" if above else _consumer(hop)
        case Party.PRODUCER:
            return f"the management of {_producer(hop)}"
        case Party.PLATFORM:
            return f"the management of {_platform(hop)}"


def _platform(hop: Hop) -> str:
    called = f"{hop.title}, " if hop.title else ""
    return f"{hop.name} ({called}{hop.platform})"


def _consumer(hop: Hop) -> str:
    who = hop.record.sender or "who did not say who it is"
    return f"the consumer itself ({f'{hop.caller_name}, ' if hop.caller_name else ''}{who})"


def _producer(hop: Hop) -> str:
    component = str(hop.route["component"]) if hop.route else hop.record.producer_url or "the producer"
    return f"{hop.producer_name} ({component})" if hop.producer_name else component


def _what_the_next_says(hops: Sequence[Hop], at: int) -> str:
    """Of a hop that did not get its answer: what the platform behind it has in its own log."""
    record = hops[at].record
    if record.outcome != Fault.PRODUCER_TROUBLE.value.code:
        return ""
    behind = [hop for hop in hops[at + 1 : _end_of(hops, at)] if hop.depth == hops[at].depth + 1]
    if behind:
        last = behind[-1]
        result = last.record.outcome if not last.record.is_routed else f"HTTP {last.record.http_status}"
        return f"by its own log {_platform(last)} ended the call with {result} after {last.record.elapsed_ms:.0f} ms"
    return ""


def _behind(hop: Hop, at: int, passed_on_by: tuple[str, ...], seen: Seen, endpoints: Endpoints) -> Ending:
    """A fault from behind the last platform that has a record: from a producer, or from a platform elsewhere."""
    named = _NAMED_PLATFORM.match(seen.fault_text)
    own = {one["name"] for one in endpoints["platforms"].values()}
    is_platform = bool(hop.route and hop.route.get("platform"))
    if is_platform or (named and named["name"] not in own):
        who = _producer(hop)
        code = seen.fault_code
        ask = _BY_CODE.get(code or "", _PRODUCERS_FAULT)
        party = Party.PRODUCER if ask.party in (Party.PLATFORM, Party.PRODUCER) else ask.party
        whom = f"the management of {who}" if party is Party.PRODUCER else _consumer(hop)
        called = f" (it calls itself {named['name']})" if named else ""
        return Ending(
            by="platform",
            who=who,
            code=code,
            passed_on_by=passed_on_by,
            party=party,
            ask=whom,
            advice=_filled_in(ask.advice, hop),
            detail=f"that platform{called} has no log in this home",
            hop=at,
        )
    return Ending(
        by="producer",
        who=_producer(hop),
        code=None,
        passed_on_by=passed_on_by,
        party=_PRODUCERS_FAULT.party,
        ask=f"the management of {_producer(hop)}",
        advice=_PRODUCERS_FAULT.advice,
        hop=at,
    )


def _without_answer(hops: Sequence[Hop], seen: Seen) -> Ending:
    """The consumer got no HTTP answer: which end of the connection said no."""
    ask = _UNSAID[seen.no_answer or "silent"]
    platform = _platform(hops[0]) if hops else seen.via or seen.url or "the platform"
    who = "the consumer" if seen.no_answer in ("distrusted", "unsendable") else platform
    whom = "you, the consumer" if ask.party is Party.CONSUMER else f"the management of {platform}"
    return Ending(
        by="network",
        who=who,
        code=None,
        passed_on_by=(),
        party=ask.party,
        ask=whom,
        advice=ask.advice,
        detail="the platform went on with the call; see below how far" if hops else "",
    )


def _unrecorded(seen: Seen, endpoints: Endpoints) -> Ending | None:
    """A fault of which no platform has a record: what its own words tell."""
    if not seen.fault_text:
        return None
    ask = _BY_CODE.get(seen.fault_code or "", _OURS)
    named = _NAMED_PLATFORM.match(seen.fault_text)
    known = {one["name"]: f"{name} ({one['id']})" for name, one in endpoints["platforms"].items()}
    platform = known.get(named["name"], named["name"]) if named else seen.via or "the platform"
    whom = "you, the consumer" if ask.party in (Party.CONSUMER, Party.CALLER) else f"the management of {platform}"
    if ask.party is Party.PRODUCER:
        whom = f"the management of {platform}, which knows the producer"
    return Ending(
        by="platform",
        who=platform,
        code=seen.fault_code,
        passed_on_by=(),
        party=ask.party,
        ask=whom,
        advice=_filled_in(ask.advice, None),
    )


def _left_early(hops: Sequence[Hop]) -> Ending:
    return Ending(
        by="consumer",
        who=_consumer(hops[0]),
        code=None,
        passed_on_by=(),
        party=Party.CONSUMER,
        ask=_consumer(hops[0]),
        advice="wait longer for the answer",
        hop=0,
    )
