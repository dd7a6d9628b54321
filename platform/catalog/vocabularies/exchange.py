"""Reading and writing vocabularies as files. Nothing here touches the database or the network."""

from collections.abc import Callable
from dataclasses import dataclass

from catalog.vocabularies import csv_format, json_format, skos_format
from catalog.vocabularies.entries import Content, VocabularyError

MAX_BYTES = 2 << 20


@dataclass(frozen=True)
class Format:
    name: str
    extension: str
    media_type: str
    write: Callable[[Content], str]
    read: Callable[[str], Content]


FORMATS = {
    "csv": Format("CSV", "csv", "text/csv", csv_format.write, csv_format.read),
    "json": Format("JSON", "json", "application/json", json_format.write, json_format.read),
    "turtle": Format(
        "SKOS, Turtle",
        "ttl",
        "text/turtle",
        lambda content: skos_format.write(content, "turtle"),
        lambda text: skos_format.read(text, "turtle"),
    ),
    "rdfxml": Format(
        "SKOS, RDF/XML",
        "rdf",
        "application/rdf+xml",
        lambda content: skos_format.write(content, "xml"),
        lambda text: skos_format.read(text, "xml"),
    ),
}
BY_EXTENSION = {entry.extension: key for key, entry in FORMATS.items()} | {"xml": "rdfxml"}


def format_of(filename: str) -> str:
    """The key of the format that a file's extension stands for.

    Raises:
        VocabularyError: no format has this extension.
    """
    extension = filename.rsplit(".", 1)[-1].lower()
    if extension not in BY_EXTENSION:
        known = ", ".join(f".{name}" for name in sorted(BY_EXTENSION))
        raise VocabularyError(f"“{filename}” is not a vocabulary file. Known: {known}.")
    return BY_EXTENSION[extension]


def read_bytes(data: bytes, filename: str) -> Content:
    """The vocabulary that a file holds; its format follows from its name.

    Raises:
        VocabularyError: too large, not UTF-8, or not a sound vocabulary.
    """
    if len(data) > MAX_BYTES:
        raise VocabularyError(f"The file is larger than {MAX_BYTES >> 20} MB.")
    entry = FORMATS[format_of(filename)]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise VocabularyError(
            f"Line {line}: the file is not in UTF-8. Save it with this encoding."
        ) from error
    return entry.read(text)
