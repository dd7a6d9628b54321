"""One evaluation: a model over a set of images, all measures, their controls and intervals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import nn

from analysis.data import Sample
from analysis.dissection.influence import chosen_rows
from analysis.dissection.progress import ProgressCallback, Steps, StopCallback
from analysis.evaluation.bootstrap import Estimate, PatientBootstrap, mean
from analysis.evaluation.faithfulness import (
    Faithfulness,
    ImageCurves,
    faithfulness,
    image_curves,
)
from analysis.evaluation.localisation import Localisation, Localiser, finding_map, grid_size
from analysis.evaluation.observation import (
    EvaluationError,
    Observation,
    Unreadable,
    is_additive,
    observe,
)
from analysis.evaluation.settings import EvaluationSettings, Question
from analysis.evaluation.similarity import Similarity, text_similarity, tree_similarity
from analysis.evaluation.terms import (
    Reading,
    TermAgreement,
    active_reading,
    listed_reading,
    strongest_reading,
    term_agreement,
)
from analysis.imaging import read_image, resize
from analysis.models.preprocessing import Preprocessing

NAMEABLE, ALL_TERMS = "nameable", "all"


@dataclass(frozen=True)
class ReadingResult:
    """What one reading of the explanations gives. `nameable`: terms that a named unit carries and
    some reference has; `all`: every term of a reference, also those that no unit can name."""

    key: str
    nameable: TermAgreement
    all: TermAgreement
    similarity: Similarity
    images: int


@dataclass(frozen=True)
class Result:
    """method: "additive" (effects exact on every image) or "measured" (on `measured_images`).

    unmentioned: terms of named units that no reference has; they are left out of all counts. With
        ancestor credit only those that imply no term of a reference either.
    coverage: share of the evidence for the predicted class that named units carry, next to the
    share of the layer's units that are named.
    """

    method: str
    images: int
    patients: int
    referenced_images: int
    measured_images: int
    named_units: int
    units: int
    unmentioned: list[str]
    readings: list[ReadingResult]
    coverage: Estimate
    localisation: Localisation | None
    faithfulness: Faithfulness | None
    skipped: list[tuple[str, str]]
    logits: NDArray[np.float32]
    """[N, C] of all samples, NaN rows for those that were skipped."""


@dataclass
class _Seen:
    """What is kept of the images, by row."""

    logits: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    active: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    effects: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    support: dict[int, float] = field(default_factory=dict)
    curves: dict[int, ImageCurves] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    units: int = 0


def evaluate(
    model: nn.Module,
    layer: str,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    question: Question,
    settings: EvaluationSettings,
    *,
    progress: ProgressCallback | None = None,
    should_stop: StopCallback | None = None,
) -> Result:
    """Evaluate the explanations of each image's predicted class by the named units of a layer.

    Raises EvaluationError: no named unit, no readable image, no image with a reference, or nothing
    that both can say; Cancelled when `should_stop()` is true.
    """
    if not question.unit_terms:
        raise EvaluationError("No unit of this layer has an agreed name. Let experts label first.")
    steps = Steps(len(samples) + 1, progress, should_stop)
    units = sorted(question.unit_terms)
    additive = is_additive(model, layer, preprocessing)
    measured = (
        range(len(samples))
        if additive
        else chosen_rows(len(samples), settings.measured_images, settings.seed).tolist()
    )
    localiser = Localiser(settings.tolerance, settings.shifts, settings.seed)
    seen = _Seen()
    generator = np.random.default_rng(settings.seed)
    located = set(chosen_rows(len(samples), settings.located_images, settings.seed).tolist())
    for found in observe(model, layer, samples, preprocessing, measured=set(measured)):
        sample = samples[found.index]
        if isinstance(found, Unreadable):
            seen.skipped.append((sample.key, found.reason))
        else:
            _remember(seen, found, units, question, settings, generator)
            if found.effects is not None and found.index in located:
                _locate(localiser, found, sample, question)
        steps.advance(1, "Running the model")
    if not seen.logits:
        reason = seen.skipped[0][1] if seen.skipped else "there are none"
        raise EvaluationError(f"None of the images could be used. The first reason: {reason}")
    steps.advance(0, "Drawing patients and controls")
    return _summary(seen, samples, units, question, settings, localiser, additive)


def _remember(
    seen: _Seen,
    found: Observation,
    units: list[int],
    question: Question,
    settings: EvaluationSettings,
    generator: np.random.Generator,
) -> None:
    if units[-1] >= len(found.peaks):
        raise EvaluationError(
            f"Unit {units[-1]} is named, but the layer has {len(found.peaks)} units. Evaluate the "
            "model that the names belong to."
        )
    seen.units = len(found.peaks)
    limits = [question.thresholds.get(unit) for unit in units]
    thresholds = np.array([np.inf if limit is None else limit for limit in limits])
    seen.logits[found.index] = found.logits
    seen.active[found.index] = found.peaks[units] > thresholds
    if found.effects is None:
        return
    effects = found.effects[:, found.target]
    seen.effects[found.index] = effects[units]
    seen.support[found.index] = float(np.maximum(effects, 0).sum())
    seen.curves[found.index] = image_curves(
        effects,
        found.target,
        units,
        found.logits_of,
        steps=settings.steps,
        orders=settings.orders,
        generator=generator,
    )


def _locate(localiser: Localiser, found: Observation, sample: Sample, question: Question) -> None:
    """Compare the map of each term that has a mask on the image with that mask."""
    if found.effects is None:
        return
    effects = found.effects[:, found.target]
    for key, open_mask in sample.masks.items():
        term = question.mask_terms.get(key)
        carriers = [unit for unit, terms in question.unit_terms.items() if term in terms]
        if term is None or not carriers:
            continue
        with open_mask() as stream:
            pixels = read_image(stream, suffix=".png")
        flat = pixels if pixels.ndim == 2 else pixels.max(2)
        mask = resize(flat, grid_size(flat.shape[0], flat.shape[1])) > 0
        place = finding_map(found.maps, effects, carriers)
        localiser.add(sample.key, sample.group, term, place, mask)


def _summary(
    seen: _Seen,
    samples: Sequence[Sample],
    units: list[int],
    question: Question,
    settings: EvaluationSettings,
    localiser: Localiser,
    additive: bool,
) -> Result:
    rows = sorted(seen.logits)
    referenced = [row for row in rows if question.references[row] is not None]
    if not referenced:
        raise EvaluationError(
            "None of the images has a report, or masks with terms, to compare the explanations "
            "with. Import the dataset with reports, or choose the other kind of reference."
        )
    effect_rows = sorted(seen.effects)
    compared = [row for row in referenced if row in seen.effects]
    active = np.stack([seen.active[row] for row in referenced])
    readings = [(active_reading(active, settings.quorum), referenced)]
    if compared:
        effects = np.stack([seen.effects[row] for row in compared])
        total = np.array([seen.support[row] for row in compared])
        readings += [
            (listed_reading(effects, total, settings.least_share), compared),
            (strongest_reading(effects, settings.strongest), compared),
        ]
    vocabulary = _Vocabulary(question, units, referenced, ancestor_credit=settings.ancestor_credit)
    logits = np.full((len(samples), len(seen.logits[rows[0]])), np.nan, np.float32)
    for row in rows:
        logits[row] = seen.logits[row]
    return Result(
        method="additive" if additive else "measured",
        images=len(rows),
        patients=len({samples[row].group for row in rows}),
        referenced_images=len(referenced),
        measured_images=len(effect_rows),
        named_units=len(units),
        units=seen.units,
        unmentioned=vocabulary.unmentioned,
        readings=[
            _reading_result(reading, chosen, samples, vocabulary, question, settings)
            for reading, chosen in readings
        ],
        coverage=_coverage(seen, effect_rows, samples, settings),
        localisation=localiser.result(repeats=settings.repeats),
        faithfulness=faithfulness(
            [seen.curves[row] for row in effect_rows],
            len(units),
            settings.steps,
            _bootstrap(samples, effect_rows, settings),
        )
        if effect_rows
        else None,
        skipped=seen.skipped,
        logits=logits,
    )


class _Vocabulary:
    """The terms of references and of units, which units carry which, and which are compared.

    counted [T]: what some reference has, with ancestor credit also what that implies. nameable [T]:
    those of them that a unit carries, with ancestor credit also what its terms imply.
    """

    def __init__(
        self,
        question: Question,
        units: list[int],
        referenced: list[int],
        *,
        ancestor_credit: bool,
    ) -> None:
        self.references = question.references
        mentioned: set[str] = set()
        for row in referenced:
            mentioned |= question.references[row] or frozenset()
        carried = {code for unit in units for code in question.unit_terms[unit]}

        def implied(codes: set[str]) -> set[str]:
            broader = [_broader(code, question) for code in codes] if ancestor_credit else []
            return codes.union(*broader)

        counted = implied(mentioned)
        nameable = counted & implied(carried)
        if not nameable:
            raise EvaluationError(
                "No term of the named units occurs in a report or mask of these images, so nothing "
                "can be compared. Choose other images or the other kind of reference."
            )
        self.codes = sorted(counted | carried)
        self.unmentioned = sorted(code for code in carried if not implied({code}) & counted)
        self.counted = self._flags(counted)
        self.nameable = self._flags(nameable)
        self.unit_terms = np.stack([self._flags(question.unit_terms[unit]) for unit in units])
        self.broader = (
            np.stack([self._flags(_broader(code, question)) for code in self.codes])
            if ancestor_credit
            else None
        )

    def reference(self, rows: list[int]) -> NDArray[np.bool_]:
        return np.stack([self._flags(self.references[row] or ()) for row in rows])

    def _flags(self, codes: Collection[str]) -> NDArray[np.bool_]:
        return np.array([code in codes for code in self.codes], bool)


def _broader(code: str, question: Question) -> list[str]:
    found: list[str] = []
    parent = question.parents.get(code)
    while parent is not None and parent not in found:
        found.append(parent)
        parent = question.parents.get(parent)
    return found


def _reading_result(
    reading: Reading,
    rows: list[int],
    samples: Sequence[Sample],
    vocabulary: _Vocabulary,
    question: Question,
    settings: EvaluationSettings,
) -> ReadingResult:
    bootstrap = _bootstrap(samples, rows, settings)
    reference = vocabulary.reference(rows)

    def agreement(counted: NDArray[np.bool_]) -> TermAgreement:
        return term_agreement(
            reading,
            vocabulary.unit_terms,
            reference,
            vocabulary.codes,
            bootstrap,
            broader=vocabulary.broader,
            counted=counted,
            permutations=settings.permutations,
            seed=settings.seed,
        )

    return ReadingResult(
        key=reading.key,
        nameable=agreement(vocabulary.nameable),
        all=agreement(vocabulary.counted),
        similarity=text_similarity(
            reading.named(vocabulary.unit_terms),
            reference,
            tree_similarity(vocabulary.codes, question.parents),
            [samples[row].group for row in rows],
            bootstrap,
            seed=settings.seed,
        ),
        images=len(rows),
    )


def _coverage(
    seen: _Seen, rows: list[int], samples: Sequence[Sample], settings: EvaluationSettings
) -> Estimate:
    shares = [
        float(np.maximum(seen.effects[row], 0).sum()) / seen.support[row]
        if seen.support[row] > 0
        else float("nan")
        for row in rows
    ]
    return mean(_bootstrap(samples, rows, settings), np.array(shares))


def _bootstrap(
    samples: Sequence[Sample], rows: list[int], settings: EvaluationSettings
) -> PatientBootstrap:
    patients = [samples[row].group for row in rows]
    return PatientBootstrap(patients, repeats=settings.repeats, seed=settings.seed)
