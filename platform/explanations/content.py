"""What an explanation says, as typed records that are stored as JSON.

The file names no colours, sentences or pages: see `wording` for the sentences and `rendering` for
the pictures. Shares are numbers in [0, 1]; effects are parts of the target class's score (logit).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

VERSION = 1

Record = TypeVar("Record")


@dataclass(frozen=True)
class TermNaming:
    """A term that stands for a unit, with the experts who chose it."""

    code: str
    code_system: str
    name: str
    phrase: str
    category: str
    experts: list[str]
    ancestors: list[str] = field(default_factory=list)
    """Codes of the broader terms that this one implies."""


@dataclass(frozen=True)
class NamedUnit:
    """A unit that experts answered; it is named where `terms` is not empty."""

    index: int
    answered: int
    terms: list[TermNaming]
    changed: str | None = None
    """When one of its labels, or its consensus, last changed, ISO 8601."""
    decided_by: str = ""
    """Who settled its terms, and how, where they are a consensus."""

    @property
    def namers(self) -> list[str]:
        """The experts who chose one of its terms, by name, then who settled them."""
        return _namers([name for term in self.terms for name in term.experts], [self.decided_by])


@dataclass(frozen=True)
class Labels:
    """The names that an explanation is made from, frozen when it was asked for."""

    digest: str
    units: list[NamedUnit]

    @property
    def named(self) -> list[NamedUnit]:
        return [unit for unit in self.units if unit.terms]


@dataclass(frozen=True)
class Place:
    """Where on the image a finding lies."""

    phrase: str
    """Reads after a comma: "in the outer left breast at middle depth"."""
    area: float
    """Share of the image taken by the smallest region that holds half of the evidence."""


@dataclass(frozen=True)
class FindingUnit:
    """A unit's part in a finding. `effect` is the part that this term carries."""

    index: int
    effect: float
    shared_by: int
    """How many terms the unit's effect is split over."""
    experts: list[str]
    answered: int
    decided_by: str = ""

    @property
    def namers(self) -> list[str]:
        """The experts who chose the term, by name, then who settled it."""
        return _namers(self.experts, [self.decided_by])


@dataclass(frozen=True)
class Finding:
    """The units under one term that speak for the target class (or, all of them, against it)."""

    key: str
    """Names its map: "for-1", "against-2"."""
    code: str
    code_system: str
    name: str
    phrase: str
    category: str
    effect: float
    share: float
    """Of all evidence on its side, whether named or not."""
    units: list[FindingUnit]
    place: Place | None

    @property
    def namers(self) -> list[str]:
        """The experts who chose the term for one of its units, by name, then who settled it.

        Empty where nobody is on record.
        """
        return _namers(
            [name for unit in self.units for name in unit.experts],
            [unit.decided_by for unit in self.units],
        )


@dataclass(frozen=True)
class UnnamedUnit:
    """A unit without an agreed name that speaks for or against the class."""

    index: int
    effect: float
    share: float
    answered: int
    """Experts who looked at it without an agreed name."""


@dataclass(frozen=True)
class Rest:
    """The evidence of one side that units without an agreed name carry."""

    effect: float
    share: float
    count: int
    strongest: list[UnnamedUnit]
    place: Place | None


@dataclass(frozen=True)
class Side:
    """All evidence for (or against) the target class."""

    effect: float
    findings: list[Finding]
    rest: Rest

    @property
    def named_share(self) -> float:
        return 1 - self.rest.share if self.effect else 0.0


@dataclass(frozen=True)
class Removal:
    """What became of the prediction when the named units were really removed from the model.

    All named units are removed, those that speak against the class too: a set chosen after looking
    at the effects would beat random sets by its choice alone.
    """

    units: list[int]
    before: float
    """Probabilities of the target class: as it is, without the named units, with them alone."""
    after: float
    kept: float
    logit_before: float
    logit_after: float
    random_after: list[float]
    rank: float
    supported: bool
    random_activation: float | None
    """Total activation of the random sets over that of the named units; 1 = well matched."""
    note: str

    @property
    def drop(self) -> float:
        return self.before - self.after

    @property
    def beaten(self) -> int:
        """Random sets whose removal lowers the probability less than that of the named units."""
        return sum(1 for after in self.random_after if after > self.after)


