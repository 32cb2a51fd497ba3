"""The catalogue's services on plain http, at the incumbent's paths: what routers of another make live on.

On this machine whoever asks is answered, without a token: there is nothing here but reading. Towards other machines the
same pages are open behind mutual TLS, to any certificate that the platform trusts.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from rivta.contracts.domain import Contract
from rivta.contracts.installed import Contracts
from rivta.contracts.wsdl import UnknownSchema, schema_at, wsdl_at
from rivta.run.endpoints import TAK_BASE
from rivta.run.services.catalogue import PUBLICATION, Catalogue
from rivta.run.services.server import Bridge, application
from rivta.run.settings import Settings
from rivta.run.trust import RevocationWatch
from rivta.soap import namespaces
from rivta.soap.identifiers import Profile
from rivta.soap.spyne_adapter import Documents
from rivta.tls.sender import NoSenderId, sender_from_certificate

PATHS = {
    "/SokVagvalsInfo/v2": namespaces.VAGVALSINFO_2,
    "/SokVagvalsInfo": namespaces.VAGVALSINFO_1,
    "/GetSupportedServiceContracts/v2": namespaces.GET_SUPPORTED_SERVICE_CONTRACTS_2,
    "/GetSupportedServiceContracts": namespaces.GET_SUPPORTED_SERVICE_CONTRACTS_1,
    "/GetLogicalAddresseesByServiceContract/v2": namespaces.GET_LOGICAL_ADDRESSEES_BY_SERVICE_CONTRACT_2,
    "/GetLogicalAddresseesByServiceContract": namespaces.GET_LOGICAL_ADDRESSEES_BY_SERVICE_CONTRACT_1,
    "/itintegration/monitoring/pingForConfiguration/1/rivtabp21": namespaces.PING_FOR_CONFIGURATION_1,
}
"""Where the incumbent has each service, below its `/tak-services`. Only WSDLs are found by them: a message says itself
which contract it is of."""

_MAX_BYTES = 1024 * 1024
_BODY_SECONDS = 10.0

Admit = Callable[[web.BaseRequest], str]
"""Why a request is refused; empty when it is not."""


def tak_routes(catalogue: Catalogue, *, admit: Admit = lambda _request: "") -> list[web.RouteDef]:
    """The pages, for an application of their own or beside others."""
    pages = _Pages(catalogue, admit)
    return [web.get(path, pages.overview) for path in (TAK_BASE, f"{TAK_BASE}/")] + [
        web.get(f"{TAK_BASE}/reset/pv", pages.reset),
        web.route("*", f"{TAK_BASE}/{{path:.*}}", pages.service),
    ]


def tak_application(catalogue: Catalogue, *, admit: Admit = lambda _request: "") -> web.Application:
    """The pages alone."""
    served = web.Application(client_max_size=_MAX_BYTES)
    served.add_routes(tak_routes(catalogue, admit=admit))
    return served


def served_documents(contracts: Contracts) -> Documents:
    """The WSDL of each service at the incumbent's path, in any case, and the schemas that it imports."""
    known = {path.lower(): (path, contracts.find(namespace)) for path, namespace in PATHS.items()}

    def find(*, path: str, query: str, base_url: str) -> bytes | None:
        kind, _, location = query.partition("=")
        found = known.get(path.lower().removeprefix(TAK_BASE).rstrip("/"))
        if found is None or kind.lower() not in ("wsdl", "xsd"):
            return None
        spelled, contract = found
        own_url, profile = f"{base_url}{TAK_BASE}{spelled}", _profile(contract)
        if kind.lower() == "wsdl":
            return wsdl_at(own_url, contract, profile)
        try:
            return schema_at(own_url, contract, profile, unquote(location))
        except UnknownSchema:
            return None

    return find


