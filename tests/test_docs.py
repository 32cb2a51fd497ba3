"""Every command that the README and the docs show is run, in the order shown, and prints what they say.

A fenced block of kind `sh` holds commands, each on a line that starts with `$ `. A block of kind `text output` after it
shows what the last of them prints: each of its lines must come up, in order; `...` stands for anything.
Commands of kind `sh exit-1` are refused; Python of kind `python` is run as it stands.
A block of kind `sh no-run` is not run; an HTML comment right above it says why.
Variables that a command sets, and its folder, hold for the rest of the page, as in a terminal.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import CHECKOUT, Pair

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
PAGE_IDS = [str(page.relative_to(CHECKOUT)) for page in PAGES]
FENCE = re.compile(r"^(?P<above>[^\n]*)\n(?:\n)?```(?P<kind>[^\n`]*)\n(?P<body>.*?)^```\s*$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page: what its first line says of it, the line above it, its text, and where it starts."""

    kind: str
    above: str
    body: str
    line: int

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
    return block.kind in {"sh", "sh exit-1", "python"}


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


@pytest.fixture(scope="session")
def command_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which `rivta` is this checkout's command."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "rivta"
    roots = os.pathsep.join([str(CHECKOUT / "platform"), str(CHECKOUT)])
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{roots}" exec "{sys.executable}" -m rivta "$@"\n')
    program.chmod(0o755)
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.mark.pair
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(is_run(block) for block in blocks(page))], ids=lambda page: page.name
)
def test_commands_do_what_the_page_says(page: Path, pair: Pair, command_path: str, tmp_path: Path) -> None:
    # Pages are read in a checkout; nothing may change in the real one.
    for name in ("routing", "contracts"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    (tmp_path / ".rivta").symlink_to(pair.home)
    environment = {
        "PATH": command_path,
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "RIVTA_HOME": str(pair.home),
        "COLUMNS": "160",
    }
    settled: list[str] = []
    printed = where = ""
    for block in blocks(page):
        if block.kind == "text output":
            lacking = first_line_lacking(block.body, printed)
            assert lacking is None, f"{where}\ndoes not print\n  {lacking}\nbut\n{printed}"
        if not is_run(block):
            continue
        for command in programs(block):
            result = in_shell([*settled, on_ports_of(pair, command)], environment, tmp_path)
            printed, where = result.stdout + result.stderr, f"{page.name}:{block.line}: {command}"
            expected = 1 if block.kind == "sh exit-1" else 0
            assert result.returncode == expected, f"{where}\nended with {result.returncode}\n{printed}"
            if re.match(r"(cd |[A-Za-z_]+=|export )", command):
                settled.append(command)


def programs(block: Block) -> list[str]:
    """What a shell is given: the commands of the block, or Python's to read."""
    if block.kind == "python":
        return [f"python - <<'PYTHON'\n{block.body}\nPYTHON"]
    return block.commands


def on_ports_of(pair: Pair, command: str) -> str:
    """The command with the ports that a page names, which are the default ones, replaced by those of the pair."""
    for platform, port in (("national", 20010), ("regional", 20020)):
        url = pair.endpoints["platforms"][platform]["https"]
        command = command.replace(f"https://localhost:{port}/vp", url)
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
