"""The files of a draft over the network: by name, with a digest, and only in their folder."""

import os
from pathlib import Path

import pytest

from rivta.catalogue.drafts import (
    BadName,
    DraftChanged,
    DraftFolder,
    FileChanged,
    FilesChange,
    digest_of,
    digest_of_all,
)


@pytest.fixture
def draft(tmp_path: Path) -> DraftFolder:
    (tmp_path / "draft").mkdir()
    (tmp_path / "draft" / "a.yaml").write_bytes(b"# one\n")
    return DraftFolder(tmp_path / "draft")


def test_files_are_told_by_name_with_their_digest(draft: DraftFolder, tmp_path: Path) -> None:
    (tmp_path / "draft" / "notes.txt").write_text("no table")
    assert [(one.name, one.digest, one.bytes) for one in draft.files()] == [("a.yaml", digest_of(b"# one\n"), 6)]
    assert draft.read("a.yaml") == b"# one\n"


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert DraftFolder(tmp_path / "nowhere").files() == ()


def test_a_file_is_replaced_only_by_who_knows_what_it_was(draft: DraftFolder) -> None:
    with pytest.raises(FileChanged, match="is another now") as refusal:
        draft.write("a.yaml", b"# two\n", expected=digest_of(b"# never\n"))
    assert refusal.value.digest == digest_of(b"# one\n")
    assert draft.read("a.yaml") == b"# one\n"
    assert draft.write("a.yaml", b"# two\n", expected=digest_of(b"# one\n")) == digest_of(b"# two\n")
    assert draft.read("a.yaml") == b"# two\n"


def test_a_new_file_is_not_written_over_one_that_is_there(draft: DraftFolder) -> None:
    draft.write("b.yaml", b"# b\n", expected=None)
    with pytest.raises(FileChanged):
        draft.write("b.yaml", b"# other\n", expected=None)
    with pytest.raises(FileChanged, match="is not there"):
        draft.write("c.yaml", b"# c\n", expected="0" * 64)
    assert [one.name for one in draft.files()] == ["a.yaml", "b.yaml"]


def test_a_file_is_removed_only_by_who_knows_what_it_was(draft: DraftFolder) -> None:
    with pytest.raises(FileChanged):
        draft.remove("a.yaml", expected="0" * 64)
    draft.remove("a.yaml", expected=digest_of(b"# one\n"))
    assert draft.files() == ()


@pytest.mark.parametrize(
    "name",
    [
        "../a.yaml",
        "/nowhere/at/all.yaml",
        "x/a.yaml",
        ".a.yaml",
        "..yaml",
        "a.yml",
        "a.yaml.",
        "",
        "a\0.yaml",
        "a" * 96 + ".yaml",
    ],
)
def test_a_name_leads_nowhere_else(draft: DraftFolder, name: str) -> None:
    for use in (
        lambda: draft.read(name),
        lambda: draft.write(name, b"", expected=None),
        lambda: draft.remove(name, expected=""),
    ):
        with pytest.raises(BadName):
            use()


def test_a_link_and_a_pipe_are_neither_read_nor_written(draft: DraftFolder, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_bytes(b"secret")
    (tmp_path / "draft" / "link.yaml").symlink_to(secret)
    (tmp_path / "draft" / "dangling.yaml").symlink_to(tmp_path / "new.yaml")
    os.mkfifo(tmp_path / "draft" / "pipe.yaml")
    for name in ("link.yaml", "dangling.yaml", "pipe.yaml"):
        with pytest.raises(LookupError):
            draft.read(name)
        with pytest.raises(BadName, match="something else than a file"):
            draft.write(name, b"", expected=None)
        with pytest.raises(BadName):
            draft.remove(name, expected=digest_of(b"secret"))
    assert secret.read_bytes() == b"secret"
    assert not (tmp_path / "new.yaml").exists()
    assert [one.name for one in draft.files()] == ["a.yaml"]


def test_replacing_all_keeps_what_was_there(draft: DraftFolder, tmp_path: Path) -> None:
    draft.write("same.yaml", b"# same\n", expected=None)
    draft.write("gone.yaml", b"# gone\n", expected=None)
    draft.replace({"a.yaml": b"# new\n", "same.yaml": b"# same\n", "b.yaml": b"# b\n"}, kept_in=tmp_path / "kept")
    assert {one.name: draft.read(one.name) for one in draft.files()} == {
        "a.yaml": b"# new\n",
        "b.yaml": b"# b\n",
        "same.yaml": b"# same\n",
    }
    assert {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()} == {
        "a.yaml": b"# one\n",
        "gone.yaml": b"# gone\n",
    }


def test_the_digest_of_a_draft_is_another_for_another_text_name_or_number_of_files() -> None:
    drafts: list[dict[str, bytes]] = [
        {},
        {"a.yaml": b"x"},
        {"a.yaml": b"y"},
        {"b.yaml": b"x"},
        {"a.yaml": b"x", "b.yaml": b""},
    ]
    assert len({digest_of_all(one) for one in drafts}) == len(drafts)
    assert digest_of_all({"a.yaml": b"x", "b.yaml": b"y"}) == digest_of_all({"b.yaml": b"y", "a.yaml": b"x"})


@pytest.mark.parametrize("name", ["linked.yaml", "old.yml", "with space.yaml"])
def test_a_draft_with_a_file_that_cannot_be_written_over_the_network_is_not_taken_for_whole(
    draft: DraftFolder, tmp_path: Path, name: str
) -> None:
    if name == "linked.yaml":
        (tmp_path / "draft" / name).symlink_to(tmp_path / "draft" / "a.yaml")
    else:
        (tmp_path / "draft" / name).write_bytes(b"# one\n")
    with pytest.raises(BadName, match=name):
        draft.texts()


def test_a_change_of_two_drafts_is_written_to_both_or_to_none(draft: DraftFolder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = DraftFolder(tmp_path / "other")
    wanted = FilesChange({"a.yaml": b"# two\n", "new.yaml": b"# new\n"}, digest_of_all(draft.texts()))
    theirs = FilesChange({"b.yaml": b"# b\n"}, digest_of_all({"b.yaml": b"# was here"}))
    with pytest.raises(DraftChanged, match="other") as refusal:
        draft.change(wanted, others=[(other, theirs)])
    assert (refusal.value.digest, draft.texts(), other.texts()) == (digest_of_all({}), {"a.yaml": b"# one\n"}, {})
    given = draft.change(wanted, others=[(other, FilesChange(theirs.texts, digest_of_all({})))])
    assert (draft.texts(), other.texts()) == (wanted.texts, theirs.texts)
    assert given == digest_of_all(wanted.texts)
