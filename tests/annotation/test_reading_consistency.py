"""Readers against themselves and against controls, compared with independent computations."""

import pytest

from annotation.reading.consistency import Answer, control_contrast, self_agreement, share


def answers(text: str) -> list[Answer]:
    """One letter an answer: y, n or u."""
    names = {"y": "yes", "n": "no", "u": "unsure"}
    return [Answer(names[letter], frozenset()) for letter in text]


def test_agreement_and_kappa_equal_their_definitions() -> None:
    first, again = "yyyyynnnuu", "yyynnnnnuy"
    found = self_agreement(list(zip(answers(first), answers(again), strict=True)))
    assert found
    observed = sum(a == b for a, b in zip(first, again, strict=True)) / 10
    expected = sum(first.count(c) * again.count(c) for c in "ynu") / 100
    assert found.pairs == 10
    assert found.agreement == pytest.approx(observed)
    assert found.kappa == pytest.approx((observed - expected) / (1 - expected))


def test_answers_at_random_have_no_kappa_worth_the_name() -> None:
    """The control: both answers are independent, so agreement is what chance gives."""
    first, again = "yn" * 50, "yynn" * 25
    found = self_agreement(list(zip(answers(first), answers(again), strict=True)))
    assert found
    assert found.agreement == 0.5
    assert found.kappa == pytest.approx(0)


def test_what_is_not_defined_is_none() -> None:
    assert self_agreement([]) is None
    same = self_agreement([(Answer("no", frozenset()), Answer("no", frozenset()))])
    assert same
    assert (same.agreement, same.kappa, same.overlap) == (1, None, None)
    assert control_contrast(answers("n"), []) is None


def test_terms_overlap_by_jaccard_where_there_are_any() -> None:
    def yes(*terms: str) -> Answer:
        return Answer("yes", frozenset(terms))

    found = self_agreement(
        [
            (yes("a", "b"), yes("b", "c")),
            (yes("a"), yes("a")),
            (yes("a"), Answer("no", frozenset())),
            (Answer("no", frozenset()), Answer("no", frozenset())),
        ]
    )
    assert found
    assert found.overlap == pytest.approx((1 / 3 + 1 + 0) / 3)


def test_the_difference_of_shares_has_newcombe_s_interval() -> None:
    """56/70 against 48/80: the worked example (a) of Newcombe 1998, table II, method 10."""
    found = control_contrast(answers("n" * 56 + "y" * 14), answers("n" * 48 + "y" * 32))
    assert found
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == (
        pytest.approx(0.0524, abs=5e-5),
        pytest.approx(0.3339, abs=5e-5),
    )
    assert found.differs


def test_a_reader_who_sees_as_much_in_controls_shows_no_difference() -> None:
    found = control_contrast(answers("nnyyyyyyyy"), answers("nnnnnnyyyyyyyyyyyyyyyyyyyyyyyy"))
    assert found
    assert found.difference == pytest.approx(0)
    assert not found.differs


def test_a_share_has_wilson_s_interval() -> None:
    found = share(0, 10)
    z = 1.959963984540054
    assert found.low == 0
    assert found.high == pytest.approx(z**2 / (10 + z**2))
