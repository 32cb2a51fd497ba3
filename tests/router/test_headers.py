"""Which headers go on, as the incumbent has it."""

import dataclasses
import uuid

import pytest

from rivta.router.deviations import Compat
from rivta.router.headers import (
    Filters,
    HeaderRules,
    correlation_id_of,
    host_of,
    to_consumer,
    to_producer,
    with_query,
)
from rivta.router.messages import Headers, ProducerAnswer
from rivta.soap.identifiers import HsaId
from tests.router.platforms import Platforms, answering, header, question, reply, request

FILTERS = Filters(HeaderRules())
FAULT = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode>'
    b"<faultstring>no</faultstring></s:Fault></s:Body></s:Envelope>"
)


def sent(*headers: tuple[str, str], url: str = "https://p.test/x", filters: Filters = FILTERS) -> Headers:
    return to_producer(
        request(b"", *headers),
        filters=filters,
        url=url,
        user_agent="agent",
        content_type="text/xml",
        original_consumer="SE1-ORIGINAL",
        correlation_id=None,
        history="SE1-A",
        sender="SE1-SENDER",
        platform="SE1-PLATFORM",
    )


def relayed(*headers: tuple[str, str], filters: Filters = FILTERS) -> Headers:
    return to_consumer(ProducerAnswer(200, "OK", headers, b""), filters=filters, correlation_id="c", producer_ms=12.6)


NOTHING = sent()

OF_ONE_HOP = [
    "Content-Length",
    "Content-Type",
    "Host",
    "Cache-Control",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Date",
    "Pragma",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Via",
    "Warning",
    "Expect",
    "CamelHttpMethod",
]


@pytest.mark.parametrize(
    "name",
    [
        *OF_ONE_HOP,
        *[
            "x-vp-sender-id",
            "x-vp-instance-id",
            "X-VP-Auth-Cert",
            "x-vp",
            "X_VP_Sender_Id",
            "x-vp_sender-id",
            "PEER_CERTIFICATES",
            "X-Forwarded-For",
            "X-Forwarded-Tls-Client-Cert",
            "x_forwarded_for",
            "X_Forwarded_Proto",
            "Peer-Certificates",
            "MULE_ENDPOINT",
            "X-MULE_X",
            "Accept-Encoding",
            "User-Agent",
            "Content-Encoding",
            "x-skltp-correlation-id",
            "x-rivta-original-serviceconsumer-hsaid",
            "x-rivta-routing-history",
            "x_rivta_routing_history",
            "x-fk-auth-cert",
            "Client-Cert",
            "X-Client-Cert",
            "X-SSL-Client-S-DN",
            "Forwarded",
            "X-Real-IP",
            "True-Client-IP",
            "X-Amzn-Mtls-Clientcert",
            "Cert",
            "X-TLS-Client-Cert",
            "X-SSL-Cert",
            "SSLClientCert",
            "X-Client-DN",
            "X-Remote-User",
            "x.vp.sender.id",
            "Proxy-Authorization",
            "HTTP2-Settings",
        ],
    ],
)
def test_these_do_not_reach_the_producer_as_the_consumer_wrote_them(name):
    for spelled in (name, name.lower(), name.upper()):
        assert sent((spelled, "SE1-FORGED")) == NOTHING


@pytest.mark.parametrize(
    "name",
    ["SOAPAction", "Accept", "Authorization", "X-Anything", "x-rivta-acting-on-behalf-of-hsaid", "vp-x", "Hostess"],
)
def test_these_do(name):
    assert sent((name, "1"), (name, "2")) == (*NOTHING, (name, "1"), (name, "2"))


@pytest.mark.parametrize(
    "name",
    [
        *OF_ONE_HOP,
        *[
            "SOAPAction",
            "MULE_X",
            "X-MULE_X",
            "LOCAL_CERTIFICATE",
            "PEER_CERTIFICATES",
            "http.method",
            "Server",
            "x-skltp-prt",
        ],
        "X-Skltp-Correlation-Id",
    ],
)
def test_these_do_not_reach_the_consumer(name):
    assert relayed((name, "theirs")) == relayed()


@pytest.mark.parametrize("name", ["X-Anything", "Content-Encoding", "http-method-x", "x-vp-x"])
def test_these_reach_the_consumer(name):
    assert relayed((name, "1")) == (*relayed(), (name, "1"))


