"""The table of the incumbent's properties, against our settings."""

import re

import pytest

from rivta.run.incumbent.rows import ROWS, row_of
from rivta.run.settings import keys

KEYS = {key.path for key in keys()}
RESOLUTION = {
    f"resolution.{name}"
    for name in (
        "hsa_climb.routes",
        "hsa_climb.permissions",
        "hsa_climb.except",
        "delimiter",
        "delimiter_contracts",
        "delimiter_senders",
    )
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.property)
def test_every_property_goes_to_a_key_that_exists_or_has_a_reason(row: object) -> None:
    known = next(one for one in ROWS if one is row)
    sections = {path.rpartition(".")[0] for path in KEYS} | {"tls.targets"}
    assert known.key in KEYS | RESOLUTION | sections if known.key else len(known.why) > 15


def test_every_property_that_a_setting_names_is_in_the_table() -> None:
    named = {name for key in keys() if key.vp and not key.vp.startswith("log4j2") for name in key.vp.split(", ")}
    unknown = [name for name in sorted(named) if row_of(re.sub(r"<\w+>", "x", name.replace("[i]", "[0]"))) is None]
    assert unknown == []


def test_a_property_has_one_row_of_its_own_before_any_family() -> None:
    names = [row.property for row in ROWS]
    assert len(set(names)) == len(names)
    for row in ROWS:
        if not set("<[*") & set(row.property):
            assert row_of(row.property) is row, row.property


@pytest.mark.parametrize(
    ("name", "property"),
    [
        ("THROW_VP013_WHEN_ORIGINALCONSUMER_NOT_ALLOWED", "throw.vp013.when.originalconsumer.not.allowed"),
        ("vp.tls.overrides[12].protocols-include[0]", "vp.tls.overrides[i].protocols-include*"),
        ("VP_TLS_OVERRIDES_0_NAME", "vp.tls.overrides[i].name"),
        ("spring.ssl.bundle.pem.my-bundle.keystore.certificate", "spring.ssl.bundle.pem.<name>.keystore.certificate"),
        ("spring.main.banner-mode", "spring.*"),
    ],
)
def test_a_property_is_known_however_it_is_spelled(name: str, property: str) -> None:
    row = row_of(name)
    assert row is not None
    assert row.property == property


def test_what_nobody_knows_has_no_row() -> None:
    assert row_of("what.is.this") is None
