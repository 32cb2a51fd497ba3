"""Get calls to single source systems, as an aggregating service makes them, and what came of each."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lxml import etree

from rivta.aggregation.answers import Content, Failure, read_content
from rivta.contracts import samples
from rivta.router.headers import CORRELATION_ID
from rivta.router.messages import Answer
from rivta.soap.identifiers import Profile
from rivta.soap.xml import parse_xml

if TYPE_CHECKING:
    import requests

    from rivta.aggregation.services import Service
    from rivta.contracts.domain import Contract
    from rivta.run.endpoints import Endpoints, Identity

CALLERS = {"national": "npo", "regional": "journal"}
"""The identity of the demo that may call most sources of a platform."""
SECONDS = 30.0
MOST_BYTES = 64 * 1024 * 1024
"""Of an answer: more than a platform passes on by default."""

_TIMESTAMP = re.compile(r"\d{14}")
_WRITTEN = frozenset({"authorTime", "blockComparisonTime", "documentTime", "signatureTime", "timestamp"})
"""In the header of a record: when it was written or signed (the common headers of the domains' contracts)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source has answered, read as an aggregate reads it."""

    correlation_id: str
    status: int
    """Of HTTP; 0 when there was no answer."""
    ms: float
    body: bytes = field(default=b"", repr=False)
    content: Content = field(default_factory=Content)

    @property
    def failure(self) -> Failure | None:
        """Why there are no records; None where the source has answered."""
        return self.content.failure

    @property
    def records(self) -> tuple[bytes, ...]:
        """The records, of whatever kind."""
        return tuple(one for kind in self.content.records for one in kind)


class SourceCaller:
    """Calls sources through one platform with one certificate; for one thread."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self._url = url
        self._session = session

    def get(self, contract: Contract, service: Service, address: str, patient: str) -> Fetched:
        """Asks for everything about the patient. Never raises for what the other side does.

        Raises FileNotFoundError for a contract without a sample, ValueError for what XML cannot hold.
        """
        import requests

        profiles = [profile for profile, _ in contract.wsdls if profile]
        profile = Profile.RIVTABP21 if Profile.RIVTABP21 in profiles or not profiles else profiles[0]
        message = samples.envelope(samples.request(contract, patient=patient), address, profile)
        correlation_id = str(uuid.uuid4())
        headers = {
            "Content-Type": "text/xml; charset=UTF-8",
            "SOAPAction": f'"{contract.soap_action}"',
            CORRELATION_ID: correlation_id,
        }
        began = time.perf_counter()
        try:
            with self._session.post(
                self._url, data=message, headers=headers, timeout=SECONDS, allow_redirects=False, stream=True
            ) as answer:
                body = _bounded(answer.iter_content(64 * 1024))
        except (requests.RequestException, OSError) as error:
            failure = Failure("-", f"no answer ({type(error).__name__})")
            return Fetched(correlation_id, 0, _since(began), content=Content(failure=failure))
        took = _since(began)
        if body is None:
            failure = Failure("-", f"the answer is longer than {MOST_BYTES} bytes")
            return Fetched(correlation_id, answer.status_code, took, content=Content(failure=failure))
        read = read_content(Answer(answer.status_code, tuple(answer.headers.items()), body), service)
        return Fetched(correlation_id, answer.status_code, took, body, read)


@contextmanager
def source_caller(endpoints: Endpoints, platform: str, identity: Identity) -> Iterator[SourceCaller]:
    """A way to the sources that a platform has routes to."""
    import requests

    with requests.Session() as session:
        session.trust_env = False  # a proxy in the environment is not for this machine
        session.cert, session.verify = (identity["cert"], identity["key"]), endpoints["ca"]
        yield SourceCaller(endpoints["platforms"][platform]["https"], session)


def newest(records: Iterable[bytes]) -> str | None:
    """When the newest of the records was written, `yyyyMMddHHmmss`, by their headers; None when none of them says."""
    return max((time for record in records for time in _times(record)), default=None)


def _times(record: bytes) -> Iterator[str]:
    header = next(parse_xml(record).iterchildren(etree.Element), None)
    for one in header.iter(etree.Element) if header is not None else ():
        text = (one.text or "").strip()
        if etree.QName(one).localname in _WRITTEN and _TIMESTAMP.fullmatch(text):
            yield text


def _bounded(pieces: Iterable[bytes]) -> bytes | None:
    """The whole; None for one that is too long."""
    whole = bytearray()
    for piece in pieces:
        whole += piece
        if len(whole) > MOST_BYTES:
            return None
    return bytes(whole)


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
