"""Signed publications: what is taken, and the ways to pass off something else as signed."""

import copy
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml.algorithms import SignatureConstructionMethod, SignatureMethod
from signxml.signer import XMLSigner

from rivta.catalogue import content as contents
from rivta.catalogue.exchange.ledger import Loaded, PublicationFileRefused
from rivta.catalogue.exchange.signed import SignedPublication, read, refuse_other_or_older, write
from rivta.catalogue.exchange.written import About
from rivta.catalogue.rows import Component, Draft, Place
from rivta.soap.identifiers import HsaId
from rivta.soap.namespaces import PUBLICATION_FILE, XML_SIGNATURE

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OURS = "SE165565594230-NTJP"
ABOUT = About(7, NOW, "åsa", "the <first> & last")
DRAFT = Draft(components=(Component(HsaId("C"), "Å", True, Place("t.yaml", 1)),))
CONTENT = contents.encode(DRAFT)
DS = f"{{{XML_SIGNATURE}}}"
OWN = f"{{{PUBLICATION_FILE}}}"


@dataclass(frozen=True)
class Signer:
    key: bytes
    certificate: bytes


def signer(name: str, kind: str = "ec", *, days: int = 30) -> Signer:
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = (
        ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=60))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Signer(pem, made.public_bytes(serialization.Encoding.PEM))


US = signer("us")
OTHERS = signer("others")
GOOD = write(CONTENT, ABOUT, platform=OURS, key=US.key, certificate=US.certificate)


def taken(data: bytes, *, trusted: bytes = US.certificate, now: datetime = NOW) -> SignedPublication:
    return read(data, trusted=trusted, now=now)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_what_was_written_is_read_again(kind: str) -> None:
    with_key = signer("x", kind)
    data = write(CONTENT, ABOUT, platform=OURS, key=with_key.key, certificate=with_key.certificate)
    found = taken(data, trusted=US.certificate + with_key.certificate)
    assert (found.platform, found.about, found.draft) == (OURS, ABOUT, DRAFT)
    assert found.digest == contents.digest(CONTENT)
    assert found.signer.startswith("CN=x (SHA-256 ")


def test_a_large_one_is_read_too() -> None:
    rows = tuple(
        Component(
            HsaId(f"C{hashes.SHA256.name}{number * 7919 % 1_000_003}"), f"{number}", False, Place("t.yaml", number)
        )
        for number in range(60_000)
    )
    content = contents.encode(Draft(components=rows))
    data = write(content, ABOUT, platform=OURS, key=US.key, certificate=US.certificate)
    assert len(taken(data).draft.components) == 60_000


def sign_again(root: etree._Element, by: Signer = OTHERS, **how: object) -> etree._Element:
    bare = copy.deepcopy(root)
    for one in bare.findall(f"{DS}Signature"):
        bare.remove(one)
    arguments = {
        "method": SignatureConstructionMethod.enveloped,
        "c14n_algorithm": "http://www.w3.org/2001/10/xml-exc-c14n#",
        "signature_algorithm": SignatureMethod.ECDSA_SHA256,
        **how,
    }
    return XMLSigner(**arguments).sign(bare, key=by.key, cert=by.certificate.decode())  # type: ignore[arg-type]


def altered_attribute(name: str, value: str) -> Callable[[etree._Element], None]:
    return lambda root: root.set(name, value)


def other_content(root: etree._Element) -> None:
    root[0].text = b64encode(contents.compress(contents.encode(Draft()))).decode()
    root.set("digest", contents.digest(contents.encode(Draft())))


def unsigned(root: etree._Element) -> None:
    root.remove(root[-1])


def wrapped_in_another(root: etree._Element) -> etree._Element:
    """The signed document moved below a new one."""
    outer = etree.Element(f"{OWN}publication", {str(key): str(value) for key, value in root.attrib.items()})
    outer.append(copy.deepcopy(root[0]))
    outer[0].text = ""
    outer.append(root)
    return outer


def moved_into_an_object(root: etree._Element) -> None:
    signature = root[-1]
    holder = etree.SubElement(signature, f"{DS}Object")
    holder.append(copy.deepcopy(root[0]))
    other_content(root)


