"""The overview's pages over the demo world: what they show, and all that they refuse."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, CookieJar
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from rivta.audit.access.entry import Kind
from rivta.router.messages import Answer
from rivta.soap import namespaces
from rivta.viewer import pages
from rivta.viewer.looking import Looking
from rivta.viewer.pages import COOKIE, Viewer, viewer_application
from rivta.viewer.sessions import Sessions
from tests.viewer.journals import NINA, NOW, SIV, TOLVAN, answer
from tests.viewer.world import EMULATED, NTJP, FakeWorld

pytestmark = pytest.mark.sockets

CARE, QUALITY = "SE2321000016-P101 SE2321000016-U101", "SE2321000016-P101 SE2321000016-U102"
VGR = "SE2321000131-P601 SE2321000131-U601"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Browser:
    """A browser without script: cookies, forms, redirects."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        self.client = client
        self.text = ""
        self.status = 0
        self.path = ""
        self.headers: Any = {}

    async def _seen(self, answer: ClientResponse) -> str:
        self.text, self.status, self.headers = await answer.text(), answer.status, answer.headers
        self.path = answer.url.path_qs
        return self.text

    async def get(self, path: str, **headers: str) -> str:
        async with self.client.get(path, headers=headers) as answer:
            return await self._seen(answer)

    async def post(self, path: str, *, csrf: str | None = None, headers: Any = None, **fields: str) -> str:
        token = self.csrf if csrf is None else csrf
        async with self.client.post(path, data={"csrf": token, **fields}, headers=headers) as answer:
            return await self._seen(answer)

    @property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.text)
        return found[1] if found else ""

    @property
    def cookie(self) -> str:
        jar: Any = self.client.session.cookie_jar
        found = jar.filter_cookies(self.client.make_url("/")).get(COOKIE)
        return found.value if found else ""

    async def log_in(self, assignment: str = CARE) -> None:
        await self.get("/login")
        await self.post("/login", assignment=assignment)

    async def settled(self, path: str) -> None:
        """The page of a look, when every source has answered."""
        async with asyncio.timeout(60):
            while 'data-done="yes"' not in await self.get(f"{path}/fragment"):  # noqa: ASYNC110 - as the page itself asks
                await asyncio.sleep(0.01)
        await self.get(path)

    async def look_at(self, number: str, assignment: str = CARE) -> str:
        """The path of the look, when every source has answered."""
        await self.log_in(assignment)
        await self.post("/patient", number=number)
        path = self.path
        if self.status == 200:
            await self.settled(path)
        return path


class Site:
    """The application with everything under it in the test's hand."""

    def __init__(self, warn: timedelta = timedelta(minutes=2)) -> None:
        self.world = FakeWorld()
        self.now = NOW
        self.sessions = Sessions(now=lambda: self.now, idle=timedelta(minutes=15))
        self.hosts: list[str] = []
        self.application = viewer_application(
            Viewer(
                sessions=self.sessions,
                looking=Looking(self.world.log, self.world.asking_of, now=self._clock),
                log=self.world.log,
                platform=self.world.platform,
                emulated=EMULATED,
                log_address=NTJP,
                hosts=self.hosts,
                is_tls=False,
                warn_before=warn,
                now=self._clock,
            )
        )

    def _clock(self) -> datetime:
        return self.now


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
async def another(site: Site) -> AsyncIterator[Callable[[], Any]]:
    """Opens one more browser at the site."""
    server = TestServer(site.application)
    await server.start_server()
    site.hosts.append(f"{server.host}:{server.port}")
    opened: list[TestClient[Any, Any]] = []

    async def open_one() -> Browser:
        client: TestClient[Any, Any] = TestClient(server, cookie_jar=CookieJar(unsafe=True))
        opened.append(client)
        return Browser(client)

    yield open_one
    site.sessions.wipe()
    for client in opened:
        await client.session.close()
    await server.close()


@pytest.fixture
async def browser(another: Callable[[], Any]) -> Browser:
    made: Browser = await another()
    return made


async def test_a_reader_logs_in_finds_a_patient_and_sees_every_set(browser: Browser) -> None:
    look = await browser.look_at(TOLVAN)
    assert "Tolvan Tolvansson" in browser.text
    for words in ("Hjärtsvikt, ospecificerad", "Inskrivningsanteckning", "Atorvastatin Exempel", "Pneumovax", "Fenoximetylpenicillin"):  # fmt: skip
        assert words in browser.text
    for view in ("notes", "diagnoses", "care-contacts", "dispensed", "laboratory", "vaccinations", "prescriptions"):
        await browser.get(f"{look}?view={view}")
        assert browser.status == 200
        assert '<li class="record' in browser.text, view


