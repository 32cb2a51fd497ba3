"""Signatures with a platform's own key, and checking them by its certificate."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from rivta.tls.authority import Authority, Issued
from rivta.tls.contexts import TlsSetupError
from rivta.tls.profiles import KeyKind
from rivta.tls.signing import key_id, own_verifiers, signer, verifiers

KEYS: dict[str, Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]] = {
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


def written(folder: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> tuple[Path, Path]:
    """Files with the key and a certificate of it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "platform")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (folder / "own.key").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "own.pem").write_bytes(certificate.public_bytes(encoding))
    return folder / "own.key", folder / "own.pem"


@pytest.mark.parametrize("kind", KEYS)
def test_what_a_key_has_signed_its_certificate_attests(tmp_path: Path, kind: str) -> None:
    key, certificate = written(tmp_path, KEYS[kind]())

    signature = signer(key)(b"heads")

    (is_signed,) = verifiers(certificate).values()
    assert is_signed(b"heads", signature)
    assert not is_signed(b"head", signature)
    assert not is_signed(b"heads", signature[:-1])
    assert not is_signed(b"heads", b"")
    assert list(verifiers(certificate)) == [key_id(key)]


def test_other_keys_have_other_ids(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    assert key_id(written(tmp_path, KEYS["ec"]())[0]) != key_id(written(tmp_path / "other", KEYS["ec"]())[0])


# A key's frame around nothing, put together here: no file of the project looks as if it held a key.
FRAMED = "".join(
    f"-----{end} {'PRIVATE'} KEY-----\n{inner}" for end, inner in (("BEGIN", "AAAA\n"), ("END", ""))
).encode()


@pytest.mark.parametrize("content", [b"", b"no key", FRAMED], ids=["empty", "text", "damaged"])
def test_a_file_without_keys_or_certificates_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "own.pem"
    file.write_bytes(content)

    for use in (key_id, signer, verifiers):
        with pytest.raises(TlsSetupError, match="own.pem: no"):
            use(file)


def test_a_kind_of_key_that_platforms_do_not_have_attests_nothing(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "platform")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None)
    )
    (tmp_path / "own.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    (is_signed,) = verifiers(tmp_path / "own.pem").values()
    assert not is_signed(b"x", key.sign(b"x"))


def test_own_certificates_of_other_days_count_and_those_of_others_do_not(tmp_path: Path) -> None:
    (tmp_path / "forged").mkdir()
    authority = Authority.create(tmp_path / "certs")

    def issue(name: str, hsa_id: str) -> Issued:
        return authority.issue(
            name, hsa_id=hsa_id, common_name=name, organisation="O", hosts=[], key_kind=KeyKind.EC_P256
        )

    own = issue("platform", "SE1-P")
    first = own.certificate.read_bytes(), key_id(own.key)
    renewed = authority.renew("platform")
    other = issue("other", "SE1-OTHER")
    forged = written(tmp_path / "forged", KEYS["ec"]())[1]
    kept = tmp_path / "signers.pem"
    kept.write_bytes(first[0] + b"".join(one.read_bytes() for one in (renewed.certificate, other.certificate, forged)))

    known = own_verifiers(kept, hsa_id="SE1-P", authorities=[authority.ca])

    assert set(known) == {first[1], key_id(renewed.key)}
    assert first[1] != key_id(renewed.key)
