"""Who may connect at all: each wrong certificate is refused in the handshake, and a revoked one within seconds."""

import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from rivta.tls.authority import Authority
from tests.pair.consumer import (
    KS,
    NPO,
    Consumer,
    Identity,
    document_ids,
    get_diagnosis,
    http_post,
    read_answer,
    read_fault,
    tls_connection,
)
from tests.support import Pair, run_rivta, until

REVOKED_SECONDS = 3.0
"""Within 2 seconds, and something for a machine that is busy with the tests."""


@pytest.fixture(autouse=True)
def _a_good_call_works_afterwards(npo: Consumer) -> Iterator[None]:
    yield
    assert document_ids(npo.call(get_diagnosis(KS)).content)


def refusal(url: str, context: ssl.SSLContext) -> str:
    """What TLS says to a client that connects with `context` and calls."""
    with pytest.raises(ssl.SSLError) as refused, tls_connection(url, context) as connection:
        # In TLS 1.3 a client is done with its handshake before the server has looked at its certificate.
        connection.sendall(http_post(get_diagnosis()))
        read_answer(connection)
    return str(refused.value.reason)


def without_certificate(pair: Pair, _: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=pair.endpoints["ca"])


def of_an_unknown_authority(pair: Pair, folder: Path) -> ssl.SSLContext:
    foreign = Authority.create(folder / "certs").issue(
        "npo", hsa_id=NPO, common_name="npo", organisation="Another", hosts=["localhost"]
    )
    return Identity(str(foreign.certificate), str(foreign.key), pair.endpoints["ca"]).context()


def expired(pair: Pair, _: Path) -> ssl.SSLContext:
    old = ("--not-before", "2024-01-01", "--not-after", "2024-12-31")
    return Identity.issued(pair, "expired", "--hsa-id", NPO, *old).context()


def of_old_tls(pair: Pair, _: Path) -> ssl.SSLContext:
    context = Identity.of(pair, "npo").context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.parametrize(
    ("client", "alert"),
    [
        (without_certificate, "CERTIFICATE_REQUIRED"),
        (of_an_unknown_authority, "UNKNOWN_CA"),
        (expired, "CERTIFICATE_EXPIRED"),
        (of_old_tls, "PROTOCOL_VERSION"),
    ],
)
def test_a_client_that_may_not_connect_is_told_why_by_tls(
    npo: Consumer, pair: Pair, tmp_path: Path, client: Callable[[Pair, Path], ssl.SSLContext], alert: str
) -> None:
    assert refusal(npo.url, client(pair, tmp_path)).endswith(alert)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken(npo: Consumer, version: ssl.TLSVersion) -> None:
    context = npo.identity.context()
    context.minimum_version = context.maximum_version = version
    with tls_connection(npo.url, context) as connection:
        connection.sendall(http_post(get_diagnosis(KS)))
        assert document_ids(read_answer(connection).body)


def test_a_revoked_certificate_is_refused_within_seconds_on_its_open_connections_too(npo: Consumer, pair: Pair) -> None:
    lost = Identity.issued(pair, "lost", "--hsa-id", NPO).context()
    with ExitStack() as stack:
        busy, idle = ([stack.enter_context(tls_connection(npo.url, lost)) for _ in range(4)] for _ in range(2))
        assert [verdict_on(connection) for connection in busy + idle] == ["carried"] * 8
        assert (
            run_rivta("cert", "revoke", "lost", "--reason", "keyCompromise", "--home", str(pair.home)).returncode == 0
        )
        began = time.monotonic()
        for connection in busy:
            until(partial(is_refused, connection))
        for connection in idle:
            assert connection.recv(1) == b""
        cut_after = time.monotonic() - began
    last_carried = began
    refused_in_a_row = 0
    while refused_in_a_row < 10:  # each new connection is accepted by either of the workers
        with tls_connection(npo.url, lost) as connection:
            verdict = verdict_on(connection)
        refused_in_a_row = 0 if verdict == "carried" else refused_in_a_row + 1
        last_carried = time.monotonic() if verdict == "carried" else last_carried
    assert verdict == f"VP002 The client certificate of {NPO} is revoked"
    print(f"revoked: open connections ended after {cut_after:.2f} s, new ones after {last_carried - began:.2f} s")
    assert max(cut_after, last_carried - began) < REVOKED_SECONDS


def is_refused(connection: ssl.SSLSocket) -> bool:
    return verdict_on(connection) != "carried"


def verdict_on(connection: ssl.SSLSocket) -> str:
    """What becomes of a call on a connection: `carried`, the fault's code and detail, or `closed`."""
    try:
        connection.sendall(http_post(get_diagnosis(KS)))
        answer = read_answer(connection)
    except OSError:
        return "closed"
    if answer.status == 500:
        fault = read_fault(answer.body)
        return f"{fault.code} {fault.detail}"
    return {200: "carried", 0: "closed"}[answer.status]


def test_a_renewed_certificate_of_a_platform_is_shown_without_a_restart(npo: Consumer, pair: Pair) -> None:
    url, identity = pair.endpoints["platforms"]["national"]["https"], Identity.of(pair, "npo")

    def shown() -> str:
        with tls_connection(url, identity.context()) as connection:
            certificate = connection.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])

    before = shown()
    assert run_rivta("cert", "renew", "national", "--home", str(pair.home)).returncode == 0
    until(lambda: before not in {shown() for _ in range(8)})  # whichever worker answers
    assert document_ids(npo.call(get_diagnosis(KS)).content)