async def test_no_address_of_a_page_names_a_patient(browser: Browser) -> None:
    look = await browser.look_at(TOLVAN)
    assert TOLVAN not in look
    addresses = re.findall(r'(?:href|src|action|data-fill)="([^"]*)"', browser.text)
    assert addresses
    assert not any(TOLVAN in one for one in addresses)


async def test_laboratory_values_have_their_interval_and_a_picture_over_time(browser: Browser) -> None:
    look = await browser.look_at(NINA)
    await browser.get(f"{look}?view=laboratory")
    assert "<polyline" in browser.text
    assert "referens" in browser.text
    assert "kan finnas" in browser.text  # that coverage is partial


async def test_a_nullified_record_is_marked(browser: Browser) -> None:
    await browser.look_at(TOLVAN)
    assert "Makulerad: Dokumenterat på fel patient" in browser.text


async def test_hostile_text_is_shown_as_text(browser: Browser, site: Site) -> None:
    async def hostile(contract: str, number: str, address: str) -> Answer:
        made = answer(contract, address, number)
        escaped = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").encode()
        body = re.sub(rb"(?<=NoteText>)[^<]+", lambda _: escaped, made.body)
        return Answer(200, made.headers, body)

    site.world.platform.steered["SE2321000016-KS"] = hostile
    await browser.look_at(TOLVAN)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;" in browser.text
    assert "<script>alert" not in browser.text
    assert "<img" not in browser.text


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("191212121213", "Kontrollsiffran"),
        ("19121212", "för kort"),
        ("", "Skriv ett personnummer"),
        ("191213121212", "Månaden"),
        ("<b>x</b>", "tecken som inte hör dit"),
        ("9" * 4000, "för långt"),
    ],
)
async def test_a_wrong_number_is_told_what_is_wrong_and_nobody_is_asked(
    browser: Browser, site: Site, number: str, words: str
) -> None:
    await browser.log_in()
    await browser.post("/patient", number=number)
    assert browser.status == 400
    assert words in browser.text
    assert "<b>x" not in browser.text
    assert site.world.platform.events == []


async def test_an_unknown_patient_may_be_looked_for_and_the_look_is_logged(browser: Browser, site: Site) -> None:
    await browser.look_at("199904122380")
    assert browser.status == 403
    assert "ingen aktuell vårdrelation" in browser.text
    assert [one.kind for one in site.world.log.entries] == [Kind.REFUSED]
    await browser.post(f"{browser.path}/basis", say="relation")
    assert browser.status == 200
    assert {one.relation for one in site.world.log.entries[1:]} == {"enligt läsaren"}


async def test_another_purpose_than_care_opens_nothing_and_is_logged(browser: Browser, site: Site) -> None:
    await browser.log_in(QUALITY)
    assert browser.status == 403
    assert "inte vård" in browser.text
    (entry,) = site.world.log.entries
    assert (entry.kind, entry.reason, entry.reader.purpose) == (
        Kind.REFUSED,
        "PURPOSE_IS_NOT_CARE",
        "Kvalitetssäkring",
    )
    await browser.get("/patient")
    assert browser.path == "/login"


async def test_consent_is_written_down_before_it_opens_anything(browser: Browser, site: Site) -> None:
    await browser.look_at(SIV)
    assert "inte samtyckt" in browser.text
    before = len(site.world.log.entries)
    await browser.post(f"{browser.path}/basis", say="consent", by="patient", covers="shared records", given="yes")
    assert browser.status == 200
    first = site.world.log.entries[before]
    assert (first.kind, first.consent) == (Kind.CONSENT, "given by patient, to shared records")
    assert "inte samtyckt" not in browser.text


async def test_a_relatives_yes_opens_nothing(browser: Browser) -> None:
    path = await browser.look_at(SIV)
    await browser.post(f"{path}/basis", say="consent", by="relative", covers="shared records", given="yes")
    assert "ja är inget samtycke" in browser.text


async def test_blocked_data_is_told_to_exist_and_an_emergency_names_its_provider(browser: Browser) -> None:
    path = await browser.look_at(SIV, VGR)
    assert 'id="blocked-data"' in browser.text
    assert "Region Stockholm" not in browser.text
    await browser.post(f"{path}/basis", say="emergency", reason="Medvetslös")
    await browser.settled(browser.path)
    assert "finns hos Region Stockholm" in browser.text
    assert "Bipolär" not in browser.text


@pytest.mark.parametrize("fields", [{}, {"say": "god"}, {"say": "consent", "by": "nobody"}, {"say": "wish", "wish": "not against"}])  # fmt: skip
async def test_what_nobody_can_say_changes_nothing(browser: Browser, site: Site, fields: dict[str, str]) -> None:
    path = await browser.look_at(SIV)
    before = len(site.world.log.entries)
    await browser.post(f"{path}/basis", **fields)
    assert browser.status == 400
    assert len(site.world.log.entries) == before


