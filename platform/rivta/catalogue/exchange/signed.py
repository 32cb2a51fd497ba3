"""A publication as a signed file that another platform can import.

XML with an enveloped signature over the whole document, and the canonical JSON of the publication inside, packed. A
file is believed only when it was signed by a certificate that the reader pins: the whole shape is checked first, so
that there is one signature, over everything, by a method that is allowed; and what is used is what was signed.
"""

import binascii
import gzip
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from signxml.algorithms import (
    CanonicalizationMethod,
    DigestAlgorithm,
    SignatureConstructionMethod,
    SignatureMethod,
)
from signxml.exceptions import SignXMLException
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

from rivta.catalogue import content as contents
from rivta.catalogue.exchange.ledger import Loaded, PublicationFileRefused, refuse_older
from rivta.catalogue.exchange.written import About
from rivta.catalogue.rows import Draft
from rivta.soap.namespaces import PUBLICATION_FILE, XML_SIGNATURE
from rivta.soap.xml import XmlRefused, parse_xml

_FORMAT = "1"
_MAX_BYTES = 512 * 1024 * 1024
_MAX_CONTENT = 2 * 1024 * 1024 * 1024
_PART = 1_000_000
"""Characters of one element: a single text must stay below the bound of the parser."""
_ATTRIBUTES = ("format", "platform", "number", "time", "author", "comment", "digest")
_METHODS = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
_DIGESTS = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
_C14N = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
_ENVELOPED = f"{XML_SIGNATURE}enveloped-signature"

_SHAPE: dict[str, tuple[str, ...]] = {
    "Signature": ("SignedInfo", "SignatureValue", "KeyInfo"),
    "SignedInfo": ("CanonicalizationMethod", "SignatureMethod", "Reference"),
    "Reference": ("Transforms", "DigestMethod", "DigestValue"),
    "Transforms": ("Transform", "Transform"),
    "KeyInfo": ("X509Data",),
    "X509Data": ("X509Certificate",),
}
"""The children of each element of the signature, which are all there may be; others have none."""


@dataclass(frozen=True, slots=True)
class SignedPublication:
    """A publication out of a file whose signature is good."""

    platform: str
    """HSA-id of the platform whose publication it is."""
    about: About
    digest: str
    draft: Draft
    signer: str
    """Subject of the certificate, and its SHA-256."""


def write(content: bytes, about: About, *, platform: str, key: bytes, certificate: bytes) -> bytes:
    """The file for a publication's canonical JSON, signed with a key; its certificate is the first in `certificate`.

    Both are PEM. Raises PublicationFileRefused when they cannot be used or do not belong together.
    """
    leaf = _certificates(certificate, "the certificate to sign with")[0]
    method = _method(key, leaf)
    root = etree.Element(etree.QName(PUBLICATION_FILE, "publication"), nsmap={None: PUBLICATION_FILE})  # type: ignore[dict-item]
    values = (_FORMAT, platform, str(about.version), about.time.isoformat(), about.author, about.comment)
    for name, value in zip(_ATTRIBUTES, (*values, contents.digest(content)), strict=True):
        root.set(name, value)
    packed = b64encode(contents.compress(content)).decode("ascii")
    for at in range(0, len(packed), _PART):
        etree.SubElement(root, etree.QName(PUBLICATION_FILE, "content")).text = packed[at : at + _PART]
    signer = XMLSigner(
        method=SignatureConstructionMethod.enveloped,
        signature_algorithm=method,
        digest_algorithm=DigestAlgorithm.SHA256,
        c14n_algorithm=_C14N,
    )
    pem = leaf.public_bytes(serialization.Encoding.PEM).decode("ascii")
    signed = signer.sign(root, key=key, cert=pem)
    return etree.tostring(signed, xml_declaration=True, encoding="UTF-8")


