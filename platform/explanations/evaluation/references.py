"""What reports and masks say about an image, as term codes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.models import Image, TermMapping, Vocabulary
from catalog.selectors import NO_VALUE
from explanations.models import Evaluation

Codes = frozenset[str]


@dataclass(frozen=True)
class Lexicon:
    """The vocabulary's codes, each with its broader one, and what older lexicons call them."""

    parents: Mapping[str, str | None]
    mappings: Mapping[tuple[str, str, str], set[str]] = field(default_factory=dict)


def lexicon_of(vocabulary: Vocabulary) -> Lexicon:
    mappings: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    rows = TermMapping.objects.filter(term__vocabulary=vocabulary)
    for system, name, value, code in rows.values_list("system", "field", "value", "term__code"):
        mappings[system, name, value].add(code)
    parents = dict(vocabulary.terms.values_list("code", "parent__code"))
    return Lexicon(parents, dict(mappings))


def report_codes(report: Any, lexicon: Lexicon) -> Codes | None:
    """The terms of a structured report; None where it is none.

    A finding names terms of the vocabulary by `code` and `descriptors`. One that has a `system`
    (such as "DDSM") is written in an older lexicon: its other fields are looked up in the
    vocabulary's mappings, hyphens joining several values. What the vocabulary does not know is left
    out, as no unit could be called so.
    """
    findings = report.get("findings") if isinstance(report, dict) else None
    if not isinstance(findings, list):
        return None
    codes: set[str] = set()
    for finding in findings:
        if isinstance(finding, dict):
            codes |= _mapped(finding, lexicon) if "system" in finding else _coded(finding)
    return frozenset(codes & lexicon.parents.keys())


def mask_codes(image: Image) -> Codes:
    """The terms of the concepts that the image has masks of; prefetch `masks__concept__term`."""
    return frozenset(
        mask.concept.term.code for mask in image.masks.all() if mask.concept.term is not None
    )


def references_of(images: Iterable[Image], kind: str, vocabulary: Vocabulary) -> list[Codes | None]:
    """For each image its reference terms, or None where it has no reference of this kind."""
    if kind == Evaluation.Reference.MASKS:
        return [mask_codes(image) for image in images]
    lexicon = lexicon_of(vocabulary)
    return [report_codes(image.report, lexicon) for image in images]


def _coded(finding: Mapping[str, Any]) -> set[str]:
    descriptors = finding.get("descriptors")
    named = [finding.get("code"), *(descriptors if isinstance(descriptors, list) else [])]
    return {code for code in named if isinstance(code, str)}


def _mapped(finding: Mapping[str, Any], lexicon: Lexicon) -> set[str]:
    codes: set[str] = set()
    for name, text in finding.items():
        if name != "system" and isinstance(text, str):
            for value in {part.lower() for part in text.split("-")} - NO_VALUE:
                key = (str(finding["system"]), name.lower(), value)
                codes |= lexicon.mappings.get(key, set())
    return codes
