"""Who calls: from the connection's certificate, as TLS has proved it; from the certificate that a named proxy hands on;
or, on the plain http listener and only with `insecure.trusted_headers`, from headers, by the incumbent's rule.

Headers that could name a sender are never looked at on a connection of anybody else. Where one is, it stands there
once and spelled as configured, or nobody is identified: what two readers of a request could take for two different
headers must not be believed by either.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Protocol

from rivta.router.headers import INSTANCE_ID, SENDER_ID
from rivta.router.messages import Request
from rivta.router.policy import PlainHttp, Policy
from rivta.soap.faults import Fault, Refused
from rivta.soap.identifiers import HsaId
from rivta.tls.header_certificate import BadHeaderCertificate, Flaw, HeaderCertificates
from rivta.tls.sender import Sender

_SOCKET_ADDRESS = "CamelNettyRemoteAddress"
"""The incumbent's name for the address of the peer, in the detail of VP011."""
_LONGEST_ID = 500
_LONGEST_ADDRESS = 200
_BLANKS = " \t"

_DETAILS = {
    Flaw.UNKNOWN_FORM: "Exception, unkown certificate type found in httpheader {header}",
    Flaw.UNREADABLE: "Exception occured parsing certificate in httpheader {header}",
    Flaw.SEVERAL: "More than one certificate found in httpheader {header}",
    Flaw.NO_SENDER_ID: "No senderId found in Certificate",
    Flaw.NOT_TRUSTED: "The certificate in httpheader {header} is not trusted: {reason}",
}
"""The first, second and fourth as the incumbent spells them."""


class Way(Enum):
    """How a caller was identified."""

    CERTIFICATE = "certificate"
    """Its own, of the connection."""
    PROXY = "proxy"
    """The one that a named proxy handed on."""
    HTTP_CERTIFICATE = "http certificate"
    """The one in a header on plain http."""
    HTTP_INTERNAL = "http internal"
    """The word of a component of this very platform, on plain http."""
    INSIDE = "inside"
    """The worker itself calls, for a sender that it has identified before, or for its platform."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request."""

    hsa_id: str
    way: Way
    address: str
    """Its IP address, as far as it is known: behind a proxy, what that says."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What is known of certificates that their authorities have taken back."""

    is_revoked: Callable[[Sender], bool]
    doubt: Callable[[Sender], str]
    """Why it cannot be told; empty when it can."""


class Identify(Protocol):
    """Who sent a request. Raises Refused (VP002; VP011 on plain http)."""

    def __call__(self, request: Request, *, now: datetime) -> Caller: ...


def identify(
    request: Request, *, policy: Policy, certificates: HeaderCertificates, withdrawn: Withdrawn, now: datetime
) -> Caller:
    """As `Identify`.

    Revocation and expiry are looked at in each call, so that a resumed or long-lived connection ends with its
    certificate.
    """
    peer = request.peer
    if peer.inside is not None:
        return Caller(peer.inside, Way.INSIDE, peer.address)
    if peer.plain:
        return _on_plain_http(request, policy, certificates, withdrawn, now)
    if peer.sender is None:
        raise Refused(Fault.NO_SENDER, detail=peer.problem)
    _check_in_force(peer.sender, withdrawn, now)
    header = policy.proxies.get(HsaId(peer.sender.hsa_id)) if policy.proxies else None
    if header is None:
        return Caller(peer.sender.hsa_id, Way.CERTIFICATE, peer.address)
    value = _certificate_in(request, header)
    sender = _sender_of(value, header, policy, certificates, now, may_be_escaped=True)
    if not policy.insecure.header_certificate_unchecked:
        _check_in_force(sender, withdrawn, now)
    return Caller(sender.hsa_id, Way.PROXY, _forwarded_address(request, policy.plain_http))


def _check_in_force(sender: Sender, withdrawn: Withdrawn, now: datetime) -> None:
    if withdrawn.is_revoked(sender):
        raise Refused(Fault.NO_SENDER, detail=f"The client certificate of {sender.hsa_id} is revoked")
    if sender.is_expired(now):
        raise Refused(Fault.NO_SENDER, detail=f"The client certificate of {sender.hsa_id} has expired")
    if words := withdrawn.doubt(sender):
        raise Refused(
            Fault.NO_SENDER,
            detail=f"It cannot be told whether the client certificate of {sender.hsa_id} is revoked: {words}",
        )


def _sender_of(
    value: str,
    header: str,
    policy: Policy,
    certificates: HeaderCertificates,
    now: datetime,
    *,
    may_be_escaped: bool = False,
) -> Sender:
    try:
        sender = certificates.sender(value, now=now, may_be_escaped=may_be_escaped)
    except BadHeaderCertificate as error:
        raise Refused(Fault.NO_SENDER, detail=_DETAILS[error.flaw].format(header=header, reason=error)) from error
    if sender.hsa_id in policy.proxies:
        raise Refused(
            Fault.NO_SENDER,
            detail=f"The certificate in httpheader {header} is of a proxy, which calls for others only",
        )
    return sender


