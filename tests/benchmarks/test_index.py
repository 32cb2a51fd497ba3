import json

import pytest

from benchmarks import index


def test_a_small_index_is_filled_and_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, few in (("QUESTIONS", 20), ("SOAP_QUESTIONS", 5), ("UPDATES", 1), ("AT_ONCE", 40)):
        monkeypatch.setattr(index, name, few)
    monkeypatch.setattr("sys.argv", ["index", "--rows", "100", "--sqlite", "--json"])
    assert index.main() == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["number"] for row in rows] == [20, 5, 1, 1, 1, 1]


def test_every_row_has_a_person_with_others() -> None:
    kinds = {(index.engagement(number).service_domain, index.engagement(number).categorization) for number in range(10)}
    assert kinds == set(index.KINDS)
    assert len({index.engagement(number).registered_resident_id for number in range(100)}) == 10
    assert len({index.engagement(number).id for number in range(100)}) == 100
