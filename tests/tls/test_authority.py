"""The development CA: what it makes, what it leaves alone, and that its folder survives what happens to folders."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from rivta.tls.authority import Authority, AuthorityError, Issued, State, check_authorities
from rivta.tls.certificates import RevocationReason
from rivta.tls.profiles import KeyKind, Profiles
from rivta.tls.revocation import Revocations
from tests.support import CHECKOUT

NOW = datetime(2026, 11, 24, 12, 0, 0, 987654, tzinfo=UTC)
NPO: dict[str, Any] = {
    "hsa_id": "SE165565594230-NPO",
    "common_name": "npo.localhost",
    "organisation": "Inera",
    "hosts": ["localhost", "127.0.0.1", "::1"],
}


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def ca(folder: Path, clock: SetClock, quick: Profiles) -> Authority:
    return Authority.create(folder, profiles=quick, clock=clock)


def leaf(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.certificate.read_bytes())


def extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> Any:
    return certificate.extensions.get_extension_for_class(kind).value


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_function_certificate_has_the_shape_of_siths(folder: Path, clock: SetClock) -> None:
    certificate = leaf(Authority.create(folder, clock=clock).issue("npo", **NPO))

    assert [(attribute.oid, attribute.value) for attribute in certificate.subject] == [
        (NameOID.COUNTRY_NAME, "SE"),
        (NameOID.ORGANIZATION_NAME, "Inera"),
        (NameOID.COMMON_NAME, "npo.localhost"),
        (NameOID.SERIAL_NUMBER, "SE165565594230-NPO"),
    ]
    names = extension(certificate, x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]
    assert set(extension(certificate, x509.ExtendedKeyUsage)) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    usage = extension(certificate, x509.KeyUsage)
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, True, False)
    assert not extension(certificate, x509.BasicConstraints).ca
    assert isinstance(certificate.public_key(), rsa.RSAPublicKey)
    assert certificate.not_valid_before_utc == datetime(2026, 11, 24, 11, tzinfo=UTC)
    assert certificate.not_valid_after_utc == datetime(2026, 11, 24, 12, tzinfo=UTC) + timedelta(days=730)


def test_the_chain_goes_from_leaf_over_issuing_ca_to_root(ca: Authority) -> None:
    certificate, issuing = x509.load_pem_x509_certificates(ca.issue("npo", **NPO).certificate.read_bytes())
    trusted, root = x509.load_pem_x509_certificates(ca.ca.read_bytes())

    assert issuing == trusted
    certificate.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    for authority in (issuing, root):
        assert "rivta Development" in authority.subject.rfc4514_string()
    assert extension(issuing, x509.BasicConstraints).path_length == 0
    key_identifier = extension(issuing, x509.SubjectKeyIdentifier).digest
    assert extension(certificate, x509.AuthorityKeyIdentifier).key_identifier == key_identifier


def test_two_authorities_can_be_told_apart_by_name(ca: Authority, other_authority: Authority) -> None:
    names = [x509.load_pem_x509_certificate(a.ca.read_bytes()).subject for a in (ca, other_authority)]

    assert names[0] != names[1]


def test_an_elliptic_curve_key_is_not_for_encipherment(ca: Authority) -> None:
    certificate = leaf(ca.issue("npo", **NPO, key_kind=KeyKind.EC_P256))

    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert not extension(certificate, x509.KeyUsage).key_encipherment


def test_keys_can_be_read_by_their_owner_only(ca: Authority) -> None:
    issued = ca.issue("npo", **NPO)

    assert mode(issued.key) == 0o600
    assert {mode(path) for path in (ca.folder / "private").iterdir()} == {0o600}
    assert mode(ca.folder / "private") == mode(ca.folder / "issued") == mode(ca.folder) == 0o700
    assert mode(ca.ca) == mode(ca.crl_file) == mode(issued.certificate) == 0o644
    assert load_pem_private_key(issued.key.read_bytes(), None).public_key() == leaf(issued).public_key()


def test_issuing_the_same_again_changes_nothing(ca: Authority, folder: Path, clock: SetClock) -> None:
    first = ca.issue("npo", **NPO)
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    again = Authority.ensure(folder, clock=clock).issue("npo", **(NPO | {"hosts": ["::1", "LOCALHOST", "127.0.0.1"]}))

    assert again == first
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files


@pytest.mark.parametrize(
    "change",
    [{"hosts": ["localhost", "rivta.example.se"]}, {"hsa_id": "SE2"}, {"common_name": "x"}, {"organisation": "x"}],
    ids=lambda change: next(iter(change)),
)
def test_another_subject_makes_a_new_certificate(ca: Authority, change: dict[str, Any]) -> None:
    first = ca.issue("npo", **NPO)

    assert ca.issue("npo", **(NPO | change)).serial != first.serial


@pytest.mark.parametrize(("days", "spare"), [(None, timedelta(days=30)), (9, timedelta(days=3, minutes=20))])
def test_a_certificate_about_to_expire_is_replaced(
    ca: Authority, clock: SetClock, days: int | None, spare: timedelta
) -> None:
    first = ca.issue("npo", **NPO, days=days)

    clock.now = first.not_after - spare - timedelta(seconds=1)
    assert ca.issue("npo", **NPO, days=days) == first
    clock.now = first.not_after - spare
    assert ca.issue("npo", **NPO, days=days).serial != first.serial


def delete_key(ca: Authority, issued: Issued) -> None:
    issued.key.unlink()


def exchange_key(ca: Authority, issued: Issued) -> None:
    """What a crash between the key and its certificate leaves."""
    issued.key.write_bytes((ca.folder / "private" / "root.key").read_bytes())


def cut_certificate(ca: Authority, issued: Issued) -> None:
    issued.certificate.write_bytes(issued.certificate.read_bytes()[:100])


def revoke_it(ca: Authority, issued: Issued) -> None:
    ca.revoke("npo")


def replace_authority(ca: Authority, issued: Issued) -> None:
    for name in ("ca.pem", "crl.pem"):
        (ca.folder / name).unlink()
    Authority.ensure(ca.folder, clock=lambda: NOW)


@pytest.mark.parametrize("spoil", [delete_key, exchange_key, cut_certificate, revoke_it, replace_authority])
def test_a_certificate_that_no_longer_serves_is_replaced(
    ca: Authority, clock: SetClock, spoil: Callable[[Authority, Issued], None]
) -> None:
    first = ca.issue("npo", **NPO)
    spoil(ca, first)

    opened = Authority.open(ca.folder, clock=clock)
    second = opened.issue("npo", **NPO)

    assert second.serial != first.serial
    assert load_pem_private_key(second.key.read_bytes(), None).public_key() == leaf(second).public_key()
    assert opened.issue("npo", **NPO) == second


def test_a_certificate_without_hsa_id_can_be_made_to_test_with(ca: Authority) -> None:
    issued = ca.issue("nameless", **(NPO | {"hsa_id": None}))

    assert issued.hsa_id is None
    assert not leaf(issued).subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    assert ca.issue("nameless", **(NPO | {"hsa_id": None})) == issued


def test_an_expired_and_a_future_certificate_can_be_made_to_test_with(ca: Authority) -> None:
    ca.issue("old", **NPO, not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=2))
    ca.issue("future", **NPO, not_before=NOW + timedelta(days=2), not_after=NOW + timedelta(days=9))

    assert {row.name: row.state for row in ca.issued()} == {"old": State.EXPIRED, "future": State.NOT_YET_VALID}


def test_a_certificate_never_outlives_its_authority(ca: Authority) -> None:
    issuing = x509.load_pem_x509_certificate(ca.ca.read_bytes())

    assert ca.issue("npo", **NPO, days=9999).not_after == issuing.not_valid_after_utc


def test_an_expired_authority_says_how_to_get_a_new_one(ca: Authority, clock: SetClock) -> None:
    clock.now += timedelta(days=3650)

    with pytest.raises(AuthorityError, match=r"ca\.pem: the CA expired on 2036-11-21; remove .* to make a new one"):
        ca.issue("npo", **NPO)


def test_renewing_keeps_the_subject_and_the_old_certificate_known(ca: Authority, clock: SetClock) -> None:
    old = ca.issue("npo", **NPO, key_kind=KeyKind.EC_P256)
    old_key = old.key.read_bytes()
    clock.now += timedelta(days=1)

    new = ca.renew("npo")

    assert leaf(new).subject == leaf(replace(old, certificate=new.certificate)).subject
    assert isinstance(leaf(new).public_key(), ec.EllipticCurvePublicKey)
    assert (new.serial != old.serial, new.key.read_bytes() != old_key) == (True, True)
    assert new.not_after == old.not_after + timedelta(days=1)
    assert [(row.name, row.serial, row.superseded) for row in ca.issued()] == [
        ("npo", new.serial, False),
        ("npo", old.serial, True),
    ]


def test_revoking_puts_the_certificate_on_the_list_and_keeps_it_there(ca: Authority) -> None:
    issued = ca.issue("npo", **NPO)
    other = ca.issue("journal", **NPO)

    assert ca.revoke("npo", RevocationReason.KEY_COMPROMISE) == issued.serial
    ca.revoke("npo")
    ca.revoke(other.serial)
    ca.crl()

    revocations = Revocations.load(ca.crl_file, ca.ca)
    assert len(revocations) == 2
    assert {row.state for row in ca.issued()} == {State.REVOKED}
    assert {serial for crl in ca.lists() for serial in crl.serials} == {issued.serial, other.serial}


def test_a_superseded_certificate_can_be_revoked_by_its_serial_number(ca: Authority) -> None:
    old = ca.issue("npo", **NPO)
    ca.renew("npo")

    ca.revoke(old.serial)

    assert [row.state for row in ca.issued()] == [State.VALID, State.REVOKED]


def test_lists_are_numbered_upwards_and_dated(ca: Authority, clock: SetClock) -> None:
    before = ca.lists()
    clock.now += timedelta(days=5)

    after = ca.crl()

    assert [crl.number for crl in before] == [1, 1]
    assert [crl.number for crl in after] == [2, 2]
    assert after[0].this_update == datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert [(crl.next_update - crl.this_update).days for crl in after] == [30, 365]
    assert [one.next_update for one in Revocations.load(ca.crl_file, ca.ca)] == [crl.next_update for crl in after]


def test_lists_are_refreshed_at_half_time(ca: Authority, clock: SetClock) -> None:
    clock.now += timedelta(days=14)
    assert not ca.refresh_crl()
    clock.now += timedelta(days=1)
    assert ca.refresh_crl()
    assert not ca.refresh_crl()


def test_pkcs12_holds_key_certificate_and_chain(ca: Authority) -> None:
    issued = ca.issue("npo", **NPO)

    key, certificate, chain = pkcs12.load_key_and_certificates(ca.export("npo", password="lösen"), "lösen".encode())

    assert key is not None
    assert certificate == leaf(issued)
    assert key.public_key() == leaf(issued).public_key()
    assert chain == x509.load_pem_x509_certificates(ca.ca.read_bytes())


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 101, "å", "a~b", "a\n"])
def test_a_name_that_is_no_file_name_is_refused(ca: Authority, name: str) -> None:
    for attempt in (lambda: ca.issue(name, **NPO), lambda: ca.renew(name), lambda: ca.revoke(name)):
        with pytest.raises(AuthorityError, match="certificate name"):
            attempt()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hosts": ["höst.se"]}, r"certificate npo: host 'höst.se' is neither .* xn--"),
        ({"hosts": ["a b"]}, r"host 'a b' is neither"),
        ({"hosts": ["https://x"]}, r"host 'https://x' is neither"),
        ({"hosts": [""]}, r"host '' is neither"),
        ({"hsa_id": "x" * 65}, r"certificate npo: HSA-id 'x+' must be 1 to 64 printable characters"),
        ({"hsa_id": " "}, r"HSA-id ' ' must be"),
        ({"common_name": ""}, r"common name '' must be"),
        ({"organisation": "a\nb"}, r"organisation 'a\\nb' must be"),
        ({"days": 0, "not_before": NOW}, r"validity from 2026-11-24T12:00:00\+00:00 to .*: ends before it begins"),
    ],
)
def test_what_cannot_be_in_a_certificate_is_refused_and_leaves_nothing(
    ca: Authority, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(AuthorityError, match=says):
        ca.issue("npo", **(NPO | change))

    assert not list((ca.folder / "issued").iterdir())


def test_a_serial_number_that_was_never_issued_is_not_revoked(ca: Authority) -> None:
    with pytest.raises(AuthorityError, match="no certificate with serial number 2a was issued here"):
        ca.revoke(42)


def test_a_name_that_was_never_issued_is_named(ca: Authority) -> None:
    for attempt in (lambda: ca.renew("gone"), lambda: ca.revoke("gone"), lambda: ca.export("gone", password="x")):
        with pytest.raises(AuthorityError, match=r"gone\.pem: no certificate was issued under this name; .*cert list"):
            attempt()


def test_a_second_authority_is_not_made_over_the_first(ca: Authority) -> None:
    before = ca.ca.read_bytes()

    with pytest.raises(AuthorityError, match="there is a CA already"):
        Authority.create(ca.folder)

    assert Authority.ensure(ca.folder).ca.read_bytes() == before


def test_where_there_is_no_authority_it_says_so(folder: Path) -> None:
    with pytest.raises(AuthorityError, match=r"ca\.pem: there is no CA here; `rivta up` makes one"):
        Authority.open(folder)


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_damaged_authority_says_what_to_do(ca: Authority, content: bytes) -> None:
    ca.ca.write_bytes(content)

    with pytest.raises(AuthorityError, match=r"ca\.pem: damaged; remove the folder"):
        Authority.open(ca.folder)


def test_an_authority_without_its_key_lists_but_does_not_sign(ca: Authority) -> None:
    issued = ca.issue("npo", **NPO)
    (ca.folder / "private" / "issuing.key").unlink()

    assert ca.issue("npo", **NPO) == issued
    assert len(ca.issued()) == 1
    with pytest.raises(AuthorityError, match=r"issuing\.key: the key is missing"):
        ca.renew("npo")


def test_a_lost_list_is_never_replaced_by_an_empty_one(ca: Authority) -> None:
    ca.issue("npo", **NPO)
    ca.revoke("npo")
    ca.crl_file.unlink()

    with pytest.raises(AuthorityError, match=r"crl\.pem: missing or damaged"):
        ca.crl()


def test_an_authority_of_a_foreign_key_does_not_sign(ca: Authority, other_authority: Authority) -> None:
    key = other_authority.folder / "private" / "issuing.key"
    (ca.folder / "private" / "issuing.key").write_bytes(key.read_bytes())

    with pytest.raises(AuthorityError, match=r"issuing\.key: is not the key of the CA"):
        ca.issue("npo", **NPO)


def test_a_write_that_fails_leaves_what_was_there(ca: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    issued = ca.issue("npo", **NPO)
    before = {path: path.read_bytes() for path in (issued.certificate, issued.key)}

    def full_disk(descriptor: int) -> None:  # the fault: no space when the data is flushed
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        ca.renew("npo")

    assert {path: path.read_bytes() for path in before} == before
    assert not [path for path in ca.folder.rglob(".*") if path.is_file()]


def test_an_authority_makes_keys_of_the_kind_that_was_asked_for(ca: Authority) -> None:
    issued = ca.issue("npo", **NPO, key_kind=KeyKind.RSA_2048)

    assert isinstance(leaf(issued).public_key(), rsa.RSAPublicKey)
    assert ca.issue("npo", **NPO, key_kind=KeyKind.EC_P256).serial != issued.serial


STEPS = st.tuples(st.sampled_from(["issue", "renew", "revoke", "crl", "later"]), st.sampled_from(["a", "b"]))


@settings(max_examples=15)
@given(steps=st.lists(STEPS, min_size=5, max_size=12))
def test_whatever_is_done_a_revoked_certificate_stays_revoked_and_what_is_issued_is_good(
    tmp_path_factory: pytest.TempPathFactory, quick: Profiles, steps: list[tuple[str, str]]
) -> None:
    clock = SetClock()
    ca = Authority.create(tmp_path_factory.mktemp("steps") / "certs", profiles=quick, clock=clock)
    revoked: set[int] = set()
    known: set[str] = set()
    for step, name in steps:
        if step == "issue":
            issued = ca.issue(name, **NPO)
            known.add(name)
            assert issued.serial not in revoked
            assert issued.not_after > clock.now + timedelta(days=30)
            assert ca.issue(name, **NPO) == issued
        elif step == "renew" and name in known:
            ca.renew(name)
        elif step == "revoke" and name in known:
            revoked.add(ca.revoke(name))
        elif step == "crl":
            ca.crl()
        elif step == "later":
            clock.now += timedelta(days=300)
        assert {row.serial for row in ca.issued() if row.state is State.REVOKED} == revoked
        assert len(Revocations.load(ca.crl_file, ca.ca)) == len(revoked)
        for name in known:
            found = ca.find(name)
            assert load_pem_private_key(found.key.read_bytes(), None).public_key() == leaf(found).public_key()


WORK_OF_ONE_PROCESS = """
import sys
from pathlib import Path
from rivta.tls.authority import Authority
from rivta.tls.profiles import KeyKind

