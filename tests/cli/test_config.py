"""`rivta config`: a settings file with every key, and what is wrong with one."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rivta.cli import config
from rivta.run.settings import Settings, keys

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
        text = re.sub(rf"^# {name} =$", f"{name} = {value}", text, flags=re.M)
    return text


def test_the_file_it_prints_is_valid_once_the_mandatory_keys_are_filled_in(filled_in: str, tmp_path: Path) -> None:
    file = tmp_path / "platform.toml"
    file.write_text(filled_in)

    result = run("check", str(file))
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


def test_what_is_wrong_is_json_for_scripts(tmp_path: Path) -> None:
    result = run("check", str(tmp_path / "none.toml"), "--json")

    found = json.loads(result.stdout)
    assert (result.exit_code, found["valid"]) == (1, False)
    assert found["problems"] == [{"key": "", "value": "", "expected": "cannot be read: No such file or directory"}]
