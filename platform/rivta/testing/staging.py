"""Setting what a case wants to find at a running pair, and putting it back: also after a run that was killed.

Before each change, how to undo it is written into a file in the home. The file is locked while its run lives, so that
the next run knows what was left behind from what another is using.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import requests
from lxml import etree

from rivta.contracts import samples
from rivta.files import write_file
from rivta.index.client import NotAnAnswer, Question, find_content, hits
from rivta.index.engagement import Engagement, Transaction
from rivta.index.wire import changes_element
from rivta.soap import namespaces
from rivta.soap.identifiers import CORRELATION_ID
from rivta.soap.xml import XmlRefused, parse_xml
from rivta.testing.answers import Answer, ReadAnswer
from rivta.testing.state import State, engagement_of, wish_of

FOLDER = "testing"
_SECONDS = 30.0
_LOOK_AGAIN_S = 0.05
_WORKERS_LOOK_SECONDS = 0.35
"""A worker looks for a new table every 250 ms, and tells nobody when it has one."""
OF_THE_DOOR = ("stopped", "expired-certificate", "wrong-certificate")
_CALLER = "journal"
"""The identity that is permitted everything at the indexes of the demo."""


class CannotSet(RuntimeError):
    """A state that cannot be set or put back; the text says why."""


class Pair(Protocol):
    """What is needed of a running pair."""

    home: Path
    endpoints: Mapping[str, Any]

    def admin(self, method: str, url: str, **more: Any) -> Any:
        """The JSON answer of an admin API of the pair. Raises RuntimeError."""


class Stage:
    """The states of one run, one after the other; a context manager. Not for several threads at once."""

    def __init__(self, pair: Pair, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._pair, self._now = pair, now
        self._folder = pair.home / FOLDER
        self._file: Path | None = None
        self._lock: int | None = None
        self._steps: list[dict[str, Any]] = []

    def __enter__(self) -> Stage:
        """Puts back what runs that were killed have left. Raises CannotSet."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for left in sorted(self._folder.glob("undo-*.json")):
            self._put_back_left(left)
        return self

    def __exit__(self, *_: object) -> None:
        self.put_back()
        if self._file is not None and self._lock is not None:
            os.close(self._lock)
            self._file.unlink(missing_ok=True)
            self._lock_file.unlink(missing_ok=True)

    @property
    def _lock_file(self) -> Path:
        assert self._file is not None
        return self._file.with_suffix(".lock")

    def set(self, state: State) -> None:
        """Sets everything; returns when it is in force. Raises CannotSet, with all of it put back."""
        try:
            for platform, rows in state.tables:
                self._set_tables(platform, rows)
            for platform, engagements in _by_platform(state, self._now()).items():
                self._set_index(platform, engagements)
            for target, wish in state.stubs:
                self._set_stub(target, wish_of(dict(wish)))
        except (CannotSet, ValueError, OSError, RuntimeError) as error:
            with contextlib.suppress(CannotSet):
                self.put_back()
            raise CannotSet(str(error)) from error

    def put_back(self) -> None:
        """Undoes what was set, the last first. Raises CannotSet for what could not be, after the rest."""
        self._undo(self._steps, self._write)

    def _undo(self, steps: list[dict[str, Any]], note: Callable[[], None]) -> None:
        errors = []
        while steps:
            try:
                self._undo_one(steps[-1])
            except (CannotSet, OSError, RuntimeError, KeyError) as error:
                errors.append(str(error))
            steps.pop()
            note()
        if errors:
            raise CannotSet(f"not everything could be put back: {'; '.join(errors)}")

    def _undo_one(self, step: Mapping[str, Any]) -> None:
        match step["do"]:
            case "tables":
                self._take_rows_away(step["platform"], Path(step["file"]))
            case "index":
                rows = [Transaction(one["delete"], Engagement(**one["row"])) for one in step["rows"]]
                self._update(step["platform"], rows)
            case "stub":
                self._stubs("DELETE", step["target"])
                for wish in step["before"]:
                    self._stubs("PUT", step["target"], json=wish)

    def _will_undo(self, step: dict[str, Any]) -> None:
        self._steps.append(step)
        self._write()

    def _write(self) -> None:
        if self._file is None:
            self._file = self._folder / f"undo-{uuid.uuid4().hex[:12]}.json"
            self._lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        write_file(self._file, json.dumps(self._steps).encode(), mode=0o600)

    def _put_back_left(self, left: Path) -> None:
        lock = os.open(left.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # of a run that lives
        else:
            try:
                steps = json.loads(left.read_bytes())
            except FileNotFoundError:
                return
            except (OSError, ValueError) as error:
                raise CannotSet(f"{left}: what a run left behind cannot be read: {error}; remove the file") from error
            self._undo(steps, lambda: write_file(left, json.dumps(steps).encode(), mode=0o600))
            left.unlink(missing_ok=True)
            left.with_suffix(".lock").unlink(missing_ok=True)
        finally:
            os.close(lock)

    def _set_stub(self, target: str, wish: Mapping[str, Any]) -> None:
        if wish.get("behaviour") in OF_THE_DOOR:
            target = self._producer_of(target)
        before = [_again(one) for one in self._stubs("GET", "")["rules"] if one["target"].upper() == target.upper()]
        self._will_undo({"do": "stub", "target": target, "before": before})
        self._stubs("PUT", target, json=dict(wish))

    def _producer_of(self, target: str) -> str:
        return next(
            (
                str(one["name"])
                for one in self._pair.endpoints["producers"]
                if target.upper() in map(str.upper, one["logical_addresses"])
            ),
            target,
        )

    def _stubs(self, method: str, target: str, **more: Any) -> Any:
        base = self._pair.endpoints.get("stubs")
        if base is None:
            raise CannotSet("there are no stub producers here")
        return self._pair.admin(method, f"{base}/stubs{'/' if target else ''}{quote(target, safe='')}", **more)

    def _set_tables(self, platform: str, rows: str) -> None:
        status = self._status(platform)
        file = Path(status["draft"]["folder"]) / f"rivta-test-{uuid.uuid4().hex[:8]}.yaml"
        self._will_undo({"do": "tables", "platform": platform, "file": str(file)})
        write_file(file, rows.encode(), durable=False)
        self._until_published(platform, status["table"]["publication"])

    def _take_rows_away(self, platform: str, file: Path) -> None:
        if not file.exists():
            return
        status = self._status(platform)
        file.unlink(missing_ok=True)
        if status["draft"]["problem"] is None and not status["draft"]["errors"]:
            self._until_published(platform, status["table"]["publication"])

    def _status(self, platform: str) -> Any:
        return self._pair.admin("GET", f"{self._admin_of(platform)}/status")

    def _admin_of(self, platform: str) -> str:
        platforms = self._pair.endpoints["platforms"]
        if platform not in platforms:
            raise CannotSet(f"there is no platform {platform!r} here, but {', '.join(platforms)}")
        return str(platforms[platform]["admin"])

    def _until_published(self, platform: str, before: int) -> None:
        for _ in _looks(f"no new table is in force at {platform}"):
            status = self._status(platform)
            if status["draft"]["problem"] or status["draft"]["errors"]:
                errors = self._pair.admin("GET", f"{self._admin_of(platform)}/tables/lint")["errors"]
                told = "; ".join(f"{one['file']}:{one['line']}: {one['message']}" for one in errors)
                raise CannotSet(f"the tables are refused: {told or status['draft']['problem']}")
            if status["table"]["publication"] != before:
                time.sleep(_WORKERS_LOOK_SECONDS)
                return

    def _set_index(self, platform: str, rows: Sequence[Engagement]) -> None:
        undo = [self._undoing(platform, row) for row in rows]
        told = [{"delete": one.delete, "row": dataclasses.asdict(one.engagement)} for one in undo]
        self._will_undo({"do": "index", "platform": platform, "rows": told})
        self._update(platform, [Transaction(False, row) for row in rows])

    def _undoing(self, platform: str, row: Engagement) -> Transaction:
        """What brings the row back as it is now."""
        question = Question(
            registered_resident_id=row.registered_resident_id,
            service_domain=row.service_domain,
            categorization=row.categorization,
            logical_address=row.logical_address,
            business_object_instance_id=row.business_object_instance_id,
            clinical_process_interest_id=row.clinical_process_interest_id,
            source_system=row.source_system,
            data_controller=row.data_controller,
        )
        try:
            there = hits(self._called(platform, find_content(question)))
        except NotAnAnswer as error:
            raise CannotSet(str(error)) from error
        if not there:
            return Transaction(True, row)
        as_reported = dataclasses.replace(there[0], creation_time=None, update_time=None, owner="")
        return Transaction(False, as_reported)

    def _update(self, platform: str, rows: Sequence[Transaction]) -> None:
        """Reports rows to the platform's index; returns when it has worked them in."""
        self._called(platform, changes_element(namespaces.UPDATE_1, "Update", rows))
        for _ in _looks(f"the index of {platform} has not worked in what it was told"):
            if not self._pair.admin("GET", f"{self._admin_of(platform)}/index/queues")["inbox"]:
                return

    def _called(self, platform: str, payload: etree._Element) -> etree._Element:
        endpoints = self._pair.endpoints
        index = self._pair.admin("GET", f"{self._admin_of(platform)}/index/queues")["hsa_id"]
        who = endpoints["identities"][_CALLER]
        url = endpoints["platforms"][platform]["https"]
        headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""', CORRELATION_ID: str(uuid.uuid4())}
        with requests.Session() as session:
            session.trust_env = False
            session.cert, session.verify = (who["cert"], who["key"]), endpoints["ca"]
            try:
                message = samples.envelope(etree.tostring(payload), index)
                answer = session.post(url, data=message, headers=headers, timeout=_SECONDS, allow_redirects=False)
            except XmlRefused as error:
                raise CannotSet(f"index: {error.reason}") from error
            except requests.RequestException as error:
                raise CannotSet(f"no answer from {url} ({type(error).__name__})") from error
        read = ReadAnswer(Answer(answer.status_code, (), answer.content, 0.0))
        if read.fault is not None or read.payload is None:
            raise CannotSet(f"the index of {platform}: {read.fault.text if read.fault else read.problem}")
        # Out of its envelope, which ends with this function.
        return parse_xml(etree.tostring(read.payload))


def _by_platform(state: State, now: datetime) -> dict[str, list[Engagement]]:
    found: dict[str, list[Engagement]] = {}
    for platform, row in state.index:
        found.setdefault(platform, []).append(engagement_of(dict(row), now))
    return found


def _again(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as it is listed, as the wish that makes it again with what is left of it."""
    names = {"calls_left": "calls", "seconds_left": "lasts"}
    wish = {names.get(name, name): value for name, value in rule.items() if name not in ("target", "met")}
    if wish["behaviour"] in OF_THE_DOOR:
        wish = {name: wish[name] for name in ("behaviour", "lasts")}
    return {name: value for name, value in wish.items() if value not in (None, "")}


def _looks(complaint: str) -> Iterator[None]:
    """Again and again, until it has taken too long: then CannotSet."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(_LOOK_AGAIN_S)
    raise CannotSet(f"{complaint} after {_SECONDS:.0f} s")
