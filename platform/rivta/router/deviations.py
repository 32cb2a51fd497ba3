"""Every difference from the incumbent router that somebody can notice: what it does, what we do, why, and the switch.

The one place that defines them: the settings' sections `compat` and `insecure` and the page `docs/deviations.md` are
made from it. `compat` brings back what the incumbent does on the wire; what weakens security is never part of it and
has a switch in `insecure`, by its own name.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum


@dataclass(frozen=True, slots=True)
class Compat:
    """Which of the incumbent's ways on the wire are brought back."""

    schemas_not_checked: bool = False
    head_only: bool = False
    soap_12: bool = False
    mtom_attachments_dropped: bool = False
    content_type_before_declaration: bool = False
    declaration_kept: bool = False
    long_addresses: bool = False
    loops_on_http_only: bool = False
    correlation_stays: bool = False
    query_passed_on: bool = False
    producers_unlimited: bool = False
    whole_namespace_translated: bool = False
    empty_is_fault: bool = False
    empty_fault_without_type: bool = False
    faults_without_code: bool = False
    server_of_producer: bool = False
    plain_errors_empty: bool = False
    status_pages: bool = False

    @classmethod
    def vp(cls) -> Compat:
        """All of them: `compat = "vp"`."""
        return cls(**{one.name: True for one in fields(cls)})


@dataclass(frozen=True, slots=True)
class Insecure:
    """Which protections are switched off."""

    trusted_headers: bool = False
    header_certificate_unchecked: bool = False
    original_consumer_unchecked: bool = False
    hostname_unchecked: bool = False
    old_tls: bool = False
    overdue_crl_accepted: bool = False
    resend_after_reset: bool = False

    def switched_on(self) -> list[str]:
        """Names of the switches that are on."""
        return [one.name for one in fields(self) if getattr(self, one.name)]


class Part(Enum):
    """What a deviation is about: the headings of the page."""

    MESSAGE = "What a message may be"
    CALLER = "Who calls"
    WAY = "On the way"
    BACK = "What comes back"
    OPERATING = "Operating"