async def test_a_log_that_takes_nothing_shows_nothing_and_the_page_says_why(browser: Browser, site: Site) -> None:
    await browser.log_in()
    site.world.log.fails_from = 0
    await browser.post("/patient", number=TOLVAN)
    assert browser.status == 503
    assert "Loggen kan inte skrivas" in browser.text
    assert "Ärende-id" in browser.text
    assert site.world.platform.events == []


async def test_a_log_that_fails_on_the_way_is_told_on_the_page(browser: Browser, site: Site) -> None:
    site.world.log.fails_from = 9
    await browser.look_at(TOLVAN)
    assert 'id="unrecorded"' in browser.text
    assert '<li class="record' not in browser.text


async def test_every_answer_says_that_nothing_may_be_kept_and_what_may_run(browser: Browser) -> None:
    for path in ("/login", "/info", "/nowhere", "/static/viewer.js", await browser.look_at(TOLVAN)):
        await browser.get(path)
        assert browser.headers["Cache-Control"] == "no-store"
        policy = browser.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert browser.headers["X-Frame-Options"] == "DENY"
        assert browser.headers["Referrer-Policy"] == "same-origin"


async def test_pages_have_nothing_that_the_policy_would_stop(browser: Browser) -> None:
    path = await browser.look_at(NINA)
    texts = [
        browser.text,
        await browser.get(f"{path}?view=laboratory"),
        await browser.get("/login"),
        await browser.get("/info"),
    ]
    for text in texts:
        assert not re.search(r"<script(?! src=)|<style|\son\w+=|\sstyle=|javascript:|https?://", text)


