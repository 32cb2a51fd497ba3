"""Stub producers on real sockets, with mutual TLS, as a platform calls them."""

import asyncio
import io
import ssl

import aiohttp
import pytest
import yarl

from producers_stub.front import MAX_BYTES
from producers_stub.spoiling import spoiled
from rivta.contracts import samples
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.soap.wsgi import HttpAnswer
from rivta.soap.xml import parse_xml
from rivta.tls.contexts import client_context

from .conftest import TOKEN, Running

pytestmark = pytest.mark.sockets

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
DIAGNOSIS = "urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:2"
CONTACTS = "urn:riv:clinicalprocess:logistics:logistics:GetCareContactsResponder:3"
XML = {"Content-Type": "text/xml; charset=utf-8"}


def ask(address: str, *, patient: str = "191212121212") -> bytes:
    return (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Header><r:LogicalAddress xmlns:r="urn:riv:itintegration:registry:1">{address}'
        f'</r:LogicalAddress></s:Header><s:Body><q:GetDiagnosis xmlns:q="{DIAGNOSIS}" '
        'xmlns:c="urn:riv:clinicalprocess:healthcond:description:2"><q:patientId>'
        f"<c:id>{patient}</c:id><c:type>1.2.752.129.2.1.3.1</c:type></q:patientId></q:GetDiagnosis></s:Body></s:Envelope>"
    ).encode()


async def post(running: Running, producer: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    async with running.client.post(running.url(producer), data=body, headers={**XML, **headers}) as answer:
        return answer.status, await answer.read()


def is_valid(body: bytes) -> bool:
    contracts = Contracts.shipped()
    _, message, verdict = Validators(contracts).check_document(parse_xml(body))
    assert message == "response"
    return verdict.valid


@pytest.mark.parametrize(
    ("producer", "address"),
    [
        ("takecare-ks", "SE2321000016-KS"),
        ("takecare-sos", "SE2321000016-SOS"),
        ("vardbolaget", "SE5560123456-VC"),
        ("skane", "SE2321000255-SUS"),
    ],
)
async def test_each_producer_answers_from_its_own_journal(running: Running, producer: str, address: str) -> None:
    status, body = await post(running, producer, ask(address))

    assert status == 200
    assert f"sourceSystemHSAId>{address}<".encode() in body
    assert is_valid(body)


async def test_connections_are_kept(running: Running) -> None:
    body = ask("SE2321000016-KS")
    reader, writer = await asyncio.open_connection("localhost", running.ports["takecare-ks"], ssl=running.tls)
    for _ in range(3):
        writer.write(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 200")
        length = next(line for line in head.decode().split("\r\n") if line.startswith("Content-Length"))
        await reader.readexactly(int(length.partition(": ")[2]))
    writer.close()


async def test_a_fault_has_status_500_and_the_detail_that_was_set(running: Running) -> None:
    await running.set("SE2321000016-KS", behaviour="fault", detail="Databasen svarar inte")

    status, body = await post(running, "takecare-ks", ask("SE2321000016-KS"))

    assert status == 500
    fault = parse_xml(body).find(f".//{{{SOAP}}}Fault")
    assert fault is not None
    assert fault.findtext("faultcode") == "soap:Server"
    assert fault.findtext("detail/message") == "Databasen svarar inte"


async def test_an_empty_answer_is_200_without_a_body(running: Running) -> None:
    assert await post(running, "provoke", ask("SE2321000016-EMPTY")) == (200, b"")


async def test_an_invalid_answer_breaks_the_contract_and_nothing_else(running: Running) -> None:
    status, body = await post(running, "provoke", ask("SE2321000016-INVALID"))

    assert status == 200
    assert b"2025-03-03T13:00:00" in body
    assert not is_valid(body)


async def test_an_invalid_answer_without_records_is_invalid_too(running: Running) -> None:
    _, body = await post(running, "provoke", ask("SE2321000016-INVALID", patient="199001012385"))

    assert not is_valid(body)


async def test_an_error_code_comes_in_a_valid_answer_without_records(running: Running) -> None:
    status, body = await post(running, "provoke", ask("SE2321000016-ERROR"))

    answer = parse_xml(body)
    assert status == 200
    assert [answer.findtext(f".//{{*}}{name}") for name in ("resultCode", "errorCode")] == ["ERROR", "INVALID_REQUEST"]
    assert answer.find(".//{*}diagnosis") is None
    assert is_valid(body)


async def test_what_has_no_room_for_an_error_code_answers_without_records(running: Running) -> None:
    contract = Contracts.shipped().find("GetCareContacts:2")
    body = samples.envelope(samples.request(contract, "191212121212"), "SE2321000016-ERROR")

    status, answer = await post(running, "provoke", body)

    assert (status, is_valid(answer)) == (200, True)
    assert b"careContactHeader" not in answer


@pytest.mark.parametrize(
    ("patient", "outcomes"),
    [("199010022383", ["ERROR"] * 3), ("199011022382", ["OK", "OK", "fault"]), ("199006022389", ["OK"] * 3)],
    ids=["all with an error code", "one with a fault", "one empty"],
)
async def test_the_patient_decides_what_the_sources_of_a_situation_do(
    running: Running, patient: str, outcomes: list[str]
) -> None:
    answers = [await post(running, "situations", ask(f"SE2321000016-T0{n}", patient=patient)) for n in (1, 2, 3)]

    assert [parse_xml(body).findtext(".//{*}resultCode") or "fault" for _, body in answers] == outcomes


async def test_a_closing_address_answers_nothing(running: Running) -> None:
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await post(running, "provoke", ask("SE2321000016-CLOSE"))

    assert (await post(running, "takecare-ks", ask("SE2321000016-KS")))[0] == 200


async def test_a_slow_answer_comes_in_the_end(running: Running) -> None:
    await running.set("SE2321000016-KS", behaviour="slow", seconds=0.05)

    assert (await post(running, "takecare-ks", ask("SE2321000016-KS")))[0] == 200


async def test_any_number_of_slow_calls_wait_without_holding_up_the_others(running: Running) -> None:
    """Ten times as many as there are threads."""
    await running.set("SE2321000016-KS", behaviour="slow", seconds=60)
    slow = [asyncio.ensure_future(post(running, "takecare-ks", ask("SE2321000016-KS"))) for _ in range(40)]
    async with asyncio.timeout(20):
        while await calls_of(running, "SE2321000016-KS") < len(slow):
            pass

    status, _ = await post(running, "takecare-sos", ask("SE2321000016-SOS"))

    assert status == 200
    assert not any(one.done() for one in slow)
    for one in slow:
        one.cancel()


async def calls_of(running: Running, address: str) -> int:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with running.client.get(f"{running.admin}/stubs", headers=headers) as answer:
        shown = await answer.json()
    return next(
        int(one["calls"])
        for producer in shown["producers"]
        for one in producer["addresses"]
        if one["logical_address"] == address
    )


async def test_a_behaviour_for_one_call_is_over_after_it(running: Running) -> None:
    await running.set("SE2321000016-KS", behaviour="empty", calls=1)

    first = await post(running, "takecare-ks", ask("SE2321000016-KS"))
    second = await post(running, "takecare-ks", ask("SE2321000016-KS"))

    assert first == (200, b"")
    assert b"I48.0" in second[1]


async def test_an_address_that_is_not_its_own_is_answered_all_the_same(running: Running) -> None:
    """A call for a unit below the address, that was routed by its parent, arrives with the unit's id."""
    status, body = await post(running, "takecare-ks", ask("SE2321000016-KS-AKUT"))

    assert status == 200
    assert b"sourceSystemHSAId>SE2321000016-KS<" in body


@pytest.mark.parametrize(
    "body", [b"", b"<a", b"<!DOCTYPE a><a/>", b"\x00\xff" * 70_000], ids=["empty", "broken", "DOCTYPE", "large"]
)
async def test_what_is_not_xml_is_a_soap_fault_and_the_connection_goes_on(running: Running, body: bytes) -> None:
    status, answer = await post(running, "takecare-ks", body)

    assert status == 500
    assert b"soap:Client" in answer
    assert (await post(running, "takecare-ks", ask("SE2321000016-KS")))[0] == 200


async def test_a_large_message_is_answered(running: Running) -> None:
    padded = ask("SE2321000016-KS").replace(b"<s:Body>", b"<!--" + b"x" * 2_000_000 + b"--><s:Body>")

    async with running.client.post(running.url("takecare-ks"), data=io.BytesIO(padded), headers=XML) as answer:
        assert answer.status == 200


async def test_a_body_that_says_it_is_too_large_is_refused(running: Running) -> None:
    status = await raw(
        running, "takecare-ks", f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BYTES + 1}\r\n\r\n".encode()
    )

    assert b" 413 " in status


async def raw(running: Running, producer: str, request: bytes) -> bytes:
    """The first line of what comes back for these bytes."""
    reader, writer = await asyncio.open_connection("localhost", running.ports[producer], ssl=running.tls)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.readline(), 5)
    finally:
        writer.close()