def read(data: bytes, *, trusted: bytes, now: datetime) -> SignedPublication:
    """The publication in a file that one of the `trusted` certificates (PEM) signed, and that is as it was signed.

    Raises PublicationFileRefused.
    """
    pinned = _certificates(trusted, "the trusted certificate")
    if len(data) > _MAX_BYTES:
        raise PublicationFileRefused(f"is larger than {_MAX_BYTES // 2**20} MB")
    try:
        root = parse_xml(data)
    except XmlRefused as error:
        raise PublicationFileRefused(f"is not XML that is read here: {error.reason}") from error
    _check_shape(root)
    signer = _signer(root, pinned, now)
    signed = _verified(root, signer, now)
    draft_bytes = _content(signed)
    name = signer.subject.rfc4514_string()
    fingerprint = signer.fingerprint(hashes.SHA256()).hex()
    return SignedPublication(
        platform=signed.get("platform", ""),
        about=_about(signed),
        digest=signed.get("digest", ""),
        draft=_decoded(draft_bytes),
        signer=f"{name} (SHA-256 {fingerprint})",
    )


def refuse_other_or_older(found: SignedPublication, *, platform: str, loaded: Loaded | None) -> None:
    """Raises PublicationFileRefused when the publication is not of `platform`, or older than what is loaded of it."""
    if found.platform != platform:
        raise PublicationFileRefused(f"is a publication of platform {found.platform}, not of {platform}")
    if loaded is None:
        return
    refuse_older(Loaded(found.about.version, found.digest), loaded)


def _method(key: bytes, certificate: x509.Certificate) -> SignatureMethod:
    try:
        loaded = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise PublicationFileRefused("the key to sign with is no private key that can be read") from error
    if loaded.public_key() != certificate.public_key():
        raise PublicationFileRefused("the key to sign with is not that of the certificate")
    match loaded:
        case rsa.RSAPrivateKey():
            return SignatureMethod.RSA_SHA256
        case ec.EllipticCurvePrivateKey():
            return SignatureMethod.ECDSA_SHA256
    raise PublicationFileRefused("the key to sign with is neither RSA nor of an elliptic curve")


def _certificates(pem: bytes, what: str) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise PublicationFileRefused(f"{what} is no certificate in PEM") from error


def _check_shape(root: etree._Element) -> None:
    """Exactly the elements that this module writes, in their places: nothing can hide, or stand in for another."""
    if root.tag != f"{{{PUBLICATION_FILE}}}publication":
        raise PublicationFileRefused("is not a signed publication")
    if sorted(root.attrib) != sorted(_ATTRIBUTES):
        raise PublicationFileRefused(f"has other attributes than {', '.join(_ATTRIBUTES)}")
    if root.get("format") != _FORMAT:
        raise PublicationFileRefused(f"is of format {root.get('format')}; this program reads format {_FORMAT}")
    beside = [*root.itersiblings(), *root.itersiblings(preceding=True)]
    if beside or any(not isinstance(one.tag, str) for one in root.iter()):
        raise PublicationFileRefused("holds comments or processing instructions, where there must be none")
    parts, last = list(root)[:-1], root[-1] if len(root) else None
    if last is None or last.tag != f"{{{XML_SIGNATURE}}}Signature":
        raise PublicationFileRefused("is not signed")
    if not parts or any(part.tag != f"{{{PUBLICATION_FILE}}}content" or len(part) or part.attrib for part in parts):
        raise PublicationFileRefused("has other elements than content and one signature at its end")
    _check_signature(last)


