"""The call that proves a pair ready: a consumer's, through both platforms, to a stub producer and back."""

import asyncio
import http.client
import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rivta.contracts import samples
from rivta.contracts.installed import Contracts
from rivta.run.endpoints import Endpoints
from rivta.soap.identifiers import Profile
from rivta.tls.contexts import client_context

_DECIDED_BY_TABLES = frozenset({"VP004", "VP006", "VP007", "VP010"})
_FAULT = re.compile(
    rb"<faultstring[^>]*>(.*?)</faultstring>.*?(?:<detailString[^>]*>(.*?)</detailString>|</)", re.DOTALL
)
_CODE = re.compile(r"VP\d{3}")
_ATTEMPT_SECONDS = 30.0
_PAUSE_SECONDS = 0.1


class NotAnswered(RuntimeError):
    """The call was not answered; the message says what came instead."""

    def __init__(self, reason: str, *, by_tables: bool) -> None:
        super().__init__(reason)
        self.by_tables = by_tables
        """The platform works, and its routing tables say no."""


@dataclass(frozen=True, slots=True)
class FirstCall:
    """A GetDiagnosis call, ready to be sent to a platform's `/vp`."""

    url: str
    body: bytes
    certificate: Path
    key: Path
    ca: Path

    @classmethod
    def through(cls, endpoints: Endpoints) -> "FirstCall":
        """The NPÖ's call, through the national platform, to the first producer behind the regional one."""
        identity = endpoints["identities"]["npo"]
        contract = Contracts.shipped().find("GetDiagnosis:2")
        payload = samples.request(contract, endpoints["patients"][0]["id"])
        address = endpoints["producers"][0]["logical_addresses"][0]
        return cls(
            url=endpoints["platforms"]["national"]["https"],
            body=samples.envelope(payload, address, Profile.RIVTABP21),
            certificate=Path(identity["cert"]),
            key=Path(identity["key"]),
            ca=Path(endpoints["ca"]),
        )

    def send(self) -> None:
        """Send it, once. Raises NotAnswered."""
        target = urlsplit(self.url)
        tls = client_context(certificate=self.certificate, key=self.key, trusted=self.ca)
        connection = http.client.HTTPSConnection(
            target.hostname or "", target.port, context=tls, timeout=_ATTEMPT_SECONDS
        )
        headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'}
        try:
            connection.request("POST", target.path, self.body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotAnswered(f"{type(error).__name__}: {error}", by_tables=False) from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise _refused(answer.status, content)

    async def send_until_answered(self, *, seconds: float, tables_seconds: float) -> None:
        """Send it again and again until it is answered; after `seconds`, raises NotAnswered with the last reason.

        `tables_seconds` is how long a refusal by the routing tables is not believed.
        """
        started = time.monotonic()
        while True:
            try:
                return await asyncio.to_thread(self.send)
            except NotAnswered as error:
                if time.monotonic() - started >= (tables_seconds if error.by_tables else seconds):
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)


def _refused(status: int, content: bytes) -> NotAnswered:
    fault = _FAULT.search(content)
    if fault is None:
        return NotAnswered(f"HTTP status {status}", by_tables=False)
    text = ": ".join(part.decode("utf-8", "replace") for part in fault.groups() if part)
    code = _CODE.match(text)
    return NotAnswered(text, by_tables=code is not None and code.group() in _DECIDED_BY_TABLES)
