"""What is answered before a call is a call."""

import uuid

import pytest

from rivta.router.front import ContractDocuments, Forwarded, front
from rivta.router.messages import Answer, Peer, Request
from rivta.soap.xml import parse_xml
from tests.router.platforms import contracts, header

DIAGNOSIS_PATH = "/vp/clinicalprocess/healthcond/description/GetDiagnosis/2/rivtabp21"


def ask(path: str, *, method: str = "POST", headers: tuple[tuple[str, str], ...] = (), **query: str) -> Request:
    return Request(method, path, query, headers, b"", Peer("192.0.2.1", None))


async def answer_to(request: Request) -> Answer:
    async def carry(request: Request) -> Answer:
        return Answer(299, (), b"carried")

    documents = ContractDocuments(contracts, "https://national.test:20010/vp")
    return await front(carry, path="/vp", documents=documents)(request)


@pytest.mark.parametrize("path", ["/vp", "/vp/", "/VP/any/thing", "/vp/clinicalprocess/wrong/contract", "/vpx"])
@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
async def test_everything_below_the_path_is_a_call(path, method):
    assert (await answer_to(ask(path, method=method))).body == b"carried"


@pytest.mark.parametrize("path", ["/", "/other", "/status", "/v", "//vp"])
async def test_other_paths_are_404_with_nothing(path):
    answer = await answer_to(ask(path, wsdl=""))
    assert (answer.status, answer.body, header(answer, "Content-Type")) == (404, b"", "text/plain")


async def test_options_are_told():
    options = await answer_to(ask("/vp", method="OPTIONS"))
    assert (options.status, "POST" in header(options, "Allow")) == (200, True)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "HEAD"])
async def test_a_method_that_can_carry_no_message_is_405(method):
    answer = await answer_to(ask("/vp", method=method))
    assert (answer.status, answer.close) == (405, method == "CONNECT")


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "PROPFIND"])
async def test_any_other_method_is_a_call(method):
    assert (await answer_to(ask("/vp", method=method))).body == b"carried"


async def test_the_server_as_a_whole_has_options_too():
    assert (await answer_to(ask("*", method="OPTIONS"))).status == 200
    assert (await answer_to(ask("*", method="POST"))).status == 404


@pytest.mark.parametrize("path", [DIAGNOSIS_PATH, DIAGNOSIS_PATH.upper(), DIAGNOSIS_PATH + "/"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_a_wsdl_is_served_with_the_platforms_own_address(path, method):
    answer = await answer_to(ask(path, method=method, wsdl=""))
    assert (answer.status, header(answer, "Content-Type")) == (200, "text/xml;UTF-8")
    addresses = [element.get("location") for element in parse_xml(answer.body).iter("{*}address")]
    assert addresses == [f"https://national.test:20010{DIAGNOSIS_PATH}"]


async def test_the_schemas_that_a_wsdl_imports_are_served_too():
    wsdl = parse_xml((await answer_to(ask(DIAGNOSIS_PATH, wsdl=""))).body)
    locations = [element.get("schemaLocation") for element in wsdl.iter("{*}import") if element.get("schemaLocation")]
    assert locations
    for location in locations:
        address, _, key = location.partition("?xsd=")
        assert address == f"https://national.test:20010{DIAGNOSIS_PATH}"
        assert (await answer_to(ask(DIAGNOSIS_PATH, xsd=key))).status == 200


async def test_a_path_without_wsdl_is_told_which_there_are():
    answer = await answer_to(ask("/vp/nothing/here", wsdl=""))
    assert (answer.status, header(answer, "Content-Type")) == (500, "text/plain;UTF-8")
    first, *lines = answer.body.decode().split("\n")
    assert first == "No wsdl found on this path, following wsdl paths is available:"
    assert f"https://national.test:20010{DIAGNOSIS_PATH}?wsdl" in lines


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ((), {"WSDL": "x"}),
        ((), {"a": "b", "wsdl": ""}),
        ((("wsdl", ""),), {}),
        ((("Wsdl", "anything"),), {"x": "y"}),
    ],
)
async def test_a_wsdl_is_asked_for_by_a_parameter_or_a_header_in_any_case(headers, query):
    assert (await answer_to(ask(DIAGNOSIS_PATH, headers=headers, **query))).status == 200


@pytest.mark.parametrize(
    ("headers", "query"),
    [((), {"xsdl": ""}), ((), {"x": "wsdl"}), ((("x-wsdl", ""),), {}), ((("SOAPAction", "wsdl"),), {"wsd": ""})],
)
async def test_nothing_else_asks_for_one(headers, query):
    assert (await answer_to(ask(DIAGNOSIS_PATH, headers=headers, **query))).body == b"carried"


