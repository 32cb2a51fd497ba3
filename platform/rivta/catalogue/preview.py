"""What a new table would change for callers: every (consumer, contract, address) whose outcome differs, by the engine.

The calls that could be made are without number, so they are put into classes of which one stands for all, and only
those that a difference between the two tables can touch are decided. For a contract

* an address that no row of either table names, and no row names a unit above it in either HSA tree, is like every
  other such address: `OTHER` stands for them;
* units without rows of their own are alike where the units above them that have rows are the same ones, in both trees;
* consumers are alike where their permissions stand at the same addresses for the same time;
* an address of two parts (`A#B`) is decided by the rows of its parts: pairs with a touched part are looked at, and
  parts with the same rows are alike.

Addresses are looked at as tables and trees spell them; another spelling is found by the same rows, and climbs no tree.

Which rows win, and until when, is said by `decide.hold` alone. Only consumers that have some permission near an address
are looked at: nobody else can gain or lose anything there. Times go from `now` over every instant at which a row that
matters opens or closes.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple

from rivta.catalogue.decide import decide, hold
from rivta.catalogue.decision import Decision, Outcome
from rivta.catalogue.differences import Change, Difference, Section, differences
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.levels import is_delimited, tokens
from rivta.catalogue.rows import ANY_ADDRESS, HSA_ROOT, Draft, PermissionRow, RouteRow, closes, opens
from rivta.catalogue.table import Table
from rivta.soap.identifiers import short_name

OTHER = "…"
"""Stands for every address, or part of one, that neither table names, and no unit above it either."""

MOST_PAIRS = 50_000
"""Addresses of two parts that are decided at most; what is left out is said."""

_ROOT = HSA_ROOT.lower()
_END = datetime.max.replace(tzinfo=UTC)
_TIMES = {"valid_from", "valid_to"}

Progress = Callable[[int, int], None]
"""Called with what is done and all there is to do."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two tables: its rows, the same compiled with an HSA tree, and that tree."""

    draft: Draft
    table: Table
    tree: HsaTree


class Kind(Enum):
    """What becomes of calls."""

    LOST = "lost"
    """Routed before, refused then."""
    AMBIGUOUS = "ambiguous"
    """Refused with VP006 then, because several routes are valid, and not so before."""
    REROUTED = "rerouted"
    """Routed before and then, to another URL, component or profile, or with another identity."""
    GAINED = "gained"
    """Refused before, routed then."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Calls that are alike in what becomes of them: each consumer to each address."""

    kind: Kind
    contract: str
    consumers: tuple[str, ...]
    addresses: tuple[str, ...]
    """`OTHER` among them stands for every address that is not named."""
    since: datetime | None
    """None: from the beginning of what was looked at."""
    until: datetime | None
    """First instant after it; None is for good."""
    before: Decision
    """Of the first consumer and address; the others' differ in the rows at most."""
    after: Decision
    of_two_parts: bool = False
    """The addresses are such as `A#B`: whoever changes A changes them too, so people see their number alone."""

    @property
    def calls(self) -> int:
        """Pairs of consumer and address."""
        return len(self.consumers) * len(self.addresses)


@dataclass(frozen=True, slots=True)
class Preview:
    """What changes for callers from `now` on."""

    now: datetime
    effects: tuple[Effect, ...]
    """The worst first."""
    decided: int
    """How many calls were decided by both tables."""
    left_out: tuple[str, ...] = ()
    """What was not looked at, in words; empty when the effects are all there are."""


class Calls(NamedTuple):
    """Calls that were made."""

    sender: str
    contract: str
    logical_address: str
    number: int


@dataclass(frozen=True, slots=True)
class CallsEffect:
    """Calls that were made, and would end in another way now."""

    kind: Kind
    calls: Calls
    before: Decision
    after: Decision


