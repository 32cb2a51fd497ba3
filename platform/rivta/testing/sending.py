"""Sending one message over HTTPS: the router's own client, so that every wait has an end and every answer a bound."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from rivta.router.client import ProducerClient
from rivta.router.messages import ProducerFailure, Target, Trouble
from rivta.testing.answers import Answer
from rivta.testing.cases import MOST_FILE_BYTES
from rivta.testing.targets import Identity, TargetRefused, Targets
from rivta.tls.contexts import ClientContext, TlsSetupError, client_context
from rivta.tls.targets import UnknownIdentity

_CONNECT_SECONDS = 10.0
_WORDS = {
    Trouble.CANNOT_CONNECT: "nothing listens there, or it cannot be reached",
    Trouble.CONNECT_TIMEOUT: "no connection in time",
    Trouble.RESET: "the connection broke",
    Trouble.TIMEOUT: "no whole answer in time",
    Trouble.TLS: "TLS failed",
    Trouble.NO_ANSWER: "the connection was closed without an answer",
    Trouble.TOO_LARGE: "the answer is too long",
    Trouble.BAD_ANSWER: "the answer is not HTTP",
    Trouble.CUT_SHORT: "the connection was closed within the answer",
    Trouble.NO_IDENTITY: "there is no such certificate",
}


class Unanswered(Exception):
    """No whole answer came: why, in one line."""


class Sending(Protocol):
    """How a message gets its answer; a test may have one without a network."""

    async def send(
        self, url: str, identity: Identity, headers: tuple[tuple[str, str], ...], body: bytes, *, seconds: float
    ) -> Answer:
        """The answer. Raises Unanswered."""


class HttpsSending:
    """Messages over HTTPS, with kept-alive connections per certificate; an asynchronous context manager."""

    def __init__(self, targets: Targets) -> None:
        """Raises TargetRefused for a certificate that cannot be used."""
        self._contexts = _Contexts(targets)
        self._client = ProducerClient(self._contexts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def send(
        self, url: str, identity: Identity, headers: tuple[tuple[str, str], ...], body: bytes, *, seconds: float
    ) -> Answer:
        """The answer, whatever its status. Raises Unanswered."""
        target = Target(
            url=url,
            connect_seconds=_CONNECT_SECONDS,
            answer_seconds=seconds,
            max_answer_bytes=MOST_FILE_BYTES,
            client_certificate=identity.name,
        )
        began = time.perf_counter()
        try:
            found = await self._client.send(target, method="POST", headers=headers, body=body)
        except ProducerFailure as error:
            raise Unanswered(f"{url}: {_WORDS[error.trouble]} ({error.message})") from error
        return Answer(found.status, found.headers, found.body, time.perf_counter() - began)


class _Contexts:
    """A TLS context for each identity."""

    def __init__(self, targets: Targets) -> None:
        self._made: Mapping[str, ClientContext] = {}
        if not any(url.lower().startswith("https:") for url in targets.urls.values()):
            return
        try:
            self._made = {
                one.name: client_context(certificate=one.certificate, key=one.key, trusted=targets.trusted)
                for one in targets.identities
            }
        except TlsSetupError as error:
            raise TargetRefused(str(error)) from error

    def choose(self, url: str, client_certificate: str | None = None, ca: str | None = None) -> ClientContext:
        """The context of an identity, by its name."""
        try:
            return self._made[client_certificate or ""]
        except KeyError:
            raise UnknownIdentity(client_certificate) from None
