"""Every command that the README and the docs show is run, in the order shown, and prints what they say.

A fenced block of kind `sh` holds commands, each on a line that starts with `$ `. A block of kind `text output` after it
shows what the last of them prints: each of its lines must come up, in order; `...` stands for anything.
Commands of kind `sh exit-1` are refused; Python of kind `python` is run as it stands.
A block whose first line names a file after its language, as `yaml routing/national/mine.yaml`, is saved there.
A block of kind `sh no-run` is not run; an HTML comment right above it says why.
Variables that a command sets, and its folder, hold for the rest of the page, as in a terminal.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from rivta.cli.admin import AdminClient
from rivta.run.home import Home
from rivta.soap.faults import Fault
from tests.support import CHECKOUT, Pair, run_rivta

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
PAGE_IDS = [str(page.relative_to(CHECKOUT)) for page in PAGES]
DEFAULT_PORTS = {"national": (20010, 20012), "regional": (20020, 20022)}
"""Of a platform's calls and of its admin API, as pages name them."""
FENCE = re.compile(r"^(?P<above>[^\n]*)\n(?:\n)?```(?P<kind>[^\n`]*)\n(?P<body>.*?)^```\s*$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page: what its first line says of it, the line above it, its text, and where it starts."""

    kind: str
    above: str
    body: str
    line: int

    @property
    def file(self) -> str:
        """Where the page says that this text is saved; empty when it does not."""
        language, _, name = self.kind.partition(" ")
        return name if language in {"yaml", "python", "toml", "xml"} else ""

    @property
    def commands(self) -> list[str]:
        """The commands of a `sh` block; a line that ends with a backslash goes on in the next."""
        joined = self.body.replace("\\\n", " ")
        return [line[2:].strip() for line in joined.splitlines() if line.startswith("$ ")]


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer("\n" + text):
        line = text.count("\n", 0, found.start("kind") - 1) + 1
        yield Block(kind=found["kind"].strip(), above=found["above"].strip(), body=found["body"], line=line)


def is_run(block: Block) -> bool:
    return block.kind in {"sh", "sh exit-1"}


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_blocks_are_of_kinds_that_are_checked(page: Path) -> None:
    wrong = []
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.kind.startswith("sh") and block.kind not in {"sh", "sh exit-1", "sh no-run"}:
            wrong.append(f"{where}: ```{block.kind}")
        if block.kind in {"", "shell", "bash", "console"}:
            wrong.append(
                f"{where}: commands stand in ```sh, output in ```text output, anything else names its language"
            )
        if block.kind in {"sh", "sh exit-1"} and not block.commands:
            wrong.append(f"{where}: no line starts with `$ `")
        if block.kind == "sh no-run" and not re.fullmatch(r"<!-- no-run: .{8,} -->", block.above):
            wrong.append(f"{where}: why is it not run? Say so above it: <!-- no-run: reason -->")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.fixture
def folder(pair: Pair, tmp_path: Path) -> Iterator[Path]:
    """A reader's folder: the tables of the pair, its home, the contracts. The tables are put back when it is left."""
    shutil.copytree(CHECKOUT / "contracts", tmp_path / "contracts")
    (tmp_path / ".rivta").symlink_to(pair.home)
    tables = pair.home / "routing"
    (tmp_path / "routing").symlink_to(tables)
    before = {path: path.read_bytes() for path in tables.rglob("*.yaml")}
    yield tmp_path
    for path in tables.rglob("*.yaml"):
        if path not in before:
            path.unlink()
    for path, content in before.items():
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a page tells its reader to do, and what it says comes of it."""

    line: int
    command: str
    exit_code: int = 0
    expected: str = ""

    def is_as_said(self, result: subprocess.CompletedProcess[str]) -> bool:
        printed = result.stdout + result.stderr
        return result.returncode == self.exit_code and first_line_lacking(self.expected, printed) is None

    def complaint(self, result: subprocess.CompletedProcess[str]) -> str:
        printed = result.stdout + result.stderr
        lacking = first_line_lacking(self.expected, printed)
        missing = f"\nit does not print\n  {lacking}\nbut" if lacking else ""
        return f"line {self.line}: {self.command}\nended with {result.returncode}{missing}\n{printed}"


def steps(page: Path) -> list[Step]:
    """What the page tells to do, in order. A block of output belongs to the command before it."""
    found: list[Step] = []
    for block in blocks(page):
        if block.kind == "text output":
            assert found, f"{page.name}:{block.line}: output of what?"
            found[-1] = replace(found[-1], expected=block.body)
        elif block.file:
            found.append(Step(block.line, f"cat > {block.file} <<'END OF FILE'\n{block.body}END OF FILE"))
        elif block.kind == "python":
            found.append(Step(block.line, f"python - <<'END OF FILE'\n{block.body}END OF FILE"))
        elif is_run(block):
            code = 1 if block.kind == "sh exit-1" else 0
            found += [Step(block.line, command, code) for command in block.commands]
    return found


# What only looks, or may be done twice: a saved table is in force, and a call in the log, within a second.
MAY_COME_LATE = re.compile(r"rivta (log|route|status|call|stub list)\b")
SECONDS = 5.0


@pytest.mark.pair
@pytest.mark.parametrize("page", [page for page in PAGES if steps(page)], ids=lambda page: page.name)
def test_commands_do_what_the_page_says(page: Path, pair: Pair, command_path: str, folder: Path) -> None:
    environment = {
        "PATH": command_path,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "RIVTA_HOME": str(pair.home),
        "COLUMNS": "160",
    }
    settled: list[str] = []
    for step in steps(page):
        lines = [*settled, on_ports_of(pair, step.command)]
        result = in_shell(lines, environment, folder)
        deadline = time.monotonic() + SECONDS
        while not step.is_as_said(result) and MAY_COME_LATE.match(step.command) and time.monotonic() < deadline:
            result = in_shell(lines, environment, folder)
        if not step.is_as_said(result):
            pytest.fail(f"{page.name}, {step.complaint(result)}", pytrace=False)
        if re.match(r"(cd |[A-Za-z_]+=|export )", step.command):
            settled.append(step.command)


def on_ports_of(pair: Pair, command: str) -> str:
    """The command with the ports that a page names, which are the default ones, replaced by those of the pair."""
    for platform, endpoints in pair.endpoints["platforms"].items():
        https, admin = DEFAULT_PORTS[platform]
        command = command.replace(f"https://localhost:{https}/vp", endpoints["https"])
        command = command.replace(f"http://127.0.0.1:{admin}", endpoints["admin"])
    return command


def in_shell(lines: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-uc", "\n".join(lines)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=90, check=False)


def first_line_lacking(expected: str, printed: str) -> str | None:
    """The first line of `expected` that does not come up in `printed` after the ones before it; None when all do."""
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    for line in filter(None, (" ".join(line.split()) for line in expected.splitlines())):
        pattern = ".*".join(re.escape(part) for part in line.split("..."))
        if not any(re.fullmatch(pattern, candidate) for candidate in lines):
            return line
    return None


def test_expected_output_is_found_in_order_with_gaps() -> None:
    printed = "first 1\n  second   2 \nthird 3\n"
    assert first_line_lacking("first ...\nthird 3", printed) is None
    assert first_line_lacking("third 3\nfirst 1", printed) == "first 1"
    assert first_line_lacking("second", printed) == "second"


def test_the_manual_has_every_setting_as_the_program_has_it() -> None:
    done = run_rivta("config", "show", "--markdown")
    page = CHECKOUT / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == done.stdout, (
        "write it anew: rivta config show --markdown > docs/settings.md"
    )


def test_the_manual_has_every_deviation_as_the_program_has_it() -> None:
    done = run_rivta("config", "deviations", "--markdown")
    page = CHECKOUT / "docs" / "deviations.md"
    assert page.read_text(encoding="utf-8") == done.stdout, (
        "write it anew: rivta config deviations --markdown > docs/deviations.md"
    )


def test_the_manual_has_every_fault_with_its_side() -> None:
    page = (CHECKOUT / "docs" / "caller.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (VP\d{3}) \| (Client|Server) \|", page, re.M)
    assert listed == [(fault.value.code, fault.value.side.value) for fault in Fault]


def test_the_manual_has_every_metric() -> None:
    sources = ["audit/metrics.py", "run/figures.py"]
    code = "".join((CHECKOUT / "platform" / "rivta" / name).read_text(encoding="utf-8") for name in sources)
    made = re.findall(r'(Counter|Histogram|[Gg]auge)\(\s*"(rivta_\w+)"', code)
    names = [f"{name}_total" if kind == "Counter" else name for kind, name in made]
    page = (CHECKOUT / "docs" / "operator.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(rivta_\w+)` \|", page, re.M)) == sorted(names)


@pytest.mark.pair
def test_the_manual_has_the_admin_api_as_the_keeper_describes_it(pair: Pair) -> None:
    described = AdminClient.of_platform(Home(pair.home), "national").get("/openapi.json")["paths"]
    page = (CHECKOUT / "docs" / "operator.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([A-Z]+ /[^`]*)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", page, re.M)
    assert listed == [
        admin_row(f"{verb.upper()} {path}", operation)
        for path, operations in described.items()
        for verb, operation in operations.items()
    ]


def admin_row(request: str, operation: dict[str, Any]) -> tuple[str, str, str, str]:
    """An operation of the admin API as a row of the manual's table: mandatory parameters in bold."""
    names = [
        f"**{one['name']}**" if one["required"] else one["name"]
        for one in operation["parameters"]
        if one["in"] == "query"
    ]
    return request, operation["summary"], operation.get("x-least-role", "-"), ", ".join(names) or "-"
