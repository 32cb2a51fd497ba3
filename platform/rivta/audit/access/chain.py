"""How entries hang together: each holds the hash of its writer's entry before it.

The canonical bytes of an entry are a JSON object of all its columns but `hash`, with the log's id as `log`: keys in
alphabetical order, no blanks between tokens, texts in UTF-8 as they are (only `"`, `\\` and characters below U+0020
escaped), `time` in UTC as `2026-11-24T12:00:00.000000Z`. Its hash is their SHA-256, hexadecimal. `previous` of a
writer's first entry is the SHA-256 of `<log id>/<writer>`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

COLUMNS = (
    "writer",
    "number",
    "time",
    "kind",
    "about",
    "correlation_id",
    "user_id",
    "user_name",
    "assignment",
    "unit_id",
    "unit_name",
    "care_provider_id",
    "care_provider_name",
    "patient",
    "purpose",
    "information_set",
    "sources",
    "outcome",
    "relation",
    "consent",
    "permission",
    "reason",
    "detail",
    "previous",
)
"""All that the hash is over, beside the log's id."""


def start_of(log: str, writer: str) -> str:
    """What a writer's first entry has as `previous`."""
    return hashlib.sha256(f"{log}/{writer}".encode()).hexdigest()


def canonical_bytes(log: str, columns: Mapping[str, object]) -> bytes:
    """What the hash is over. A value of a type that no column has is written as what it is, so that it differs."""
    fields = {name: columns[name] for name in COLUMNS} | {"log": log}
    text = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_spelled)
    return text.encode("utf-8", "surrogatepass")


def hash_of(log: str, columns: Mapping[str, object]) -> str:
    """The hash of an entry with these columns."""
    return hashlib.sha256(canonical_bytes(log, columns)).hexdigest()


def spelled_time(time: datetime) -> str:
    """`time` as it stands in canonical bytes and in checkpoints."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _spelled(value: object) -> str:
    return spelled_time(value) if isinstance(value, datetime) else f"{type(value).__name__}: {value!r}"
