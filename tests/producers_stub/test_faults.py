"""Faults on demand: what a caller of a stub producer meets on the wire, and how each of them ends."""

import asyncio
import socket
import ssl
import time
from typing import Any

import aiohttp
import pytest

from producers_stub.spoiling import GARBAGE
from rivta.contracts import samples
from rivta.contracts.installed import Contracts
from rivta.soap.xml import XmlRefused, parse_xml

from .conftest import Running
from .test_front import XML, ask, is_valid, post

pytestmark = pytest.mark.sockets

KS = "SE2321000016-KS"


async def call(running: Running, **headers: str) -> tuple[int, bytes]:
    return await post(running, "takecare-ks", ask(KS), **headers)


async def test_a_status_comes_with_the_page_of_a_proxy(running: Running) -> None:
    await running.set(KS, behaviour="status", status=502)

    status, body = await call(running)

    assert (status, b"502 Bad Gateway" in body) == (502, True)


async def test_a_truncated_answer_ends_before_its_length(running: Running) -> None:
    await running.set(KS, behaviour="truncated")

    with pytest.raises(aiohttp.ClientPayloadError):
        await call(running)


async def test_a_dripping_answer_comes_whole(running: Running) -> None:
    _, whole = await call(running)
    await running.set(KS, behaviour="drip", over=0.05)

    assert len((await call(running))[1]) == len(whole)


async def test_a_dripping_answer_is_ended_by_clearing(running: Running) -> None:
    await running.set(KS, behaviour="drip", over=3600, calls=1)
    dripping = asyncio.ensure_future(call(running))
    await until_received(running, 1)

    await running.ask_admin("DELETE", "/stubs")

    status, body = await asyncio.wait_for(dripping, 20)
    assert (status, is_valid(body)) == (200, True)


async def test_a_reset_is_one_of_tcp(running: Running) -> None:
    await running.set(KS, behaviour="reset")

    with pytest.raises((aiohttp.ClientOSError, ConnectionResetError)):
        await call(running)


async def test_garbage_is_no_xml(running: Running) -> None:
    await running.set(KS, behaviour="garbage")

    assert await call(running) == (200, GARBAGE)
    with pytest.raises(XmlRefused):
        parse_xml(GARBAGE)


async def test_an_answer_in_another_charset_than_it_says_cannot_be_read(running: Running) -> None:
    await running.set(KS, behaviour="charset")

    _, body = await call(running)

    assert b"encoding='UTF-8'" in body
    with pytest.raises(UnicodeDecodeError):
        body.decode()


async def test_an_answer_of_another_contract_is_a_valid_one(running: Running) -> None:
    await running.set(KS, behaviour="wrong-contract")

    _, body = await call(running)

    assert b"PingForConfigurationResponse" in body
    assert is_valid(body)


async def test_an_oversized_answer_has_the_size_asked_for(running: Running) -> None:
    await running.set(KS, behaviour="oversized", size=300_000)

    assert len((await call(running))[1]) == 300_000


async def test_an_answer_of_ones_own_has_values_of_the_request(running: Running) -> None:
    body = "<a><p>${patient}</p><t>${request:patientId/type}</t><h>${header:X-One}</h><n>$${now}</n>${caller}</a>"
    await running.set(KS, behaviour="answer", body=body)

    _, answer = await call(running, **{"X-One": "<&>"})

    root = parse_xml(answer)
    assert [root.findtext(f".//{name}") for name in "pthn"] == [
        "191212121212",
        "1.2.752.129.2.1.3.1",
        "<&>",
        "${now}",
    ]
    assert b"SE1-caller" in answer


async def test_an_answer_made_from_the_schema_is_valid_and_about_the_patient(running: Running) -> None:
    contract = Contracts.shipped().find("GetAlertInformation:2")
    request = samples.envelope(samples.request(contract, "198507099805"), KS)
    await running.set(KS, behaviour="generated", seed=4)

    first, second = [await post(running, "takecare-ks", request) for _ in range(2)]

    assert first == second
    assert is_valid(first[1])


