"""What is different between two states of a vocabulary."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

from catalog.vocabularies.entries import Content, TermEntry

WORDS = {
    "code_system": "code system",
    "phrase": "phrase",
    "category": "category",
    "synonyms": "synonyms",
    "help_text": "help text",
    "mappings": "old names",
}


@dataclass(frozen=True)
class Change:
    """One difference in one term; `text` says what became of it."""

    code: str
    name: str
    text: str


@dataclass(frozen=True)
class Changes:
    added: list[Change]
    renamed: list[Change]
    moved: list[Change]
    retired: list[Change]
    returned: list[Change]
    removed: list[Change]
    edited: list[Change]

    @property
    def groups(self) -> list[tuple[str, list[Change]]]:
        """Those that are there, under headings for people."""
        headings = {
            "Added": self.added,
            "Renamed": self.renamed,
            "Moved": self.moved,
            "Retired": self.retired,
            "Brought back": self.returned,
            "Deleted": self.removed,
            "Other changes": self.edited,
        }
        return [(heading, changes) for heading, changes in headings.items() if changes]


def as_update(before: Content, after: Content) -> Content:
    """What a file makes of a vocabulary: terms that it lacks are retired and stand last, and
    fields that it is silent about stay as they were.
    """
    old = {term.code: term for term in before.terms}
    told = [
        replace(term, **{key: getattr(old[term.code], key) for key in after.silent})
        if term.code in old
        else term
        for term in after.terms
    ]
    codes = {term.code for term in told}
    left = [replace(term, retired=True) for term in before.terms if term.code not in codes]
    return replace(after, terms=(*told, *left), silent=frozenset())


def changes_between(before: Content, after: Content) -> Changes:
    """All differences, each list in the order of the vocabulary.

    A term has moved when its parent is another, or when it stands elsewhere in the order of the
    terms that both states have.
    """
    old = {term.code: term for term in before.terms}
    new = {term.code: term for term in after.terms}
    names = {code: term.name for code, term in {**old, **new}.items()}
    kept = [(old[code], term) for code, term in new.items() if code in old]
    reordered = _reordered(
        [code for code in old if code in new], [code for code in new if code in old]
    )
    return Changes(
        added=[_change(t, _under(t.parent, names)) for t in after.terms if t.code not in old],
        renamed=[_change(b, f"was “{a.name}”") for a, b in kept if a.name != b.name],
        moved=[
            _change(b, _under(b.parent, names) if a.parent != b.parent else "another place")
            for a, b in kept
            if a.parent != b.parent or b.code in reordered
        ],
        retired=[_change(b, "") for a, b in kept if b.retired and not a.retired],
        returned=[_change(b, "") for a, b in kept if a.retired and not b.retired],
        removed=[_change(t, "") for t in before.terms if t.code not in new],
        edited=[_change(b, ", ".join(words)) for a, b in kept if (words := list(_edits(a, b)))],
    )


def _change(term: TermEntry, text: str) -> Change:
    return Change(term.code, term.name, text)


def _under(parent: str | None, names: dict[str, str]) -> str:
    return f"under {names.get(parent, parent)}" if parent else "at the top"


def _edits(before: TermEntry, after: TermEntry) -> Iterator[str]:
    for key, word in WORDS.items():
        a, b = getattr(before, key), getattr(after, key)
        # The order of synonyms says nothing, and SKOS does not keep it.
        if (set(a) != set(b)) if key == "synonyms" else a != b:
            yield word


def _reordered(before: list[str], after: list[str]) -> set[str]:
    """The fewest codes that must be moved to get from one order to the other.

    Those that stay form the longest increasing run of the old places (patience sorting).
    """
    places = {code: place for place, code in enumerate(before)}
    ends: list[int] = []
    end_places: list[int] = []
    previous = [-1] * len(after)
    for number, code in enumerate(after):
        length = bisect_left(end_places, places[code])
        previous[number] = ends[length - 1] if length else -1
        ends[length : length + 1] = [number]
        end_places[length : length + 1] = [places[code]]
    stayed = set()
    number = ends[-1] if ends else -1
    while number >= 0:
        stayed.add(after[number])
        number = previous[number]
    return set(after) - stayed
