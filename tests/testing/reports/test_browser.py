"""The HTML report in a real browser: it opens without an error, shows what it holds, and its filter filters."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rivta.testing.reports.html import html_page
from rivta.testing.results import Outcome, Result, Run
from rivta.testing.touched import Touched, TouchedCall

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_SECONDS = 60

pytestmark = [pytest.mark.browser, pytest.mark.skipif(_CHROMIUM is None, reason="Chromium is not installed")]

CALL = TouchedCall("national", "urn:c", "SE1", "routed", "SE1", "SE1", "https://localhost:1/")
RUN = Run(
    started="2026-11-24T12:00:00+00:00",
    seconds=1.0,
    target="https://localhost/vp",
    results=(
        Result(1, "a/good", Outcome.PASSED, elapsed_s=0.01, status=200, touched=Touched((CALL,))),
        Result(2, "a/<script>document.title='taken'</script>", Outcome.UNANSWERED, message="nothing listens there"),
    ),
    planned=2,
)


def opened(page: Path) -> str:
    """The page's document after its scripts have run."""
    assert _CHROMIUM is not None
    command = [_CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=_SECONDS, check=True
    )
    return done.stdout


def test_the_report_opens_and_its_own_script_alone_runs(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(html_page(RUN), encoding="utf-8")

    document = opened(page)

    assert "<title>1 of 2 did not pass: rivta replay</title>" in document
    assert "what it touched" in document
    # The filter's script counts the rows that it shows.
    assert 'id="shown" role="status">2' in document
