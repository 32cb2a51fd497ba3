"""Rows for `rivta index load`: a file of CSV, JSON or XML, read into changes, every mistake with its place."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivta.index.engagement import Transaction

_DELETE = "deleteFlag"
_TRUTHS = {"true": True, "1": True, "false": False, "0": False, "": False}
_NEEDED = (
    "registeredResidentIdentification",
    "serviceDomain",
    "categorization",
    "logicalAddress",
    "sourceSystem",
    "dataController",
)
"""Columns that a file must have; the two ids are NA where it has none."""


class BadRows(ValueError):
    """The file holds no rows that can be sent: where and why."""


def read_rows(path: Path) -> Iterator[Transaction]:
    """The changes in a file, by its ending: .csv, .json (a list of objects) or .xml (an Update, in an envelope or not).

    Names of columns and fields are those of the schema's elements, and deleteFlag. Of CSV only a row is in memory at a
    time. Raises BadRows, also after some have been given, and OSError.
    """
    readers = {".csv": _csv, ".json": _json, ".xml": _xml}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadRows(f"{path}: its name has to end with {', '.join(readers)}, which says how it is read")
    return reader(path)


def portions(rows: Iterator[Transaction], size: int) -> Iterator[list[Transaction]]:
    """The rows in lists of at most `size`."""
    while some := list(islice(rows, size)):
        yield some


def _csv(path: Path) -> Iterator[Transaction]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file, dialect=_dialect(file.readline()))
            file.seek(0)
            _check_names(reader.fieldnames or (), f"{path}:1")
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if None in row or None in row.values():
                    raise BadRows(f"{where}: has another number of fields than the first line")
                yield _transaction(row, where)
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadRows(f"{path}: is not CSV in UTF-8: {error}") from error


def _dialect(first_line: str) -> type[csv.Dialect]:
    """Semicolons are what a Swedish spreadsheet writes."""

    class Dialect(csv.excel):
        delimiter = max(",;\t", key=first_line.count)

    return Dialect


def _json(path: Path) -> Iterator[Transaction]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadRows(f"{path}: is not JSON: {error}") from error
    rows = content.get("engagements") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadRows(f"{path}: has to be a list of objects, each a row")
    for number, row in enumerate(rows, start=1):
        where = f"{path}: row {number}"
        _check_names(row, where)
        yield _transaction(row, where)


def _xml(path: Path) -> Iterator[Transaction]:
    from rivta.index.wire import read_transactions
    from rivta.soap.head import read_head
    from rivta.soap.xml import XmlRefused, parse_xml

    try:
        root = parse_xml(path.read_bytes())
    except XmlRefused as error:
        raise BadRows(f"{path}:{error.line}: not XML that can be read: {error.reason}") from error
    payload = read_head(root).payload if str(root.tag).endswith("}Envelope") else root
    found = read_transactions(payload) if payload is not None else []
    if not found:
        raise BadRows(f"{path}: holds no engagementTransaction of Update or ProcessNotification")
    for number, one in enumerate(found, start=1):
        if one.delete is None or not one.fields:
            raise BadRows(f"{path}: engagementTransaction {number} has no deleteFlag, or no engagement")
        yield one.transaction()


def _check_names(names: Any, where: str) -> None:
    from rivta.index.engagement import FIELDS

    known = [_DELETE, *(field.wire for field in FIELDS)]
    missing = [name for name in _NEEDED if name not in names]
    unknown = [str(name) for name in names if name not in known]
    if missing:
        raise BadRows(f"{where}: {', '.join(missing)} missing; known are {', '.join(known)}")
    if unknown:
        raise BadRows(f"{where}: {', '.join(unknown)} unknown; known are {', '.join(known)}")


def _transaction(row: Mapping[str, Any], where: str) -> Transaction:
    from rivta.index.engagement import FIELDS, Engagement, Transaction

    flag = row.get(_DELETE)
    delete = flag if isinstance(flag, bool) else _TRUTHS.get(str(flag or "").strip().lower())
    if delete is None:
        raise BadRows(f"{where}: {_DELETE} is {flag!r}: true or false")
    fields = {field.name: str(row[field.wire]) for field in FIELDS if row.get(field.wire) not in (None, "")}
    lacking = [field.wire for field in FIELDS if field.wire in _NEEDED and field.name not in fields]
    if lacking:
        raise BadRows(f"{where}: {', '.join(lacking)} is empty")
    return Transaction(delete, Engagement(**fields))
