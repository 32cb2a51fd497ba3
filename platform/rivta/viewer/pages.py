"""The overview's pages: an aiohttp application over sessions, look-ups and templates.

No page's address names a patient; every form carries the session's token; every answer says that nothing may be kept.
"""

from __future__ import annotations

import logging
import traceback
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from rivta.audit.access.entry import Entry, Kind, Reader
from rivta.router.messages import Answer
from rivta.soap import namespaces
from rivta.soap.person_ids import NoPersonId, PersonId, read_person_id
from rivta.viewer import patient_log
from rivta.viewer.asking import NotAnswered, Platform
from rivta.viewer.emulated import Emulated, Person
from rivta.viewer.looking import Log, Look, Looking, NotRecorded, Shown, newest_first
from rivta.viewer.policy.decision import Telling, Way, relation_of
from rivta.viewer.policy.rules import Rule
from rivta.viewer.policy.situation import (
    By,
    Capacity,
    CareRelation,
    Consent,
    Covers,
    Emergency,
    Period,
    Purpose,
    Situation,
    Wish,
)
from rivta.viewer.records import LabResult
from rivta.viewer.sessions import Said, Session, Sessions, TooMany, is_token
from rivta.viewer.sets import SIX_SETS, InformationSet
from rivta.viewer.texts import text
from rivta.viewer.trend import HEIGHT, WIDTH, trends

_log = logging.getLogger("rivta.viewer")

