"""A project's own vocabulary: copying, editing, releasing, importing and switching it."""

from typing import Any

import pytest

from annotation.models import Consensus, Label, TermProposal
from annotation.moving import fit, in_use, use_vocabulary
from annotation.services import save_label, undo_label
from catalog import vocabulary_services as services
from catalog.models import Concept, Term, TermMapping, Vocabulary
from catalog.vocabularies import json_format
from catalog.vocabularies.changes import changes_between
from catalog.vocabularies.entries import Content, Stated, VocabularyError, checked_terms
from catalog.vocabularies.exchange import FORMATS, read_bytes
from catalog.vocabularies.storing import content_of
from catalog.vocabulary_selectors import compare, content_at
from tests.platform.factories import World, build_world

SPICULATED, VESSEL = "mass.margin.spiculated", "other.vessel"


@pytest.fixture
def world(db: None) -> World:
    return build_world(images=3, units=4)


@pytest.fixture
def own(world: World) -> Vocabulary:
    """The project's own copy, in use."""
    copy = services.copy_vocabulary(
        project=world.project, source=world.project.vocabulary, user=world.people["admin"]
    )
    use_vocabulary(project=world.project, vocabulary=copy)
    world.project.refresh_from_db()
    world.model.refresh_from_db()
    return copy


def name_unit(world: World, *codes: str, unit: int = 0, who: str = "expert1") -> Label:
    return save_label(
        user=world.people[who], model=world.model, layer_name="layer4", unit_index=unit,
        term_codes=list(codes),
    )  # fmt: skip


def term(vocabulary: Vocabulary, code: str) -> Term:
    return vocabulary.terms.select_related("vocabulary", "parent").get(code=code)


def change(term: Term, **changes: Any) -> Term:
    before = term.vocabulary.terms.filter(position__lt=term.position).last()
    present = {
        "name": term.name, "parent": term.parent, "category": term.category,
        "phrase": term.phrase, "code_system": term.code_system, "synonyms": term.synonyms,
        "help_text": term.help_text, "behind": before,
    }  # fmt: skip
    return services.change_term(term=term, **present | changes)


def words(vocabulary: Vocabulary) -> list[str]:
    return [term.code for term in vocabulary.terms.order_by("position")]


def test_a_copy_takes_everything_of_its_project_over_and_nothing_of_others(world: World) -> None:
    shared = world.project.vocabulary
    other = build_world(images=3, units=4, slug="second")
    other.project.vocabulary = shared
    other.project.save()
    other.model.refresh_from_db()
    mass = term(shared, "mass")
    Term.objects.filter(vocabulary=shared, code=SPICULATED).update(parent=mass, retired=True)
    TermMapping.objects.create(term=mass, system="DDSM", field="shape", value="x")
    Concept.objects.filter(dataset=world.dataset, key="mass").update(term=mass)
    Concept.objects.filter(dataset=other.dataset, key="mass").update(term=mass)
    label, foreign = name_unit(world, "mass", VESSEL), name_unit(other, "mass")
    decided = Consensus.objects.create(
        model=world.model, layer_name="layer4", unit_index=0, number=1, recognisable="yes",
        source="agreement", model_sha256="", basis=[],
    )  # fmt: skip
    decided.terms.add(mass)

    copy = services.copy_vocabulary(project=world.project, source=shared, user=None)
    use_vocabulary(project=world.project, vocabulary=copy)

    assert [t.vocabulary for t in label.terms.all()] == [copy, copy]
    assert [t.vocabulary for t in decided.terms.all()] == [copy]
    assert [t.vocabulary for t in foreign.terms.all()] == [shared]
    concepts = {c.dataset: c.term for c in Concept.objects.filter(key="mass")}
    assert concepts[world.dataset] == term(copy, "mass")
    assert concepts[other.dataset] == mass
    assert [str(m) for m in term(copy, "mass").mappings.all()] == ["DDSM shape=x → Mass"]
    assert term(copy, SPICULATED).parent == term(copy, "mass")
    assert content_of(copy).terms == content_of(shared).terms
    assert [release.version for release in copy.releases.all()] == ["5"]


def test_a_shipped_vocabulary_and_those_of_other_projects_are_not_changed(
    world: World, own: Vocabulary
) -> None:
    shared = Vocabulary.objects.get(owner=None)
    refused = pytest.raises(VocabularyError, match="own copy to change it")
    with refused:
        services.add_term(vocabulary=shared, name="New")
    with refused:
        change(term(shared, "mass"), name="Lump")
    with refused:
        services.retire_term(term=term(shared, "mass"))
    with refused:
        services.publish(vocabulary=shared, version="9", note="", user=None)
    other = build_world(images=3, units=4, slug="second")
    with pytest.raises(VocabularyError, match="another project"):
        use_vocabulary(project=other.project, vocabulary=own)


