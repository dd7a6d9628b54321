"""The vocabularies that ship, and what a faulty file does."""

import json
import re
from typing import Any

import pytest
from django.core.management import call_command

from analysis.phantoms import CONCEPTS
from catalog import vocabularies
from catalog.models import Term
from catalog.selectors import mapped_terms
from catalog.vocabularies import VocabularyError, json_format

CODES = [
    "composition.almost-entirely-fatty", "composition.scattered-fibroglandular",
    "composition.heterogeneously-dense", "composition.extremely-dense", "mass", "mass.shape.oval",
    "mass.shape.round", "mass.shape.irregular", "mass.margin.circumscribed",
    "mass.margin.obscured", "mass.margin.microlobulated", "mass.margin.indistinct",
    "mass.margin.spiculated", "mass.density.high", "mass.density.equal", "mass.density.low",
    "mass.density.fat-containing", "calcification", "calcification.benign.skin",
    "calcification.benign.vascular", "calcification.benign.coarse",
    "calcification.benign.large-rod-like", "calcification.benign.round",
    "calcification.benign.rim", "calcification.benign.dystrophic",
    "calcification.benign.milk-of-calcium", "calcification.benign.suture",
    "calcification.suspicious.amorphous", "calcification.suspicious.coarse-heterogeneous",
    "calcification.suspicious.fine-pleomorphic", "calcification.suspicious.fine-linear",
    "calcification.distribution.diffuse", "calcification.distribution.regional",
    "calcification.distribution.grouped", "calcification.distribution.linear",
    "calcification.distribution.segmental", "architectural-distortion", "asymmetry.asymmetry",
    "asymmetry.global", "asymmetry.focal", "asymmetry.developing", "intramammary-lymph-node",
    "skin-lesion", "solitary-dilated-duct", "associated.skin-retraction",
    "associated.nipple-retraction", "associated.skin-thickening",
    "associated.trabecular-thickening", "associated.axillary-adenopathy", "other.normal-tissue",
    "other.dense-tissue", "other.vessel", "other.breast-edge", "other.chest-wall",
    "other.inframammary-fold", "other.artefact", "other.skin", "other.nipple", "other.mixed",
]  # fmt: skip


def small() -> dict[str, Any]:
    terms = [
        {"code": code, "name": code, "phrase": code, "category": "c", "help": "h"}
        for code in ("a", "b")
    ]
    return {
        "slug": "s", "name": "S", "version": "1", "source": "", "code_system": "X", "terms": terms,
    }  # fmt: skip


def test_bi_rads_has_exactly_the_codes_that_labels_and_reports_use() -> None:
    terms = vocabularies.read("bi-rads-mammography").terms
    assert {term.code for term in terms} == set(CODES)
    for term in terms:
        extra = term.code.startswith("other.")
        assert term.code_system == ("UNITSCOPE" if extra else "BI-RADS 5")


def test_parents_follow_the_codes() -> None:
    for term in vocabularies.read("bi-rads-mammography").terms:
        family = term.code.split(".")[0]
        expected = family if term.code != family and family in CODES else None
        assert term.parent == expected, term.code


@pytest.mark.parametrize("slug", vocabularies.available())
def test_every_term_has_words(slug: str) -> None:
    for term in vocabularies.read(slug).terms:
        assert term.name
        assert term.help_text.endswith(".")
        assert term.phrase == term.phrase.strip()
        assert not term.phrase.endswith(".")


def test_every_concept_of_the_phantoms_has_its_term() -> None:
    assert {concept.term for concept in CONCEPTS if concept.term} <= set(CODES)


@pytest.mark.django_db
def test_loading_twice_changes_nothing_and_what_left_the_file_is_retired() -> None:
    vocabulary = vocabularies.load("bi-rads-mammography")
    before = list(Term.objects.order_by("pk").values())
    mappings = {str(mapping) for term in vocabulary.terms.all() for mapping in term.mappings.all()}
    old = Term.objects.create(vocabulary=vocabulary, code="gone", name="Gone", position=99)
    vocabularies.load("bi-rads-mammography")
    old.refresh_from_db()
    assert old.retired
    assert list(Term.objects.exclude(pk=old.pk).order_by("pk").values()) == before
    after = {str(mapping) for term in vocabulary.terms.all() for mapping in term.mappings.all()}
    assert after == mappings


