"""The draft that `rivta route import` and `order` change: a folder's, or a running platform's by its admin API."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import click

from rivta.cli.admin import AdminClient, Refused
from rivta.cli.progress import busy, progress_bar
from rivta.cli.route_sources import LARGE_TABLES_SECONDS, hsa_beside, known_variables

if TYPE_CHECKING:
    from rivta.catalogue.exchange.draft_folder import DraftFolder, Planned
    from rivta.catalogue.exchange.ledger import Loaded
    from rivta.catalogue.exchange.signed import SignedPublication
    from rivta.contracts.installed import Contracts
    from rivta.run.settings import Settings

_PATH = "/tables/changes"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a change of a draft brings, told before it is written."""

    warnings: Sequence[Mapping[str, Any]]
    """New ones of lint."""
    preview: Mapping[str, Any] | None
    """What changes for callers; None when that cannot be told, which `unknown` says why."""
    unknown: str | None


class ChangedDraft(Protocol):
    """One platform's draft."""

    @property
    def name(self) -> str:
        """Of the platform."""

    @property
    def variables(self) -> Mapping[str, str]:
        """What is known for certain of ${name}."""

    @property
    def names(self) -> set[str]:
        """What an order may call the platform."""

    @property
    def hsa_id(self) -> str | None:
        """Of the platform; None where that is not known."""

    def look(self) -> DraftFolder:
        """Its files and rows. Raises ImportRefused."""

    def loaded(self, owner: str) -> Loaded | None:
        """The publication of a platform that was imported into it last. Raises PublicationFileRefused."""

    def foreseen(self, there: DraftFolder, planned: Planned) -> Foreseen:
        """What the change brings. Raises ImportRefused with every mistake."""

    def place(self, path: Path) -> str:
        """Where the file `path` of a plan is, for people."""

    @property
    def then(self) -> str:
        """What is left to do once the draft is written; empty for nothing."""


def draft_of(
    home: str | None, name: str, tables: Path | None, given: tuple[str, ...], contracts: Contracts
) -> ChangedDraft:
    """The draft of the platform `name`: that of a running one, or, if `tables` or nothing runs, that in a folder."""
    if tables is None and is_running(home, name):
        return RunningDraft.of(home, name, given)
    return FolderDraft.of(home, name, tables, given, contracts)


def is_running(home: str | None, platform: str) -> bool:
    """Whether a pair runs in the home, and has that platform."""
    from rivta.run.home import HomeError, resolve

    try:
        return platform in resolve(home).endpoints()["platforms"]
    except HomeError:
        return False


def write(
    changes: Sequence[tuple[ChangedDraft, Planned]], *, reason: str, signed: SignedPublication | None = None
) -> None:
    """Write the changes of all drafts as one; ClickException when nothing is written, with the reason."""
    running = [(draft, planned) for draft, planned in changes if isinstance(draft, RunningDraft)]
    if running:
        _write_running(running, reason, signed)
    else:
        _write_folders([(draft, planned) for draft, planned in changes if isinstance(draft, FolderDraft)], signed)