async def test_a_wsdl_names_the_producer_that_it_was_read_from(running: Running) -> None:
    url = f"{running.url('skane')}clinicalprocess/healthcond/description/GetDiagnosis/2/rivtabp21"

    async with running.client.get(f"{url}?wsdl") as answer:
        wsdl = parse_xml(await answer.read())
    location = next(wsdl.iter("{http://schemas.xmlsoap.org/wsdl/soap/}address")).get("location")
    imported = next(wsdl.iter("{http://www.w3.org/2001/XMLSchema}import")).get("schemaLocation")

    assert location == url
    async with running.client.get(yarl.URL(imported or "", encoded=True)) as answer:
        assert parse_xml(await answer.read()).get("targetNamespace") == DIAGNOSIS


@pytest.mark.parametrize("path", ["", "?wsdl", "nothing/here?wsdl"])
async def test_a_get_of_anything_else_is_not_found(running: Running, path: str) -> None:
    async with running.client.get(running.url("skane") + path) as answer:
        assert answer.status == 404


async def test_a_caller_that_expects_100_continue_gets_it(running: Running) -> None:
    body = ask("SE2321000016-KS")
    reader, writer = await asyncio.open_connection("localhost", running.ports["takecare-ks"], ssl=running.tls)
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    writer.write(head.encode())

    assert await asyncio.wait_for(reader.readline(), 5) == b"HTTP/1.1 100 Continue\r\n"
    assert await reader.readline() == b"\r\n"
    writer.write(body)
    assert await asyncio.wait_for(reader.readline(), 5) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


async def test_a_caller_without_a_certificate_is_refused(running: Running) -> None:
    nobody = client_context(trusted=running.ca)

    with pytest.raises((ssl.SSLError, aiohttp.ClientError)):
        async with running.client.post(running.url("takecare-ks"), data=b"", ssl=nobody) as answer:
            await answer.read()


async def test_a_producer_speaks_plain_http_to_nobody(running: Running) -> None:
    with pytest.raises(aiohttp.ClientError):
        await running.client.get(f"http://localhost:{running.ports['takecare-ks']}/")


def test_a_spoiled_fault_is_left_as_it_is() -> None:
    fault = HttpAnswer(500, (), b"<fault/>")

    assert spoiled(fault) is fault
