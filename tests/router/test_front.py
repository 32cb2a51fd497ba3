"""What is answered before a call is a call."""

import uuid

import pytest

from rivta.router.front import ContractDocuments, front
from rivta.router.messages import Answer, Peer, Request
from rivta.soap.xml import parse_xml
from tests.router.platforms import contracts, header

DIAGNOSIS_PATH = "/vp/clinicalprocess/healthcond/description/GetDiagnosis/2/rivtabp21"


def ask(path: str, *, method: str = "POST", headers: tuple[tuple[str, str], ...] = (), **query: str) -> Request:
    return Request(method, path, query, headers, b"", Peer("192.0.2.1", None))


async def answer_to(request: Request) -> Answer:
    async def carry(request: Request) -> Answer:
        return Answer(299, (), b"carried")

    documents = ContractDocuments(contracts(), "https://national.test:20010/vp")
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
    assert (await answer_to(ask("/vp", method=method))).status == 405


@pytest.mark.parametrize("path", [DIAGNOSIS_PATH, DIAGNOSIS_PATH.upper(), DIAGNOSIS_PATH + "/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
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


@pytest.mark.parametrize("key", ["no-such.xsd", "../../../../../../etc/passwd", "file:///etc/passwd", ""])
async def test_only_imported_schemas_are_served(key):
    answer = await answer_to(ask(DIAGNOSIS_PATH, xsd=key))
    assert answer.status == 500
    assert answer.body.decode() == f"Couldn't find xsd named {key}"


@pytest.mark.parametrize("given", ["abc", None, "a\r\nX: y"])
async def test_every_answer_has_a_correlation_id(given):
    headers = (("x-skltp-correlation-id", given),) if given else ()
    for request in (ask("/other", headers=headers), ask(DIAGNOSIS_PATH, headers=headers, wsdl="")):
        told = header(await answer_to(request), "x-skltp-correlation-id")
        assert told == "abc" if given == "abc" else str(uuid.UUID(told)) == told
