"""Several files changed as one, also when the machine stops in between."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rivta.catalogue.autopublish import Autopublisher, Folders, State
from rivta.catalogue.exchange import saving
from rivta.catalogue.exchange.saving import JOURNAL, BadJournal, SaveRefused, finish, save
from rivta.catalogue.publications import HsaVersions, Publications
from rivta.files import write_file
from rivta.store.engine import open_database
from tests.catalogue.tables import NOW, contracts_in_force


class Stopped(BaseException):
    """The machine stops here."""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("national", "regional"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_bytes(b"old")
    return tmp_path / "national", tmp_path / "regional"


def contents(folders: tuple[Path, Path]) -> set[bytes]:
    return {path.read_bytes() for folder in folders for path in folder.glob("*.yaml")}


def leftovers(folders: tuple[Path, Path]) -> list[str]:
    return [path.name for folder in folders for path in folder.iterdir() if path.name.startswith(".")]


def everything(folders: tuple[Path, Path]) -> tuple[dict[Path, bytes], dict[Path, bytes | None]]:
    files = {folder / name: b"new" for folder in folders for name in ("a.yaml", "b.yaml")}
    return files, {path: b"old" if path.name == "a.yaml" else None for path in files}


def test_all_files_are_in_place_and_nothing_is_left_over(folders: tuple[Path, Path]) -> None:
    files, before = everything(folders)
    (folders[0] / "a.yaml").chmod(0o600)
    save(files, before=before)
    assert contents(folders) == {b"new"}
    assert leftovers(folders) == []
    assert (folders[0] / "a.yaml").stat().st_mode & 0o777 == 0o600


def test_what_somebody_changed_meanwhile_is_not_overwritten(folders: tuple[Path, Path]) -> None:
    files, before = everything(folders)
    (folders[1] / "a.yaml").write_bytes(b"theirs")
    with pytest.raises(SaveRefused, match="changed meanwhile"):
        save(files, before=before)
    assert contents(folders) == {b"old", b"theirs"}
    assert leftovers(folders) == []


@pytest.mark.parametrize("step", range(16))
def test_wherever_it_stops_it_is_all_or_nothing(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Every write, rename and removal in turn is the last thing that happens."""
    count = 0

    def stopping(original: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count > step:
                raise Stopped
            return original(*arguments, **named)

        return guarded

    files, before = everything(folders)
    with monkeypatch.context() as patched:
        patched.setattr(saving, "write_file", stopping(write_file))
        patched.setattr(Path, "replace", stopping(Path.replace))
        patched.setattr(Path, "unlink", stopping(Path.unlink))
        with contextlib.suppress(Stopped):
            save(files, before=before)
    finish(folders)
    assert len(contents(folders)) == 1
    assert [path for folder in folders if (path := folder / JOURNAL).exists()] == []
    save(files, before={path: path.read_bytes() if path.exists() else None for path in files})
    assert contents(folders) == {b"new"}


def test_a_disk_that_is_full_changes_nothing(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0

    def full(*arguments: Any, **named: Any) -> None:
        nonlocal written
        written += 1
        if written == 5:  # the first journal: everything is staged
            raise OSError(28, "No space left on device")
        write_file(*arguments, **named)

    monkeypatch.setattr(saving, "write_file", full)
    files, before = everything(folders)
    with pytest.raises(OSError, match="No space"):
        save(files, before=before)
    assert contents(folders) == {b"old"}
    assert leftovers(folders) == []


def test_a_journal_names_what_is_staged_and_where_it_goes(folders: tuple[Path, Path]) -> None:
    staged = folders[0] / ".a.yaml.staged"
    staged.write_bytes(b"new")
    plan = {"files": [[str(staged), str(folders[0] / "a.yaml"), saving._digest(b"new")]]}
    (folders[0] / JOURNAL).write_text(json.dumps(plan))
    assert finish(folders)
    assert not finish(folders)
    assert (folders[0] / "a.yaml").read_bytes() == b"new"


def test_a_file_that_is_a_link_stays_one(folders: tuple[Path, Path]) -> None:
    (folders[1] / "link.yaml").symlink_to(folders[0] / "a.yaml")
    save({folders[1] / "link.yaml": b"new"}, before={folders[1] / "link.yaml": b"old"})
    assert (folders[1] / "link.yaml").is_symlink()
    assert (folders[0] / "a.yaml").read_bytes() == b"new"
    assert leftovers(folders) == []


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"files": 1}', '{"files": [["a"]]}', '{"files": [[1, 2, 3]]}'])
def test_what_is_no_journal_is_named_and_changes_nothing(folders: tuple[Path, Path], text: str) -> None:
    (folders[0] / JOURNAL).write_text(text)
    with pytest.raises(BadJournal, match=rf"national/{JOURNAL}: is no journal"):
        finish(folders)
    assert contents(folders) == {b"old"}


def test_a_journal_that_came_with_a_folder_replaces_nothing_elsewhere(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "authorized_keys"
    elsewhere.write_bytes(b"mine")
    staged = folders[0] / ".authorized_keys.staged"
    staged.write_bytes(b"theirs")
    plan = {"files": [[str(staged), str(elsewhere), saving._digest(b"theirs")]]}
    (folders[0] / JOURNAL).write_text(json.dumps(plan))
    with pytest.raises(BadJournal):
        finish(folders)
    assert elsewhere.read_bytes() == b"mine"


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Autopublisher]:
    """Of the draft in `national`."""
    engine = open_database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    yield Autopublisher(
        Folders(tmp_path / "national", None, tmp_path / "tables"),
        Publications(engine),
        HsaVersions(engine),
        contracts_in_force,
        variables={},
    )
    engine.dispose()


def test_a_keeper_tells_of_a_bad_journal_and_publishes_nothing_meanwhile(
    folders: tuple[Path, Path], keeper: Autopublisher
) -> None:
    for path in folders[0].iterdir():
        path.write_text("components: {SE2321000016-A: {name: a}}\n")
    (folders[0] / JOURNAL).write_text("no JSON")
    assert keeper.start(NOW).state is State.UNAVAILABLE
    assert "is no journal of an import" in str(keeper.problem)
    (folders[0] / JOURNAL).unlink()
    assert keeper.look(NOW).state is State.SWITCHED


def test_a_keeper_finishes_what_an_import_began_before_it_reads(
    folders: tuple[Path, Path], keeper: Autopublisher
) -> None:
    """Otherwise a machine that stopped between two renames would publish half an import."""
    content = b"components: {SE2321000016-A: {name: a}}\n"
    staged = folders[0] / ".a.yaml.staged"
    staged.write_bytes(content)
    plan = {"files": [[str(staged), str(folders[0] / "a.yaml"), saving._digest(content)]]}
    (folders[0] / JOURNAL).write_text(json.dumps(plan))
    keeper.start(NOW)
    assert (folders[0] / "a.yaml").read_bytes() == content
