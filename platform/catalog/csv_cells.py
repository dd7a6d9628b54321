"""Cells of CSV files that a spreadsheet would run as formulas, quoted on the way out."""

import re

FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


def guarded(cell: str) -> str:
    """The cell with one quote before what would be a formula; `unguarded` takes it off again."""
    return f"'{cell}" if FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell
