"""What the development CA puts into certificates, as read from `certs/profiles.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from rivta import shipped


class KeyKind(Enum):
    """The kinds of key that can be made."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    EC_P256 = "ec-p256"


@dataclass(frozen=True, slots=True)
class CaProfile:
    """A certificate authority. `common_name` gets the beginning of its key identifier appended."""

    common_name: str
    organisation: str
    country: str
    key: KeyKind
    days: int
    path_length: int
    crl_days: int


@dataclass(frozen=True, slots=True)
class FunctionProfile:
    """The certificate of a system: platform, producer or consumer."""

    country: str
    key: KeyKind
    days: int
    renew_before_days: int
    backdate_minutes: int
    key_usage: tuple[str, ...]
    extended_key_usage: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Profiles:
    """The three kinds of certificate of the development CA."""

    root: CaProfile
    issuing: CaProfile
    function: FunctionProfile

    @classmethod
    def load(cls, path: Path) -> Profiles:
        """Reads a profiles file. Raises ValueError naming the file, the table and the key that is wrong."""
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path}: not TOML: {error}") from error
        return cls(
            root=_read(CaProfile, tables.get("root"), f"{path}: [root]"),
            issuing=_read(CaProfile, tables.get("issuing"), f"{path}: [issuing]"),
            function=_read(FunctionProfile, tables.get("function"), f"{path}: [function]"),
        )

    @classmethod
    def shipped(cls) -> Profiles:
        """The profiles that come with the program."""
        return cls.load(shipped.folder("certs") / "profiles.toml")


_T = TypeVar("_T", CaProfile, FunctionProfile)


def _read(kind: type[_T], table: object, where: str) -> _T:
    if not isinstance(table, dict):
        raise ValueError(f"{where}: the table is missing")
    expected = {field.name: str(field.type) for field in fields(kind)}
    for name in sorted(table.keys() ^ expected.keys()):
        raise ValueError(f"{where}: {name} is {'missing' if name in expected else 'not a known key'}")
    values = {name: _value(table[name], expected[name], f"{where}: {name}") for name in expected}
    return kind(**values)


def _value(value: object, expected: str, where: str) -> Any:
    match expected:
        case "int" if type(value) is int and value >= 0:
            return value
        case "str" if isinstance(value, str) and value.strip():
            return value
        case "tuple[str, ...]" if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        case "KeyKind" if value in {kind.value for kind in KeyKind}:
            return KeyKind(value)
    wanted = {"int": "a whole number", "str": "a text", "tuple[str, ...]": "a list of texts"}.get(
        expected, "one of " + ", ".join(kind.value for kind in KeyKind)
    )
    raise ValueError(f"{where} is {value!r}, expected {wanted}")
