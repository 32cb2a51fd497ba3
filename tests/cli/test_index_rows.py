import json
from pathlib import Path

import pytest

from rivta.cli.index_rows import BadRows, portions, read_rows
from rivta.contracts.installed import Contracts
from rivta.soap import namespaces
from tests.index.built import TOLVAN, gone, put

HEAD = "registeredResidentIdentification,serviceDomain,categorization,logicalAddress,sourceSystem,dataController"
VALUES = f"{TOLVAN},riv:clinicalprocess:healthcond:description,dia,SE2321000016-KS,SE2321000016-TC-KS,SE2321000016"
EXPECTED = put(owner="", most_recent_content=None)


def saved(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_of_any_spreadsheet(tmp_path: Path, separator: str) -> None:
    text = f"\ufeff{HEAD},deleteFlag\r\n{VALUES},\r\n{VALUES},TRUE\r\n".replace(",", separator)
    found = list(read_rows(saved(tmp_path, "rows.CSV", text)))
    assert found == [EXPECTED, gone(owner="", most_recent_content=None)]


def test_json(tmp_path: Path) -> None:
    row = dict(zip(HEAD.split(","), VALUES.split(","), strict=True))
    rows = [row, row | {"deleteFlag": True, "mostRecentContent": "20240311101500", "owner": None}]
    for content in (rows, {"engagements": rows}):
        found = list(read_rows(saved(tmp_path, "rows.json", json.dumps(content))))
        assert found == [EXPECTED, gone(owner="")]


def test_an_update_as_xml_in_an_envelope_or_not(tmp_path: Path) -> None:
    folder = Contracts.shipped().find(namespaces.UPDATE_1).folder
    sample = (folder / "samples" / "Update_1.0.request.xml").read_text(encoding="utf-8")
    payload = sample[sample.index("<m:Update ") : sample.index("</soapenv:Body>")]
    whole = list(read_rows(saved(tmp_path, "a.xml", sample)))
    assert whole == list(read_rows(saved(tmp_path, "b.xml", payload)))
    assert [one.delete for one in whole] == [False, True]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("rows.txt", "", "its name has to end with .csv, .json, .xml"),
        ("rows.csv", "", "missing"),
        ("rows.csv", "a,b\n", ":1: registeredResidentIdentification, serviceDomain"),
        ("rows.csv", f"{HEAD},weather\n", ":1: weather unknown; known are deleteFlag"),
        ("rows.csv", f"{HEAD}\n{VALUES},x\n", ":2: has another number of fields"),
        ("rows.csv", f"{HEAD}\n\n{VALUES[:40]}\n", ":3: has another number of fields"),
        ("rows.csv", f"{HEAD},deleteFlag\n{VALUES},maybe\n", ":2: deleteFlag is 'maybe': true or false"),
        ("rows.csv", f"{HEAD}\n{VALUES.replace('dia', '')}\n", ":2: categorization is empty"),
        ("rows.json", "[", "is not JSON"),
        ("rows.json", '{"rows": []}', "has to be a list of objects"),
        ("rows.json", "[1]", "has to be a list of objects"),
        ("rows.json", "[{}]", "row 1: registeredResidentIdentification"),
        ("rows.xml", "<a", "not XML that can be read"),
        ("rows.xml", "<a/>", "holds no engagementTransaction"),
        (
            "rows.xml",
            f'<m:Update xmlns:m="{namespaces.UPDATE_1}"><m:engagementTransaction/></m:Update>',
            "engagementTransaction 1 has no deleteFlag",
        ),
    ],
)
def test_every_mistake_is_told_with_its_place(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(BadRows) as error:
        list(read_rows(saved(tmp_path, name, text)))
    assert str(tmp_path / name) in str(error.value)
    assert told in str(error.value)


def test_csv_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(f"{HEAD}\n{VALUES}\n".encode() + b"\xe5\n")
    with pytest.raises(BadRows, match="is not CSV in UTF-8"):
        list(read_rows(path))


def test_portions_have_what_there_is() -> None:
    assert [len(some) for some in portions(iter([EXPECTED] * 5), 2)] == [2, 2, 1]
    assert list(portions(iter([]), 2)) == []
