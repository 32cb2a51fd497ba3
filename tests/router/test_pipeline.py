"""Calls through one platform without sockets: what is sent on, answered and recorded."""

import asyncio
import gc
import json
import logging
import re
import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from rivta.contracts.validation import Validators
from rivta.router import pipeline, schemas
from rivta.router.messages import Peer, ProducerAnswer, Trouble
from rivta.router.policy import Handling, Validation
from rivta.router.reading import read_head_of_answer, read_message
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.identifiers import Profile
from rivta.soap.xml import parse_xml
from tests.catalogue.tables import DIAGNOSIS, NOW
from tests.router.platforms import (
    CONSUMER,
    OTHER_PLATFORM,
    PATIENT,
    PLATFORM,
    PRODUCER_URL,
    Platforms,
    Sent,
    answering,
    failing,
    fault,
    header,
    invalid,
    misplaced,
    question,
    reply,
    request,
    sender,
)
from tests.support import until_true

UNKNOWN_CONTRACT = "urn:riv:test:GetNothingResponder:1"
ORIGINAL = "x-rivta-original-serviceconsumer-hsaid"
HISTORY = "x-rivta-routing-history"
CORRELATION = "x-skltp-correlation-id"
SOAP_FAULT = (
    f'<e:Envelope xmlns:e="{namespaces.SOAP_ENVELOPE}"><e:Body><e:Fault><faultcode>e:Server</faultcode>'
    "<faultstring>sorry</faultstring></e:Fault></e:Body></e:Envelope>"
).encode()


@pytest.fixture(scope="module")
def platforms(tmp_path_factory: pytest.TempPathFactory) -> Platforms:
    return Platforms(tmp_path_factory.mktemp("table"))


def of_contract(namespace: str, address: str = "SE1-UNIT") -> bytes:
    return question(address).replace(DIAGNOSIS.encode(), namespace.encode())


def without(element: str, message: bytes) -> bytes:
    """The message without one element, wherever it stands."""
    changed = re.sub(rb"<(\w+:)?%s\b.*?</(\w+:)?%s>" % (element.encode(), element.encode()), b"", message, flags=re.S)
    assert changed != message
    return changed


class TestAPermittedCall:
    async def test_reaches_the_producer_with_its_bytes_untouched(self, platforms):
        platform = platforms()
        body = question().replace(b"?>", b"?>\r\n<!-- \xc3\xa5 -->", 1) + b"\n \n"
        await platform.carry(request(body))
        assert platform.sent[0].body == body
        assert (platform.sent[0].method, platform.sent[0].target.url) == ("POST", PRODUCER_URL)

    async def test_is_answered_with_the_producers_bytes(self, platforms):
        body = reply() + b"\n\n"
        answer = await platforms(answering(body, status=201)).carry(request())
        assert (answer.status, answer.body, answer.close) == (201, body, False)

    async def test_keeps_the_consumers_correlation_id(self, platforms):
        answer = await platforms().carry(request(None, ("X-SKLTP-Correlation-Id", " abc ")))
        assert header(answer, CORRELATION) == "abc"

    @pytest.mark.parametrize("given", [None, "", "a\r\nSet-Cookie: x", "a\0b", "\udcff"])
    async def test_gets_a_new_correlation_id_where_there_is_none_that_a_header_can_hold(self, platforms, given):
        platform = platforms()
        answer = await platform.carry(request(None, *([(CORRELATION, given)] if given is not None else [])))
        made = header(answer, CORRELATION)
        assert str(uuid.UUID(made)) == made == platform.record.correlation_id

    async def test_tells_how_long_the_producer_took_and_overrides_what_the_producer_says(self, platforms):
        theirs = (("x-skltp-prt", "99"), (CORRELATION, "theirs"), ("Content-Type", "text/plain"), ("X-Else", "1"))
        answer = await platforms(answering(headers=theirs)).carry(request(None, (CORRELATION, "ours")))
        assert [value for name, value in answer.headers if name == "x-skltp-prt"] == ["0"]
        assert [value for name, value in answer.headers if name == CORRELATION] == ["ours"]
        assert header(answer, "Content-Type") == "text/xml; charset=UTF-8"
        assert header(answer, "X-Else") == "1"

    async def test_waits_for_the_producer_as_long_as_its_contract_says(self, platforms):
        platform = platforms(producer_seconds=5.0, producer_seconds_of={DIAGNOSIS: 7.0}, connect_seconds=1.5)
        await platform.carry(request())
        target = platform.sent[0].target
        assert (target.answer_seconds, target.connect_seconds) == (7.0, 1.5)

    async def test_leaves_a_record(self, platforms):
        platform = platforms()
        answer = await platform.carry(request(None, (CORRELATION, "abc")))
        record = platform.record
        assert (record.outcome, record.http_status, record.detail) == ("routed", 200, "")
        assert (record.platform, record.sender, record.correlation_id) == (PLATFORM, CONSUMER, "abc")
        assert (record.contract, record.logical_address) == (DIAGNOSIS, "SE1-UNIT")
        assert (record.profile_in, record.profile_out) == ("RIVTABP21", "RIVTABP21")
        assert (record.route_trace, record.permission_trace) == ("SE1-UNIT", "SE1-UNIT")
        assert (record.producer_url, record.publication, record.hsa_version) == (PRODUCER_URL, 7, 3)
        assert (record.bytes_in, record.bytes_out) == (len(question()), len(answer.body))
        assert record.time == NOW.isoformat(timespec="milliseconds")
        assert record.elapsed_ms >= record.producer_ms >= 0
        assert (record.original_consumer, record.violations) == (None, ())


