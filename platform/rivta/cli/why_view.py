"""The chain on one screen: what passed, what failed, and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from rivta.cli.terminal import harmless_text
from rivta.cli.why_steps import Remedy, State, Step

if TYPE_CHECKING:
    from rivta.cli.why_chain import Chain, SourceChain

_MARKS = {
    State.PASSED: ("✓", "green"),
    State.DOUBTFUL: ("!", "yellow"),
    State.FAILED: ("✗", "bold red"),
    State.NOT_TRIED: ("-", "dim"),
}
_LABEL = 16
_FILES = (".yaml", ".yml")


def chain_json(chain: Chain, where: list[str]) -> dict[str, Any]:
    """What `--json` prints. `where`: the options that name the pair, for commands to paste."""
    return {
        "shows": chain.passes,
        "steps": [_step_json(one, where) for one in chain.steps],
        "sources": [
            {
                "source": one.source,
                "platform": one.platform,
                "shows": one.passes,
                "steps": [_step_json(step, where) for step in one.steps],
            }
            for one in chain.sources
        ],
        "left_out": chain.left_out,
    }


def _step_json(step: Step, where: list[str]) -> dict[str, Any]:
    remedy = step.remedy
    return {
        "step": step.name,
        "platform": step.platform,
        "state": step.state.value,
        "text": step.text,
        "details": list(step.details),
        "remedy": None
        if remedy is None
        else {
            "advice": remedy.advice,
            "file": remedy.file,
            "rows": remedy.rows,
            "commands": _commands(remedy, where),
        },
    }


def print_chain(chain: Chain, title: str, where: list[str]) -> None:
    """For people; plain text where there is no terminal."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(harmless_text(Text(title, style="bold")))
    for line in _lines(chain, where):
        console.print(harmless_text(line))


def _lines(chain: Chain, where: list[str]) -> Iterator[Text]:
    for step in chain.steps:
        yield from _step(step, where)
    for one in chain.sources:
        yield Text()
        yield Text(one.source, style="bold")
        for step in one.steps:
            yield from _step(step, where)
    yield Text()
    if chain.left_out:
        yield Text(f"{chain.left_out} engagements more: narrow it with --source", style="yellow")
    yield _end(chain)


def _step(step: Step, where: list[str]) -> Iterator[Text]:
    mark, style = _MARKS[step.state]
    place = f"{step.platform}: " if step.platform else ""
    yield Text.assemble((f"  {mark} ", style), (f"{step.name:<{_LABEL}}", "dim"), f"{place}{step.text}")
    indent = " " * (_LABEL + 4)
    for detail in step.details:
        yield Text(f"{indent}{detail}", style="yellow")
    if step.remedy is not None:
        yield from _remedy(step.remedy, where, indent)


def _remedy(remedy: Remedy, where: list[str], indent: str) -> Iterator[Text]:
    yield Text(f"{indent}-> {remedy.advice}", style="bold")
    if remedy.rows is not None:
        place = "in the tables' files:"
        if remedy.file:
            beside = ", or in a file of its own beside it" if remedy.file.endswith(_FILES) else ", in any file"
            place = f"in {remedy.file}{beside}:"
        yield Text(f"{indent}   {place}", style="dim")
        for line in remedy.rows.splitlines():
            yield Text(f"{indent}     {line}")
    elif remedy.file:
        yield Text(f"{indent}   in {remedy.file}", style="dim")
    for command in _commands(remedy, where):
        yield Text(f"{indent}   {command}")


def _commands(remedy: Remedy, where: list[str]) -> list[str]:
    return [shlex.join(["rivta", *command, *where]) for command in remedy.commands]


def _end(chain: Chain) -> Text:
    failed = [one for one in chain.sources if not one.passes]
    if not all(step.state is not State.FAILED for step in chain.steps):
        return Text("nothing shows: see above", style="bold red")
    if failed:
        return Text(f"{len(failed)} of {len(chain.sources)} sources do not show: {_names(failed)}", style="bold red")
    untried = any(step.state is State.NOT_TRIED for one in chain.sources for step in one.steps)
    if untried:
        return Text("nothing stands in the way up to the call itself; --call makes it", style="bold green")
    return Text(
        f"it shows, from {len(chain.sources)} source{'s' if len(chain.sources) != 1 else ''}", style="bold green"
    )


def _names(chains: list[SourceChain]) -> str:
    return ", ".join(one.source for one in chains)
