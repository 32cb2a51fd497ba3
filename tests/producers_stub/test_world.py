"""The demo world, and what must hold for it to be used."""

from pathlib import Path

import pytest

from producers_stub.behaviours import SLOW_SECONDS, Behaviour
from producers_stub.persons import COORDINATION_NUMBER, PERSONAL_NUMBER, is_coordination_number, problem_with_person_id
from producers_stub.world import FOLDER, World


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

    assert named == {behaviour.value: behaviour for behaviour in Behaviour if behaviour is not Behaviour.NORMAL}


def test_a_slow_address_is_slower_than_any_platform_waits() -> None:
    slow = [one for producer in World.load().producers for one in producer.addresses if one.default.seconds]

    assert [one.default.seconds for one in slow] == [SLOW_SECONDS]
    assert SLOW_SECONDS > 29


def test_every_patient_has_an_id_that_producers_accept() -> None:
    for patient in World.load().patients:
        id_type = COORDINATION_NUMBER if is_coordination_number(patient.id) else PERSONAL_NUMBER
        assert problem_with_person_id(patient.id, id_type) is None, patient.name


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
        ("[platforms.national]", "[platforms.national", "line 4"),
    ],
    ids=["behaviour", "seconds", "platform", "address twice", "name twice", "field missing", "not TOML"],
)
def test_a_wrong_world_is_refused_by_file_and_reason(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = written(tmp_path, old, new)

    with pytest.raises(ValueError) as refused:
        World.load(path)

    assert str(path) in str(refused.value)
    assert message in str(refused.value)