class TestHeadersToTheProducer:
    async def test_are_ours_where_they_must_be_and_the_consumers_elsewhere(self, platforms):
        platform = platforms(user_agent="SKLTP VP/4.3.x")
        theirs = [
            ("User-Agent", "curl"),
            ("Content-Type", "application/xml"),
            ("Host", "national"),
            ("SOAPAction", '"a"'),
        ]
        await platform.carry(
            request(None, *theirs, ("x-rivta-acting-on-behalf-of-hsaid", "SE2"), ("X-B", "1"), ("X-B", "2"))
        )
        assert platform.sent[0].headers == (
            ("Host", "producer.test:8443"),
            ("User-Agent", "SKLTP VP/4.3.x"),
            ("Content-Type", "text/xml;charset=UTF-8"),
            (ORIGINAL, CONSUMER),
            (HISTORY, f"{CONSUMER}#{PLATFORM}"),
            ("SOAPAction", '"a"'),
            ("x-rivta-acting-on-behalf-of-hsaid", "SE2"),
            ("X-B", "1"),
            ("X-B", "2"),
        )

    @pytest.mark.parametrize(
        ("address", "settings", "shown"),
        [
            pytest.param("SE1-UNIT", {}, False, id="https"),
            pytest.param("SE1-UNIT", {"correlation_to_https": True}, True, id="https, as configured"),
            pytest.param("SE1-PLATFORM-BEHIND", {}, True, id="platform"),
            pytest.param("SE1-PLAIN", {}, True, id="http"),
            pytest.param("SE1-OWN", {}, True, id="own service"),
        ],
    )
    async def test_show_the_correlation_id_to_platforms_and_over_http_only(self, platforms, address, settings, shown):
        platform = platforms(**settings)
        await platform.carry(request(question(address), (CORRELATION, "abc")))
        assert platform.sent[0].values(CORRELATION) == (["abc"] if shown else [])

    async def test_name_the_sender_only_over_http_and_never_as_the_consumer_wrote_it(self, platforms):
        forged = [("x-vp-sender-id", "SE1-FORGED"), ("X_VP_Instance_Id", "SE1-FORGED")]
        platform = platforms()
        for address in ("SE1-UNIT", "SE1-PLAIN"):
            await platform.carry(request(question(address), *forged))
        https, http = platform.sent
        assert not any(name.lower().startswith(("x-vp", "x_vp")) for name, _ in https.headers)
        assert (http.values("x-vp-sender-id"), http.values("x-vp-instance-id")) == ([CONSUMER], [PLATFORM])
        assert http.values("x_vp_instance_id") == []

    async def test_carry_the_original_consumer_that_a_platform_names(self, platforms):
        platform = platforms()
        await platform.carry(request(None, (ORIGINAL, "SE1-NPO"), caller=sender(OTHER_PLATFORM)))
        assert platform.sent[0].values(ORIGINAL) == ["SE1-NPO"]
        assert platform.record.original_consumer == "SE1-NPO"

    async def test_carry_only_the_original_consumer_that_was_checked(self, platforms):
        """An underscore is a hyphen to some proxies."""
        platform = platforms()
        await platform.carry(request(None, (ORIGINAL, CONSUMER), (ORIGINAL.replace("-", "_"), "SE1-FORGED")))
        assert [value for name, value in platform.sent[0].headers if "original" in name.lower()] == [CONSUMER]

    async def test_extend_the_routing_history(self, platforms):
        platform = platforms()
        await platform.carry(request(None, (HISTORY, "SE1-A#SE1-B")))
        assert platform.sent[0].values(HISTORY) == [f"SE1-A#SE1-B#{PLATFORM}"]


