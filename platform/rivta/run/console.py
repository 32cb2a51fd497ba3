"""The console's process: the pages of the patient overview. It has sessions, and nothing that outlives it.

It opens no database and no tables: the national platform's keeper writes its access log and tells what the tables say,
and everything about a patient comes by calls to the national platform's https door. So it loads neither spyne, nor
SQLAlchemy, nor YAML.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import ssl
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

from rivta.audit.access.entry import Entry, columns_of
from rivta.catalogue.decision import Outcome
from rivta.router.client import ProducerClient
from rivta.router.messages import Answer, ProducerFailure, Target, Trouble
from rivta.run.child import Child
from rivta.run.chores import every
from rivta.run.output import log_to_stderr
from rivta.run.ports import BACKLOG
from rivta.soap.identifiers import CORRELATION_ID, ContractNamespace, short_name
from rivta.tls.contexts import ClientContext, TlsSetupError, client_context, load_identity
from rivta.viewer.asking import Asking, NotAnswered, NotAsked, Rules, Said
from rivta.viewer.emulated import Emulated
from rivta.viewer.looking import Look, Looking, NotRecorded, basis_of
from rivta.viewer.pages import Viewer, viewer_application
from rivta.viewer.sessions import Sessions

_log = logging.getLogger("rivta.run.console")

IDLE = timedelta(minutes=15)
WARN_BEFORE = timedelta(minutes=2)
_SWEEP_SECONDS = 1.0
_IDENTITY_SECONDS = 60.0
_ADMIN_SECONDS = 15.0
"""For an entry of the access log: its database may take ten."""
_CONNECT_SECONDS = 2.0
_LONGEST_ANSWER = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """What the process is told when it starts. Paths are absolute."""

    hosts: tuple[str, ...]
    """What a request may name as its host, with the port."""
    hsa_id: str
    """The overview's own, as the consumer that it is."""
    certificate: Path
    key: Path
    trusted: Path
    national: str
    """URL of the national platform's https door."""
    admin: str
    """Base URL of its admin API."""
    token: Path
    """File with the viewer's token."""
    index_address: str
    register_address: str
    log_address: str

    @classmethod
    def load(cls, file: Path) -> ConsoleSettings:
        """Raises ValueError naming the file and what is wrong with it."""
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))["console"]
            for name in ("certificate", "key", "trusted", "token"):
                content[name] = Path(content[name])
            content["hosts"] = tuple(content["hosts"])
            return cls(**content)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file}: {error!r}") from error


def main(config: Path, child: Child) -> None:
    """Serves the pages until the supervisor says stop. Raises ValueError for settings that cannot be used."""
    log_to_stderr()
    uvloop.run(_serve(ConsoleSettings.load(config), child))


async def _serve(settings: ConsoleSettings, child: Child) -> None:
    identity = OwnIdentity(settings)
    client = ProducerClient(identity)
    platform = NationalPlatform(client, settings.national)
    sessions = Sessions(now=_now, idle=IDLE)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        keeper = await stack.enter_async_context(Keeper(settings))
        application = viewer_application(viewer(settings, platform, keeper, sessions))
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, child.listeners["console"], backlog=BACKLOG).start()
        chores = [
            asyncio.create_task(every(_SWEEP_SECONDS, lambda: _sweep(sessions))),
            asyncio.create_task(every(_IDENTITY_SECONDS, identity.refresh)),
        ]
        gc.freeze()  # what was loaded stays
        child.ready()
        await child.stopped()
        for chore in chores:
            chore.cancel()
        sessions.wipe()


def viewer(settings: ConsoleSettings, platform: NationalPlatform, keeper: Keeper, sessions: Sessions) -> Viewer:
    """The pages' parts, put together."""
    rules = Rules(settings.index_address, settings.register_address)

    def asking_of(look: Look) -> Asking:
        return Asking(
            platform,
            keeper,
            rules,
            patient=look.patient,
            basis=basis_of(look),
            correlation_id=look.correlation_id,
            now=_now(),
        )

    return Viewer(
        sessions=sessions,
        looking=Looking(keeper, asking_of, now=_now),
        log=keeper,
        platform=platform,
        emulated=Emulated.load(),
        log_address=settings.log_address,
        hosts=settings.hosts,
        is_tls=False,
        warn_before=WARN_BEFORE,
        now=_now,
    )


