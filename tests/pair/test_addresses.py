"""A platform with every door on an address of IPv6."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.pair.consumer import KS, Identity, get_diagnosis, http_post, read_answer, tls_connection
from tests.pair.standalone import Standalone, free_port, serving, write_settings
from tests.support import HAS_IPV6, Pair, run_rivta

pytestmark = pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")


@pytest.fixture(scope="module")
def doors() -> dict[str, str]:
    return {name: f"[::1]:{free_port()}" for name in ("https", "http", "admin", "status", "tak")}


@pytest.fixture(scope="module")
def platform(pair: Pair, doors: dict[str, str], short_folder: Path) -> Iterator[Standalone]:
    written = write_settings(pair, short_folder / "v6")
    text = written.config.read_text()
    head, _, rest = text.partition("[listen]\n")
    _, _, tail = rest.partition("\n[")
    listen = "".join(f'{name} = "{address}"\n' for name, address in doors.items())
    written.config.write_text(f"{head}[listen]\n{listen}\n[{tail}")
    with serving(written) as serving_platform:
        yield serving_platform


def test_a_call_by_the_address_itself_is_answered(pair: Pair, platform: Standalone, doors: dict[str, str]) -> None:
    context = Identity.of(pair, "npo").context()
    with tls_connection(f"https://{doors['https']}/vp", context, seconds=10) as connection:
        connection.sendall(http_post(get_diagnosis(KS)))
        assert read_answer(connection).status == 200


def test_every_other_door_is_open_there(platform: Standalone, doors: dict[str, str]) -> None:
    assert (
        requests.get(f"http://{doors['http']}/vp?wsdl", timeout=5).status_code == 500
    )  # the list of WSDLs, as the incumbent has it
    assert requests.get(f"http://{doors['admin']}/health/live", timeout=5).status_code == 200
    assert requests.get(f"http://{doors['status']}/status", timeout=5).json()["ServiceStatus"] == "Started"
    tak = json.loads((platform.home / "endpoints.json").read_text())["platforms"]["alone"]["tak"]
    assert tak.startswith(f"http://{doors['tak']}/")
    assert b"definitions" in requests.get(f"{tak}/SokVagvalsInfo/v2?wsdl", timeout=5).content


def test_commands_find_it_there(platform: Standalone) -> None:
    status = run_rivta("status", "--json", home=platform.home)
    assert json.loads(status.stdout)["state"] == "ready", status.stderr
