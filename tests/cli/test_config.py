"""`rivta config`: a settings file with every key, and what is wrong with one."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rivta.cli import config
from rivta.run.settings import Settings, keys

pytestmark = pytest.mark.sockets

MANDATORY = {
    "hsa_id": '"SE1-X"',
    "name": '"X"',
    "https": '"127.0.0.1:20010"',
    "certificate": '"own.pem"',
    "key": '"own.key"',
    "trusted": '["ca.pem"]',
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(config.command, arguments)


@pytest.fixture
def filled_in() -> str:
    """What `config show` prints, with a value for each mandatory key."""
    text = run("show").stdout
    for name, value in MANDATORY.items():
        text = re.sub(rf"^# {name} =$", f"{name} = {value}", text, count=1, flags=re.M)
    return text


def test_the_file_it_prints_is_valid_once_the_mandatory_keys_are_filled_in(filled_in: str, tmp_path: Path) -> None:
    file = tmp_path / "platform.toml"
    file.write_text(filled_in)

    result = run("check", str(file), "--syntax")
    assert (result.exit_code, result.stdout) == (0, f"{file}: valid\n")


def test_the_file_it_prints_says_the_same_as_one_with_the_mandatory_keys_alone(filled_in: str) -> None:
    tables: dict[str, dict[str, str]] = {
        "platform": {"hsa_id": "SE1-X", "name": "X"},
        "listen": {"https": "127.0.0.1:20010"},
        "tls": {"certificate": "own.pem", "key": "own.key", "trusted": ["ca.pem"]},  # type: ignore[dict-item]
    }
    file = Path("/etc/rivta/platform.toml")
    assert Settings.parse(tomllib.loads(filled_in), file) == Settings.parse(tables, file)


def test_every_key_is_in_each_form() -> None:
    text, page = run("show").stdout, run("show", "--markdown").stdout
    listed = json.loads(run("show", "--json").stdout)

    assert [key["path"] for key in listed] == [key.path for key in keys()]
    for key in keys():
        name = key.path.rpartition(".")[2]
        assert re.search(rf"^(# )?{name} =", text, re.M), key.path
        assert f"| `{name}` |" in page, key.path


def test_everything_that_is_wrong_is_said_a_line_each(tmp_path: Path) -> None:
    file = tmp_path / "platform.toml"
    file.write_text("[platform]\nhsa_id = 'SE1-X'\nname = 'X'\nworker = 4\n")

    result = run("check", str(file))
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{file}: platform.worker: unknown key: did you mean workers?" in result.stderr.splitlines()
    assert f"{file}: listen: missing: it is mandatory" in result.stderr.splitlines()


def test_what_the_file_names_is_looked_at_too(filled_in: str, tmp_path: Path) -> None:
    file = tmp_path / "platform.toml"
    file.write_text(filled_in.replace("hostname_unchecked = false", "hostname_unchecked = true"))

    result = run("check", str(file))
    assert result.exit_code == 1
    assert f"problem  tls: {tmp_path / 'own.pem'}: cannot be read" in result.stdout
    assert "warning  insecure.hostname_unchecked: a protection is off" in result.stdout
    assert result.stdout.splitlines()[-1] == f"{file}: a platform would not start from it"


def test_an_installation_of_vp_is_taken_over_and_never_over_something_else(tmp_path: Path) -> None:
    (tmp_path / "application.properties").write_text(
        "vp.instance.id=${ID}\nvp.instance.name=VP\nvp.https.route.url=https://127.0.0.1:20443/vp\nodd=1\n"
    )
    command = ["import", str(tmp_path / "application.properties"), "--out", str(tmp_path / "out"), "--set", "ID=SE1-X"]
    first, again = run(*command), run(*command)
    forced = run(*command, "--force", "--compat", "--json")

    assert first.exit_code == 0, first.output
    assert re.search(r"^odd +1 +unknown: neither VP nor we know it$", first.stdout, re.M)
    assert (again.exit_code, "is there already" in again.output) == (1, True)
    settings = tomllib.loads((tmp_path / "out" / "platform.toml").read_text())
    assert (settings["platform"]["hsa_id"], settings["compat"]) == ("SE1-X", "vp")
    assert "odd" in [one["property"] for one in json.loads(forced.stdout)["properties"]]
    assert (tmp_path / "out" / "platform.toml").stat().st_mode & 0o077 == 0


def test_what_is_wrong_is_json_for_scripts(tmp_path: Path) -> None:
    result = run("check", str(tmp_path / "none.toml"), "--json")

    found = json.loads(result.stdout)
    assert (result.exit_code, found["valid"]) == (1, False)
    assert found["problems"] == [{"key": "", "value": "", "expected": "cannot be read: No such file or directory"}]
