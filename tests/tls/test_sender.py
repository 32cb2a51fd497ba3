"""Who is calling is read from the subject's serialNumber attribute and from nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from rivta.tls.sender import NoSenderId, Sender, sender_from_certificate
from tests.tls.conftest import MakeDer


def serial_number(value: str, kind: _ASN1Type = _ASN1Type.UTF8String) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.SERIAL_NUMBER, value, kind)


def common_name(value: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COMMON_NAME, value)


def test_a_sender_is_what_the_certificate_says(certificate_with_subject: MakeDer) -> None:
    der = certificate_with_subject([[common_name("vp.example.se")], [serial_number("SE2321000016-KS")]])

    assert sender_from_certificate(der) == Sender(
        hsa_id="SE2321000016-KS",
        subject="SERIALNUMBER=SE2321000016-KS,CN=vp.example.se",
        issuer_key=x509.Name([common_name("Some CA")]).public_bytes(),
        serial=4711,
        not_after=datetime(2026, 11, 25, tzinfo=UTC),
        issuer="CN=Some CA",
    )


PRINTABLE = st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"])


@given(hsa_id=st.text(PRINTABLE, min_size=1, max_size=64))
def test_any_printable_hsa_id_comes_back_as_it_was_put_in(certificate_with_subject: MakeDer, hsa_id: str) -> None:
    der = certificate_with_subject([[common_name("x")], [serial_number(hsa_id)]])

    assert sender_from_certificate(der).hsa_id == hsa_id


@pytest.mark.parametrize(
    "hsa_id",
    ["SE1,O=X", "SE1+CN=X", "#1314545354", '"SE1"', "SE1\\,2", "a b", "se1", "Västra-Götaland", "SE1=2.5.4.5=SE2"],
)
def test_what_means_something_in_the_text_of_a_name_means_nothing_in_a_value(
    certificate_with_subject: MakeDer, hsa_id: str
) -> None:
    assert sender_from_certificate(certificate_with_subject([[serial_number(hsa_id)]])).hsa_id == hsa_id


TEXTS = [
    _ASN1Type.UTF8String,
    _ASN1Type.NumericString,
    _ASN1Type.PrintableString,
    _ASN1Type.T61String,
    _ASN1Type.IA5String,
    _ASN1Type.VisibleString,
    _ASN1Type.UniversalString,
    _ASN1Type.BMPString,
]


@pytest.mark.parametrize("kind", TEXTS)
def test_every_string_type_is_read(certificate_with_subject: MakeDer, kind: _ASN1Type) -> None:
    assert sender_from_certificate(certificate_with_subject([[serial_number("SE1", kind)]])).hsa_id == "SE1"


@pytest.mark.parametrize("kind", [kind for kind in TEXTS if kind is not _ASN1Type.PrintableString])
def test_letters_beyond_ascii_are_read_in_every_type_that_can_hold_them(
    certificate_with_subject: MakeDer, kind: _ASN1Type
) -> None:
    """The incumbent cannot decode the hex form, `2.5.4.5=#0C..`, of such a value."""
    assert sender_from_certificate(certificate_with_subject([[serial_number("SE-Ö1", kind)]])).hsa_id == "SE-Ö1"


@pytest.mark.parametrize("place", ["hsa_id", "common_name"])
def test_iso_8859_1_in_a_t61_string_is_read(certificate_with_subject: MakeDer, place: str) -> None:
    """As OpenSSL reads it; older Swedish certificates have such names."""
    name = x509.NameAttribute(NameOID.COMMON_NAME, "Vast-x", _ASN1Type.T61String)
    der = certificate_with_subject([[name], [serial_number("SE-Vx", _ASN1Type.T61String)]])
    der = der.replace(*((b"SE-Vx", b"SE-V\xe4") if place == "hsa_id" else (b"Vast-x", b"V\xe4st-x")))

    sender = sender_from_certificate(der)

    assert sender.hsa_id == ("SE-Vä" if place == "hsa_id" else "SE-Vx")
    assert sender.subject == f"SERIALNUMBER={sender.hsa_id},CN={'Vast-x' if place == 'hsa_id' else 'Väst-x'}"


@pytest.mark.parametrize("kind", [_ASN1Type.OctetString, _ASN1Type.UTCTime])
def test_a_serial_number_that_is_no_text_is_no_sender(certificate_with_subject: MakeDer, kind: _ASN1Type) -> None:
    with pytest.raises(NoSenderId, match="is not a text"):
        raise_with_reason(certificate_with_subject([[serial_number("SE1", kind)]]))


def test_broken_utf_8_is_no_sender(certificate_with_subject: MakeDer) -> None:
    der = certificate_with_subject([[serial_number("SE-Vx")]]).replace(b"SE-Vx", b"SE-V\xe4")

    with pytest.raises(NoSenderId, match="cannot be read"):
        raise_with_reason(der)


def test_a_common_name_cannot_pass_for_another_sender(certificate_with_subject: MakeDer) -> None:
    der = certificate_with_subject(
        [[serial_number("SE-TRUE")], [common_name("SERIALNUMBER=SE-FORGED,2.5.4.5=SE-FORGED")]]
    )

    assert sender_from_certificate(der).hsa_id == "SE-TRUE"


def test_a_common_name_that_looks_like_a_serial_number_is_no_sender(certificate_with_subject: MakeDer) -> None:
    der = certificate_with_subject([[common_name("SERIALNUMBER=SE-FORGED")]])

    with pytest.raises(NoSenderId, match="the subject has no serialNumber") as refused:
        raise_with_reason(der)
    assert refused.value.subject == "CN=SERIALNUMBER=SE-FORGED"


def raise_with_reason(der: bytes) -> None:
    """Lets `match` see the reason, which is for the log and not in the text for the wire."""
    try:
        sender_from_certificate(der)
    except NoSenderId as error:
        error.args = (error.reason,)
        raise


def test_the_text_of_the_refusal_is_the_detail_on_the_wire(certificate_with_subject: MakeDer) -> None:
    with pytest.raises(NoSenderId) as refused:
        sender_from_certificate(certificate_with_subject([[common_name("vp.example.se")]]))

    assert str(refused.value) == "No senderId found in Certificate: CN=vp.example.se"


def test_several_serial_numbers_are_refused(certificate_with_subject: MakeDer) -> None:
    with pytest.raises(NoSenderId, match="2 serialNumber attributes"):
        raise_with_reason(certificate_with_subject([[serial_number("SE1")], [serial_number("SE2")]]))


def test_several_serial_numbers_in_one_set_are_refused(certificate_with_subject: MakeDer) -> None:
    with pytest.raises(NoSenderId, match="2 serialNumber attributes"):
        raise_with_reason(certificate_with_subject([[serial_number("SE1"), serial_number("SE2")]]))


def test_a_serial_number_that_shares_its_set_is_read(certificate_with_subject: MakeDer) -> None:
    assert sender_from_certificate(certificate_with_subject([[common_name("x"), serial_number("SE1")]])).hsa_id == "SE1"


@pytest.mark.parametrize("value", ["", " ", "\t", "\u00a0"])
def test_a_blank_serial_number_is_no_sender(certificate_with_subject: MakeDer, value: str) -> None:
    with pytest.raises(NoSenderId, match="is empty"):
        raise_with_reason(certificate_with_subject([[common_name("x")], [serial_number(value)]]))


@pytest.mark.parametrize("value", [" SE1", "SE1 ", "SE1\n", "SE\x001", "SE\u202e1", "SE1\u00a0"])
def test_a_serial_number_that_people_cannot_tell_from_another_is_no_sender(
    certificate_with_subject: MakeDer, value: str
) -> None:
    with pytest.raises(NoSenderId, match="blanks around it or unprintable"):
        raise_with_reason(certificate_with_subject([[common_name("x")], [serial_number(value)]]))


def test_a_subject_cannot_break_a_log_line(certificate_with_subject: MakeDer) -> None:
    with pytest.raises(NoSenderId) as refused:
        sender_from_certificate(certificate_with_subject([[common_name("a\nFORGED LOG LINE")]]))

    assert refused.value.subject == "CN=a\\0AFORGED LOG LINE"


def test_a_subject_beyond_the_standard_lengths_still_names_its_sender(certificate_with_subject: MakeDer) -> None:
    with pytest.warns(UserWarning, match="length"):
        too_long = x509.NameAttribute(NameOID.COMMON_NAME, "x" * 65, _validate=False)
    der = certificate_with_subject([[too_long], [serial_number("SE1" * 30)]])

    assert sender_from_certificate(der).hsa_id == "SE1" * 30


@pytest.mark.parametrize("der", [b"", b"0", b"not a certificate", bytes(1000)])
def test_bytes_that_are_no_certificate_are_no_sender(der: bytes) -> None:
    with pytest.raises(NoSenderId, match="No senderId found in Certificate"):
        sender_from_certificate(der)


@given(place=st.integers(min_value=0), value=st.integers(min_value=0, max_value=255))
def test_a_damaged_certificate_never_raises_anything_else(
    certificate_with_subject: MakeDer, place: int, value: int
) -> None:
    der = bytearray(certificate_with_subject([[common_name("x")], [serial_number("SE1")]]))
    der[place % len(der)] = value

    try:
        sender_from_certificate(bytes(der))
    except NoSenderId as error:
        assert error.reason


def test_a_sender_expires_after_the_last_second_of_its_certificate(certificate_with_subject: MakeDer) -> None:
    sender = sender_from_certificate(certificate_with_subject([[serial_number("SE1")]]))

    assert not sender.is_expired(sender.not_after)
    assert sender.is_expired(sender.not_after + timedelta(seconds=1))
