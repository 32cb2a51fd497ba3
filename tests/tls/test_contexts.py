"""The TLS policy, by real handshakes on the loopback, and what is said of files that cannot be used."""

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rivta.tls.authority import Authority, Issued
from rivta.tls.contexts import TlsSetupError, client_context, load_identity, own_door_context, server_context
from rivta.tls.profiles import KeyKind
from rivta.tls.sender import sender_from_certificate


@dataclass
class Met:
    """What a server saw of a connection, and the error that ended it on either side."""

    server_error: str | None = None
    client_error: str | None = None
    peer: bytes | None = None
    version: str | None = None
    cipher: str = ""
    alpn: str | None = None
    reused: bool = False
    session: ssl.SSLSession | None = None


def meet(
    server: ssl.SSLContext, client: ssl.SSLContext, *, host: str = "localhost", session: ssl.SSLSession | None = None
) -> Met:
    """One connection: the client sends a byte, the server answers it."""
    met = Met()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=_serve, args=(listener, server, met))
        serving.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), timeout=10) as plain,
                client.wrap_socket(plain, server_hostname=host, session=session) as secured,
            ):
                secured.sendall(b"?")
                assert secured.recv(1) == b"!"
                met.session = secured.session
        except OSError as error:
            met.client_error = str(error)
        serving.join(timeout=10)
    return met


def _serve(listener: socket.socket, context: ssl.SSLContext, met: Met) -> None:
    plain, _ = listener.accept()
    plain.settimeout(10)
    try:
        with context.wrap_socket(plain, server_side=True) as secured:
            met.peer = secured.getpeercert(binary_form=True)
            met.version, met.reused = secured.version(), bool(secured.session_reused)
            met.cipher = (secured.cipher() or ("", "", 0))[0]
            met.alpn = secured.selected_alpn_protocol()
            secured.recv(1)
            secured.sendall(b"!")
    except OSError as error:
        met.server_error = str(error)
    finally:
        with contextlib.suppress(OSError):
            plain.close()


@pytest.fixture
def listening(authority: Authority, server: Issued) -> ssl.SSLContext:
    return server_context(certificate=server.certificate, key=server.key, trusted=authority.ca)


@pytest.fixture
def calling(authority: Authority, client: Issued) -> ssl.SSLContext:
    return client_context(certificate=client.certificate, key=client.key, trusted=authority.ca)