class TestTheSender:
    async def test_is_nobody_without_a_certificate_that_names_one(self, platforms):
        peer = Peer("192.0.2.1", None, problem="No senderId found in Certificate: CN=x")
        platform = platforms()
        answer = await platform.carry(request(peer=peer))
        seen = fault(answer)
        assert (seen.code, seen.side, seen.detail) == ("VP002", "Client", peer.problem)
        assert answer.close
        assert (platform.record.outcome, platform.record.sender) == ("VP002", None)

    @pytest.mark.parametrize(
        "name", ["x-vp-sender-id", "x-vp-auth-cert", "X-Forwarded-Tls-Client-Cert", "x_vp_sender_id"]
    )
    async def test_is_never_who_a_header_says(self, platforms, name):
        peer = Peer("192.0.2.1", None, problem="No client certificate")
        answer = await platforms().carry(request(None, (name, CONSUMER), ("x-vp-instance-id", PLATFORM), peer=peer))
        assert fault(answer).code == "VP002"

    async def test_is_refused_when_revoked_and_the_connection_ends(self, platforms):
        answer = await platforms(revoked=True).carry(request())
        assert (fault(answer).code, answer.close) == ("VP002", True)
        assert fault(answer).detail == f"The client certificate of {CONSUMER} is revoked"

    async def test_is_refused_when_its_certificate_expires_while_connected(self, platforms):
        caller = sender(until=NOW)
        assert (await platforms(now=NOW).carry(request(caller=caller))).status == 200
        answer = await platforms(now=NOW + timedelta(seconds=1)).carry(request(caller=caller))
        assert (fault(answer).code, answer.close) == ("VP002", True)
        assert "expired" in fault(answer).detail

    @pytest.mark.parametrize("named", ["SE1-NPO", CONSUMER.lower(), "\udcff"])
    async def test_may_not_name_another_original_consumer_unless_it_is_listed(self, platforms, named):
        platform = platforms()
        seen = fault(await platform.carry(request(None, (ORIGINAL, named))))
        assert (seen.code, seen.side) == ("VP013", "Client")
        assert seen.detail == f"Sender is not approved to set header {ORIGINAL}."
        assert platform.sent == []

    async def test_that_is_listed_may_not_name_what_no_header_can_hold(self, platforms):
        answer = await platforms().carry(request(None, (ORIGINAL, "SE1\udcff"), caller=sender(OTHER_PLATFORM)))
        assert fault(answer).code == "VP013"

    @pytest.mark.parametrize("named", ["", "  ", CONSUMER])
    async def test_may_name_itself_or_nobody(self, platforms, named):
        platform = platforms()
        await platform.carry(request(None, (ORIGINAL, named)))
        assert platform.sent[0].values(ORIGINAL) == [CONSUMER]

    async def test_is_told_of_a_loop_in_a_second_line_too(self, platforms):
        lines = [(HISTORY, f"SE1-A#{PLATFORM}"), (HISTORY, f"SE1-B#{PLATFORM}")]
        assert fault(await platforms().carry(request(None, *lines))).code == "VP014"

    @pytest.mark.parametrize(
        ("address", "history"),
        [
            ("SE1-UNIT", f"{PLATFORM}# {PLATFORM} "),
            ("SE1-PLATFORM-BEHIND", f"SE1-A# {PLATFORM} #{OTHER_PLATFORM}#SE1-B"),
        ],
        ids=["third visit", "the same way again"],
    )
    async def test_is_told_of_a_loop(self, platforms, address, history):
        platform = platforms()
        seen = fault(await platform.carry(request(question(address), (HISTORY, history))))
        assert (seen.code, seen.side, seen.detail) == ("VP014", "Server", "")
        assert platform.sent == []

    @pytest.mark.parametrize("address", ["SE1-UNIT", "SE1-PLATFORM-BEHIND"])
    async def test_may_come_back_to_go_another_way(self, platforms, address):
        platform = platforms()
        answer = await platform.carry(request(question(address), (HISTORY, f"SE1-A#{PLATFORM}#SE1-B")))
        assert answer.status == 200
        assert platform.sent[0].values(HISTORY) == [f"SE1-A#{PLATFORM}#SE1-B#{PLATFORM}"]


class TestTheDecision:
    @pytest.mark.parametrize("entry", [b"", b"<LogicalAddress/>", b"<LogicalAddress> \n</LogicalAddress>"])
    async def test_without_an_address(self, platforms, entry):
        body = re.sub(rb"<to:LogicalAddress .*</to:LogicalAddress>", entry, question())
        seen = fault(await platforms().carry(request(body)))
        assert (seen.code, seen.side) == ("VP003", "Client")
        assert seen.detail == "No receiverId (logical address) found in message header. "

    @pytest.mark.parametrize(
        ("address", "hint"),
        [
            ("SE1-NOBODY", ""),
            (" SE1-UNIT", ". Whitespace detected in incoming request!"),
            ("SE1-UNIT\n", ""),
        ],
    )
    async def test_without_a_route(self, platforms, address, hint):
        platform = platforms()
        seen = fault(await platform.carry(request(question(address))))
        assert (seen.code, seen.side) == ("VP004", "Client")
        assert seen.detail == (
            f"No receiverId (logical address) found for serviceNamespace: {DIAGNOSIS}, receiverId: {address}{hint}"
        )
        assert platform.record.route_trace == f"{address},(parent),SE,(default),*"
        assert platform.record.detail == seen.detail

    @pytest.mark.parametrize("body", [b"", b"<GetDiagnosis/>"], ids=["empty", "no namespace"])
    async def test_without_a_contract(self, platforms, body):
        message = re.sub(
            rb"<soapenv:Body>.*</soapenv:Body>", b"<soapenv:Body>%s</soapenv:Body>" % body, question(), flags=re.S
        )
        seen = fault(await platforms().carry(request(message)))
        assert (seen.code, "serviceNamespace: null, receiverId: SE1-UNIT" in seen.detail) == ("VP004", True)

    async def test_with_several_routes(self, platforms):
        seen = fault(await platforms().carry(request(question("SE1-TWICE"))))
        assert (seen.code, seen.side) == ("VP006", "Server")
        assert seen.detail == (
            "More than one receiverId (logical address) with matching Riv-version found for serviceNamespace: "
            f"{DIAGNOSIS}, receiverId: SE1-TWICE"
        )

    async def test_without_a_permission(self, platforms):
        platform = platforms()
        seen = fault(await platform.carry(request(question("SE1-LOCKED"))))
        assert (seen.code, seen.side) == ("VP007", "Server")
        assert seen.detail == (
            f"Authorization missing for serviceNamespace: {DIAGNOSIS}, receiverId: SE1-LOCKED, senderId: {CONSUMER}"
        )
        assert platform.record.permission_trace == "SE1-LOCKED,(default),*,(parent),SE"
        assert platform.record.producer_url == PRODUCER_URL

    async def test_without_a_url(self, platforms):
        seen = fault(await platforms().carry(request(question("SE1-NO-URL"))))
        assert (seen.code, seen.side) == ("VP010", "Server")
        assert seen.detail == (
            f"Physical Address field is empty in Service Producer for serviceNamespace: {DIAGNOSIS}, receiverId: SE1-NO-URL"
        )

    async def test_without_a_table(self, platforms):
        platform = platforms(has_table=False)
        seen = fault(await platform.carry(request()))
        assert (seen.code, seen.side) == ("VP008", "Server")
        assert (platform.record.publication, platform.record.outcome) == (None, "VP008")

    @pytest.mark.parametrize("address", ["A" * 100_000, "#".join(map(str, range(100_000)))], ids=["one", "many in one"])
    async def test_an_absurd_address_is_not_looked_up_nor_repeated_at_length(self, platforms, address):
        platform = platforms()
        answer = await platform.carry(request(question(address)))
        assert fault(answer).code == "VP004"
        assert len(answer.body) < 3000 and len(platform.record.to_json()) < 3000
        assert platform.record.route_trace == ""

    async def test_long_header_values_do_not_make_long_records(self, platforms):
        platform = platforms()
        await platform.carry(request(None, (CORRELATION, "c" * 8000), (ORIGINAL, "o" * 8000)))
        assert len(platform.record.to_json()) < 3000