class OwnIdentity:
    """The overview's certificate, the newest that there is."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._certificate, self._key = settings.certificate, settings.key
        self._context = client_context(certificate=self._certificate, key=self._key, trusted=settings.trusted)
        self._seen = self._certificate.stat().st_mtime_ns

    def choose(self, url: str, client_certificate: str | None = None, ca: str | None = None) -> ClientContext:
        """The context for every call."""
        return self._context

    async def refresh(self) -> None:
        """Takes a renewed certificate into use; one that cannot be used is told, and the old one stays."""
        try:
            seen = self._certificate.stat().st_mtime_ns
            if seen != self._seen:
                load_identity(self._context, certificate=self._certificate, key=self._key)
                self._seen = seen
        except (OSError, TlsSetupError, ssl.SSLError) as error:
            _log.error("the overview's certificate is not taken into use: %s", error)


class NationalPlatform:
    """The national platform's https door."""

    def __init__(self, client: ProducerClient, url: str) -> None:
        self._client = client
        self._url = url

    async def call(self, contract: str, message: bytes, *, correlation_id: str, seconds: float) -> Answer:
        """The answer to a message, whatever its status. Raises NotAnswered."""
        operation = short_name(ContractNamespace(contract)).partition(":")[0]
        headers = (
            ("Content-Type", "text/xml; charset=UTF-8"),
            ("SOAPAction", f'"{contract}:{operation}"'),
            (CORRELATION_ID, correlation_id),
        )
        target = Target(self._url, _CONNECT_SECONDS, seconds, _LONGEST_ANSWER)
        try:
            answer = await self._client.send(target, method="POST", headers=headers, body=message)
        except ProducerFailure as failure:
            is_slow = failure.trouble is Trouble.TIMEOUT
            raise NotAnswered(
                f"no answer from the national platform: {failure.trouble.value}", is_slow=is_slow
            ) from failure
        return Answer(answer.status, answer.headers, answer.body)


class Keeper:
    """The national platform's keeper, by its admin API and the viewer's token."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Keeper:
        limit = aiohttp.ClientTimeout(total=_ADMIN_SECONDS, sock_connect=_CONNECT_SECONDS)
        self._session = aiohttp.ClientSession(timeout=limit, trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def record(self, *entries: Entry) -> Sequence[str]:
        """The ids of the entries, all of which are durable. Raises NotRecorded.

        An entry that was sent is not sent again: it may be in the log, and would be in it twice.
        """
        try:
            columns = [columns_of(one) for one in entries]
            answer = await self._post("/access-log/entries", {"entries": columns})
            ids = [str(one["id"]) for one in answer["receipts"]]
        except (OSError, TimeoutError, aiohttp.ClientError, ValueError, KeyError, TypeError) as error:
            raise NotRecorded(f"the access log cannot be written: {_words(error)}") from error
        if len(ids) != len(entries):
            raise NotRecorded("the access log has written another number of entries than it was given")
        return ids

    async def decisions(self, contract: str, addresses: Sequence[str]) -> Mapping[str, Said]:
        """What the tables in force say to calls of the overview's identity. Raises NotAsked."""
        if not addresses:
            return {}
        question = {"sender": self._settings.hsa_id, "contract": contract, "logical_addresses": list(addresses)}
        try:
            found = (await self._post("/decisions", question))["decisions"]
            return {
                address: Said(
                    Outcome(found[address]["outcome"]), found[address]["permission"], found[address]["name"] or ""
                )
                for address in addresses
            }
        except (OSError, TimeoutError, aiohttp.ClientError, ValueError, KeyError, TypeError) as error:
            raise NotAsked(f"the platform's keeper does not say where calls go: {_words(error)}") from error

    async def _post(self, path: str, content: Mapping[str, Any]) -> Any:
        assert self._session is not None
        token = self._settings.token.read_text(encoding="ascii").strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.post(self._settings.admin + path, json=content, headers=headers) as response:
            answer = await response.json(content_type=None)
            if not response.ok:
                raise OSError(f"HTTP {response.status}: {answer.get('detail', '') if isinstance(answer, dict) else ''}")
            return answer


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


async def _sweep(sessions: Sessions) -> None:
    sessions.sweep()


def _now() -> datetime:
    return datetime.now(UTC)
