"""What others wrote, fit for a terminal: which would obey it, moving its cursor or setting its title, or show it turned
around. XML lets such characters through, and an answer that is no XML holds any."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

# Control characters of both ranges, marks and overrides of direction, line ends beyond ASCII, and half characters.
_OBEYED = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_OBEYED_IN_LINES = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_IN_ITS_PLACE = "\ufffd"


def harmless(text: str) -> str:
    """A text of one line: each such character, a line end too, is the replacement character."""
    return _OBEYED.sub(_IN_ITS_PLACE, text)


def harmless_lines(text: str) -> str:
    """The same of a text in which line ends and tabs stand for themselves."""
    return _OBEYED_IN_LINES.sub(_IN_ITS_PLACE, text)


def harmless_text(text: Text) -> Text:
    """`harmless`, with the colours kept, and blanks for line ends."""
    text.plain = harmless(text.plain.replace("\n", " "))
    return text


def harmless_json(text: str) -> str:
    """JSON that says the same with such characters written as escapes; those below the blank are so already."""
    return _OBEYED_IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
