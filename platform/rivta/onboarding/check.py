"""Checking somebody's endpoint: every step in its order, each bounded, all of them within one deadline."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from rivta.contracts.domain import Contract
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.onboarding import soap_probe as soap
from rivta.onboarding.certificates import Shown, check_certificate
from rivta.onboarding.findings import Finding, Grade, Report, fail, ok, skipped, warn
from rivta.onboarding.rows import Connected, table_rows
from rivta.onboarding.soap_probe import Question, Wsdl
from rivta.onboarding.tls_probe import (
    HANDSHAKE_SECONDS,
    Identity,
    Probe,
    check_clients,
    check_trust,
    check_versions,
    tolerant_context,
)
from rivta.onboarding.wire import (
    Address,
    Connection,
    Deadline,
    Failure,
    HttpAnswer,
    Kind,
    OutOfTime,
    connect,
    look_up,
)
from rivta.soap.identifiers import Profile
from rivta.tls.contexts import negotiated

_CONNECT_SECONDS = 5.0
_LOOK_UP_SECONDS = 5.0
_TRY_SECONDS = 4.0
_SHOWN_ADDRESSES = 4
_ADVICE = {
    Kind.NO_NAME: "correct the host, or have it entered into DNS",
    Kind.REFUSED: "start the service, or correct the port",
    Kind.UNREACHABLE: "correct the address, or open the way to it",
    Kind.TIMEOUT: "see what it waits for; a firewall that drops what it refuses looks like this too",
    Kind.NOT_TLS: "switch TLS on at this port, or give the port that has it",
    Kind.ALERT: "see the log of the service: it does not accept the certificate or the versions offered",
    Kind.TLS: "see the log of the service, and which versions and ciphers it has",
    Kind.CLOSED: "see the log of the service: it ended the connection without a word",
    Kind.NOT_HTTP: "give the port of the SOAP service: what is there speaks something else",
    Kind.TOO_LONG: "see what it answers with",
    Kind.DISTRUSTED: "use a certificate that the platforms trust",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be checked, by whom, and how far."""

    url: str
    identity: Identity
    trusted: Path
    """PEM of the CAs to trust."""
    contract: Contract | None = None
    logical_address: str | None = None
    profile: Profile | None = None
    """The only one to call by; None tries both."""
    allow_writes: bool = False
    """Call also contracts that may change something."""
    consumer: str | None = None
    """HSA-id of whom the rows permit."""
    is_platform: bool = False
    seconds: float = 50.0


def check(target: Target, *, contracts: Contracts, now: datetime) -> Report:
    """Looks at the endpoint. Raises ValueError for a URL that is none, TlsSetupError for files that cannot be used."""
    began = time.monotonic()
    course = _Course(target, Address.of(target.url), contracts, now)
    findings: list[Finding] = []
    try:
        for finding in course.steps():
            findings.append(finding)
    except OutOfTime:
        seen = f"the check did not end within {target.seconds:g} s"
        findings.append(fail("time", seen, "find out why the endpoint is slow, or give more with --timeout"))
    rows, lack = course.rows()
    return Report(
        url=target.url,
        caller=target.identity.hsa_id,
        findings=tuple(findings),
        rows=rows,
        rows_lack=lack,
        elapsed_ms=round((time.monotonic() - began) * 1000, 1),
    )