def second_content(root: etree._Element) -> None:
    root.insert(0, copy.deepcopy(root[0]))


def second_signature(root: etree._Element) -> None:
    root.append(copy.deepcopy(root[-1]))


def second_signed_info(root: etree._Element) -> None:
    root[-1].insert(0, copy.deepcopy(root[-1][0]))
    other_content(root)


def second_reference(root: etree._Element) -> None:
    info = root[-1][0]
    info.append(copy.deepcopy(info[-1]))


def reference_to_a_part(root: etree._Element) -> None:
    root[0].set("Id", "part")
    root[-1].find(f".//{DS}Reference").set("URI", "#part")


def duplicate_ids(root: etree._Element) -> etree._Element:
    """One part signed by its id, and another with the same id before it."""
    root[0].set("Id", "part")
    signed = sign_again(root, US)
    signed.find(f".//{DS}Reference").set("URI", "#part")
    double = copy.deepcopy(signed[0])
    signed.insert(0, double)
    return signed


def no_transform(root: etree._Element) -> None:
    transforms = root[-1].find(f".//{DS}Transforms")
    assert transforms is not None
    transforms.remove(transforms[0])


def xslt_transform(root: etree._Element) -> None:
    transforms = root[-1].find(f".//{DS}Transforms")
    assert transforms is not None
    transforms[0].set("Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")


def hmac_with_the_public_key(root: etree._Element) -> None:
    """The certificate as a shared secret, which everybody knows."""
    method = root[-1].find(f".//{DS}SignatureMethod")
    assert method is not None
    method.set("Algorithm", "http://www.w3.org/2000/09/xmldsig#hmac-sha1")


def sha1(root: etree._Element) -> None:
    method = root[-1].find(f".//{DS}SignatureMethod")
    assert method is not None
    method.set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1")


def digest_sha1(root: etree._Element) -> None:
    digest = root[-1].find(f".//{DS}DigestMethod")
    assert digest is not None
    digest.set("Algorithm", "http://www.w3.org/2000/09/xmldsig#sha1")


def another_certificate(root: etree._Element) -> None:
    """Signed by others, who name our certificate."""
    named = root[-1].find(f".//{DS}X509Certificate")
    assert named is not None
    named.text = "".join(OTHERS.certificate.decode().splitlines()[1:-1])


def key_value_beside(root: etree._Element) -> None:
    etree.SubElement(root[-1][2], f"{DS}KeyValue")


def second_certificate(root: etree._Element) -> None:
    data = root[-1].find(f".//{DS}X509Data")
    assert data is not None
    data.append(copy.deepcopy(data[0]))


def no_key_info(root: etree._Element) -> None:
    root[-1].remove(root[-1][2])


def comment_in_the_content(root: etree._Element) -> None:
    text = root[0].text or ""
    root[0].text = text[:8]
    comment = etree.Comment("x")
    comment.tail = text[8:]
    root[0].append(comment)


def comment_before_the_root(root: etree._Element) -> None:
    root.addprevious(etree.Comment("x"))


def instruction(root: etree._Element) -> None:
    root.insert(0, etree.ProcessingInstruction("x", "y"))


def foreign_attribute(root: etree._Element) -> None:
    root.set("{urn:x}platform", OURS)


def signed_by_others_who_name_us(root: etree._Element) -> etree._Element:
    signed = sign_again(root)
    named = signed[-1].find(f".//{DS}X509Certificate")
    assert named is not None
    named.text = "".join(US.certificate.decode().splitlines()[1:-1])
    return signed


