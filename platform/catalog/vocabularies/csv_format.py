r"""Vocabularies as CSV: one line a term, to be edited in a spreadsheet.

Cells with several values are joined by "|"; a backslash before "|", ":" or a backslash makes it an
ordinary character. A cell that a spreadsheet would take for a formula gets an apostrophe in front,
which reading takes away again.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence

from catalog.csv_cells import guarded, unguarded
from catalog.vocabularies.entries import (
    MAPPING_LENGTHS,
    Content,
    Problems,
    Stated,
    TermEntry,
    VocabularyError,
    checked_terms,
)

COLUMNS = [
    "code", "name", "parent", "category", "phrase", "synonyms", "code_system", "help", "retired",
    "mappings",
]  # fmt: skip
FIELDS = {"help": "help_text"}
REQUIRED = {"code", "name"}
BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for something else
YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": False}


def write(content: Content) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for term in content.terms:
        writer.writerow([guarded(cell) for cell in _cells(term)])
    return BYTE_ORDER_MARK + stream.getvalue()


def read(text: str) -> Content:
    """The terms of a CSV file with a header line; commas, semicolons or tabs divide its cells.

    Raises:
        VocabularyError: with the line of each thing that is wrong.
    """
    rows = _rows(text)
    try:
        _, header = next(rows)
    except StopIteration:
        raise VocabularyError("The file is empty.") from None
    columns = [name.strip().lower() for name in header]
    _check_header(columns)
    problems = Problems()
    stated = []
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        place = f"Line {line}"
        try:
            stated.append(_stated(place, columns, row))
        except VocabularyError as error:
            problems.add(place, str(error))
    problems.raise_any()
    silent = {FIELDS.get(name, name) for name in set(COLUMNS) - set(columns)}
    return Content("", "", "", "", checked_terms(stated), frozenset(silent))


def join(parts: Sequence[str], divider: str) -> str:
    """One text of several, from which `split` finds them again."""
    return divider.join(re.sub(rf"[\\{divider}]", r"\\\g<0>", part) for part in parts)


def split(text: str, divider: str) -> list[str]:
    parts = [""]
    characters = iter(text)
    for character in characters:
        if character == "\\":
            parts[-1] += next(characters, "")
        elif character == divider:
            parts.append("")
        else:
            parts[-1] += character
    return parts if text else []


def _cells(term: TermEntry) -> list[str]:
    mappings = [join([m.system, m.field, m.value], ":") for m in term.mappings]
    return [
        term.code,
        term.name,
        term.parent or "",
        term.category,
        term.phrase,
        join(term.synonyms, "|"),
        term.code_system,
        term.help_text,
        "yes" if term.retired else "no",
        join(mappings, "|"),
    ]


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its first line."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise VocabularyError(f"Line {line}: this is not sound CSV ({error}).") from error


def _check_header(columns: list[str]) -> None:
    if missing := sorted(REQUIRED - set(columns)):
        raise VocabularyError(
            f"Line 1: the header lacks {' and '.join(missing)}. Columns: {', '.join(COLUMNS)}."
        )
    unknown = [name or "(empty)" for name in columns if name not in COLUMNS]
    repeated = {name for name in columns if columns.count(name) > 1}
    if unknown or repeated:
        raise VocabularyError(
            f"Line 1: unknown or repeated columns: {', '.join([*unknown, *sorted(repeated)])}. "
            f"Columns: {', '.join(COLUMNS)}."
        )


def _stated(place: str, columns: list[str], row: list[str]) -> Stated:
    if len(row) > len(columns):
        raise VocabularyError(f"There are {len(row)} cells under {len(columns)} columns.")
    cells = dict(zip(columns, map(unguarded, row), strict=False))
    retired = cells.get("retired", "").strip().lower()
    if retired not in YES_NO:
        raise VocabularyError(f"“retired” is yes or no, not “{retired}”.")
    mappings = []
    for text in split(cells.get("mappings", ""), "|"):
        parts = split(text, ":")
        if len(parts) != len(MAPPING_LENGTHS):
            raise VocabularyError(f"The mapping “{text}” is not written as system:field:value.")
        mappings.append(dict(zip(MAPPING_LENGTHS, parts, strict=True)))
    plain = ("code", "name", "parent", "category", "phrase", "code_system")
    values = {key: cells[key] for key in plain if key in cells}
    return Stated(
        place,
        {
            **values,
            "help_text": cells.get("help", ""),
            "synonyms": split(cells.get("synonyms", ""), "|"),
            "mappings": mappings,
            "retired": YES_NO[retired],
        },
    )
