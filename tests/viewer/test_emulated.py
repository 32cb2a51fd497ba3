"""What the emulated services know agrees with the demo world, and a file that cannot be read says where."""

from pathlib import Path

import pytest

from producers_stub.journals import load_journals
from producers_stub.world import World
from rivta.viewer.emulated import Emulated
from rivta.viewer.policy.situation import Purpose

WORLD, EMULATED = World.load(), Emulated.load()


def test_it_knows_the_patients_of_the_demo_world_by_the_same_names() -> None:
    assert {one.id: one.name for one in WORLD.patients} == {id: one.name for id, one in EMULATED.persons.items()}


def test_it_knows_the_blocks_of_the_demo_world() -> None:
    known = {(patient, one.unit, one.care_provider) for patient, all in EMULATED.blocks.items() for one in all}
    assert {(one.patient, one.care_unit, one.care_provider) for one in WORLD.blocks} <= known


def test_every_care_provider_with_a_journal_has_a_name() -> None:
    held = {journal.care_provider for journal in load_journals().values() if any(journal.records.values())}
    assert held <= set(EMULATED.care_providers)


def test_there_is_somebody_for_care_and_somebody_for_other_purposes() -> None:
    purposes = {one.purpose for staff in EMULATED.staff for one in staff.assignments}
    assert Purpose.CARE in purposes
    assert len(purposes) > 1


def test_an_assignment_is_found_with_the_person_who_has_it_only() -> None:
    first, second = EMULATED.staff[:2]
    assert EMULATED.find_staff(first.user_id, first.assignments[0].id) == (first, first.assignments[0])
    assert EMULATED.find_staff(first.user_id, second.assignments[0].id) is None


@pytest.mark.parametrize("content", ["", "staff = 1", "[", "[care_providers]\n[[staff]]\n"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "emulated.toml"
    file.write_text(content)
    with pytest.raises(ValueError, match="emulated.toml: "):
        Emulated.load(file)
