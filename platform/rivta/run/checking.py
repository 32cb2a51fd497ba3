"""Whether a platform would start from its settings and serve: what they name is looked at, nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum

from rivta.catalogue.checks.problems import Surroundings, namespaces_of
from rivta.catalogue.files import read_draft
from rivta.catalogue.hsa import HsaTree, read_hsa
from rivta.catalogue.lint import check
from rivta.contracts.installed import Contracts
from rivta.run import ports
from rivta.run.settings import Settings
from rivta.tls.contexts import TlsSetupError, client_context, server_context
from rivta.tls.expiry import expiries, expiry_problem
from rivta.tls.revocation import RevocationError, Revocations


class Verdict(Enum):
    """How a check ended."""

    GOOD = "good"
    WARNING = "warning"
    PROBLEM = "problem"
    """The platform would not start, or carry no call."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    subject: str
    """The key, or the section, that it is about."""
    verdict: Verdict
    words: str


def check_platform(settings: Settings, *, now: datetime) -> Iterator[Check]:
    """Everything that can be known without starting: the database is not opened, nobody is called."""
    yield from _certificates(settings, now)
    yield from _revocation(settings, now)
    yield from _targets(settings)
    contracts = yield from _contracts(settings)
    yield from _tables(settings, contracts, now)
    yield from _state(settings)
    yield from _ports(settings)
    yield from _switches(settings)


def _certificates(settings: Settings, now: datetime) -> Iterator[Check]:
    tls = settings.tls
    try:
        server_context(certificate=tls.certificate, key=tls.key, trusted=tls.trusted)
    except TlsSetupError as error:
        yield Check("tls", Verdict.PROBLEM, str(error))
        return
    yield Check("tls", Verdict.GOOD, "certificate, key and authorities are readable, and the key is the certificate's")
    ends = expiries(certificate=tls.certificate, trusted=tls.trusted, crl=())
    words = expiry_problem(ends, now)
    own = next((one for one in ends if one.file == tls.certificate), None)
    if words is None and own is not None:
        yield Check("tls.certificate", Verdict.GOOD, f"valid to {own.not_after:%Y-%m-%d}")
    elif words is not None:
        expired = own is not None and own.not_after < now
        yield Check("tls.certificate", Verdict.PROBLEM if expired else Verdict.WARNING, words)
    mode = tls.key.stat().st_mode & 0o777
    if mode & 0o077:
        yield Check("tls.key", Verdict.WARNING, f"{tls.key} may be read by others: chmod 600 {tls.key}")


def _revocation(settings: Settings, now: datetime) -> Iterator[Check]:
    tls = settings.tls
    if not any(tls.crl):
        yield Check("tls.crl", Verdict.WARNING, "no revocation list: a revoked certificate is accepted")
        return
    for crl, trusted in zip(tls.crl, tls.trusted, strict=True):
        if crl is None:
            yield Check("tls.crl", Verdict.WARNING, f"no revocation list for the authorities in {trusted}")
            continue
        try:
            found = Revocations.load(crl, trusted)
        except RevocationError as error:
            yield Check("tls.crl", Verdict.PROBLEM, str(error))
            continue
        doubts = list(found.doubts(now))
        verdict = Verdict.WARNING if doubts else Verdict.GOOD
        yield Check("tls.crl", verdict, "; ".join(doubts) or f"{crl} is signed by its authority and not overdue")


def _targets(settings: Settings) -> Iterator[Check]:
    tls = settings.tls
    for name, target in tls.targets.items():
        subject = f"tls.targets.{name}"
        try:
            client_context(
                certificate=target.certificate or tls.certificate,
                key=target.key or tls.key,
                trusted=target.trusted or tls.trusted,
            )
        except TlsSetupError as error:
            yield Check(subject, Verdict.PROBLEM, str(error))
        else:
            yield Check(subject, Verdict.GOOD, "certificate, key and authorities are readable and fit")


def _contracts(settings: Settings) -> Generator[Check, None, Contracts]:
    """Gives the contracts too, for the tables name them."""
    try:
        contracts = Contracts.shipped(settings.contracts.installed)
    except (OSError, ValueError) as error:
        yield Check("contracts.installed", Verdict.PROBLEM, str(error))
        return Contracts.shipped()
    yield Check("contracts", Verdict.GOOD, f"{len(contracts)} contracts")
    return contracts


def _tables(settings: Settings, contracts: Contracts, now: datetime) -> Iterator[Check]:
    tables = settings.tables
    tree = HsaTree()
    if tables.hsa is not None:
        if not tables.hsa.exists():
            yield Check("tables.hsa", Verdict.WARNING, f"{tables.hsa} is not there")
        else:
            tree, problems = read_hsa(tables.hsa, relative_to=tables.hsa.parent)
            verdict = Verdict.PROBLEM if problems else Verdict.GOOD
            yield Check("tables.hsa", verdict, str(problems[0]) if problems else f"{len(tree.units)} units")
    draft = tables.draft or settings.platform.state / "routing"
    if not draft.exists():
        yield Check("tables.draft", Verdict.WARNING, f"{draft} is not there: only what is published already counts")
        return
    reading = read_draft(draft, contracts=contracts, relative_to=draft.parent)
    surroundings = Surroundings(
        tree,
        settings.variables,
        [settings.platform.short_name],
        list(settings.tls.targets),
        tables.expiring_days,
        namespaces_of(contracts),
    )
    report = check(reading, surroundings, now=now)
    if report.errors:
        more = f" (and {len(report.errors) - 1} more: `rivta route lint {draft}`)" if len(report.errors) > 1 else ""
        yield Check("tables.draft", Verdict.PROBLEM, f"{report.errors[0]}{more}")
    elif report.warnings:
        yield Check(
            "tables.draft", Verdict.WARNING, f"{len(report.warnings)} warnings, the first: {report.warnings[0]}"
        )
    else:
        yield Check("tables.draft", Verdict.GOOD, "no mistakes")


def _state(settings: Settings) -> Iterator[Check]:
    folder = next(path for path in (settings.platform.state, *settings.platform.state.parents) if path.exists())
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        yield Check("platform.state", Verdict.GOOD, f"{settings.platform.state} can be written")
    else:
        yield Check("platform.state", Verdict.PROBLEM, f"{settings.platform.state}: {folder} cannot be written")
    if settings.database.url:
        yield Check("database.url", Verdict.GOOD, "not opened by this check")


def _ports(settings: Settings) -> Iterator[Check]:
    for name, address in settings.doors.items():
        try:
            ports.listen_at(address, role=f"listen.{name}").close()
        except ports.PortInUse as error:
            yield Check(f"listen.{name}", Verdict.WARNING, f"{error} (by this platform itself, if it runs)")
        except OSError as error:
            yield Check(f"listen.{name}", Verdict.PROBLEM, f"{address}: {error.strerror or error}")
        else:
            yield Check(f"listen.{name}", Verdict.GOOD, f"{address} is free")


def _switches(settings: Settings) -> Iterator[Check]:
    for name in settings.insecure_switches.switched_on():
        yield Check(f"insecure.{name}", Verdict.WARNING, "a protection is off")
    if settings.call_log.payload:
        yield Check("call_log.payload", Verdict.WARNING, "messages are kept, patient data among them")
    compat = settings.compat_switches
    on = [one.name for one in fields(compat) if getattr(compat, one.name)]
    if on:
        yield Check("compat", Verdict.GOOD, f"as VP: {', '.join(on)}")