async def test_a_schema_is_asked_for_by_a_header_too():
    by_header = await answer_to(ask(DIAGNOSIS_PATH, headers=(("XSD", "GetDiagnosisResponder_2.0.xsd"),)))
    by_both = await answer_to(ask(DIAGNOSIS_PATH, headers=(("xsd", "other"),), xsd="GetDiagnosisResponder_2.0.xsd"))
    assert by_header.status == by_both.status == 200
    assert by_header.body == by_both.body


@pytest.mark.parametrize(
    "key",
    ["no-such.xsd", "../../../../../../etc/passwd", "file:///etc/passwd", "", "<a>&\0", "å" * 10_000],
)
async def test_only_imported_schemas_are_served(key):
    """The rest is the incumbent's fault without a code."""
    answer = await answer_to(ask(DIAGNOSIS_PATH, xsd=key))
    assert (answer.status, header(answer, "Content-Type")) == (500, "text/xml; charset=UTF-8")
    text = parse_xml(answer.body).findtext(".//faultstring")
    assert text == f"Couldn't find xsd named {key}".replace("\0", "\ufffd")[:500]


@pytest.mark.parametrize(
    ("sent", "url"),
    [
        ((), "https://national.test:20010"),
        ((("X-VP-Forwarded-Host", "vp.region.se"),), "https://vp.region.se:20010"),
        ((("x-vp-forwarded-port", "443"),), "https://national.test:443"),
        ((("X-VP-Forwarded-Proto", "HTTP"),), "http://national.test:20010"),
        (
            (("X-VP-Forwarded-Proto", "http"), ("X-VP-Forwarded-Host", "[2001:db8::1]"), ("X-VP-Forwarded-Port", "1")),
            "http://[2001:db8::1]:1",
        ),
        ((("X-VP-Forwarded-Host", 'a"/><evil x="'),), "https://national.test:20010"),
        ((("X-VP-Forwarded-Host", "a/b"),), "https://national.test:20010"),
        ((("X-VP-Forwarded-Host", "user@evil"),), "https://national.test:20010"),
        ((("X-VP-Forwarded-Host", "a, b"),), "https://national.test:20010"),
        ((("X-VP-Forwarded-Host", "a" * 300),), "https://national.test:20010"),
        ((("X-VP-Forwarded-Port", "65536"),), "https://national.test:20010"),
        ((("X-VP-Forwarded-Port", "٣"),), "https://national.test:20010"),
        ((("X-VP-Forwarded-Port", "80 "),), "https://national.test:80"),
        ((("X-VP-Forwarded-Proto", "javascript"),), "https://national.test:20010"),
        ((("X-Forwarded-Host", "other"), ("Host", "other")), "https://national.test:20010"),
    ],
)
async def test_a_proxy_in_front_tells_where_its_clients_reach_it(sent, url):
    wsdl = parse_xml((await answer_to(ask(DIAGNOSIS_PATH, headers=sent, wsdl=""))).body)
    assert [element.get("location") for element in wsdl.iter("{*}address")] == [f"{url}{DIAGNOSIS_PATH}"]
    locations = [element.get("schemaLocation") for element in wsdl.iter("{*}import")]
    assert all(location.startswith(f"{url}{DIAGNOSIS_PATH}?xsd=") for location in locations if location)
    listed = (await answer_to(ask("/vp/none", headers=sent, wsdl=""))).body.decode()
    assert f"{url}{DIAGNOSIS_PATH}?wsdl" in listed


@pytest.mark.parametrize("own", ["https://vp.test/vp", "https://[2001:db8::1]/vp", "http://vp.test:80/vp"])
def test_what_no_header_says_is_as_configured(own):
    names = Forwarded(proto="A", host="B", port="C")
    assert names.url(own, ask("/vp")) == own
    assert names.url(own, ask("/vp", headers=(("X-VP-Forwarded-Host", "b"), ("A", "http"), ("B", "c")))) == (
        own.replace("https", "http").replace("vp.test", "c").replace("[2001:db8::1]", "c")
    )


@pytest.mark.parametrize("given", ["abc", None, "a\r\nX: y"])
async def test_every_answer_has_a_correlation_id(given):
    headers = (("x-skltp-correlation-id", given),) if given else ()
    asked: list[tuple[str, str, dict[str, str]]] = [
        ("/other", "POST", {}),
        ("/vp", "HEAD", {}),
        ("/vp", "OPTIONS", {}),
        ("/vp", "CONNECT", {}),
    ]
    asked += [(path, "GET", query) for path in (DIAGNOSIS_PATH, "/vp/no") for query in ({"wsdl": ""}, {"xsd": "no"})]
    for path, method, query in asked:
        request = ask(path, method=method, headers=headers, **query)
        told = header(await answer_to(request), "x-skltp-correlation-id")
        assert told == "abc" if given == "abc" else str(uuid.UUID(told)) == told
