"""The JSON of the incumbent's catalogue: a downloaded snapshot, whose relations are row ids, and an export, whose
relations are the names of things. Read and written, both.

Keys are as irregular as they are: `logiskAdress` of a permission but `logiskadress` of a snapshot's route, and
`tjanstekonsument` or `tjanstekomponent` for whom a permission is.
"""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from io import BytesIO
from typing import Any

from rivta.catalogue.exchange.dates import write_json_bound
from rivta.catalogue.exchange.imported import Gatherer, Imported, ImportRefused, filters_of, route_row
from rivta.catalogue.exchange.written import (
    About,
    Target,
    sorted_permissions,
    sorted_routes,
    target_of,
    targets,
)
from rivta.catalogue.rows import SWEDISH_TIME, Draft, PermissionRow
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress

MAX_BYTES = 1024 * 1024 * 1024
"""Of a file, unpacked."""

_LISTS = {
    "rivtaprofil": ("id", "namn", "beskrivning", "pubversion"),
    "tjanstekontrakt": ("id", "namnrymd", "beskrivning", "majorVersion", "minorVersion", "pubversion"),
    "logiskadress": ("id", "hsaId", "beskrivning", "pubversion"),
    "tjanstekomponent": ("id", "hsaId", "beskrivning", "pubversion"),
    "anropsadress": ("id", "adress", "pubversion", "relationships"),
    "anropsbehorighet": ("id", "integrationsavtal", "fromTidpunkt", "tomTidpunkt", "pubversion", "relationships"),
    "vagval": ("id", "fromTidpunkt", "tomTidpunkt", "pubversion", "relationships"),
    "filter": ("id", "servicedomain", "pubversion", "relationships"),
    "filtercategorization": ("id", "category", "pubversion", "relationships"),
}
"""The nine lists, and what a row of each has."""

_NAMES = {
    "rivtaprofil": "namn",
    "tjanstekontrakt": "namnrymd",
    "logiskadress": "hsaId",
    "tjanstekomponent": "hsaId",
    "anropsadress": "adress",
}
"""What a thing is known by where relations are names."""

_GZIP = b"\x1f\x8b"


class Style(Enum):
    """How rows refer to each other."""

    EXPORT = "export"
    """By names: what the catalogue's export answers."""
    SNAPSHOT = "snapshot"
    """By row ids: what is downloaded."""


def read(data: bytes, *, file: str, tak_dates: bool = False) -> Imported:
    """The rows of either kind of file, also packed with gzip. Raises ImportRefused with every mistake.

    Dates are days to the incumbent, whatever the zone its midnights are written in; `tak_dates` is for those without
    one.
    """
    gatherer = Gatherer(file, tak_dates=tak_dates, keeps_days=True)
    document = _document(gatherer, data)
    if document is not None:
        lists = _lists(gatherer, document)
        if not gatherer.problems:
            _Reader(gatherer, lists).gather()
    return gatherer.result()


def write(
    draft: Draft, about: About, *, variables: Mapping[str, str], style: Style = Style.EXPORT, pretty: bool = False
) -> bytes:
    """The table in JSON. Everything that rows refer to is declared, also what the draft only uses.

    Raises ExportRefused.
    """
    lists = _Writer(draft, str(about.version), targets(draft, variables), style).lists()
    is_snapshot = style is Style.SNAPSHOT
    document = {
        "formatVersion": "1" if is_snapshot else 1,
        "version": str(about.version) if is_snapshot else about.version,
        "tidpunkt": about.time.astimezone(SWEDISH_TIME).strftime("%Y-%m-%dT%H:%M:%S%z"),
        "utforare": about.author,
        "kommentar": about.comment,
        "data": lists,
    }
    return json.dumps(document, ensure_ascii=False, indent=1 if pretty else None).encode() + b"\n"


