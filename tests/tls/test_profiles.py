"""The profiles file says what is wrong with it, by table and key."""

from pathlib import Path

import pytest

from rivta import shipped
from rivta.tls.profiles import KeyKind, Profiles


def test_the_shipped_profiles_say_plainly_that_they_are_for_development() -> None:
    profiles = Profiles.shipped()

    for profile in (profiles.root, profiles.issuing):
        assert "Development" in profile.common_name
        assert "rivta" in profile.common_name
        assert "not SITHS" in profile.organisation
    assert profiles.function.key is KeyKind.RSA_2048
    assert profiles.function.days < profiles.issuing.days < profiles.root.days


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[issuing]", "[isuing]", r"\[issuing\]: the table is missing"),
        ("crl_days = 30\n", "", r"\[issuing\]: crl_days is missing"),
        (
            "backdate_minutes = 60",
            "backdate_minutes = '60'",
            r"\[function\]: backdate_minutes is '60', expected a whole",
        ),
        ("days = 730\n", "days = -1\n", r"\[function\]: days is -1, expected a whole number"),
        ("days = 730\n", "days = true\n", r"\[function\]: days is True, expected a whole number"),
        ('country = "SE"', 'country = ""', r"\[root\]: country is '', expected a text"),
        ('key = "rsa-2048"', 'key = "rsa-1024"', r"\[root\]: key is 'rsa-1024', expected one of rsa-2048, rsa-3072"),
        ("days = 7300", "days = 7300\ncolour = 1", r"\[root\]: colour is not a known key"),
        ("key_usage = [", "key_usage = [1, ", r"\[function\]: key_usage is \[1, .*expected a list of texts"),
        ("[root]", "[root", r"profiles\.toml: not TOML: .*line"),
    ],
)
def test_a_mistake_is_named_by_file_table_and_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = (shipped.folder("certs") / "profiles.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "profiles.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(ValueError, match=says):
        Profiles.load(path)
