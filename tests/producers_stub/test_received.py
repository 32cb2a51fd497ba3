"""What is kept of the calls that came: the newest, within bounds."""

from dataclasses import replace
from datetime import UTC, datetime

from producers_stub.received import MOST_BODY_BYTES, Received, ReceivedCalls

CALL = Received(
    number=0,
    time=datetime(2026, 11, 24, tzinfo=UTC),
    producer="takecare-ks",
    logical_address="SE1-KS",
    contract="urn:c",
    caller="SE1",
    method="POST",
    path="/",
    headers=(),
    body=b"x" * 10,
    bytes=10,
    behaviour="normal",
)


def test_the_oldest_are_forgotten_by_number_and_by_size() -> None:
    few, small = ReceivedCalls(most_calls=2), ReceivedCalls(most_bytes=25)
    for kept in (few, small):
        for _ in range(3):
            kept.add(CALL)
        assert [one.number for one in kept.find({})] == [2, 3]
        assert kept.get(1) is None


def test_of_a_long_body_the_beginning_is_kept_and_its_length_told() -> None:
    kept = ReceivedCalls()
    number = kept.add(replace(CALL, body=b"x" * (MOST_BODY_BYTES + 1), bytes=MOST_BODY_BYTES + 1))
    found = kept.get(number)
    assert found is not None
    assert (len(found.body), found.bytes) == (MOST_BODY_BYTES, MOST_BODY_BYTES + 1)


def test_an_answer_to_a_call_that_is_forgotten_is_no_trouble() -> None:
    kept = ReceivedCalls(most_calls=1)
    first, second = kept.add(CALL), kept.add(CALL)
    kept.answered(first, status=200, seconds=1)
    kept.answered(second, status=None, seconds=0.25)
    (found,) = kept.find({"producer": "TAKECARE-KS"})
    assert (found.status, found.seconds) == (None, 0.25)
    assert kept.find({"contract": "urn:d"}) == []
    assert len(kept.find({}, limit=5)) == 1
