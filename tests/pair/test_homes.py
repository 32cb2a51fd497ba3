"""Pairs and platforms beside each other, and from start to stop and start again."""

import json
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.pair.consumer import (
    CORRELATION_ID,
    KS,
    Admin,
    Consumer,
    Identity,
    consumer,
    document_ids,
    get_diagnosis,
    http_post,
    read_answer,
    tls_connection,
)
from tests.pair.standalone import Standalone, serving, write_settings
from tests.support import Pair, run_rivta, until


def test_two_pairs_carry_calls_side_by_side(npo: Consumer, own_pair: Pair) -> None:
    with consumer(own_pair, "npo") as other:
        for one in (npo, other, npo, other):
            assert document_ids(one.call(get_diagnosis(KS)).content)


def test_a_pair_keeps_to_the_ports_from_its_port_base(own_pair: Pair) -> None:
    platforms = own_pair.endpoints["platforms"]
    base = urlsplit(platforms["national"]["https"]).port - 10
    ports = {name: (urlsplit(one["https"]).port, urlsplit(one["admin"]).port) for name, one in platforms.items()}
    assert ports == {"national": (base + 10, base + 12), "regional": (base + 20, base + 22)}
    assert urlsplit(own_pair.endpoints["stubs"]).port == base + 30
    assert [urlsplit(producer["url"]).port for producer in own_pair.endpoints["producers"]] == [
        base + 31 + number for number in range(len(own_pair.endpoints["producers"]))
    ]


def test_a_certificate_of_one_pair_opens_no_other(npo: Consumer, own_pair: Pair) -> None:
    foreign = Identity.of(own_pair, "npo")
    context = Identity(foreign.cert, foreign.key, npo.identity.ca).context()
    with pytest.raises(ssl.SSLError), tls_connection(npo.url, context) as connection:
        connection.sendall(http_post(get_diagnosis(KS)))
        read_answer(connection)


def test_an_admin_token_of_one_pair_opens_no_other(pair: Pair, own_pair: Pair) -> None:
    mixed = Pair(home=own_pair.home, endpoints=pair.endpoints)
    with pytest.raises(AssertionError, match="401"):
        Admin(mixed).get("national", "/status")


def test_a_home_that_cannot_be_written_is_one_line() -> None:
    # Nobody may make a folder there, not even root.
    done = run_rivta("up", "--home", "/sys/rivta", "--port-base", "auto", "--detach")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("rivta: /sys/rivta cannot be made: ")
    assert "--home" in done.stderr


@dataclass(frozen=True, slots=True)
class Restarted:
    """A platform alone that carried a slow call while it was stopped, twice, and that now runs again."""

    platform: Standalone
    answer: requests.Response
    """To the slow call."""
    downs: list[str]
    """What `rivta down` printed, each time."""


@pytest.fixture(scope="module")
def restarted(pair: Pair, short_folder: Path) -> Iterator[Restarted]:
    platform = write_settings(pair, short_folder / "again")
    downs = []
    with serving(platform), closing(Consumer(platform.url, Identity.of(pair, "npo"))) as npo:
        Admin(pair).set_stub(KS, behaviour="slow", seconds=0.5, calls=1)
        with ThreadPoolExecutor() as pool:
            answering = pool.submit(npo.call, get_diagnosis(KS))
            until(lambda: Admin(pair).stub(KS)["calls_left"] is None)  # the producer has the call
            for _ in range(2):
                done = run_rivta("down", "--home", str(platform.home))
                assert done.returncode == 0, done.stderr
                downs.append(done.stdout.strip())
    provoke = next(producer["url"] for producer in pair.endpoints["producers"] if producer["name"] == "provoke")
    platform.config.write_text(platform.config.read_text().replace(provoke, ""))
    with serving(platform):
        yield Restarted(platform, answering.result(), downs)


def test_down_waits_for_the_calls_under_way(restarted: Restarted) -> None:
    assert document_ids(restarted.answer.content)


def test_down_twice_is_once(restarted: Restarted) -> None:
    assert [text.split(" in ")[0] for text in restarted.downs] == ["Stopped the pair", "No pair runs"]


def test_a_platform_that_is_started_again_has_its_call_log(restarted: Restarted) -> None:
    sent = restarted.answer.headers[CORRELATION_ID]
    home = ("--home", str(restarted.platform.home))
    found = run_rivta("log", "search", "--correlation-id", sent, "--json", *home).stdout.splitlines()
    assert [json.loads(line)["outcome"] for line in found] == ["routed"]


def test_a_platform_that_is_started_again_has_its_publication(restarted: Restarted, pair: Pair) -> None:
    assert Admin(restarted.platform.pair).get("alone", "/status")["table"]["publication"] == 1
    with closing(Consumer(restarted.platform.url, Identity.of(pair, "npo"))) as npo:
        assert document_ids(npo.call(get_diagnosis(KS)).content)


def test_a_producer_whose_url_the_new_settings_leave_empty_is_vp010(restarted: Restarted, pair: Pair) -> None:
    # A worker begins with the table it had; the keeper puts the one with the new settings in force at once.
    with closing(Consumer(restarted.platform.url, Identity.of(pair, "npo"))) as npo:
        until(lambda: npo.refused(get_diagnosis("SE2321000016-CLOSE")).code == "VP010")
        fault = npo.refused(get_diagnosis("SE2321000016-CLOSE"))
    assert fault.side == "Server"
    assert fault.detail.startswith("Physical Address field is empty in Service Producer for serviceNamespace: ")
