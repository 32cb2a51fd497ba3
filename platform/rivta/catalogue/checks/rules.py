"""The closed list of what can be wrong with tables: rule, whether it refuses a publication, meaning and remedy.

What is listed here is documented (docs/operator.md has this very table) and tested: each rule with a table that breaks
it, and one beside it that does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of mistake."""

    is_error: bool
    """Errors refuse a publication; a warning does not, and can be accepted in the row, with a reason."""
    meaning: str
    remedy: str


def _error(meaning: str, remedy: str) -> Rule:
    return Rule(True, meaning, remedy)


def _warning(meaning: str, remedy: str) -> Rule:
    return Rule(False, meaning, remedy)


RULES: Mapping[str, Rule] = {
    # How the files are written.
    "unreadable": _error(
        "a file cannot be read, or is larger than 256 MB", "give it to the keeper's user, or split it"
    ),
    "empty-file": _error("a file is empty", "delete it if its rows are to go, or write them again"),
    "encoding": _error("a file is not UTF-8", "save it as UTF-8"),
    "syntax": _error("a file is not YAML", "correct it at that line; `${...}` inside { } needs quotes"),
    "wrong-type": _error("a value of another kind than expected", "write what the message says"),
    "duplicate-key": _error("a key, or an item of a list, stands twice", "keep one"),
    "unknown-key": _error("a key that means nothing there", "correct its spelling, or take it away"),
    "missing-field": _error("a row lacks a field", "add it"),
    "bad-date": _error("not a day, nor a time with its offset", "write 2024-01-31 or 2024-01-31T12:00:00+01:00"),
    "bad-profile": _error("no profile of RIV-TA that is known", "write RIVTABP20 or RIVTABP21"),
    "unknown-contract": _error("a short name that no installed contract has", "install it, or write the namespace"),
    "several-resolutions": _error("`resolution` stands in more than one place", "keep one"),
    "unknown-rule": _error("`accept` names no warning of lint", "write a warning of this list, with a reason"),
    # The HSA tree.
    "xml": _error("the HSA cache is not XML", "fetch the file again"),
    "hsa-duplicate": _error("a unit stands twice", "keep one"),
    "hsa-unknown-parent": _error("a unit lies under one that does not exist", "add that one, or name another"),
    "hsa-circle": _error("a unit lies under itself", "correct a parent in the circle"),
    # Names.
    "duplicate-name": _error("a component, producer address or logical address is declared twice", "keep one"),
    "unknown-component": _error("a producer address of a component that is not declared", "declare it"),
    "unknown-producer-address": _error("a route to a producer address that does not exist", "add it, or name another"),
    "undeclared-address": _warning("an address neither declared nor in the HSA tree", "declare it, or correct it"),
    "undeclared-consumer": _warning("a permission for a consumer that is not declared", "declare it, or correct it"),
    "odd-hsa-id": _warning("does not look like an HSA-id", "correct it, as SE2321000016-A1B2"),
    "address-case": _warning(
        "an address that the HSA tree spells with other letters of case",
        "spell it as the tree does: it tells case apart",
    ),
    "odd-contract": _warning(
        "a namespace that is no contract's",
        "write that of its requests, ...:<Name>Responder:<major>, not that of a WSDL or schema",
    ),
    "contract-version": _warning(
        "a contract that is not installed, while another version or domain of its name is", "correct it, or install it"
    ),
    "unused": _warning("a producer address that no route leads to", "take it away"),
    # Producer addresses.
    "bad-url": _error("a URL that cannot be called", "write https://host:port/path"),
    "unknown-variable": _error("`${name}` that the settings lack", "add it to [variables], or correct it"),
    "unknown-identity": _error("a TLS target that the settings lack", "add it to [tls.targets], or correct it"),
    "route-to-itself": _error("a route to the platform's own address", "send it to the producer"),
    "identity-not-checked": _warning("a TLS target, where the settings are not known", "publishing will tell"),
    "plain-http": _warning("a URL without TLS", "write https"),
    "url-query": _warning("a URL with a query", "take it away, unless the producer needs it: it is sent along"),
    "placeholder-url": _warning("a URL that somebody meant to fill in", "write the producer's address"),
    # Periods.
    "inverted-period": _error("a row that ends before it begins, or as it begins", "correct valid_from or valid_to"),
    "route-overlap": _error(
        "two routes at once for an address and contract (VP006)", "end one before the other begins"
    ),
    "permission-overlap": _warning("two permissions at once for the same", "keep one, or end it"),
    "incumbent-overlap": _warning(
        "a router that reads days without zone, as the incumbent's does, holds two routes valid for some hours (VP006)",
        "write both bounds as times with an offset",
    ),
    "route-gap": _warning("time without a route between two of the same address and contract", "close it"),
    "permission-gap": _warning("time without a permission between two of the same", "close it"),
    "expired": _warning("a row that has ended", "take it away, or prolong it"),
    "expiring": _warning("a row that ends soon (`tables.expiring_days`), and nothing follows", "prolong it"),
    # What rows do together.
    "unreachable": _warning("a row that no look-up ever comes to", "put it where it is looked for, or take it away"),
    "shadowed": _warning("a row that another one makes needless, for as long as it holds", "take one of them away"),
    "route-without-permission": _warning("a route that nobody has a permission for", "add the permission"),
    "permission-without-route": _warning("a permission for what goes nowhere", "add the route"),
    "default-for-patient-data": _warning("`*` for a contract with patient data", "name the addresses"),
    "odd-filters": _warning("filters on another contract than ProcessNotification", "take them away"),
    "no-resolution": _warning("no file says how addresses are looked up", "add `resolution`, with the defaults said"),
    "platform-loop": _warning(
        "two platforms' tables send the same calls to each other (VP014)", "end one of the routes"
    ),
    "needless-accept": _warning("`accept` of something that is not found there", "take it away"),
}
"""Every rule, by subject."""


def is_acceptable(rule: str) -> bool:
    """A row may say, with a reason, that this is as it should be."""
    return rule in RULES and not RULES[rule].is_error