async def test_the_cookie_is_for_this_site_and_no_script(another: Callable[[], Any]) -> None:
    browser = await another()
    async with browser.client.get("/login") as page:
        cookie = page.cookies[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/"


async def test_log_in_changes_the_sessions_id_and_a_planted_one_is_worth_nothing(
    another: Callable[[], Any],
) -> None:
    browser, thief = await another(), await another()
    await browser.get("/login")
    planted = browser.cookie
    await browser.post("/login", assignment=CARE)
    assert browser.cookie != planted
    thief.client.session.cookie_jar.update_cookies({COOKIE: planted}, thief.client.make_url("/"))
    await thief.get("/patient")
    assert thief.path == "/login"


async def test_an_id_that_a_browser_brings_is_never_taken(browser: Browser) -> None:
    jar: Any = browser.client.session.cookie_jar
    jar.update_cookies({COOKIE: "mine"}, browser.client.make_url("/"))
    await browser.get("/login")
    assert browser.cookie != "mine"


@pytest.mark.parametrize("path", ["/patient", "/logout", "/language", "/stay", "/my-log", "/login"])
async def test_a_form_from_elsewhere_is_refused(browser: Browser, site: Site, path: str) -> None:
    await browser.log_in()
    good = browser.csrf
    await browser.post(path, csrf="guess", number=TOLVAN, assignment=CARE)
    assert browser.status == 403
    foreign = {"Origin": "https://evil.test"}
    await browser.post(path, csrf=good, headers=foreign, number=TOLVAN, assignment=CARE)
    assert browser.status == 403
    assert site.world.log.entries == []
    await browser.get("/patient")
    assert browser.path == "/patient"


async def test_another_host_is_not_served(browser: Browser) -> None:
    await browser.get("/login", Host="evil.test")
    assert browser.status == 421
    assert COOKIE not in str(browser.headers)


async def test_a_look_of_another_session_is_not_there(another: Callable[[], Any]) -> None:
    first, second = await another(), await another()
    path = await first.look_at(TOLVAN)
    await second.log_in()
    for address in (path, f"{path}/fragment", "/look/nothing"):
        await second.get(address)
        assert second.status == 404
        assert "Tolvan" not in second.text
    await second.post(f"{path}/basis", say="emergency", reason="x")
    assert second.status in (403, 404)


async def test_without_log_in_every_page_leads_there(browser: Browser) -> None:
    for path in ("/", "/patient", "/look/x"):
        await browser.get(path)
        assert browser.path == "/login"


async def test_log_out_wipes_everything(browser: Browser, site: Site) -> None:
    path = await browser.look_at(TOLVAN)
    await browser.post("/logout")
    assert "Inget finns kvar" in browser.text
    assert browser.headers["Clear-Site-Data"]
    await browser.get(path)
    assert browser.path == "/login"
    assert "Tolvan" not in browser.text


async def test_fifteen_minutes_without_activity_wipe_the_session_although_the_page_asks(
    browser: Browser, site: Site
) -> None:
    path = await browser.look_at(TOLVAN)
    site.now += timedelta(minutes=14)
    await browser.get(f"{path}/fragment")
    assert browser.status == 200
    site.now += timedelta(minutes=1)
    await browser.get(f"{path}/fragment")
    assert browser.status == 401
    assert "Tolvan" not in browser.text
    await browser.get(path)
    assert browser.path == "/login"


async def test_the_page_says_when_it_warns_and_ends(browser: Browser) -> None:
    await browser.look_at(TOLVAN)
    assert 'data-idle="900.0"' in browser.text
    assert 'data-warn="780.0"' in browser.text


async def test_staying_keeps_the_session(browser: Browser, site: Site) -> None:
    path = await browser.look_at(TOLVAN)
    csrf = browser.csrf
    site.now += timedelta(minutes=14)
    await browser.post("/stay", csrf=csrf)
    assert browser.status == 204
    site.now += timedelta(minutes=14)
    await browser.get(path)
    assert browser.status == 200


async def test_ten_thousand_records_come_a_page_at_a_time(browser: Browser, site: Site) -> None:
    async def many(contract: str, number: str, address: str) -> Answer:
        made = answer(contract, address, number)
        if contract != namespaces.GET_DIAGNOSIS_2:
            return made
        (record, *_) = re.findall(rb"<(?:\w+:)?diagnosis>.*?</(?:\w+:)?diagnosis>", made.body, re.S)
        copies = [re.sub(rb"documentId>[^<]*<", b"documentId>N%d<" % at, record) for at in range(10_000)]
        return Answer(200, made.headers, made.body.replace(record, b"".join(copies), 1))

    site.world.platform.steered["SE2321000016-KS"] = many
    path = await browser.look_at(TOLVAN)
    await browser.get(f"{path}?view=diagnoses&page=3")
    assert browser.text.count('<li class="record') == pages.PAGE
    assert "Sida 3 av 20" in browser.text
    assert len(browser.text) < 200_000
    for page in ("0", "-1", "x", "99999999999", "٣"):
        await browser.get(f"{path}?view=diagnoses&page={page}")
        assert browser.status == 200


async def test_there_is_no_way_to_export_or_change_anything(site: Site) -> None:
    routes = {(route.method, route.resource.canonical) for route in site.application.router.routes() if route.resource}
    writing = {(method, path) for method, path in routes if method not in ("GET", "HEAD")}
    assert writing == {
        ("POST", "/login"),
        ("POST", "/logout"),
        ("POST", "/language"),
        ("POST", "/stay"),
        ("POST", "/patient"),
        ("POST", "/look/{look}/basis"),
        ("POST", "/my-log"),
    }
    styles = (Path(pages.__file__).parent / "static" / "viewer.css").read_text()
    assert "@media print { body > * { display: none !important; }" in styles


async def test_english_is_one_button_away_and_keeps_the_place(browser: Browser) -> None:
    path = await browser.look_at(TOLVAN)
    await browser.post(f"/language?from={path}")
    assert browser.path == path
    assert '<html lang="en">' in browser.text
    assert "Sources" in browser.text
    await browser.post("/language?from=https://evil.test/")
    assert URL(str(browser.client.make_url("/"))).host in ("127.0.0.1", "localhost")
    assert browser.path == "/patient"


async def test_every_page_can_be_walked_by_keyboard_and_read_aloud(browser: Browser) -> None:
    await browser.look_at(TOLVAN)
    assert '<a class="skip" href="#content">' in browser.text
    assert 'role="status" aria-live="polite"' in browser.text
    assert 'aria-current="page"' in browser.text
    labelled = set(re.findall(r'aria-labelledby="([^"]+)"', browser.text))
    assert labelled <= set(re.findall(r'id="([^"]+)"', browser.text))
    ids = re.findall(r'\bid="([^"]+)"', browser.text)
    assert len(ids) == len(set(ids))


async def test_an_error_of_ours_is_told_with_an_id_and_logged_without_the_patient(
    browser: Browser, site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await browser.look_at(TOLVAN)

    def broken(*_: object) -> None:
        raise RuntimeError(TOLVAN)

    monkeypatch.setattr(pages, "newest_first", broken)
    with caplog.at_level(logging.ERROR):
        await browser.get(path)
    assert browser.status == 500
    told = re.search(r"<code>([0-9a-f-]{36})</code>", browser.text)
    assert told is not None
    assert told[1] in caplog.text
    assert TOLVAN not in caplog.text
    assert TOLVAN not in browser.text


async def test_every_text_is_there_in_both_languages() -> None:
    from rivta.viewer.texts import TEXTS

    assert all(swedish and english for swedish, english in TEXTS.values())
    used = set()
    for template in (Path(pages.__file__).parent / "templates").glob("*.html"):
        used |= set(re.findall(r"\bt\(['\"](\w+)['\"]", template.read_text(encoding="utf-8")))
    used -= {"state_"}
    assert used <= set(TEXTS)