@dataclass(frozen=True, slots=True)
class Deviation:
    """One difference. Texts are Markdown, each a cell of a table."""

    part: Part
    about: str
    incumbent: str
    here: str
    why: str
    switch: str = ""
    """Key that brings the incumbent's way back, as `compat.head_only`; empty when there is none."""


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        Part.MESSAGE,
        "Schema of a request",
        "not checked",
        'checked; VP015 with line, path and reason. `validation.request = "report"` or `"off"` passes it on',
        "a wrong message is found by who made it",
        switch="compat.schemas_not_checked",
    ),
    Deviation(
        Part.MESSAGE,
        "Schema of an answer",
        "not checked",
        "checked and logged, passed on (`validation.response`)",
        "the producer's mistake is seen, the consumer is not hurt",
        switch="compat.schemas_not_checked",
    ),
    Deviation(
        Part.MESSAGE,
        "Malformed XML behind the first element of the body",
        "not noticed, forwarded",
        "VP015",
        "the whole message is read",
        switch="compat.head_only",
    ),
    Deviation(
        Part.MESSAGE,
        "DOCTYPE",
        "not expanded",
        "VP015",
        "SOAP 1.1 forbids it; it is a way to attack",
    ),
    Deviation(
        Part.MESSAGE,
        "Depth, attributes, size of the tree",
        "no limit",
        "200 levels, 256 attributes on an element, 2,000,000 tags and attributes in all: VP015",
        "memory",
    ),
    Deviation(
        Part.MESSAGE,
        "SOAP 1.2 envelope",
        "accepted by its local names",
        "VP015",
        "no RIV-TA profile has it",
        switch="compat.soap_12",
    ),
    Deviation(
        Part.MESSAGE,
        "Address with a comment or an element in it, or inside another header entry",
        "read, comments too",
        "VP015",
        "a producer would read another one",
    ),
    Deviation(
        Part.MESSAGE,
        "MTOM/XOP",
        "envelope taken out, attachments lost",
        "VP015; not there yet",
        "",
        switch="compat.mtom_attachments_dropped",
    ),
    Deviation(
        Part.MESSAGE,
        "gzip request",
        "not unpacked",
        "unpacked, within the size limit",
        "clients offer it",
    ),
    Deviation(
        Part.MESSAGE,
        "Longest message",
        "15 MB",
        "50 MB (`limits.max_body_bytes`)",
        "contracts with attachments",
    ),
    Deviation(
        Part.MESSAGE,
        '`encoding="UTF-8"` in the document, another charset in the Content-Type',
        "the Content-Type is believed",
        "the document is, if its bytes are UTF-8",
        "many HTTP libraries write ISO-8859-1 whatever they send",
        switch="compat.content_type_before_declaration",
    ),
    Deviation(
        Part.MESSAGE,
        "Request in another charset",
        "answer is put back into that charset, its declaration kept",
        "the same, and the declaration says what the bytes are; US-ASCII counts as UTF-8, faults of the "
        "platform are UTF-8",
        "a reader believes the declaration",
        switch="compat.declaration_kept",
    ),
    Deviation(
        Part.MESSAGE,
        "Two bodies or headers, two elements in the body, two addresses of one kind that differ",
        "the first or the last is taken",
        "VP015",
        "what was permitted must be what is read",
    ),
    Deviation(
        Part.MESSAGE,
        "Logical address or contract of more than 500 characters",
        "looked up",
        "VP004 without looking",
        "",
        switch="compat.long_addresses",
    ),
    Deviation(
        Part.CALLER,
        "Plain http listener, with sender headers and an IP whitelist of prefixes",
        "on",
        "none; VP011 cannot occur",
        "a header proves nothing: [decision 005](decisions/005-no-plain-http.md)",
        switch="insecure.trusted_headers",
    ),
    Deviation(
        Part.CALLER,
        "Client certificate",
        "trusted until it expires, by the trust store alone",
        "revocation and expiry looked at in each call, also on open connections",
        "a revoked certificate ends",
    ),
    Deviation(
        Part.CALLER,
        "TLS",
        "1.0 to 1.2",
        "1.2 with ECDHE and AEAD, and 1.3",
        "the older ones are broken",
        switch="insecure.old_tls",
    ),
    Deviation(
        Part.CALLER,
        "Refused handshake",
        "connection cut",
        "an alert says why: [decision 004](decisions/004-alerts.md)",
        "a tester sees the reason",
    ),
    Deviation(
        Part.CALLER,
        "`x-rivta-original-serviceconsumer-hsaid` from a sender that is not listed",
        "an empty list allows all; others are logged and passed on",
        "VP013, unless it names the sender itself",
        "one may speak for oneself only",
        switch="insecure.original_consumer_unchecked",
    ),
    Deviation(
        Part.CALLER,
        "The same header, empty",
        "VP013 too",
        "taken as not sent",
        "it names nobody",
    ),
    Deviation(
        Part.CALLER,
        "`x-vp-instance-id` from a consumer",
        "switches that check off",
        "without effect",
        "the same",
    ),
    Deviation(
        Part.CALLER,
        "After VP002",
        "connection stays",
        "connection is closed",
        "the sender cannot be known later either",
    ),
    Deviation(
        Part.CALLER,
        "Certificate in a header, from a proxy in front",
        "taken as it is: neither its validity nor its chain is looked at",
        "verified as a handshake would: chain, validity, purpose, revocation; else VP002",
        "whoever can reach the listener can write a certificate",
        switch="insecure.header_certificate_unchecked",
    ),
    Deviation(
        Part.CALLER,
        "Revocation list that is overdue or cannot be read",
        "there are none",
        "new calls with certificates of that authority are VP002, and the platform's readiness says so",
        "a list that is kept from us must not bring a revoked certificate back",
        switch="insecure.overdue_crl_accepted",
    ),
    Deviation(
        Part.WAY,
        "Loops (VP014)",
        "found on http only",
        "found on https too, by `x-rivta-routing-history`",
        "that is where calls are",
        switch="compat.loops_on_http_only",
    ),
    Deviation(
        Part.WAY,
        "`x-skltp-correlation-id` to https producers",
        "dropped, unless set",
        "passed to components marked `platform: true`",
        "one trace over both hops",
        switch="compat.correlation_stays",
    ),
    Deviation(
        Part.WAY,
        "Headers in which proxies hand on a client's identity (`x-fk-auth-cert`, `Client-Cert`, "
        "`X-SSL-Client-*`, `Forwarded`, ...)",
        "passed to the producer",
        "filtered",
        "a platform there would believe them",
    ),
    Deviation(
        Part.WAY,
        "Headers that `Connection` names",
        "passed on",
        "stay on their hop",
        "RFC 9110",
    ),
    Deviation(
        Part.WAY,
        "Correlation id that no header can hold (control characters)",
        "passed on",
        "replaced by a new one",
        "it would split the header",
    ),
    Deviation(
        Part.WAY,
        "Headers with underscores (`x_vp_sender_id`)",
        "passed on",
        "filtered as with hyphens",
        "proxies read them as the same",
    ),
    Deviation(
        Part.WAY,
        "Query string of the incoming URL",
        "becomes headers, and replaces the route's own",
        "without effect",
        "the route decides the URL",
        switch="compat.query_passed_on",
    ),
    Deviation(
        Part.WAY,
        "Producer's host name",
        "not verified",
        "verified",
        "otherwise any trusted certificate will do",
        switch="insecure.hostname_unchecked",
    ),
    Deviation(
        Part.WAY,
        "Retry",
        "after refused connection, connect timeout and reset",
        "after the first two only, when no byte has been sent",
        "nothing is done twice; all tries share the time for the answer",
        switch="insecure.resend_after_reset",
    ),
    Deviation(
        Part.WAY,
        "Calls under way to one producer",
        "no limit",
        "64, and 1000 to a platform (`limits`); then VP009 at once",
        "one slow producer must not take all",
        switch="compat.producers_unlimited",
    ),
    Deviation(
        Part.WAY,
        "Timeout",
        "29 s everywhere",
        "25 s at the region, 27 s at the national platform of the pair",
        "the fault names the hop",
    ),
    Deviation(
        Part.WAY,
        "Translation between profiles",
        "all WS-Addressing headers are moved, CDATA and instructions dropped",
        "only the address is",
        "the rest keeps its meaning",
        switch="compat.whole_namespace_translated",
    ),
    Deviation(
        Part.BACK,
        "Empty 202 or 204",
        "VP009",
        "passed on",
        "it is the answer to a one-way message",
        switch="compat.empty_is_fault",
    ),
    Deviation(
        Part.BACK,
        "Producer hangs up without answer",
        "a fault without code",
        "VP009",
        "it is trouble with the producer",
        switch="compat.faults_without_code",
    ),
    Deviation(
        Part.BACK,
        "Answer longer than the limit",
        "a fault without code",
        "VP009",
        "it is trouble with the producer",
        switch="compat.faults_without_code",
    ),
    Deviation(
        Part.BACK,
        "gzip answer that nobody asked for",
        "relayed",
        "unpacked, checked and relayed plain",
        "it could not be checked",
    ),
    Deviation(
        Part.BACK,
        "Fault for an empty 200",
        "without Content-Type",
        "with it",
        "",
        switch="compat.empty_fault_without_type",
    ),
    Deviation(
        Part.BACK,
        "Unexpected error",
        "Java's class and message",
        "`Internal error in the service platform`, with the correlation id to look for",
        "nothing internal leaks",
    ),
    Deviation(
        Part.BACK,
        "HTTP errors below SOAP",
        "400, 413 with empty body",
        "400, 408, 413, 415, 503 with a line of text",
        "it says what to do",
        switch="compat.plain_errors_empty",
    ),
    Deviation(
        Part.BACK,
        "`HEAD`, `CONNECT`",
        "carried",
        "405",
        "they can carry no message",
    ),
    Deviation(
        Part.BACK,
        "`Server` header",
        "the producer's",
        "`rivta`",
        "",
        switch="compat.server_of_producer",
    ),
    Deviation(
        Part.BACK,
        "WSDL",
        "also by a header named `wsdl` or `xsd`; request headers come back; addresses by `X-VP-Forwarded-*`",
        "by `?wsdl` and `?xsd=`; addresses by `listen.url`; behind mutual TLS",
        "",
    ),
    Deviation(
        Part.OPERATING,
        "Tables",
        "loaded by a reset call; routes and permissions switch one after the other",
        "published; switched as one, within a second",
        "no call sees half a table",
    ),
    Deviation(
        Part.OPERATING,
        "Before the first table",
        "VP008",
        "the listener opens when there is one",
        "",
    ),
    Deviation(
        Part.OPERATING,
        "Overlapping routes",
        "VP006 when called",
        "an error when published, and VP006 where it gets through",
        "found in advance",
    ),
    Deviation(
        Part.OPERATING,
        "Validity",
        "instants, as the catalogue writes them",
        "whole days in Swedish time, both inclusive, unless a time is written",
        "that is what is meant",
    ),
    Deviation(
        Part.OPERATING,
        "Reset and status",
        "open to anyone",
        "admin API with a token, on the loopback",
        "",
        switch="compat.status_pages",
    ),
    Deviation(
        Part.OPERATING,
        "Logs",
        "payload on by default; legacy or ECS",
        "ECS; never a payload",
        "patient data",
    ),
)