class TestARequestThatCannotBeRead:
    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            pytest.param(b"", "empty", id="GET"),
            pytest.param(b"{}", "Start tag expected", id="json"),
            pytest.param(b"<!DOCTYPE x>" + question()[39:], "DOCTYPE", id="doctype"),
            pytest.param(
                question().replace(namespaces.SOAP_ENVELOPE.encode(), namespaces.SOAP_12_ENVELOPE.encode()),
                "SOAP 1.2",
                id="soap 1.2",
            ),
            pytest.param(question().replace(b"</soapenv:Body>", b"</soapenv:Body><soapenv:Body/>"), "more than one", id="two bodies"),
            pytest.param(question().replace(b"<soapenv:Body>", b"<x:Body xmlns:x='y'/><soapenv:Body>"), "not of SOAP 1.1", id="another's body"),
            pytest.param(question().replace(b"</soapenv:Body>", b"<x xmlns='y'/></soapenv:Body>"), "more than one element", id="two messages"),
            pytest.param(
                question().replace(b"</soapenv:Header>", b"<LogicalAddress>SE1-LOCKED</LogicalAddress></soapenv:Header>"),
                "two LogicalAddress entries",
                id="two addresses",
            ),
        ],
    )  # fmt: skip
    async def test_is_refused_with_the_reason(self, platforms, body, reason):
        platform = platforms()
        seen = fault(await platform.carry(request(body)))
        assert (seen.code, seen.side) == ("VP015", "Client")
        assert reason in seen.detail
        assert platform.sent == []

    async def test_is_recorded_without_its_words(self, platforms):
        platform = platforms()
        answer = await platform.carry(request(f"<a><p{PATIENT}></a>".encode()))
        assert PATIENT in fault(answer).detail
        assert platform.record.detail == "not well-formed XML at line 1"


class TestARequestThatBreaksItsSchema:
    async def test_is_refused_with_line_path_and_reason_of_at_most_twenty_places(self, platforms):
        platform = platforms()
        seen = fault(await platform.carry(request(invalid(question()))))
        heading, *lines = seen.detail.split("\n")
        violations = [line for line in lines if line.startswith("line ")]
        assert (seen.code, seen.side) == ("VP015", "Client")
        assert heading == f"The request breaks the schema of {DIAGNOSIS}:"
        assert 1 <= len(violations) <= 20
        assert all(re.match(r"line \d+, /\S+: \S", line) for line in violations)
        assert any(line.startswith("where ") and line.endswith(f" is {DIAGNOSIS}") for line in lines)
        assert platform.sent == []

    async def test_passes_where_violations_are_only_reported(self, platforms):
        platform = platforms(validation=Validation(request=Handling.REPORT))
        body = invalid(question())
        assert (await platform.carry(request(body))).status == 200
        assert platform.sent[0].body == body
        assert {violation.message for violation in platform.record.violations} == {"request"}
        assert PATIENT not in platform.record.to_json()

    async def test_passes_unseen_where_validation_is_off_for_its_contract(self, platforms):
        platform = platforms(validation=Validation(contracts={DIAGNOSIS: (Handling.OFF, Handling.OFF)}))
        assert (await platform.carry(request(invalid(question())))).status == 200
        assert platform.record.violations == ()

    async def test_is_refused_where_only_its_contract_says_so(self, platforms):
        validation = Validation(request=Handling.OFF, contracts={DIAGNOSIS: (Handling.REJECT, Handling.OFF)})
        assert fault(await platforms(validation=validation).carry(request(invalid(question())))).code == "VP015"

    async def test_is_only_reported_when_a_service_of_our_own_gets_it(self, platforms):
        platform = platforms()
        assert (await platform.carry(request(invalid(question("SE1-OWN"))))).status == 200
        assert platform.record.violations

    async def test_is_checked_in_a_thread_when_large(self, platforms):
        large = question().replace(b"</soapenv:Body>", b"<!--%s--></soapenv:Body>" % (b"x" * 150_000))
        assert (await platforms().carry(request(large))).status == 200
        assert fault(await platforms().carry(request(invalid(large)))).code == "VP015"

    async def test_passes_unchecked_when_large_if_configured_so(self, platforms):
        platform = platforms(validation=Validation(max_bytes=1000, checks_large=False))
        assert (await platform.carry(request(invalid(question())))).status == 200


class TestAContractWithoutSchema:
    async def test_is_carried_and_warned_of_once(self, platforms, caplog):
        platform = platforms()
        with caplog.at_level(logging.WARNING, logger="rivta"):
            for _ in range(3):
                assert (await platform.carry(request(of_contract(UNKNOWN_CONTRACT)))).status == 200
        assert [record.getMessage() for record in caplog.records] == [
            f"no schema is installed for {UNKNOWN_CONTRACT}: its messages pass unchecked"
        ]

    async def test_is_refused_if_configured_so(self, platforms):
        platform = platforms(validation=Validation(reject_unknown_contract=True))
        seen = fault(await platform.carry(request(of_contract(UNKNOWN_CONTRACT))))
        assert (seen.code, UNKNOWN_CONTRACT in seen.detail) == ("VP015", True)


