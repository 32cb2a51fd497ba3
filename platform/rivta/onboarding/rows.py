"""The rows of a routing table that connect an endpoint."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from rivta.catalogue.rows import ANY_ADDRESS
from rivta.soap.identifiers import Profile, short_name

_AGREEMENT = "say which agreement this rests on"


@dataclass(frozen=True, slots=True)
class Connected:
    """What the rows have to say."""

    url: str
    hsa_id: str
    """Of the component, from its certificate."""
    name: str
    """What people call the component."""
    contract: str
    logical_address: str
    profile: Profile
    consumer: str | None
    """HSA-id of whom to permit; None leaves the permission out."""
    is_platform: bool = False


def table_rows(connected: Connected) -> str:
    """A file for `routing/<platform>/`, in YAML."""
    named = re.sub(r"[^a-z0-9]+", "-", connected.hsa_id.rpartition("-")[2].lower()).strip("-") or "producer"
    contract = _text(short_name(connected.contract))
    address = _text(connected.logical_address)
    platform = ", platform: true" if connected.is_platform else ""
    lines = [
        "components:",
        f"  {_text(connected.hsa_id)}: {{name: {_text(connected.name)}{platform}}}",
        "producer_addresses:",
        f"  {named}: {{component: {_text(connected.hsa_id)}, url: {_text(connected.url)}, "
        f"profile: {connected.profile.value}}}",
    ]
    if connected.logical_address != ANY_ADDRESS:
        lines += ["logical_addresses:", f"  {address}: {{name: {_text(connected.name)}}}"]
    lines += [
        "routes:",
        f"  - logical_address: {address}",
        f"    contracts: [{contract}]",
        f"    producer_address: {named}",
    ]
    if connected.consumer is None:
        return "\n".join([*lines, "# and a permission for each consumer; --consumer HSA-ID writes it"])
    lines += [
        "permissions:",
        f"  - consumer: {_text(connected.consumer)}",
        f"    logical_address: {address}",
        f"    contracts: [{contract}]",
        f"    agreement: {_text(_AGREEMENT)}",
    ]
    return "\n".join(lines)


def _text(text: str) -> str:
    """As YAML reads it back: plain where that is safe, else in JSON's quotes, which YAML has too."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*(?::[0-9]+)?", text) and text.lower() not in _OTHER_TYPES
    return text if plain else json.dumps(text, ensure_ascii=False)


_OTHER_TYPES = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
"""Words that YAML takes for something else than text."""