def _document(gatherer: Gatherer, data: bytes) -> dict[str, Any] | None:
    found: dict[str, Any] | None = None
    try:
        parsed = json.loads(_unpacked(data).decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        gatherer.complain(error.lineno, "syntax", f"not JSON: {error.msg}")
    except (ValueError, OSError, EOFError, RecursionError) as error:
        gatherer.complain(0, "syntax", f"not JSON that is read here: {error}")
    else:
        if isinstance(parsed, dict) and isinstance(parsed.get("data"), dict):
            found = parsed
        else:
            gatherer.complain(0, "wrong-type", "has no object `data` with the nine lists of the catalogue")
    return found


def _unpacked(data: bytes) -> bytes:
    if data.startswith(_GZIP):
        with gzip.open(BytesIO(data)) as packed:
            data = packed.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES // 2**20} MB unpacked")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _lists(gatherer: Gatherer, document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    data = document["data"]
    lists: dict[str, list[dict[str, Any]]] = {}
    for name in data:
        if name not in _LISTS:
            gatherer.remark("unknown list", f"data.{name}", "no list of the catalogue: ignored")
    for name, known in _LISTS.items():
        rows = data.get(name)
        if not isinstance(rows, list):
            gatherer.complain(0, "missing-field", f"data.{name} is missing or no list; all nine lists must be there")
            continue
        lists[name] = []
        for at, row in enumerate(rows):
            if not isinstance(row, dict):
                gatherer.complain(0, "wrong-type", f"data.{name}[{at}] is no object")
                continue
            for key in row:
                if key not in known:
                    gatherer.remark(f"unknown {name}.{key}", f"data.{name}[{at}].{key}", "unknown: ignored")
            lists[name].append(row)
    return lists


@dataclass(frozen=True, slots=True)
class _Producer:
    url: str
    profile: str
    component: str


class _Reader:
    """Follows the relations of one document."""

    def __init__(self, gatherer: Gatherer, lists: dict[str, list[dict[str, Any]]]) -> None:
        self._gatherer = gatherer
        self._lists = lists
        self._is_named = _is_named(lists)
        self._by_id = {name: self._numbered(name) for name in lists}
        self._by_name = {name: self._named(name) for name in _NAMES}
        self._producers: dict[str, _Producer] = {}
        self._by_url: dict[str, list[str]] = {}

    def gather(self) -> None:
        for name, put in (("tjanstekomponent", self._gatherer.component), ("logiskadress", self._gatherer.address)):
            for at, row in self._rows(name):
                hsa_id = self._text(row, "hsaId", at)
                described = str(row.get("beskrivning") or "").strip().replace("\r", "").replace("\n", " ")
                if hsa_id:
                    put(hsa_id, described if described.isprintable() else "", 0)
        self._gather_producers()
        self._gather_routes()
        self._gather_permissions()
        if self._lists["tjanstekontrakt"]:
            message = "descriptions of contracts are ignored: contracts are installed, not rows of a table"
            self._gatherer.remark("contracts", "data.tjanstekontrakt", message)

    def _gather_producers(self) -> None:
        for at, row in self._rows("anropsadress"):
            profile = self._related(row, at, "rivtaprofil", ("rivtaprofil",))
            component = self._related(row, at, "tjanstekomponent", ("tjanstekomponent",))
            url = self._text(row, "adress", at)
            key = str(row.get("id"))
            self._producers[key] = _Producer(url, profile, component)
            self._by_url.setdefault(url, []).append(key)

    def _gather_routes(self) -> None:
        for at, row in self._rows("vagval"):
            before = len(self._gatherer.problems)
            address = self._related(row, at, "logiskadress", ("logiskadress", "logiskAdress"))
            contract = self._related(row, at, "tjanstekontrakt", ("tjanstekontrakt",))
            producer = self._producer(row, at)
            profile = self._gatherer.profile(producer.profile, f"{at}: rivtaprofil", 0) if producer else None
            validity = self._validity(row, at)
            if len(self._gatherer.problems) > before or producer is None or profile is None:
                continue
            name = self._gatherer.producer(producer.url, profile, producer.component, 0)
            self._gatherer.route(route_row(address, contract, name, validity, self._gatherer.place(0)))

    def _gather_permissions(self) -> None:
        filters = self._filters()
        for at, row in self._rows("anropsbehorighet"):
            before = len(self._gatherer.problems)
            address = self._related(row, at, "logiskadress", ("logiskAdress", "logiskadress"))
            contract = self._related(row, at, "tjanstekontrakt", ("tjanstekontrakt",))
            consumer = self._related(row, at, "tjanstekomponent", ("tjanstekonsument", "tjanstekomponent"))
            agreement = self._text(row, "integrationsavtal", at)
            valid_from, valid_to = self._validity(row, at)
            if len(self._gatherer.problems) > before:
                continue
            self._gatherer.permission(
                PermissionRow(
                    consumer=HsaId(consumer),
                    logical_address=LogicalAddress(address),
                    contract=ContractNamespace(contract),
                    agreement=agreement,
                    valid_from=valid_from,
                    valid_to=valid_to,
                    filters=filters_of(filters.get(str(row.get("id")), {})),
                    place=self._gatherer.place(0),
                )
            )

    def _filters(self) -> dict[str, dict[str, list[str]]]:
        """Categories by domain by the id of the permission. These relations are ids in both kinds of file."""
        found: dict[str, dict[str, list[str]]] = {}
        categories: dict[str, list[str]] = {}
        for at, row in self._rows("filter"):
            permission = self._id_of(row, at, "anropsbehorighet")
            domain = self._text(row, "servicedomain", at)
            categories[str(row.get("id"))] = found.setdefault(permission, {}).setdefault(domain, [])
        for at, row in self._rows("filtercategorization"):
            filter_id = self._id_of(row, at, "filter")
            if filter_id in categories:
                categories[filter_id].append(self._text(row, "category", at))
        return found

    def _id_of(self, row: dict[str, Any], at: str, kind: str) -> str:
        key = str(self._relations(row, at).get(kind))
        if key not in self._by_id[kind]:
            self._gatherer.complain(0, "unknown-reference", f"{at}.relationships.{kind}: no {kind} has id {key}")
        return key

    def _producer(self, row: dict[str, Any], at: str) -> _Producer | None:
        value = self._relation(row, at, ("anropsadress",))
        if value is None:
            return None
        if not self._is_named:
            found = self._producers.get(str(value))
            if found is None:
                message = f"{at}.relationships.anropsadress: no anropsadress has id {value}"
                self._gatherer.complain(0, "unknown-reference", message)
            return found
        keys = self._by_url.get(str(value), [])
        several = {self._producers[key] for key in keys}
        if len(several) == 1:
            return self._producers[keys[0]]
        if not several:
            message = f"no anropsadress has the URL {value!r}"
        else:
            message = (
                f"{len(several)} rows of anropsadress have the URL {value!r}, of different components or profiles; "
                "use the downloaded snapshot, whose relations are row ids"
            )
        self._gatherer.complain(0, "unknown-reference", f"{at}.relationships.anropsadress: {message}")
        return None

    def _related(self, row: dict[str, Any], at: str, kind: str, keys: tuple[str, ...]) -> str:
        """The name of the thing of `kind` that a relation, under the first of these keys, leads to."""
        value = self._relation(row, at, keys)
        if value is None:
            return ""
        known = self._by_name[kind] if self._is_named else self._by_id[kind]
        found = known.get(str(value).lower())
        if found is None:
            way = _NAMES[kind] if self._is_named else "id"
            message = f"{at}.relationships.{keys[0]}: no {kind} has {way} {value!r}"
            self._gatherer.complain(0, "unknown-reference", message)
            return ""
        return self._text(found, _NAMES[kind], f"{at}.relationships.{keys[0]}")

    def _relation(self, row: dict[str, Any], at: str, keys: tuple[str, ...]) -> Any:
        relations = self._relations(row, at)
        value = next((relations[key] for key in keys if relations.get(key) is not None), None)
        if value is None:
            self._gatherer.complain(0, "missing-field", f"{at}.relationships.{keys[0]} is missing")
        return value

    def _relations(self, row: dict[str, Any], at: str) -> dict[str, Any]:
        relations = row.get("relationships")
        if isinstance(relations, dict):
            return relations
        self._gatherer.complain(0, "missing-field", f"{at}.relationships is missing")
        return {}

    def _validity(self, row: dict[str, Any], at: str) -> tuple[Any, Any]:
        first, last = row.get("fromTidpunkt"), row.get("tomTidpunkt")
        return (
            self._gatherer.bound(None if first is None else str(first), f"{at}.fromTidpunkt", 0, is_end=False),
            self._gatherer.bound(None if last is None else str(last), f"{at}.tomTidpunkt", 0, is_end=True),
        )

    def _text(self, row: dict[str, Any], key: str, at: str) -> str:
        value = row.get(key)
        return self._gatherer.text(None if value is None else str(value), f"{at}.{key}", 0)

    def _rows(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for at, row in enumerate(self._lists[name]):
            yield f"data.{name}[{at}]", row

    def _numbered(self, name: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for at, row in self._rows(name):
            key = str(row.get("id"))
            if key in found:
                self._gatherer.complain(0, "duplicate-key", f"{at}.id: {key} stands twice in {name}")
            found[key] = row
        return found

    def _named(self, name: str) -> dict[str, dict[str, Any]]:
        return {str(row.get(_NAMES[name])).lower(): row for _, row in self._rows(name)}


def _is_named(lists: dict[str, list[dict[str, Any]]]) -> bool:
    """Relations are names: no namespace of a contract and no name of a profile is a number."""
    for name, key in (
        ("vagval", "tjanstekontrakt"),
        ("anropsbehorighet", "tjanstekontrakt"),
        ("anropsadress", "rivtaprofil"),
    ):
        for row in lists[name]:
            relations = row.get("relationships")
            if isinstance(relations, dict) and key in relations:
                return not str(relations[key]).isdigit()
    return True


class _Writer:
    """Numbers everything, and declares what is only referred to."""

    def __init__(self, draft: Draft, version: str, known: Mapping[str, Target], style: Style) -> None:
        self._draft, self._version, self._style = draft, version, style
        self._routes = [(row, target_of(row, known)) for row in sorted_routes(draft)]
        self._permissions = sorted_permissions(draft)
        self._targets = dict.fromkeys(
            sorted(known.values(), key=lambda one: (one.url, one.component, one.profile.value))
        )
        self._ids: dict[str, dict[Any, int]] = {}

    def lists(self) -> dict[str, list[dict[str, Any]]]:
        names = {row.hsa_id.lower(): (row.hsa_id, row.name) for row in self._draft.components}
        used = [target.component for target in self._targets] + [row.consumer for row in self._permissions]
        called = {row.logical_address.lower(): (row.logical_address, row.name) for row in self._draft.logical_addresses}
        addresses = [row.logical_address for row, _ in self._routes] + [
            row.logical_address for row in self._permissions
        ]
        contracts = [row.contract for row, _ in self._routes] + [row.contract for row in self._permissions]
        profiles = [target.profile.value for target in self._targets]
        return {
            "rivtaprofil": self._plain("rivtaprofil", {one.lower(): (one, "") for one in sorted(profiles)}, "namn"),
            "tjanstekontrakt": [
                row | _versions(row["namnrymd"])
                for row in self._plain(
                    "tjanstekontrakt", {one.lower(): (one, "") for one in sorted(contracts)}, "namnrymd"
                )
            ],
            "logiskadress": self._plain("logiskadress", _with_used(called, addresses), "hsaId"),
            "tjanstekomponent": self._plain("tjanstekomponent", _with_used(names, used), "hsaId"),
            "anropsadress": self._each("anropsadress", self._targets, self._target_row),
            "anropsbehorighet": self._each("anropsbehorighet", range(len(self._permissions)), self._permission_row),
            "vagval": self._each("vagval", range(len(self._routes)), self._route_row),
            **self._filter_lists(),
        }

    def _plain(self, kind: str, found: Mapping[str, tuple[str, str]], key: str) -> list[dict[str, Any]]:
        return self._each(kind, found, lambda one: {key: found[one][0], "beskrivning": found[one][1]})

    def _each(self, kind: str, keys: Iterable[Any], row: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
        numbered = self._ids[kind] = {key: number for number, key in enumerate(keys, start=1)}
        return [{"id": number, **row(key), "pubversion": self._version} for key, number in numbered.items()]

    def _related(self, kind: str, name: str) -> Any:
        return name if self._style is Style.EXPORT else self._ids[kind][name.lower()]

    def _target_row(self, target: Target) -> dict[str, Any]:
        relations = {
            "rivtaprofil": self._related("rivtaprofil", target.profile.value),
            "tjanstekomponent": self._related("tjanstekomponent", target.component),
        }
        return {"adress": target.url, "relationships": relations}

    def _route_row(self, at: int) -> dict[str, Any]:
        row, target = self._routes[at]
        is_named = self._style is Style.EXPORT
        relations = {
            "anropsadress": target.url if is_named else self._ids["anropsadress"][target],
            "logiskAdress" if is_named else "logiskadress": self._related("logiskadress", row.logical_address),
            "tjanstekontrakt": self._related("tjanstekontrakt", row.contract),
        }
        return {
            "fromTidpunkt": write_json_bound(row.valid_from, is_end=False),
            "tomTidpunkt": write_json_bound(row.valid_to, is_end=True),
            "relationships": relations,
        }

    def _permission_row(self, at: int) -> dict[str, Any]:
        row = self._permissions[at]
        consumer = "tjanstekonsument" if self._style is Style.EXPORT else "tjanstekomponent"
        relations = {
            "logiskAdress": self._related("logiskadress", row.logical_address),
            consumer: self._related("tjanstekomponent", row.consumer),
            "tjanstekontrakt": self._related("tjanstekontrakt", row.contract),
        }
        return {
            "integrationsavtal": row.agreement,
            "fromTidpunkt": write_json_bound(row.valid_from, is_end=False),
            "tomTidpunkt": write_json_bound(row.valid_to, is_end=True),
            "relationships": relations,
        }

    def _filter_lists(self) -> dict[str, list[dict[str, Any]]]:
        merged: dict[tuple[int, str], dict[str, None]] = {}
        for at, row in enumerate(self._permissions):
            for part in row.filters:
                merged.setdefault((at, part.domain), {}).update(dict.fromkeys(part.categories))
        filters = self._each(
            "filter",
            merged,
            lambda key: {
                "servicedomain": key[1],
                "relationships": {"anropsbehorighet": self._ids["anropsbehorighet"][key[0]]},
            },
        )
        categories = [(key, category) for key, some in merged.items() for category in some]
        return {
            "filter": filters,
            "filtercategorization": self._each(
                "filtercategorization",
                categories,
                lambda one: {"category": one[1], "relationships": {"filter": self._ids["filter"][one[0]]}},
            ),
        }


def _with_used(declared: Mapping[str, tuple[str, str]], used: Iterable[str]) -> dict[str, tuple[str, str]]:
    """What is declared, and what is used without; by its lower-case key, in that order."""
    found = {one.lower(): (one, "") for one in used if one} | dict(declared)
    return dict(sorted(found.items()))


def _versions(namespace: str) -> dict[str, int]:
    major = namespace.rpartition(":")[2]
    return {"majorVersion": int(major) if major.isascii() and major.isdigit() else 0, "minorVersion": 0}


__all__ = ["MAX_BYTES", "ImportRefused", "Style", "read", "write"]
