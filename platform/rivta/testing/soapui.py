"""Reading a SoapUI project file: suites, cases and steps as values, nothing in it run. The form is SoapUI's own
(http://eviware.com/soapui/config), as its projects show it; scripts are text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from rivta.soap.xml import XmlRefused, line_of, parse_xml

MOST_BYTES = 200 * 1024 * 1024
_CONFIG = "http://eviware.com/soapui/config"
_HEADERS = "@request-headers"


class ProjectRefused(ValueError):
    """A file that is no SoapUI project, or cannot be read as one: which, where and why."""


@dataclass(frozen=True, slots=True)
class SoapuiAssertion:
    """An assertion as the project has it."""

    type: str
    name: str
    settings: Mapping[str, str]
    """What its configuration says: the text of each element, by its name."""
    is_disabled: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a test case."""

    type: str
    """`request`, `groovy`, `transfer`, ..."""
    name: str
    is_disabled: bool
    line: int
    request: str | None = None
    """The message, of a step that sends one."""
    endpoint: str = ""
    soap_action: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    assertions: tuple[SoapuiAssertion, ...] = ()
    has_attachments: bool = False
    has_credentials: bool = False
    script: str = ""
    properties: Mapping[str, str] | None = None
    """Of a step that holds some."""
    data_file: str = ""
    """Of a step that reads rows of properties."""


@dataclass(frozen=True, slots=True)
class TestCase:
    """A test case: steps in their order."""

    __test__ = False

    name: str
    is_disabled: bool
    properties: Mapping[str, str]
    scripts: tuple[tuple[str, str], ...]
    """Set-up and tear-down, by what they are."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """A test suite."""

    name: str
    is_disabled: bool
    properties: Mapping[str, str]
    scripts: tuple[tuple[str, str], ...]
    cases: tuple[TestCase, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """A project."""

    name: str
    properties: Mapping[str, str]
    scripts: tuple[tuple[str, str], ...]
    suites: tuple[Suite, ...]


def read_project(file: Path) -> Project:
    """The project in a file. Raises ProjectRefused."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ProjectRefused(f"{file}: is larger than {MOST_BYTES // 2**20} MB")
        root = parse_xml(file.read_bytes())
    except OSError as error:
        raise ProjectRefused(f"{file}: cannot be read: {error.strerror}") from error
    except XmlRefused as error:
        raise ProjectRefused(f"{file}:{error.line}: is no XML that can be read: {error.reason}") from error
    if root.tag != f"{{{_CONFIG}}}soapui-project":
        raise ProjectRefused(f"{file}: is no SoapUI project: it begins with {etree.QName(root).localname}")
    if root.get("{http://www.w3.org/2001/04/xmlenc#}encrypted") or _find(root, "encryptedContent") is not None:
        raise ProjectRefused(f"{file}: is encrypted: take the password off in SoapUI first")
    actions = dict(_actions(root))
    return Project(
        name=root.get("name") or file.stem,
        properties=_properties(root),
        scripts=_scripts(root, "afterLoadScript", "beforeSaveScript"),
        suites=tuple(_suite(one, actions) for one in _all(root, "testSuite")),
    )


def _suite(element: etree._Element, actions: Mapping[tuple[str, str], str]) -> Suite:
    return Suite(
        name=element.get("name") or "suite",
        is_disabled=_is_disabled(element),
        properties=_properties(element),
        scripts=_scripts(element, "setupScript", "tearDownScript"),
        cases=tuple(_case(one, actions) for one in _all(element, "testCase")),
    )


def _case(element: etree._Element, actions: Mapping[tuple[str, str], str]) -> TestCase:
    return TestCase(
        name=element.get("name") or "case",
        is_disabled=_is_disabled(element),
        properties=_properties(element),
        scripts=_scripts(element, "setupScript", "tearDownScript"),
        steps=tuple(_step(one, actions) for one in _all(element, "testStep")),
    )


def _step(element: etree._Element, actions: Mapping[tuple[str, str], str]) -> Step:
    kind, name = element.get("type") or "unknown", element.get("name") or "step"
    config = _find(element, "config")
    disabled, line = _is_disabled(element), line_of(element)
    if config is None:
        return Step(kind, name, disabled, line)
    request = _find(config, "request")
    if kind == "request" and request is not None:
        credentials = _find(request, "credentials")
        return Step(
            kind,
            name,
            disabled,
            line,
            request=_text(request, "request"),
            endpoint=_text(request, "endpoint").strip(),
            soap_action=actions.get((_text(config, "interface"), _text(config, "operation")), ""),
            headers=tuple(_headers(request)),
            assertions=tuple(map(_assertion, _all(request, "assertion"))),
            has_attachments=_find(request, "attachment") is not None,
            has_credentials=credentials is not None and bool(_text(credentials, "username")),
        )
    source = _find(config, "dataSource")
    return Step(
        kind,
        name,
        disabled,
        line,
        script=_text(config, "script"),
        properties=_properties(config) or _properties(element),
        data_file=_text(config, "source") or _anywhere(source, "fileName")
        if source is not None
        else _text(config, "source"),
    )


def _actions(root: etree._Element) -> Iterator[tuple[tuple[str, str], str]]:
    for interface in _all(root, "interface"):
        for operation in _all(interface, "operation"):
            yield (interface.get("name") or "", operation.get("name") or ""), operation.get("action") or ""


def _assertion(element: etree._Element) -> SoapuiAssertion:
    configuration = _find(element, "configuration")
    settings = {
        etree.QName(one).localname: one.text or ""
        for one in (configuration.iterchildren(etree.Element) if configuration is not None else ())
    }
    return SoapuiAssertion(element.get("type") or "", element.get("name") or "", settings, _is_disabled(element))


def _headers(request: etree._Element) -> Iterator[tuple[str, str]]:
    """HTTP headers stand as escaped XML in a setting: one entry, or several in a fragment."""
    settings = _find(request, "settings")
    for setting in _all(settings, "setting") if settings is not None else ():
        if (setting.get("id") or "").endswith(_HEADERS) and (setting.text or "").strip():
            try:
                fragment = parse_xml((setting.text or "").strip().encode())
            except XmlRefused:
                continue
            for entry in fragment.iter(etree.Element):
                if etree.QName(entry).localname == "entry" and entry.get("key"):
                    yield entry.get("key") or "", entry.get("value") or ""


def _properties(element: etree._Element) -> dict[str, str]:
    found = _find(element, "properties")
    return {
        name: _text(one, "value")
        for one in (_all(found, "property") if found is not None else ())
        if (name := _text(one, "name").strip())
    }


def _scripts(element: etree._Element, *names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name in names if (text := _text(element, name)).strip())


def _is_disabled(element: etree._Element) -> bool:
    return element.get("disabled") == "true"


def _all(element: etree._Element, name: str) -> list[etree._Element]:
    return [one for one in element.iterchildren(etree.Element) if etree.QName(one).localname == name]


def _find(element: etree._Element, name: str) -> etree._Element | None:
    return next(iter(_all(element, name)), None)


def _text(element: etree._Element, name: str) -> str:
    found = _find(element, name)
    return "" if found is None else found.text or ""


def _anywhere(element: etree._Element, name: str) -> str:
    return next((one.text or "" for one in element.iter(etree.Element) if etree.QName(one).localname == name), "")