@pytest.mark.django_db
def test_a_term_that_returns_is_no_longer_retired() -> None:
    vocabulary = vocabularies.load("general-visual")
    vocabulary.terms.update(retired=True)
    call_command("load_vocabularies", verbosity=0)
    assert not vocabulary.terms.filter(retired=True).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["terms"].append(v["terms"][0] | {"name": "c"}), "“a” is already used: Term 1"),
        (lambda v: v["terms"][1].update(name="A"), "name “A” is already used: Term 1"),
        (lambda v: v["terms"][1].update(name=" "), "Term 2 (“b”): Give a name"),
        (lambda v: v["terms"][1].update(parent="zz"), "“b” has the parent “zz”"),
        (
            lambda v: [t.update(parent=p) for t, p in zip(v["terms"], "ba", strict=True)],
            "circle: b → a",
        ),
        (lambda v: v["terms"][1].update(synonyms="x"), "must be a list of texts"),
        (lambda v: v["terms"][1].update(help=["x"]), "“help_text” must be text"),
        (lambda v: v["terms"][1].update(name="x\ud800"), "control character U+D800"),
        (lambda v: v["terms"][1].update(colour="red"), "no field colour"),
        (lambda v: v.pop("terms"), "a list “terms”"),
        (
            lambda v: [
                term.update(mappings=[{"system": "D", "field": "f", "value": "x"}])
                for term in v["terms"]
            ],
            "D f=x is already mapped: Term 1",
        ),
    ],
)
def test_a_faulty_file_is_refused_with_the_entry_at_fault(change: Any, message: str) -> None:
    content = json.loads(json.dumps(small()))
    change(content)
    with pytest.raises(VocabularyError, match=re.escape(message)):
        json_format.from_dict(content)
    assert json_format.from_dict(small()).slug == "s"


def test_an_unknown_vocabulary_names_those_that_ship() -> None:
    with pytest.raises(VocabularyError, match="bi-rads-mammography, general-visual"):
        vocabularies.read("../settings")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value", "codes"),
    [
        ("shape", "LOBULATED", ["mass.shape.oval"]),
        ("shape", "OVAL", ["mass.shape.oval"]),
        ("margins", "MICROLOBULATED", ["mass.margin.microlobulated"]),
        ("margins", "ILL_DEFINED", ["mass.margin.indistinct"]),
        ("margins", "ILL_DEFINED-SPICULATED", ["mass.margin.indistinct", "mass.margin.spiculated"]),
        ("shape", "IRREGULAR-ARCHITECTURAL_DISTORTION",
         ["mass.shape.irregular", "architectural-distortion"]),
        ("type", "EGGSHELL", ["calcification.benign.rim"]),
        ("type", "LUCENT_CENTERED", ["calcification.benign.rim"]),
        ("type", "LUCENT_CENTER-EGGSHELL", ["calcification.benign.rim"]),
        ("type", "PUNCTATE", ["calcification.benign.round"]),
        ("type", "ROUND_AND_REGULAR", ["calcification.benign.round"]),
        ("type", "PLEOMORPHIC", ["calcification.suspicious.fine-pleomorphic"]),
        ("type", "FINE_LINEAR_BRANCHING", ["calcification.suspicious.fine-linear"]),
        ("distribution", "CLUSTERED", ["calcification.distribution.grouped"]),
        ("shape", "ASYMMETRIC_BREAST_TISSUE", ["asymmetry.global"]),
        ("shape", "FOCAL_ASYMMETRIC_DENSITY", ["asymmetry.focal"]),
        ("shape", "LYMPH_NODE", ["intramammary-lymph-node"]),
        ("lesion_type", "MASS", ["mass"]),
        ("distribution", "N/A", []),
        ("margins", "LOBULATED", []),
    ],
)  # fmt: skip
def test_old_descriptors_become_present_terms(field: str, value: str, codes: list[str]) -> None:
    vocabulary = vocabularies.load("bi-rads-mammography")
    found = mapped_terms(vocabulary, "DDSM", field, value)
    assert [term.code for term in found] == codes
