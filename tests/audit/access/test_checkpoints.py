"""The signed heads, in a file that is only ever appended to."""

import base64
import json
from datetime import timedelta

import pytest

from rivta.audit.access.checkpoints import CheckpointsUnusable, digest_of, lines_of, read_line
from rivta.audit.access.entry import Kind
from rivta.audit.access.log import AccessLog
from tests.audit.access.logs import Kept, intent, sign


def test_a_line_has_the_heads_that_are_new_and_the_digest_of_the_line_before(kept: Kept) -> None:
    one, other = kept.writer(), kept.writer()
    one.record(intent())
    (second,) = other.record(intent())
    kept.sign()
    (third,) = one.record(intent())
    kept.sign()

    first, last = lines_of(kept.file)

    assert set(read_line(first).checkpoint.heads) == {one.name, other.name}
    assert read_line(first).checkpoint.heads[other.name].hash == second.hash
    heads = dict(read_line(last).checkpoint.heads)
    assert heads.pop(one.name).hash == third.hash
    assert [name.partition("-")[0] for name in heads] == ["keeper"]
    assert read_line(last).checkpoint.previous == digest_of(first)
    assert (read_line(first).checkpoint.number, read_line(last).checkpoint.number) == (1, 2)


def test_the_signature_is_over_the_bytes_that_stand_there(kept_on_sqlite: Kept) -> None:
    kept_on_sqlite.writer().record(intent())
    kept_on_sqlite.sign()

    (line,) = lines_of(kept_on_sqlite.file)

    signed, signature = line.split(b"\t")
    assert base64.b64decode(signature) == sign(signed)
    assert json.loads(signed)["log"] == kept_on_sqlite.log.id


def test_without_news_nothing_is_signed(kept: Kept) -> None:
    kept.sign()
    assert list(lines_of(kept.file)) == []
    kept.writer().record(intent())
    kept.sign()
    kept.sign()

    assert len(list(lines_of(kept.file))) == 1


def test_the_log_tells_of_each_checkpoint(kept: Kept) -> None:
    kept.writer().record(intent())
    kept.sign()

    (told,) = kept.log.entries(kinds=[Kind.CHECKPOINT])

    (line,) = lines_of(kept.file)
    assert json.loads(told.entry.detail) == {
        "series": read_line(line).checkpoint.series,
        "number": 1,
        "digest": digest_of(line),
    }


def test_a_line_that_a_power_cut_has_torn_is_left_and_the_series_goes_on(kept_on_sqlite: Kept) -> None:
    kept = kept_on_sqlite
    writer = kept.writer()
    writer.record(intent())
    kept.sign()
    with kept.file.open("ab") as file:
        file.write(b'{"format":1,"num')
    writer.record(intent())

    kept.sign()

    assert [line[:16] for line in lines_of(kept.file)][1] == b'{"format":1,"num'
    found = kept.verify()
    assert (found.problems, found.checkpoints, found.notes) == ([], 2, ["checkpoints, line 2 is no checkpoint"])


def test_the_checkpoints_of_another_log_are_not_continued(kept_on_sqlite: Kept, tmp_path) -> None:
    kept_on_sqlite.writer().record(intent())
    kept_on_sqlite.sign()
    (tmp_path / "other").mkdir()
    other = Kept(AccessLog.open(f"sqlite:///{tmp_path / 'other' / 'access.sqlite'}"), tmp_path)
    other.writer().record(intent())

    with pytest.raises(CheckpointsUnusable, match="of another access log"):
        other.sign()
    other.log.close()


def test_only_its_owner_reads_the_file(kept_on_sqlite: Kept) -> None:
    kept_on_sqlite.writer().record(intent())
    kept_on_sqlite.sign()

    assert kept_on_sqlite.file.stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_named(kept_on_sqlite: Kept) -> None:
    kept_on_sqlite.writer().record(intent())
    kept_on_sqlite.file.mkdir()

    with pytest.raises(CheckpointsUnusable, match=r"checkpoints.jsonl cannot be written: Is a directory"):
        kept_on_sqlite.checkpoints.sign(now=kept_on_sqlite.now + timedelta(seconds=1))


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]\tAA==", b"{}\tAA==", b'{"format":1}\tAA==', b"\xff\t", b"[" * 100_000, b'{"format":2}\tAA=='],
    ids=["empty", "unsigned", "list", "nothing", "little", "bytes", "deep", "newer"],
)
def test_what_is_no_line_is_told_so(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a checkpoint|decode|Expecting"):
        read_line(line)
