"""Rows written as YAML again say the same when they are read."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rivta import shipped
from rivta.catalogue.differences import differences
from rivta.catalogue.files import read_draft
from rivta.catalogue.rows import Draft
from rivta.catalogue.written import as_files
from rivta.contracts.installed import Contracts
from tests.catalogue.tables import CONTACTS, DIAGNOSIS, FakeContracts, read

HSA_IDS = st.from_regex(r"SE\d{10}-[A-Z0-9]{1,4}", fullmatch=True)
TEXTS = st.text(st.characters(categories=("L", "N", "P", "Zs", "S")), min_size=1).filter(
    lambda text: text == text.strip() and text.isprintable()
)
DAYS = st.none() | st.dates().filter(lambda day: day.year >= 1900).map(str)


@st.composite
def tables(draw: st.DrawFn) -> str:
    """A route and a permission, with lists and with odd texts; JSON is YAML."""
    addresses = draw(st.lists(HSA_IDS, min_size=1, max_size=3, unique=True))
    contracts = draw(st.lists(st.sampled_from([DIAGNOSIS, CONTACTS]), min_size=1, max_size=2, unique=True))
    row = {"logical_address": addresses, "contracts": contracts}
    row |= {name: day for name in ("valid_from", "valid_to") if (day := draw(DAYS))}
    route = row | {"producer_address": draw(TEXTS)}
    permission = row | {"consumer": draw(HSA_IDS), "agreement": draw(TEXTS)}
    return json.dumps({"routes": [route], "permissions": [permission]}, ensure_ascii=False)


@given(one=tables(), two=tables())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_back_as_they_were(tmp_path: Path, one: str, two: str) -> None:
    before = read(tmp_path / "before", one=one, two=two)
    assert before.problems == ()
    after = again(tmp_path / "after", before.draft)
    assert differences(before.draft, after) == ()
    assert (len(after.routes), len(after.permissions)) == (len(before.draft.routes), len(before.draft.permissions))


def again(folder: Path, draft: Draft) -> Draft:
    folder.mkdir(exist_ok=True)
    for name, text in as_files(draft).items():
        (folder / name).write_bytes(text)
    reading = read_draft(folder, contracts=FakeContracts(), relative_to=folder)
    assert reading.problems == ()
    return reading.draft


@pytest.mark.parametrize("platform", ["national", "regional"])
def test_the_shipped_tables_come_back_as_they_were(platform: str, tmp_path: Path) -> None:
    contracts = Contracts.shipped()
    before = read_draft(shipped.folder("routing") / platform, contracts=contracts).draft
    for name, text in as_files(before).items():
        (tmp_path / name).write_bytes(text)
    after = read_draft(tmp_path, contracts=contracts)
    assert after.problems == ()
    assert differences(before, after.draft) == ()
    assert len(after.draft.permissions) == len(before.permissions)
