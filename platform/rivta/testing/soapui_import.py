"""SoapUI test cases made into cases: what has an equal is converted, everything else is counted, with the reason.

What SoapUI calls by a name that misleads: the type `SOAP Fault Assertion` asserts that there is *no* fault, and
`Not SOAP Fault Assertion` that there is one. Its XPath is 2.0 and ours 1.0; of the former
`exists()` and `*:name` have an equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rivta.soap.head import read_head
from rivta.soap.xml import XmlRefused, parse_xml
from rivta.testing.case_files import OF_THE_TRANSPORT
from rivta.testing.case_writing import NewCase, folder_name
from rivta.testing.documents import PREFIXES, BadPath, check_path
from rivta.testing.soapui import Project, SoapuiAssertion, Step, Suite, TestCase

_EXPANSION = re.compile(r"\$\{([^}]*)\}")
_SCOPED = re.compile(r"#(Project|TestSuite|TestCase|Global|System|Env)#([^#]+)")
_OF_A_STEP = re.compile(r"([^#=]+)#([^#]+)")
_DECLARED = re.compile(r"declare\s+namespace\s+([\w.-]+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\")\s*;?")
_DECLARED_DEFAULT = re.compile(r"declare\s+default\s+element\s+namespace\b")
_ENCODING = re.compile(r"^\s*<\?xml[^>]*\?>\s*")
_FLAGS = re.compile(r"\(\?([a-z]+)\)")
_UNPRINTABLE = re.compile("[^\t\x20-\x7e\xa0-\ud7ff\ue000-\ufffd]")
_NO_SECRETS = frozenset({"authorization", "proxy-authorization", "cookie"})
_DEEPEST = 10
_STEPS = {
    "groovy": "a script",
    "transfer": "a transfer of values between steps",
    "delay": "a delay",
    "goto": "a conditional jump",
    "calltestcase": "a call of another test case",
    "datasourceloop": "the loop of a data source (use --csv)",
}


class _NotConverted(Exception):
    """Something without an equal here, and why."""


@dataclass(slots=True)
class Imported:
    """What became of one step that sends a message."""

    suite: str
    case: str
    step: str
    folder: str
    """Below the folder of the import."""
    new: NewCase
    converted: list[str] = field(default_factory=list)
    not_converted: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A step, case or suite of which nothing is left."""

    what: str
    reason: str


def convert(project: Project) -> tuple[list[Imported], list[LeftOut]]:
    """Every step that sends a message, as a case; and what is left out as a whole."""
    imported: list[Imported] = []
    left_out: list[LeftOut] = [LeftOut(f"{project.name}: {kind}", "a script") for kind, _ in project.scripts]
    taken: set[str] = set()
    for suite in project.suites:
        left_out += [LeftOut(f"{suite.name}: {kind}", "a script") for kind, _ in suite.scripts]
        for case in suite.cases:
            if suite.is_disabled or case.is_disabled:
                left_out.append(LeftOut(f"{suite.name} / {case.name}", "disabled in the project"))
                continue
            imported += _convert_case(project, suite, case, left_out, taken)
    return imported, left_out


def _convert_case(
    project: Project, suite: Suite, case: TestCase, left_out: list[LeftOut], taken: set[str]
) -> Iterator[Imported]:
    folder = _free(f"{folder_name(suite.name)}/{folder_name(case.name)}", taken)
    notes = [(kind, text) for kind, text in case.scripts]
    left_out += [LeftOut(f"{suite.name} / {case.name}: {kind}", "a script, kept as a comment") for kind, _ in notes]
    number = 0
    for step in case.steps:
        where = f"{suite.name} / {case.name} / {step.name}"
        if step.is_disabled:
            left_out.append(LeftOut(where, "disabled in the project"))
        elif step.request is not None:
            number += 1
            values = _Values(project, suite, case)
            name = f"{folder}/{number:02}-{folder_name(step.name)}"
            yield _convert_step(step, values, name, notes, (suite.name, case.name))
            notes = []
        elif step.type == "properties":
            if step.data_file:
                left_out.append(
                    LeftOut(where, f"properties from the file {step.data_file}: make it a CSV file for --csv")
                )
        elif step.type == "datasource" or step.data_file:
            left_out.append(
                LeftOut(where, f"rows of data{' from ' + step.data_file if step.data_file else ''}: use --csv")
            )
        else:
            kept = ", kept as a comment" if step.script.strip() else ""
            left_out.append(LeftOut(where, f"{_STEPS.get(step.type, f'a step of type {step.type}')}{kept}"))
            if step.script.strip():
                notes.append((f"{step.type} step {step.name!r}", step.script))


