"""Why a patient's data does not show: the chain from the index to the source, each step asked of whoever decides it.

Nothing is decided here. The platform that aggregates says what its filters do, every platform on the way to a source
what its table says to the sender that it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from rivta.aggregation.plan import Reason
from rivta.aggregation.services import Asks
from rivta.catalogue.decision import IN_PROCESS
from rivta.catalogue.rows import NotificationFilter
from rivta.cli.why_steps import Decided, Drafts, Remedy, State, Step, decision_step, file_of
from rivta.index.engagement import Engagement, Transaction
from rivta.index.subscriptions import Subscriber
from rivta.soap import namespaces
from rivta.soap.identifiers import short_name

if TYPE_CHECKING:
    from rivta.run.endpoints import Endpoints

AGGREGATE, INDEX_CALL, INDEX, CATEGORY, OWN_ADDRESS = "aggregate", "index call", "index", "category", "own address"
LOGICAL_ADDRESS, SOURCE_SYSTEM, ONWARD = "logical address", "source system", "next platform"
CALL, SCHEMA, MERGE = "call", "schema", "merge"
"""The steps, in their order: scripts rely on the names."""

TOO_OLD: Final = "too old"
"""Why an engagement is not asked for, beside the reasons of a plan: its content is older than the service asks for."""
_FURTHEST: Final = (
    TOO_OLD,
    Reason.CATEGORY.value,
    *(reason.value for reason in Reason if reason is not Reason.CATEGORY),
)
"""Why an engagement is dropped, from the first filter to the last."""

Ask = Callable[[str, str, str, Mapping[str, Any]], Any]
"""Platform, verb, path and content to the JSON of that platform's admin API. Raises ClickException."""


@dataclass(frozen=True, slots=True)
class Question:
    """Whose data does not show for whom."""

    patient: str = field(repr=False)
    contract: str
    """Namespace."""
    consumer: str
    """HSA-id."""
    via: str
    """Short name of the platform that the consumer calls."""
    to: str
    """Logical address of the aggregate."""
    source: str | None
    """Only this source: its address, either of the two that an engagement has."""


@dataclass(frozen=True, slots=True)
class SourceChain:
    """The way to one source."""

    source: str
    """The address that is called."""
    platform: str
    """That calls it first: the one that aggregates."""
    sender: str
    """In whose name it does."""
    steps: tuple[Step, ...]

    @property
    def passes(self) -> bool:
        """Whether nothing on the way failed."""
        return not any(one.state is State.FAILED for one in self.steps)


@dataclass(frozen=True, slots=True)
class Chain:
    """Everything that was found out."""

    steps: tuple[Step, ...]
    """Before any source is looked at."""
    sources: tuple[SourceChain, ...] = ()
    left_out: int = 0
    """Engagements beyond those that were looked at."""

    @property
    def passes(self) -> bool:
        """Whether every step did."""
        return not any(one.state is State.FAILED for one in self.steps) and all(one.passes for one in self.sources)


def examine(question: Question, endpoints: Endpoints, ask: Ask) -> Chain:
    """The chain, up to the call itself. Raises ClickException when a platform cannot be asked."""
    return _Examination(question, endpoints, ask).chain()


