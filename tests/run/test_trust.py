"""What a platform knows of revocation over all its trust files, and how its own certificate is replaced."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from rivta.run.settings import Settings, Tls
from rivta.run.trust import ListenerTls, OwnIdentity, RevocationWatch
from rivta.tls.authority import Authority, Issued
from rivta.tls.contexts import server_context
from rivta.tls.profiles import KeyKind, Profiles
from rivta.tls.revocation_files import RevocationFile
from rivta.tls.sender import Sender, sender_from_certificate

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=31)


@pytest.fixture
def now() -> list[datetime]:
    """The clock: its last reading counts."""
    return [NOW]


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return authority(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return authority(tmp_path / "theirs")


def authority(folder: Path) -> Authority:
    shipped = Profiles.shipped()
    quick = Profiles(
        root=replace(shipped.root, key=KeyKind.EC_P256),
        issuing=replace(shipped.issuing, key=KeyKind.EC_P256),
        function=replace(shipped.function, key=KeyKind.EC_P256),
    )
    return Authority.create(folder, profiles=quick, clock=lambda: NOW)


def issue(at: Authority, name: str) -> Issued:
    return at.issue(name, hsa_id=f"SE1-{name}", common_name=name, organisation="O", hosts=["localhost"])


def sender(at: Authority, name: str) -> Sender:
    pem = issue(at, name).certificate.read_bytes()
    return sender_from_certificate(x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER))


def watch(now: list[datetime], *files: tuple[Authority, bool], accepts_doubt: bool = False) -> RevocationWatch:
    """What is watched for these authorities, each with its list or without."""
    tls = Tls(
        certificate=Path("own.pem"),
        key=Path("own.key"),
        trusted=tuple(one.ca for one, _ in files),
        crl=tuple(one.crl_file if listed else None for one, listed in files),
    )
    return RevocationWatch.of(tls, clock=lambda: now[-1], accepts_doubt=accepts_doubt)


def test_only_systems_of_the_authority_whose_list_is_overdue_are_in_doubt(
    now: list[datetime], ours: Authority, theirs: Authority
) -> None:
    revocations = watch(now, (ours, True), (theirs, False))
    assert [revocations.doubt(sender(one, "x")) for one in (ours, theirs)] == ["", ""]
    assert revocations.problem() is None

    now.append(LATER)

    assert "is overdue since 2026-12-24 12:00 UTC" in revocations.doubt(sender(ours, "x"))
    assert revocations.doubt(sender(theirs, "x")) == ""
    assert "is overdue since" in (revocations.problem() or "")


def test_a_missing_list_is_a_doubt_until_it_comes(now: list[datetime], ours: Authority) -> None:
    content = ours.crl_file.read_bytes()
    one = sender(ours, "x")
    ours.crl_file.unlink()
    revocations = watch(now, (ours, True))
    assert revocations.doubt(one).startswith("there is no readable revocation list of CN=rivta Development Function CA")

    ours.crl_file.write_bytes(content)
    asyncio.run(revocations.refresh())

    assert (revocations.doubt(one), revocations.problem()) == ("", None)


def test_who_accepts_doubt_still_refuses_the_revoked(now: list[datetime], ours: Authority) -> None:
    bad, good = sender(ours, "bad"), sender(ours, "good")
    ours.revoke("bad")
    now.append(LATER)

    revocations = watch(now, (ours, True), accepts_doubt=True)

    assert (revocations.doubt(good), revocations.is_revoked(good)) == ("", False)
    assert revocations.is_revoked(bad)
    assert "is overdue since" in (revocations.problem() or "")  # readiness says it all the same


def test_an_authority_in_no_trust_file_is_in_doubt_where_lists_are_watched(
    now: list[datetime], ours: Authority, theirs: Authority
) -> None:
    stranger = sender(theirs, "x")
    assert watch(now, (ours, True)).doubt(stranger) == f"there is no revocation list of {stranger.issuer}"
    assert watch(now, (ours, False)).doubt(stranger) == ""


def test_one_file_that_can_tell_is_enough(now: list[datetime], ours: Authority, tmp_path: Path) -> None:
    tls = Tls(
        certificate=Path("own.pem"),
        key=Path("own.key"),
        trusted=(ours.ca, ours.ca),
        crl=(ours.crl_file, tmp_path / "missing.pem"),
    )
    revocations = RevocationWatch.of(tls, clock=lambda: now[-1], accepts_doubt=False)

    assert revocations.doubt(sender(ours, "x")) == ""
    assert "missing.pem" in (revocations.problem() or "")


def test_a_changed_list_cuts_who_stands_in_it(now: list[datetime], ours: Authority) -> None:
    bad, good = sender(ours, "bad"), sender(ours, "good")
    revocations = watch(now, (ours, True))
    cut: list[list[bool]] = []

    def drop(is_unwelcome: Callable[[Sender], bool]) -> int:
        cut.append([is_unwelcome(one) for one in (bad, good)])
        return 1

    asyncio.run(revocations.refresh(drop))
    assert cut == []
    ours.revoke("bad")
    asyncio.run(revocations.refresh(drop))
    asyncio.run(revocations.refresh(drop))
    assert cut == [[True, False]]


def test_a_list_that_cannot_be_used_is_logged_once(
    now: list[datetime], ours: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    revocations = watch(now, (ours, True))
    ours.crl_file.write_bytes(b"")

    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            asyncio.run(revocations.refresh())

    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("the revocation list in force stays: ")


def test_a_renewed_certificate_is_loaded_and_a_damaged_one_is_not(
    ours: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    issued = issue(ours, "platform")
    context = server_context(certificate=issued.certificate, key=issued.key, trusted=ours.ca)
    own = OwnIdentity(issued.certificate, issued.key, (context,))

    with caplog.at_level(logging.INFO):
        asyncio.run(own.refresh())
        ours.renew("platform")
        asyncio.run(own.refresh())
        issued.key.write_bytes(b"")
        asyncio.run(own.refresh())
        asyncio.run(own.refresh())

    assert [message.partition(":")[0] for message in caplog.messages] == [
        f"certificate {issued.certificate} read again",
        "the certificate in use stays",
    ]


@pytest.fixture
def listener_tls(ours: Authority, tmp_path: Path) -> tuple[ListenerTls, Path]:
    """What a listener shows and trusts, and the file with whom it trusts."""
    issued, trusted = issue(ours, "platform"), tmp_path / "trusted.pem"
    trusted.write_bytes(ours.ca.read_bytes())
    tls = Tls(certificate=issued.certificate, key=issued.key, trusted=(trusted,))
    return ListenerTls(tls, old_tls=False), trusted


def test_an_authority_more_is_trusted_by_another_context(
    listener_tls: tuple[ListenerTls, Path], theirs: Authority
) -> None:
    made, trusted = listener_tls
    before = made.context
    assert not made.refresh()
    trusted.write_bytes(trusted.read_bytes() + theirs.ca.read_bytes())
    assert made.refresh()
    assert made.context is not before
    assert len(made.context.get_ca_certs()) > len(before.get_ca_certs())
    assert not made.distrusts(sender(theirs, "any"))


def test_of_an_authority_less_the_systems_are_distrusted_and_nobody_elses(
    listener_tls: tuple[ListenerTls, Path], ours: Authority, theirs: Authority
) -> None:
    made, trusted = listener_tls
    both = trusted.read_bytes() + theirs.ca.read_bytes()
    trusted.write_bytes(both)
    made.refresh()
    trusted.write_bytes(ours.ca.read_bytes())
    assert made.refresh()
    assert made.distrusts(sender(theirs, "any"))
    assert not made.distrusts(sender(ours, "any"))
    trusted.write_bytes(both)
    assert made.refresh()
    assert not made.distrusts(sender(theirs, "any"))


def test_a_key_that_everybody_may_read_is_told_of(ours: Authority, caplog: pytest.LogCaptureFixture) -> None:
    issued = issue(ours, "platform")
    tls = Tls(certificate=issued.certificate, key=issued.key, trusted=(ours.ca,))
    for mode, told in ((0o600, 0), (0o640, 0), (0o644, 1)):
        issued.key.chmod(mode)
        caplog.clear()
        ListenerTls(tls, old_tls=False)
        assert len(caplog.messages) == told


@pytest.mark.parametrize("left", [0.0, 0.3, 0.9], ids=["empty", "within the first", "within the last"])
def test_a_trust_file_that_is_not_whole_changes_nothing_and_is_told_once(
    listener_tls: tuple[ListenerTls, Path], left: float, caplog: pytest.LogCaptureFixture
) -> None:
    made, trusted = listener_tls
    before, whole = made.context, trusted.read_bytes()
    trusted.write_bytes(whole[: int(left * len(whole))])
    with caplog.at_level(logging.ERROR):
        assert [made.refresh() for _ in range(3)] == [False] * 3
    assert made.context is before
    (told,) = caplog.messages
    assert told.startswith(f"the certificate and the trust in use stay: {trusted}: ")


def test_an_authority_without_a_list_that_comes_later_is_known_to_have_none(
    now: list[datetime], ours: Authority, theirs: Authority, tmp_path: Path
) -> None:
    revocations = RevocationWatch(
        [RevocationFile(ours.crl_file, ours.ca, clock=lambda: now[-1])],
        unlisted=[theirs.ca],
        clock=lambda: now[-1],
        accepts_doubt=False,
    )
    late = authority(tmp_path / "late")
    assert "no revocation list" in revocations.doubt(sender(late, "x"))
    theirs.ca.write_bytes(theirs.ca.read_bytes() + late.ca.read_bytes())
    asyncio.run(revocations.refresh())
    assert revocations.doubt(sender(late, "x")) == ""


def test_an_empty_text_in_the_settings_is_a_trust_file_without_a_list(tmp_path: Path) -> None:
    content = {
        "platform": {"hsa_id": "SE1", "name": "X"},
        "listen": {"https": "127.0.0.1:20010"},
        "tls": {"certificate": "a.pem", "key": "a.key", "trusted": ["ca.pem", "other.pem"], "crl": ["crl.pem", ""]},
    }
    assert Settings.parse(content, tmp_path / "platform.toml").tls.crl == (tmp_path / "crl.pem", None)
