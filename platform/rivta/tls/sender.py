"""Who is calling: the HSA-id in the subject of a verified client certificate.

The incumbent searches the subject's text with a pattern, so a CN that holds
`SERIALNUMBER=...` can pass for another system, and a value ends at its first comma. Here the attribute itself is read.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

_NAMES: Final = {
    NameOID.SERIAL_NUMBER: "SERIALNUMBER",
    NameOID.ORGANIZATION_IDENTIFIER: "organizationIdentifier",
    NameOID.GIVEN_NAME: "GIVENNAME",
    NameOID.SURNAME: "SURNAME",
    NameOID.TITLE: "T",
    NameOID.EMAIL_ADDRESS: "EMAILADDRESS",
}


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
    value is empty, has blanks around it or holds a character that cannot be printed, and when the certificate is
    unreadable.
    """
    with warnings.catch_warnings():
        # cryptography warns of subjects beyond RFC 5280's lengths, which is for the authority that signed them to mind.
        warnings.simplefilter("ignore")
        try:
            return _sender(x509.load_der_x509_certificate(der))
        except NoSenderId:
            raise
        except (ValueError, TypeError, AssertionError) as error:  # by where in the DER something is odd
            raise NoSenderId("(unreadable)", reason=f"the certificate cannot be read: {error}") from error


def _sender(certificate: x509.Certificate) -> Sender:
    subject = subject_text(certificate.subject)
    values = [attribute.value for attribute in certificate.subject if attribute.oid == NameOID.SERIAL_NUMBER]
    if not values:
        raise NoSenderId(subject, reason="the subject has no serialNumber")
    if len(values) > 1:
        raise NoSenderId(subject, reason=f"the subject has {len(values)} serialNumber attributes")
    hsa_id = values[0]
    if not isinstance(hsa_id, str) or not hsa_id.strip():
        raise NoSenderId(subject, reason="the subject's serialNumber is empty")
    # Two subjects that differ only in blanks would be one caller to people and two to the permission table.
    if hsa_id != hsa_id.strip() or not hsa_id.isprintable():
        raise NoSenderId(subject, reason="the subject's serialNumber has blanks around it or unprintable characters")
    return Sender(
        hsa_id=hsa_id,
        subject=subject,
        issuer_key=certificate.issuer.public_bytes(),
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc,
    )


def subject_text(name: x509.Name) -> str:
    """A distinguished name as RFC 4514 spells it; what is not printable, and would break a log line, as hex pairs."""
    text = name.rfc4514_string(_NAMES)
    return "".join(c if c.isprintable() else "".join(f"\\{byte:02X}" for byte in c.encode()) for c in text)
