"""Texts from uploaded files, which may hold what a database cannot."""

import json
from collections.abc import Iterator
from itertools import chain
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
        storable = all(map(is_storable, _texts(value)))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not storable:
        raise ValueError("it holds characters that are no text")
    return value


def _texts(value: Any) -> Iterator[str]:
    """All texts in parsed JSON, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from chain.from_iterable(map(_texts, value))
    elif isinstance(value, dict):
        yield from value
        yield from chain.from_iterable(map(_texts, value.values()))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
