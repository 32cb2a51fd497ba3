"""What a keeper knows of its platform, as figures for Prometheus beside those that workers count."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, generate_latest

import rivta
from rivta.audit.metrics import exposition
from rivta.run.settings import Settings
from rivta.tls.expiry import Expiry, expiries

if TYPE_CHECKING:
    from rivta.run.admin import Kept


def all_figures(kept: Kept, problems: Mapping[str, str | None]) -> bytes:
    """Everything there is to scrape, in the text format. `problems` are those of the readiness. Blocking: files and
    database are looked at."""
    return exposition(kept.settings.platform.state / "metrics") + generate_latest(_of_keeper(kept, problems))


def platform_expiries(settings: Settings) -> list[Expiry]:
    """What of a platform runs out when: its certificate, those of its targets, authorities, revocation lists."""
    tls = settings.tls
    found = expiries(certificate=tls.certificate, trusted=tls.trusted, crl=tls.crl)
    for target in tls.targets.values():
        found += expiries(certificate=target.certificate or tls.certificate, trusted=target.trusted, crl=target.crl)
    return list(dict.fromkeys(found))


def _of_keeper(kept: Kept, problems: Mapping[str, str | None]) -> CollectorRegistry:
    registry = CollectorRegistry()

    def gauge(name: str, help: str, value: float | None) -> None:
        if value is not None:
            Gauge(name, help, registry=registry).set(value)

    build = Gauge("rivta_build_info", "The program's version, as a label", ("version",), registry=registry)
    build.labels(rivta.__version__).set(1)
    gauge("rivta_keeper_start_timestamp_seconds", "When the keeper started", kept.started.timestamp())
    table = kept.table.table
    gauge("rivta_table_publication", "Number of the publication in force", table.publication if table else None)
    gauge("rivta_table_timestamp_seconds", "When the publication in force was published", _published(kept))
    gauge("rivta_table_routes", "Routes in force", table.routes_count if table else None)
    gauge("rivta_table_permissions", "Permissions in force", table.permissions_count if table else None)
    gauge("rivta_hsa_version", "Version of the HSA tree in force", table.hsa_version if table else None)
    gauge("rivta_spool_bytes", "Call records that wait for the database", _size(kept.settings.platform.state / "spool"))
    gauge("rivta_call_log_gaps", "Gaps found in the call log since the keeper started", kept.collector.gaps)
    _expiry(kept, registry)
    found = Gauge("rivta_problem", "Whether the readiness tells of a problem, by kind", ("kind",), registry=registry)
    for kind, words in problems.items():
        found.labels(kind).set(words is not None)
    insecure = Gauge("rivta_insecure", "Protections that are off, by switch", ("switch",), registry=registry)
    for name in kept.settings.insecure_switches.switched_on():
        insecure.labels(name).set(1)
    return registry


def _expiry(kept: Kept, registry: CollectorRegistry) -> None:
    gauge = Gauge(
        "rivta_expiry_timestamp_seconds",
        "When the platform's certificate, an authority it trusts, or a revocation list runs out",
        ("kind", "name"),
        registry=registry,
    )
    for one in platform_expiries(kept.settings):
        gauge.labels(one.kind.value, one.name).set(one.not_after.timestamp())


def _published(kept: Kept) -> float | None:
    """When the publication in force was published; None without one, or without the database."""
    table = kept.table.table
    if table is None:
        return None
    try:
        newest = kept.publications.newest()
    except OSError:
        return None
    if newest is None or newest.number != table.publication:
        return None
    return newest.time.timestamp()


def _size(folder: Path) -> int:
    total = 0
    for path in folder.glob("*.jsonl"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # collected meanwhile
    return total