COOKIE = "rivta-session"
PAGE = 50
"""Records on a page."""
LONGEST_FORM = 16 * 1024
TIMELINE = "timeline"
_FOLDER = Path(__file__).parent
_LOG_SECONDS = 15.0
"""GetAccessLogsForPatient answers in that time, if with an id to come back with."""
_SAFE = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers then say that a form comes from nowhere, and forms from nowhere are refused.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), clipboard-read=(), clipboard-write=()",
}
_STATIC = {"viewer.css": "text/css", "viewer.js": "text/javascript", "icon.svg": "image/svg+xml"}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SESSION = web.RequestKey("session", Session)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Everything that the pages stand on. `now` gives aware times."""

    sessions: Sessions
    looking: Looking
    log: Log
    platform: Platform
    emulated: Emulated
    log_address: str
    """Logical address of the platform whose access log the patients read."""
    hosts: Collection[str]
    """What a request may name as its host, with the port."""
    is_tls: bool
    warn_before: timedelta
    now: Callable[[], datetime]


def viewer_application(viewer: Viewer) -> web.Application:
    """The pages. Give it to a server on an address that only its readers reach."""
    pages = _Pages(viewer)
    application = web.Application(middlewares=[pages.guard], client_max_size=LONGEST_FORM)
    application.add_routes(
        [
            web.get("/", pages.start),
            web.get("/login", pages.login_form),
            web.post("/login", pages.login),
            web.post("/logout", pages.logout),
            web.post("/language", pages.language),
            web.post("/stay", pages.stay),
            web.get("/patient", pages.patient_form),
            web.post("/patient", pages.patient),
            web.get("/look/{look}", pages.look),
            web.get("/look/{look}/fragment", pages.fragment),
            web.post("/look/{look}/basis", pages.basis),
            web.get("/my-log", pages.my_log),
            web.post("/my-log", pages.my_log_login),
            web.get("/info", pages.info),
            web.get("/timed-out", pages.timed_out),
            web.get("/static/{name}", pages.static),
        ]
    )
    return application


class _Problem(Exception):
    """A page that says what is wrong instead of what was wanted."""

    def __init__(self, status: HTTPStatus, key: str, correlation_id: str = "") -> None:
        super().__init__(key)
        self.status = status
        self.key = key
        self.correlation_id = correlation_id or str(uuid.uuid4())


class _Elsewhere(Exception):
    """The browser is to go on to another page of ours."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class _Pages:
    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        # From the package's own folder, and everything that is put into a page is escaped.
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    @property
    def guard(self) -> Any:
        """The one door: the host, the session, the form's token; and every answer's headers."""

        @web.middleware
        async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
            try:
                response = await self._admitted(request, handler)
            except _Problem as problem:
                response = self._problem(request, problem)
            except NotRecorded as error:
                response = self._unrecorded(request, error)
            except _Elsewhere as elsewhere:
                response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": elsewhere.path})
            except web.HTTPException as refusal:
                response = self._problem(request, _Problem(HTTPStatus(refusal.status), "not_found"))
            except Exception as error:  # noqa: BLE001 - whoever looks gets a page, and the log no word about a patient
                response = self._broken(request, error)
            response.headers.update(_SAFE)
            self._show_cookie(request, response)
            return response

        return guard

    async def _admitted(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.host not in self._viewer.hosts:
            # A name that somebody else has pointed at this machine (DNS rebinding).
            raise _Problem(HTTPStatus.MISDIRECTED_REQUEST, "not_found")
        if request.path.startswith("/static/"):
            return await handler(request)
        is_poll = request.path.endswith("/fragment")
        session = self._viewer.sessions.find(request.cookies.get(COOKIE, ""), is_activity=not is_poll)
        if session is None:
            if is_poll:
                raise _Problem(HTTPStatus.UNAUTHORIZED, "timed_out")
            if request.method == "POST" and request.path != "/login":
                raise _Elsewhere("/timed-out")
            session = self._begin()
        request[_SESSION] = session
        if request.method == "POST":
            await self._check_form(request, session)
        return await handler(request)

    async def _check_form(self, request: web.Request, session: Session) -> None:
        """A form is taken from a page of this session, and from nowhere else."""
        origin = request.headers.get("Origin")
        scheme = "https" if self._viewer.is_tls else "http"
        is_foreign = origin is not None and origin != f"{scheme}://{request.host}"
        given = (await request.post()).get("csrf", "")
        if is_foreign or not isinstance(given, str) or not is_token(session, given):
            raise _Problem(HTTPStatus.FORBIDDEN, "not_ours")

    def _begin(self) -> Session:
        try:
            return self._viewer.sessions.begin()
        except TooMany as error:
            raise _Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_sessions") from error

    def _show_cookie(self, request: web.Request, response: web.StreamResponse) -> None:
        session = request.get(_SESSION)
        if session is not None and request.cookies.get(COOKIE) != session.id:
            response.set_cookie(
                COOKIE, session.id, httponly=True, samesite="Strict", secure=self._viewer.is_tls, path="/"
            )

    def _page(
        self, request: web.Request, template: str, *, status: HTTPStatus = HTTPStatus.OK, **values: Any
    ) -> web.Response:
        session = request.get(_SESSION)
        language = "sv" if session is None else session.language
        viewer = self._viewer
        given = {
            "t": lambda key, **named: text(key, language, **named),
            "language": language,
            "session": session,
            "path": request.path,
            "idle_seconds": viewer.sessions.idle.total_seconds(),
            "warn_seconds": (viewer.sessions.idle - viewer.warn_before).total_seconds(),
            "provider_name": lambda id: viewer.emulated.care_providers.get(id, id),
            **values,
        }
        body = self._templates.get_template(template).render(given)
        return web.Response(text=body, content_type="text/html", charset="utf-8", status=status)

    def _problem(self, request: web.Request, problem: _Problem) -> web.Response:
        return self._page(
            request,
            "message.html",
            status=problem.status,
            heading="error",
            message=problem.key,
            correlation_id=problem.correlation_id,
        )

    def _unrecorded(self, request: web.Request, error: NotRecorded) -> web.Response:
        problem = _Problem(HTTPStatus.SERVICE_UNAVAILABLE, "log_unavailable")
        _log.error("%s: %s", problem.correlation_id, error)
        return self._problem(request, problem)

    def _broken(self, request: web.Request, error: Exception) -> web.Response:
        problem = _Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "error")
        where = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{type(error).__name__} at {where.name}:{where.lineno}"
        _log.error("%s: an error of ours, %s", problem.correlation_id, at)
        return self._problem(request, problem)

    async def static(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in _STATIC:
            raise web.HTTPNotFound
        body = (_FOLDER / "static" / name).read_bytes()
        return web.Response(body=body, content_type=_STATIC[name], charset="utf-8")

    async def start(self, request: web.Request) -> web.StreamResponse:
        raise _Elsewhere("/patient" if request[_SESSION].reader else "/login")

    async def info(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, "info.html", sets=SIX_SETS)

    async def timed_out(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, "message.html", heading="title", message="timed_out", correlation_id="")

    async def language(self, request: web.Request) -> web.StreamResponse:
        session = request[_SESSION]
        session.language = "en" if session.language == "sv" else "sv"
        raise self._back(request)

    async def stay(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=HTTPStatus.NO_CONTENT)

    def _back(self, request: web.Request) -> _Elsewhere:
        """To the page that a form was on; only to pages of ours."""
        path = str(request.query.get("from", "/"))
        known = (
            path in ("/login", "/patient", "/info", "/my-log") or path.removeprefix("/look/") in request[_SESSION].looks
        )
        return _Elsewhere(path if known else "/")

    # Logging in

    async def login_form(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, "login.html", staff=self._viewer.emulated.staff, refused="")

    async def login(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        user, _, assignment = str(form.get("assignment", "")).partition(" ")
        found = self._viewer.emulated.find_staff(user, assignment)
        if found is None:
            return self._page(
                request,
                "login.html",
                status=HTTPStatus.BAD_REQUEST,
                staff=self._viewer.emulated.staff,
                refused="choose_assignment",
            )
        staff, chosen = found
        reader = Reader(
            user_id=staff.user_id,
            user_name=staff.name,
            assignment=chosen.id,
            unit_id=chosen.unit_id,
            unit_name=chosen.unit,
            care_provider_id=chosen.care_provider_id,
            care_provider_name=chosen.care_provider,
            purpose=chosen.purpose.value,
        )
        if chosen.purpose is not Purpose.CARE:
            await self._viewer.looking.refuse(reader, Rule.PURPOSE_IS_NOT_CARE)
            return self._page(
                request,
                "login.html",
                status=HTTPStatus.FORBIDDEN,
                staff=self._viewer.emulated.staff,
                refused="purpose_refused",
            )
        session = request[_SESSION] = self._renewed(request)
        session.staff, session.assignment, session.reader = staff, chosen, reader
        raise _Elsewhere("/patient")

    def _renewed(self, request: web.Request) -> Session:
        try:
            return self._viewer.sessions.renewed(request[_SESSION])
        except TooMany as error:
            raise _Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_sessions") from error

    async def logout(self, request: web.Request) -> web.StreamResponse:
        language = request[_SESSION].language
        self._viewer.sessions.end(request[_SESSION])
        request[_SESSION] = self._begin()
        request[_SESSION].language = language
        response = self._page(request, "message.html", heading="title", message="logged_out", correlation_id="")
        response.headers["Clear-Site-Data"] = '"cache", "storage"'
        return response

    # Looking

    def _reader(self, request: web.Request) -> Session:
        session = request[_SESSION]
        if session.reader is None:
            raise _Elsewhere("/login")
        return session

    async def patient_form(self, request: web.Request) -> web.StreamResponse:
        self._reader(request)
        return self._page(request, "patient.html", wrong="", number="")

    async def patient(self, request: web.Request) -> web.StreamResponse:
        session = self._reader(request)
        number = str((await request.post()).get("number", ""))
        try:
            patient = read_person_id(number[:40], today=self._viewer.now().date())
        except NoPersonId as error:
            words = error.wrong.swedish if session.language == "sv" else error.wrong.english
            return self._page(request, "patient.html", status=HTTPStatus.BAD_REQUEST, wrong=words, number=number[:40])
        raise await self._opened(session, patient)

    async def _opened(self, session: Session, patient: PersonId) -> _Elsewhere:
        """To a new look-up, with what was said of the patient so far."""
        assert session.reader is not None
        look = await self._viewer.looking.begin(patient, self._situation(session, patient), session.reader)
        session.keep(look)
        return _Elsewhere(f"/look/{look.id}")

    def _situation(self, session: Session, patient: PersonId) -> Situation:
        assert session.assignment is not None
        assert session.staff is not None
        emulated, said, id = self._viewer.emulated, session.said_of(patient.value), patient.value
        known = emulated.persons.get(id, Person(""))
        return Situation(
            assignment=session.assignment.of(session.staff.user_id),
            patient=said.patient or known.patient,
            now=self._viewer.now(),
            relations=(*emulated.relations.get(id, ()), *said.relations),
            consents=(*emulated.consents.get(id, ()), *said.consents),
            blocks=emulated.blocks.get(id, ()),
            emergency=said.emergency,
            is_needed=said.is_needed,
        )

    def _look(self, request: web.Request) -> Look:
        """The look that the address names, of this very session."""
        look = self._reader(request).looks.get(request.match_info["look"])
        if look is None:
            raise _Problem(HTTPStatus.NOT_FOUND, "not_found")
        return look

    async def look(self, request: web.Request) -> web.StreamResponse:
        look = self._look(request)
        template = "closed.html" if look.closed else "look.html"
        status = HTTPStatus.FORBIDDEN if look.closed else HTTPStatus.OK
        return self._page(request, template, status=status, **self._seen(request, look))

    async def fragment(self, request: web.Request) -> web.StreamResponse:
        look = self._look(request)
        return self._page(request, "fragment.html", **self._seen(request, look))

    def _seen(self, request: web.Request, look: Look) -> dict[str, Any]:
        """What of a look-up is on the page."""
        views = {one.word: one for one in InformationSet if one is not InformationSet.ALERTS}
        view = request.query.get("view", TIMELINE)
        if view != TIMELINE and view not in views:
            raise _Problem(HTTPStatus.NOT_FOUND, "not_found")
        wanted = views.get(view)
        records = newest_first(_records(look, wanted))
        pages = max(1, -(-len(records) // PAGE))
        page = min(_page_number(request), pages)
        emulated, session = self._viewer.emulated, request[_SESSION]
        return {
            "look": look,
            "person": emulated.persons.get(look.patient.value),
            "relation": relation_of(look.situation),
            "age": look.patient.age_on(self._viewer.now().date()),
            "view": view,
            "wanted": wanted,
            "progress": look.sets.get(wanted) if wanted else None,
            "records": records[(page - 1) * PAGE : page * PAGE],
            "number": len(records),
            "page": page,
            "pages": pages,
            "alerts": newest_first(_records(look, InformationSet.ALERTS)),
            "trends": trends(one.record for one in records if isinstance(one.record, LabResult))
            if wanted is InformationSet.LABORATORY
            else (),
            "picture": (WIDTH, HEIGHT),
            "sets": tuple(InformationSet),
            "six": SIX_SETS,
            "now": self._viewer.now(),
            "blocked": Telling.BLOCKED_DATA_EXISTS in look.blocked,
            "blocking_providers": sorted(look.blocking_providers),
            "ways": _ways(look),
            "said": session.said_of(look.patient.value),
            "kinds": {one: type(one.record).__name__ for one in records},
        }

    async def basis(self, request: web.Request) -> web.StreamResponse:
        """What the reader says of the patient: written down first, and then a new look-up stands on it."""
        look, session = self._look(request), self._reader(request)
        form = {name: str(value) for name, value in (await request.post()).items()}
        said = _said(session.said_of(look.patient.value), look, form, self._viewer.now())
        if said is None:
            raise _Problem(HTTPStatus.BAD_REQUEST, "error")
        told, entry = said
        if entry is not None:
            await self._viewer.log.record(entry)
        session.said[look.patient.value] = told
        raise await self._opened(session, look.patient)

    # The patient's own log

    async def my_log(self, request: web.Request) -> web.StreamResponse:
        session = request[_SESSION]
        if not session.patient:
            return self._page(request, "my_log_login.html", wrong="", persons=self._viewer.emulated.persons)
        report = await self._report(session.patient)
        return self._page(
            request, "my_log.html", report=report, person=self._viewer.emulated.persons.get(session.patient)
        )

    async def my_log_login(self, request: web.Request) -> web.StreamResponse:
        number = str((await request.post()).get("number", ""))
        try:
            patient = read_person_id(number[:40], today=self._viewer.now().date())
        except NoPersonId as error:
            words = error.wrong.swedish if request[_SESSION].language == "sv" else error.wrong.english
            return self._page(
                request,
                "my_log_login.html",
                status=HTTPStatus.BAD_REQUEST,
                wrong=words,
                persons=self._viewer.emulated.persons,
            )
        session = request[_SESSION] = self._renewed(request)
        session.patient = patient.value
        raise _Elsewhere("/my-log")

    async def _report(self, patient: str) -> patient_log.Report:
        """The patient's log; one that is queued is asked for once more, with its id."""
        correlation_id, queued = str(uuid.uuid4()), ""
        for _ in range(2):
            message = patient_log.question(patient, self._viewer.log_address, now=self._viewer.now(), queued_id=queued)
            try:
                answer: Answer = await self._viewer.platform.call(
                    namespaces.GET_ACCESS_LOGS_FOR_PATIENT_1,
                    message,
                    correlation_id=correlation_id,
                    seconds=_LOG_SECONDS,
                )
            except NotAnswered as error:
                raise _Problem(HTTPStatus.BAD_GATEWAY, "my_log_failed", correlation_id) from error
            report = patient_log.read(answer)
            queued = report.queued_id
            if report.code not in patient_log.WAITING or not queued:
                break
        if report.code not in (*patient_log.GOOD, *patient_log.WAITING):
            raise _Problem(HTTPStatus.BAD_GATEWAY, "my_log_failed", correlation_id)
        return report


def _records(look: Look, wanted: InformationSet | None) -> list[Shown]:
    """The records of a set; without one those of the timeline: of all but the alerts, which stand above it."""
    chosen = [wanted] if wanted else [one for one in look.sets if one is not InformationSet.ALERTS]
    return [shown for one in chosen if one in look.sets for shown in look.sets[one].records.values()]


def _page_number(request: web.Request) -> int:
    given = request.query.get("page", "1")
    return int(given) if given.isascii() and given.isdigit() and 0 < len(given) < 7 and int(given) > 0 else 1


def _ways(look: Look) -> frozenset[Way]:
    """What would let more be shown."""
    if look.closed is not None:
        return frozenset(look.closed.ways)
    ways: set[Way] = {Way.EMERGENCY}
    for rule in look.refusals:
        if rule in (Rule.CONSENT_MISSING, Rule.RELATIVE_CANNOT_CONSENT, Rule.CONSENT_REFUSED):
            ways.add(Way.CONSENT)
        if rule is Rule.WISH_NOT_CLEARED_UP:
            ways.add(Way.WISH)
    if look.blocked:
        ways.add(Way.BLOCK_CONSENT)
    return frozenset(ways)


def _said(before: Said, look: Look, form: Mapping[str, str], now: datetime) -> tuple[Said, Entry | None] | None:
    """What is said of the patient from now on, and what is written down of it; None for what nobody can say."""
    said = replace(before, relations=list(before.relations), consents=list(before.consents))
    period, provider = Period(now), look.situation.assignment.care_provider
    match form.get("say"):
        case "relation":
            said.relations.append(CareRelation(provider, "enligt läsaren", period))
            return said, None  # the look-up's own entries name it
        case "emergency":
            said.emergency = Emergency(form.get("reason", "")[:4000])
            return said, None  # the look-up writes it down, with its reason, or the refusal where there is none
        case "consent":
            try:
                consent = Consent(
                    By(form.get("by", "")),
                    Covers(form.get("covers", "")),
                    provider,
                    period,
                    is_given=form.get("given") != "no",
                )
            except ValueError:
                return None
            said.consents.append(consent)
            return said, _consent_entry(look, consent)
        case "wish" if look.situation.patient.capacity is Capacity.LACKS_CAPACITY:
            try:
                wish = Wish(form.get("wish", ""))
            except ValueError:
                return None
            said.patient = replace(look.situation.patient, wish=wish)
            return said, _told(look, f"the patient's wish: {wish.value}")
        case _:
            return None


def _consent_entry(look: Look, consent: Consent) -> Entry:
    given = "given" if consent.is_given else "refused"
    return _told(look, f"{given} by {consent.by.value}, to {consent.covers.value}")


def _told(look: Look, words: str) -> Entry:
    return Entry(
        Kind.CONSENT,
        look.reader,
        look.patient.value,
        look.correlation_id,
        relation=relation_of(look.situation) or "",
        consent=words,
    )