def _check_signature(signature: etree._Element) -> None:
    for element in signature.iter():
        name = etree.QName(element)
        wanted = tuple(f"{{{XML_SIGNATURE}}}{child}" for child in _SHAPE.get(name.localname, ()))
        if name.localname == "Transform":
            continue
        if name.namespace != XML_SIGNATURE or tuple(str(child.tag) for child in element) != wanted:
            raise PublicationFileRefused(f"has a signature of another shape, at {name.localname}")
        if set(element.attrib) - {"Algorithm"} and name.localname != "Reference":
            raise PublicationFileRefused(f"has a signature of another shape, at the attributes of {name.localname}")
    find = {name: f".//{{{XML_SIGNATURE}}}{name}" for name in ("Reference", "Transform", "CanonicalizationMethod")}
    reference = signature.find(find["Reference"])
    if reference is None or reference.attrib.items() != [("URI", "")]:
        raise PublicationFileRefused("has a signature that is not over the whole file")
    transforms = [one.get("Algorithm") for one in signature.iterfind(find["Transform"])]
    if transforms != [_ENVELOPED, _C14N.value] or any(len(one) for one in signature.iterfind(find["Transform"])):
        raise PublicationFileRefused("has a signature over something else than the whole file as it stands")
    canonical = signature.find(find["CanonicalizationMethod"])
    if canonical is None or canonical.get("Algorithm") != _C14N.value:
        raise PublicationFileRefused("has a signature in another canonical form than exclusive C14N")


def _signer(root: etree._Element, pinned: Sequence[x509.Certificate], now: datetime) -> x509.Certificate:
    """The pinned certificate that the file says it is signed with."""
    element = root.find(f".//{{{XML_SIGNATURE}}}X509Certificate")
    text = "" if element is None else "".join((element.text or "").split())
    try:
        named = x509.load_der_x509_certificate(b64decode(text, validate=True))
    except (ValueError, binascii.Error) as error:
        raise PublicationFileRefused("names a certificate that cannot be read") from error
    if named not in pinned:
        subject = named.subject.rfc4514_string()
        raise PublicationFileRefused(f"is signed with the certificate of {subject}, which is not the trusted one")
    if not named.not_valid_before_utc <= now <= named.not_valid_after_utc:
        validity = f"{named.not_valid_before_utc.date()} to {named.not_valid_after_utc.date()}"
        raise PublicationFileRefused(f"is signed with a certificate that is valid from {validity} only")
    return named


def _verified(root: etree._Element, signer: x509.Certificate, now: datetime) -> etree._Element:
    """What was signed, as it was signed: nothing else of the file may be used."""
    configuration = SignatureConfiguration(
        require_x509=True,
        location="./",
        expect_references=1,
        signature_methods=_METHODS,
        digest_algorithms=_DIGESTS,
        verification_time=now,
    )
    try:
        result = XMLVerifier().verify(root, x509_cert=signer, expect_config=configuration)
    except (SignXMLException, ValueError, etree.LxmlError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PublicationFileRefused(f"is not as it was signed: {reason}") from error
    signed = None if isinstance(result, list) else result.signed_xml
    if signed is None or signed.tag != root.tag:
        raise PublicationFileRefused("is not as it was signed")
    return signed


def _content(signed: etree._Element) -> bytes:
    try:
        packed = b64decode("".join(part.text or "" for part in signed), validate=True)
        with gzip.open(BytesIO(packed)) as stream:
            content = stream.read(_MAX_CONTENT + 1)
    except (ValueError, OSError, EOFError) as error:
        raise PublicationFileRefused(f"is signed, but its content cannot be unpacked: {error}") from error
    if len(content) > _MAX_CONTENT:
        raise PublicationFileRefused(f"is larger than {_MAX_CONTENT // 2**20} MB unpacked")
    if contents.digest(content) != signed.get("digest"):
        raise PublicationFileRefused("is signed, but its digest is not that of its content")
    return content


def _decoded(content: bytes) -> Draft:
    try:
        return contents.decode(content)
    except ValueError as error:
        raise PublicationFileRefused(f"is signed, but {error}") from error


def _about(signed: etree._Element) -> About:
    try:
        time = datetime.fromisoformat(signed.get("time", ""))
        number = int(signed.get("number", ""))
    except ValueError as error:
        raise PublicationFileRefused(f"is signed, but its number or time cannot be read: {error}") from error
    return About(number, time, signed.get("author", ""), signed.get("comment", ""))