@dataclass(frozen=True, slots=True)
class FolderDraft:
    """A draft in a folder, that nobody else looks after."""

    name: str
    folder: Path
    contracts: Contracts
    settings: Settings | None
    """None where no configuration is known: files alone."""
    given: tuple[str, ...]

    @classmethod
    def of(
        cls, home: str | None, name: str, tables: Path | None, given: tuple[str, ...], contracts: Contracts
    ) -> FolderDraft:
        """The folder named, or that of the platform in its narrower one, or of the home. Raises ClickException."""
        from rivta.run.home import resolve

        there = resolve(home)
        settings = settings_of(home, name)
        if tables is not None:
            narrowed = tables / name if (tables / name).is_dir() else tables
            return cls(name, narrowed.absolute(), contracts, settings, given)
        folder = (settings.tables.draft if settings else None) or there.routing / name
        if not folder.is_dir():
            raise click.ClickException(f"no draft of {name} in {there.folder}: start a pair, or say --tables DIR")
        return cls(name, folder.absolute(), contracts, settings, given)

    @property
    def variables(self) -> dict[str, str]:
        """What is known for certain of ${name}."""
        return dict(self.settings.variables if self.settings else {}) | _as_variables(self.given)

    @property
    def names(self) -> set[str]:
        """What an order may call the platform."""
        if self.settings is None:
            return {self.name}
        platform = self.settings.platform
        return {self.name, platform.name, platform.hsa_id}

    @property
    def hsa_id(self) -> str | None:
        """Of the platform."""
        return self.settings.platform.hsa_id if self.settings else None

    def look(self) -> DraftFolder:
        """Its files and rows; an import that was interrupted is finished first."""
        from rivta.catalogue.exchange.draft_folder import look
        from rivta.catalogue.exchange.saving import finish

        try:
            finished = finish([self.folder])
        except OSError as error:
            raise click.ClickException(f"{error.filename}: {error.strerror}") from error
        if finished:
            click.echo("an earlier import was interrupted while it wrote: finished now", err=True)
        with busy(f"reading {self.folder}"):
            return look(self.folder, contracts=self.contracts)

    def loaded(self, owner: str) -> Loaded | None:
        """The publication of a platform that was imported into it last."""
        from rivta.catalogue.exchange.ledger import loaded_from

        return loaded_from(self.folder, owner)

    def foreseen(self, there: DraftFolder, planned: Planned) -> Foreseen:
        """What the change brings, with the HSA tree beside the folder and variables as they stand."""
        from rivta.catalogue.as_json import problem_json
        from rivta.catalogue.examining import Examined
        from rivta.catalogue.exchange.imported import ImportRefused
        from rivta.catalogue.hsa import HsaTree, read_hsa
        from rivta.catalogue.lint import Surroundings, check

        hsa = hsa_beside((self.folder,))
        tree, _ = read_hsa(*hsa) if hsa else (HsaTree(), ())
        targets = self.settings.tls.targets if self.settings else None
        around = Surroundings(tree, known_variables(()) | self.variables, (self.name,), targets)
        now = datetime.now(UTC)
        with busy(f"checking {self.name}"):
            examined = Examined(check(there.reading, around, now=now), check(planned.after, around, now=now))
            if errors := examined.errors:
                raise ImportRefused(errors)
        preview, unknown = _previewed(examined, tree, now)
        return Foreseen([problem_json(one) for one in examined.warnings], preview, unknown)

    def place(self, path: Path) -> str:
        """Where a file of it is."""
        return str(path)

    @property
    def then(self) -> str:
        """Nobody looks after it."""
        return ""


