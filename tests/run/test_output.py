"""The logs of the roles: their ends, and their bounds."""

import os
from pathlib import Path

from rivta.run.output import last_lines, open_log, trim_log


def test_the_last_lines_are_those_of_this_run(tmp_path: Path) -> None:
    log = tmp_path / "keeper.log"
    log.write_text("old\n")
    begins_at = log.stat().st_size
    with log.open("a") as file:
        file.write("one\n\ntvå\nthree\n")
    assert last_lines(log, since=begins_at, count=2) == ["två", "three"]
    assert last_lines(log, since=begins_at) == ["one", "två", "three"]


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "keeper.log") == []


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "keeper.log"
    log.write_text("x" * 100_000 + "\nlast\n")
    assert last_lines(log)[-1] == "last"


def test_a_log_is_bounded_while_its_process_goes_on_writing(tmp_path: Path) -> None:
    log = tmp_path / "keeper.log"
    descriptor = open_log(log)
    os.write(descriptor, b"before\n" * 10)
    trim_log(log, longest_bytes=50)
    os.write(descriptor, b"after\n")
    os.close(descriptor)
    assert log.read_text() == "after\n"
    assert (tmp_path / "keeper.log.1").read_text() == "before\n" * 10


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "keeper.log"
    log.write_text("short\n")
    trim_log(log)
    assert log.read_text() == "short\n"
    assert not (tmp_path / "keeper.log.1").exists()
