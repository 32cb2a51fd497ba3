"""Who is calling: the HSA-id in the subject of a verified client certificate.

The incumbent searches the subject's text with a pattern, so a CN that holds
`SERIALNUMBER=...` can pass for another system, and a value ends at its first comma. Here the attribute itself is read.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

_NAMES: Final = {
    NameOID.SERIAL_NUMBER: "SERIALNUMBER",
    NameOID.ORGANIZATION_IDENTIFIER: "organizationIdentifier",
    NameOID.GIVEN_NAME: "GIVENNAME",
    NameOID.SURNAME: "SURNAME",
    NameOID.TITLE: "T",
    NameOID.EMAIL_ADDRESS: "EMAILADDRESS",
}


_ODDITIES = (ValueError, TypeError, AssertionError, IndexError, x509.InvalidVersion)
"""What is raised for a damaged certificate, by where in its DER the damage is."""


@dataclass(frozen=True, slots=True)
class Sender:
    """The system at the other end of a connection, as its certificate names it."""

    hsa_id: str
    subject: str
    """The whole subject as RFC 4514 spells it, most specific attribute first."""
    issuer_key: bytes
    """The DER of the issuer's name: with `serial` it finds the certificate in a revocation list."""
    serial: int
    """The certificate's own serial number; not the subject's serialNumber, which is the HSA-id."""
    not_after: datetime
    """The last second of the certificate's validity, UTC."""
    issuer: str = ""
    """The issuer's name as RFC 4514 spells it, for people."""

    def is_expired(self, now: datetime) -> bool:
        """Whether the certificate has run out since: a long-lived or resumed connection does not notice."""
        return now > self.not_after


class NoSenderId(ValueError):
    """The certificate's subject does not name one system. Its text is the detail of the fault on the wire."""

    def __init__(self, subject: str, *, reason: str) -> None:
        super().__init__(f"No senderId found in Certificate: {subject}")
        self.subject = subject
        self.reason = reason
        """For the log: which rule the subject broke."""


def sender_from_certificate(der: bytes) -> Sender:
    """The sender named by the DER of a certificate whose chain has been verified.

    The HSA-id is the value of the subject's one serialNumber attribute (2.5.4.5), exactly as it stands: no trimming,
    no change of case, any string type and any script. Raises NoSenderId when the subject has none or several, when the
    value is no text, is empty, has blanks around it or holds a character that cannot be printed, and when the
    certificate is unreadable.
    """
    with warnings.catch_warnings():
        # cryptography warns of subjects beyond RFC 5280's lengths, which is for the authority that signed them to mind.
        warnings.simplefilter("ignore")
        try:
            return _sender(x509.load_der_x509_certificate(der))
        except NoSenderId:
            raise
        except _ODDITIES as error:
            raise NoSenderId("(unreadable)", reason=f"the certificate cannot be read: {error}") from error


def sender_in_file(path: Path) -> Sender:
    """The sender named by the first certificate in a PEM file, unverified. Raises NoSenderId, OSError, ValueError."""
    return sender_from_certificate(x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER))


def _sender(certificate: x509.Certificate) -> Sender:
    issuer, name = _names(certificate.tbs_certificate_bytes)
    attributes = list(_attributes(name))
    subject = subject_text(_readable(attributes))
    values = [attribute for attribute in attributes if attribute.oid == NameOID.SERIAL_NUMBER]
    if not values:
        raise NoSenderId(subject, reason="the subject has no serialNumber")
    if len(values) > 1:
        raise NoSenderId(subject, reason=f"the subject has {len(values)} serialNumber attributes")
    if not values[0].is_text:
        raise NoSenderId(subject, reason="the subject's serialNumber is not a text")
    hsa_id = values[0].value
    if not hsa_id.strip():
        raise NoSenderId(subject, reason="the subject's serialNumber is empty")
    # Two subjects that differ only in blanks would be one caller to people and two to the permission table.
    if hsa_id != hsa_id.strip() or not hsa_id.isprintable():
        raise NoSenderId(subject, reason="the subject's serialNumber has blanks around it or unprintable characters")
    return Sender(
        hsa_id=hsa_id,
        subject=subject,
        issuer_key=issuer,
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc,
        issuer=subject_text(_readable(_attributes(issuer))),
    )