@dataclass(frozen=True, slots=True)
class RunningDraft:
    """The draft of a running platform: its keeper reads, checks, writes and notes; nothing here touches its folder."""

    name: str
    client: AdminClient
    said: Mapping[str, Any]
    """What the API says of the draft."""
    given: tuple[str, ...]
    contracts: Contracts

    @classmethod
    def of(cls, home: str | None, name: str, given: tuple[str, ...]) -> RunningDraft:
        """Raises ClickException when the keeper does not answer."""
        from rivta.cli.contract import installed
        from rivta.run.home import resolve

        client = AdminClient.of_platform(resolve(home), name, seconds=LARGE_TABLES_SECONDS)
        return cls(name, client, client.get("/tables/draft"), given, installed(home))

    @property
    def variables(self) -> dict[str, str]:
        """What is known for certain of ${name}."""
        return dict(self.said["variables"]) | _as_variables(self.given)

    @property
    def names(self) -> set[str]:
        """What an order may call the platform."""
        platform = self.said["platform"]
        return {self.name, platform["short_name"], platform["name"], platform["hsa_id"]}

    @property
    def hsa_id(self) -> str | None:
        """Of the platform."""
        return str(self.said["platform"]["hsa_id"])

    def look(self) -> DraftFolder:
        """A copy of its files, for as long as the command runs, and their rows."""
        from rivta.catalogue.exchange.draft_folder import look

        temporary = click.get_current_context().with_resource(tempfile.TemporaryDirectory(prefix="rivta-"))
        folder = Path(temporary) / Path(self.said["folder"]).name
        folder.mkdir()
        files: Mapping[str, str] = self.said["files"]
        with progress_bar(f"reading the draft of {self.name}") as progress:
            for number, (name, digest) in enumerate(files.items(), start=1):
                text = self.client.content(f"/tables/files/{quote(name)}")
                if hashlib.sha256(text).hexdigest() != digest:
                    raise click.ClickException(f"{name} was changed just now by somebody else; do it again")
                (folder / name).write_bytes(text)
                progress(number, len(files))
        with busy(f"reading the draft of {self.name}"):
            return look(folder, contracts=self.contracts)

    def loaded(self, owner: str) -> Loaded | None:
        """The publication of a platform that was imported into it last."""
        from rivta.catalogue.exchange.ledger import Loaded

        found = self.said["imported"].get(owner)
        return None if found is None else Loaded(found["number"], found["digest"])

    def foreseen(self, there: DraftFolder, planned: Planned) -> Foreseen:
        """What the change brings, as the keeper says."""
        with busy(f"checking {self.name}"):
            found = self.post(f"{_PATH}/preview", {"files": self.texts(planned)})
        return Foreseen(found["warnings"], found["preview"], found["unknown"])

    def place(self, path: Path) -> str:
        """Where a file of it is."""
        return str(Path(self.said["folder"]) / path.name)

    @property
    def then(self) -> str:
        """Somebody has to publish it, unless the platform does that by itself."""
        return "" if self.said["autopublish"] else f"rivta route publish --platform {self.name} --comment TEXT"

    def texts(self, planned: Planned) -> dict[str, str]:
        """The new texts of a plan, by name."""
        return {path.name: text.decode() for path, text in planned.files.items()}

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send a change of this draft. Raises ImportRefused with every mistake it brings; ClickException."""
        from rivta.catalogue.exchange.imported import ImportRefused
        from rivta.catalogue.rows import Problem

        try:
            return self.client.request("POST", path, body=body, headers={"If-Match": f'"{self.said["digest"]}"'})
        except Refused as refused:
            if refused.status == 422:
                raise ImportRefused([Problem(**one) for one in refused.problem["errors"]]) from refused
            if refused.status == 413:
                size = len(json.dumps(body)) // 2**20
                raise click.ClickException(
                    f"the changed files are {size} MB, more than is taken at once: import it in parts, or stop the "
                    f"platform's autopublish and write to its folder with --tables"
                ) from refused
            raise


def _write_running(
    changes: Sequence[tuple[RunningDraft, Planned]], reason: str, signed: SignedPublication | None
) -> None:
    """One keeper writes for all; the others say beforehand that it may."""
    (draft, planned), *others = sorted(changes, key=lambda one: one[1].is_empty)
    body: dict[str, Any] = {"files": draft.texts(planned), "reason": reason}
    for other, its in others:
        if not its.is_empty:
            files = other.texts(its)
            allowed = other.post(f"{_PATH}/allow", {"files": files, "reason": reason})["allowed"]
            body["other"] = {"files": files, "allowed": allowed}
    if signed is not None:
        body["imported"] = {"platform": signed.platform, "number": signed.about.version, "digest": signed.digest}
    with busy("writing"):
        draft.post(_PATH, body)


def _write_folders(changes: Sequence[tuple[FolderDraft, Planned]], signed: SignedPublication | None) -> None:
    from rivta.catalogue.exchange.ledger import LEDGER, Loaded, ledger_with
    from rivta.catalogue.exchange.saving import SaveRefused, save

    files = {path: text for _, planned in changes for path, text in planned.files.items()}
    before = {path: text for _, planned in changes for path, text in planned.before.items()}
    if signed is not None:
        folder = changes[0][0].folder
        loaded = Loaded(signed.about.version, signed.digest)
        files[folder / LEDGER] = ledger_with(folder, signed.platform, loaded, datetime.now(UTC))
    try:
        save(files, before=before)
    except SaveRefused as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}; nothing is written") from error


def _previewed(examined: Any, tree: Any, now: datetime) -> tuple[Mapping[str, Any] | None, str | None]:
    from contextlib import ExitStack

    from rivta.catalogue.compile import UncompilableTable
    from rivta.catalogue.effects_json import preview_json
    from rivta.catalogue.preview import preview
    from rivta.catalogue.sides import opened_side

    if examined.before.errors:
        return None, f"the draft has mistakes already, the first: {examined.before.errors[0]}"
    try:
        with ExitStack() as stack:
            drafts = examined.before.draft, examined.after.draft
            before, after = (stack.enter_context(opened_side(one, tree)) for one in drafts)
            progress = stack.enter_context(progress_bar("deciding"))
            found = preview(before, after, now=now, progress=progress)
    except UncompilableTable as error:
        return None, f"the draft cannot be compiled: {error}"
    return preview_json(found, before="draft", after="draft with the changes"), None


def _as_variables(given: Sequence[str]) -> dict[str, str]:
    pairs = (one.partition("=") for one in given)
    return {name: url for name, equals, url in pairs if equals}


def settings_of(home: str | None, platform: str) -> Settings | None:
    """The settings of a platform of the pair in `home`; None where there are none that can be used."""
    from rivta.run.home import resolve
    from rivta.run.settings import Settings, SettingsError

    file = resolve(home).settings_file(platform)
    try:
        return Settings.load(file) if file.is_file() else None
    except SettingsError:
        return None
