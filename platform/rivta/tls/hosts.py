"""Hosts as the client towards producers spells them, so that a rule about one and a connection to it mean the same."""

from yarl import URL


def plain_host(text: str) -> str:
    """A host as the client connects to it: lower case, other letters than ASCII in their xn-- form, an address of IPv6
    short and without brackets, no dot at the end. Raises ValueError for what is no host."""
    text = text.strip("[]").rstrip(".")
    return URL.build(scheme="https", host=text).raw_host or "" if text else ""