ca, own = Authority.ensure(Path(sys.argv[1])), f"own-{sys.argv[2]}"
for name in ("shared", own):
    ca.issue(name, hsa_id="SE1", common_name="x", organisation="O", hosts=[], key_kind=KeyKind.EC_P256)
ca.revoke(own)
ca.renew("shared")
"""


def test_several_processes_at_once_leave_a_sound_folder(folder: Path) -> None:
    command = [sys.executable, "-c", WORK_OF_ONE_PROCESS, str(folder)]
    environment = {"PYTHONPATH": str(CHECKOUT / "platform")}
    workers = [subprocess.Popen([*command, str(number)], env=environment) for number in range(4)]

    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0, 0]
    ca = Authority.open(folder)
    rows = ca.issued()
    assert {row.name for row in rows if row.state is State.REVOKED} == {f"own-{number}" for number in range(4)}
    assert len([row for row in rows if row.name == "shared"]) == 5
    assert len(Revocations.load(ca.crl_file, ca.ca)) == 4
    assert ca.lists()[0].number == 5
    shared = ca.find("shared")
    assert load_pem_private_key(shared.key.read_bytes(), None).public_key() == leaf(shared).public_key()


def test_what_is_about_to_run_out_is_renewed_but_never_what_was_revoked(folder: Path, quick: Profiles) -> None:
    now = [datetime(2026, 11, 24, tzinfo=UTC)]
    own = Authority.create(folder, profiles=quick, clock=lambda: now[-1])
    before = {
        name: own.issue(name, hsa_id="SE1", common_name=name, organisation="O", hosts=[]).serial
        for name in ("due", "bad", "theirs")
    }
    own.revoke("bad")
    assert own.renew_due(["due", "bad"]) == []

    now.append(now[0] + timedelta(days=730 - 30))

    assert own.renew_due(["due", "bad"]) == ["due"]
    assert own.find("due").serial != before["due"]
    assert (own.find("bad").serial, own.find("theirs").serial) == (before["bad"], before["theirs"])


def test_a_trust_file_holds_authorities_only(folder: Path, quick: Profiles) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    own = Authority.create(folder, profiles=quick, clock=lambda: now)
    system = own.issue("x", hsa_id="SE1", common_name="x", organisation="O", hosts=[])

    check_authorities(own.ca, now=now)

    with pytest.raises(
        AuthorityError, match=r"x\.pem: .*CN=x.* is no certificate authority; give the CA that issued it"
    ):
        check_authorities(system.certificate, now=now)
    with pytest.raises(AuthorityError, match=r"x\.key: holds no readable certificate"):
        check_authorities(system.key, now=now)
    with pytest.raises(AuthorityError, match=r"ca\.pem: .* expired on 2036-11-21; get its successor"):
        check_authorities(own.ca, now=now + timedelta(days=3660))
    with pytest.raises(AuthorityError, match=r"gone: cannot be read: No such file"):
        check_authorities(folder / "gone", now=now)