def _on_plain_http(
    request: Request, policy: Policy, certificates: HeaderCertificates, withdrawn: Withdrawn, now: datetime
) -> Caller:
    """The incumbent's rule for its http listener."""
    trusted, address = policy.plain_http, request.peer.address
    if not policy.insecure.trusted_headers or not _is_whitelisted(address, trusted):
        raise Refused(Fault.NOT_WHITELISTED, address=address, header=_SOCKET_ADDRESS)
    if _says_it_is_internal(request, policy):
        return _internal_caller(request, policy)
    header = trusted.certificate_header
    sender = _sender_of(_certificate_in(request, header), header, policy, certificates, now)
    if not policy.insecure.header_certificate_unchecked:
        _check_in_force(sender, withdrawn, now)
    return Caller(sender.hsa_id, Way.HTTP_CERTIFICATE, _forwarded_address(request, trusted))


def _says_it_is_internal(request: Request, policy: Policy) -> bool:
    instances = {value for _, value in _look_alikes(request, INSTANCE_ID)}
    return policy.platform in instances and bool(_look_alikes(request, SENDER_ID))


def _internal_caller(request: Request, policy: Policy) -> Caller:
    trusted = policy.plain_http
    forwarded = ", ".join(value for _, value in _look_alikes(request, trusted.forwarded_for_header))
    if _look_alikes(request, trusted.forwarded_for_header) and not all(
        _is_whitelisted(_without_port(hop.strip(_BLANKS)), trusted) for hop in forwarded.split(",")
    ):
        raise Refused(Fault.NOT_WHITELISTED, address=forwarded[:_LONGEST_ADDRESS], header=trusted.forwarded_for_header)
    _only(request, INSTANCE_ID)
    hsa_id = _only(request, SENDER_ID)
    if not hsa_id or len(hsa_id) > _LONGEST_ID or not hsa_id.isprintable() or hsa_id != hsa_id.strip():
        raise Refused(Fault.NO_SENDER, detail=f"No senderId found in httpheader {SENDER_ID}")
    return Caller(hsa_id, Way.HTTP_INTERNAL, _forwarded_address(request, trusted))


def _certificate_in(request: Request, header: str) -> str:
    value = _only(request, header)
    if value is None:
        raise Refused(Fault.NO_SENDER, detail=f"No certificate found in httpheader {header}")
    return value


def _only(request: Request, name: str) -> str | None:
    """The value of the one header `name`; None without one. Raises Refused (VP002) when others read the same."""
    found = _look_alikes(request, name)
    if not found:
        return None
    if len(found) > 1 or found[0][0].lower() != name.lower() or not found[0][0].isascii():
        raise Refused(
            Fault.NO_SENDER,
            detail=f"The httpheader {name} must stand once, spelled so; {len(found)} could be taken for it",
        )
    return found[0][1]


def _look_alikes(request: Request, name: str) -> list[tuple[str, str]]:
    """The headers that some reader of a request might take for `name`, their values without the blanks around."""
    wanted = _letters(name)
    return [(key, value.strip(_BLANKS)) for key, value in request.headers if _letters(key) == wanted]


_NOT_A_LETTER = re.compile(r"[^0-9a-z]+")


@lru_cache(maxsize=1024)
def _letters(name: str) -> str:
    """What is left of a header's name when case, separators and letters that look alike do not count."""
    return _NOT_A_LETTER.sub("", unicodedata.normalize("NFKC", name).casefold())


def _is_whitelisted(address: str, trusted: PlainHttp) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in trusted.whitelist)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address without its zone; IPv4 in the form of IPv6 is IPv4. None when it is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, ipaddress.IPv6Address) else parsed


_WITH_PORT = re.compile(r"\[([0-9a-fA-F:.]+)\](?::\d{1,5})?|([0-9.]+):\d{1,5}", re.ASCII)


def _without_port(hop: str) -> str:
    """One address of a forwarded-for header, which some proxies write with the client's port."""
    found = _WITH_PORT.fullmatch(hop)
    return hop if found is None else found[1] or found[2]


def _forwarded_address(request: Request, trusted: PlainHttp) -> str:
    """What the proxy says of the address that its client has, for the log; the peer's own when it says nothing."""
    said = ", ".join(value for _, value in _look_alikes(request, trusted.forwarded_for_header))
    return said if said and len(said) <= _LONGEST_ADDRESS and said.isprintable() else request.peer.address
