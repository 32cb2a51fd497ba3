"""The process of the stub producers, as the supervisor starts it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from zeep import Client
from zeep.transports import Transport

from producers_stub.server import ADMIN
from producers_stub.world import World
from tests.support import CHECKOUT

from .conftest import TOKEN
from .test_front import XML, ask

pytestmark = pytest.mark.sockets


@pytest.fixture
def home(issued: Path) -> Path:
    """A home whose certificates are the test CA's."""
    home = issued.parent
    token = home / "admin.token"
    token.write_text(TOKEN)
    return home


def start(home: Path, listeners: dict[str, socket.socket], ready_fd: int, log: Path) -> subprocess.Popen[bytes]:
    listen = [text for name, one in listeners.items() for text in ("--listen", f"{name}={one.fileno()}")]
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "rivta", "producers", "--home", str(home), *listen, "--ready-fd", str(ready_fd)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT / "platform"), str(CHECKOUT)])},
            pass_fds=[*(one.fileno() for one in listeners.values()), ready_fd],
            stdout=output,
            stderr=output,
        )


def test_the_process_serves_on_the_sockets_it_was_given_until_it_is_told_to_stop(home: Path, tmp_path: Path) -> None:
    """Asked by zeep, which reads the WSDL from the producer itself and so proves that it fits the answers."""
    names = (ADMIN, *(producer.name for producer in World.load().producers))
    listeners = {name: socket.create_server(("127.0.0.1", 0), backlog=16) for name in names}
    read_end, write_end = os.pipe()
    process = start(home, listeners, write_end, tmp_path / "log")
    os.close(write_end)
    try:
        assert os.read(read_end, 100) == b"ready\n", (tmp_path / "log").read_text()

        admin = requests.get(f"http://127.0.0.1:{listeners[ADMIN].getsockname()[1]}/health/ready", timeout=5)
        diagnoses = ask_by_zeep(listeners["takecare-ks"].getsockname()[1], home / "certs")

        provoked = listeners["provoke"].getsockname()[1]

        assert admin.json() == {"status": "ok"}
        assert [one.diagnosisBody.diagnosisCode.code for one in diagnoses] == ["I48.0", "I10.9", "I50.9", "I26.9"]
        assert post(provoked, "SE2321000016-EMPTY", home / "certs").content == b""
        assert post(provoked, "SE2321000016-FAULT", home / "certs").status_code == 500
        with pytest.raises(requests.ConnectionError):
            post(provoked, "SE2321000016-CLOSE", home / "certs")
        with pytest.raises(requests.ReadTimeout):
            post(provoked, "SE2321000016-SLOW", home / "certs", seconds=0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert "191212121212" not in (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
        os.close(read_end)
        for listener in listeners.values():
            listener.close()


def caller(certs: Path) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a CA bundle of the environment would win over `verify`
    session.cert = (str(certs / "issued" / "caller.pem"), str(certs / "issued" / "caller.key"))
    session.verify = str(certs / "ca.pem")
    return session


def post(port: int, address: str, certs: Path, *, seconds: float = 5) -> requests.Response:
    with caller(certs) as session:
        return session.post(f"https://localhost:{port}/", data=ask(address), headers=XML, timeout=seconds)


def ask_by_zeep(port: int, certs: Path) -> list[Any]:
    with caller(certs) as session:
        wsdl = f"https://localhost:{port}/clinicalprocess/healthcond/description/GetDiagnosis/2/rivtabp21?wsdl"
        client = Client(wsdl, transport=Transport(session=session))
        answer = client.service.GetDiagnosis(
            patientId={"id": "191212121212", "type": "1.2.752.129.2.1.3.1"},
            _soapheaders={"LogicalAddress": "SE2321000016-KS"},
        )
        assert answer.result.resultCode == "OK"
        return list(answer.diagnosis)
