"""What two platforms' tables say together: what is ordered at one and missing at the other."""

from pathlib import Path

import pytest

from rivta.catalogue.across import Gap, Missing, PlatformTable, loops, missing
from tests.catalogue.tables import NOW, compiled, read, tree

TREE = tree(R=None, KS="R", MED="KS")


def platform(folder: Path, name: str, rows: str) -> PlatformTable:
    """A platform's table: `address producer` are routes to the other platform or its own producer, `consumer>address`
    permissions."""
    other = {"national": "REGION", "regional": "NATION"}[name]
    text = f"producer_addresses: {{other: {{component: {other}, url: 'https://x.test/'}}, own: {{component: J, url: 'https://j.test/'}}}}\n"  # fmt: skip
    words = rows.split()
    routes = [one.split("=") for one in words if "=" in one]
    permissions = [one.split(">") for one in words if ">" in one]
    text += "routes:\n" + "".join(f"- {{logical_address: '{a}', contracts: GetDiagnosis:2, producer_address: {p}}}\n" for a, p in routes)  # fmt: skip
    text += "permissions:\n" + "".join(f"- {{consumer: {c}, logical_address: '{a}', contracts: GetDiagnosis:2, agreement: x}}\n" for c, a in permissions)  # fmt: skip
    hsa_id = {"national": "NATION", "regional": "REGION"}[name]
    draft = read(folder / name / "again", tables=text).draft
    return PlatformTable(name, hsa_id, draft, compiled(folder / name, text, hsa=TREE))


def gaps(folder: Path, national: str, regional: str) -> tuple[Missing, ...]:
    return missing(platform(folder, "national", national), platform(folder, "regional", regional), now=NOW)


@pytest.mark.parametrize(
    ("national", "regional", "expected"),
    [
        ("KS=other NPO>KS", "KS=own NATION>KS", []),
        ("KS=other NPO>KS", "KS=own", ["national KS VP007"]),
        ("KS=other NPO>KS", "NATION>KS", ["national KS VP004"]),
        ("KS=other", "KS=own NATION>KS", ["regional KS VP007"]),
        ("NPO>KS", "KS=own NATION>KS", ["regional KS VP004"]),
        ("KS=own NPO>KS", "KS=own NATION>KS", []),
        ("SUS=own REGION>SUS", "SE=other JOURNAL>SUS", []),
        ("SUS=own", "SE=other JOURNAL>SUS", ["regional SUS VP007"]),
        ("REGION>SUS", "SE=other JOURNAL>SUS", ["regional SUS VP004"]),
        ("KS=other NPO>R", "R=own NATION>R", []),
        ("KS=other NPO>MED", "R=own", ["national MED VP007"]),
        ("*=other NPO>*", "", []),
        ("", "REGION=own NATION>REGION", []),
    ],
    ids=[
        "both ordered",
        "no permission in the region",
        "no route in the region",
        "nobody may call it nationally",
        "no route nationally",
        "called directly, on purpose",
        "out of the region",
        "the nation does not permit the region",
        "the nation knows no route",
        "by the tree",
        "a unit below, by the tree",
        "what nobody named is not ordered",
        "a platform asks the other itself",
    ],
)
def test_what_is_ordered_at_one_platform_alone_is_told(
    tmp_path: Path, national: str, regional: str, expected: list[str]
) -> None:
    found = gaps(tmp_path, national, regional)
    assert [f"{one.ordered_at} {one.logical_address} {one.outcome.value}" for one in found] == expected


def test_it_is_told_whose_calls_they_are_and_by_which_row(tmp_path: Path) -> None:
    (one,) = gaps(tmp_path, "KS=other NPO>KS NPÖ2>KS", "KS=own")
    assert (one.gap, one.consumers, one.missing_at, one.source) == (
        Gap.NOT_BEYOND,
        ("NPO", "NPÖ2"),
        "regional",
        "tables.yaml:3",
    )
    (one,) = gaps(tmp_path / "2", "", "KS=own NATION>KS")
    assert (one.gap, one.consumers, one.missing_at, one.source) == (Gap.NOT_HERE, (), "national", "tables.yaml:5")


def test_a_call_that_comes_back_is_a_loop_and_not_called_missing_too(tmp_path: Path) -> None:
    tables = platform(tmp_path, "national", "KS=other NPO>KS"), platform(tmp_path, "regional", "SE=other NATION>KS")
    assert missing(*tables, now=NOW) == ()
    assert [(one.logical_address, one.sources) for one in loops(*tables, now=NOW)] == [
        ("KS", ("tables.yaml:3", "tables.yaml:3"))
    ]
