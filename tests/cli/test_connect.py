"""`rivta connect check` as a command; what it finds is tested with the steps themselves."""

import json
import socket
from pathlib import Path

import pytest

from tests.support import Pair, run_rivta

STEPS = ["address", "connect", "tls", "chain", "host name", "validity", "key", "purpose", "hsa-id", "trust"]


@pytest.mark.pair
def test_a_stub_producer_is_looked_at_whole_by_its_name(pair: Pair) -> None:
    done = run_rivta(
        *("connect", "check", "--url", "takecare-ks", "--contract", "GetDiagnosis"),
        *("--to", "SE2321000016-KS", "--consumer", "SE1-ME", "--json"),
        home=pair.home,
    )

    report = json.loads(done.stdout)
    grades = {one["step"]: one["grade"] for one in report["findings"]}
    assert (done.returncode, done.stderr) == (0, "")
    assert list(report) == ["url", "caller", "verdict", "findings", "rows", "elapsed_ms"]
    assert report["caller"] == pair.endpoints["platforms"]["national"]["id"]
    assert list(grades)[: len(STEPS)] == STEPS
    assert "fail" not in grades.values()
    assert grades["answer by the schema"] == "ok"
    assert "consumer: SE1-ME" in report["rows"]
    assert report["url"] in report["rows"]


@pytest.mark.pair
@pytest.mark.parametrize("platform", ["national", "regional"])
def test_a_platform_is_called_as_a_consumer_and_is_ready(pair: Pair, platform: str) -> None:
    identity = ["--as", "journal"] if platform == "regional" else []
    done = run_rivta(
        *("connect", "check", "--url", platform, "--contract", "GetDiagnosis:2"),
        *("--to", "SE2321000016-KS", *identity),
        home=pair.home,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nready, in " in done.stdout
    assert "platform: true" in done.stdout
    assert "PRIVATE" not in done.stdout


@pytest.mark.pair
def test_what_is_wrong_stands_with_what_to_change_and_ends_with_1(pair: Pair) -> None:
    done = run_rivta(
        *("connect", "check", "--url", "provoke", "--contract", "GetDiagnosis"),
        *("--to", "SE2321000016-INVALID"),
        home=pair.home,
    )

    assert done.returncode == 1
    assert "✗ answer by the schema" in done.stdout
    assert "-> correct the answer" in done.stdout
    assert "not ready, in " in done.stdout


@pytest.mark.sockets
def test_without_a_pair_everything_is_given(tmp_path: Path) -> None:
    assert run_rivta("cert", "issue", "me", "--hsa-id", "SE1-ME", home=tmp_path).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    own = [
        *("--cert", str(tmp_path / "certs/issued/me.pem"), "--key", str(tmp_path / "certs/issued/me.key")),
        *("--ca", str(tmp_path / "certs/ca.pem")),
    ]

    lacking = run_rivta("connect", "check", "--url", f"https://localhost:{port}/", home=tmp_path)
    done = run_rivta("connect", "check", "--url", f"https://localhost:{port}/", *own, home=tmp_path)

    assert lacking.returncode == 1
    assert "without a pair give --cert, --key and --ca" in lacking.stderr
    assert done.returncode == 1
    assert "called as SE1-ME" in done.stdout
    assert "nothing listens there" in done.stdout


@pytest.mark.pair
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--url", "nowhere"], "expected https://host:port/path, or one of takecare-ks"),
        (["--url", "ftp://x/"], "expected https://host[:port]/path"),
        (["--url", "https://[x/"], "--url 'https://[x/'"),
        (["--url", "national", "--contract", "GetNothing"], "contract 'GetNothing' is not installed"),
        (["--url", "national", "--as", "../ca"], "--as '../ca' is none of the pair's certificates"),
        (["--url", "national", "--cert", __file__], "--cert and --key together"),
        (["--url", "national", "--cert", __file__, "--key", __file__], "holds no certificate in PEM"),
        (["--url", "national", "--timeout", "0"], "--timeout"),
    ],
)
def test_wrong_usage_ends_with_2(pair: Pair, arguments: list[str], says: str) -> None:
    done = run_rivta("connect", "check", *arguments, home=pair.home)

    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
