"""The list of quirks, its switches, the settings and the operator's manual are one thing."""

from dataclasses import fields

from rivta.catalogue.quirks import QUIRKS, RegistryRules
from rivta.run.settings import keys
from tests.support import CHECKOUT


def test_each_switch_is_a_quirk_and_each_quirk_has_a_switch() -> None:
    assert [one.switch for one in QUIRKS] == [one.name for one in fields(RegistryRules) if one.name != "dates"]


def test_every_switch_is_a_setting_that_says_what_it_brings() -> None:
    described = {key.path: key.description for key in keys()}

    assert "registry.dates" in described
    for quirk in QUIRKS:
        assert quirk.tak in described[f"registry.{quirk.switch}"]


def test_the_manual_has_each_of_them() -> None:
    manual = (CHECKOUT / "docs" / "operator.md").read_text(encoding="utf-8")

    for quirk in QUIRKS:
        assert f"| {quirk.service} | {quirk.here} | {quirk.tak} | `registry.{quirk.switch}` |\n" in manual
