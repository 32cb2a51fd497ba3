"""The platforms under test, in homes of their own, with routes to the benchmark's producer."""

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import family, pss_mb
from benchmarks.waiting import free_port
from rivta.run.endpoints import Endpoints
from rivta.run.home import Home
from rivta.run.toml import to_toml

CHECKOUT = Path(__file__).resolve().parent.parent
PLATFORMS = ("national", "regional")
PRODUCER_ID = "SE2321000016-BENCH"


class PairError(RuntimeError):
    """The pair did not do what it was told; the message has its own words."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """The pair as `rivta up` starts it: every setting as it is shipped."""

    folder: Path
    tables: Path

    def up(self) -> float:
        """Start it; seconds until it was ready. Raises PairError."""
        started = time.perf_counter()
        options = ["--tables", str(self.tables), "--workers", "1", "--port-base", "auto", "--detach"]
        _rivta("up", self.folder, *options)
        return time.perf_counter() - started

    def down(self) -> None:
        """Stop it."""
        _rivta("down", self.folder)

    def endpoints(self) -> Endpoints:
        """Where everything of it is."""
        return Home(self.folder).endpoints()

    def url(self, platform: str) -> str:
        """Where the calls of one of its platforms go."""
        return self.endpoints()["platforms"][platform]["https"]

    def pids(self, platform: str, role: str) -> list[int]:
        """The processes of a platform that are `worker` or `keeper`."""
        return _pids(self.folder, f"{platform}-{role}")

    def idle_memory_mb(self) -> float:
        """PSS of everything that `up` started, the supervisor included."""
        members = set(_pids(self.folder, ""))
        supervisors = {parent_of(pid) for pid in members}
        return pss_mb({member for pid in supervisors for member in family(pid)} | members)


@dataclass(slots=True)
class Fixed:
    """The same two platforms with the settings that the measures fix: requests validated, answers not.

    Each runs by `rivta serve`, from the settings of the shipped pair with that one changed, in a folder and on ports of
    its own; so both can be measured in turns.
    """

    folder: Path
    shipped: Shipped
    urls: dict[str, str] = field(default_factory=dict)
    _supervisors: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start both platforms; returns when they are ready. Raises PairError."""
        ports = {name: (free_port(), free_port()) for name in PLATFORMS}
        self.urls = {name: f"https://localhost:{https}/vp" for name, (https, _) in ports.items()}
        for name, (https, admin) in ports.items():
            file = self._write_settings(name, https, admin)
            with (self.folder / f"{name}.log").open("wb") as log:
                line = [sys.executable, "-m", "rivta", "serve", "--config", str(file)]
                self._supervisors.append(subprocess.Popen(line, env=environment(), stdout=log, stderr=log))
        for name, supervisor in zip(PLATFORMS, self._supervisors, strict=True):
            self._wait_until_ready(name, supervisor)

    def stop(self) -> None:
        """Stop them."""
        for supervisor in self._supervisors:
            supervisor.terminate()
        for supervisor in self._supervisors:
            supervisor.wait(timeout=60)

    def url(self, platform: str) -> str:
        """Where the calls of one of the platforms go."""
        return self.urls[platform]

    def pids(self, platform: str, role: str) -> list[int]:
        """The processes of a platform that are `worker` or `keeper`."""
        return _pids(self.folder / platform, f"{platform}-{role}")

    def _write_settings(self, name: str, https: int, admin: int) -> Path:
        settings = tomllib.loads(Home(self.shipped.folder).settings_file(name).read_text(encoding="utf-8"))
        state = self.folder / name
        state.mkdir(parents=True, mode=0o700)
        settings["platform"]["state"] = str(state)
        settings["listen"] |= {
            "https": f"127.0.0.1:{https}",
            "url": self.urls[name],
            "admin": f"127.0.0.1:{admin}",
            "admin_token": str(state / "admin.token"),
        }
        settings["variables"] |= self.urls | dict.fromkeys(
            ("monitoring", "catalogue"), f"unix:{Home(state).sockets / f'{name}.sock'}"
        )
        settings["validation"] = settings.get("validation", {}) | {"request": "reject", "response": "off"}
        # All load comes from one sender, who would have to leave some of the places to others.
        settings["limits"] = settings.get("limits", {}) | {"in_flight_per_producer": 128}
        file = self.folder / f"{name}.toml"
        file.write_text(to_toml(settings), encoding="utf-8")
        return file

    def _wait_until_ready(self, name: str, supervisor: subprocess.Popen[bytes], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not Home(self.folder / name).endpoints_file.exists():
            if supervisor.poll() is not None or time.monotonic() > end:
                said = (self.folder / f"{name}.log").read_text(errors="replace")[-800:]
                raise PairError(f"`rivta serve` of the {name} platform did not get ready: {said}")
            time.sleep(0.05)


def _pids(folder: Path, prefix: str) -> list[int]:
    roles: list[dict[str, Any]] = json.loads(_rivta("status", folder, "--json"))["roles"]
    return [role["pid"] for role in roles if role["name"].startswith(prefix) and role["pid"]]


def _rivta(command: str, home: Path, *options: str) -> str:
    line = [sys.executable, "-m", "rivta", command, "--home", str(home), *options]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise PairError(f"`rivta {command}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def environment() -> dict[str, str]:
    """The environment in which this checkout's `rivta` and benchmarks can be run."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT / "platform"), str(CHECKOUT)])}


def parent_of(pid: int) -> int:
    """The process that started `pid` (proc(5), field 4 of stat)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def write_tables(
    folder: Path, *, producer_port: int, sizes: tuple[int, ...], consumer: str, platforms: dict[str, str]
) -> None:
    """The shipped tables, and beside them routes to the producer: from the national platform, and through both.

    `platforms` has the HSA-id of each; `consumer` may call. Sizes are in KB, and part of the addresses.
    """
    shutil.copytree(CHECKOUT / "routing", folder)
    for platform in PLATFORMS:
        national = platform == "national"
        table = {
            "components": {PRODUCER_ID: {"name": "The benchmark's producer"}},
            "producer_addresses": _producer_addresses(producer_port, sizes, platforms if national else {}),
            "logical_addresses": {
                address(kb, through_both=both): {"name": f"Answers of {kb} KB"}
                for kb in sizes
                for both in (False, True)
            },
            "routes": [
                {
                    "logical_address": address(kb, through_both=both),
                    "contracts": ["GetDiagnosis:2"],
                    "producer_address": "bench-regional" if both and national else f"bench-{kb}kb",
                }
                for kb in sizes
                for both in (False, True)
            ],
            "permissions": [
                {
                    "consumer": consumer if national else platforms["national"],
                    "logical_address": [address(kb, through_both=both) for kb in sizes for both in (False, True)],
                    "contracts": ["GetDiagnosis:2"],
                    "agreement": "benchmark",
                }
            ],
        }
        # JSON is YAML, and needs no care about quotes.
        (folder / platform / "bench.yaml").write_text(json.dumps(table, indent=1))


def _producer_addresses(port: int, sizes: tuple[int, ...], platforms: dict[str, str]) -> dict[str, Any]:
    addresses = {
        f"bench-{kb}kb": {"component": PRODUCER_ID, "url": f"https://localhost:{port}/{kb}kb", "profile": "RIVTABP21"}
        for kb in sizes
    }
    if platforms:
        addresses["bench-regional"] = {
            "component": platforms["regional"],
            "url": "${regional}",
            "profile": "RIVTABP21",
        }
    return addresses


def address(kb: int, *, through_both: bool) -> str:
    """The logical address whose answers have `kb` KB."""
    return f"{PRODUCER_ID}-{kb}KB-{'BOTH' if through_both else 'ONE'}"