def _convert_step(
    step: Step, values: _Values, folder: str, notes: list[tuple[str, str]], names: tuple[str, str]
) -> Imported:
    not_converted: list[str] = []
    text = _ENCODING.sub("", values.named(step.request or ""))
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode("utf-8", "xmlcharrefreplace")
    namespaces: dict[str, str] = {}
    converted, assertions = [], []
    scripts = list(notes)
    for one in step.assertions:
        try:
            assertions.append(_assertion(one, values, namespaces))
            converted.append(_called(one))
        except _NotConverted as reason:
            not_converted.append(f"{_called(one)}: {reason}")
            if script := one.settings.get("scriptText", ""):
                scripts.append((f"assertion {one.name!r}", script))
    headers = _headers(step, values, not_converted)
    if step.has_attachments:
        not_converted.append("attachments: they are not sent")
    if step.has_credentials:
        not_converted.append("user name and password: RIV-TA has certificates")
    not_converted += values.without_value
    contract, address, profile = _said(body)
    message: dict[str, Any] = {
        "name": f"{names[1]}: {step.name}",
        "contract": contract,
        "logical_address": address,
        "profile": profile,
        "soap_action": step.soap_action,
        "headers": headers,
        "variables": values.used,
        "namespaces": namespaces,
        "assertions": assertions,
    }
    new = NewCase(body, None, message, comment=_comment(step, scripts))
    return Imported(*names, step.name, folder, new, converted, not_converted)


def _said(body: bytes) -> tuple[str | None, str | None, str | None]:
    """Contract, address and profile, where the message says them without variables."""
    try:
        head = read_head(parse_xml(body))
    except XmlRefused:
        return None, None, None
    address = head.logical_address
    is_plain = address is not None and address == address.strip() and address.isprintable()
    return head.contract, address if is_plain else None, head.profile.value if head.profile else None


def _headers(step: Step, values: _Values, not_converted: list[str]) -> dict[str, str]:
    found = {}
    for name, value in step.headers:
        if name.lower() in _NO_SECRETS:
            not_converted.append(f"header {name}: it may be a secret, and RIV-TA has certificates")
        elif name.lower() in OF_THE_TRANSPORT:
            not_converted.append(f"header {name}: it is set by the transport")
        else:
            found[name] = values.named(value)
    return found


def _comment(step: Step, scripts: list[tuple[str, str]]) -> str:
    lines = [f"From SoapUI, which sent it to {step.endpoint or 'no endpoint of its own'}."]
    for what, script in scripts:
        lines += ["", f"Not converted, {what}:", *(f"    {line}" for line in script.splitlines())]
    return "\n".join(_UNPRINTABLE.sub("\ufffd", line) for line in lines)


def _called(assertion: SoapuiAssertion) -> str:
    name = f" {assertion.name!r}" if assertion.name and assertion.name != assertion.type else ""
    return f"{assertion.type}{name}"


class _Values:
    """Property expansions made into variables: which a step uses, with their values, and which have none."""

    def __init__(self, project: Project, suite: Suite, case: TestCase) -> None:
        self._scopes: Mapping[str, Mapping[str, str]] = {
            "TestCase": case.properties,
            "TestSuite": suite.properties,
            "Project": project.properties,
        }
        self._steps = {step.name: step.properties for step in case.steps if step.properties is not None}
        self.used: dict[str, str] = {}
        self.without_value: list[str] = []

    def named(self, text: str) -> str:
        """The text with our variables in place of SoapUI's expansions."""
        return _EXPANSION.sub(lambda found: self._variable(found[1]), text)

    def _variable(self, expression: str) -> str:
        scope, name = self._found(expression)
        variable = re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{scope}.{name}").strip(".")
        variable = variable if re.match(r"[A-Za-z_]", variable) else f"_{variable}"
        if variable not in self.used:
            value = self._value(scope, name, 0)
            if value is None:
                told = f"${{{expression}}}: it has no value here: give it with --set {variable}=VALUE"
                if told not in self.without_value:
                    self.without_value.append(told)
            else:
                self.used[variable] = value
        return f"${{{variable}}}"

    def _found(self, expression: str) -> tuple[str, str]:
        """The scope and name that an expansion means."""
        expression = expression.strip()
        if scoped := _SCOPED.fullmatch(expression):
            return scoped[1], scoped[2]
        if of_step := _OF_A_STEP.fullmatch(expression):
            return of_step[1], of_step[2]
        for scope, properties in self._scopes.items():
            if expression in properties:
                return scope, expression
        return "SoapUI", expression

    def _value(self, scope: str, name: str, depth: int) -> str | None:
        value = (self._scopes.get(scope) or self._steps.get(scope) or {}).get(name)
        if value is None or depth > _DEEPEST:
            return None
        parts: list[str] = []
        end = 0
        for found in _EXPANSION.finditer(value):
            inner = self._value(*self._found(found[1]), depth + 1)
            if inner is None:
                return None
            parts += [value[end : found.start()], inner]
            end = found.end()
        return "".join(parts) + value[end:]


