"""Notifications over real TLS on the loopback, to a listener that shows the platform's own certificate."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from aiohttp import web

from rivta.index.outbox import Notification
from rivta.run.index_door import RouterDoor, why_not_taken
from rivta.run.settings import Settings
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.xml import parse_xml
from rivta.tls.authority import Authority, Issued
from rivta.tls.contexts import server_context
from rivta.tls.sender import sender_from_certificate
from tests.index.built import NATIONAL, REGIONAL, TOLVAN, gone, put
from tests.run.services.served import message
from tests.run.test_settings import LEAST

OK = message(
    f'<n:ProcessNotificationResponse xmlns:n="{namespaces.PROCESS_NOTIFICATION_1}"><n:ResultCode>ERROR</n:ResultCode>'
    "</n:ProcessNotificationResponse>"
)
ONE = Notification(
    subscriber=NATIONAL, ids=(1,), correlation_id="c1", transactions=(put(REGIONAL), gone(REGIONAL)), attempts=0
)


def faulted(text: str) -> bytes:
    return message(
        f'<s:Fault xmlns:s="{namespaces.SOAP_ENVELOPE}"><faultcode>s:Server</faultcode><faultstring>{text}'
        "</faultstring></s:Fault>"
    )


@dataclass
class Platform:
    """A listener that answers what the test says, and what it saw last."""

    answer: Callable[[], Awaitable[web.Response]]
    door: RouterDoor
    seen: list[tuple[str, bytes, str]] = field(default_factory=list)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        sender = sender_from_certificate(tls.getpeercert(True)) if tls else None
        body = await request.content.read()
        self.seen.append((str(sender.hsa_id if sender else None), body, request.headers["x-skltp-correlation-id"]))
        return await self.answer()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("ca") / "certs")


@pytest.fixture(scope="module")
def own(authority: Authority) -> Issued:
    return authority.issue("own", hsa_id=REGIONAL, common_name="p", organisation="O", hosts=["platform.test"])


@pytest.fixture
async def platform(authority: Authority, own: Issued) -> AsyncIterator[Platform]:
    async def ok() -> web.Response:
        return web.Response(body=OK)

    door = RouterDoor("", own.certificate, own.key, answer_seconds=5)
    made = Platform(ok, door)
    tls = server_context(certificate=own.certificate, key=own.key, trusted=authority.ca)
    server = await asyncio.get_running_loop().create_server(web.Server(made.serve), "127.0.0.1", 0, ssl=tls)
    made.door = replace(door, url=f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/vp")
    yield made
    server.close()


@pytest.mark.sockets
async def test_it_goes_as_the_platform_to_the_subscriber_with_the_correlation_id(platform: Platform) -> None:
    assert await platform.door.send(ONE) == ""
    ((sender, body, correlation_id),) = platform.seen
    head = read_head(parse_xml(body))
    assert (sender, correlation_id, head.logical_address) == (REGIONAL, "c1", NATIONAL)
    assert head.contract == namespaces.PROCESS_NOTIFICATION_1
    assert body.count(b"<index:deleteFlag>true") == 1


@pytest.mark.sockets
async def test_a_fault_says_why_without_saying_about_whom(platform: Platform) -> None:
    async def refuse() -> web.Response:
        return web.Response(status=500, body=faulted(f"EI004: about\n {TOLVAN} and 19121212-1212"))

    platform.answer = refuse
    assert await platform.door.send(ONE) == "EI004: about xxxxxxxxxxxx and xxxxxxxxxxxxx"


@pytest.mark.sockets
async def test_no_answer_in_time_and_no_listener_are_told(platform: Platform) -> None:
    async def hang() -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    platform.answer = hang
    assert await replace(platform.door, answer_seconds=0.2).send(ONE) == "no answer within 0.2 s"
    assert "ClientConnectorError" in await replace(platform.door, url="https://127.0.0.1:9/vp").send(ONE)


@pytest.mark.sockets
async def test_an_answer_that_comes_in_pieces_is_read_whole(platform: Platform) -> None:
    async def chatty() -> web.Response:
        return web.Response(body=OK.replace(b"</n:ProcessN", b"<!--" + 900_000 * b" " + b"--></n:ProcessN"))

    platform.answer = chatty
    assert await platform.door.send(ONE) == ""


@pytest.mark.sockets
async def test_an_answer_that_is_too_long_is_none(platform: Platform) -> None:
    async def too_long() -> web.Response:
        return web.Response(body=9_000_000 * b" " + OK)

    platform.answer = too_long
    assert await platform.door.send(ONE) == "HTTP 200, and no answer of ProcessNotification"


@pytest.mark.sockets
async def test_a_listener_with_another_certificate_is_told_nothing(platform: Platform, authority: Authority) -> None:
    other = authority.issue("other", hsa_id="SE1", common_name="o", organisation="O", hosts=["127.0.0.1"])
    door = replace(platform.door, certificate=other.certificate, key=other.key)
    assert "ssl" in (await door.send(ONE)).lower()
    assert platform.seen == []


@pytest.mark.sockets
async def test_a_certificate_that_is_gone_is_told(platform: Platform, tmp_path: Path) -> None:
    assert "gone.pem" in await replace(platform.door, certificate=tmp_path / "gone.pem").send(ONE)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, OK, ""),  # the result code is not looked at, as with the incumbent
        (200, faulted("EI000"), "EI000"),
        (500, faulted(""), "a fault without words"),
        (500, OK, "HTTP 500, and no answer of ProcessNotification"),
        (503, b"busy", "HTTP 503, and no answer of ProcessNotification"),
        (200, message("<x/>"), "HTTP 200, and no answer of ProcessNotification"),
        (200, b"", "HTTP 200, and no answer of ProcessNotification"),
        (500, faulted("x" * 500), "x" * 300),
    ],
)
def test_fault_and_status_decide(status: int, body: bytes, reason: str) -> None:
    assert why_not_taken(status, body) == reason


@pytest.mark.parametrize(
    ("https", "url"),
    [
        ("127.0.0.1:20010", "https://127.0.0.1:20010/vp"),
        ("0.0.0.0:443", "https://127.0.0.1:443/vp"),
        ("[::]:443", "https://[::1]:443/vp"),
        ("platform.region.se:443", "https://platform.region.se:443/vp"),
    ],
)
def test_the_door_is_the_platforms_own_listener(https: str, url: str, tmp_path: Path) -> None:
    settings = Settings.parse(LEAST | {"listen": {"https": https}}, tmp_path / "platform.toml")
    assert RouterDoor.of(settings).url == url