START = f"Error connecting to service producer at address {PRODUCER_URL}. "
CAMEL = "Exception Caught by Camel when contacting producer. Exception information: "


class TestTroubleWithTheProducer:
    """Producers' answers and failures."""

    @pytest.mark.parametrize(
        ("trouble", "cause"),
        [
            (Trouble.CANNOT_CONNECT, "(java.net.ConnectException: Cannot connect to producer.test:8443)"),
            (Trouble.CONNECT_TIMEOUT, "(java.net.ConnectException: Cannot connect to producer.test:8443)"),
            (Trouble.RESET, "(java.net.SocketException: Connection reset)"),
            (
                Trouble.TIMEOUT,
                "(io.netty.handler.timeout.ReadTimeoutException: Timeout when waiting on response from producer.)"
                " The service platform NAME waited 29 seconds.",
            ),
            (Trouble.TLS, "(javax.net.ssl.SSLHandshakeException: words of the library)"),
            (Trouble.NO_ANSWER, "(No response received from remote server: producer.test:8443)"),
            (Trouble.TOO_LARGE, "(words of the library)"),
            (Trouble.BAD_ANSWER, "(words of the library)"),
            (Trouble.CUT_SHORT, "(words of the library)"),
        ],
    )
    async def test_below_http_is_told_in_the_incumbents_words(self, platforms, trouble, cause):
        platform = platforms(failing(trouble))
        answer = await platform.carry(request())
        seen = fault(answer)
        assert (seen.code, seen.side, seen.detail) == ("VP009", "Server", START + CAMEL + cause)
        assert header(answer, "x-skltp-prt") is None
        assert (platform.record.outcome, platform.record.producer_ms) == ("VP009", None)

    @pytest.mark.parametrize("status", [302, 400, 404, 503])
    async def test_of_another_status_names_it(self, platforms, status):
        location = (("Location", f"/elsewhere?{PATIENT}"),)
        platform = platforms(answering(SOAP_FAULT, status=status, headers=location))
        redirect = f", redirectLocation: /elsewhere?{PATIENT}" if status == 302 else ""
        assert fault(await platform.carry(request())).detail == (
            f"{START}{CAMEL}(org.apache.camel.component.netty.http.NettyHttpOperationFailedException: Netty HTTP operation "
            f"failed invoking {PRODUCER_URL} with statusCode: {status}{redirect})\n"
            f"VP_PRODUCER_EXCEPTION_HTTP_STATUS={status}"
        )
        assert PATIENT not in platform.record.to_json()
        assert platform.record.producer_ms is not None

    @pytest.mark.parametrize(("status", "reason"), [(200, "OK"), (201, "Created"), (200, "")])
    async def test_of_an_empty_message_names_the_status(self, platforms, status, reason):
        seen = fault(await platforms(answering(b"", status=status, reason=reason)).carry(request()))
        assert seen.detail == f"{START}Empty message when server responded with status code: {status} {reason}".rstrip()

    @pytest.mark.parametrize("status", [202, 204])
    async def test_is_none_when_a_one_way_message_is_taken(self, platforms, status):
        """A deviation: the incumbent makes VP009 of it."""
        answer = await platforms(answering(b"", status=status)).carry(request())
        assert (answer.status, answer.body) == (status, b"")

    async def test_that_the_producer_tells_in_a_soap_fault_is_relayed_byte_for_byte(self, platforms):
        platform = platforms(answering(SOAP_FAULT, status=500))
        answer = await platform.carry(request())
        assert (answer.status, answer.body) == (500, SOAP_FAULT)
        assert header(answer, "x-skltp-prt") == "0"
        assert (platform.record.outcome, platform.record.http_status) == ("routed", 500)

    async def test_told_in_another_envelope_is_not(self, platforms):
        of_soap_12 = SOAP_FAULT.replace(namespaces.SOAP_ENVELOPE.encode(), namespaces.SOAP_12_ENVELOPE.encode())
        assert fault(await platforms(answering(of_soap_12, status=500)).carry(request())).code == "VP009"

    async def test_told_in_a_fault_with_status_200_is_relayed_and_no_violation(self, platforms):
        platform = platforms(answering(SOAP_FAULT), validation=Validation(response=Handling.REJECT))
        answer = await platform.carry(request())
        assert (answer.status, answer.body, platform.record.violations) == (200, SOAP_FAULT, ())

    async def test_is_named_by_host_and_port_without_what_else_a_url_holds(self, platforms):
        platform = platforms(failing(Trouble.CANNOT_CONNECT))
        assert "Cannot connect to plain.test:80)" in fault(await platform.carry(request(question("SE1-PLAIN")))).detail
        assert "Cannot connect to old.test:443)" in fault(await platform.carry(request(question("SE1-OLD")))).detail

    async def test_that_its_row_wants_called_by_another_identity_is_not_called_by_ours(self, platforms):
        platform = platforms(failing(Trouble.NO_IDENTITY))
        seen = fault(await platform.carry(request(question("SE1-OTHER-IDENTITY"))))
        assert (seen.code, "no client certificate 'another'" in seen.detail) == ("VP009", True)
        assert [sent.target.client_certificate for sent in platform.sent] == ["another"]


