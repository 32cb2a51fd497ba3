"""When certificates, authorities and revocation lists run out, and when it is time to say so."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rivta.tls.authority import Authority
from rivta.tls.expiry import Kind, expiries, expiry_problem
from rivta.tls.profiles import Profiles

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def own(folder: Path, quick: Profiles) -> Authority:
    return Authority.create(folder, profiles=quick, clock=lambda: NOW)


def certificate(own: Authority, *, days: int) -> Path:
    issued = own.issue("x", hsa_id="SE1", common_name="x", organisation="O", hosts=[], days=days)
    return issued.certificate


def test_everything_that_runs_out_is_listed_with_its_last_moment(own: Authority) -> None:
    found = expiries(certificate=certificate(own, days=100), trusted=[own.ca], crl=[own.crl_file])

    assert [(one.kind, (one.not_after - NOW).days) for one in found] == [
        (Kind.CERTIFICATE, 100),
        (Kind.AUTHORITY, 3650),
        (Kind.AUTHORITY, 7300),
        (Kind.REVOCATION_LIST, 30),
        (Kind.REVOCATION_LIST, 365),
    ]
    assert found[0].name == "SERIALNUMBER=SE1,CN=x,O=O,C=SE"
    assert found[3].name == found[1].name


def test_what_cannot_be_read_is_left_out(own: Authority) -> None:
    own.crl_file.write_bytes(b"")
    gone = own.folder / "gone.pem"
    assert expiries(certificate=gone, trusted=[gone, own.ca], crl=[None, own.crl_file]) == expiries(
        certificate=gone, trusted=[own.ca], crl=()
    )


@pytest.mark.parametrize(
    ("passed", "says"),
    [(85, None), (87, "certificate SERIALNUMBER=SE1,CN=x,O=O,C=SE expires 2027-03-04"), (101, "expired 2027-03-04")],
)
def test_two_weeks_before_its_end_a_certificate_is_a_problem(own: Authority, passed: int, says: str | None) -> None:
    found = expiries(certificate=certificate(own, days=100), trusted=[own.ca], crl=[own.crl_file])

    problem = expiry_problem(found, NOW + timedelta(days=passed))

    assert problem == says or (says is not None and says in (problem or ""))