def preview(before: Side, after: Side, *, now: datetime, progress: Progress | None = None) -> Preview:
    """Every call whose outcome differs between the two, now or at a later time."""
    touched = _Touched.of(before, after)
    work: list[tuple[_Contract, list[_Class]]] = []
    too_many: list[str] = []
    pairs = 0
    for contract in _contracts(before, after, touched.contracts()):
        classes = contract.classes(touched)
        if pairs + (more := contract.pairs(touched)) <= MOST_PAIRS:
            pairs += more
            classes += contract.two_parts(touched)
        else:
            too_many.append(short_name(contract.namespace))
        work.append((contract, classes))
    effects: list[Effect] = []
    total = sum(len(classes) for _, classes in work)
    done = decided = 0
    for contract, classes in work:
        found = _Merged(contract.namespace, contract.alike)
        for one in classes:
            for consumer in sorted(one.consumers):
                decided += 1
                found.add(one, consumer, _periods(before.table, after.table, consumer, contract, one, now))
            done += 1
            if progress is not None and (done % 100 == 0 or done == total):
                progress(done, total)
        effects.extend(found.effects(now))
    effects.sort(key=_order)
    left_out = (f"addresses of two parts (A#B), which are too many, for {', '.join(too_many)}",) if too_many else ()
    return Preview(now, tuple(effects), decided, left_out)


def preview_calls(before: Table, after: Table, made: Iterable[Calls], *, now: datetime) -> tuple[CallsEffect, ...]:
    """Which of the calls that were made would end in another way, were they made again now; most calls first."""
    found = []
    for calls in made:
        question = {"sender": calls.sender, "contract": calls.contract, "logical_address": calls.logical_address}
        old, new = decide(before, **question, now=now), decide(after, **question, now=now)
        if (kind := kind_of(old, new)) is not None:
            found.append(CallsEffect(kind, calls, old, new))
    return tuple(sorted(found, key=lambda one: (-one.calls.number, one.calls)))


def kind_of(before: Decision, after: Decision) -> Kind | None:
    """What a caller notices of the difference; None where that is nothing but another refusal, or nothing at all."""
    if after.outcome is Outcome.ROUTED:
        if before.outcome is not Outcome.ROUTED:
            return Kind.GAINED
        return Kind.REROUTED if _way(before) != _way(after) else None
    if after.outcome is Outcome.SEVERAL_ROUTES:
        return None if before.outcome is Outcome.SEVERAL_ROUTES else Kind.AMBIGUOUS
    return Kind.LOST if before.outcome is Outcome.ROUTED else None


def _way(decision: Decision) -> tuple[object, ...]:
    """What a producer or a consumer can notice of where a call goes."""
    route = decision.route
    if decision.outcome is not Outcome.ROUTED or route is None:
        return (decision.outcome,)
    return (route.url, route.profile, route.component.lower(), route.client_certificate, route.ca)


class _Period(NamedTuple):
    kind: Kind
    since: datetime
    until: datetime
    ways: tuple[tuple[object, ...], tuple[object, ...]]
    before: Decision
    after: Decision


def _periods(
    before: Table, after: Table, consumer: str, contract: "_Contract", one: "_Class", now: datetime
) -> tuple[_Period, ...]:
    """When the call's outcome differs from `now` on: each time span with one kind of difference."""
    found: list[_Period] = []
    question = {"sender": consumer, "contract": contract.namespace, "logical_address": one.addresses[0]}
    moment = now
    while True:
        old, new = hold(before, **question, now=moment), hold(after, **question, now=moment)
        until = min(old.until, new.until)
        kind = kind_of(old.decision, new.decision)
        if kind is not None:
            ways = _way(old.decision), _way(new.decision)
            last = found[-1] if found else None
            if last is not None and last.until == moment and (last.kind, last.ways) == (kind, ways):
                found[-1] = last._replace(until=until)
            else:
                found.append(_Period(kind, moment, until, ways, old.decision, new.decision))
        if until >= _END:
            return tuple(found)
        moment = until


_Alike = Mapping[str, tuple[str, ...]]
"""The consumers that one stands for, by that one."""


class _Merged:
    """The effects for one contract, those that differ in consumers and addresses only put together."""

    def __init__(self, contract: str, alike: _Alike) -> None:
        self._contract, self._alike = contract, alike
        self._found: dict[tuple[int, tuple[object, ...]], tuple[_Class, _Period, list[str]]] = {}

    def add(self, one: "_Class", consumer: str, periods: tuple[_Period, ...]) -> None:
        """What becomes of calls of the consumer, and those like it, to the addresses of the class."""
        for period in periods:
            key = (id(one), (period.kind, period.since, period.until, period.ways))
            self._found.setdefault(key, (one, period, []))[2].extend(self._alike[consumer])

    def effects(self, now: datetime) -> Iterator[Effect]:
        """Everything that was added."""
        merged: dict[tuple[object, ...], tuple[_Period, list[str]]] = {}
        for (_, same), (one, period, consumers) in self._found.items():
            key = (one.of_two_parts, *same, tuple(sorted(consumers)))
            merged.setdefault(key, (period, []))[1].extend(one.addresses)
        for key, (period, addresses) in merged.items():
            consumers_of = key[-1]
            assert isinstance(consumers_of, tuple)
            yield Effect(
                kind=period.kind,
                contract=self._contract,
                consumers=consumers_of,
                addresses=tuple(sorted(addresses, key=lambda address: (address == OTHER, address))),
                since=None if period.since == now else period.since,
                until=None if period.until >= _END else period.until,
                before=period.before,
                after=period.after,
                of_two_parts=bool(key[0]),
            )


