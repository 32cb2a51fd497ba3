"""The testers' situations: what each source does about the patient of each."""

from pathlib import Path

import pytest

from producers_stub.behaviours import Behaviour, Setting
from producers_stub.journals import Kind, load_journals
from producers_stub.situations import Situation, Situations
from producers_stub.world import FOLDER, World

WORLD = World.load()
SITUATIONS = Situations.load(WORLD)


def counted(situation: Situation) -> tuple[list[int], list[str]]:
    """Records of each source that behaves, and how the others behave."""
    well = [one.records for one in situation.sources if one.setting is None]
    return well, [one.setting.behaviour.value for one in situation.sources if one.setting is not None]


def test_there_are_the_twelve_situations_of_the_testers() -> None:
    assert [counted(one) for one in SITUATIONS.situations] == [
        ([], []),
        ([1], []),
        ([1, 1, 1], []),
        ([1000], []),
        ([5] * 20, []),
        ([1, 1, 0], []),
        ([1, 1], ["slow"]),
        ([], ["slow"] * 3),
        ([1, 1], ["error"]),
        ([], ["error"] * 3),
        ([1, 1], ["fault"]),
        ([], ["fault"] * 3),
    ]


def test_each_situation_has_a_patient_of_its_own_whose_birth_month_is_its_number() -> None:
    patients = [one.patient.id for one in SITUATIONS.situations]
    assert [int(one[4:6]) for one in patients] == list(range(1, 13))
    assert not {one.id for one in WORLD.patients} & set(patients)


@pytest.mark.parametrize("kind", Kind)
def test_a_thousand_records_are_made_each_with_an_id_and_a_time_of_its_own(kind: Kind) -> None:
    patient = SITUATIONS.situations[3].patient.id
    models = load_journals()["situations"].records[kind]
    made = list(SITUATIONS.records(patient, "SE2321000016-T01", models))
    assert len(made) == len({one.document.id for one in made}) == 1000
    assert len({one.document.time for one in made}) >= 500
    assert {one.document.patient for one in made} == {patient}
    assert made == list(SITUATIONS.records(patient, "SE2321000016-T01", models))
    assert list(SITUATIONS.records(patient, "SE2321000016-T02", models)) == []


def test_a_source_behaves_so_about_that_patient_alone() -> None:
    slow = SITUATIONS.situations[6]
    assert SITUATIONS.setting(slow.patient.id, "se2321000016-t03") == Setting.parse({"behaviour": "slow"})
    assert SITUATIONS.setting(slow.patient.id, "SE2321000016-T01") is None
    assert SITUATIONS.setting("191212121212", "SE2321000016-T03") is None


def test_the_sources_of_one_patient_of_the_demo_differ() -> None:
    elsa = "199001012385"
    found = {address: SITUATIONS.setting(elsa, address) for address in ("SE2321000255-SUS", "SE2321000016-SOS")}
    assert {one.behaviour for one in found.values() if one} == {Behaviour.SLOW, Behaviour.FAULT}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sources = 20", "sources = 21", "at most 20 sources"),
        ("failing = 1\n", "failing = 4\n", "no more failing"),
        ('behaviour = "error"', 'behaviour = "sulks"', "'sulks' is not one of"),
        ('name = "no engagement"\n', "", "'name'"),
        ("[[situations]]", "[[situations", "line 7"),
    ],
    ids=["sources", "failing", "behaviour", "no name", "not TOML"],
)
def test_a_wrong_table_is_refused_by_file_and_reason(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (FOLDER / "situations.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "situations.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError) as refused:
        Situations.load(WORLD, path)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)