def loose_client(authority: Authority, client: Issued | None) -> ssl.SSLContext:
    """A client with none of our policy, as the field's oldest are."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_verify_locations(authority.ca)
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    return context


def capped(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    return context


@pytest.mark.sockets
def test_both_sides_agree_on_tls_1_3_and_http_1_1(listening: ssl.SSLContext, calling: ssl.SSLContext) -> None:
    met = meet(listening, calling)

    assert (met.version, met.alpn, met.client_error) == ("TLSv1.3", "http/1.1", None)
    assert met.peer is not None
    assert sender_from_certificate(met.peer).hsa_id == "SE1-C"


@pytest.mark.sockets
@pytest.mark.parametrize(
    "cipher", ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"]
)
def test_tls_1_2_is_spoken_with_authenticated_encryption(
    listening: ssl.SSLContext, authority: Authority, client: Issued, cipher: str
) -> None:
    context = capped(loose_client(authority, client), ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(cipher)

    met = meet(listening, context)

    assert (met.version, met.cipher, met.client_error) == ("TLSv1.2", cipher, None)


@pytest.mark.sockets
@pytest.mark.parametrize(
    "cipher", ["ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-AES128-SHA", "AES128-GCM-SHA256", "AES256-SHA"]
)
def test_tls_1_2_with_weaker_ciphers_is_refused(
    listening: ssl.SSLContext, authority: Authority, client: Issued, cipher: str
) -> None:
    context = capped(loose_client(authority, client), ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")

    met = meet(listening, context)

    assert "NO_SHARED_CIPHER" in (met.server_error or "")
    assert met.client_error is not None


@pytest.mark.sockets
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_1_1_is_refused(listening: ssl.SSLContext, authority: Authority, client: Issued) -> None:
    met = meet(listening, capped(loose_client(authority, client), ssl.TLSVersion.TLSv1_1))

    assert "UNSUPPORTED_PROTOCOL" in (met.server_error or "")
    assert met.client_error is not None


@pytest.mark.sockets
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "cipher"),
    [
        (ssl.TLSVersion.TLSv1, "ECDHE-RSA-AES128-SHA"),
        (ssl.TLSVersion.TLSv1_1, "AES128-SHA"),
        (ssl.TLSVersion.TLSv1_2, "AES256-GCM-SHA384"),
    ],
)
def test_old_tls_is_spoken_where_the_operator_insists(
    authority: Authority, server: Issued, client: Issued, version: ssl.TLSVersion, cipher: str
) -> None:
    old = server_context(certificate=server.certificate, key=server.key, trusted=authority.ca, old_tls=True)
    context = capped(loose_client(authority, client), version)
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")

    met = meet(old, context)

    assert (met.version, met.cipher, met.client_error) == (version.name.replace("_", "."), cipher, None)
    assert meet(old, loose_client(authority, client)).version == "TLSv1.3"


@pytest.mark.sockets
@pytest.mark.parametrize("cipher", ["NULL-SHA256", "AECDH-AES128-SHA", "PSK-AES128-CBC-SHA"])
def test_what_encrypts_or_proves_nothing_is_refused_even_then(
    authority: Authority, server: Issued, client: Issued, cipher: str
) -> None:
    old = server_context(certificate=server.certificate, key=server.key, trusted=authority.ca, old_tls=True)
    context = capped(loose_client(authority, client), ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")

    assert meet(old, context).client_error is not None


@pytest.mark.sockets
def test_old_tls_does_not_let_in_who_has_no_certificate(
    authority: Authority, other_authority: Authority, server: Issued
) -> None:
    old = server_context(certificate=server.certificate, key=server.key, trusted=authority.ca, old_tls=True)
    stranger = other_authority.issue("x", hsa_id="SE1-C", common_name="x", organisation="O", hosts=[])

    assert meet(old, loose_client(authority, None)).client_error is not None
    assert meet(old, loose_client(authority, stranger)).client_error is not None


@pytest.mark.sockets
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_caller_without_a_certificate_is_refused(
    listening: ssl.SSLContext, authority: Authority, version: ssl.TLSVersion
) -> None:
    met = meet(listening, capped(loose_client(authority, None), version))

    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in (met.server_error or "")
    assert met.client_error is not None


@pytest.mark.sockets
def test_a_caller_of_an_unknown_authority_is_refused(
    listening: ssl.SSLContext, authority: Authority, other_authority: Authority
) -> None:
    stranger = other_authority.issue("x", hsa_id="SE1-C", common_name="x", organisation="O", hosts=[])

    met = meet(listening, loose_client(authority, stranger))

    assert "CERTIFICATE_VERIFY_FAILED" in (met.server_error or "")
    assert met.client_error is not None


@pytest.mark.sockets
@pytest.mark.parametrize(("begin", "end"), [(-20, -10), (10, 20)], ids=["expired", "not yet valid"])
def test_a_caller_outside_its_certificates_validity_is_refused(
    listening: ssl.SSLContext, authority: Authority, begin: int, end: int
) -> None:
    now = datetime.now(UTC)
    dated = authority.issue(
        f"dated{begin}",
        hsa_id="SE1",
        common_name="x",
        organisation="O",
        hosts=[],
        not_before=now + timedelta(days=begin),
        not_after=now + timedelta(days=end),
    )

    met = meet(listening, loose_client(authority, dated))

    assert "CERTIFICATE_VERIFY_FAILED" in (met.server_error or "")
    assert met.client_error is not None


@pytest.mark.sockets
@pytest.mark.parametrize("host", ["otherhost", "127.0.0.2"])
def test_a_client_refuses_a_server_of_another_name(
    listening: ssl.SSLContext, calling: ssl.SSLContext, host: str
) -> None:
    met = meet(listening, calling, host=host)

    assert "mismatch" in (met.client_error or "") or "not valid for" in (met.client_error or "")


@pytest.mark.sockets
def test_a_server_is_known_by_its_address_too(listening: ssl.SSLContext, calling: ssl.SSLContext) -> None:
    assert meet(listening, calling, host="127.0.0.1").client_error is None


@pytest.mark.sockets
def test_a_common_name_is_not_a_host_name(authority: Authority, calling: ssl.SSLContext) -> None:
    bare = authority.issue("bare", hsa_id="SE1", common_name="localhost", organisation="O", hosts=[])
    context = server_context(certificate=bare.certificate, key=bare.key, trusted=authority.ca)

    assert "CERTIFICATE_VERIFY_FAILED" in (meet(context, calling).client_error or "")


@pytest.mark.sockets
def test_a_client_refuses_a_server_of_an_unknown_authority(
    other_authority: Authority, authority: Authority, calling: ssl.SSLContext
) -> None:
    fake = other_authority.issue("fake", hsa_id="SE1-S", common_name="s", organisation="O", hosts=["localhost"])
    context = server_context(certificate=fake.certificate, key=fake.key, trusted=authority.ca)

    assert "CERTIFICATE_VERIFY_FAILED" in (meet(context, calling).client_error or "")


@pytest.mark.sockets
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_still_has_the_certificate_of_its_caller(
    listening: ssl.SSLContext, calling: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    calling.maximum_version = version
    first = meet(listening, calling)

    second = meet(listening, calling, session=first.session)

    assert (first.reused, second.reused) == (False, True)
    assert second.peer == first.peer
    assert second.peer is not None


@pytest.mark.sockets
def test_an_elliptic_curve_certificate_serves_as_well(authority: Authority, calling: ssl.SSLContext) -> None:
    curved = authority.issue(
        "curved", hsa_id="SE1", common_name="s", organisation="O", hosts=["localhost"], key_kind=KeyKind.EC_P256
    )
    context = server_context(certificate=curved.certificate, key=curved.key, trusted=authority.ca)

    assert meet(context, calling).client_error is None


@pytest.mark.sockets
def test_every_trust_file_counts(
    authority: Authority, other_authority: Authority, server: Issued, calling: ssl.SSLContext
) -> None:
    stranger = other_authority.issue("x", hsa_id="SE1-C", common_name="x", organisation="O", hosts=[])
    both = server_context(certificate=server.certificate, key=server.key, trusted=[authority.ca, other_authority.ca])

    assert meet(both, loose_client(authority, stranger)).client_error is None
    assert meet(both, calling).client_error is None


@pytest.mark.sockets
def test_an_issuing_authority_can_be_trusted_without_its_root(
    authority: Authority, server: Issued, calling: ssl.SSLContext, tmp_path: Path
) -> None:
    issuing = tmp_path / "issuing.pem"
    issuing.write_text(authority.ca.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
    context = server_context(certificate=server.certificate, key=server.key, trusted=issuing)

    assert meet(context, calling).client_error is None


@pytest.mark.sockets
def test_a_renewed_certificate_takes_effect_with_the_next_handshake(
    authority: Authority, listening: ssl.SSLContext, calling: ssl.SSLContext, client: Issued
) -> None:
    renewed = authority.issue("client-next", hsa_id="SE1-NEXT", common_name="c", organisation="O", hosts=[])

    load_identity(calling, certificate=renewed.certificate, key=renewed.key)

    met = meet(listening, calling)
    assert met.peer is not None
    assert sender_from_certificate(met.peer).hsa_id == "SE1-NEXT"


@pytest.mark.sockets
def test_a_client_that_checks_strictly_accepts_our_certificates(
    listening: ssl.SSLContext, authority: Authority, client: Issued
) -> None:
    strict = ssl.create_default_context(cafile=str(authority.ca))  # as Python 3.13 and OpenSSL 3 have it
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    strict.load_cert_chain(client.certificate, client.key)

    assert meet(listening, strict).client_error is None


Break = Callable[[Path, Issued], Issued]


def missing(folder: Path, good: Issued) -> Issued:
    return replace(good, certificate=folder / "gone.pem")


def missing_key(folder: Path, good: Issued) -> Issued:
    return replace(good, key=folder / "gone.key")


def swapped(folder: Path, good: Issued) -> Issued:
    return replace(good, certificate=good.key)


def damaged(folder: Path, good: Issued) -> Issued:
    path = folder / "damaged.pem"
    path.write_text(good.certificate.read_text().replace("M", "!", 40))
    return replace(good, certificate=path)


def damaged_key(folder: Path, good: Issued) -> Issued:
    path = folder / "damaged.key"
    path.write_text(good.key.read_text().replace("M", "!", 40))
    return replace(good, key=path)


def not_pem(folder: Path, good: Issued) -> Issued:
    path = folder / "empty.key"
    path.write_bytes(b"")
    return replace(good, key=path)


def encrypted(folder: Path, good: Issued) -> Issued:
    path = folder / "encrypted.key"
    label = "ENCRYPTED PRIVATE KEY"  # apart, so that what looks for committed keys does not find one here
    path.write_text(f"-----BEGIN {label}-----\nMIIE\n-----END {label}-----\n")
    return replace(good, key=path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (missing, r"gone\.pem: cannot be read: No such file or directory; expected a certificate in PEM"),
        (missing_key, r"gone\.key: cannot be read: No such file or directory; expected a private key in PEM"),
        (swapped, r"server\.key: holds no CERTIFICATE block; expected a certificate in PEM"),
        (damaged, r"damaged\.pem: the certificate is damaged"),
        (damaged_key, r"damaged\.key: the key is damaged"),
        (not_pem, r"empty\.key: holds no PRIVATE KEY block"),
        (encrypted, r"encrypted\.key: the key is encrypted; .*openssl pkey"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(
    authority: Authority, server: Issued, tmp_path: Path, spoil: Break, says: str
) -> None:
    broken = spoil(tmp_path, server)

    with pytest.raises(TlsSetupError, match=says):
        server_context(certificate=broken.certificate, key=broken.key, trusted=authority.ca)


def test_a_key_of_another_certificate_is_refused(authority: Authority, server: Issued, client: Issued) -> None:
    with pytest.raises(TlsSetupError, match=r"client\.key: is not the key of .*server\.pem"):
        server_context(certificate=server.certificate, key=client.key, trusted=authority.ca)


def test_a_key_of_another_kind_is_refused(authority: Authority, server: Issued) -> None:
    curved = authority.issue(
        "kind", hsa_id="SE1", common_name="s", organisation="O", hosts=[], key_kind=KeyKind.EC_P256
    )

    with pytest.raises(TlsSetupError, match=r"kind\.key: is"):
        server_context(certificate=server.certificate, key=curved.key, trusted=authority.ca)


def test_a_trust_file_without_certificates_is_refused(server: Issued) -> None:
    with pytest.raises(TlsSetupError, match=r"server\.key: holds no CERTIFICATE block; .* authority to trust"):
        server_context(certificate=server.certificate, key=server.key, trusted=server.key)


def test_trusting_nobody_is_refused(server: Issued) -> None:
    with pytest.raises(TlsSetupError, match="no trust file"):
        server_context(certificate=server.certificate, key=server.key, trusted=[])


def test_a_certificate_without_its_key_is_refused(authority: Authority, client: Issued) -> None:
    with pytest.raises(TlsSetupError, match="given together"):
        client_context(certificate=client.certificate, trusted=authority.ca)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_key_that_may_not_be_read_is_named(authority: Authority, server: Issued, tmp_path: Path) -> None:
    key = tmp_path / "closed.key"
    key.write_bytes(server.key.read_bytes())
    key.chmod(0)

    with pytest.raises(TlsSetupError, match=r"closed\.key: cannot be read: Permission denied"):
        server_context(certificate=server.certificate, key=key, trusted=authority.ca)


@pytest.mark.sockets
def test_a_bad_identity_leaves_the_context_as_it_was(
    listening: ssl.SSLContext, calling: ssl.SSLContext, server: Issued, client: Issued
) -> None:
    with pytest.raises(TlsSetupError):
        load_identity(calling, certificate=server.certificate, key=client.key)

    met = meet(listening, calling)
    assert met.peer is not None
    assert sender_from_certificate(met.peer).hsa_id == "SE1-C"


def test_no_file_name_or_message_shows_a_key(server: Issued, client: Issued, authority: Authority) -> None:
    with pytest.raises(TlsSetupError) as refused:
        server_context(certificate=server.certificate, key=client.key, trusted=authority.ca)

    assert client.key.read_text().splitlines()[1] not in str(refused.value)


@pytest.mark.parametrize("which", ["certificate", "key", "trusted"])
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(
    authority: Authority, client: Issued, tmp_path: Path, which: str
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    files = {"certificate": client.certificate, "key": client.key, "trusted": authority.ca} | {which: pipe}
    with pytest.raises(TlsSetupError, match=f"{pipe}: is no file"):
        server_context(certificate=files["certificate"], key=files["key"], trusted=files["trusted"])


@pytest.mark.sockets
class TestOwnDoor:
    """A platform that calls its own listener is answered by nobody else."""

    def test_whoever_shows_this_very_certificate_is_trusted_by_whatever_name(
        self, authority: Authority, server: Issued
    ) -> None:
        listening = server_context(certificate=server.certificate, key=server.key, trusted=authority.ca)
        calling = own_door_context(certificate=server.certificate, key=server.key)
        assert meet(listening, calling, host="nobody.test").client_error is None

    def test_another_certificate_of_the_same_authority_is_not(
        self, authority: Authority, server: Issued, client: Issued
    ) -> None:
        listening = server_context(certificate=client.certificate, key=client.key, trusted=authority.ca)
        calling = own_door_context(certificate=server.certificate, key=server.key)
        assert "certificate verify failed" in str(meet(listening, calling, host="localhost").client_error)