@pytest.mark.parametrize("name", ["Cookie", "cookie2", "Set-Cookie", "SET_COOKIE", "Set-Cookie2"])
def test_a_cookie_ends_at_the_platform_unless_it_is_to_be_as_with_the_incumbent(name):
    """Its connections to a producer are shared by all consumers: a session that one gets would be another's."""
    assert sent((name, "session=1")) == NOTHING
    assert relayed((name, "session=1")) == relayed()
    as_vp = Filters(HeaderRules(), cookies_relayed=True)
    assert as_vp.to_producer(((name, "a"),)) == as_vp.to_consumer(((name, "a"),)) == ((name, "a"),)


def test_a_cookie_is_not_kept_by_a_filter():
    rules = HeaderRules(request_keep="(?i)cookie", response_keep="(?i)set-cookie")
    assert Filters(rules).to_producer((("Cookie", "a"),)) == Filters(rules).to_consumer((("Set-Cookie", "a"),)) == ()


def test_what_connection_names_stays_on_its_hop():
    """RFC 9110 section 7.6.1."""
    lines = (("Connection", "keep-alive, X-Mine"), ("x-mine", "1"), ("X-Other", "2"))
    assert sent(*lines) == (*NOTHING, ("X-Other", "2"))
    assert relayed(*lines) == (*relayed(), ("X-Other", "2"))


def test_the_producers_time_is_whole_milliseconds():
    assert ("x-skltp-prt", "13") in relayed()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://p.test/x", "p.test"),
        ("https://p.test:443/x", "p.test:443"),
        ("http://p.test:80/x", "p.test"),
        ("https://p.test:80/x", "p.test"),
        ("http://p.test:8080?wsdl", "p.test:8080"),
        ("https://user:secret@p.test:8443/", "p.test:8443"),
        ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443"),
        ("https://[2001:db8::1]/", "[2001:db8::1]"),
        ("unix:/run/own", ""),
    ],
)
def test_the_host_is_the_producers_with_its_port_unless_that_is_80(url, host):
    assert host_of(url) == host
    assert sent(url=url)[0] == ("Host", host)


@pytest.mark.parametrize("url", ["http://p.test/", "HTTP://p.test/"])
def test_plain_http_names_the_sender_and_the_platform(url):
    assert sent(url=url)[-2:] == (("x-vp-sender-id", "SE1-SENDER"), ("x-vp-instance-id", "SE1-PLATFORM"))


def rules(**changed: str) -> Filters:
    return Filters(HeaderRules(**changed))


def test_an_operator_removes_and_keeps_by_whole_names():
    filters = rules(request_remove="(?i)x-a.*|y", request_keep="X-A-Kept", response_remove="z.*", response_keep="z1")
    names = ("x-anything", "X-A-Kept", "x-a-kept", "y", "Y", "yy", "x-vp-anything", "X-Forwarded-Proto")
    passed = [name for name, _ in sent(*[(name, "1") for name in names], filters=filters)[len(NOTHING) :]]
    assert passed == ["X-A-Kept", "yy", "x-vp-anything", "X-Forwarded-Proto"]
    passed = [name for name, _ in relayed(("z", "1"), ("z1", "1"), ("SOAPAction", "1"), filters=filters)[3:]]
    assert passed == ["z1", "SOAPAction"]


