"""What others wrote, on a terminal."""

import json

import pytest
from rich.text import Text

from rivta.cli.call_answer import Shown, ShownFault, print_answer
from rivta.cli.terminal import harmless, harmless_json, harmless_lines, harmless_text

OBEYED = "\x1b]0;title\x07 \x9b2J \x7f \r \u202e \u2066 \u2028 \ud800"


def holds_none(text: str) -> bool:
    return not any(
        character in text for character in OBEYED.replace(" ", "") if not character.isalnum() and character not in "];"
    )


@pytest.mark.parametrize("way", [harmless, harmless_lines])
def test_what_a_terminal_would_obey_is_replaced_one_for_one(way) -> None:
    assert holds_none(way(OBEYED))
    assert len(way(OBEYED)) == len(OBEYED)
    assert way("Åsa [bold]x[/] -> 日本 😀") == "Åsa [bold]x[/] -> 日本 😀"


def test_line_ends_are_kept_where_there_are_lines() -> None:
    assert (harmless("a\nb\tc"), harmless_lines("a\nb\tc")) == ("a\ufffdb\ufffdc", "a\nb\tc")
    assert harmless_text(Text("a\nb\x1b")).plain == "a b\ufffd"


def test_colours_stay_where_they_were() -> None:
    text = Text.assemble("\x1bab", ("cd", "red"), "ef")
    assert [(span.start, span.end) for span in harmless_text(text).spans] == [(3, 5)]


def test_json_means_the_same() -> None:
    text = json.dumps({"a": OBEYED, "b": "åäö"}, ensure_ascii=False, indent=2)
    assert json.loads(harmless_json(text)) == {"a": OBEYED, "b": "åäö"}
    assert holds_none(harmless_json(text)) and "åäö" in harmless_json(text)


def test_neither_a_fault_nor_a_foreign_answer_reaches_the_terminal_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    fault = ShownFault(code=None, side=f"S{OBEYED[:8]}", text=OBEYED[:-2], detail=OBEYED[:-2])
    print_answer(Shown(200, "id\x9b2J", 1.0, None, fault, None))
    assert holds_none(capsys.readouterr().out)
