import pytest

from rivta.soap import namespaces
from rivta.soap.identifiers import Profile, short_name


@pytest.mark.parametrize(
    ("contract", "short"),
    [(namespaces.GET_DIAGNOSIS_2, "GetDiagnosis:2"), ("urn:other", "urn:other"), (None, "-"), ("", "-")],
)
def test_a_contract_is_shortened_when_it_is_one(contract, short):
    assert short_name(contract) == short


def test_a_profile_is_read_in_any_case():
    assert Profile.parse(" rivtabp21 ") is Profile.RIVTABP21


def test_another_profile_is_refused():
    with pytest.raises(ValueError, match="RIVTABP22"):
        Profile.parse("RIVTABP22")