@pytest.mark.parametrize(
    "name",
    [
        *OF_ONE_HOP,
        *["x-vp-sender-id", "X_VP_Instance_Id", "x-vp-auth-cert", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-For"],
        *["Forwarded", "x-fk-auth-cert", "X-SSL-Client-S-DN", "x-skltp-correlation-id", "User-Agent"],
        *["x-rivta-original-serviceconsumer-hsaid", "x-rivta-routing-history"],
    ],
)
def test_what_belongs_to_one_hop_or_tells_who_calls_cannot_be_kept(name):
    filters = rules(request_remove="", request_keep=".*")
    assert sent((name, "SE1-FORGED"), filters=filters) == NOTHING


@pytest.mark.parametrize("name", [*OF_ONE_HOP, "x-skltp-correlation-id", "x-skltp-prt", "Server"])
def test_nor_can_it_on_the_way_back(name):
    assert relayed((name, "theirs"), filters=rules(response_remove="", response_keep=".*")) == relayed()


@pytest.mark.parametrize("name", ["X-My-Certificate", "x_my_certificate", "X.MY.CERTIFICATE"])
def test_the_header_in_which_certificates_come_never_goes_on(name):
    filters = Filters(HeaderRules(request_keep=".*"), certificate_headers=["x-my-certificate"])
    assert sent((name, "MII"), filters=filters) == NOTHING


def test_the_server_of_the_producer_can_be_shown():
    filters = Filters(HeaderRules(), server_of_producer=True)
    assert relayed(("Server", "theirs"), filters=filters) == (*relayed(), ("Server", "theirs"))


def test_what_is_remembered_of_names_is_bounded():
    filters = rules()
    for number in range(5000):
        filters.to_producer(((f"x-{number}", "1"), (f"x-{number}" * 100, "1")))
    remembered = filters._to_producer
    assert len(remembered) <= 1000
    assert max(map(len, remembered)) <= 100


@pytest.mark.parametrize(
    ("given", "stands"),
    [
        ("abc", True),
        ("å", True),
        ("a" * 500, True),
        ("a" * 501, False),
        ("", False),
        ("a\tb", False),
        ("\udce5", False),
    ],
)
def test_a_correlation_id_that_no_header_can_hold_is_replaced(given, stands):
    told = correlation_id_of(request(b"", ("X-SKLTP-Correlation-ID", given)))
    assert told == given if stands else str(uuid.UUID(told)) == told


@pytest.mark.parametrize(
    ("url", "query", "called"),
    [
        ("https://p.test/x", "a=b", "https://p.test/x?a=b"),
        ("https://p.test/x?own=1", "a=b", "https://p.test/x?a=b"),
        ("https://p.test?own=1#f", "a=%C3%A5&b", "https://p.test?a=%C3%A5&b"),
    ],
)
def test_a_query_takes_the_place_of_the_routes_own(url, query, called):
    assert with_query(url, query) == called


@pytest.fixture(scope="module")
def platforms(tmp_path_factory: pytest.TempPathFactory) -> Platforms:
    return Platforms(tmp_path_factory.mktemp("table"))


class TestOnTheirWay:
    """Through the whole pipeline: each row of the incumbent's two tables."""

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            pytest.param(
                "SE1-UNIT",
                {
                    "Host": ["producer.test:8443"],
                    "User-Agent": ["agent/1"],
                    "Content-Type": ["text/xml;charset=UTF-8"],
                    "SOAPAction": ['"urn:action"'],
                    "x-rivta-original-serviceconsumer-hsaid": ["SE1-CONSUMER"],
                    "x-skltp-correlation-id": [],
                    "x-vp-sender-id": [],
                    "x-vp-instance-id": [],
                    "x-rivta-routing-history": ["SE1-CONSUMER#SE1-PLATFORM"],
                    "x-anything": ["1", "2"],
                    "Accept-Encoding": [],
                    "X-Forwarded-For": [],
                    "a": [],
                },
                id="https",
            ),
            pytest.param(
                "SE1-PLAIN",
                {
                    "Host": ["plain.test"],
                    "x-skltp-correlation-id": ["abc"],
                    "x-vp-sender-id": ["SE1-CONSUMER"],
                    "x-vp-instance-id": ["SE1-PLATFORM"],
                },
                id="http",
            ),
            pytest.param(
                "SE1-PLATFORM-BEHIND",
                {"x-skltp-correlation-id": ["abc"], "x-vp-sender-id": [], "x-vp-instance-id": []},
                id="a platform",
            ),
        ],
    )
    async def test_to_the_producer(self, platforms, address, expected):
        platform = platforms(user_agent="agent/1")
        incoming = request(
            question(address),
            ("Host", "theirs"),
            ("User-Agent", "theirs"),
            ("Content-Type", "application/soap+xml"),
            ("SOAPAction", '"urn:action"'),
            ("X-SKLTP-Correlation-Id", "abc"),
            ("x-vp-sender-id", "SE1-FORGED"),
            ("x-vp-instance-id", "SE1-FORGED"),
            ("X-Anything", "1"),
            ("Accept-Encoding", "br"),
            ("x-anything", "2"),
            ("X-Forwarded-For", "192.0.2.7"),
        )
        await platform.carry(dataclasses.replace(incoming, query={"a": "b"}, raw_query="a=b"))
        (sent,) = platform.sent
        assert {name: sent.values(name) for name in expected} == expected
        assert "?a=b" not in sent.target.url

    @pytest.mark.parametrize("method", ["GET", "PUT", "PROPFIND"])
    async def test_the_method_is_the_consumers(self, platforms, method):
        platform = platforms()
        assert (await platform.carry(request(question(), method=method))).status == 200
        assert platform.sent[0].method == method

    @pytest.mark.parametrize("compat", [False, True])
    async def test_the_correlation_id_can_stay(self, platforms, compat):
        platform = platforms(compat=Compat(correlation_stays=compat))
        await platform.carry(request(question("SE1-PLATFORM-BEHIND")))
        assert len(platform.sent[0].values("x-skltp-correlation-id")) == (not compat)

    @pytest.mark.parametrize(
        ("address", "url"),
        [
            ("SE1-UNIT", "https://producer.test:8443/diagnosis?a=%C3%A5&b"),
            ("SE1-OWN", "unix:/run/own"),
        ],
    )
    async def test_the_query_can_be_passed_on(self, platforms, address, url):
        platform = platforms(compat=Compat(query_passed_on=True))
        incoming = request(question(address))
        await platform.carry(dataclasses.replace(incoming, query={"a": "å", "b": ""}, raw_query="a=%C3%A5&b"))
        assert platform.sent[0].target.url == url

    @pytest.mark.parametrize("status", [200, 500])
    async def test_to_the_consumer(self, platforms, status):
        """A relayed fault is an answer too."""
        body = reply() if status == 200 else FAULT
        theirs = (("Server", "theirs"), ("Content-Type", "text/plain"), ("X-A", "1"), ("SOAPAction", "x"))
        platform = platforms(answering(body, status=status, headers=(*theirs, ("x-skltp-prt", "0"))))
        answer = await platform.carry(request(question(), ("x-skltp-correlation-id", "abc")))
        assert (answer.status, header(answer, "x-skltp-correlation-id")) == (status, "abc")
        assert header(answer, "Content-Type") == "text/xml; charset=UTF-8"
        assert [name for name, _ in answer.headers][3:] == ["X-A"]
        assert [name for name, _ in answer.headers].count("x-skltp-prt") == 1

    async def test_a_fault_of_the_platform_has_no_producers_time(self, platforms):
        answer = await platforms().carry(request(question("SE1-NOBODY")))
        assert [name.lower() for name, _ in answer.headers] == ["content-type", "x-skltp-correlation-id"]

    async def test_the_producers_server_can_be_shown(self, platforms):
        platform = platforms(answering(headers=(("Server", "theirs"),)), compat=Compat(server_of_producer=True))
        assert header(await platform.carry(request(question())), "Server") == "theirs"

    @pytest.mark.parametrize(("compat", "body"), [(False, b"Too long.\n"), (True, b"")])
    async def test_plain_errors_can_be_empty(self, platforms, compat, body):
        platform = platforms(compat=Compat(plain_errors_empty=compat))
        answer = await platform.router.turn_away(request(b"", ("x-skltp-correlation-id", "abc")), 413, "Too long.")
        assert (answer.status, answer.body, header(answer, "x-skltp-correlation-id")) == (413, body, "abc")
        assert platform.record.outcome == "http-413"

    async def test_an_operators_filters_hold(self, platforms):
        rules = HeaderRules(request_remove="(?i)x-secret", response_remove="(?i)x-inner")
        platform = platforms(answering(headers=(("X-Inner", "1"), ("SOAPAction", "x"))), header_rules=rules)
        answer = await platform.carry(request(question(), ("X-Secret", "1"), ("X-Other", "2")))
        assert (platform.sent[0].values("x-secret"), platform.sent[0].values("x-other")) == ([], ["2"])
        assert (header(answer, "X-Inner"), header(answer, "SOAPAction")) == (None, "x")

    async def test_the_header_of_a_proxys_certificate_never_goes_on(self, platforms):
        platform = platforms(
            proxies={HsaId("SE1-PROXY"): "X-Special-Cert"}, header_rules=HeaderRules(request_keep=".*")
        )
        await platform.carry(request(question(), ("x_special_cert", "MII"), ("X-Vp-Auth-Cert", "MII")))
        assert not platform.sent[0].values("x_special_cert") + platform.sent[0].values("x-vp-auth-cert")
