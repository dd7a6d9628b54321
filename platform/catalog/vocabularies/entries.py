"""What a vocabulary holds, apart from any file format or table, and what makes it sound."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_TERMS = 2000
MAX_SYNONYMS = 60
MAX_PROBLEMS = 20
HELP_CHARACTERS = 2000
DEFAULT_CATEGORY = "Other"
DEFAULT_CODE_SYSTEM = "LOCAL"
# The lengths of the columns of catalog.models.Term.
LENGTHS = {"code": 80, "name": 120, "phrase": 160, "category": 60, "code_system": 40}
SYNONYM_CHARACTERS = 120
MAPPING_LENGTHS = {"system": 40, "field": 60, "value": 80}
# XML cannot hold these, so no export could.
NONCHARACTERS = {"\ufffe", "\uffff"}


class VocabularyError(ValueError):
    """A vocabulary, or a change of one, is refused; the message says what to change."""


@dataclass(frozen=True, order=True)
class OldName:
    """What an older lexicon (`system`) calls a term in one of its fields."""

    system: str
    field: str
    value: str


@dataclass(frozen=True)
class TermEntry:
    code: str
    name: str
    phrase: str
    category: str
    code_system: str
    help_text: str = ""
    parent: str | None = None
    synonyms: tuple[str, ...] = ()
    mappings: tuple[OldName, ...] = ()
    retired: bool = False


@dataclass(frozen=True)
class Content:
    """A sound vocabulary: see `checked_terms`. Terms stand in the order they are shown in.

    The first four are empty where a file does not tell them; `silent` names the fields of terms
    that the file has no column for.
    """

    slug: str
    name: str
    version: str
    source: str
    terms: tuple[TermEntry, ...] = field(repr=False)
    silent: frozenset[str] = field(default=frozenset(), compare=False)


@dataclass(frozen=True)
class Stated:
    """A term as a file states it: the fields of `TermEntry`, unchecked, and where it stands."""

    place: str
    values: Mapping[str, Any]


class Problems:
    """Collects everything that is wrong with a file, to be told at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, place: str, text: str) -> None:
        self.found.append(f"{place}: {text}" if place else text)

    def raise_any(self) -> None:
        if not self.found:
            return
        lines = self.found[:MAX_PROBLEMS]
        if more := len(self.found) - len(lines):
            lines.append(f"… and {more} more.")
        raise VocabularyError("\n".join(lines))


def one_line(text: str) -> str:
    """The text on one line, with single spaces.

    Raises:
        VocabularyError: it holds a character that cannot be stored or exported.
    """
    return _storable(" ".join(text.split()))


def several_lines(text: str) -> str:
    """The text without blanks around it and with the line ends of Unix; raises as `one_line`."""
    return _storable(text.replace("\r\n", "\n").replace("\r", "\n").strip())


def short(text: str, what: str, limit: int, *, empty: bool = False) -> str:
    """`one_line`, of at most `limit` characters.

    Raises:
        VocabularyError: the text is too long, or empty where that is not allowed.
    """
    text = one_line(text)
    if not text and not empty:
        raise VocabularyError(f"Give a {what}.")
    if len(text) > limit:
        raise VocabularyError(f"The {what} has {len(text)} characters; at most {limit} fit.")
    return text


def phrase_for(name: str) -> str:
    """How a name reads inside a sentence: its first letter small, unless its word has capitals."""
    first = name.split(" ", 1)[0]
    return name[:1].lower() + name[1:] if first[1:] == first[1:].lower() else name


def folded(name: str) -> str:
    """Names that are equal for people are equal in this form."""
    return unicodedata.normalize("NFKC", name).casefold()


def distinct_synonyms(synonyms: Sequence[str], name: str) -> tuple[str, ...]:
    """The synonyms, each once, without empty ones and without the name itself."""
    lines = [one_line(synonym) for synonym in synonyms]
    return tuple(dict.fromkeys(line for line in lines if line and line != name))


def checked_terms(
    stated: Sequence[Stated], code_system: str = DEFAULT_CODE_SYSTEM
) -> tuple[TermEntry, ...]:
    """The terms of a file, cleaned and with what they leave out filled in.

    Raises:
        VocabularyError: one line for each thing that is wrong, with its place: a field of a wrong
            type or length, an empty or repeated code or name (names of retired terms may repeat),
            an unknown parent, parents in a circle, an old name mapped to two terms, too many terms.
    """
    if len(stated) > MAX_TERMS:
        raise VocabularyError(f"The file has {len(stated)} terms; at most {MAX_TERMS} can be used.")
    problems = Problems()
    terms: list[tuple[str, TermEntry]] = []
    for entry in stated:
        try:
            terms.append((entry.place, _term(entry.values, code_system)))
        except VocabularyError as error:
            problems.add(entry.place, str(error))
    problems.raise_any()
    terms = _with_categories(terms)
    _check_repeated(terms, problems)
    _check_parents(terms, problems)
    problems.raise_any()
    return tuple(term for _, term in terms)


