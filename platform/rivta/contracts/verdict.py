"""What checking a message against its contract says."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where a message breaks its contract's schema."""

    line: int
    """Line in the message as it was received, from 1."""
    path: str
    """XPath of the element, with the prefixes of `Verdict.namespaces`."""
    reason: str
    """Why, in plain words; may quote values of the message, so only its sender may see it."""
    private_reason: str
    """The same with every value replaced by its type and length: fit for logs, storage and third parties."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a message fits its contract, and every place where it does not (at most 20, in document order)."""

    valid: bool
    violations: tuple[Violation, ...] = ()
    namespaces: tuple[tuple[str, str], ...] = ()
    """(prefix, namespace) pairs used in the violations' paths."""
