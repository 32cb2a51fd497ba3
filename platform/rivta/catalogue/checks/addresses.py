"""Producer addresses: URLs, the identities to call them with, and the platform's own address."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from rivta.catalogue.checks.problems import Surroundings, at, written_once
from rivta.catalogue.compile import VARIABLE
from rivta.catalogue.rows import Draft, Problem, ProducerAddress, RouteRow

_SCHEMES = ("https", "http", "unix", "aggregation")

_PLACEHOLDER = re.compile(
    r"(?:^|[/.])example\.(?:com|net|org)\b|\.(?:example|invalid)(?=[:/?]|$)|\b(?:todo|tbd|fixme|changeme|change-me)\b"
    r"|[<>]|\bxxx+\b",
    re.IGNORECASE,
)
"""Domains that RFC 2606 sets apart for texts, and what people write who mean to come back."""

_NO_VARIABLE = re.compile(r"[{}]|\$[({]")
"""What is left of `${name}` when it was misspelt."""


def errors(draft: Draft, around: Surroundings) -> Iterator[Problem]:
    """URLs that cannot be called, names that the configuration lacks, and routes that come back."""
    yield from _bad_urls(draft.producer_addresses, around)
    yield from _unknown_identities(draft.producer_addresses, around.tls_targets)
    yield from _routes_to_ourselves(draft, around)


def warnings(draft: Draft, around: Surroundings) -> Iterator[Problem]:
    """URLs that can be called, but should perhaps not be."""
    yield from _unchecked_identities(draft.producer_addresses, around.tls_targets)
    for row in draft.producer_addresses:
        yield from _doubtful_url(row, around.variables)


def resolved(url: str, variables: Mapping[str, str]) -> str:
    """The URL with its variables; those that are not known stay as they stand."""
    return VARIABLE.sub(lambda match: variables.get(match.group(1), match.group()), url)


def _bad_urls(rows: Iterable[ProducerAddress], around: Surroundings) -> Iterator[Problem]:
    for row in rows:
        unknown = [name for name in VARIABLE.findall(row.url) if name not in around.variables]
        for name in unknown:
            known = ", ".join(sorted(around.variables)) or "none"
            message = f"producer address {row.name}: url: ${{{name}}} is not in [variables], which has {known}"
            yield at(row.place, "unknown-variable", message)
        if not unknown and (reason := _url_mistake(resolved(row.url, around.variables))):
            yield at(row.place, "bad-url", f"producer address {row.name}: url {row.url!r}: {reason}")


def _url_mistake(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return str(error)
    if re.search(r"\s", url) or not url.isprintable():
        return "has a blank or an unprintable character in it"
    if _NO_VARIABLE.search(url):
        return "has braces in it; a variable is written ${name}"
    if parts.scheme not in _SCHEMES:
        return "expected https://host:port/path"
    if parts.scheme == "aggregation":
        return "" if url == "aggregation:" else "expected aggregation: alone, which is this platform's own service"
    if parts.scheme == "unix":
        return "" if parts.path or parts.netloc else "expected unix:/path/of/socket"
    if not parts.hostname or port == 0:
        return "expected https://host:port/path"
    if parts.fragment:
        return "has a fragment (#) in it, which is never sent"
    return "has a password in it; producers know the platform by its certificate" if "@" in parts.netloc else ""


def _doubtful_url(row: ProducerAddress, variables: Mapping[str, str]) -> Iterator[Problem]:
    what, url = f"producer address {row.name}", resolved(row.url, variables)
    if url.startswith("http:"):
        yield at(row.place, "plain-http", f"{what}: url is plain http: patient data would travel in the clear")
    # As written: where the settings are not known, variables stand for names that lead nowhere.
    if _PLACEHOLDER.search(row.url):
        yield at(row.place, "placeholder-url", f"{what}: url {row.url!r} seems to stand for one that was to come")
    if "?" in row.url:
        yield at(row.place, "url-query", f"{what}: url has a query, which is sent with every call")


def _unknown_identities(rows: Iterable[ProducerAddress], known: Collection[str] | None) -> Iterator[Problem]:
    if known is None:
        return
    for row, field, name in _identities_of_their_own(rows):
        if name not in known:
            message = (
                f"producer address {row.name}: {field} {name!r} is not in [tls.targets], "
                f"which has {', '.join(known) or 'none'}"
            )
            yield at(row.place, "unknown-identity", message)


def _unchecked_identities(rows: Iterable[ProducerAddress], known: Collection[str] | None) -> Iterator[Problem]:
    if known is not None:
        return
    for row, field, name in _identities_of_their_own(rows):
        message = (
            f"producer address {row.name}: {field} {name!r}: whether [tls.targets] has it is not known without the "
            "platform's configuration; publishing will tell"
        )
        yield at(row.place, "identity-not-checked", message)


def _identities_of_their_own(rows: Iterable[ProducerAddress]) -> Iterator[tuple[ProducerAddress, str, str]]:
    """The TLS targets that producer addresses name: address, field and name."""
    for row in rows:
        for field, name in (("client_certificate", row.client_certificate), ("ca", row.ca)):
            if name is not None:
                yield row, field, name


def _routes_to_ourselves(draft: Draft, around: Surroundings) -> Iterator[Problem]:
    variables = around.variables
    own = {variables[name].rstrip("/") for name in around.own_variables if name in variables}
    written = {f"${{{name}}}" for name in around.own_variables}
    ours = {
        row.name
        for row in draft.producer_addresses
        if row.url in written or resolved(row.url, variables).rstrip("/") in own
    }
    for row in written_once(draft.routes):
        if isinstance(row, RouteRow) and row.producer_address in ours:
            message = f"route: producer_address {row.producer_address} is this platform itself: calls would circle"
            yield at(row.place, "route-to-itself", message)
