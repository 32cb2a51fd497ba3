"""Looks for a reviewer, outside the program: as JSON, or as CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from rivta.audit.access.follow_up import Look, Sample

_COLUMNS = (
    "id",
    "time",
    "user_id",
    "user_name",
    "assignment",
    "unit_id",
    "unit_name",
    "care_provider_id",
    "purpose",
    "patient",
    "information_sets",
    "read",
    "sources",
    "relation",
    "consents",
    "reasons",
    "signs",
    "correlation_id",
)
_OBEYED_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")


def look_json(look: Look, zone: tzinfo) -> dict[str, Any]:
    """A look; times in `zone`."""
    reader = look.reader
    return {
        "id": look.id,
        "time": look.time.astimezone(zone).isoformat(timespec="seconds"),
        "user_id": reader.user_id,
        "user_name": reader.user_name,
        "assignment": reader.assignment,
        "unit_id": reader.unit_id,
        "unit_name": reader.unit_name,
        "care_provider_id": reader.care_provider_id,
        "purpose": reader.purpose,
        "patient": look.patient,
        "information_sets": list(look.information_sets),
        "read": list(look.read),
        "sources": list(look.sources),
        "relation": look.relation,
        "consents": list(look.consents),
        "reasons": list(look.reasons),
        "signs": [sign.value for sign in look.signs],
        "correlation_id": look.correlation_id,
        "reviews": [
            {
                "reviewer": review.reviewer,
                "time": review.time.astimezone(zone).isoformat(timespec="seconds"),
                "verdict": review.verdict,
                "note": review.note,
            }
            for review in look.reviews
        ],
    }


def sample_json(sample: Sample, zone: tzinfo) -> dict[str, Any]:
    """A sample with what it takes to draw it again."""
    return {
        "care_provider": sample.care_provider,
        "from": sample.first.isoformat(),
        "to": sample.last.isoformat(),
        "seed": sample.seed,
        "checkpoint": sample.checkpoint,
        "of": sample.of,
        "looks": [look_json(look, zone) for look in sample.looks],
    }


def looks_csv(looks: Sequence[Look], zone: tzinfo) -> str:
    """One look a line, under a line of names. No cell is one that a spreadsheet would calculate."""
    rows = [look_json(look, zone) for look in looks]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*_COLUMNS, "reviewed_by", "verdict"])
    for row in rows:
        last = row["reviews"][-1] if row["reviews"] else {"reviewer": "", "verdict": ""}
        cells = [row[name] for name in _COLUMNS] + [last["reviewer"], last["verdict"]]
        writer.writerow([_cell(" | ".join(cell) if isinstance(cell, list) else cell) for cell in cells])
    return out.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_OBEYED_BY_SPREADSHEETS) else text