class _Examination:
    def __init__(self, question: Question, endpoints: Endpoints, ask: Ask) -> None:
        self._question = question
        self._platforms = endpoints["platforms"]
        self._names = {one["id"].upper(): name for name, one in self._platforms.items()}
        self._ask = ask
        self._drafts = Drafts(self._folder, self._leads_to)

    def chain(self) -> Chain:
        steps, last = self._to_the_aggregate()
        if last is None:
            return Chain(tuple(steps))
        asked = {"patient": self._question.patient, "contract": self._question.contract, "consumer": last.sender}
        source = {"source": self._question.source} if self._question.source else {}
        whole = {"original_consumer": self._question.consumer}
        at = self._ask(last.platform, "POST", "/aggregation/why", asked | whole | source)
        steps.append(self._index_call(last.platform, at))
        if steps[-1].state is State.FAILED:
            return Chain(tuple(steps))
        rows = list(at["found"])
        if not self._question.source:  # that a source has other things too is no reason to tell of it
            rows = [one for one in rows if one["dropped"] != Reason.CATEGORY.value]
        if not rows:
            return Chain((*steps, self._unannounced(last, at)))
        chains = [self._source(address, some, last, at) for address, some in _by_address(rows, at["asks"])]
        chains += self._held_back(last, at)
        of = f" of {self._question.source}" if self._question.source else ""
        text = f"{len(rows)} engagement{'s' if len(rows) != 1 else ''} about the patient{of}"
        steps.append(Step(INDEX, last.platform, State.PASSED, text))
        return Chain(tuple(steps), tuple(chains), at["matching"] - len(at["found"]))

    def _to_the_aggregate(self) -> tuple[list[Step], Decided | None]:
        """The decisions until the call is with the aggregating service, and the last of them; None where it fails."""
        asked = self._question
        legs = list(self._legs(asked.via, asked.consumer, asked.contract, asked.to))
        steps = [decision_step(AGGREGATE, one, self._drafts) for one in legs]
        last = legs[-1]
        if not last.is_routed:
            return steps, None
        if not str(last.route["url"]).lower().startswith(IN_PROCESS):
            text = f"{asked.to} is no aggregate there, but {last.route['component']} at {last.route['url']}"
            advice = "name the address of the aggregating services with --to; `rivta route list` has it"
            return [*steps, Step(AGGREGATE, last.platform, State.FAILED, text, remedy=Remedy(advice))], None
        return steps, last

    def _legs(self, platform: str, sender: str, contract: str, address: str) -> Iterator[Decided]:
        """The decision of each platform of this home on the way of a call; each calls the next in its own name."""
        seen: set[str] = set()
        while True:
            found = self._explain(platform, sender, contract, address)
            yield Decided(platform, sender, contract, address, found)
            seen.add(platform)
            beyond = self._next(found)
            if beyond is None or beyond in seen:
                return
            platform, sender = beyond, self._platforms[platform]["id"]

    def _explain(self, platform: str, sender: str, contract: str, address: str) -> Mapping[str, Any]:
        content = {"sender": sender, "contract": contract, "logical_address": address}
        found: Mapping[str, Any] = self._ask(platform, "GET", "/explain", content)
        return found

    def _next(self, found: Mapping[str, Any]) -> str | None:
        """The platform of this home that a routed call goes on to, unless it is the one that answers itself."""
        route = found["route"]
        if found["permission"] is None or route is None or not route["platform"]:
            return None
        if str(route["url"]).lower().startswith((IN_PROCESS, "unix:")):
            return None
        return self._names.get(str(route["component"]).upper())

    def _index_call(self, platform: str, at: Mapping[str, Any]) -> Step:
        address = at["index"]["address"]
        decided = Decided(platform, at["hsa_id"], namespaces.FIND_CONTENT_1, address, at["index_call"])
        step = decision_step(INDEX_CALL, decided, self._drafts)
        is_own = str(decided.route.get("url", "")).lower().startswith("unix:")
        if step.state is State.PASSED and not is_own:
            text = f"the index asked is at {decided.route['url']}; what this platform's own holds is shown below"
            return replace(step, state=State.DOUBTFUL, text=text)
        return step

    def _held_back(self, last: Decided, at: Mapping[str, Any]) -> Iterator[SourceChain]:
        """Sources that are announced at an index that tells this one of changes, and are not in this one."""
        known = {row["sourceSystem"] for row in at["found"]}
        for name in self._platforms:
            if name == last.platform or self._subscriber(name, at) is None:
                continue
            for row in self._announced_at(name, at):
                if row["sourceSystem"] in known:
                    continue
                known.add(row["sourceSystem"])
                details, remedy = self._not_passed_on(name, row, last, at)
                text = f"in the index of {name} only: {_announced([row])}"
                step = Step(INDEX, last.platform, State.FAILED, text, details, remedy)
                yield SourceChain(row["sourceSystem"], last.platform, last.sender, (step,))

    def _subscriber(self, name: str, at: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The index that was asked, as a subscriber of another platform's; None where it is none."""
        index = at["index"]["hsa_id"].upper()
        subscribers = self._ask(name, "GET", "/index", {})["subscribers"]
        return next((one for one in subscribers if one["logical_address"].upper() == index), None)

    # What one source's engagements meet.

    def _source(
        self, address: str, rows: Sequence[Mapping[str, Any]], last: Decided, at: Mapping[str, Any]
    ) -> SourceChain:
        row = max(rows, key=_got_how_far)
        steps = [Step(INDEX, last.platform, State.PASSED, _announced([row, *(one for one in rows if one is not row)]))]
        if row["dropped"] == Reason.CATEGORY.value:
            steps.append(self._of_other_categories(rows, last, at))
            return SourceChain(address, last.platform, last.sender, tuple(steps))
        for step in self._filters(row, last, at):
            steps.append(step)
            if step.state is State.FAILED:
                return SourceChain(address, last.platform, last.sender, tuple(steps))
        steps += self._beyond(address, last)
        return SourceChain(address, last.platform, last.sender, tuple(steps))

    def _of_other_categories(self, rows: Sequence[Mapping[str, Any]], last: Decided, at: Mapping[str, Any]) -> Step:
        """A source that the index knows for other things only."""
        others = ", ".join(sorted({one["categorization"] for one in rows}))
        asked = " or ".join(at["categories"])
        text = f"announced as {others}; {short_name(self._question.contract)} asks for {asked}"
        details, remedy = self._whereabouts(last, at)
        return Step(CATEGORY, last.platform, State.FAILED, text, details, remedy)

    def _filters(self, row: Mapping[str, Any], last: Decided, at: Mapping[str, Any]) -> Iterator[Step]:
        """The filters, by what the aggregating service says it does to the engagement."""
        dropped, platform, contract = row["dropped"], last.platform, self._question.contract
        category = f"{row['categorization']} of {row['serviceDomain']}"
        if dropped == TOO_OLD:
            text = f"newest content {_day(row['mostRecentContent'])}: {short_name(contract)} asks for newer only"
            remedy = Remedy("have the source announce its newest content")
            yield Step(CATEGORY, platform, State.FAILED, text, remedy=remedy)
            return
        yield Step(CATEGORY, platform, State.PASSED, category)
        if dropped == Reason.OWN_ADDRESS.value:
            text = f"the engagement points at the aggregate itself, {at['address']}, which would ask itself for ever"
            advice = f"have {row['dataController']} announce its own address, and take this engagement away"
            yield Step(OWN_ADDRESS, platform, State.FAILED, text, remedy=Remedy(advice))
            return
        address, source = row["logicalAddress"], row["sourceSystem"]
        step = self._asked(LOGICAL_ADDRESS, address, last, at["addresses"][address])
        if dropped != Reason.ADDRESS_REFUSED.value and step.state is State.FAILED:
            text = "let through by the original consumer's permission (compat.aggregate_by_original_consumer)"
            step = replace(step, state=State.DOUBTFUL, text=f"{step.text}; {text}", remedy=None)
        if dropped == Reason.ADDRESS_REFUSED.value and step.state is State.PASSED:
            text = f"{row['outcome']}: not asked, since the HSA tree is not climbed (compat.aggregate_without_climb)"
            step = replace(step, state=State.FAILED, text=text)
        yield step
        if step.state is State.FAILED or at["asks"] != Asks.SOURCE_SYSTEM.value:
            return
        if source not in at["sources"]:
            text = "not looked at before the call (compat.aggregate_source_unchecked)"
            yield Step(SOURCE_SYSTEM, platform, State.DOUBTFUL, text)
            return
        yield self._asked(SOURCE_SYSTEM, source, last, at["sources"][source])

    def _asked(self, name: str, address: str, last: Decided, found: Mapping[str, Any]) -> Step:
        decided = Decided(last.platform, last.sender, self._question.contract, address, found)
        return decision_step(name, decided, self._drafts)

    def _beyond(self, address: str, last: Decided) -> Iterator[Step]:
        """The decisions of the platforms behind the one that aggregates, to the sender that each of them sees."""
        legs = list(self._legs(last.platform, last.sender, self._question.contract, address))
        if not legs[0].is_routed:  # the source was not looked at; the call will be refused
            yield decision_step(CALL, legs[0], self._drafts)
            return
        for leg in legs[1:]:
            yield decision_step(ONWARD, leg, self._drafts)
        end = legs[-1]
        back = self._next(end.found)
        if back is not None:
            text = f"VP014: {end.platform} sends the call back to {back} [{end.route['source']}]"
            advice = f"have one of the two routes lead to the producer of {address}"
            yield Step(ONWARD, end.platform, State.FAILED, text, remedy=Remedy(advice))
        elif end.is_routed and end.route["platform"] and not _is_own(end.route):
            text = f"{end.route['component']} is a platform outside of this home: what it decides is not known here"
            yield Step(ONWARD, None, State.DOUBTFUL, text)
        elif end.is_routed and _is_own(end.route):
            text = (
                f"{address} is an aggregate of {end.platform}: `rivta why --via {end.platform} --to {address}` goes on"
            )
            yield Step(ONWARD, end.platform, State.DOUBTFUL, text)

    # Where the index knows nothing.

    def _unannounced(self, last: Decided, at: Mapping[str, Any]) -> Step:
        """No engagement: whether another index has one, or who should announce it."""
        source = f" of {self._question.source}" if self._question.source else ""
        text = f"the index {at['index']['hsa_id']} has no engagement{source} about the patient"
        if at["announced"]:
            text += f"; {at['announced']} of other sources or categories in this service domain"
        details, remedy = self._whereabouts(last, at)
        return Step(INDEX, last.platform, State.FAILED, text, details, remedy)

    def _whereabouts(self, last: Decided, at: Mapping[str, Any]) -> tuple[tuple[str, ...], Remedy]:
        """Which other index of this home has what this one has not, or who should have announced it."""
        for name in self._platforms:
            rows = [] if name == last.platform else self._announced_at(name, at)
            if rows:
                details, remedy = self._not_passed_on(name, rows[0], last, at)
                return (f"{name} has {_announced(rows)}", *details), remedy
        return self._nobody(last)

    def _announced_at(self, name: str, at: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """What another index has of the same kind."""
        asked = {"patient": self._question.patient, "domain": at["domain"]}
        found = self._ask(name, "POST", "/index/engagements", asked)["engagements"]
        wanted = self._question.source
        return [
            one
            for one in found
            if wanted in (None, one["sourceSystem"], one["logicalAddress"])
            and (not at["categories"] or one["categorization"] in at["categories"])
        ]

    def _not_passed_on(
        self, name: str, row: Mapping[str, Any], last: Decided, at: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], Remedy]:
        """Why what one index has is not in the other."""
        index = at["index"]["hsa_id"]
        stats = self._ask(name, "GET", "/index", {})
        subscriber = self._subscriber(name, at)
        sent = namespaces.PROCESS_NOTIFICATION_1
        sender = self._platforms[name]["id"]
        decided = Decided(name, sender, sent, index, self._explain(name, sender, sent, index))
        if subscriber is None:
            step = decision_step(INDEX, decided, self._drafts)
            return (f"{name} does not tell {index} of changes: {step.text}", *step.details), step.remedy or Remedy(
                stats["subscribers_problem"] or "look at `rivta index stats`"
            )
        if not _wants(subscriber, row):
            kind = f'{{domain: "{row["serviceDomain"]}", categories: [{row["categorization"]}]}}'
            source = str((decided.found["permission"] or {}).get("source", ""))
            advice = f"add {kind} to the filters of the permission at {source or 'that tells it'}"
            place = file_of(self._folder(name), source)
            return (f"{name} tells {index} of other kinds only",), Remedy(advice, place)
        queue = next((one for one in stats["queues"] if one["subscriber"].upper() == index.upper()), None)
        if queue and queue["waiting"]:
            why = f": {queue['reason']}" if queue["reason"] else ""
            there = self._explain(last.platform, sender, sent, index)
            asked = decision_step(INDEX, Decided(last.platform, sender, sent, index, there), self._drafts)
            if asked.state is State.FAILED and asked.remedy:
                return (f"{queue['waiting']} notifications wait{why}", asked.text, *asked.details), asked.remedy
            look = (("index", "stats", "--platform", name),)
            return (f"{queue['waiting']} notifications wait{why}",), Remedy("end what stops them", commands=look)
        if queue and queue["dead"]:
            again = (
                ("index", "dead", "list", "--platform", name),
                ("index", "dead", "send", "--all", "--platform", name),
            )
            return (f"{queue['dead']} notifications were given up",), Remedy("send them again", commands=again)
        advice = "have it announced again with a newer mostRecentContent: what has not changed is not passed on"
        return (f"nothing waits at {name}: it was announced before {index} was told",), Remedy(advice)

    def _nobody(self, last: Decided) -> tuple[tuple[str, ...], Remedy]:
        """Who should have announced it, and whether that one may."""
        source = self._question.source
        if source is None:
            return ("no index of this home has any",), Remedy(
                "have the systems that know the patient announce it with Update; name one with --source"
            )
        legs = list(self._legs(last.platform, last.sender, self._question.contract, source))
        end = legs[-1]
        if not end.route or _is_own(end.route) or end.route["platform"]:
            step = decision_step(INDEX, end, self._drafts)
            advice = "see that the source is spelled as it is announced, or has a route"
            if step.state is State.PASSED or step.remedy is None:
                return ("no index of this home has any",), Remedy(advice)
            return ("no index of this home has any", f"{source} has no way either: {step.text}"), step.remedy
        system = str(end.route["component"])
        index = self._platforms[end.platform]["aggregation_address"]
        decided = Decided(
            end.platform,
            system,
            namespaces.UPDATE_1,
            index,
            self._explain(end.platform, system, namespaces.UPDATE_1, index),
        )
        step = decision_step(INDEX, decided, self._drafts)
        last_update = self._last_update(end.platform, system)
        if step.state is State.FAILED and step.remedy:
            return (
                f"{system} may not announce it at {end.platform}: {step.text}",
                *step.details,
                last_update,
            ), step.remedy
        return (
            f"{system} may announce it at the index {index} of {end.platform}, and has not, or has taken it away",
            last_update,
        ), Remedy(f"have the management of {system} announce it with Update")

    def _last_update(self, platform: str, system: str) -> str:
        asked = {"sender": system, "contract": namespaces.UPDATE_1, "limit": 1}
        found = self._ask(platform, "GET", "/calls", asked)["calls"]
        if not found:
            return f"{platform} has no Update of {system} in its log"
        return f"its last Update at {platform}: {found[0]['time']}, {found[0]['outcome']}"

    # Where rows are to be added.

    def _folder(self, platform: str) -> str | None:
        folder: str | None = self._ask(platform, "GET", "/status", {})["draft"]["folder"]
        return folder

    def _leads_to(self, platform: str, contract: str, address: str) -> str | None:
        """The producer address at a platform by which another, that knows the address, is reached."""
        for name, one in self._platforms.items():
            if name == platform:
                continue
            found = self._explain(name, self._platforms[platform]["id"], contract, address)
            if found["route"] is None or self._names.get(str(found["route"]["component"]).upper()) == platform:
                continue
            rows = self._ask(platform, "GET", "/tables/routes", {"limit": 10_000})["routes"]
            leading = (row["producer_address"] for row in rows if row["component"].upper() == one["id"].upper())
            return next((str(row) for row in leading), None)
        return None


def _by_address(rows: Sequence[Mapping[str, Any]], asks: str) -> Iterable[tuple[str, list[Mapping[str, Any]]]]:
    """The engagements by the address that is called."""
    name = "sourceSystem" if asks == Asks.SOURCE_SYSTEM.value else "logicalAddress"
    of: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        of.setdefault(row[name], []).append(row)
    return sorted(of.items())


def _got_how_far(row: Mapping[str, Any]) -> int:
    """One engagement that is not dropped is enough for a source to be asked."""
    return len(_FURTHEST) if row["dropped"] is None else _FURTHEST.index(row["dropped"])


def _announced(rows: Sequence[Mapping[str, Any]]) -> str:
    """The first of them in words."""
    row, more = rows[0], f"; {len(rows) - 1} more" if len(rows) > 1 else ""
    return (
        f"{row['categorization']} at {row['logicalAddress']}, newest {_day(row['mostRecentContent'])}, "
        f"stored {_day(row['creationTime'])}, owner {row['owner']}{more}"
    )


def _day(text: str | None) -> str:
    """`20261124120000` as people read it."""
    return f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[8:10]}:{text[10:12]}" if text else "not said"


def _is_own(route: Mapping[str, Any]) -> bool:
    return str(route["url"]).lower().startswith((IN_PROCESS, "unix:"))


def _wants(subscriber: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """By the index's own rule."""
    filters = tuple(NotificationFilter(one["domain"], tuple(one["categories"])) for one in subscriber["filters"])
    engagement = Engagement(
        registered_resident_id="",
        service_domain=row["serviceDomain"],
        categorization=row["categorization"],
        logical_address=row["logicalAddress"],
        source_system=row["sourceSystem"],
        data_controller=row["dataController"],
        owner=row["owner"],
    )
    return Subscriber(subscriber["logical_address"], filters).wants(Transaction(False, engagement))