def _order(effect: Effect) -> tuple[object, ...]:
    kinds = list(Kind)
    since = effect.since or datetime.min.replace(tzinfo=UTC)
    return effect.of_two_parts, kinds.index(effect.kind), since, effect.contract, effect.addresses, effect.consumers


class _Class(NamedTuple):
    """Addresses that are alike, and the consumers, each standing for its likes, that may see a difference there."""

    addresses: tuple[str, ...]
    consumers: frozenset[str]
    of_two_parts: bool = False


@dataclass(slots=True)
class _Touched:
    """Where the tables differ, by contract in lower case."""

    at: dict[str, dict[str, set[str] | None]] = field(default_factory=lambda: defaultdict(dict))
    """Address in lower case to the consumers concerned, None for all."""
    moved: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Units, as the trees spell them, that have others above them now."""

    @classmethod
    def of(cls, before: Side, after: Side) -> "_Touched":
        """What differs between the two sides' rows, and between their trees."""
        touched = cls()
        rows: list[RouteRow | PermissionRow] = [*before.draft.routes, *after.draft.routes]
        rows += [*before.draft.permissions, *after.draft.permissions]
        found = differences(before.draft, after.draft)
        if any(one.section is Section.RESOLUTION for one in found):
            for row in rows:
                touched._everyone(row)
        moved_addresses: set[str] = set()
        for one in found:
            if one.section is Section.PRODUCER_ADDRESSES:
                moved_addresses.add(one.key[0])
            elif one.section in (Section.ROUTES, Section.PERMISSIONS):
                touched._row(one)
        for row in rows:
            if isinstance(row, RouteRow) and row.producer_address in moved_addresses:
                touched._everyone(row)
        touched._moved(before.tree, after.tree, rows)
        return touched

    def contracts(self) -> set[str]:
        """The contracts concerned."""
        return {contract for contract, found in (*self.at.items(), *self.moved.items()) if found}

    def _row(self, one: Difference) -> None:
        *consumer, address, contract = (part.lower() for part in one.key)
        if not consumer:
            self.at[contract][address] = None
        elif one.change is not Change.CHANGED or any(change.name in _TIMES for change in one.fields):
            consumers = self.at[contract].setdefault(address, set())
            if consumers is not None:
                consumers.add(consumer[0])

    def _everyone(self, row: RouteRow | PermissionRow) -> None:
        self.at[row.contract.lower()][row.logical_address.lower()] = None

    def _moved(self, before: HsaTree, after: HsaTree, rows: Iterable[RouteRow | PermissionRow]) -> None:
        if before.digest == after.digest:
            return
        contracts: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            contracts[row.logical_address.lower()].add(row.contract.lower())
        for unit in before.units.keys() | after.units.keys():
            old, new = before.ancestors(unit), after.ancestors(unit)
            if old != new:
                # Where both have the same units above in another order, each of them may have changed its turn.
                for above in set(old) ^ set(new) or set(old):
                    for contract in contracts.get(above.lower(), ()):
                        self.moved[contract].add(unit)


def _contracts(before: Side, after: Side, wanted: Collection[str]) -> Iterator["_Contract"]:
    """The rows of each wanted contract, in the order of their names."""
    found: dict[str, list[tuple[int, RouteRow | PermissionRow]]] = defaultdict(list)
    for number, side in enumerate((before, after)):
        rows: list[RouteRow | PermissionRow] = [*side.draft.routes, *side.draft.permissions]
        for row in rows:
            if (key := row.contract.lower()) in wanted:
                found[key].append((number, row))
    trees = _Trees(before.tree, after.tree)
    for key in sorted(found):
        yield _Contract(key, before, after, trees, found[key])


