"""A platform behind real proxies, with the configuration that docs/operator.md tells to use."""

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rivta.run.toml import to_toml
from tests.pair.consumer import (
    CORRELATION_ID,
    JOURNAL,
    KS,
    NPO,
    Admin,
    Identity,
    get_diagnosis,
    http_post,
    new_id,
    read_answer,
    read_fault,
    tls_connection,
)
from tests.pair.standalone import Standalone, free_port, serving, write_settings
from tests.support import CHECKOUT, Pair, run_rivta, until

PROXY = "SE1-PROXY"
HEADER = "X-SSL-Client-Cert"


@dataclass(frozen=True, slots=True)
class Front:
    """A proxy in front of a platform."""

    url: str
    platform: Standalone
    name: str


@pytest.fixture(scope="module")
def identity(pair: Pair) -> Identity:
    """What the proxies show, to consumers and to the platform."""
    return Identity.issued(pair, "proxy", "--hsa-id", PROXY)


@pytest.fixture(scope="module")
def platform(pair: Pair, short_folder: Path) -> Iterator[Standalone]:
    written = write_settings(pair, short_folder / "proxied")
    settings = tomllib.loads(written.config.read_text())
    settings["proxies"] = {PROXY: {"certificate_header": HEADER}}
    settings["timeouts"]["producer_seconds"] = 10.0
    written.config.write_text(to_toml(settings))
    with serving(written):
        yield written


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def front(
    request: pytest.FixtureRequest, platform: Standalone, identity: Identity, short_folder: Path
) -> Iterator[Front]:
    name = request.param
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip(f"{name} is not on this machine")
    folder, port = short_folder / name, free_port()
    folder.mkdir()
    with running(name, program, folder, configuration(name, folder, platform, identity, port)) as log:
        until(lambda: is_open(port), seconds=10)
        yield Front(f"https://localhost:{port}/vp", platform, name)
    print(log.read_text())


def configuration(name: str, folder: Path, platform: Standalone, identity: Identity, port: int) -> Path:
    """The one in the manual, with files, ports and names of this test."""
    manual = (CHECKOUT / "docs" / "operator.md").read_text()
    (text,) = re.findall(rf"```{name}\n(.*?)```", manual, re.DOTALL)
    both = folder / "proxy-and-key.pem"
    both.write_bytes(Path(identity.cert).read_bytes() + Path(identity.key).read_bytes())
    for said, meant in (
        ("proxy-and-key.pem", str(both)),
        ("proxy.pem", identity.cert),
        ("proxy.key", identity.key),
        (" ca.pem", f" {identity.ca}"),
        ("platform.example.se:20010", f"127.0.0.1:{urlsplit(platform.url).port}"),
        ("platform.example.se", "localhost"),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("bind :443", f"bind 127.0.0.1:{port}"),
        ("http {", f"http {{ access_log off; client_body_temp_path {folder};"),
    ):
        text = text.replace(said, meant)
    file = folder / f"{name}.conf"
    file.write_text(text)
    return file


@contextlib.contextmanager
def running(name: str, program: str, folder: Path, file: Path) -> Iterator[Path]:
    log = folder / "log"
    user = "user root;" if os.getuid() == 0 else ""  # the folder of the test is nobody else's
    options = (
        ["-e", str(log), "-g", f"daemon off; pid {folder}/pid; {user}", "-c"] if name == "nginx" else ["-db", "-f"]
    )
    with log.open("ab") as output, subprocess.Popen([program, *options, file], stdout=output, stderr=output) as process:
        try:
            yield log
        finally:
            process.terminate()
            process.wait(10)


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def called(front: Front, identity: Identity, *headers: bytes) -> tuple[str, str | None]:
    """What became of a call through the proxy, and who the platform takes for its sender."""
    id = new_id("proxied")
    with tls_connection(front.url, identity.context()) as connection:
        connection.sendall(http_post(get_diagnosis(KS), f"{CORRELATION_ID}: {id}".encode(), *headers))
        answer = read_answer(connection)
    (record,) = until(lambda: Admin(front.platform.pair).records(id, "alone"))
    return "carried" if answer.status == 200 else read_fault(answer.body).code, record["sender"]


def test_the_client_of_the_proxy_is_the_sender(front: Front, pair: Pair) -> None:
    assert called(front, Identity.of(pair, "npo")) == ("carried", NPO)
    assert called(front, Identity.of(pair, "journal")) == ("VP007", JOURNAL)


@pytest.mark.parametrize("name", [HEADER, HEADER.upper(), "X_SSL_Client_Cert", "X-SSL_Client-Cert"])
def test_a_client_cannot_hand_on_a_certificate_itself(front: Front, pair: Pair, name: str) -> None:
    """In another spelling it is gone, or makes the call nobody's: with two of them nobody can tell."""
    stolen = "".join(Path(Identity.of(pair, "npo").cert).read_text().split("\n"))
    outcome = called(front, Identity.of(pair, "journal"), f"{name}: {stolen}".encode())
    assert outcome in [("VP007", JOURNAL), ("VP002", None)]
    if name.upper() == HEADER.upper():
        assert outcome == ("VP007", JOURNAL)


def test_a_client_without_a_certificate_does_not_get_to_the_platform(front: Front, pair: Pair) -> None:
    context = ssl.create_default_context(cafile=pair.endpoints["ca"])
    prefix = new_id("nobody")
    with contextlib.suppress(OSError), tls_connection(front.url, context) as connection:
        connection.sendall(http_post(get_diagnosis(KS), f"{CORRELATION_ID}: {prefix}-1".encode()))
        assert read_answer(connection).status in (0, 400)
    with tls_connection(front.url, Identity.of(pair, "npo").context()) as connection:
        connection.sendall(http_post(get_diagnosis(KS), f"{CORRELATION_ID}: {prefix}-2".encode()))
        assert read_answer(connection).status == 200
    until(lambda: Admin(front.platform.pair).correlation_ids("alone", prefix) == [f"{prefix}-2"])


def test_a_client_whose_certificate_is_revoked_is_refused_by_the_platform(front: Front, pair: Pair) -> None:
    lost = Identity.issued(pair, f"lost-{front.name}", "--hsa-id", NPO)
    assert called(front, lost) == ("carried", NPO)
    assert run_rivta("cert", "revoke", f"lost-{front.name}", "--home", str(pair.home)).returncode == 0
    until(lambda: called(front, lost)[0] == "VP002")


def test_many_calls_share_the_proxys_connections_and_stay_apart(front: Front, pair: Pair) -> None:
    npo, journal = Identity.of(pair, "npo"), Identity.of(pair, "journal")
    with tls_connection(front.url, npo.context()) as one, tls_connection(front.url, journal.context()) as other:
        for _ in range(5):
            for connection, status in ((one, 200), (other, 500)):
                connection.sendall(http_post(get_diagnosis(KS)))
                assert read_answer(connection).status == status
