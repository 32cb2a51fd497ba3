"""Certificates that are wrong in one thing only, of the authority that everybody trusts, made when asked for."""

from __future__ import annotations

import ssl
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from producers_stub.behaviours import Behaviour
from rivta.tls import certificates
from rivta.tls.certificates import Signer, Subject, Validity
from rivta.tls.contexts import server_context
from rivta.tls.profiles import KeyKind, Profiles

WRONG_HOST = "another-host.invalid"
"""RFC 2606 gives `.invalid` to nobody."""
_LIFETIME = timedelta(days=30)


def bad_context(certs: Path, name: str, behaviour: Behaviour, *, now: datetime) -> ssl.SSLContext:
    """What a producer shows in place of its certificate: one that expired a day ago, or one of another host.

    `certs` is the authority's folder. Raises ValueError or OSError when there is none that can sign. It is never listed
    among the issued ones, and its files are gone when this returns.
    """
    good = x509.load_pem_x509_certificate((certs / "issued" / f"{name}.pem").read_bytes())
    issuing, *_ = x509.load_pem_x509_certificates((certs / "ca.pem").read_bytes())
    signer = Signer(issuing, certificates.key_from_pem((certs / "private" / "issuing.key").read_bytes()))
    subject = certificates.subject_of(good)
    end = now + _LIFETIME
    if behaviour is Behaviour.EXPIRED_CERTIFICATE:
        end = now - timedelta(days=1)
    else:
        subject = Subject(subject.hsa_id, subject.common_name, subject.organisation, (WRONG_HOST,))
    key = certificates.make_key(KeyKind.EC_P256)
    made = certificates.function_certificate(
        subject,
        key,
        signer,
        validity=Validity(end - 2 * _LIFETIME, end).until_no_later_than(issuing.not_valid_after_utc),
        profile=Profiles.shipped().function,
    )
    with tempfile.TemporaryDirectory(prefix="rivta-bad-") as folder:
        certificate, key_file = Path(folder) / "bad.pem", Path(folder) / "bad.key"
        key_file.touch(mode=0o600)
        key_file.write_bytes(certificates.key_to_pem(key))
        certificate.write_bytes(certificates.to_pem([made, issuing]))
        return server_context(certificate=certificate, key=key_file, trusted=certs / "ca.pem")
