"""What `rivta route import` and `order` show of a change: to people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rivta.catalogue.exchange.draft_folder import Planned
    from rivta.catalogue.exchange.imported import Remark
    from rivta.catalogue.rows import Problem
    from rivta.cli.route_drafts import Foreseen

_SHOWN_LINES = 400
_SHOWN_WARNINGS = 20
_SHOWN_EFFECTS = 20

Change = tuple[str, "Planned", "Foreseen"]
"""A platform's name, what becomes of its files, and what that brings."""


def print_problems(problems: Sequence[Problem]) -> None:
    """Each mistake in a line, with its place."""
    for one in problems:
        place = f"{one.file}:{one.line}" if one.line else one.file
        click.echo(f"{place}: error: {one.message} [{one.rule}]")


def print_changes(changes: Sequence[Change], remarks: Sequence[Remark], report: Sequence[str]) -> None:
    """The source's own report and notes, new warnings, the files line by line, and what changes for callers."""
    from rivta.catalogue.exchange.draft_folder import unified_diff

    for line in report:
        click.echo(line)
    for remark in remarks:
        click.echo(f"note: {remark}")
    shown = 0
    for _, planned, foreseen in changes:
        for warning in foreseen.warnings[:_SHOWN_WARNINGS]:
            click.echo(f"{warning['file']}: warning: {warning['message']} [{warning['rule']}]")
        if len(foreseen.warnings) > _SHOWN_WARNINGS:
            click.echo(f"and {len(foreseen.warnings) - _SHOWN_WARNINGS} warnings more: `rivta route lint` lists them")
        lines = list(unified_diff(planned))
        for line in lines[: max(0, _SHOWN_LINES - shown)]:
            click.echo(line)
        if len(lines) > _SHOWN_LINES - shown:
            click.echo(f"... {len(lines) - max(0, _SHOWN_LINES - shown)} lines more")
        shown += len(lines)
    for name, planned, foreseen in changes:
        if planned.differences:
            click.echo(f"{name}: {_counted(planned)}")
        _print_foreseen(name, foreseen)


def _print_foreseen(name: str, foreseen: Foreseen) -> None:
    from rivta.cli.route_preview_output import print_preview

    if foreseen.unknown is not None:
        click.echo(f"{name}: what changes for callers cannot be told: {foreseen.unknown}")
    if foreseen.preview is not None:
        click.echo(f"{name}, for callers:")
        print_preview(foreseen.preview, parts=False, most=_SHOWN_EFFECTS)


def _counted(planned: Planned) -> str:
    counts: dict[str, int] = {}
    for one in planned.differences:
        counts[one.change.value] = counts.get(one.change.value, 0) + 1
    return ", ".join(f"{count} row{'' if count == 1 else 's'} {change}" for change, count in counts.items())


def changes_json(changes: Sequence[Change], remarks: Sequence[Remark], report: Sequence[str]) -> dict[str, Any]:
    """The same for scripts."""
    from rivta.catalogue.differences import differences_json
    from rivta.catalogue.exchange.draft_folder import unified_diff

    return {
        "report": list(report),
        "remarks": [{"where": one.where, "message": one.message} for one in remarks],
        "platforms": {
            name: {
                "diff": "\n".join(unified_diff(planned)),
                "differences": differences_json(planned.differences),
                "warnings": list(foreseen.warnings),
                "preview": foreseen.preview,
                "preview_unknown": foreseen.unknown,
            }
            for name, planned, foreseen in changes
        },
    }