def text_beside(root: etree._Element) -> None:
    root[0].tail = "more"


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (altered_attribute("number", "8"), "not as it was signed"),
        (altered_attribute("platform", "SE1-X"), "not as it was signed"),
        (altered_attribute("comment", "x"), "not as it was signed"),
        (altered_attribute("format", "2"), "format 2"),
        (altered_attribute("Id", "x"), "other attributes"),
        (foreign_attribute, "other attributes"),
        (other_content, "not as it was signed"),
        (unsigned, "not signed"),
        (wrapped_in_another, "not signed"),
        (moved_into_an_object, "another shape, at Signature"),
        (second_content, "not as it was signed"),
        (second_signature, "one signature at its end"),
        (second_signed_info, "another shape, at Signature"),
        (second_reference, "another shape, at SignedInfo"),
        (reference_to_a_part, "other elements"),
        (duplicate_ids, "other elements"),
        (no_transform, "another shape"),
        (xslt_transform, "something else than the whole file"),
        (hmac_with_the_public_key, "not as it was signed"),
        (sha1, "not as it was signed"),
        (digest_sha1, "not as it was signed"),
        (another_certificate, "CN=others, which is not the trusted one"),
        (sign_again, "CN=others, which is not the trusted one"),
        (signed_by_others_who_name_us, "not as it was signed"),
        (key_value_beside, "another shape, at KeyInfo"),
        (second_certificate, "another shape, at X509Data"),
        (no_key_info, "another shape, at Signature"),
        (comment_in_the_content, "comments or processing instructions"),
        (comment_before_the_root, "comments or processing instructions"),
        (instruction, "comments or processing instructions"),
        (text_beside, "not as it was signed"),
    ],
)
def test_nothing_else_passes_as_signed(attack: Callable[[etree._Element], etree._Element | None], words: str) -> None:
    root = etree.fromstring(GOOD)
    made = attack(root)
    tree = (root if made is None else made).getroottree()
    with pytest.raises(PublicationFileRefused, match=re.escape(words)):
        taken(etree.tostring(tree))


@pytest.mark.parametrize(
    "data",
    [b"", b"<a/>", b"not XML", GOOD[:-20], b"<!DOCTYPE a><a/>", b"<publication xmlns='urn:x'/>"],
)
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(PublicationFileRefused):
        taken(data)


def test_every_byte_counts() -> None:
    """A bit turned anywhere is refused, or means the same."""
    for at in range(0, len(GOOD), 7):
        turned = GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :]
        try:
            found = taken(turned)
        except PublicationFileRefused:
            continue
        assert (found.platform, found.about, found.draft) == (OURS, ABOUT, DRAFT)


def test_an_expired_certificate_signs_nothing_any_more() -> None:
    old = signer("old", days=-1)
    data = write(CONTENT, ABOUT, platform=OURS, key=old.key, certificate=old.certificate)
    with pytest.raises(PublicationFileRefused, match="valid from 2026-09-25 to 2026-11-23 only"):
        taken(data, trusted=old.certificate)


def test_a_key_signs_for_its_own_certificate_only() -> None:
    with pytest.raises(PublicationFileRefused, match="not that of the certificate"):
        write(CONTENT, ABOUT, platform=OURS, key=OTHERS.key, certificate=US.certificate)
    with pytest.raises(PublicationFileRefused, match="no private key"):
        write(CONTENT, ABOUT, platform=OURS, key=b"x", certificate=US.certificate)
    with pytest.raises(PublicationFileRefused, match="no certificate in PEM"):
        taken(GOOD, trusted=b"x")


def test_content_that_is_signed_but_wrong_is_refused() -> None:
    root = etree.fromstring(GOOD)
    root[0].text = b64encode(b"not packed").decode()
    with pytest.raises(PublicationFileRefused, match="cannot be unpacked"):
        taken(etree.tostring(sign_again(root, US)))
    root[0].text = b64encode(contents.compress(b"other")).decode()
    with pytest.raises(PublicationFileRefused, match="its digest is not that"):
        taken(etree.tostring(sign_again(root, US)))
    root.set("digest", contents.digest(b"other"))
    with pytest.raises(PublicationFileRefused, match="not the content of a publication"):
        taken(etree.tostring(sign_again(root, US)))


def test_another_platforms_or_an_older_publication_is_refused() -> None:
    found = taken(GOOD)
    refuse_other_or_older(found, platform=OURS, loaded=None)
    refuse_other_or_older(found, platform=OURS, loaded=Loaded(6, "x"))
    refuse_other_or_older(found, platform=OURS, loaded=Loaded(7, found.digest))
    for platform, loaded, words in (
        ("SE1-X", None, "not of SE1-X"),
        (OURS, Loaded(8, "x"), "older than publication 8"),
        (OURS, Loaded(7, "x"), "has other content"),
    ):
        with pytest.raises(PublicationFileRefused, match=words):
            refuse_other_or_older(found, platform=platform, loaded=loaded)
