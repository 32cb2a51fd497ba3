"""The list of deviations and its switches are one thing."""

from dataclasses import fields

from rivta.router.deviations import DEVIATIONS, Compat, Insecure


def test_each_switch_ends_a_deviation_and_each_named_switch_exists():
    switches = {f"compat.{one.name}" for one in fields(Compat)} | {f"insecure.{one.name}" for one in fields(Insecure)}
    named = {one.switch for one in DEVIATIONS if one.switch.startswith(("compat.", "insecure."))}
    assert named == switches


def test_vp_is_every_switch_of_compat_and_none_of_insecure():
    assert all(getattr(Compat.vp(), one.name) for one in fields(Compat))
    assert not Insecure().switched_on()


def test_a_deviation_is_stated_once():
    assert len({one.about for one in DEVIATIONS}) == len(DEVIATIONS)