class TestSendingAgain:
    @pytest.mark.parametrize("trouble", [Trouble.CANNOT_CONNECT, Trouble.CONNECT_TIMEOUT])
    async def test_happens_once_when_nothing_was_sent(self, platforms, trouble):
        platform = platforms(failing(trouble, times=1))
        assert (await platform.carry(request())).status == 200
        assert len(platform.sent) == 2
        assert platform.sent[0].body == platform.sent[1].body

    @pytest.mark.parametrize(
        "trouble", [t for t in Trouble if t not in (Trouble.CANNOT_CONNECT, Trouble.CONNECT_TIMEOUT)]
    )
    async def test_never_happens_when_something_may_have_been(self, platforms, trouble):
        platform = platforms(failing(trouble, times=1))
        assert fault(await platform.carry(request())).code == "VP009"
        assert len(platform.sent) == 1

    @pytest.mark.parametrize(("attempts", "sent"), [(0, 1), (1, 2), (3, 4)])
    async def test_happens_as_often_as_configured(self, platforms, attempts, sent):
        platform = platforms(failing(Trouble.CANNOT_CONNECT), retry_attempts=attempts)
        assert fault(await platform.carry(request())).code == "VP009"
        assert len(platform.sent) == sent

    async def test_shares_one_deadline(self, platforms):
        """Timeouts nest: the caller's own is only two seconds longer."""
        platform = platforms(failing(Trouble.CANNOT_CONNECT), retry_delay_seconds=0.01, producer_seconds=10.0)
        await platform.carry(request())
        first, second = (sent.target.answer_seconds for sent in platform.sent)
        assert first == 10.0 and second <= 9.99

    async def test_does_not_happen_without_time_left(self, platforms):
        platform = platforms(failing(Trouble.CANNOT_CONNECT), retry_delay_seconds=5.0, producer_seconds=5.0)
        await platform.carry(request())
        assert len(platform.sent) == 1


class TestCallsInFlight:
    async def test_are_limited_per_producer_address(self, platforms):
        release = asyncio.Event()

        async def wait(sent: Sent) -> ProducerAnswer:
            await release.wait()
            return ProducerAnswer(200, "OK", (), reply())

        platform = platforms(wait, in_flight_per_producer=2, in_flight_per_platform=3)
        addresses = ["SE1-UNIT"] * 2 + ["SE1-PLATFORM-BEHIND"] * 3
        waiting = [asyncio.create_task(platform.carry(request(question(address)))) for address in addresses]
        await until_true(lambda: platform.calling.in_flight == 5, seconds=3)
        for address, limit in (("SE1-UNIT", 2), ("SE1-PLATFORM-BEHIND", 3)):
            seen = fault(await platform.carry(request(question(address))))
            assert (seen.code, f"has {limit} unanswered calls" in seen.detail) == ("VP009", True)
        release.set()
        assert [(await task).status for task in waiting] == [200] * 5
        assert platform.calling.in_flight == 0
        assert (await platform.carry(request())).status == 200

    async def test_that_fail_are_no_longer_in_flight(self, platforms):
        platform = platforms(failing(Trouble.RESET, times=3), in_flight_per_producer=1)
        for _ in range(3):
            await platform.carry(request())
        assert (await platform.carry(request())).status == 200


class TestAnAnswerThatBreaksItsSchema:
    async def test_is_relayed_and_reported(self, platforms):
        body = invalid(reply())
        platform = platforms(answering(body))
        assert (await platform.carry(request())).body == body
        assert {violation.message for violation in platform.record.violations} == {"response"}
        assert PATIENT not in platform.record.to_json()

    @pytest.mark.parametrize("status", [200, 201])
    async def test_is_refused_if_configured_so_naming_the_producer_and_no_value(self, platforms, status):
        validation = Validation(response=Handling.REJECT)
        platform = platforms(answering(invalid(reply()), status=status), validation=validation)
        answer = await platform.carry(request())
        seen = fault(answer)
        assert seen.code == "VP009"
        assert seen.detail.startswith(
            f"{START}The answer of producer SE1-PRODUCER breaks the schema of {DIAGNOSIS}:\nline "
        )
        assert PATIENT.encode() not in answer.body
        assert PATIENT not in platform.record.to_json()

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (f"<p{PATIENT}>".encode(), "the answer is not readable XML"),
            (f"not XML: {PATIENT}".encode(), "the answer is not readable XML"),
            (f'<e:Envelope xmlns:e="{namespaces.SOAP_ENVELOPE}"><e:Body/></e:Envelope>'.encode(), "missing or empty"),
        ],
        ids=["malformed", "text", "empty body"],
    )
    async def test_or_is_no_message_at_all_likewise(self, platforms, body, reason):
        assert (await platforms(answering(body)).carry(request())).body == body
        answer = await platforms(answering(body), validation=Validation(response=Handling.REJECT)).carry(request())
        assert reason in fault(answer).detail
        assert PATIENT.encode() not in answer.body


class TestTheOtherProfile:
    """Between RIVTABP20 and RIVTABP21."""

    async def test_gets_its_own_address_entry(self, platforms):
        platform = platforms()
        answer = await platform.carry(request(question("SE1-OLD")))
        head = read_head(parse_xml(platform.sent[0].body))
        assert (head.profile, head.logical_address) == (Profile.RIVTABP20, "SE1-OLD")
        assert (platform.record.profile_in, platform.record.profile_out) == ("RIVTABP21", "RIVTABP20")
        assert answer.body == reply()

    async def test_is_understood(self, platforms):
        platform = platforms()
        await platform.carry(request(question(profile=Profile.RIVTABP20)))
        head = read_head(parse_xml(platform.sent[0].body))
        assert (head.profile, head.logical_address) == (Profile.RIVTABP21, "SE1-UNIT")

    async def test_never_leaves_a_second_address_for_the_producer(self, platforms):
        """Of both kinds of entry the last wins; what the other said was not permitted."""
        platform = platforms()
        other = b"<LogicalAddress xmlns='%s'>SE1-LOCKED</LogicalAddress>" % namespaces.REGISTRY_1.encode()
        body = question(profile=Profile.RIVTABP20).replace(b"<soapenv:Header>", b"<soapenv:Header>" + other)
        assert (await platform.carry(request(body))).status == 200
        assert b"SE1-LOCKED" not in platform.sent[0].body


