"""Files of revocation lists that are replaced: a bad list never takes the place of a good one."""

import logging
import os
import re
from datetime import timedelta

import pytest

from rivta.tls.authority import Authority
from rivta.tls.revocation import RevocationError
from rivta.tls.revocation_files import Refresh, RevocationFile, RevocationFiles
from tests.tls.lists import NOW, SPOILED, Spoil, issue, sender_of, write_lists


@pytest.mark.parametrize(("spoil", "says"), SPOILED)
def test_a_bad_file_leaves_the_last_good_list_in_force(
    own: Authority, other_authority: Authority, spoil: Spoil, says: str
) -> None:
    bad = issue(own, "bad")
    own.revoke("bad")
    sender = sender_of(bad)
    watched = watch(own)
    kept_crl, kept_ca = own.crl_file.read_bytes(), own.ca.read_bytes()

    spoil(own, other_authority)

    assert watched.refresh() is Refresh.KEPT
    assert watched.current.is_revoked(sender.issuer_key, sender.serial)
    assert watched.problem is not None
    own.crl_file.write_bytes(kept_crl)
    own.ca.write_bytes(kept_ca)
    assert watched.refresh() is Refresh.RELOADED
    assert watched.problem is None


def test_a_new_revocation_is_seen_at_the_next_look(own: Authority) -> None:
    issued = issue(own, "x")
    sender = sender_of(issued)
    watched = watch(own)
    assert watched.refresh() is Refresh.UNCHANGED
    assert not watched.current.is_revoked(sender.issuer_key, sender.serial)

    own.revoke("x")

    assert watched.refresh() is Refresh.RELOADED
    assert watched.current.is_revoked(sender.issuer_key, sender.serial)
    assert watched.refresh() is Refresh.UNCHANGED


def test_a_list_may_come_later_and_until_then_nothing_is_known(own: Authority) -> None:
    key = sender_of(issue(own, "x")).issuer_key
    later = own.crl_file.read_bytes()
    own.crl_file.unlink()

    watched = watch(own)

    assert "cannot be read" in (watched.problem or "")
    words = watched.current.doubt(key, NOW)
    assert words.startswith("there is no readable revocation list of CN=rivta Development Function CA ")
    assert words in watched.current.doubts(NOW)
    own.crl_file.write_bytes(later)
    assert watched.refresh() is Refresh.RELOADED
    assert (watched.problem, watched.current.doubt(key, NOW)) == (None, "")


def test_watching_needs_readable_authorities(own: Authority) -> None:
    own.ca.write_bytes(b"")

    with pytest.raises(RevocationError, match=r"ca\.pem: no readable certificates"):
        watch(own)


@pytest.mark.parametrize(
    ("number", "minutes", "says"),
    [
        (4, 3, r"\(number 4, 2026-11-24 12:03:00 UTC\) is older than the one in force \(number 5, 2026-11-24 12:00"),
        (6, -60, r"\(number 6, 2026-11-24 11:00:00 UTC\) is older than the one in force"),
    ],
    ids=["number", "thisUpdate"],
)
def test_a_list_older_than_the_one_in_force_brings_nobody_back(
    own: Authority, number: int, minutes: int, says: str
) -> None:
    issued = issue(own, "x")
    sender = sender_of(issued)
    write_lists(own, ("issuing", 5, NOW, 30, issued.serial), ("root", 2, NOW, 30))
    watched = watch(own)

    write_lists(own, ("issuing", number, NOW + timedelta(minutes=minutes), 30), ("root", 2, NOW, 30))

    assert watched.refresh() is Refresh.KEPT
    assert watched.current.is_revoked(sender.issuer_key, sender.serial)
    assert re.search(says, watched.problem or "")


def test_a_list_that_vanishes_from_the_file_stays_in_force(own: Authority) -> None:
    issued = issue(own, "x")
    sender = sender_of(issued)
    own.revoke("x")
    watched = watch(own)

    write_lists(own, ("root", 9, NOW, 30))

    assert watched.refresh() is Refresh.KEPT
    assert watched.current.is_revoked(sender.issuer_key, sender.serial)
    assert "is gone from it" in (watched.problem or "")


def test_one_may_vanish_with_its_authority(own: Authority) -> None:
    watched = watch(own)

    first, end, _ = own.ca.read_text().partition("-----END CERTIFICATE-----\n")
    own.ca.write_text(first + end)
    write_lists(own, ("issuing", 9, NOW, 30))

    assert watched.refresh() is Refresh.RELOADED
    assert len(list(watched.current)) == 1


def test_a_list_of_the_future_counts_once_its_time_has_come(own: Authority) -> None:
    now = [NOW]
    watched = RevocationFile(own.crl_file, own.ca, clock=lambda: now[0])
    issued = issue(own, "x")
    sender = sender_of(issued)

    write_lists(own, ("issuing", 5, NOW + timedelta(hours=1), 30, issued.serial), ("root", 2, NOW, 30))

    assert watched.refresh() is Refresh.KEPT
    assert "is of 2026-11-24 13:00 UTC, which is yet to come" in (watched.problem or "")
    assert watched.refresh() is Refresh.UNCHANGED  # not read over and over
    now[0] = NOW + timedelta(minutes=56)  # clocks may differ by five minutes
    assert watched.refresh() is Refresh.RELOADED
    assert watched.current.is_revoked(sender.issuer_key, sender.serial)


def watch(own: Authority) -> RevocationFile:
    return RevocationFile(own.crl_file, own.ca, clock=lambda: NOW)


async def test_what_is_wrong_with_a_file_is_said_once(own: Authority, caplog: pytest.LogCaptureFixture) -> None:
    issued = sender_of(issue(own, "x"))
    good = own.crl_file.read_bytes()
    files = RevocationFiles([watch(own)])
    assert await files.refresh() == []

    own.crl_file.write_bytes(b"bad")
    for _ in range(2):
        assert await files.refresh() == []
    own.crl_file.write_bytes(good)
    own.revoke("x")

    assert [file.current.path for file in await files.refresh()] == [own.crl_file]
    assert files.is_revoked(issued.issuer_key, issued.serial)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "the revocation list in force stays" in caplog.text


def test_a_pipe_in_its_place_is_not_waited_for(own: Authority) -> None:
    """Reading it would wait for a writer, and no list would be looked at any more."""
    watched = watch(own)
    own.crl_file.unlink()
    os.mkfifo(own.crl_file)
    assert watched.refresh() is Refresh.KEPT
    assert "is a pipe" in (watched.problem or "")
