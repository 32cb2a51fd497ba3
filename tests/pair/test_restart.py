"""Keepers and workers are replaced under load: nobody notices."""

import json

from tests.pair.consumer import Admin, Identity, new_id, status_of
from tests.pair.load import Load
from tests.run.running import state
from tests.support import Pair, run_rivta, until


def pids(pair: Pair) -> dict[str, int]:
    return {one["name"]: one["pid"] for one in state(pair.home)["roles"] if one["name"] != "producers"}


def restarts(pair: Pair) -> dict[str, int]:
    """How often each role died and was started again; a test that kills may have come before."""
    return {one["name"]: one["restarts"] for one in status_of(pair.home)["roles"]}


def test_no_call_fails_while_every_process_of_both_platforms_is_replaced(own_pair: Pair) -> None:
    before, died = pids(own_pair), restarts(own_pair)
    prefix = new_id("restart")
    url, identity = own_pair.endpoints["platforms"]["national"]["https"], Identity.of(own_pair, "npo")
    with Load(url, identity, prefix=prefix, connections=6) as load:
        until(lambda: load.every_connection_called(2))
        done = run_rivta("restart", "--json", home=own_pair.home, timeout=120)
        ended = load.calls[-1].ended
        until(lambda: load.every_connection_called(2, since=ended))

    assert done.returncode == 0, done.stderr
    assert load.failed == []
    after = pids(own_pair)
    assert sorted(json.loads(done.stdout)["restarted"]) == sorted(after) == sorted(before)
    assert set(before.values()).isdisjoint(after.values())
    assert status_of(own_pair.home)["state"] == "ready"
    assert restarts(own_pair) == died
    expected = sorted(call.correlation_id for call in load.answered)
    until(lambda: sorted(Admin(own_pair).correlation_ids("national", prefix)) == expected)