@dataclass(frozen=True)
class SwitchedTerm:
    """A finding that a reader can switch off: its units are then removed from the model."""

    code: str
    code_system: str
    name: str
    units: list[int]


@dataclass(frozen=True)
class WhatIf:
    """The prediction without some of the findings, for every combination of them.

    In row r of `probabilities`, term t is switched off where bit t of r is set. `classes`: the
    columns, the explained class and the most probable ones.
    """

    terms: list[SwitchedTerm]
    classes: list[int]
    probabilities: list[list[float]]


@dataclass(frozen=True)
class TermEffects:
    """What the units of a term do to the score of each compared class.

    A unit with several terms counts for each in equal parts, as in the findings.
    """

    code: str
    code_system: str
    name: str
    effects: list[float]


@dataclass(frozen=True)
class Comparison:
    """The same evidence for several classes: the explained one and the most probable others.

    rest: of the units without an agreed name. bias: the model's starting point. Where contributions
    add up, terms, rest and bias sum to each class's score; else bias is None.
    """

    classes: list[int]
    terms: list[TermEffects]
    rest: list[float]
    bias: list[float] | None


@dataclass(frozen=True)
class Content:
    """All that an explanation says: the prediction, the evidence on both sides, and the checks."""

    target: int
    class_names: list[str]
    logits: list[float]
    probabilities: list[float]
    method: str
    """"additive": effects and bias sum to the logit. "ablation": each effect measured alone."""
    bias: float | None
    layer: str
    unit_count: int
    model_sha256: str
    support: Side
    against: Side
    labels: Labels
    removal: Removal | None
    """None where no unit has a name: then there is nothing to check."""
    what_if: WhatIf | None = None
    comparison: Comparison | None = None
    code_version: str = ""
    """Of the Unitscope that made it; empty in records made before this was kept."""
    version: int = VERSION

    @property
    def target_name(self) -> str:
        return self.class_names[self.target]

    @property
    def probability(self) -> float:
        return self.probabilities[self.target]

    @property
    def logit(self) -> float:
        return self.logits[self.target]

    @property
    def predicted(self) -> int:
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)

    @property
    def coverage(self) -> float | None:
        """Share of the evidence for the class that named units carry; None without evidence."""
        return self.support.named_share if self.support.effect else None

    def unit_label(self, index: int) -> str:
        return unit_label(index, self.unit_count)

    def findings(self) -> list[Finding]:
        return [*self.support.findings, *self.against.findings]


def unit_label(index: int, unit_count: int) -> str:
    """The unit as people see it: zero-padded to the width of the layer's last one."""
    return str(index).zfill(len(str(unit_count - 1)))


def to_json(record: Any) -> dict[str, Any]:
    return asdict(record)


def from_json(kind: type[Record], data: Mapping[str, Any]) -> Record:
    """Build a record of this module from what `to_json` made.

    Raises:
        ValueError: a field is missing or unknown.
    """
    try:
        hints = get_type_hints(kind)
        return kind(**{name: _value(hints[name], value) for name, value in data.items()})
    except (KeyError, TypeError) as error:
        raise ValueError(f"This is no stored {kind.__name__}: {error}") from error


def _value(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        inner = next(part for part in get_args(hint) if part is not type(None))
        return None if value is None else _value(inner, value)
    if origin is list:
        return [_value(get_args(hint)[0], item) for item in value]
    if hasattr(hint, "__dataclass_fields__"):
        return from_json(hint, value)
    return value


def _namers(experts: Iterable[str], deciders: Iterable[str]) -> list[str]:
    return [*sorted(set(experts)), *sorted(set(deciders) - {""})]
