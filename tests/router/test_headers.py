"""Which headers go on, as the incumbent has it."""

import pytest

from rivta.router.headers import extend_history, host_of, to_consumer, to_producer
from rivta.router.messages import Headers, ProducerAnswer
from tests.router.platforms import request


def sent(*headers: tuple[str, str], url: str = "https://p.test/x") -> Headers:
    return to_producer(
        request(b"", *headers),
        url=url,
        user_agent="agent",
        content_type="text/xml",
        original_consumer="SE1-ORIGINAL",
        correlation_id=None,
        history="SE1-A",
        sender="SE1-SENDER",
        platform="SE1-PLATFORM",
    )


def relayed(*headers: tuple[str, str]) -> Headers:
    return to_consumer(ProducerAnswer(200, "OK", headers, b""), correlation_id="c", producer_ms=12.6)


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


@pytest.mark.parametrize("name", ["Set-Cookie", "X-Anything", "Content-Encoding", "httpXmethod", "x-vp-x"])
def test_these_reach_the_consumer(name):
    assert relayed((name, "1")) == (*relayed(), (name, "1"))


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


@pytest.mark.parametrize(
    ("history", "extended"),
    [
        ("", "SE1-S#SE1-P"),
        ("SE1-A", "SE1-A#SE1-P"),
        ("SE1-A#SE1-B", "SE1-A#SE1-B#SE1-P"),
        ("SE1-PX", "SE1-PX#SE1-P"),
        ("se1-p", "se1-p#SE1-P"),
        ("SE1-P", None),
        ("SE1-A# SE1-P ", None),
        ("SE1-A#SE1-P#SE1-B", None),
    ],
)
def test_a_history_grows_by_this_platform_until_it_is_in_it(history, extended):
    assert extend_history(history, sender="SE1-S", platform="SE1-P") == extended
