"""Rows of labels and consensus as CSV and JSON text, and back, without loss.

In CSV a cell that a spreadsheet would take for a formula gets an apostrophe in front, which reading
takes away again; terms stand in one cell, separated by semicolons. Some spreadsheets save CSV with
semicolons between the cells, which is read as well.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from catalog.csv_cells import guarded, unguarded
from catalog.importing.text import is_storable, strict_json

VERSION = 1
LARGEST_CELL = 10 << 20

Row = dict[str, Any]


class TableError(ValueError):
    """The file cannot be read as a table; the message is for people."""


def to_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """CSV as spreadsheets read it (RFC 4180). Lists of texts and dicts become one cell each."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([guarded(_cell(row[column])) for column in columns])
    return stream.getvalue()


def to_json(rows: Iterable[Mapping[str, Any]], *, kind: str, about: Mapping[str, Any]) -> str:
    content = {"format": f"unitscope-{kind}", "version": VERSION, **about, "rows": list(rows)}
    return json.dumps(content, ensure_ascii=False, indent=1)


def read_table(data: bytes, *, kind: str, columns: Sequence[str]) -> list[Row]:
    """The rows of a file in either format, told apart by its first character.

    From CSV all values are texts; `texts_of` and `json_of` read its cells.

    Raises:
        TableError: no UTF-8, not this format, or columns are missing.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(
            "The file is not UTF-8 text. Export it anew, or save it as UTF-8."
        ) from error
    if not is_storable(text):
        raise TableError("The file holds zero characters, which no text has.")
    rows = _json_rows(text, kind) if text.lstrip()[:1] == "{" else _csv_rows(text)
    if not rows:
        raise TableError("The file has no rows.")
    missing = [column for column in columns if column not in rows[0]]
    if missing:
        raise TableError(
            f"The file has no column “{missing[0]}”. An export of {kind} shows which it takes."
        )
    return rows


def texts_of(value: Any) -> list[str]:
    """A list of texts from a cell of either format.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return value
    if not isinstance(value, str):
        raise ValueError("This is no list of texts.")
    return next(csv.reader(io.StringIO(value, newline=""), delimiter=";"), []) if value else []


def json_of(value: Any) -> Any:
    """An object or list from a cell of either format; None from an empty cell.

    Raises:
        ValueError: no JSON.
    """
    if not isinstance(value, str):
        return value
    return strict_json(value) if value else None


def _json_rows(text: str, kind: str) -> list[Row]:
    try:
        content = strict_json(text)
    except ValueError as error:
        raise TableError(f"The file is no JSON that can be stored: {error}.") from error
    if content.get("format") != f"unitscope-{kind}" or content.get("version") != VERSION:
        raise TableError(f"This JSON is no export of {kind} that this Unitscope can read.")
    rows = content.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TableError("“rows” has to be a list of objects.")
    return rows


def _csv_rows(text: str) -> list[Row]:
    csv.field_size_limit(LARGEST_CELL)
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise TableError(f"The file is no CSV: {error} (line {reader.line_num}).") from error
    if not lines:
        return []
    header, *body = lines
    for number, line in enumerate(body, start=1):
        if len(line) != len(header):
            raise TableError(
                f"Row {number} has {len(line)} cells, the header has {len(header)}. "
                "Quote cells that hold commas, quotes or line breaks."
            )
    return [dict(zip(header, map(unguarded, line), strict=True)) for line in body]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        stream = io.StringIO(newline="")
        csv.writer(stream, delimiter=";", lineterminator="\r\n").writerow(value)
        return stream.getvalue().removesuffix("\r\n")
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
