"""From an installation of the incumbent to settings of ours: what belongs together, in the order of `rows`."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rivta.run.incumbent.certificates import take_certificates
from rivta.run.incumbent.properties import Properties, Property
from rivta.run.incumbent.result import Takeover, safe_name, truth
from rivta.run.incumbent.rows import Fate, Row, row_of

_STATUS_PAGES = ("vp.status.url", "vp.reset.cache.url", "vp.hsa.reset.cache.url", "server.port")
_DEFAULT_TIMEOUTS = "default_timeouts"
_MOST_RETRIES = 10


def take_over(properties: Properties, *, base: Path, shipped: Iterable[str] = ()) -> Takeover:
    """Everything that can be said of an installation. `shipped`: namespaces of the contracts that are here already."""
    made = Takeover(properties, base)
    for take in (_identity, _listeners, _sender, _lookup, _producers, _timeouts, take_certificates, _hsa, _logging):
        take(made)
    _contracts(made, frozenset(shipped))
    for one in properties:
        if made.get(one.name) is not None:
            _by_table(made, one, row_of(one.name))
    made.findings.sort(key=lambda finding: (list(Fate).index(finding.fate), finding.property))
    return made


def _by_table(made: Takeover, one: Property, row: Row | None) -> None:
    """What nobody has spoken of yet."""
    if row is None:
        made.left(one, "unknown: neither VP nor we know it")
    elif row.key and not row.why:
        made.left(one, f"belongs to {row.key}, which was not taken from it")
    else:
        made.left(one, row.why)


def _identity(made: Takeover) -> None:
    made.copy_text("vp.instance.id", "platform.hsa_id")
    made.copy_text("vp.instance.name", "platform.name")
    size = made.get("vp.max.receive.length")
    number = made.number(size, 1)
    if number is not None:
        made.set("limits.max_body_bytes", number)
        made.taken(size, "limits.max_body_bytes")


def _listeners(made: Takeover) -> None:
    https = made.get("vp.https.route.url")
    address = _address(made, https)
    if https is not None and address is not None:
        path = urlsplit(https.value).path.rstrip("/")
        made.set("listen.https", address)
        made.taken(https, "listen.https", "" if path.lower() == "/vp" else f"the path is /vp here, not {path or '/'}")
    http = made.get("vp.http.route.url")
    address = _address(made, http)
    if http is not None and address is not None:
        made.set("listen.http", address)
        made.taken(http, "listen.http", "calls on it are refused (VP011) unless insecure.trusted_headers is on")
        made.insecure["trusted_headers"] = f"{http.name} was open, for callers named by headers"
    _status_pages(made)


def _status_pages(made: Takeover) -> None:
    pages = [one for name in _STATUS_PAGES if (one := made.get(name)) is not None]
    for one in pages:
        address = f"127.0.0.1:{one.value}" if one.value.isdigit() else _address(made, one)
        if address is None:
            continue
        if "listen.status" not in {finding.key for finding in made.findings}:
            made.set("listen.status", address)
            made.set("compat.status_pages", value=True)
            path = "" if one.value.isdigit() else urlsplit(one.value).path
            same = path in ("", "/status", "/resetcache", "/resethsacache")
            made.taken(one, "listen.status", "" if same else f"the path is /status here, not {path}")
        else:
            first = made.tables["listen"]["status"]
            made.taken(one, "listen.status", f"all of these pages are at {first} here")


def _address(made: Takeover, one: Property | None) -> str | None:
    """Host and port of a URL."""
    if one is None:
        return None
    with contextlib.suppress(ValueError):
        parts = urlsplit(one.value)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        if parts.hostname and port:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            return f"{host}:{port}"
    made.left(one, f"{one.value!r} is no address as https://host:port/path")
    return None


def _sender(made: Takeover) -> None:
    allowed = made.get("sender.id.allowed.list")
    senders = made.properties.texts("sender.id.allowed.list")
    refuses = truth(made.get("throw.vp013.when.originalconsumer.not.allowed"))
    if senders:
        made.set("original_consumer.allowed", list(senders))
        made.taken(
            allowed, "original_consumer.allowed", "" if refuses else "others are refused (VP013), not only logged"
        )
    elif allowed is not None:
        made.left(allowed, "empty: all were allowed; here nobody may name another, so list those that do")
    if not refuses:
        made.insecure["original_consumer_unchecked"] = "anybody could name another as the original consumer"
    pattern = made.get("certificate.senderid.subject.pattern")
    if pattern is not None and "2.5.4.5" not in pattern.value and "SERIALNUMBER" not in pattern.value.upper():
        made.left(pattern, "the HSA-id is read from the subject's serialNumber only: certificates need it there")
    _whitelist(made)
    for name, key in (
        ("http.forwarded.header.xfor", "http.forwarded_for_header"),
        ("http.forwarded.header.auth_cert", "http.certificate_header"),
        ("http.forwarded.header.proto", "forwarded.proto"),
        ("http.forwarded.header.host", "forwarded.host"),
        ("http.forwarded.header.port", "forwarded.port"),
    ):
        made.copy_text(name, key)
    made.copy_switch("vp.use.routing.history", "loops.routing_history")


def _whitelist(made: Takeover) -> None:
    one = made.get("ip.whitelist")
    networks = [network for text in made.properties.texts("ip.whitelist") if (network := _network(text)) is not None]
    if one is not None and networks:
        made.set("http.whitelist", networks)
        made.taken(one, "http.whitelist", "beginnings of addresses became networks: see that each is meant")


def _network(beginning: str) -> str | None:
    """The network of the addresses that a person means by their beginning: `10.0.` is 10.0.0.0/16."""
    parts = [part for part in beginning.strip().strip(".").split(".") if part]
    if not parts or len(parts) > 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        return None
    return ".".join([*parts, *("0",) * (4 - len(parts))]) + f"/{8 * len(parts)}"


def _lookup(made: Takeover) -> None:
    for name, key in (("vagval", "routes"), ("behorighet", "permissions")):
        one = made.get(f"hsa.lookup.{name}.defaultEnabled")
        if one is not None:
            made.resolution.setdefault("hsa_climb", {})[key] = truth(one)
            made.taken(one, f"resolution.hsa_climb.{key}")
    names = ("hsa.lookup.vagval.exceptedNamespaces", "hsa.lookup.behorighet.exceptedNamespaces")
    lists = [made.properties.texts(name) for name in names]
    excepted = list(dict.fromkeys([*lists[0], *lists[1]]))
    if excepted:
        made.resolution.setdefault("hsa_climb", {})["except"] = excepted
    for name in names:
        differ = "routes and permissions share one list here, which is both" if lists[0] != lists[1] else ""
        if made.properties.texts(name):
            made.taken(made.get(name), "resolution.hsa_climb.except", differ)
    delimiter = made.get("defaultrouting.delimiter")
    if delimiter is not None:
        made.resolution["delimiter"] = delimiter.value
        made.taken(delimiter, "resolution.delimiter")
    for name, key in (("allowedContracts", "delimiter_contracts"), ("allowedSenderIds", "delimiter_senders")):
        values = made.properties.texts(f"defaultrouting.{name}")
        if values:
            made.resolution[key] = list(values)
            made.taken(made.get(f"defaultrouting.{name}"), f"resolution.{key}")


def _producers(made: Takeover) -> None:
    made.copy_text("vp.header.user.agent", "headers.user_agent")
    made.copy_text("vp.header.content.type", "headers.content_type")
    for name in ("requestHeadersToRemove", "requestHeadersToKeep", "responseHeadersToRemove", "responseHeadersToKeep"):
        _pattern(made, f"headers.reg.exp.{name}", "headers." + name.replace("HeadersTo", "_").lower())
    made.copy_switch("propagate.correlation.id.for.https", "correlation.to_https")
    made.copy_switch("producer.chunked.encoding", "producers.chunked")
    for name, key in (("keepAlive", "producers.keep_alive"), ("disconnect", "producers.disconnect")):
        _of_both(made, name, key, truth)
    _of_both(made, "connect.timeout", "timeouts.connect_seconds", lambda one: _positive_seconds(made, one))
    _retry(made)
    if not truth(made.get("producer.https.hostnameVerification")):
        made.insecure["hostname_unchecked"] = "a producer's host name was not verified"


def _pattern(made: Takeover, name: str, key: str) -> None:
    """Java's regular expressions are Python's, but for `(?i)` in the middle and some rare classes."""
    one = made.get(name)
    if one is None:
        return
    try:
        re.compile(one.value)
    except re.error as error:
        made.left(one, f"is no regular expression here: {error}")
        return
    made.set(key, one.value)
    made.taken(one, key)


def _of_both(made: Takeover, name: str, key: str, value: Callable[[Property | None], Any]) -> None:
    """What the incumbent has for http and for https; of ours the one for https counts."""
    https, http = made.get(f"producer.https.{name}"), made.get(f"producer.http.{name}")
    chosen = https or http
    found = value(chosen)
    if chosen is None or found is None:
        return
    made.set(key, found)
    made.taken(chosen, key)
    if http is not None and http is not chosen:
        made.taken(http, key, "" if http.value == chosen.value else f"one for both here: that of https, {chosen.value}")


def _positive_seconds(made: Takeover, one: Property | None) -> float | None:
    number = made.number(one, 1)
    return None if number is None else _seconds(number)


def _retry(made: Takeover) -> None:
    attempts = made.get("vp.producer.retry.attempts")
    number = made.number(attempts, -(10**9))
    if number is not None:
        ours = min(number, _MOST_RETRIES) if number >= 0 else _MOST_RETRIES
        made.set("retry.attempts", ours)
        made.taken(attempts, "retry.attempts", "" if ours == number else f"{_MOST_RETRIES} is the most here")
    delay = made.get("vp.producer.retry.delay")
    number = made.number(delay)
    if number is not None:
        made.set("retry.delay_seconds", _seconds(number))
        made.taken(delay, "retry.delay_seconds")
    made.insecure["resend_after_reset"] = "a call was sent again also after a reset, when it may have been done"


def _timeouts(made: Takeover) -> None:
    one, default = made.get("timeout.json.file"), made.get("timeout.json.file.default.tjanstekontrakt.name")
    rows = _json_rows(made, one)
    if one is None or rows is None:
        return
    name = default.value if default is not None else _DEFAULT_TIMEOUTS
    contracts: dict[str, float] = {}
    skipped = 0
    for row in rows:
        try:
            contract, seconds = str(row["tjanstekontrakt"]), _seconds(int(row["producertimeout"]))
        except (KeyError, TypeError, ValueError):
            skipped += 1
            continue
        if seconds <= 0 or not contract.strip():
            skipped += 1
        elif contract == name:
            made.set("timeouts.producer_seconds", seconds)
        else:
            contracts[contract] = seconds
    if contracts:
        made.tables["timeouts.contracts"] = contracts
    made.taken(one, "timeouts.contracts", f"{skipped} entries of it have no usable time" if skipped else "")
    made.taken(default, "timeouts.producer_seconds")


def _json_rows(made: Takeover, one: Property | None) -> list[dict[str, Any]] | None:
    """The rows of a JSON file of the incumbent, which is a list of objects."""
    if one is None:
        return None
    file = made.path(one.value)
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        made.left(one, f"{file} cannot be read: {error.strerror}")
        return None
    except (ValueError, RecursionError) as error:
        made.left(one, f"{file} is not JSON: {error}")
        return None
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        made.left(one, f"{file} is not a list of objects")
        return None
    return content


def _hsa(made: Takeover) -> None:
    one = made.get("hsa.files")
    if one is None:
        return
    copied, missing = [], []
    for number, name in enumerate(made.properties.texts("hsa.files")):
        file = made.path(name)
        try:
            made.files[f"hsa/{number:02}-{safe_name(file.stem)}.xml"] = file.read_bytes()
            copied.append(file)
        except OSError as error:
            missing.append(f"{file} cannot be read: {error.strerror}")
    if not copied:
        made.left(one, "; ".join(missing) or "names no file")
        return
    made.set("tables.hsa", "hsa")
    made.taken(one, "tables.hsa", "; ".join(["copied: have the next ones put there", *missing]))


def _contracts(made: Takeover, shipped: frozenset[str]) -> None:
    one = made.get("wsdl.json.file")
    rows = _json_rows(made, one)
    if one is not None and rows is not None:
        wanted = {str(row.get("tjanstekontrakt", "")) for row in rows} - {""}
        lacking = sorted(wanted - shipped)
        here = f"{len(wanted) - len(lacking)} of its {len(wanted)} contracts are here"
        made.left(one, f"{here}; not here: {', '.join(lacking)}" if lacking else f"{here}: their WSDLs are served")


def _logging(made: Takeover) -> None:
    for name in ("camel.springboot.name", "camel.main.name"):
        if "service_name" not in made.tables.get("call_log", {}):
            made.copy_text(name, "call_log.service_name")


def _seconds(milliseconds: int) -> float:
    return milliseconds / 1000
