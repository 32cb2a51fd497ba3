"""The demo world, and what must hold for it to be used."""

from pathlib import Path

import pytest

from producers_stub.behaviours import SLOW_SECONDS, Behaviour
from producers_stub.journals import load_journals
from producers_stub.persons import id_type_of, problem_with_person_id
from producers_stub.situations import Situations
from producers_stub.world import FOLDER, World
from rivta.soap.identifiers import short_name


def written(folder: Path, old: str, new: str) -> Path:
    """The shipped world with one text replaced."""
    text = (FOLDER / "world.toml").read_text(encoding="utf-8")
    assert old in text
    path = folder / "world.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_shipped_world_has_two_platforms_and_producers_behind_both() -> None:
    world = World.load()

    assert [platform.key for platform in world.platforms] == ["national", "regional"]
    assert world.platform("regional").hsa_id == "SE2321000016-RTP"
    assert {producer.platform for producer in world.producers} == {"national", "regional"}
    assert {identity.name for identity in world.identities} == {"npo", "journal", "stranger"}


def test_addresses_are_named_for_what_they_provoke() -> None:
    named = {
        one.logical_address.rpartition("-")[2].lower(): one.default.behaviour
        for producer in World.load().producers
        if producer.name == "provoke"
        for one in producer.addresses
    }

    assert set(named) == {"slow", "fault", "empty", "invalid", "error", "close"}
    assert all(behaviour is Behaviour(name) for name, behaviour in named.items())


def test_a_slow_address_is_slower_than_any_platform_waits() -> None:
    slow = [one for producer in World.load().producers for one in producer.addresses if one.default.seconds]

    assert [one.default.seconds for one in slow] == [SLOW_SECONDS]
    assert SLOW_SECONDS > 29


def test_every_patient_has_an_id_that_producers_accept() -> None:
    for patient in World.load().patients:
        assert problem_with_person_id(patient.id, id_type_of(patient.id)) is None, patient.name


def test_every_personal_number_is_of_the_test_series() -> None:
    world = World.load()
    people = [*world.patients, *(one.patient for one in Situations.load(world).situations)]
    personal = [one.id for one in people if not one.id.startswith("99")]
    assert {number[8:11] for number in personal} <= {"121", "238", "239", "980", "981"}
    assert [number for number in personal if number[8:11] == "121"] == ["191212121212"]


def test_a_blocked_care_unit_is_one_that_has_records_about_the_patient() -> None:
    units = {
        (record.document.patient, record.document.unit.hsa_id, record.document.unit.care_provider)
        for journal in load_journals().values()
        for records in journal.records.values()
        for record in records
    }
    assert {(one.patient, one.care_unit, one.care_provider) for one in World.load().blocks} <= units


def test_systems_have_contracts_in_their_own_versions() -> None:
    versions = {producer.name: {short_name(one) for one in producer.contracts} for producer in World.load().producers}
    assert {"GetCareContacts:3", "GetLaboratoryOrderOutcome:4"} <= versions["takecare-ks"]
    assert {"GetCareContacts:2", "GetLaboratoryOrderOutcome:3"} <= versions["vardbolaget"]
    assert "GetCareContacts:3" not in versions["vardbolaget"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'behaviour = "slow"',
            'behaviour = "sluggish"',
            "SE2321000016-SLOW: behaviour: 'sluggish' is not one of normal",
        ),
        ('behaviour = "slow"', 'behaviour = "slow", seconds = -1', "seconds: -1 is not between"),
        ('platform = "regional"', 'platform = "local"', "takecare-ks: platform 'local' is not one of"),
        ('"SE2321000016-SOS"', '"se2321000016-ks"', "logical address SE2321000016-KS stands there twice"),
        ('name = "takecare-sos"', 'name = "takecare-ks"', "producer takecare-ks stands there twice"),
        ('hsa_id = "SE2321000016-TC-KS"\n', "", "'hsa_id' is missing"),
        (
            '"GetDiagnosis:2"',
            '"GetDiagnosis:1"',
            "versions newest: 'GetDiagnosis:1' is not one of GetAlertInformation:2",
        ),
        ("[platforms.national]", "[platforms.national", "line 4"),
    ],
    ids=["behaviour", "seconds", "platform", "address twice", "name twice", "field missing", "contract", "not TOML"],
)
def test_a_wrong_world_is_refused_by_file_and_reason(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = written(tmp_path, old, new)

    with pytest.raises(ValueError) as refused:
        World.load(path)

    assert str(path) in str(refused.value)
    assert message in str(refused.value)