class TestOtherCharacters:
    """Characters other than UTF-8."""

    @pytest.mark.parametrize(
        ("encoding", "charset"),
        [("utf-16", None), ("iso-8859-1", None), ("iso-8859-1", "ISO-8859-1"), ("utf-16", "utf-16")],
    )
    async def test_become_utf_8_for_the_producer_and_the_answer_becomes_theirs(self, platforms, encoding, charset):
        text = (
            question()
            .decode()
            .replace("'UTF-8'", f"'{encoding}'")
            .replace("<soapenv:Body>", "<soapenv:Body><!--åäö-->")
        )
        platform = platforms()
        content_type = [("Content-Type", f"text/xml; charset={charset}")] if charset else []
        answer = await platform.carry(request(text.encode(encoding), *content_type))
        assert "<!--åäö-->".encode() in platform.sent[0].body
        assert platform.sent[0].body.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
        assert header(answer, "Content-Type") == f"text/xml; charset={encoding.upper()}"
        assert "Bedömning" in answer.body.decode(encoding)
        assert read_head(parse_xml(answer.body)).contract == DIAGNOSIS

    async def test_may_be_told_by_the_content_type_alone(self, platforms):
        body = question().partition(b"?>")[2].replace(b"<soapenv:Body>", b"<soapenv:Body><!--\xe5-->")
        platform = platforms()
        await platform.carry(request(body, ("Content-Type", "text/xml;charset=iso-8859-1")))
        assert "<!--å-->".encode() in platform.sent[0].body

    async def test_that_are_only_claimed_are_seen_through(self, platforms):
        """.NET writes `utf-16` over UTF-8 bytes when XML comes from a string."""
        body = question().replace(b"'UTF-8'", b"'utf-16'")
        platform = platforms()
        answer = await platform.carry(request(body, ("Content-Type", "text/xml; charset=utf-8")))
        assert platform.sent[0].body.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
        assert (answer.body, header(answer, "Content-Type")) == (reply(), "text/xml; charset=UTF-8")

    async def test_are_not_forced_on_an_answer_that_is_no_xml(self, platforms):
        body = question().decode().replace("'UTF-8'", "'utf-16'").encode("utf-16")
        answer = await platforms(answering(b"text")).carry(request(body))
        assert (answer.body, header(answer, "Content-Type")) == (b"text", "text/xml; charset=UTF-8")


class TestTheUnexpected:
    async def test_is_a_fault_without_code_and_without_internals(self, platforms, caplog):
        def produce(sent: Sent) -> ProducerAnswer:
            raise KeyError("secret internals")

        platform = platforms(produce)
        answer = await platform.carry(request(None, (CORRELATION, "abc")))
        seen = fault(answer)
        assert seen.text == "Internal error in the service platform"
        assert (seen.side, "abc" in seen.detail) == ("Server", True)
        assert b"secret" not in answer.body and b"KeyError" not in answer.body
        assert (platform.record.outcome, platform.record.detail) == ("error", "")
        assert "call abc met an error of ours" in caplog.text
        assert platform.calling.in_flight == 0

    async def test_url_in_the_table_is_one(self, platforms, caplog):
        platform = platforms()
        answer = await platform.carry(request(question("SE1-UNPARSABLE")))
        assert fault(answer).text == "Internal error in the service platform"
        assert (platform.record.outcome, platform.sent) == ("error", [])

    @pytest.mark.parametrize("refuses", ["check", "add"])
    async def test_failure_to_record_is_503(self, platforms, refuses, caplog):
        platform = platforms(refuses=refuses)
        answer = await platform.carry(request(None, (CORRELATION, "abc")))
        assert (answer.status, header(answer, CORRELATION)) == (503, "abc")
        assert b"later" in answer.body and b"disk" not in answer.body
        assert len(platform.sent) == (0 if refuses == "check" else 1)


class TestMemory:
    @pytest.mark.parametrize("body", [question("SE1-LOCKED"), b"<a", b"<a/>"], ids=["VP007", "VP015", "VP003"])
    async def test_a_refused_call_leaves_nothing_to_the_garbage_collector(self, platforms, body):
        """Its message may be 50 MB, and a worker looks for cycles seldom."""
        platform = platforms()
        await platform.carry(request(body))
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                await platform.carry(request(body))
            assert gc.collect() < 20
        finally:
            gc.enable()


async def test_a_call_that_is_cut_off_at_the_end_of_a_drain_leaves_a_record(platforms):
    """A worker that stops cancels what has outlasted its time."""
    called = asyncio.Event()

    async def never(_sent):
        called.set()
        await asyncio.Event().wait()

    platform = platforms(never)
    carrying = asyncio.create_task(platform.router.carry(request()))
    await called.wait()
    carrying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await carrying
    record = platform.record
    assert (record.outcome, record.http_status, record.logical_address) == ("cancelled", 0, "SE1-UNIT")


