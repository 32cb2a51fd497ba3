"""A development CA for the tests of this folder, and certificates whose subjects no CA of ours would make."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rivta.tls.authority import Authority, Issued
from rivta.tls.profiles import KeyKind, Profiles
from tests.tls.lists import NOW

Issue = Callable[..., Issued]
MakeDer = Callable[[Sequence[Sequence[x509.NameAttribute[str]]]], bytes]


@pytest.fixture(scope="session")
def quick() -> Profiles:
    """The shipped profiles with keys that take no time to make."""
    shipped = Profiles.shipped()
    return Profiles(
        root=replace(shipped.root, key=KeyKind.EC_P256),
        issuing=replace(shipped.issuing, key=KeyKind.EC_P256),
        function=replace(shipped.function, key=KeyKind.EC_P256),
    )


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA that tests may issue from and revoke at, each under names of its own."""
    return Authority.create(tmp_path_factory.mktemp("ca") / "certs")


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA that nobody trusts."""
    return Authority.create(tmp_path_factory.mktemp("other-ca") / "certs")


@pytest.fixture(scope="session")
def server(authority: Authority) -> Issued:
    return authority.issue(
        "server", hsa_id="SE1-S", common_name="s", organisation="O", hosts=["localhost", "127.0.0.1"]
    )


@pytest.fixture(scope="session")
def client(authority: Authority) -> Issued:
    return authority.issue("client", hsa_id="SE1-C", common_name="c", organisation="O", hosts=["localhost"])


@pytest.fixture(scope="session")
def certificate_with_subject() -> MakeDer:
    """Makes the DER of a certificate whose subject has these sets of attributes, in this order."""
    key = ec.generate_private_key(ec.SECP256R1())

    def make(sets: Sequence[Sequence[x509.NameAttribute[str]]]) -> bytes:
        now = datetime(2026, 11, 24, tzinfo=UTC)
        subject = x509.Name([x509.RelativeDistinguishedName(attributes) for attributes in sets])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Some CA")]))
            .public_key(key.public_key())
            .serial_number(4711)
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.DER)

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "certs"


@pytest.fixture
def own(folder: Path, quick: Profiles) -> Authority:
    """A CA for one test, so that what it revokes is all there is."""
    return Authority.create(folder, profiles=quick, clock=lambda: NOW)