def _assertion(one: SoapuiAssertion, values: _Values, namespaces: dict[str, str]) -> dict[str, Any]:
    """Ours for one of theirs. Raises _NotConverted."""
    if one.is_disabled:
        raise _NotConverted("disabled in the project")
    settings = one.settings
    match one.type:
        case "SOAP Response":
            return {"xpath": "/soap:Envelope", "exists": True}
        case "SOAP Fault Assertion":
            return {"fault": "none"}
        case "Not SOAP Fault Assertion":
            return {"fault": "any"}
        case "Schema Compliance":
            return {"schema": "valid"}
        case "Simple Contains" | "Simple NotContains":
            return {"body": _text_check(settings, values, is_absent=one.type == "Simple NotContains")}
        case "XPath Match":
            return _xpath(settings, values, namespaces)
        case "Response SLA Assertion":
            return {"time": {"at_most": _milliseconds(settings.get("SLA", ""))}}
        case "Valid HTTP Status Codes":
            return {"status": _codes(settings.get("codes", ""))}
        case "GroovyScriptAssertion":
            raise _NotConverted("a script, kept as a comment")
        case _:
            raise _NotConverted("there is no equal here")


def _text_check(settings: Mapping[str, str], values: _Values, *, is_absent: bool) -> dict[str, str]:
    token = settings.get("token", "")
    if not token:
        raise _NotConverted("it looks for nothing")
    is_pattern, ignores_case = settings.get("useRegEx") == "true", settings.get("ignoreCase") == "true"
    if not is_pattern and not ignores_case:
        return {"lacks" if is_absent else "contains": values.named(token)}
    flags = "i" if ignores_case else ""
    if is_pattern:
        # SoapUI wants the whole text to be as the expression says; flags have to stand first here.
        flags += "".join(found[1] for found in _FLAGS.finditer(token))
        pattern = rf"\A(?:{_FLAGS.sub('', token)})\Z"
    else:
        pattern = re.escape(token)
    if _EXPANSION.search(token):
        raise _NotConverted("properties within an expression, or where the case does not count")
    pattern = f"(?{''.join(sorted(set(flags)))}){pattern}" if flags else pattern
    try:
        re.compile(pattern)
    except re.error as error:
        raise _NotConverted(f"{token!r} is no regular expression of Python's: {error}") from error
    return {"lacks_match" if is_absent else "matches": pattern}


def _xpath(settings: Mapping[str, str], values: _Values, namespaces: dict[str, str]) -> dict[str, Any]:
    written, content = settings.get("path", ""), settings.get("content", "").strip()
    if _DECLARED_DEFAULT.search(written):
        raise _NotConverted("a default namespace for paths")
    declared = {found[1]: found[2] or found[3] or "" for found in _DECLARED.finditer(written)}
    for prefix, namespace in declared.items():
        if namespaces.get(prefix, namespace) != namespace:
            raise _NotConverted(f"the prefix {prefix} stands for two namespaces in this step")
    path = _as_xpath_1(_DECLARED.sub("", written).strip())
    if content.startswith("<"):
        raise _NotConverted("it compares with XML: use same_as_recorded")
    if _EXPANSION.search(path):
        path = values.named(path)
    # SoapUI looks at the first node that is found.
    path = f"({path})[1]" if path.startswith("/") else path
    try:
        check_path(_EXPANSION.sub("x", path), {**PREFIXES, **namespaces, **declared})
    except BadPath as error:
        raise _NotConverted(f"not XPath 1.0: {error}") from error
    namespaces |= declared
    if settings.get("allowWildcards") == "true" and "*" in content:
        if _EXPANSION.search(content):
            raise _NotConverted("wildcards together with properties")
        return {"xpath": path, "matches": ".*".join(map(re.escape, content.split("*")))}
    return {"xpath": path, "equals": values.named(content)}


def _as_xpath_1(path: str) -> str:
    path = re.sub(r"\bexists\s*\(", "boolean(", path)
    return re.sub(r"\*:([\w.-]+)", r"*[local-name()='\1']", path)


def _milliseconds(text: str) -> float:
    if not text.strip().isdigit():
        raise _NotConverted(f"{text.strip()!r} is no number of milliseconds")
    return int(text) / 1000


def _codes(text: str) -> list[int]:
    codes = [code.strip() for code in text.split(",") if code.strip()]
    if not codes or not all(re.fullmatch(r"[1-5]\d\d", code) for code in codes):
        raise _NotConverted(f"{text.strip()!r} is no list of statuses")
    return [int(code) for code in codes]


def _free(name: str, taken: set[str]) -> str:
    free, number = name, 1
    while free.lower() in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free.lower())
    return free
