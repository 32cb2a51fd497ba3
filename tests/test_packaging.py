"""What is installed: the packages, the dependencies, the content of the wheel, and a pair started from it alone."""

import ast
import configparser
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import rivta
from tests.support import CHECKOUT

PROGRAM = CHECKOUT / "platform"

# Distributions whose import name is another.
IMPORTED_AS = {
    "prometheus-client": "prometheus_client",
    "pyyaml": "yaml",
    "ruamel.yaml": "ruamel",
    "legacy-cgi": "cgi",
}
# Imported, and brought by a library that has them in its own interface.
BROUGHT_BY = {"multidict": "aiohttp", "pydantic_core": "pydantic", "yarl": "aiohttp"}
# Declared, and imported by nobody here.
NEEDED_UNSEEN = {
    "six": "the shim for spyne loads six.moves on Python 3.12 and later",
    "tzdata": "zoneinfo reads it where the system has no time zones",
    "legacy-cgi": "spyne imports cgi, which Python 3.13 no longer has",
    "psycopg": "SQLAlchemy loads it for postgresql+psycopg:// URLs",
}
# Imported by what only a program that brings it along loads.
BROUGHT_BY_ITS_USER = {"pytest": "the plugin for pytest is loaded by pytest"}


def options() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / "setup.cfg")
    return parser


def declared_packages() -> set[str]:
    return set(options()["options"]["packages"].split())


def test_every_package_is_listed() -> None:
    code = {".".join(file.parent.relative_to(PROGRAM).parts) for file in PROGRAM.rglob("__init__.py")}
    stubs = {
        ".".join(file.parent.relative_to(CHECKOUT).parts) for file in CHECKOUT.glob("producers_stub/**/__init__.py")
    }
    data = {f"rivta._shipped.{name}" for name in ("certs", "contracts", "routing")}
    assert declared_packages() == code | stubs | data


def test_every_folder_with_code_is_a_package() -> None:
    # Migrations are data for Alembic, which loads them by path.
    loose = {
        str(file.relative_to(CHECKOUT))
        for root in (PROGRAM, CHECKOUT / "producers_stub")
        for file in root.rglob("*.py")
        if not (file.parent / "__init__.py").exists() and "migrations" not in file.parts
    }
    assert loose == set()


def declared_dependencies() -> set[str]:
    lines = options()["options"]["install_requires"].split("\n")
    return {re.split(r"[\[<>=; ]", line, maxsplit=1)[0].lower() for line in lines if line}


def imported_distributions() -> set[str]:
    found = set()
    for root in (PROGRAM, CHECKOUT / "producers_stub"):
        for file in root.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"rivta", "producers_stub", "benchmarks", *BROUGHT_BY_ITS_USER}


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    declared = {name: IMPORTED_AS.get(name, name) for name in declared_dependencies() - set(NEEDED_UNSEEN)}
    optional = {IMPORTED_AS.get(name, name) for name in NEEDED_UNSEEN}
    imported = {BROUGHT_BY.get(name, name) for name in imported_distributions()}
    assert imported - optional == set(declared.values())


def test_spyne_is_pinned_to_the_version_that_the_shim_is_for() -> None:
    assert "spyne==2.14.0" in options()["options"]["install_requires"].split("\n")


def test_the_version_has_one_place_and_the_changelog_knows_it() -> None:
    assert options()["metadata"]["version"] == "attr: rivta.__version__"
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{rivta.__version__}]" in changelog or "## [Unreleased]" in changelog


def test_the_readme_names_the_supported_pythons() -> None:
    pyproject = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["tool"]["mypy"]["python_version"] == "3.11"
    assert "3.11" in (CHECKOUT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what is tracked: building in the checkout would leave its folders there."""
    source = tmp_path_factory.mktemp("source")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    for name in listing.stdout.split(b"\0"):
        original = CHECKOUT / os.fsdecode(name)
        if name and original.is_file():
            copy = source / os.fsdecode(name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(original.read_bytes())
    output = tmp_path_factory.mktemp("wheel")
    # Without isolation: setuptools stands in the environment, and a download would only test the network.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(output), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = output.glob("*.whl")
    return file


def test_the_wheel_carries_the_program_and_its_data(wheel: Path) -> None:
    carried = set(zipfile.ZipFile(wheel).namelist())
    placed = {"platform": "", "producers_stub": "producers_stub/"}
    placed |= {name: f"rivta/_shipped/{name}/" for name in ("certs", "contracts", "routing")}
    wanted = {
        placed[folder] + str(file.relative_to(CHECKOUT / folder))
        for folder in placed
        for file in (CHECKOUT / folder).rglob("*")
        if file.is_file()
        and file.suffix not in {".pyc", ".key"}
        and not {"__pycache__", "rivta.egg-info"} & set(file.parts)
    }
    assert wanted - carried == set()


def test_the_wheel_carries_no_key_and_nothing_else(wheel: Path) -> None:
    strangers = [
        name
        for name in zipfile.ZipFile(wheel).namelist()
        if not name.startswith(("rivta/", "producers_stub/", f"rivta-{rivta.__version__}.dist-info/"))
        or name.endswith((".key", ".pyc"))
    ]
    assert strangers == []


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with rivta from the wheel, outside the checkout.

    The libraries are those of the environment that runs the tests, lent by a path file (installing them anew takes a
    minute); rivta itself comes from the wheel, which the test checks.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    # Without PYTHONPATH, on which pip would find the checkout's rivta and call it installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [*pip, "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Not a site folder but a plain path: an editable rivta of that environment must not come along.
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


@pytest.mark.pair
def test_a_wheel_alone_starts_the_pair_and_carries_a_call(installed: Path, short_folder: Path) -> None:
    elsewhere = short_folder / "elsewhere"
    elsewhere.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(elsewhere), "LANG": "C.UTF-8"}

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(installed / program), *arguments]
        result = subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result

    where = run("python", "-c", "import rivta, producers_stub; print(rivta.__file__); print(producers_stub.__file__)")
    assert all(Path(line).is_relative_to(installed.parent) for line in where.stdout.split())
    home = str(elsewhere / "home")
    run("rivta", "up", "--home", home, "--port-base", "auto", "--detach")
    try:
        call = ["call", "GetDiagnosis", "--to", "SE2321000016-KS", "--patient", "191212121212"]
        answer = run("rivta", *call, "--home", home)
        assert "GetDiagnosisResponse" in answer.stdout
    finally:
        run("rivta", "down", "--home", home)