@pytest.mark.parametrize("behaviour", ["expired-certificate", "wrong-certificate"])
async def test_a_bad_certificate_is_shown_and_taken_back(running: Running, behaviour: str) -> None:
    assert (await call(running))[0] == 200
    await running.set("takecare-ks", behaviour=behaviour)

    with pytest.raises(aiohttp.ServerDisconnectedError):  # the connection of before is cut
        await call(running)
    with pytest.raises(aiohttp.ClientConnectorCertificateError) as caught:
        await call(running)
    told = str(caught.value.certificate_error)
    assert ("expired" if behaviour == "expired-certificate" else "Hostname mismatch") in told

    assert (await post(running, "takecare-sos", ask("SE2321000016-SOS")))[0] == 200
    await running.ask_admin("DELETE", "/stubs")
    assert (await call(running))[0] == 200


async def test_a_stopped_producer_refuses_connections_until_it_is_reset(running: Running) -> None:
    await running.set(KS, behaviour="stopped")

    for _ in range(2):
        with pytest.raises(aiohttp.ClientConnectorError, match="Connect call failed|refused"):
            await call(running)

    await running.ask_admin("DELETE", "/stubs/takecare-ks")
    assert (await call(running))[0] == 200


async def test_a_producer_stopped_for_a_time_listens_again_by_itself(running: Running) -> None:
    await running.set("takecare-ks", behaviour="stopped", lasts=0.05)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(probe, ("127.0.0.1", running.ports["takecare-ks"]))
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0)
    assert (await call(running))[0] == 200


async def test_a_wait_is_ended_by_a_reset(running: Running) -> None:
    await running.set(KS, behaviour="slow", seconds=3600)
    waiting = asyncio.ensure_future(call(running))
    await until_received(running, 1)

    await running.ask_admin("DELETE", f"/stubs/{KS}")

    assert (await asyncio.wait_for(waiting, 20))[0] == 200


async def test_what_was_received_is_kept_as_the_producer_saw_it(running: Running) -> None:
    await running.set(KS, behaviour="status", status=503)
    await call(running, **{"X-One": "1", "Cookie": "secret"})

    shown = await received(running, bodies="1")

    (seen,) = shown["calls"]
    assert (seen["number"], seen["logical_address"], seen["caller"]) == (1, KS, "SE1-caller")
    assert (seen["behaviour"], seen["status"]) == ("status", 503)
    assert seen["body"] == ask(KS).decode()
    assert ["X-One", "1"] in seen["headers"]
    assert ["Content-Type", XML["Content-Type"]] in seen["headers"]
    assert "secret" not in str(shown)
    assert (await running.ask_admin("GET", "/received/1"))["body"] == ask(KS).decode()


async def test_received_calls_are_found_by_number_and_address_without_bodies(running: Running) -> None:
    await call(running)
    await post(running, "takecare-sos", ask("SE2321000016-SOS"))
    await call(running)

    shown = await received(running, after="1", logical_address=KS.lower())

    assert [one["number"] for one in shown["calls"]] == [3]
    assert shown["last"] == 3
    assert "191212121212" not in str(shown)
    assert await running.ask_admin("DELETE", "/received") == {"forgotten": 3}


async def received(running: Running, **params: str) -> Any:
    return await running.ask_admin("GET", "/received", params=params)


async def until_received(running: Running, number: int) -> None:
    async with asyncio.timeout(20):
        while (await received(running))["last"] < number:
            pass


async def test_a_handshake_that_meets_a_bad_certificate_is_refused_by_any_client(running: Running) -> None:
    """Without a name in its hello, too."""
    await running.set("takecare-ks", behaviour="expired-certificate")
    plain = ssl.create_default_context(cafile=running.ca)
    plain.check_hostname = False

    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        await asyncio.open_connection("127.0.0.1", running.ports["takecare-ks"], ssl=plain)


def shown_to(running: Running, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession | None]:
    """A whole call by a client that resumes its sessions, as the router does; whether this was one."""
    plain = running.tls
    with (
        socket.create_connection(("127.0.0.1", running.ports["takecare-ks"]), timeout=20) as connection,
        ssl.SSLContext.wrap_socket(plain, connection, server_hostname="localhost", session=session) as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while tls.recv(65536):
            pass
        return bool(tls.session_reused), tls.session


async def test_a_caller_that_resumes_its_session_meets_the_bad_certificate_too(running: Running) -> None:
    _, session = await asyncio.to_thread(shown_to, running)
    assert (await asyncio.to_thread(shown_to, running, session))[0]

    await running.set("takecare-ks", behaviour="wrong-certificate")

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await asyncio.to_thread(shown_to, running, session)
