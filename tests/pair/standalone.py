"""Settings and tables of a platform that stands alone, with the shared pair's producers behind it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rivta.run.toml import to_toml
from tests.pair.consumer import KS, NATIONAL, NPO, Identity
from tests.support import Pair, logs_of, until

HSA_ID = "SE165565594230-ALONE"
MAX_BYTES = 200_000
HEADER_SECONDS = 1.0
PRODUCER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Standalone:
    """A platform under `rivta serve`."""

    home: Path
    config: Path
    url: str
    pair: Pair
    """As the admin API and the commands see it."""


def write_settings(pair: Pair, home: Path) -> Standalone:
    """A platform with short times, low limits, rejected answers and a durable call log, ready to be served."""
    home.mkdir(mode=0o700)
    own = Identity.issued(pair, "alone", "--hsa-id", HSA_ID)
    https, http, admin, status = free_port(), free_port(), free_port(), free_port()
    url = f"https://localhost:{https}/vp"
    producers = {producer["name"]: producer["url"] for producer in pair.endpoints["producers"]}
    config = home / "platform.toml"
    config.write_text(
        to_toml(
            {
                "platform": {"hsa_id": HSA_ID, "name": "ALONE", "short_name": "alone"},
                "listen": {
                    "https": f"127.0.0.1:{https}",
                    "http": f"127.0.0.1:{http}",
                    "url": url,
                    "admin": f"127.0.0.1:{admin}",
                    "status": f"127.0.0.1:{status}",
                },
                "tls": {
                    "certificate": own.cert,
                    "key": own.key,
                    "trusted": [own.ca],
                    "crl": [pair.endpoints["crl"]],
                },
                "tables": {"draft": home / "routing"},
                "variables": {"ks": producers["takecare-ks"], "provoke": producers["provoke"]},
                "validation": {"response": "reject"},
                "limits": {"max_body_bytes": MAX_BYTES, "header_seconds": HEADER_SECONDS},
                "timeouts": {"producer_seconds": PRODUCER_SECONDS},
                "retry": {"attempts": 0},
                "original_consumer": {"allowed": [NATIONAL]},
                "call_log": {"mode": "durable", "payload": True},
                "compat": {"status_pages": True},
            }
        )
    )
    _write_tables(home / "routing")
    endpoints = {
        "platforms": {
            "alone": {
                "https": url,
                "http": f"http://localhost:{http}/vp",
                "admin": f"http://127.0.0.1:{admin}",
                "status": f"http://127.0.0.1:{status}",
            }
        },
        "identities": pair.endpoints["identities"],
        "ca": own.ca,
    }
    return Standalone(home=home, config=config, url=url, pair=Pair(home=home, endpoints=endpoints))


@contextmanager
def serving(platform: Standalone) -> Iterator[Standalone]:
    """`rivta serve` from ready to stopped by SIGTERM, as an operating system's service manager does it."""
    home = platform.home
    log = home / "serve.log"
    command = [sys.executable, "-m", "rivta", "serve", "--config", str(platform.config), "--home", str(home)]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=os.environ) as process:
        try:
            until(lambda: (home / "endpoints.json").exists() or process.poll() is not None, seconds=60)
            assert process.poll() is None, log.read_text() + logs_of(home)
            yield platform
        finally:
            process.terminate()
            process.wait(60)


def _write_tables(folder: Path) -> None:
    folder.mkdir()
    addresses = ", ".join(f"SE2321000016-{word}" for word in ("SLOW", "INVALID", "CLOSE"))
    (folder / "tables.yaml").write_text(f"""\
resolution: {{}}
components:
  SE2321000016-TC-KS: {{name: "TakeCare"}}
  SE2321000016-PROVOKE: {{name: "Misbehaves"}}
  {NPO}: {{name: "Consumer"}}
  {NATIONAL}: {{name: "A platform in front", platform: true}}
producer_addresses:
  ks: {{component: SE2321000016-TC-KS, url: "${{ks}}", profile: RIVTABP21}}
  provoke: {{component: SE2321000016-PROVOKE, url: "${{provoke}}", profile: RIVTABP21}}
routes:
  - {{logical_address: {KS}, contracts: GetDiagnosis:2, producer_address: ks}}
  - {{logical_address: [{addresses}], contracts: GetDiagnosis:2, producer_address: provoke}}
permissions:
  - {{consumer: [{NPO}, {NATIONAL}], logical_address: [{KS}, {addresses}], contracts: GetDiagnosis:2, agreement: "Test"}}
""")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