class _Course:
    """One check, and what was learnt on the way."""

    def __init__(self, target: Target, address: Address, contracts: Contracts, now: datetime) -> None:
        self._target = target
        self._address = address
        self._now = now
        self._contracts = contracts
        self._deadline = Deadline(target.seconds)
        self._probe = Probe(address, target.identity, self._deadline)
        self._context = tolerant_context(target.identity) if address.secure else None
        self._trusted = x509.load_pem_x509_certificates(target.trusted.read_bytes())
        self._shown: Shown | None = None
        self._wsdl: Wsdl | None = None
        self._answered: Profile | None = None
        self._said_something = False
        self._caller = target.identity.hsa_id or "the caller"

    def steps(self) -> Iterator[Finding]:
        """Every finding, as it is made; the rest is left out where it would say the same again. Raises OutOfTime."""
        reach = list(self._reach())
        yield from reach
        if any(finding.grade is Grade.FAIL for finding in reach):
            return
        if self._address.secure:
            handshake = list(self._handshake())
            yield from handshake
            if self._shown is None:
                return
            yield from check_certificate(self._shown, host=self._address.host, trusted=self._trusted, now=self._now)
            yield check_trust(self._probe, self._target.trusted)
            yield from check_versions(self._probe)
            yield from check_clients(self._probe, self._try)
        else:
            yield fail("tls", "the URL is plain http", "serve https with mutual TLS: RIV-TA allows nothing else")
        yield from self._messages()

    def rows(self) -> tuple[str | None, str]:
        """The rows that connect the endpoint, or why there are none."""
        target = self._target
        if self._shown is None:
            return None, "nothing was seen of the endpoint's certificate"
        contract = target.contract.namespace if target.contract else self._contract_of_wsdl()
        hsa_id = self._shown.hsa_id
        lacking = {
            "--contract": contract is None,
            "--to": target.logical_address is None,
            "an HSA-id in the server's certificate": hsa_id is None,
        }
        if any(lacking.values()):
            return None, f"they need {' and '.join(name for name, lacks in lacking.items() if lacks)}"
        assert contract is not None
        assert hsa_id is not None
        assert target.logical_address is not None
        profile = target.profile or self._answered or (self._wsdl.profile if self._wsdl else None) or Profile.RIVTABP21
        return (
            table_rows(
                Connected(
                    url=target.url,
                    hsa_id=hsa_id,
                    name=self._name() or hsa_id,
                    contract=contract,
                    logical_address=target.logical_address,
                    profile=profile,
                    consumer=target.consumer,
                    is_platform=target.is_platform,
                )
            ),
            "",
        )

    def _contract_of_wsdl(self) -> str | None:
        known = [name for name in (self._wsdl.contracts if self._wsdl else ()) if self._contracts.get(name)]
        return known[0] if len(known) == 1 else None

    def _name(self) -> str:
        assert self._shown is not None
        found = self._shown.leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return str(found[0].value) if found else ""

    def _reach(self) -> Iterator[Finding]:
        host, port = self._address.host, self._address.port
        try:
            found = look_up(host, port, seconds=self._deadline.within(_LOOK_UP_SECONDS))
        except Failure as failure:
            yield fail("address", f"{host}: {failure}", _ADVICE[failure.kind])
            return
        self._address = dataclasses.replace(self._address, ips=tuple(found))
        self._probe = dataclasses.replace(self._probe, address=self._address)
        more = f" and {len(found) - _SHOWN_ADDRESSES} more" if len(found) > _SHOWN_ADDRESSES else ""
        yield ok("address", f"{host} is {', '.join(found[:_SHOWN_ADDRESSES])}{more}")
        began = time.monotonic()
        try:
            connect(self._address, seconds=self._deadline.within(_CONNECT_SECONDS)).close()
        except Failure as failure:
            yield fail("connect", str(failure), _ADVICE[failure.kind])
            return
        yield ok("connect", f"port {port}, in {(time.monotonic() - began) * 1000:.0f} ms")

    def _handshake(self) -> Iterator[Finding]:
        """The first handshake, with every check off; it brings the certificate to look at."""
        try:
            with self._open() as connection:
                seen = negotiated(connection.tls)
                self._shown = Shown.read(connection.chain())
        except Failure as failure:
            # A server of plain HTTP may also wait for the rest of what it takes for a request line.
            if failure.kind in (Kind.NOT_TLS, Kind.TIMEOUT, Kind.CLOSED) and self._speaks_http():
                yield fail("tls", f"{failure} (it speaks plain HTTP)", _ADVICE[Kind.NOT_TLS])
            else:
                yield fail("tls", str(failure), _ADVICE[failure.kind])
            return
        except ValueError as error:
            yield fail("tls", f"the certificate cannot be read: {error}", "use a certificate as RFC 5280 has it")
            return
        yield ok("tls", seen)

    def _speaks_http(self) -> bool:
        """Whether plain HTTP is answered on the port: the commonest reason for no TLS."""
        with (
            contextlib.suppress(Failure, OutOfTime),
            Connection.open(self._address, None, seconds=self._deadline.within(_CONNECT_SECONDS)) as connection,
        ):
            connection.exchange("GET", "/", headers={}, seconds=self._deadline.within(_TRY_SECONDS))
            return True
        return False

    def _open(self) -> Connection:
        return Connection.open(self._address, self._context, seconds=self._deadline.within(HANDSHAKE_SECONDS))

    def _try(self, connection: Connection) -> HttpAnswer:
        return soap.broken(connection, self._address, self._deadline.within(_TRY_SECONDS))

    def _messages(self) -> Iterator[Finding]:
        try:
            with self._open() as connection:
                answer = soap.broken(connection, self._address, self._deadline.within(soap.BROKEN_SECONDS))
                yield from soap.check_broken(answer)
                yield soap.check_keep_alive(
                    connection, self._address, answer, self._deadline.within(soap.BROKEN_SECONDS)
                )
        except Failure as failure:
            change = _ADVICE[failure.kind]
            if failure.kind is Kind.ALERT:
                change = f"let {self._caller} in: trust the CA of its certificate"
            elif failure.kind is Kind.CLOSED:
                change += f"; does it accept the certificate of {self._caller}?"
            yield fail("post", str(failure), change)
            return
        if self._target.is_platform and self._target.contract is None:
            yield skipped("wsdl", "a platform has one for each contract: give --contract")
            yield skipped("call", "give --contract and --to to have it called")
            return
        finding, self._wsdl = soap.check_wsdl(self._open, self._address, self._target.contract, self._deadline)
        yield finding
        yield from self._contract()

    def _contract(self) -> Iterator[Finding]:
        """The contract's sample, by each profile until one is answered, and then a request that breaks it."""
        target, contract = self._target, self._target.contract
        if contract is None or target.logical_address is None:
            yield skipped("call", "give --contract and --to to have it called")
            return
        if not soap.is_reading(contract) and not target.allow_writes:
            yield skipped("call", f"{contract.short_name} may change something: --allow-writes calls it all the same")
            return
        profiles = (target.profile,) if target.profile else (Profile.RIVTABP21, Profile.RIVTABP20)
        question = Question(contract, target.logical_address)
        first: list[Finding] = []
        for profile in profiles:
            findings = list(self._called(question, profile))
            if findings and findings[0].grade is Grade.OK:
                self._answered = profile
                if first:
                    seen = f"only {profile.value} is answered, {profiles[0].value} is not"
                    yield warn("profile", seen, f"have the producer address in the tables say {profile.value}")
                yield from findings
                if soap.is_reading(contract):
                    yield from self._called_brokenly(question, profile)
                return
            first = first or findings
            if not self._said_something:
                break  # the other profile would get no answer either
        yield from first

    def _called(self, question: Question, profile: Profile) -> Iterator[Finding]:
        step = f"{question.contract.short_name} {profile.value}"
        began = time.monotonic()
        try:
            with self._open() as connection:
                seconds = self._deadline.within(soap.ANSWER_SECONDS)
                answer = soap.call(connection, self._address, question, profile, seconds=seconds)
        except Failure as failure:
            yield fail(step, str(failure), _ADVICE[failure.kind])
            return
        except FileNotFoundError as error:
            yield skipped(step, str(error))
            return
        self._said_something = True
        taken = (time.monotonic() - began) * 1000
        yield from soap.check_answer(answer, question, profile, Validators(self._contracts), taken_ms=taken)

    def _called_brokenly(self, question: Question, profile: Profile) -> Iterator[Finding]:
        try:
            with self._open() as connection:
                seconds = self._deadline.within(soap.BROKEN_SECONDS)
                yield soap.check_schema_fault(
                    soap.call_broken(connection, self._address, question, profile, seconds=seconds)
                )
        except Failure as failure:
            yield warn("broken request", str(failure), "answer with a SOAP fault and HTTP 500")
