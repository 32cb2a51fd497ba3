"""The shape of the tree: who may import whom, what a worker never loads, where URNs and XML parsers may stand."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support import CHECKOUT

PROGRAM = CHECKOUT / "platform" / "rivta"
STUBS = CHECKOUT / "producers_stub"

# Import direction: a package and what of ours it may import. `rivta` itself, for its version, and what is
# in FREE_FOR_ALL may be imported by all.
_STORE = {"rivta.store"}
_MESSAGES = {"rivta.soap", "rivta.contracts"}
_ROUTER = {"rivta.router", "rivta.catalogue", "rivta.tls", *_MESSAGES}
_SERVICES = {"rivta.onboarding", "rivta.aggregation", "rivta.index", "rivta.audit", *_ROUTER, *_STORE}
_RUN = {"rivta.run", "rivta.console", "rivta.viewer", "rivta.testing", "producers_stub", *_SERVICES}
MAY_IMPORT: dict[str, set[str]] = {
    "rivta.soap": set(),
    "rivta.tls": set(),
    "rivta.store": set(),
    "rivta.contracts": {"rivta.soap"},
    "rivta.catalogue": {*_MESSAGES, *_STORE},
    "rivta.router": _ROUTER,
    "rivta.audit": {"rivta.router.record", "rivta.soap", *_STORE},
    "rivta.index": {"rivta.router.client", "rivta.catalogue", *_MESSAGES, *_STORE},
    "rivta.aggregation": {"rivta.router", "rivta.index.client", "rivta.catalogue", "rivta.soap"},
    "rivta.onboarding": {"rivta.catalogue", "rivta.tls", "rivta.router.client", *_MESSAGES},
    "rivta.testing": _SERVICES,
    "rivta.viewer": {"rivta.testing", *_SERVICES},
    "rivta.console": {"rivta.testing", "rivta.viewer", *_SERVICES},
    "rivta.run": _RUN,
    "rivta.cli": {"rivta.cli", *_RUN},
    "rivta.__main__": {"rivta.cli", *_RUN},
    "producers_stub": _MESSAGES | {"rivta.tls"},
}
ITSELF = {"rivta", "rivta.__version__"}
FREE_FOR_ALL = {"rivta.shipped", "rivta.files"}

# The one module of namespaces, and whoever else must spell one out, with the reason.
MAY_SPELL_URNS = {"rivta.soap.namespaces": "the one place for them"}

# Whoever calls an XML parser of its own, with the reason why not `rivta.soap.xml.parse_xml`.
MAY_PARSE_XML = {"rivta.soap.xml": "the one safe parser for what others wrote"}
PARSERS = {
    "XMLParser",
    "XMLPullParser",
    "HTMLParser",
    "fromstring",
    "fromstringlist",
    "parse",
    "iterparse",
    "XML",
    "HTML",
}


@cache
def modules() -> list[tuple[str, Path, ast.Module]]:
    """Every module of ours: its dotted name, file and syntax tree."""
    found = []
    for root, base in ((PROGRAM, PROGRAM.parent), (STUBS, CHECKOUT)):
        for file in sorted(root.rglob("*.py")):
            parts = file.relative_to(base).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append((name, file, ast.parse(file.read_text(encoding="utf-8"), str(file))))
    return found


def imported_names(module: str, tree: ast.Module, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything `module` imports, inside functions too; `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[
                    : None if is_package and node.level == 1 else 1 - node.level - (not is_package)
                ]
                base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def package_of(module: str) -> str | None:
    return next((package for package in MAY_IMPORT if is_within(module, package)), None)


def test_every_package_has_its_place_in_the_import_order() -> None:
    homeless = [name for name, _, _ in modules() if package_of(name) is None and name not in ITSELF | FREE_FOR_ALL]
    assert homeless == []


def test_imports_only_point_down() -> None:
    wrong = []
    for module, file, tree in modules():
        package = package_of(module)
        allowed = MAY_IMPORT.get(package or "", set())
        for line, name in imported_names(module, tree, is_package=file.name == "__init__.py"):
            ours = is_within(name, "rivta") or is_within(name, "producers_stub")
            own = package is not None and is_within(name, package)
            free = name in ITSELF or any(is_within(name, module) for module in FREE_FOR_ALL)
            if ours and not own and not free and not any(is_within(name, target) for target in allowed):
                wrong.append(f"{file.relative_to(CHECKOUT)}:{line} imports {name}")
    assert wrong == []


def test_packages_say_what_they_are_and_import_nothing() -> None:
    busy = []
    for _, file, tree in modules():
        if file.name == "__init__.py":
            statements = [node for node in tree.body if not isinstance(node, ast.Expr | ast.Assign)]
            if statements or not ast.get_docstring(tree):
                busy.append(str(file.relative_to(CHECKOUT)))
    assert busy == []


def test_a_worker_never_loads_spyne_a_database_or_yaml() -> None:
    code = "import sys, rivta.run.worker\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROGRAM.parent), str(CHECKOUT)])}
    command = [sys.executable, "-W", "ignore", "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert {"spyne", "sqlalchemy", "alembic", "psycopg", "yaml", "ruamel", "click"}.isdisjoint(result.stdout.split())


def docstrings(tree: ast.Module) -> set[int]:
    """The ids of the string nodes that are documentation: they may say what the code may not."""
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    bodies += [node.body for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
    return {id(statement.value) for body in bodies for statement in body if isinstance(statement, ast.Expr)}


def test_namespaces_stand_in_one_module() -> None:
    wrong = []
    for module, file, tree in modules():
        if module in MAY_SPELL_URNS:
            continue
        documentation = docstrings(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or "urn:riv:" not in node.value:
                continue
            # `urn:riv:` alone is the prefix that every contract has, and a test for it.
            if id(node) not in documentation and node.value != "urn:riv:":
                wrong.append(f"{file.relative_to(CHECKOUT)}:{node.lineno} {node.value[:60]!r}")
    assert wrong == []


def test_foreign_xml_has_one_door() -> None:
    wrong = []
    for module, file, tree in modules():
        if module in MAY_PARSE_XML:
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in PARSERS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id.lower() in {"etree", "elementtree", "et", "objectify", "html"}
            ):
                wrong.append(f"{file.relative_to(CHECKOUT)}:{node.lineno} calls {ast.unparse(node.func)}")
        for line, name in imported_names(module, tree, is_package=file.name == "__init__.py"):
            parser = any(is_within(name, package) for package in ("xml.etree", "xml.dom", "xml.sax", "xml.parsers"))
            if parser and not is_within(name, "xml.sax.saxutils"):  # that one only escapes text
                wrong.append(f"{file.relative_to(CHECKOUT)}:{line} imports {name}")
    assert wrong == []


@pytest.mark.parametrize("allowed", [MAY_SPELL_URNS, MAY_PARSE_XML], ids=["urns", "parsers"])
def test_exceptions_are_for_modules_that_exist(allowed: dict[str, str]) -> None:
    assert set(allowed) <= {name for name, _, _ in modules()}


def tracked_files() -> list[Path]:
    """What git has or would take; without git (an unpacked source archive) nothing can be said."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [file for name in listing.stdout.split(b"\0") if name and (file := CHECKOUT / os.fsdecode(name)).is_file()]


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    # A home folder, or this very checkout (when its path is long enough to mean anything).
    somebody = re.compile(rb"(?<![\w.~/-])/(?:home|Users)/[a-z][\w.-]*/|(?<![\w.~/-])/root/")
    here = os.fsencode(CHECKOUT) + b"/" if len(CHECKOUT.parts) > 2 else b"\0never"
    found = []
    for file in tracked_files():
        data = file.read_bytes()
        if file != Path(__file__).resolve() and (here in data or somebody.search(data)):
            found.append(str(file.relative_to(CHECKOUT)))
    assert found == []


