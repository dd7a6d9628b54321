"""Texts from uploaded files, which may hold what a database cannot."""

import json
from typing import Any


def is_storable(text: str) -> bool:
    """Whether Postgres takes the text: no zero characters and no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def printable(text: str) -> str:
    """The text with everything that cannot be stored replaced by question marks."""
    return text.encode(errors="replace").decode().replace("\0", "?")


def strict_json(text: str | bytes) -> Any:
    """Parse JSON that Postgres takes, too.

    Raises:
        ValueError: not JSON, nested too deep, NaN or infinite numbers, or texts that
            `is_storable` refuses.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        storable = is_storable(json.dumps(value, ensure_ascii=False))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not storable or "\\u0000" in json.dumps(value):
        raise ValueError("it holds characters that are no text")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
