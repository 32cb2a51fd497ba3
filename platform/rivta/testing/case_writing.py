"""Writing cases: a folder for each, there whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rivta.files import write_file
from rivta.testing.cases import MESSAGE, REQUEST, RESPONSE

_STRANGE = re.compile(r"[^0-9A-Za-zÅÄÖåäöéÉ._-]+")
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class NewCase:
    """A case to be written."""

    request: bytes
    response: bytes | None
    message: Mapping[str, Any]
    """The content of `message.yaml`, in its order; keys with nothing are left out."""
    comment: str = ""
    """Lines that stand above it."""
    extra: Mapping[str, bytes] | None = None
    """Other files of the folder, by their names."""


def write_case(case: NewCase, folder: Path) -> None:
    """Makes the folder with the case in it. Raises OSError, FileExistsError where there is one already."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name[:40]}."))
    try:
        for name, content in (case.extra or {}).items():
            write_file(temporary / name, content)
        write_file(temporary / REQUEST, case.request)
        if case.response is not None:
            write_file(temporary / RESPONSE, case.response)
        write_file(temporary / MESSAGE, message_yaml(case).encode())
        if folder.exists():  # a rename would take the place of an empty one
            raise FileExistsError(17, "there is such a folder already", str(folder))
        os.rename(temporary, folder)  # noqa: PTH104 - a folder, and never over another
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def message_yaml(case: NewCase) -> str:
    """The text of `message.yaml`."""
    content = {key: value for key, value in case.message.items() if value not in (None, "", [], {}, ())}
    comment = "".join(f"# {line}".rstrip() + "\n" for line in case.comment.splitlines())
    return comment + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=118)


def folder_name(text: str) -> str:
    """A text as the name of a folder: letters, digits and `._-`."""
    name = _STRANGE.sub("-", text).strip(".-")
    return name[:_LONGEST_NAME].rstrip(".-") or "case"


def next_number(folder: Path) -> int:
    """The first number that no case in a folder begins with."""
    if not folder.is_dir():
        return 1
    numbers = (re.match(r"\d{1,9}", name) for name in os.listdir(folder))  # noqa: PTH208 - names are all that is wanted
    return max((int(found[0]) for found in numbers if found), default=0) + 1