def admit_by_certificate(settings: Settings, revocations: RevocationWatch, now: Callable[[], datetime]) -> Admit:
    """Lets in who shows a certificate that the platform trusts and that is not revoked, looked at in each request."""
    accepts_doubt = settings.insecure_switches.overdue_crl_accepted

    def admit(request: web.BaseRequest) -> str:
        tls = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
        certificate = tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject | ssl.SSLSocket) else None
        if not certificate:
            return "show a client certificate"
        try:
            sender = sender_from_certificate(certificate)
        except NoSenderId as error:
            return str(error)
        if revocations.is_revoked(sender):
            return f"the client certificate of {sender.hsa_id} is revoked"
        if sender.is_expired(now()):
            return f"the client certificate of {sender.hsa_id} has expired"
        doubt = "" if accepts_doubt else revocations.doubt(sender)
        return (
            f"it cannot be told whether the client certificate of {sender.hsa_id} is revoked: {doubt}" if doubt else ""
        )

    return admit


class _Pages:
    def __init__(self, catalogue: Catalogue, admit: Admit) -> None:
        self._catalogue = catalogue
        self._admit = admit
        self._bridge = Bridge(
            application(catalogue, documents=served_documents(catalogue.contracts), max_bytes=_MAX_BYTES)
        )

    async def service(self, request: web.Request) -> web.StreamResponse:
        """A SOAP message, or a WSDL or schema. With `If-Match` a list is of that version or not given at all."""
        if reason := self._admit(request):
            return _refused(HTTPStatus.FORBIDDEN, reason)
        async with asyncio.timeout(_BODY_SECONDS):
            body = await request.read()
        answering = await self._bridge.begin(request, body)
        etag = dict(answering.headers).get("ETag")
        if etag is not None and not _matches(request.headers.get("If-Match", "*"), etag):
            answering.close()
            return _refused(
                HTTPStatus.PRECONDITION_FAILED, f"the tables are {etag} by now: fetch all lists again", etag
            )
        return await self._bridge.send(request, answering)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """What there is, and of which version: with `If-None-Match` a cheap way to learn of a new publication."""
        if reason := self._admit(request):
            return _refused(HTTPStatus.FORBIDDEN, reason)
        table = self._catalogue.table_in_force()
        if table is None:
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, "no publication is in force")
        headers = {"ETag": self._catalogue.etag(table), PUBLICATION: str(table.publication)}
        if _matches(request.headers.get("If-None-Match", ""), headers["ETag"]):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        base = f"{request.scheme}://{request.host}{TAK_BASE}"
        return web.Response(text="".join(f"{base}{path}?wsdl\n" for path in PATHS), headers=headers)

    async def reset(self, request: web.Request) -> web.StreamResponse:
        """What the incumbent's monitor asks for after a publication. Here the newest is always in force already."""
        if reason := self._admit(request):
            return _refused(HTTPStatus.FORBIDDEN, reason)
        return web.json_response(await asyncio.to_thread(self._reset, request.query.get("version")))

    def _reset(self, wanted: str | None) -> dict[str, Any]:
        table = self._catalogue.table_in_force()
        current = 0 if table is None else table.publication
        if table is None or wanted not in (None, str(current)):
            reason = "no publication is in force" if table is None else f"only publication {current} is served"
            return {"status": "ERROR", "message": reason, "currentVersion": current, "servicesList": {}}
        return {
            "status": "OK",
            "message": f"publication {current} is in force; nothing had to be reset",
            "currentVersion": current,
            "servicesList": {
                "VIRTUALISERING": table.routes_count,
                "ANROPSBEHORIGHT": table.permissions_count,
                "TJANSTEKOMPONENT": table.components_count(),
                "TJANSTEKONTRAKT": len(table.contracts()),
            },
        }


def _profile(contract: Contract) -> Profile | None:
    """The profile whose WSDL is served: 2.1 where there is a choice."""
    return max((profile for profile, _ in contract.wsdls), key=lambda profile: profile.value if profile else "")


def _matches(condition: str, etag: str) -> bool:
    """Whether an If-Match or If-None-Match names the version (RFC 9110 section 13.1)."""
    return condition.strip() == "*" or etag in (one.strip().removeprefix("W/") for one in condition.split(","))


def _refused(status: HTTPStatus, reason: str, etag: str | None = None) -> web.Response:
    return web.Response(status=status, text=f"{reason}\n", headers={} if etag is None else {"ETag": etag})