def subject_text(name: x509.Name) -> str:
    """A distinguished name as RFC 4514 spells it; what is not printable, and would break a log line, as hex pairs."""
    text = name.rfc4514_string(_NAMES)
    return "".join(c if c.isprintable() else "".join(f"\\{byte:02X}" for byte in c.encode()) for c in text)


# What follows reads a name's DER, as `certificate.subject` would; but that refuses a whole name for one ISO 8859-1
# letter in a T61String, which older certificates have, and which OpenSSL lets through the handshake.

_SEQUENCE_ITEMS_BEFORE_ISSUER = 2  # serialNumber and signature, RFC 5280 section 4.1
_EXPLICIT_VERSION = 0xA0
_WIDE: Final = {30: "utf-16-be", 28: "utf-32-be"}
"""BMPString and UniversalString."""
_UTF8_STRING = 12
_BYTE_STRINGS: Final = frozenset({18, 19, 20, 22, 26})
"""NumericString, PrintableString, T61String, IA5String and VisibleString."""


@dataclass(frozen=True, slots=True)
class _Attribute:
    oid: x509.ObjectIdentifier
    value: str
    is_text: bool


def _names(certificate: bytes) -> tuple[bytes, bytes]:
    """The DER of the issuer's and the subject's name, from a TBSCertificate."""
    items = list(_elements(_content(certificate)))
    first = _SEQUENCE_ITEMS_BEFORE_ISSUER + (items[0][0] == _EXPLICIT_VERSION)
    return items[first][1], items[first + 2][1]


def _attributes(name: bytes) -> Iterator[_Attribute]:
    for _, relative in _elements(_content(name)):
        for _, attribute in _elements(_content(relative)):
            (_, oid), (tag, value) = _elements(_content(attribute))
            yield _attribute(x509.ObjectIdentifier(_dotted(_content(oid))), tag, _content(value))


def _attribute(oid: x509.ObjectIdentifier, tag: int, content: bytes) -> _Attribute:
    if tag in _WIDE:
        return _Attribute(oid, content.decode(_WIDE[tag]), is_text=True)
    if tag == _UTF8_STRING:
        return _Attribute(oid, content.decode(), is_text=True)
    if tag not in _BYTE_STRINGS:
        return _Attribute(oid, f"#{content.hex()}", is_text=False)
    try:
        return _Attribute(oid, content.decode(), is_text=True)
    except UnicodeDecodeError:
        return _Attribute(oid, content.decode("iso-8859-1"), is_text=True)


def _readable(attributes: Iterable[_Attribute]) -> x509.Name:
    """A name to print; that it was made of several sets is lost."""
    utf8 = x509.name._ASN1Type.UTF8String
    return x509.Name([x509.NameAttribute(a.oid, a.value, utf8, _validate=False) for a in attributes])


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and the whole DER of each element that stands in `content`, one after the other."""
    place = 0
    while place < len(content):
        head, length = _head(content, place)
        yield content[place], content[place : place + head + length]
        place += head + length


def _content(element: bytes) -> bytes:
    head, length = _head(element, 0)
    return element[head : head + length]


def _head(data: bytes, place: int) -> tuple[int, int]:
    """The lengths of an element's head and of its content. X.690 section 8.1.3; a tag of one byte, as names have."""
    first = data[place + 1]
    if first < 0x80:
        return 2, first
    count = first & 0x7F
    return 2 + count, int.from_bytes(data[place + 2 : place + 2 + count], "big")


def _dotted(content: bytes) -> str:
    """An object identifier's content as dotted numbers. X.690 section 8.19."""
    numbers, number = list[int](), 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    top = min(numbers[0] // 40, 2)
    return ".".join(map(str, [top, numbers[0] - 40 * top, *numbers[1:]]))
