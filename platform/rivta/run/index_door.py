"""How an index's notifications leave: through the router's own https listener, with the platform's own certificate.

So they are ordinary calls: decided by the tables, recorded, and sent on as any consumer's.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from lxml import etree

from rivta.audit.payloads import masked
from rivta.contracts import samples
from rivta.index.outbox import Notification
from rivta.index.wire import changes_element
from rivta.run.ports import host_and_port
from rivta.run.settings import Settings
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.identifiers import CORRELATION_ID, Profile
from rivta.soap.xml import XmlRefused, parse_xml
from rivta.tls.contexts import own_door_context

_CONNECT_SECONDS = 10.0
_LONGEST_ANSWER = 1024 * 1024
_LONGEST_REASON = 300
_FAULT = f"{{{namespaces.SOAP_ENVELOPE}}}Fault"
_RESPONSE = f"{{{namespaces.PROCESS_NOTIFICATION_1}}}ProcessNotificationResponse"
_LOOPBACKS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class RouterDoor:
    """The platform's own listener, for calls of its own."""

    url: str
    certificate: Path
    key: Path
    answer_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> RouterDoor:
        """That of a platform, on this machine."""
        host, port = host_and_port(settings.listen.https)
        host = _LOOPBACKS.get(host, host)
        return cls(
            url=f"https://{f'[{host}]' if ':' in host else host}:{port}/vp",
            certificate=settings.tls.certificate,
            key=settings.tls.key,
            answer_seconds=settings.index.answer_seconds,
        )

    async def send(self, one: Notification) -> str:
        """Sends a notification: why it was not taken, in words that name nobody; empty when it was."""
        headers = {
            "Content-Type": "text/xml; charset=UTF-8",
            "SOAPAction": '""',
            CORRELATION_ID: one.correlation_id,
        }
        timeout = aiohttp.ClientTimeout(total=self.answer_seconds, sock_connect=_CONNECT_SECONDS)
        try:
            # Of this moment: a renewed certificate is shown from the next notification on.
            tls = own_door_context(certificate=self.certificate, key=self.key)
            message = await asyncio.to_thread(_message, one)
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
                session.post(self.url, data=message, headers=headers, ssl=tls, allow_redirects=False) as answer,
            ):
                return why_not_taken(answer.status, await _whole(answer.content))
        except TimeoutError:
            return f"no answer within {self.answer_seconds:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _short(f"{self.url}: {type(error).__name__}: {error}")


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """All of an answer, however it comes; of one that is too long only what shows that it is."""
    read = bytearray()
    while len(read) <= _LONGEST_ANSWER and (piece := await content.readany()):
        read += piece
    return bytes(read)


def _message(one: Notification) -> bytes:
    payload = changes_element(namespaces.PROCESS_NOTIFICATION_1, "ProcessNotification", one.transactions)
    return samples.envelope(etree.tostring(payload), one.subscriber, Profile.RIVTABP21)


def why_not_taken(status: int, body: bytes) -> str:
    """What an answer says against its being taken; empty for a response. Its result code is not looked at, as with the
    incumbent: fault or no fault decides."""
    try:
        payload = read_head(parse_xml(body)).payload
    except XmlRefused:
        payload = None
    if payload is not None and payload.tag == _FAULT:
        return _short(payload.findtext("faultstring") or "a fault without words")
    if status == 200 and payload is not None and payload.tag == _RESPONSE:
        return ""
    return f"HTTP {status}, and no answer of ProcessNotification"


def _short(text: str) -> str:
    """On one line, and without what looks like a personal number."""
    words = masked(_SPACE.sub(" ", text).encode("utf-8", "replace"))
    return ("" if words is None else words.decode("utf-8", "replace"))[:_LONGEST_REASON] or "an answer without words"