class TestGiants:
    async def test_are_read_few_at_a_time_and_small_ones_beside_them(self, platforms, monkeypatch):
        """Each takes many times its length in memory while its tree stands."""
        reading, most = 0, 0

        def read(body, *rest):
            nonlocal reading, most
            reading, most = reading + 1, max(most, reading + 1)
            small.wait(5)
            reading -= 1
            return original(body, *rest)

        original, small = read_message, threading.Event()
        monkeypatch.setattr(
            pipeline, "read_message", lambda b, *rest: (read if len(b) > 1_000_000 else original)(b, *rest)
        )
        platform = platforms()
        giant = question().replace(b"</soapenv:Body>", b"<!--" + b"x" * 1_000_000 + b"--></soapenv:Body>")
        calls = [asyncio.create_task(platform.carry(request(giant))) for _ in range(5)]
        await until_true(lambda: reading == 2, seconds=3)
        assert (await platform.carry(request())).status == 200
        small.set()
        assert [answer.status for answer in await asyncio.gather(*calls)] == [200] * 5
        assert most == 2

    async def test_answers_are_checked_few_at_a_time(self, platforms, monkeypatch):
        checking, most, go = 0, 0, threading.Event()
        parse = read_head_of_answer

        def noted(answer):
            nonlocal checking, most
            checking, most = checking + 1, max(most, checking + 1)
            go.wait(5)
            checking -= 1
            return parse(answer)

        monkeypatch.setattr(schemas, "read_head_of_answer", noted)
        platform = platforms(answering(reply() + b"<!--" + b"x" * 1_000_000 + b"-->"))
        calls = [asyncio.create_task(platform.carry(request())) for _ in range(5)]
        await until_true(lambda: checking == 2, seconds=3)
        go.set()
        assert [answer.status for answer in await asyncio.gather(*calls)] == [200] * 5
        assert most == 2

    async def test_that_break_their_schema_are_put_into_words_beside_the_loop(self, platforms, monkeypatch):
        loops = []
        check = Validators.check

        def noted(self, *arguments):
            loops.append(threading.current_thread() is threading.main_thread())
            return check(self, *arguments)

        monkeypatch.setattr(Validators, "check", noted)
        wrong = question().replace(b"</soapenv:Body>", b"<!--" + b"x" * 20_000 + b"--></soapenv:Body>")
        seen = fault(await platforms().carry(request(wrong.replace(b"patientId>", b"patientIdd>"))))
        assert (seen.code, loops) == ("VP015", [False])


class TestTurnedAway:
    async def test_a_request_whose_body_is_not_taken_in_is_recorded_with_its_status(self, platforms):
        platform = platforms()
        answer = await platform.router.turn_away(request(None, (CORRELATION, "abc")), 413, "Too long.")
        assert (answer.status, answer.body, header(answer, CORRELATION)) == (413, b"Too long.\n", "abc")
        record = platform.record
        assert (record.outcome, record.http_status, record.detail) == ("http-413", 413, "Too long.")
        assert (record.sender, record.correlation_id) == (CONSUMER, "abc")


PERSONAL_NUMBERS = st.from_regex(r"(19|20)[0-9]{10}", fullmatch=True)
PLACES = ("id", "value", "element", "attribute", "comment", "text", "cut", "doctype")


def with_number(message: bytes, number: str, place: str) -> bytes:
    """The message with a personal number in one place, some of them where no number belongs."""
    message = message.replace(PATIENT.encode(), number.encode())
    changes = {
        "attribute": (b"<soapenv:Body>", f'<soapenv:Body a="{number}">'.encode()),
        "comment": (b"<soapenv:Body>", f"<soapenv:Body><!--{number}-->".encode()),
        "text": (b"<soapenv:Body>", f"<soapenv:Body>{number}".encode()),
        "cut": (b"</soapenv:Envelope>", f"</p{number}>".encode()),
        "doctype": (b"<soapenv:Envelope", f"<!DOCTYPE p{number}><soapenv:Envelope".encode()),
    }
    if place == "value":
        return misplaced(message, number)
    if place == "element":
        root = parse_xml(message)
        root[1][0].append(parse_xml(f'<p{number} a{number}="{number}">{number}</p{number}>'.encode()))
        return etree.tostring(root)
    old, new = changes.get(place, (b"", b""))
    return message.replace(old, new, 1) if old else message


@settings(max_examples=150)
@given(
    number=PERSONAL_NUMBERS,
    asked=st.sampled_from(PLACES),
    answered=st.sampled_from(PLACES),
    handling=st.sampled_from(Handling),
    status=st.sampled_from([200, 302, 404, 500]),
    address=st.sampled_from(["SE1-UNIT", "SE1-LOCKED", "SE1-OLD", "SE1-OWN", "SE1-NOBODY"]),
)
def test_no_personal_number_reaches_records_or_logs(platforms, number, asked, answered, handling, status, address):
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    listening = Lines()
    logging.getLogger().addHandler(listening)
    try:
        produce = answering(
            with_number(reply(), number, answered), status=status, reason=number, headers=(("Location", number),)
        )
        platform = platforms(produce, validation=Validation(request=handling, response=handling))
        asyncio.run(platform.carry(request(with_number(question(address), number, asked))))
    finally:
        logging.getLogger().removeHandler(listening)
    assert number not in platform.record.to_json()
    assert number not in "".join(lines)


@settings(max_examples=100)
@given(
    body=st.binary(max_size=400),
    value=st.text(max_size=50),
    name=st.sampled_from([CORRELATION, ORIGINAL, HISTORY, "Content-Type"]),
)
def test_anything_is_answered_and_recorded(platforms, body, value, name):
    platform = platforms()
    answer = asyncio.run(platform.carry(request(body, (name, value))))
    assert answer.status == 500
    assert json.loads(platform.record.to_json())["http_status"] == 500
    assert not any(c in value for _, value in answer.headers for c in "\r\n\0")


async def test_the_time_of_a_record_is_utc(platforms):
    platform = platforms(now=datetime(2026, 3, 1, 1, 2, 3, 456_789, tzinfo=UTC))
    await platform.carry(request())
    assert platform.record.time == "2026-03-01T01:02:03.456+00:00"
