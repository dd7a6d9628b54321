"""Vocabularies as JSON: the format of the files that ship, of releases and of the API."""

import json
from collections.abc import Mapping
from typing import Any

from catalog.vocabularies.entries import (
    DEFAULT_CODE_SYSTEM,
    Content,
    Stated,
    TermEntry,
    VocabularyError,
    checked_terms,
    several_lines,
    short,
)

HEAD_LENGTHS = {"slug": 60, "name": 120, "version": 40}
TERM_KEYS = {
    "code", "name", "phrase", "category", "code_system", "help", "parent", "synonyms", "mappings",
    "retired",
}  # fmt: skip


def write(content: Content) -> str:
    return json.dumps(to_dict(content), ensure_ascii=False, indent=1) + "\n"


def read(text: str) -> Content:
    """Raises VocabularyError where the text is not a sound vocabulary."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise VocabularyError(f"Line {error.lineno}: this is not JSON. {error.msg}.") from error
    except RecursionError as error:
        raise VocabularyError("This JSON is nested too deeply for a vocabulary.") from error
    return from_dict(data)


def to_dict(content: Content) -> dict[str, Any]:
    return {
        "slug": content.slug,
        "name": content.name,
        "version": content.version,
        "source": content.source,
        "terms": [_term_to_dict(term) for term in content.terms],
    }


def from_dict(data: Any) -> Content:
    """Check what `to_dict` gives, or the content of a file.

    Raises:
        VocabularyError: see `entries.checked_terms`; or the frame of the file is not as it must be.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("terms"), list):
        linked = isinstance(data, list | Mapping) and "@context" in str(data)[:2000]
        raise VocabularyError(
            "JSON-LD is not read. Export the vocabulary as Turtle or RDF/XML."
            if linked
            else "A vocabulary in JSON is an object with a list “terms”."
        )
    head = {}
    for key, limit in HEAD_LENGTHS.items():
        value = data.get(key, "")
        if not isinstance(value, str):
            raise VocabularyError(f"“{key}” must be text.")
        head[key] = short(value, key, limit, empty=True)
    source = data.get("source", "")
    code_system = data.get("code_system", DEFAULT_CODE_SYSTEM)
    if not isinstance(source, str) or not isinstance(code_system, str):
        raise VocabularyError("“source” and “code_system” must be text.")
    stated = [_stated(number, item) for number, item in enumerate(data["terms"], 1)]
    terms = checked_terms(stated, code_system)
    return Content(head["slug"], head["name"], head["version"], several_lines(source), terms)


def _stated(number: int, item: Any) -> Stated:
    if not isinstance(item, Mapping):
        raise VocabularyError(f"Term {number}: each term is an object with “code” and “name”.")
    place = f"Term {number}" + (f" (“{item['code']}”)" if "code" in item else "")
    if unknown := sorted(map(str, set(item) - TERM_KEYS)):
        raise VocabularyError(f"{place}: there is no field {', '.join(unknown)}.")
    values = {("help_text" if key == "help" else key): value for key, value in item.items()}
    return Stated(place, values)


def _term_to_dict(term: TermEntry) -> dict[str, Any]:
    return {
        "code": term.code,
        "name": term.name,
        "phrase": term.phrase,
        "category": term.category,
        "code_system": term.code_system,
        "help": term.help_text,
        "parent": term.parent,
        "synonyms": list(term.synonyms),
        "mappings": [vars(mapping) for mapping in term.mappings],
        "retired": term.retired,
    }
