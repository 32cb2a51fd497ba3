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
    cut_answers_relayed: bool = False
    empty_fault_without_type: bool = False
    faults_without_code: bool = False
    server_of_producer: bool = False
    cookies_relayed: bool = False
    plain_errors_empty: bool = False
    status_pages: bool = False
    aggregate_by_original_consumer: bool = False
    aggregate_without_climb: bool = False
    aggregate_source_unchecked: bool = False

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
    AGGREGATES = "Aggregates"
    INDEX = "The engagement index"
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
        "VP015; with the switch it is forwarded, and no schema is checked",
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
        "Depth, attributes, namespaces, size of the tree",
        "no limit",
        "200 levels, 256 attributes on an element, 1,000 namespaces in force in one place, 2,000,000 tags and "
        "attributes in all: VP015",
        "memory and time",
    ),
    Deviation(
        Part.MESSAGE,
        "SOAP 1.2 envelope",
        "accepted by its local names",
        "VP015, which says what to send",
        "no RIV-TA profile has it",
        switch="compat.soap_12",
    ),
    Deviation(
        Part.MESSAGE,
        "Envelope, header or body of another namespace than SOAP's",
        "accepted by its local name",
        "VP015",
        "a producer would not find it, or find another",
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
        "the message with its attachments in it as base64 (XOP 1.0 section 3.2); VP015 for a package that is broken, "
        "has an attachment that the message does not include, or is longer than `limits.max_body_bytes` when written "
        "out",
        "nothing is lost",
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
        "Longest head of a request",
        "8,192 bytes, and 4,096 for its first line",
        "65,536 and 8,192 (`limits.max_header_bytes`, `max_target_bytes`)",
        "proxies hand on chains of certificates",
    ),
    Deviation(
        Part.MESSAGE,
        "Request whose end, or whose host, can be read in two ways: two lengths, a length with chunks, a folded "
        "header, a bare line feed, a host in its first line that is not `Host`, ...",
        "as its HTTP library takes it",
        "400, and the connection ends",
        "a second request could hide in it",
    ),
    Deviation(
        Part.MESSAGE,
        "`Content-Type` or `User-Agent` twice",
        "as its HTTP library takes it",
        "400",
        "the same",
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
        "the same, and the declaration says what the bytes are",
        "a reader believes the declaration",
        switch="compat.declaration_kept",
    ),
    Deviation(
        Part.MESSAGE,
        "Request in US-ASCII",
        "answer is put into US-ASCII",
        "answer is UTF-8, and says so",
        "US-ASCII is UTF-8, and lacks the letters of the answer",
    ),
    Deviation(
        Part.MESSAGE,
        "UTF-8 that calls itself something else in its declaration",
        "forwarded as it is",
        "forwarded with a declaration that is true",
        "the producer believes the declaration",
        switch="compat.declaration_kept",
    ),
    Deviation(
        Part.MESSAGE,
        "Charsets that are read",
        "those of Java",
        "UTF-8, UTF-16, UTF-32, US-ASCII, ISO-8859, Windows-125x, DOS 437, 850, 858 and 865, Macintosh, KOI8; what "
        "names another one is read, and forwarded, as UTF-8 or is VP015",
        "in UTF-7 or EBCDIC a text may be a tag",
    ),
    Deviation(
        Part.MESSAGE,
        "Two bodies or headers, two elements in the body, two addresses that differ where a producer may read either",
        "the first or the last is taken",
        "VP015",
        "what was permitted must be what is read",
    ),
    Deviation(
        Part.MESSAGE,
        "Logical address or contract of more than 500 characters",
        "looked up",
        "VP004 without looking; with the switch from 4,000 characters on",
        "time and memory",
        switch="compat.long_addresses",
    ),
    Deviation(
        Part.CALLER,
        "Plain http: sender headers and certificate headers from addresses in a whitelist",
        "believed",
        "no listener; with `listen.http` one that serves WSDLs and refuses every call (VP011)",
        "a header proves nothing: [decision 006](decisions/006-plain-http-behind-a-switch.md)",
        switch="insecure.trusted_headers",
    ),
    Deviation(
        Part.CALLER,
        "That whitelist",
        "beginnings of addresses, as text; of a list of forwarding proxies the first counts",
        "addresses and networks; each in the list has to be there",
        "`10.0.0.1` also let `10.0.0.17` in",
    ),
    Deviation(
        Part.CALLER,
        "A header that names the sender (certificate, `x-vp-sender-id`) twice, or spelled otherwise (`x_vp_auth_cert`)",
        "one of them is taken",
        "VP002",
        "a proxy and a platform may read different ones",
    ),
    Deviation(
        Part.CALLER,
        "Certificate header with several certificates",
        "the first is taken",
        "the first is, if the others are authorities; else VP002",
        "a client's own header may have been joined with the proxy's",
    ),
    Deviation(
        Part.CALLER,
        "Certificate header escaped as in a URL",
        "VP002",
        "read, from a proxy named in `proxies`",
        "nginx and AWS write it so",
    ),
    Deviation(
        Part.CALLER,
        "HSA-id in a certificate's subject",
        "the first match of a pattern in the subject's text, up to a comma",
        "the subject's one serialNumber, whole; VP002 for two, and for one with blanks around it",
        "a name that holds `SERIALNUMBER=` could pass for another system",
    ),
    Deviation(
        Part.CALLER,
        "HSA-id with other letters than ASCII, in a subject printed as `2.5.4.5=#...`",
        "a fault without code, VP002 behind a proxy",
        "read, in every string type",
        "it is a good certificate",
    ),
    Deviation(
        Part.CALLER,
        "Client certificate",
        "trusted until it expires, by the trust store alone",
        "revocation and expiry looked at in each call, also on open and resumed connections, which a new list cuts",
        "a revoked certificate ends",
    ),
    Deviation(
        Part.CALLER,
        "TLS",
        "1.0 to 1.2 with any cipher that Java has, short keys and SHA-1",
        "1.2 with ECDHE and AEAD, and 1.3; RSA from 2048 bits, SHA-256",
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
        "The same header twice, with different values",
        "one of them is taken",
        "VP013",
        "it is said of one only",
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
        "Slow or silent connection",
        "kept",
        "ends when a handshake, a head or a portion of a body takes over 10 s, when nothing of an answer is read for "
        "30 s, and 75 s after the last call (`limits`)",
        "it would take the place of others",
    ),
    Deviation(
        Part.CALLER,
        "Number of connections",
        "no limit",
        "10,000, and 1,000 of one sender (`limits`): then 503, or closed at once",
        "one must not shut out the others",
    ),
    Deviation(
        Part.CALLER,
        "Long messages that are held at a time",
        "no limit",
        "1 GB, three quarters of it for one sender (`limits.held_bytes`): then 503, or VP009 where it is the "
        "producer's answer",
        "memory",
    ),
    Deviation(
        Part.CALLER,
        "After VP002",
        "connection stays",
        "connection is closed, unless it is a proxy's",
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
        "Revocation list that is overdue, or missing since the start",
        "there are none",
        "calls with certificates of that authority are VP002, and the platform's readiness says so; a damaged or older "
        "list leaves the last good one in force",
        "a list that is kept from us must not bring a revoked certificate back: "
        "[decision 009](decisions/009-revocation-lists.md)",
        switch="insecure.overdue_crl_accepted",
    ),
    Deviation(
        Part.WAY,
        "Loops (VP014), by `x-rivta-routing-history`",
        "looked for behind a proxy only; a platform's second visit is one, before the message is read",
        "looked for on https too; going the same way to a platform (`platform: true`) again is one, told after the "
        "route is found; so is a third visit",
        "a service may call back through the platforms that its call came by: "
        "[decision 007](decisions/007-loops-and-round-trips.md)",
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
        "Correlation id that no header can hold (control characters), or of more than 500 characters",
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
        "replaces the one in the route's URL",
        "without effect",
        "the route decides the URL",
        switch="compat.query_passed_on",
    ),
    Deviation(
        Part.WAY,
        "Parameters in it",
        "become headers to the producer",
        "do not",
        "headers are what a consumer sends as such",
    ),
    Deviation(
        Part.WAY,
        "Headers that the filters keep (`headers.request_keep`, `response_keep`)",
        "any",
        "any but those of one connection and those that tell who calls",
        "no setting may hand on a forged identity",
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
        "Suffix of a host, by which a TLS identity is chosen (`tls.targets`)",
        "end of the host, as text",
        "whole labels",
        "`example.se` would be `evilexample.se` too",
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
        "How often that is done",
        "as often as set, without end if negative",
        "at most ten times (`retry.attempts`), within the time for the answer",
        "the caller waits meanwhile",
    ),
    Deviation(
        Part.WAY,
        "Calls under way to one producer",
        "no limit",
        "64, and 1000 to a platform (`limits`), of which one sender that is no platform itself leaves an eighth to the "
        "others; then VP009 at once",
        "one slow producer must not take all",
        switch="compat.producers_unlimited",
    ),
    Deviation(
        Part.WAY,
        "Producer that does not answer, or cannot be connected to",
        "asked each time",
        "after five such calls within 30 s not asked for 10 s (`breaker`): VP009 at once, with since when and why",
        "nobody waits in vain: [decision 008](decisions/008-breaker.md)",
        switch="compat.producers_unlimited",
    ),
    Deviation(
        Part.WAY,
        "Producer's certificate",
        "trusted until it expires",
        "looked up in the revocation lists when a connection is made, and when a list is new",
        "a revoked certificate ends",
    ),
    Deviation(
        Part.WAY,
        "Timeout",
        "29 s everywhere",
        "25 s at the region, 27 s at the national platform of the pair; behind the incumbent's words the fault says "
        "which platform waited and how long",
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
        Part.WAY,
        "An address entry of the producer's profile beside the one that counts, when translated",
        "left in the message",
        "removed",
        "the producer must not read another address than the permitted one",
    ),
    Deviation(
        Part.BACK,
        "Answer that is not UTF-8",
        "called UTF-8, its bytes left",
        "put into UTF-8, or into the consumer's charset",
        "it would be read wrongly",
        switch="compat.declaration_kept",
    ),
    Deviation(
        Part.BACK,
        "Answer with attachments beside it (MTOM)",
        "called `text/xml`, its bytes left",
        "the message with its attachments in it as base64, if the package is whole",
        "nobody can read the other",
        switch="compat.mtom_attachments_dropped",
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
        "Answer that ends before its announced length",
        "relayed as far as it came",
        "VP009",
        "half a journal must not look like a whole one",
        switch="compat.cut_answers_relayed",
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
        "400, 408, 413, 415, 417, 503, 505 with a line of text",
        "it says what to do",
        switch="compat.plain_errors_empty",
    ),
    Deviation(
        Part.BACK,
        "`HEAD` (but for a WSDL), `CONNECT`",
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
        "`Set-Cookie` of a producer, `Cookie` of a consumer",
        "passed on",
        "end here",
        "a cookie is for who is at the other end of a connection; with connections that all consumers share, and all "
        "producers under one name, one would get another's session",
        switch="compat.cookies_relayed",
    ),
    Deviation(
        Part.BACK,
        "WSDL",
        "the request's own headers come back with it; whatever stands in `X-VP-Forwarded-*` is put into its addresses",
        "they do not; what could not stand in a URL counts as not sent",
        "nobody else's words in a document of the platform",
    ),
    Deviation(
        Part.BACK,
        "Addresses in a WSDL that is fetched on plain http",
        "the http listener's",
        "the https listener's (`listen.url`)",
        "that is where to call",
    ),
    Deviation(
        Part.AGGREGATES,
        "Whose permission counts for a source",
        "the sender's, or that of the original consumer in its header",
        "the sender's",
        "a header proves nothing, and the call to the source goes out in the sender's name",
        switch="compat.aggregate_by_original_consumer",
    ),
    Deviation(
        Part.AGGREGATES,
        "Permission on a unit above a source, or for a source's address with a delimiter",
        "does not count: the source is left out, though a call to it is carried",
        "counts, as in a call to the source itself",
        "one decision for both",
        switch="compat.aggregate_without_climb",
    ),
    Deviation(
        Part.AGGREGATES,
        "Which of an engagement's two addresses needs a permission",
        "its logical address; a source system that may not be called is asked all the same, and is a failed source",
        "both; otherwise the source is left out",
        "one decision for both",
        switch="compat.aggregate_source_unchecked",
    ),
    Deviation(
        Part.AGGREGATES,
        "An engagement whose source system is, or leads to, the address of the aggregating service",
        "asked: a loop",
        "left out, as one with that logical address",
        "",
    ),
    Deviation(
        Part.AGGREGATES,
        "Time",
        "20 s for the index, and 28 s more for the sources",
        "28 s for both (`aggregation.deadline_seconds`)",
        "a consumer waits 30 s or so",
    ),
    Deviation(
        Part.AGGREGATES,
        "`SOAPAction` of the calls to sources",
        "that of the contract, or none",
        "that of the contract",
        "some producers choose their operation by it",
    ),
    Deviation(
        Part.AGGREGATES,
        "No catalogue",
        "an empty answer",
        "VP008",
        "no data and no knowledge are not the same",
    ),
    Deviation(
        Part.AGGREGATES,
        "`result` of GetLaboratoryOrderOutcome 3.1",
        "without `logId`",
        "with `logId` NA",
        "the contract's schema demands it",
    ),
    Deviation(
        Part.AGGREGATES,
        "A request with two patients",
        "the last one",
        "a fault",
        "its sources might read another one than the index was asked about",
    ),
    Deviation(
        Part.INDEX,
        "An Update that was answered OK",
        "queued; a crash may lose it, and it is found a second or more later",
        "stored, and its announcements queued, in one transaction",
        "OK means OK, and no test waits before it looks",
    ),
    Deviation(
        Part.INDEX,
        "An addition right after a deletion of the same row",
        "lost where both are taken together; a single row and a longer Update may overtake each other",
        "changes take effect in the order that they came in",
        "what was reported last is what is found",
    ),
    Deviation(
        Part.INDEX,
        "A notification that changes nothing",
        "passed on to every subscriber: in a ring of three indexes for ever",
        "passed on only where it changed something, or where it says which indexes have had it; never to one of those. "
        "That path is an extension element, which others ignore",
        "rings grow quiet",
    ),
    Deviation(
        Part.INDEX,
        "A notification that nobody takes",
        "tried five times, then in a queue of the broker",
        "tried twelve times within the hour (`index.attempts`), in order; then `rivta index dead` shows it, and sends "
        "it again as the rows are by then",
        "an operator can see it, and an old one overwrites nothing newer",
    ),
    Deviation(
        Part.INDEX,
        "The list of subscribers, when it cannot be read",
        "that of a file; without one empty, for two hours",
        "the last good one, from memory or disk, and the platform's readiness says so",
        "announcements must not stop in silence",
    ),
    Deviation(
        Part.INDEX,
        "A change without engagement, or whose `deleteFlag` is no boolean",
        "a fault of its language, or an addition",
        "EI001",
        "nothing is stored that nobody has said",
    ),
    Deviation(
        Part.INDEX,
        "Two rows whose keys are alike when put together",
        "the second takes the first one's place",
        "EI000, and the first stays",
        "the id has nothing between its fields",
    ),
    Deviation(
        Part.INDEX,
        "GetUpdates",
        "a schema only",
        "answered, to whom the tables permit it: the persons who have changed, whole, a page at a time",
        "who keeps a copy can catch up",
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
        "whoever reaches a page without a token may use it: the switch opens the incumbent's, all at `listen.status`, "
        "without what only Java has",
        switch="compat.status_pages",
    ),
    Deviation(
        Part.OPERATING,
        "Logs",
        "payload on by default; legacy or ECS",
        "ECS; messages only where `call_log.payload` keeps them, apart, with personal numbers masked",
        "patient data",
    ),
    Deviation(
        Part.OPERATING,
        "Events of the ECS log",
        "with HTTP headers, those of proxies as labels, the thread, and the name of the TLS settings; handshakes and "
        "TLS settings are events (`skltp-tls`)",
        "without these; with the caller's certificate and TLS version instead",
        "they are made of the call log, which holds no headers",
    ),
)


def weakened_by(switch: str) -> str:
    """What a switch of `Insecure` that is on weakens, in one line."""
    ended = [one for one in DEVIATIONS if one.switch == f"insecure.{switch}"]
    return "; ".join(f"{one.about}: {one.incumbent}" for one in ended)
