"""Changes as they wait in the database: compressed JSON."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Iterable

from rivta.index.engagement import Engagement, Transaction


def pack(transactions: Iterable[Transaction]) -> bytes:
    """The changes as bytes."""
    rows = [
        {"delete": one.delete, "visited": one.visited, "engagement": dataclasses.asdict(one.engagement)}
        for one in transactions
    ]
    return zlib.compress(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))


def unpack(content: bytes) -> list[Transaction]:
    """The changes that were packed."""
    rows = json.loads(zlib.decompress(content))
    return [Transaction(row["delete"], Engagement(**row["engagement"]), tuple(row["visited"])) for row in rows]
