"""Writing TOML, which the standard library only reads."""

from pathlib import Path
from typing import Any


def to_toml(tables: dict[str, dict[str, Any]]) -> str:
    """A settings file with these tables. Keys without value (None) are left out."""
    lines: list[str] = []
    for table, values in tables.items():
        lines.append(f"[{table}]")
        lines.extend(f"{_toml_key(name)} = {toml_value(value)}" for name, value in values.items() if value is not None)
        lines.append("")
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """`value` as TOML writes it. Paths become strings; raises TypeError for what TOML does not know."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str() | Path():
            return _toml_string(str(value))
        case list() | tuple():
            return "[" + ", ".join(map(toml_value, value)) + "]"
        case dict():
            pairs = ", ".join(f"{_toml_key(name)} = {toml_value(item)}" for name, item in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case _:
            raise TypeError(f"{type(value).__name__} has no form in TOML")


def _toml_key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else _toml_string(name)


def _toml_string(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
