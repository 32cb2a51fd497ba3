"""Reading a case from its folder: everything that is wrong is noted with file and line, so that it can be told before
anything is sent."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import yaml

from rivta.catalogue.marked_yaml import YamlFile
from rivta.catalogue.rows import Place, Problem
from rivta.contracts.installed import Contracts, UnknownContract
from rivta.soap.identifiers import Profile
from rivta.testing.assertions import (
    Assertion,
    BodyHas,
    CountIs,
    FaultIs,
    HeaderIs,
    NoFault,
    RecordsHave,
    SameAsRecorded,
    SchemaValid,
    SourcesSay,
    StatusIs,
    TimeWithin,
    Wanted,
    XPathIs,
)
from rivta.testing.cases import MESSAGE, MOST_FILE_BYTES, REQUEST, RESPONSE, Case, Found, Placed, Recorded
from rivta.testing.comparison import Rules
from rivta.testing.documents import PREFIXES, BadPath, check_path
from rivta.testing.state import INDEX_KEYS, NEEDED, State, age_of, wish_of
from rivta.testing.variables import check_name

KEYS = (
    "name",
    "contract",
    "logical_address",
    "sender",
    "identity",
    "profile",
    "via",
    "soap_action",
    "headers",
    "variables",
    "namespaces",
    "masks",
    "unordered",
    "assertions",
    "recorded",
    "state",
)
_RECORDED = ("time", "outcome", "producer_url", "elapsed_ms", "correlation_id")
_STATE = ("tables", "index", "stubs")
_HOWS = ("equals", "matches", "contains", "exists")
_BODY = ("contains", "lacks", "matches", "lacks_match")
_VP_CODE = re.compile(r"VP\d{3}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
OF_THE_TRANSPORT = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "content-encoding", "expect"}
)
_MOST_HEADERS = 50
_T = TypeVar("_T")
_VIA = ("national", "regional")
_VARIABLE = re.compile(r"\$\{[^}\s]{1,100}\}")
_WITH = {
    "xpath": (*_HOWS, "count"),
    "records": ("value", "in", *_HOWS),
    "header": _HOWS,
}
_KINDS = (
    "status",
    "fault",
    "schema",
    "xpath",
    "records",
    "processing_status",
    "header",
    "time",
    "body",
    "same_as_recorded",
)
_NO_RECORD = "asserts what was recorded, but there is no response.xml beside it"


def read_case(found: Found, problems: list[Problem], *, contracts: Contracts) -> Case | None:
    """The case in a folder; None, after a complaint, when anything in it is wrong."""
    before = len(problems)
    _check_files(found.folder, problems)
    path = found.folder / MESSAGE
    if not path.exists():
        case = Case(found.name, found.folder, str(path))
        place = Place(str(found.folder / REQUEST), 1)
    else:
        file = YamlFile(path, str(path), problems)
        if file.root is None:
            return None
        reader = _Reader(file, contracts)
        case, place = reader.case(found), file.place(file.root)
    has_response = case.response.is_file()
    for placed in case.assertions:
        if isinstance(placed.assertion, SameAsRecorded) and not has_response:
            problems.append(Problem(placed.place.file, placed.place.line, "no-response", _NO_RECORD))
    if len(problems) > before:
        return None
    if case.assertions:
        return case
    implied: Assertion = SameAsRecorded() if has_response else NoFault()
    return dataclasses.replace(case, assertions=(Placed(implied, place),))


def _check_files(folder: Path, problems: list[Problem]) -> None:
    for name in (REQUEST, RESPONSE):
        path = folder / name
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            if name == REQUEST:
                problems.append(Problem(str(path), 0, "no-request", "is missing: it is what would be sent"))
            continue
        except OSError as error:
            problems.append(Problem(str(path), 0, "unreadable", f"cannot be read: {error.strerror}"))
            continue
        if not path.is_file():
            problems.append(Problem(str(path), 0, "unreadable", "is not a regular file"))
        elif size > MOST_FILE_BYTES:
            problems.append(Problem(str(path), 0, "too-large", f"is larger than {MOST_FILE_BYTES // 2**20} MB"))


class _Reader:
    """One `message.yaml` being read."""

    def __init__(self, file: YamlFile, contracts: Contracts) -> None:
        self._file = file
        self._contracts = contracts
        self._prefixes: dict[str, str] = dict(PREFIXES)

    def case(self, found: Found) -> Case:
        root = self._file.root
        assert root is not None
        entries = self._file.entries(root, MESSAGE, KEYS)
        nodes = {key: value for key, (_, value) in entries.items()}

        def text(key: str) -> str | None:
            return self._file.text(nodes[key], key) if key in nodes else None

        contract = self._contract(nodes.get("contract"))
        if contract is not None:
            self._prefixes["c"] = contract
        self._prefixes |= dict(self._pairs(nodes.get("namespaces"), "namespaces"))
        return Case(
            name=found.name,
            folder=found.folder,
            file=self._file.name,
            title=text("name") or "",
            contract=contract,
            logical_address=text("logical_address"),
            sender=text("sender"),
            identity=text("identity"),
            profile=self._one_of(nodes.get("profile"), "profile", Profile.known, [one.value for one in Profile]),
            via=self._one_of(nodes.get("via"), "via", lambda one: one if one in _VIA else None, list(_VIA)),
            soap_action=text("soap_action"),
            headers=self._headers(nodes.get("headers")),
            variables=self._variables(nodes.get("variables")),
            namespaces=tuple(sorted(self._prefixes.items())),
            rules=Rules(self._paths(nodes.get("masks"), "masks"), self._paths(nodes.get("unordered"), "unordered")),
            assertions=self._assertions(nodes.get("assertions")),
            recorded=self._recorded(nodes.get("recorded")),
            state=self._state(nodes.get("state")),
        )

    def _complain(self, node: yaml.Node, message: str) -> None:
        self._file.complain(node, "case", message)

    def _contract(self, node: yaml.Node | None) -> str | None:
        text = self._file.text(node, "contract") if node is not None else None
        if node is None or text is None or text.startswith("urn:"):
            return text
        try:
            return str(self._contracts.find(text).namespace)
        except UnknownContract as error:
            self._complain(node, f"contract: {error}; install it with `rivta contract add`, or write its namespace")
            return None

    def _one_of(
        self, node: yaml.Node | None, where: str, find: Callable[[str], _T | None], names: list[str]
    ) -> _T | None:
        text = self._file.text(node, where) if node is not None else None
        if node is None or text is None:
            return None
        found = find(text)
        if found is None:
            self._complain(node, f"{where}: {text!r} is not one of {', '.join(names)}")
        return found

    def _pairs(self, node: yaml.Node | None, where: str) -> list[tuple[str, str]]:
        if node is None:
            return []
        found = [
            (key, self._scalar(value, f"{where}: {key}")) for key, (_, value) in self._file.entries(node, where).items()
        ]
        return [(key, value) for key, value in found if value is not None]

    def _headers(self, node: yaml.Node | None) -> tuple[tuple[str, str], ...]:
        found = self._pairs(node, "headers")
        for name, value in found:
            assert node is not None
            if not _HEADER_NAME.fullmatch(name) or not value.isprintable():
                self._complain(node, f"headers: {name!r} cannot stand in an HTTP request")
            elif name.lower() in OF_THE_TRANSPORT:
                self._complain(node, f"headers: {name} is set by the transport, and cannot be chosen")
        if len(found) > _MOST_HEADERS and node is not None:
            self._complain(node, f"headers: more than {_MOST_HEADERS}")
        return tuple(found)

    def _variables(self, node: yaml.Node | None) -> tuple[tuple[str, str], ...]:
        found = self._pairs(node, "variables")
        for name, _ in found:
            if node is not None and (wrong := check_name(name)):
                self._complain(node, f"variables: {wrong}")
        return tuple(found)

    def _paths(self, node: yaml.Node | None, where: str) -> tuple[str, ...]:
        if node is None:
            return ()
        found = [(one, self._path(one, where)) for one in self._file.items(node, where)]
        return tuple(path for _, path in found if path is not None)

    def _path(self, node: yaml.Node, where: str) -> str | None:
        path = self._scalar(node, where)
        if path is None:
            return None
        try:
            check_path(_VARIABLE.sub("x", path), self._prefixes)
        except BadPath as error:
            known = ", ".join(sorted(self._prefixes))
            self._complain(node, f"{where}: {error}; the prefixes here are {known}, more go under namespaces")
            return None
        return path

    def _scalar(self, node: yaml.Node, where: str) -> str | None:
        """A text as it is written, of any length and with any blanks."""
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self._complain(node, f"{where}: expected text")
        return None

    def _recorded(self, node: yaml.Node | None) -> Recorded | None:
        if node is None:
            return None
        nodes = self._file.entries(node, "recorded", _RECORDED)
        values = {key: self._scalar(value, f"recorded: {key}") for key, (_, value) in nodes.items()}
        if not values.get("outcome"):
            self._complain(node, "recorded: the outcome is missing")
            return None
        elapsed = self._seconds(nodes["elapsed_ms"][1], "recorded: elapsed_ms") if values.get("elapsed_ms") else None
        return Recorded(
            time=values.get("time") or "",
            outcome=values["outcome"] or "",
            producer_url=values.get("producer_url") or None,
            elapsed_ms=elapsed,
            correlation_id=values.get("correlation_id") or None,
        )

    def _state(self, node: yaml.Node | None) -> State | None:
        if node is None:
            return None
        nodes = {key: value for key, (_, value) in self._file.entries(node, "state", _STATE).items()}
        return State(
            tables=self._tables(nodes.get("tables")),
            index=self._index(nodes.get("index")),
            stubs=self._stubs(nodes.get("stubs")),
        )

    def _tables(self, node: yaml.Node | None) -> tuple[tuple[str, str], ...]:
        """Rows by platform, written again as YAML: what is wrong in them is for the platform to say."""
        found = self._file.entries(node, "state: tables", _VIA) if node is not None else {}
        return tuple((platform, yaml.serialize(value, allow_unicode=True)) for platform, (_, value) in found.items())

    def _index(self, node: yaml.Node | None) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        rows = []
        for one in self._file.items(node, "state: index") if node is not None else ():
            found = self._file.entries(one, "state: index", (*INDEX_KEYS, "platform"))
            row = {key: self._scalar(value, f"state: index: {key}") or "" for key, (_, value) in found.items()}
            platform = row.pop("platform", "national")
            missing = [key for key in NEEDED if not row.get(key)]
            if missing:
                self._complain(one, f"state: index: {missing[0]} is missing")
            if "${" not in row.get("age", ""):
                self._checked(one, lambda row=row: age_of(row.get("age", "0s")), "state: index: age")  # type: ignore[misc]
            rows.append((platform, tuple(row.items())))
        return tuple(rows)

    def _stubs(self, node: yaml.Node | None) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        found = []
        for one in self._file.items(node, "state: stubs") if node is not None else ():
            wish = dict(self._pairs(one, "state: stubs"))
            target = wish.pop("target", "")
            if not target or not wish.get("behaviour"):
                self._complain(one, "state: stubs: expected {target: an address or producer, behaviour: ...}")
            if not any("${" in text for text in wish.values()):
                self._checked(one, lambda wish=wish: wish_of(wish), "state: stubs")  # type: ignore[misc]
            found.append((target, tuple(wish.items())))
        return tuple(found)

    def _checked(self, node: yaml.Node, make: Callable[[], object], where: str) -> None:
        try:
            make()
        except ValueError as error:
            self._complain(node, f"{where}: {error}")

    def _assertions(self, node: yaml.Node | None) -> tuple[Placed, ...]:
        if node is None:
            return ()
        found = [(one, self._assertion(one)) for one in self._file.items(node, "assertions")]
        return tuple(Placed(one, self._file.place(where)) for where, one in found if one is not None)

    def _assertion(self, node: yaml.Node) -> Assertion | None:
        mistakes = self._file.mistakes
        entries = self._file.entries(node, "an assertion")
        nodes = {key: value for key, (_, value) in entries.items()}
        kind = next((one for one in _KINDS if one in nodes), None)
        if kind is None:
            if self._file.mistakes == mistakes:
                known = ", ".join(_KINDS)
                self._complain(node, f"{', '.join(nodes) or 'this'} is no assertion: there are {known}")
            return None
        allowed = {kind, *_WITH.get(kind, ())}
        unknown = sorted(set(nodes) - allowed)
        if unknown:
            others = (
                f"{', '.join(_WITH[kind])} may stand beside it" if kind in _WITH else "nothing else may stand beside it"
            )
            self._complain(entries[unknown[0]][0], f"{kind}: {unknown[0]!r} does not belong here; {others}")
            return None
        made: Assertion | None = getattr(self, f"_{kind}")(nodes)
        return made if self._file.mistakes == mistakes else None

    def _status(self, nodes: dict[str, yaml.Node]) -> Assertion | None:
        found = self._file.texts(nodes["status"], "status") or ()
        for node, text in found:
            if not re.fullmatch(r"[1-5]\d\d", text):
                self._complain(node, f"status: {text!r} is no HTTP status: 200, or a list, [200, 202]")
                return None
        return StatusIs(tuple(int(text) for _, text in found))

    def _fault(self, nodes: dict[str, yaml.Node]) -> Assertion | None:
        node = nodes["fault"]
        if isinstance(node, yaml.MappingNode):
            parts = self._file.entries(node, "fault", ("code", "text", "detail"))
            texts = {key: self._scalar(value, f"fault: {key}") for key, (_, value) in parts.items()}
            return self._described(node, texts.get("code"), texts.get("text"), texts.get("detail"))
        text = (self._scalar(node, "fault") or "").strip()
        if text in ("none", "false", "no"):
            return NoFault()
        return self._described(node, None if text in ("any", "true", "yes") else text, None, None)

    def _described(self, node: yaml.Node, code: str | None, text: str | None, detail: str | None) -> Assertion | None:
        if code is not None and not _VP_CODE.fullmatch(code) and "${" not in code:
            self._complain(
                node, f"fault: {code!r} is none of none, any, a code such as VP004, or {{code, text, detail}}"
            )
            return None
        return FaultIs(code, text, detail)

    def _schema(self, nodes: dict[str, yaml.Node]) -> Assertion | None:
        if (self._scalar(nodes["schema"], "schema") or "") not in ("valid", "true"):
            self._complain(nodes["schema"], "schema: the only thing to ask for is `valid`")
        return SchemaValid()

    def _xpath(self, nodes: dict[str, yaml.Node]) -> Assertion | None:
        path = self._path(nodes["xpath"], "xpath")
        if "count" in nodes:
            count = self._scalar(nodes["count"], "count") or ""
            if not count.isdigit() and "${" not in count:
                self._complain(nodes["count"], f"count: {count!r} is no number")
            if any(how in nodes for how in _HOWS):
                self._complain(nodes["count"], "count: stands alone, without equals, matches, contains or exists")
            return CountIs(path or "", count)
        wanted = self._wanted(nodes, nodes["xpath"], "xpath")
        return XPathIs(path, wanted) if path is not None and wanted is not None else None

    def _records(self, nodes: dict[str, yaml.Node]) -> Assertion | None:
        records = self._path(nodes["records"], "records")
        if "value" not in nodes:
            self._complain(nodes["records"], "records: the value to look at in each is missing: value: PATH")
            return None
        value = self._path(nodes["value"], "value")
        of = self._scalar(nodes["in"], "in") if "in" in nodes else "all"
        if of not in ("all", "any"):
            self._complain(nodes["in"], f"in: {of!r} is not all or any")
            return None
        wanted = self._wanted(nodes, nodes["records"], "records")
        if records is None or value is None or wanted is None:
            return None
        return RecordsHave(records, value, wanted, "any" if of == "any" else "all")

    def _processing_status(self, nodes: dict[str, yaml.Node]) -> Assertion | None:
        found = self._pairs(nodes["processing_status"], "processing_status")
        if not found:
            self._complain(
                nodes["processing_status"], "processing_status: expected `source: status`, as KS: DataFromSource"
            )
        return SourcesSay(tuple(found))

    def _header(self, nodes: dict[str, yaml.Node]) -> Assertion | None:
        name = self._file.text(nodes["header"], "header")
        wanted = self._wanted(nodes, nodes["header"], "header")
        return HeaderIs(name, wanted) if name is not None and wanted is not None else None

    def _time(self, nodes: dict[str, yaml.Node]) -> Assertion | None:
        parts = self._file.entries(nodes["time"], "time", ("at_least", "at_most"))
        seconds = {key: self._seconds(value, f"time: {key}") for key, (_, value) in parts.items()}
        if not seconds:
            self._complain(nodes["time"], "time: expected at_least, at_most or both, in seconds")
        return TimeWithin(seconds.get("at_least"), seconds.get("at_most"))

    def _body(self, nodes: dict[str, yaml.Node]) -> Assertion | None:
        parts = self._file.entries(nodes["body"], "body", _BODY)
        if len(parts) != 1:
            self._complain(nodes["body"], f"body: expected one of {', '.join(_BODY)}")
            return None
        how, (_, node) = next(iter(parts.items()))
        text = self._scalar(node, f"body: {how}")
        is_pattern = how in ("matches", "lacks_match")
        if text is None or (is_pattern and not self._is_pattern(node, text)):
            return None
        return BodyHas(text, is_pattern=is_pattern, is_absent=how.startswith("lacks"))

    def _same_as_recorded(self, nodes: dict[str, yaml.Node]) -> Assertion | None:
        if self._file.truth(nodes["same_as_recorded"], "same_as_recorded") is False:
            self._complain(nodes["same_as_recorded"], "same_as_recorded: leave it out where it is not wanted")
        return SameAsRecorded()

    def _wanted(self, nodes: dict[str, yaml.Node], node: yaml.Node, where: str) -> Wanted | None:
        given = [how for how in _HOWS if how in nodes]
        if len(given) != 1:
            self._complain(node, f"{where}: expected one of {', '.join(_HOWS)} beside it")
            return None
        how: Literal["equals", "matches", "contains", "exists"] = given[0]  # type: ignore[assignment]  # one of _HOWS
        if how == "exists":
            truth = self._file.truth(nodes[how], "exists")
            return None if truth is None else Wanted("exists", "true" if truth else "false")
        text = self._scalar(nodes[how], how)
        if text is None or (how == "matches" and not self._is_pattern(nodes[how], text)):
            return None
        return Wanted(how, text)

    def _is_pattern(self, node: yaml.Node, text: str) -> bool:
        try:
            re.compile(text)
        except re.error as error:
            self._complain(node, f"{text!r} is no regular expression: {error}")
            return False
        return True

    def _seconds(self, node: yaml.Node, where: str) -> float | None:
        text = self._scalar(node, where) or ""
        if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
            self._complain(node, f"{where}: {text!r} is no number of seconds")
            return None
        return float(text)
