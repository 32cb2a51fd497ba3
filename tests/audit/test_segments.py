import pytest

from rivta.audit.segments import SegmentName, read_line


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"writer":"w","boot":"b","sequence":"x","previous":""}',
        b"\xff\xfe",
        b"\0",
    ],
)
def test_what_has_no_place_in_the_chain_is_not_a_line(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a line of a spool"):
        read_line(line)


@pytest.mark.parametrize("content", ['"record":{"id":1}', '"record":[]', '"gap":{}', '"seal":0', '"later":{}'])
def test_a_line_whose_content_is_not_understood_keeps_its_place(content: str) -> None:
    line = read_line(f'{{"writer":"w","boot":"b","sequence":7,"previous":"p",{content}}}'.encode())

    assert (line.sequence, line.content) == (7, None)


def test_only_whole_names_are_segments() -> None:
    name = SegmentName("worker-1", "b.2_c", 12)

    assert SegmentName.parse(str(name)) == name
    assert SegmentName.parse(f"{name}.new") is None
    assert SegmentName.parse("../x-b-000001.jsonl") is None