def test_no_key_is_tracked() -> None:
    private = re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----(?:\n|\\n)[A-Za-z0-9+/]")
    assert [str(file) for file in tracked_files() if private.search(file.read_bytes())] == []


def test_the_source_root_is_not_a_package() -> None:
    assert not (CHECKOUT / "platform" / "__init__.py").exists()


STDLIB_CHECK = "import platform; assert platform.python_version(), platform; assert platform.__file__, platform"


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        pytest.param(["-c", STDLIB_CHECK], "", id="from the checkout"),
        pytest.param(["-c", STDLIB_CHECK + "; import rivta"], "platform", id="PYTHONPATH=platform"),
        pytest.param(["-c", STDLIB_CHECK + "; import rivta.cli.main, producers_stub"], "platform:.", id="both roots"),
        pytest.param(["-m", "rivta", "--version"], "platform", id="python -m rivta"),
        pytest.param(
            ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "{probe}"], "", id="importlib"
        ),
        pytest.param(
            ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=prepend", "{probe}"], "", id="prepend"
        ),
    ],
)
def test_the_standard_library_keeps_its_platform_module(arguments: list[str], path: str, tmp_path: Path) -> None:
    probe = tmp_path / "test_probe.py"
    probe.write_text(f"import rivta\n\ndef test_platform():\n    {STDLIB_CHECK}\n")
    command = [sys.executable, *(argument.format(probe=probe) for argument in arguments)]
    command += (
        [f"--rootdir={CHECKOUT}", f"--config-file={CHECKOUT / 'pyproject.toml'}"] if "pytest" in arguments else []
    )
    environment = {**os.environ, "PYTHONPATH": path}
    result = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