class _Trees:
    """Both HSA trees, and what lies below their units."""

    def __init__(self, before: HsaTree, after: HsaTree) -> None:
        self.before, self.after = before, after
        self._below: dict[str, list[str]] = defaultdict(list)
        self._spelled: dict[str, set[str]] = defaultdict(set)
        for tree in (before, after) if before is not after else (before,):
            for unit in tree.units.values():
                self._below[unit.parent or HSA_ROOT].append(unit.hsa_id)
                self._spelled[unit.hsa_id.lower()].add(unit.hsa_id)

    def spelled(self, key: str) -> set[str]:
        """The units that are spelled so, whatever the case."""
        return self._spelled.get(key, set())

    def below(self, unit: str) -> Iterator[str]:
        """The units below one, at any depth, in either tree."""
        seen = {unit}
        waiting = [unit]
        while waiting:
            for child in self._below.get(waiting.pop(), ()):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
                    yield child


class _Given(NamedTuple):
    """A permission as far as it tells consumers apart."""

    side: int
    address: str
    opens: datetime | None
    closes: datetime | None


class _Contract:
    """The rows of both tables for one contract."""

    def __init__(
        self, key: str, before: Side, after: Side, trees: _Trees, rows: list[tuple[int, RouteRow | PermissionRow]]
    ) -> None:
        self.key = key
        self.namespace: str = rows[-1][1].contract
        self._rules = (before.table.resolution, after.table.resolution)
        self._trees = trees
        self._spellings: dict[str, set[str]] = defaultdict(set)
        self._patterns: dict[str, set[tuple[object, ...]]] = defaultdict(set)
        consumers: dict[str, set[_Given]] = defaultdict(set)
        spelled: dict[str, str] = {}
        for number, row in rows:
            address = row.logical_address.lower()
            self._spellings[address].add(row.logical_address)
            when = opens(row.valid_from), closes(row.valid_to)
            if isinstance(row, RouteRow):
                self._patterns[address].add((number, "", row.producer_address, *when))
            else:
                consumer = row.consumer.lower()
                spelled[consumer] = row.consumer
                consumers[consumer].add(_Given(number, address, *when))
                self._patterns[address].add((number, consumer, "", *when))
        self.alike, self._stands_for = self._groups(consumers, spelled)
        self._consumers_at: dict[str, set[str]] = defaultdict(set)
        for consumer, pattern in consumers.items():
            for given in pattern:
                self._consumers_at[given.address].add(self._stands_for[consumer])

    def classes(self, touched: _Touched) -> list[_Class]:
        """Whole addresses that a difference can touch."""
        at, moved = touched.at.get(self.key, {}), touched.moved.get(self.key, set())
        found: dict[tuple[object, ...], list[str]] = defaultdict(list)
        levels: dict[tuple[object, ...], set[str]] = {}
        for address in self._candidates(at, moved):
            own = address.lower() if address.lower() in self._spellings else None
            chains = self._named_above(self._trees.before, address), self._named_above(self._trees.after, address)
            key: tuple[object, ...] = (own, *chains)
            found[key].append(address)
            if key not in levels:
                levels[key] = {*chains[0], *chains[1], _ROOT, ANY_ADDRESS, *self._parts(address), address.lower()}
        classes = []
        for key, addresses in found.items():
            consumers = self._concerned(levels[key], at, everyone=not moved.isdisjoint(addresses))
            if consumers:
                addresses.sort(key=lambda address: (address == OTHER, address))
                classes.append(_Class(tuple(addresses), frozenset(consumers)))
        return classes

    def pairs(self, touched: _Touched) -> int:
        """How many classes `two_parts` makes at most."""
        parts = self._parts_with_rows()
        at = sum(address in touched.at.get(self.key, {}) for address in parts)
        separators = {rules.delimiter for rules in self._rules if rules.delimiter}
        return len(separators) * (2 * at * (1 + len(self._alike_parts(parts))) + 1)

    def two_parts(self, touched: _Touched) -> list[_Class]:
        """Addresses of two parts of which one is touched; the other is one that has rows, or any other."""
        at = touched.at.get(self.key, {})
        own = self._parts_with_rows()
        partners = self._alike_parts(own)
        classes: list[_Class] = []
        separators = {rules.delimiter for rules in self._rules}
        for separator in sorted(separators - {""}):
            if len(separators) > 1:  # what is of two parts for one table is whole for the other
                levels = {_ROOT, ANY_ADDRESS}
                everyone = frozenset(self._concerned(levels, at, everyone=True))
                classes.append(_Class((f"{OTHER}{separator}{OTHER}",), everyone, of_two_parts=True))
            for address in (address for address in at if address in own):
                for others in ([OTHER], *partners):
                    classes.extend(self._pairs(separator, address, others, at))
        return classes

    def _parts_with_rows(self) -> set[str]:
        """Addresses that can be a part; one with a character of a delimiter in it would fall into further parts."""
        separating = {character for rules in self._rules for character in rules.delimiter}
        return {one for one in self._spellings if one != ANY_ADDRESS and separating.isdisjoint(one)}

    def _alike_parts(self, parts: Iterable[str]) -> list[list[str]]:
        """The parts, as they are spelled, those with the same rows together."""
        alike: dict[object, list[str]] = defaultdict(list)
        for part in sorted(parts):
            alike[frozenset(self._patterns[part])].append(self._spelling(part))
        return [*alike.values()]

    def _pairs(
        self, separator: str, address: str, others: list[str], at: Mapping[str, set[str] | None]
    ) -> Iterator[_Class]:
        """The address with each of the others, before it and after it."""
        name = self._spelling(address)
        others = [other for other in others if other != name]
        if not others:
            return
        # Where an address with the delimiter of one table is a plain one in the other, `*` and SE count too.
        levels = {address, others[0].lower(), _ROOT, ANY_ADDRESS}
        consumers = self._concerned(levels, at, everyone=at[address] is None)
        if consumers:
            yield _Class(
                tuple(f"{name}{separator}{other}" for other in others), frozenset(consumers), of_two_parts=True
            )
            # With both touched, the other way round comes when it is the other's turn.
            rest = [other for other in others if other.lower() not in at]
            if rest:
                yield _Class(
                    tuple(f"{other}{separator}{name}" for other in rest), frozenset(consumers), of_two_parts=True
                )

    def _candidates(self, at: Mapping[str, set[str] | None], moved: Collection[str]) -> set[str]:
        """Every address that may be touched. `*` is none that anyone calls."""
        found = set(moved)
        if ANY_ADDRESS in at or _ROOT in at:
            found.add(OTHER)
            roots: Iterable[str] = self._spellings
        else:
            roots = at
        for key in roots:
            found |= self._spellings.get(key, set())
            for unit in self._trees.spelled(key):
                found.add(unit)
                found.update(self._trees.below(unit))
        for key, spellings in self._spellings.items():
            if self._is_delimited(key):
                found |= spellings
        found.discard(ANY_ADDRESS)
        return found

    def _named_above(self, tree: HsaTree, address: str) -> tuple[str, ...]:
        """The units above the address that have rows, the root left out: it is above all."""
        above = (unit.lower() for unit in tree.ancestors(address))
        return tuple(unit for unit in above if unit in self._spellings and unit != _ROOT)

    def _concerned(self, levels: Iterable[str], at: Mapping[str, set[str] | None], *, everyone: bool) -> set[str]:
        """The consumers with a permission at one of the levels; only those that a difference there concerns."""
        near: set[str] = set()
        concerned: set[str] = set()
        for level in levels:
            near |= self._consumers_at.get(level, set())
            if level in at:
                consumers = at[level]
                if consumers is None:
                    everyone = True
                else:
                    concerned.update(self._stands_for[consumer] for consumer in consumers)
        return near if everyone else near & concerned

    def _groups(
        self, consumers: Mapping[str, set[_Given]], spelled: Mapping[str, str]
    ) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
        """Who stands for whom, and by whom each is stood for."""
        groups: dict[object, list[str]] = defaultdict(list)
        for consumer in sorted(consumers):
            # Whom a delimiter address may be permitted for is asked in the spelling of the call.
            listed = tuple(spelled[consumer] in rules.delimiter_senders for rules in self._rules)
            groups[frozenset(consumers[consumer]), listed].append(consumer)
        alike = {spelled[group[0]]: tuple(spelled[one] for one in group) for group in groups.values()}
        stands_for = {one: spelled[group[0]] for group in groups.values() for one in group}
        return alike, stands_for

    def _spelling(self, key: str) -> str:
        return min(self._spellings[key])

    def _is_delimited(self, address: str) -> bool:
        return any(is_delimited(rules, address) for rules in self._rules)

    def _parts(self, address: str) -> set[str]:
        parts: set[str] = set()
        for rules in self._rules:
            if is_delimited(rules, address):
                parts.update(part.lower() for part in tokens(rules, address))
        return parts
