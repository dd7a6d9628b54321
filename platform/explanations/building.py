"""From the engine's evidence and the experts' names to the content of an explanation.

A unit with several terms counts once in total: its effect is split equally over them, so that the
shares of all findings and of the unnamed rest add up to one. A broader term of the same unit (mass
beside spiculated margin) is implied by the narrower one and takes no part of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from explanations.content import (
    Comparison,
    Content,
    Finding,
    FindingUnit,
    Labels,
    NamedUnit,
    Place,
    Removal,
    Rest,
    Side,
    SwitchedTerm,
    TermEffects,
    TermNaming,
    UnnamedUnit,
    WhatIf,
)
from explanations.location import place_of

if TYPE_CHECKING:  # the engine needs torch; this module runs without it
    from analysis.explanation import Evidence
    from analysis.explanation import Removal as Measured

STRONGEST_UNNAMED = 8
MOST_CLASSES = 6

Array = NDArray[np.float32]
Maps = dict[str, NDArray[np.float16]]


@dataclass(frozen=True)
class Picture:
    """The explained image with what its maps' places are named after."""

    pixels: Array
    laterality: str = ""
    view: str = ""


def build(
    evidence: "Evidence",
    labels: Labels,
    picture: Picture,
    *,
    class_names: Sequence[str],
    layer: str,
    model_sha256: str,
    code_version: str = "",
) -> tuple[Content, Maps]:
    """Group the units' effects by term and say where each group lies.

    Returns the content and, for every finding and both rests, its map [h, w]: where its evidence
    lies, non-negative with maximum 1. A unit's effect is spread over the image in proportion to
    its activation, which for the additive method is exact.
    """
    effects = np.asarray(evidence.effects, np.float64)
    placer = _Placer(evidence.maps, picture)
    sides = {
        name: _side(name, np.maximum(sign * effects, 0), sign, labels, placer)
        for name, sign in (("for", 1), ("against", -1))
    }
    content = Content(
        target=int(evidence.target),
        class_names=list(class_names),
        logits=[float(value) for value in evidence.logits],
        probabilities=[float(value) for value in evidence.probabilities],
        method=evidence.method,
        bias=None if evidence.bias is None else float(evidence.bias),
        layer=layer,
        unit_count=len(effects),
        model_sha256=model_sha256,
        support=sides["for"],
        against=sides["against"],
        labels=labels,
        removal=_removal(evidence.removal) if labels.named else None,
        what_if=_what_if(evidence, labels) if labels.named else None,
        comparison=_comparison(evidence, labels) if labels.named else None,
        code_version=code_version,
    )
    return content, placer.maps


def specific_terms(unit: NamedUnit) -> list[TermNaming]:
    """The unit's terms without those that a narrower one of them implies."""
    implied = {code for term in unit.terms for code in term.ancestors}
    return [term for term in unit.terms if term.code not in implied]


def term_groups(labels: Labels) -> list[SwitchedTerm]:
    """The terms that name units, each with all of its units."""
    groups: dict[tuple[str, str], SwitchedTerm] = {}
    for unit in labels.named:
        for term in specific_terms(unit):
            key = (term.code_system, term.code)
            group = SwitchedTerm(term.code, term.code_system, term.name, [])
            groups.setdefault(key, group).units.append(unit.index)
    return list(groups.values())


class _Placer:
    """Turns weights of units into a stored map and a named place."""

    def __init__(self, activations: NDArray[np.floating], picture: Picture) -> None:
        self.maps: Maps = {}
        self._picture = picture
        positive = np.maximum(activations.astype(np.float32), 0)
        # A map without positive values says where by its magnitude.
        silent = positive.sum(axis=(1, 2), keepdims=True) == 0
        spread = np.where(silent, np.abs(activations.astype(np.float32)), positive)
        total = spread.sum(axis=(1, 2), keepdims=True)
        self._density = spread / np.where(total > 0, total, 1)

    def place(self, key: str, parts: Sequence[tuple[int, float]]) -> Place | None:
        """Store the map of units with their (non-negative) parts under `key` and name its place."""
        indices = [index for index, _ in parts]
        weights = np.array([part for _, part in parts], np.float32)
        density = np.tensordot(weights, self._density[indices], axes=1)
        peak = float(density.max(initial=0.0))
        self.maps[key] = (density / peak if peak > 0 else density).astype(np.float16)
        picture = self._picture
        return place_of(density, picture.pixels, laterality=picture.laterality, view=picture.view)


