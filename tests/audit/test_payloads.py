"""Messages that are kept: by nobody's chance, readable by nobody else, without personal numbers, and not for ever."""

from datetime import date
from pathlib import Path

import pytest

from rivta.audit.payloads import LARGEST_BYTES, Payloads, PayloadWriter, masked
from rivta.router.record import CallRecord
from tests.calls import call


def kept(folder: Path, request: bytes, response: bytes = b"<a/>", *, numbers: bool = False) -> CallRecord:
    writer = PayloadWriter(folder / "payload", keeps_personal_numbers=numbers)
    record = writer.keep(call(1), request, response)
    writer.close()
    return record


def test_what_was_kept_is_found_by_its_record_and_is_readable_by_us_alone(tmp_path: Path) -> None:
    record = kept(tmp_path, "<a>åäö</a>".encode(), b"<b/>")
    payloads = Payloads(tmp_path / "payload")
    assert (payloads.read(record.stored_request), payloads.read(record.stored_response)) == ("<a>åäö</a>", "<b/>")
    files = [path for path in (tmp_path / "payload").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["c1-request.xml", "c1-response.xml"]
    assert {path.stat().st_mode & 0o077 for path in [*files, tmp_path / "payload"]} == {0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"<id>191212121212</id>", b"<id>xxxxxxxxxxxx</id>"),
        (b"191212121212", b"xxxxxxxxxxxx"),
        (b"121212-1212 121212+1212 1212121212", b"xxxxxxxxxxx xxxxxxxxxxx xxxxxxxxxx"),
        (b"<id>191212721219</id>", b"<id>xxxxxxxxxxxx</id>"),
        (b"<id>19121212T220</id>", b"<id>xxxxxxxxxxxx</id>"),
        (b"SE2321000016-KS 20261124120000 1.2.752.129.2.1.3.1", b"SE2321000016-KS 20261124120000 1.2.752.129.2.1.3.1"),
    ],
)
def test_personal_numbers_are_masked_and_little_else(text: bytes, expected: bytes) -> None:
    assert masked(text) == expected


def test_a_message_in_which_numbers_cannot_be_found_is_not_kept(tmp_path: Path) -> None:
    record = kept(tmp_path, "<a>191212121212</a>".encode("utf-16"))
    assert record.stored_request is None
    assert record.stored_response is not None
    assert kept(tmp_path / "b", "<a/>".encode("utf-16"), numbers=True).stored_request is not None


def test_numbers_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    record = kept(tmp_path, b"191212121212", numbers=True)
    assert Payloads(tmp_path / "payload").read(record.stored_request) == "191212121212"


@pytest.mark.parametrize("body", [b"", b"x" * (LARGEST_BYTES + 1)])
def test_nothing_and_giants_are_not_kept(tmp_path: Path, body: bytes) -> None:
    assert kept(tmp_path, body).stored_request is None


def test_a_disk_that_refuses_costs_messages_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "payload").mkdir()
    (tmp_path / "payload" / "2026-11-24").write_text("in the way")
    record = kept(tmp_path, b"<a/>")
    assert record.stored_request is not None
    assert caplog.text.count("messages cannot be kept") == 1


def test_days_older_than_the_call_log_are_deleted(tmp_path: Path) -> None:
    record = kept(tmp_path, b"<a/>")
    payloads = Payloads(tmp_path / "payload")
    assert payloads.retain(date(2026, 11, 24)) == 0
    assert payloads.retain(date(2026, 11, 25)) == 1
    assert payloads.read(record.stored_request) is None


@pytest.mark.parametrize("name", [None, "../rivta.sqlite", "2026-11-24/../../x.xml", "/etc/passwd"])
def test_only_names_of_messages_are_read(tmp_path: Path, name: str | None) -> None:
    assert Payloads(tmp_path).read(name) is None