def circle_of(code: str, parents: Mapping[str, str | None]) -> list[str]:
    """The codes of the circle that leads from `code` over its parents back to it; [] where none."""
    path = [code]
    above = parents.get(code)
    while above is not None and above not in path:
        path.append(above)
        above = parents.get(above)
    return path if above == code else []


def _storable(text: str) -> str:
    for character in text:
        control = unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"
        if control or character in NONCHARACTERS:
            raise VocabularyError(
                f"The text holds the control character U+{ord(character):04X}. Remove it."
            )
    return text


def _term(values: Mapping[str, Any], code_system: str) -> TermEntry:
    def text(key: str) -> str:
        value = values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise VocabularyError(f"“{key}” must be text.")
        return value

    name = short(text("name"), "name", LENGTHS["name"])
    help_text = several_lines(text("help_text"))
    if len(help_text) > HELP_CHARACTERS:
        raise VocabularyError(f"The help text has more than {HELP_CHARACTERS} characters.")
    retired = values.get("retired", False)
    if not isinstance(retired, bool):
        raise VocabularyError("“retired” must be yes or no.")
    return TermEntry(
        code=short(text("code"), "code", LENGTHS["code"]),
        name=name,
        phrase=short(one_line(text("phrase")) or phrase_for(name), "phrase", LENGTHS["phrase"]),
        category=short(text("category"), "category", LENGTHS["category"], empty=True),
        code_system=short(
            text("code_system") or code_system, "code system", LENGTHS["code_system"]
        ),
        help_text=help_text,
        parent=short(text("parent"), "parent", LENGTHS["code"], empty=True) or None,
        synonyms=_synonyms(values.get("synonyms", ()), name),
        mappings=_mappings(values.get("mappings", ())),
        retired=retired,
    )


def _synonyms(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise VocabularyError("“synonyms” must be a list of texts.")
    synonyms = distinct_synonyms(value, name)
    if len(synonyms) > MAX_SYNONYMS:
        raise VocabularyError(f"There are {len(synonyms)} synonyms; at most {MAX_SYNONYMS} fit.")
    for synonym in synonyms:
        short(synonym, "synonym", SYNONYM_CHARACTERS)
    return synonyms


def _mappings(value: Any) -> tuple[OldName, ...]:
    if not isinstance(value, list | tuple):
        raise VocabularyError("“mappings” must be a list.")
    mappings = []
    for item in value:
        parts = item if isinstance(item, Mapping) else {}
        if set(parts) != set(MAPPING_LENGTHS) or not all(
            isinstance(p, str) for p in parts.values()
        ):
            raise VocabularyError("Each mapping needs the texts “system”, “field” and “value”.")
        mappings.append(
            OldName(
                **{key: short(parts[key], key, limit) for key, limit in MAPPING_LENGTHS.items()}
            )
        )
    return tuple(sorted(set(mappings)))


def _with_categories(terms: list[tuple[str, TermEntry]]) -> list[tuple[str, TermEntry]]:
    """A term without a category takes the one of its nearest parent that has one."""
    by_code = {term.code: term for _, term in terms}
    filled = []
    for place, term in terms:
        above, seen = term, {term.code}
        while not above.category and above.parent in by_code and above.parent not in seen:
            above = by_code[above.parent]
            seen.add(above.code)
        category = above.category or DEFAULT_CATEGORY
        filled.append((place, TermEntry(**{**vars(term), "category": category})))
    return filled


def _check_repeated(terms: list[tuple[str, TermEntry]], problems: Problems) -> None:
    codes: dict[str, str] = {}
    names: dict[str, str] = {}
    old_names: dict[OldName, str] = {}
    for place, term in terms:
        if term.code in codes:
            problems.add(place, f"The code “{term.code}” is already used: {codes[term.code]}.")
        codes.setdefault(term.code, place)
        name = folded(term.name)
        if not term.retired:
            if name in names:
                problems.add(place, f"The name “{term.name}” is already used: {names[name]}.")
            names.setdefault(name, place)
        for mapping in term.mappings:
            if mapping in old_names:
                problems.add(
                    place,
                    f"{mapping.system} {mapping.field}={mapping.value} is already mapped: "
                    f"{old_names[mapping]}.",
                )
            old_names.setdefault(mapping, place)


def _check_parents(terms: list[tuple[str, TermEntry]], problems: Problems) -> None:
    parents = {term.code: term.parent for _, term in terms}
    for place, term in terms:
        if term.parent is not None and term.parent not in parents:
            problems.add(
                place, f"Term “{term.code}” has the parent “{term.parent}”, which is not there."
            )
        elif circle := circle_of(term.code, parents):
            problems.add(place, f"The parents go round in a circle: {' → '.join(circle)}.")
