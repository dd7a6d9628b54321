"""An explanation in sentences.

Every number in them comes from the content. A sentence says what experts named a unit, not that the
finding is there: only the name, the unit's effect and its place are known. Words such as "most" are
used where the numbers bear them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from explanations.content import Content, Finding, Removal

SPACE = "\u00a0"
FURTHER = 2
"""Findings that get a sentence of their own after the leading one."""
WORTH_A_SENTENCE = 0.05
UNITS_LISTED = 4
SIMILAR = (0.8, 1.25)
"""Activation of random sets over that of the named units, within which they count as similar."""
CAUTION = "Read the findings with caution: they may not be what decided this prediction."


@dataclass(frozen=True)
class Narrative:
    """The parts of the text, in reading order; `warning` is set where the check failed."""

    prediction: str
    support: list[str]
    against: str
    coverage: str
    check: str
    warning: str

    @property
    def text(self) -> str:
        """All of it as running text, the warning first."""
        parts = [
            self.warning, self.prediction, *self.support, self.against, self.coverage,
            "" if self.warning else self.check,
        ]  # fmt: skip
        return " ".join(filter(None, parts))


def narrate(content: Content) -> Narrative:
    check = content.removal
    return Narrative(
        prediction=_prediction(content),
        support=_support(content),
        against=_against(content),
        coverage=_coverage(content),
        check=_check(check) if check else "",
        warning=(
            f"This explanation is not supported by its causal check: {_reason(check)} {CAUTION}"
            if check and not check.supported
            else ""
        ),
    )


def percent(share: float) -> str:
    """A share in [0, 1] as whole per cent; what is not quite none or all never reads as such."""
    if 0 < share < 0.005:
        return f"less than 1{SPACE}%"
    if 0.995 <= share < 1:
        return f"more than 99{SPACE}%"
    return f"{_points(share)}{SPACE}%"


def rest_percent(share: float) -> str:
    """What `percent` leaves to 100 %, so that two numbers of one sentence add up."""
    if share < 0.005 or share >= 0.995:
        return percent(1 - share)
    return f"{100 - _points(share)}{SPACE}%"


def signed(effect: float) -> str:
    """A part of a score, with a real minus sign."""
    return f"{effect:+.2f}".replace("-", "\u2212")


def number(count: int, one: str, many: str = "") -> str:
    return f"{count}{SPACE}{one if count == 1 else many or one + 's'}"


def listing(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _points(share: float) -> int:
    return int(100 * share + 0.5)


def _prediction(content: Content) -> str:
    target = content.target_name
    text = f"The model gives {target} a probability of {percent(content.probability)}."
    predicted = content.predicted
    if content.probabilities[predicted] > content.probability:
        other = percent(content.probabilities[predicted])
        text += f" It predicts {content.class_names[predicted]} ({other}) instead."
    return text


def _support(content: Content) -> list[str]:
    side, target = content.support, content.target_name
    rest = number(side.rest.count, "unit")
    if not content.labels.named:
        words = "No unit of this layer has an agreed name yet, so the evidence cannot be put"
        if not side.effect:
            return [f"{words} into words. On this image no unit speaks for {target}."]
        return [f"{words} into words. On this image {rest} {_speak(side.rest.count)} for {target}."]
    if not side.effect:
        return [f"On this image no unit of the layer speaks for {target}."]
    if not side.findings:
        return [
            f"No named unit speaks for {target} on this image; all of the evidence for it comes "
            f"from {rest} without an agreed name."
        ]
    leading = _leading(side.findings)
    sentences = [_lead(content, leading)]
    others = [finding for finding in side.findings if finding not in leading]
    further = [finding for finding in others if finding.share >= WORTH_A_SENTENCE][:FURTHER]
    before = leading[-1]
    for finding in further:
        source = _source(content, finding, after=before)
        sentences.append(f"A further {percent(finding.share)} comes from {source}.")
        before = finding
    left = others[len(further) :]
    if left:
        share = sum(finding.share for finding in left)
        findings = number(len(left), "other named finding")
        sentences.append(f"Another {percent(share)} comes from {findings}.")
    return sentences


def _speak(count: int) -> str:
    return "speaks" if count == 1 else "speak"


def _leading(findings: Sequence[Finding]) -> list[Finding]:
    """The strongest finding with those that read as equally strong."""
    top = _points(findings[0].share)
    return [finding for finding in findings if _points(finding.share) == top]


def _lead(content: Content, leading: Sequence[Finding]) -> str:
    share = leading[0].share
    if len(leading) > 1:
        sources = listing(
            [
                _source(content, finding, after=before)
                for before, finding in zip([None, *leading], leading, strict=False)
            ]
        )
        return (
            f"The largest named parts of the evidence for it, {percent(share)} each, come from "
            f"{sources}."
        )
    amount = "Most" if _points(share) > 50 else "The largest named part"
    if _points(share) == 100:
        amount = "All" if share >= 1 - 1e-9 else "Almost all"
    return (
        f"{amount} of the evidence for it ({percent(share)}) comes from "
        f"{_source(content, leading[0])}."
    )


def _source(content: Content, finding: Finding, after: Finding | None = None) -> str:
    """ "what experts named “spiculated margin” (units 014 and 077), in the outer left breast …".

    `after` is the finding of the sentence before: what it said is not said again.
    """
    labels = [content.unit_label(unit.index) for unit in finding.units]
    listed = labels
    if len(labels) > UNITS_LISTED:
        listed = [*labels[: UNITS_LISTED - 1], f"{len(labels) - UNITS_LISTED + 1} more"]
    word = "unit" if len(labels) == 1 else "units"
    named = f"“{finding.phrase}” ({word} {listing(listed)})"
    named = named if after else f"what experts named {named}"
    if finding.place is None:
        return named
    same = after is not None and after.place and after.place.phrase == finding.place.phrase
    return f"{named}, {'in the same area' if same else finding.place.phrase}"


def _against(content: Content) -> str:
    side, target = content.against, content.target_name
    if not side.effect:
        return f"No unit of the layer speaks against {target}."
    if not side.findings:
        rest = number(side.rest.count, "unit")
        return f"The evidence against {target} comes from {rest} without an agreed name."
    named = listing(
        [
            f"“{finding.phrase}” ({percent(finding.share)} of the evidence against it)"
            for finding in side.findings[: FURTHER + 1]
        ]
    )
    single = len(side.findings) == 1
    return f"Against {target} {'speaks' if single else 'speak'} {named}."


def _coverage(content: Content) -> str:
    share = content.coverage
    if share is None or not content.labels.named:
        return ""
    rest = content.support.rest
    if rest.count == 0:
        return f"Named units carry all of the evidence for {content.target_name}."
    return (
        f"Named units carry {percent(share)} of the evidence for {content.target_name}; the "
        f"remaining {rest_percent(share)} comes from {number(rest.count, 'unit')} without an "
        "agreed name."
    )


def _check(check: Removal) -> str:
    if not check.supported:
        return _reason(check)
    beaten = check.beaten
    amount = f"{beaten} of" if beaten < len(check.random_after) else "any of"
    fall = f"{_removing(check)} {_change(check)}, a larger fall than for {amount} {_sets(check)}."
    return f"{fall} {check.note}".strip()


def _reason(check: Removal) -> str:
    """Why the check does not support the explanation, as a sentence."""
    if check.drop <= 0:
        if percent(check.before) == percent(check.after):
            return f"{_removing(check)} does not lower the probability of {percent(check.before)}."
        return f"{_removing(check)} raises the probability {_from_to(check)}."
    if not check.random_after:
        return f"{_removing(check)} {_change(check)}, but there is nothing to compare with. " + (
            check.note or ""
        )
    as_much = len(check.random_after) - check.beaten
    if check.note and as_much == 0:
        return f"{_removing(check)} {_change(check)}, but the comparison is weak. {check.note}"
    return (
        f"{_removing(check)} {_change(check)}, but removing {as_much} of {_sets(check)} lowers it "
        "as much or more."
    )


def _removing(check: Removal) -> str:
    if len(check.units) == 1:
        return "Removing the one named unit"
    return f"Removing the {len(check.units)} named units"


def _sets(check: Removal) -> str:
    """ "100 random sets of equally many other units of similar activity"."""
    others = "one other unit" if len(check.units) == 1 else "equally many other units"
    sets = f"{number(len(check.random_after), 'random set')} of {others}"
    if check.random_activation is None:
        return sets
    if SIMILAR[0] <= check.random_activation <= SIMILAR[1]:
        return f"{sets} of similar activity"
    return f"{sets} ({check.random_activation:.0%} as active)".replace("%", f"{SPACE}%")


def _change(check: Removal) -> str:
    if percent(check.before) == percent(check.after):
        return (
            "lowers the probability by less than one point "
            f"({_exact(check.before)} to {_exact(check.after)})"
        )
    return f"lowers the probability {_from_to(check)}"


def _from_to(check: Removal) -> str:
    return f"from {percent(check.before)} to {percent(check.after)}"


def _exact(probability: float) -> str:
    return f"{100 * probability:.2f}{SPACE}%"
