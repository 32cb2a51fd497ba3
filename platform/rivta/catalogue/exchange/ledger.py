"""Which publications of other platforms a draft was taken over from: an older one is never taken after a newer."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

LEDGER = ".imported.json"
"""Beside the draft: which publication of which platform was imported last."""


class PublicationFileRefused(ValueError):
    """The file is not taken; the message says why."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is in use already of a platform."""

    number: int
    digest: str


def refuse_older(found: Loaded, loaded: Loaded) -> None:
    """Raises PublicationFileRefused when `found` is older than what is loaded, or another of the same number."""
    if found.number < loaded.number:
        raise PublicationFileRefused(
            f"is publication {found.number}, older than publication {loaded.number}, which is loaded"
        )
    if found.number == loaded.number and found.digest != loaded.digest:
        raise PublicationFileRefused(
            f"says it is publication {found.number}, but the one that is loaded has other content"
        )


def loaded_from(folder: Path, platform: str) -> Loaded | None:
    """Which publication of a platform was imported last into the draft in `folder`. Raises PublicationFileRefused."""
    return all_loaded_from(folder).get(platform)


def all_loaded_from(folder: Path) -> dict[str, Loaded]:
    """The same of every platform, by HSA-id. Raises PublicationFileRefused."""
    path = folder / LEDGER
    try:
        found = json.loads(path.read_bytes())
        return {name: Loaded(int(one["number"]), str(one["digest"])) for name, one in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PublicationFileRefused(
            f"cannot be compared with what is loaded: {path} is damaged; restore it, or delete it if nothing was"
        ) from error


def ledger_with(folder: Path, platform: str, loaded: Loaded, now: datetime) -> bytes:
    """New content of the ledger in `folder`: that publication of `platform` is loaded now."""
    path = folder / LEDGER
    there = json.loads(path.read_bytes()) if path.exists() else {}
    there[platform] = {"number": loaded.number, "digest": loaded.digest, "imported": now.isoformat()}
    return json.dumps(there, indent=2, sort_keys=True).encode() + b"\n"