def test_a_term_is_added_beside_its_siblings_with_a_code_of_its_own(own: Vocabulary) -> None:
    change(term(own, SPICULATED), parent=term(own, "mass"))
    added = services.add_term(vocabulary=own, name="  Cystic   mass ", parent=term(own, "mass"))
    assert (added.code, added.name, added.phrase) == (
        "mass.cystic-mass",
        "Cystic mass",
        "cystic mass",
    )
    assert added.category == "Mass"
    assert words(own).index(added.code) == words(own).index(SPICULATED) + 1
    assert sorted(own.terms.values_list("position", flat=True)) == list(range(11))


def test_moving_and_renaming_keep_code_and_labels(world: World, own: Vocabulary) -> None:
    label = name_unit(world, SPICULATED)
    change(term(own, SPICULATED), name="Starlike margin", parent=term(own, "mass"), behind=None)
    assert words(own)[0] == SPICULATED
    moved = label.terms.get()
    assert (moved.code, moved.name, moved.parent) == (
        SPICULATED, "Starlike margin", term(own, "mass"),
    )  # fmt: skip
    assert label.revisions.get().state["terms"] == [
        {"code": SPICULATED, "name": "Spiculated margin"}
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": " "}, "Give a name"),
        ({"name": "VESSEL"}, "already a term “Vessel”"),
        ({"name": "x" * 121}, "at most 120"),
        ({"synonyms": ["x\x07"]}, "control character U\\+0007"),
    ],
)
def test_what_a_term_cannot_be_is_said_in_words(
    own: Vocabulary, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(VocabularyError, match=message):
        change(term(own, "mass"), **changes)
    with pytest.raises(VocabularyError, match=message):
        services.add_term(vocabulary=own, **{"name": "New"} | changes)


def test_codes_are_unique_and_parents_never_go_round(own: Vocabulary) -> None:
    with pytest.raises(VocabularyError, match="“mass” is already used"):
        services.add_term(vocabulary=own, name="Other", code="mass")
    change(term(own, SPICULATED), parent=term(own, "mass"))
    change(term(own, VESSEL), parent=term(own, SPICULATED))
    for code in (VESSEL, "mass"):
        with pytest.raises(VocabularyError, match="cannot be a kind of itself"):
            change(term(own, "mass"), parent=term(own, code))
    foreign = Term.objects.exclude(vocabulary=own)[0]
    with pytest.raises(VocabularyError, match="same vocabulary"):
        change(term(own, "mass"), parent=foreign)


def test_a_retired_term_stays_on_labels_and_is_refused_to_new_ones(
    world: World, own: Vocabulary
) -> None:
    label = name_unit(world, VESSEL)
    services.retire_term(term=term(own, VESSEL))
    label = save_label(
        user=label.author, model=world.model, layer_name="layer4", unit_index=0, confidence=3
    )
    assert [t.code for t in label.terms.all()] == [VESSEL]
    with pytest.raises(ValueError, match="has been retired"):
        name_unit(world, VESSEL, unit=1)
    services.add_term(vocabulary=own, name="Vessel", code="vessel-2")
    with pytest.raises(VocabularyError, match="already a term “Vessel”"):
        services.bring_back_term(term=term(own, VESSEL))
    change(term(own, VESSEL), name="Old vessel")
    services.bring_back_term(term=term(own, VESSEL))
    assert name_unit(world, VESSEL, unit=1)


def test_only_a_term_that_nothing_holds_is_deleted(world: World, own: Vocabulary) -> None:
    with pytest.raises(VocabularyError, match="a release holds it"):
        services.delete_term(term=term(own, VESSEL), in_use=False)
    added = services.add_term(vocabulary=own, name="New", code="new")
    below = services.add_term(vocabulary=own, name="Below", code="below", parent=added)
    with pytest.raises(VocabularyError, match="kinds of it"):
        services.delete_term(term=added, in_use=in_use(added))
    label = name_unit(world, "below")
    undo_label(user=label.author, label=label)
    assert not label.terms.exists()
    assert in_use(below), "the history can bring it back"
    with pytest.raises(VocabularyError, match="history hold it"):
        services.delete_term(term=below, in_use=in_use(below))
    spare = services.add_term(vocabulary=own, name="Spare", code="spare")
    services.delete_term(term=spare, in_use=in_use(spare))
    assert "spare" not in words(own)


def test_releases_are_kept_and_compared(world: World, own: Vocabulary) -> None:
    with pytest.raises(VocabularyError, match="Nothing has changed since the release 5"):
        services.publish(vocabulary=own, version="6", note="", user=None)
    services.add_term(vocabulary=own, name="New", code="new")
    change(term(own, "mass"), name="Lump", synonyms=["mass"])
    services.retire_term(term=term(own, VESSEL))
    change(term(own, SPICULATED), parent=term(own, "mass"))
    services.publish(vocabulary=own, version="6", note="More words", user=world.people["admin"])
    own.refresh_from_db()
    assert own.version == "6"
    with pytest.raises(VocabularyError, match="already a release 6"):
        services.publish(vocabulary=own, version="6", note="", user=None)
    changes = compare(own, "5", "6").changes
    assert {heading: [c.code for c in group] for heading, group in changes.groups} == {
        "Added": ["new"],
        "Renamed": ["mass"],
        "Moved": [SPICULATED],
        "Retired": [VESSEL],
        "Other changes": ["mass"],
    }
    assert changes.renamed[0].text == "was “Mass”"
    assert changes.moved[0].text == "under Lump"
    services.bring_back_term(term=term(own, VESSEL))
    assert [c.code for c in compare(own, "6", "").changes.returned] == [VESSEL]
    assert content_at(own, "5").terms[0].name == "Mass"


def test_one_term_that_moves_is_one_move() -> None:
    """Against the order of the list: the other terms have only slid."""
    entries = checked_terms([Stated("", {"code": c, "name": c}) for c in "abcdefg"])
    moved = (*entries[1:6], entries[0], entries[6])
    before, after = (Content("", "", "", "", terms) for terms in (entries, moved))
    assert [c.code for c in changes_between(before, after).moved] == ["a"]
    assert not changes_between(before, before).groups


@pytest.mark.parametrize("key", FORMATS)
def test_a_stored_vocabulary_goes_out_and_comes_back_unchanged(own: Vocabulary, key: str) -> None:
    services.retire_term(term=term(own, VESSEL))
    change(term(own, SPICULATED), parent=term(own, "mass"), help_text="=1\nmore")
    before = content_of(own)
    entry = FORMATS[key]
    content = read_bytes(entry.write(before).encode(), f"v.{entry.extension}")
    assert not changes_between(before, content).groups
    services.import_content(vocabulary=own, content=content, base=services.digest(before))
    assert not changes_between(before, content_of(own)).groups


def test_an_import_retires_what_the_file_lacks_and_is_refused_when_overtaken(
    world: World, own: Vocabulary
) -> None:
    label = name_unit(world, VESSEL)
    before = content_of(own)
    content = read_bytes(b"code,name\nmass,Lump\nnew,New\n", "v.csv")
    services.add_term(vocabulary=own, name="Meanwhile")
    with pytest.raises(VocabularyError, match="changed since"):
        services.import_content(vocabulary=own, content=content, base=services.digest(before))
    base = services.digest(content_of(own))
    services.import_content(vocabulary=own, content=content, base=base)
    assert own.terms.count() == 12, "nothing is deleted"
    assert [t.code for t in own.terms.filter(retired=False)] == ["mass", "new"]
    assert label.terms.get().name == "Vessel"


def test_switching_keeps_labels_readable_and_undo_working(world: World, own: Vocabulary) -> None:
    kept, lost = name_unit(world, "mass"), name_unit(world, "mass", VESSEL, unit=1)
    content = json_format.from_dict({"terms": [{"code": "mass", "name": "Lump"}]})
    small = services.create_vocabulary(project=world.project, name="Small", content=content)
    found = fit(world.project, small)
    assert (found.labels, found.unfit_labels, found.missing) == (2, 1, ["Vessel"])
    use_vocabulary(project=world.project, vocabulary=small)
    world.model.project.refresh_from_db()
    assert [t.name for t in kept.terms.all()] == ["Lump"]
    assert {t.name for t in lost.terms.all()} == {"Lump", "Vessel"}

    saved = save_label(
        user=lost.author, model=world.model, layer_name="layer4", unit_index=1, note="still there"
    )
    assert {t.code for t in saved.terms.all()} == {"mass", VESSEL}
    removed = save_label(
        user=lost.author, model=world.model, layer_name="layer4", unit_index=1,
        remove_terms=[VESSEL],
    )  # fmt: skip
    back = undo_label(user=lost.author, label=removed)
    assert {t.code for t in back.terms.all()} == {"mass", VESSEL}
    with pytest.raises(ValueError, match="not a term of"):
        name_unit(world, VESSEL, unit=2)
    use_vocabulary(project=world.project, vocabulary=own)
    assert {t.vocabulary for t in lost.terms.all()} == {own}


def test_proposals_follow_the_vocabulary(world: World) -> None:
    proposal = TermProposal.objects.create(
        project=world.project, name="x", proposed_by=world.people["expert1"],
        parent=term(world.project.vocabulary, "mass"),
    )  # fmt: skip
    copy = services.copy_vocabulary(
        project=world.project, source=world.project.vocabulary, user=None
    )
    use_vocabulary(project=world.project, vocabulary=copy)
    proposal.refresh_from_db()
    assert proposal.parent == term(copy, "mass")


def test_two_copies_have_names_and_slugs_of_their_own(world: World, own: Vocabulary) -> None:
    shared = Vocabulary.objects.get(owner=None)
    second = services.copy_vocabulary(project=world.project, source=shared, user=None)
    assert (own.name, second.name) == ("Lexicon", "Lexicon 2")
    assert own.slug != second.slug
    with pytest.raises(VocabularyError, match="already has a vocabulary “lexicon”"):
        services.create_vocabulary(project=world.project, name="lexicon")