def _side(
    name: str,
    amounts: NDArray[np.float64],
    sign: int,
    labels: Labels,
    placer: _Placer,
) -> Side:
    """`amounts` [K]: the size of each unit's effect where it is on this side, else 0."""
    total = float(amounts.sum())
    groups: dict[tuple[str, str], tuple[TermNaming, list[FindingUnit]]] = {}
    for unit in labels.named:
        terms = specific_terms(unit)
        if amounts[unit.index] == 0:
            continue
        for term in terms:
            part = FindingUnit(
                index=unit.index,
                effect=sign * float(amounts[unit.index]) / len(terms),
                shared_by=len(terms),
                experts=term.experts,
                answered=unit.answered,
                decided_by=unit.decided_by,
            )
            groups.setdefault((term.code_system, term.code), (term, []))[1].append(part)
    ranked = sorted(groups.values(), key=lambda group: -sum(abs(u.effect) for u in group[1]))
    findings = []
    for number, (term, units) in enumerate(ranked, start=1):
        effect = sum(unit.effect for unit in units)
        key = f"{name}-{number}"
        findings.append(
            Finding(
                key=key,
                code=term.code,
                code_system=term.code_system,
                name=term.name,
                phrase=term.phrase,
                category=term.category,
                effect=effect,
                share=abs(effect) / total,
                units=sorted(units, key=lambda unit: -abs(unit.effect)),
                place=placer.place(key, [(unit.index, abs(unit.effect)) for unit in units]),
            )
        )
    rest = _rest(name, amounts, sign, labels, placer)
    return Side(effect=sign * total, findings=findings, rest=rest)


def _rest(
    name: str,
    amounts: NDArray[np.float64],
    sign: int,
    labels: Labels,
    placer: _Placer,
) -> Rest:
    total = float(amounts.sum())
    named = {unit.index for unit in labels.named}
    answered = {unit.index: unit.answered for unit in labels.units}
    unnamed = [int(k) for k in np.argsort(-amounts, kind="stable") if k not in named]
    unnamed = [k for k in unnamed if amounts[k] > 0]
    effect = float(amounts[unnamed].sum())
    return Rest(
        effect=sign * effect,
        share=effect / total if total else 0.0,
        count=len(unnamed),
        strongest=[
            UnnamedUnit(
                index=k,
                effect=sign * float(amounts[k]),
                share=float(amounts[k]) / total,
                answered=answered.get(k, 0),
            )
            for k in unnamed[:STRONGEST_UNNAMED]
        ],
        place=placer.place(f"{name}-rest", [(k, float(amounts[k])) for k in unnamed]),
    )


def _what_if(evidence: "Evidence", labels: Labels) -> WhatIf:
    groups, switches = term_groups(labels), evidence.switches
    probabilities = softmax(switches.logits.astype(np.float64), axis=1)
    classes = _compared_classes(evidence)
    return WhatIf(
        terms=[groups[group] for group in switches.groups],
        classes=classes,
        probabilities=[[float(row[c]) for c in classes] for row in probabilities],
    )


def _compared_classes(evidence: "Evidence") -> list[int]:
    """The explained class, then the most probable ones."""
    by_probability = np.argsort(-np.asarray(evidence.probabilities), kind="stable").tolist()
    others = [index for index in by_probability if index != evidence.target]
    return [int(evidence.target), *others[: MOST_CLASSES - 1]]


def _comparison(evidence: "Evidence", labels: Labels) -> Comparison:
    classes = _compared_classes(evidence)
    effects = np.asarray(evidence.effects_all, np.float64)[:, classes]
    parts = {unit.index: len(specific_terms(unit)) for unit in labels.named}
    named = effects[list(parts)].sum(axis=0)
    logits = np.asarray(evidence.logits, np.float64)[classes]
    return Comparison(
        classes=classes,
        terms=[
            TermEffects(
                group.code,
                group.code_system,
                group.name,
                sum((effects[k] / parts[k] for k in group.units), np.zeros(len(classes))).tolist(),
            )
            for group in term_groups(labels)
        ],
        rest=(effects.sum(axis=0) - named).tolist(),
        bias=None if evidence.bias is None else (logits - effects.sum(axis=0)).tolist(),
    )


def _removal(measured: "Measured") -> Removal:
    activation = float(measured.random_activation)
    return Removal(
        units=[int(unit) for unit in measured.units],
        before=float(measured.probability_before),
        after=float(measured.probability_after),
        kept=float(measured.kept_probability),
        logit_before=float(measured.logit_before),
        logit_after=float(measured.logit_after),
        random_after=[float(value) for value in measured.random_probability_after],
        rank=float(measured.rank),
        supported=bool(measured.supported),
        random_activation=activation if math.isfinite(activation) else None,
        note=measured.note,
    )
