"""What a publication freezes."""

import json
from pathlib import Path

import pytest

from rivta.catalogue import content
from rivta.catalogue.rows import Draft
from tests.catalogue.tables import read

EVERYTHING = """\
components: {C: {name: "Å", platform: true}}
producer_addresses: {a: {component: C, url: "${national}", client_certificate: own, ca: sit}}
logical_addresses: {L: {name: l}}
routes:
- {logical_address: [B, A], contracts: GetDiagnosis:2, producer_address: a, valid_from: 2024-01-01}
permissions:
- {consumer: K, logical_address: A, contracts: ProcessNotification:1, agreement: x, valid_to: "2024-01-01T12:00:00+01:00",
   filters: [{domain: d, categories: [c]}, {domain: e}]}
resolution: {hsa_climb: {routes: false, except: [GetDiagnosis:2]}, delimiter: "", delimiter_senders: [K]}
"""


def test_what_was_frozen_is_what_is_read_again(tmp_path: Path) -> None:
    draft = read(tmp_path, all=EVERYTHING).draft
    again = content.decode(content.decompress(content.compress(content.encode(draft))))
    assert content.encode(again) == content.encode(draft)
    assert set(again.routes) == set(draft.routes)
    assert again.permissions == draft.permissions
    assert again.resolution == draft.resolution
    assert again.producer_addresses == draft.producer_addresses


def test_it_is_json_with_variables_unresolved_and_the_places_of_rows(tmp_path: Path) -> None:
    frozen = json.loads(content.encode(read(tmp_path, all=EVERYTHING).draft))
    assert frozen["producer_addresses"][0]["url"] == "${national}"
    assert [row["source"] for row in frozen["routes"]] == ["all.yaml:5", "all.yaml:5"]
    assert frozen["components"][0]["name"] == "Å"


def test_the_order_of_rows_and_files_means_nothing(tmp_path: Path) -> None:
    rows = "routes:\n- {{logical_address: {}, contracts: GetDiagnosis:2, producer_address: a}}\n- {{logical_address: {}, contracts: GetDiagnosis:2, producer_address: a}}"
    one = content.encode(read(tmp_path / "1", a=rows.format("A", "B")).draft)
    other = content.encode(read(tmp_path / "2", a=rows.format("B", "A")).draft)
    assert [row["logical_address"] for row in json.loads(one)["routes"]] == ["A", "B"]
    assert [row["logical_address"] for row in json.loads(other)["routes"]] == ["A", "B"]


def test_an_empty_draft_has_content_too() -> None:
    assert content.decode(content.encode(Draft())) == Draft()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"format":2\n}',
        b'{"format":1,\n"routes":[\n{"logical_address":"A"}\n]\n}',
        b'{"format":1,\n{"a":1}\n}',
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not the content of a publication"):
        content.decode(data)


def test_damaged_storage_is_refused() -> None:
    with pytest.raises(ValueError, match="damaged"):
        content.decompress(content.compress(b"x" * 1000)[:-9])
