"""Terms that experts miss: proposed on a unit, decided by admins and adjudicators."""

from dataclasses import replace

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Membership, Role
from annotation import proposals
from annotation.models import Label, TermProposal
from annotation.proposals import ProposalError
from annotation.questions import DEFAULT, revise
from annotation.selectors import history, is_answered
from annotation.services import save_label, undo_label
from catalog.models import Term, Vocabulary
from tests.platform.factories import World

LAYER = "layer4"


def label_of(world: World, who: str = "expert1", unit: int = 0) -> Label:
    return save_label(user=world.people[who], model=world.model, layer_name=LAYER, unit_index=unit)


def propose(world: World, name: str = "Halo", who: str = "expert1", unit: int = 0) -> TermProposal:
    return proposals.propose_term(
        user=world.people[who], project=world.project, name=name, label=label_of(world, who, unit)
    )


def names(label: Label) -> list[str]:
    return [term.name for term in label.terms.all()]


def signed_in(world: World, who: str) -> Client:
    client = Client()
    client.force_login(world.people[who])
    return client


def propose_address(world: World, unit: int = 0) -> str:
    return reverse("unit-propose", args=[world.project.slug, world.dissection.pk, LAYER, unit])


def test_an_approved_term_reaches_all_labels_that_asked_for_it(world: World) -> None:
    shared = world.project.vocabulary
    first, second, said_no = (
        propose(world), propose(world, " halo ", "expert2"), propose(world, unit=1)
    )  # fmt: skip
    save_label(
        user=world.people["expert1"], model=world.model, layer_name=LAYER, unit_index=1,
        recognisable="no",
    )  # fmt: skip
    term, given = proposals.approve_proposal(
        proposal=first, user=world.people["admin"], name="Halo", category="Signs"
    )
    assert given == 2
    world.project.refresh_from_db()
    assert world.project.vocabulary.owner == world.project, "the shared one was copied first"
    assert not shared.terms.filter(code=term.code).exists()
    assert term.vocabulary == world.project.vocabulary
    for proposal in (first, second):
        proposal.refresh_from_db()
        assert (proposal.state, proposal.term) == ("approved", term)
        assert proposal.label is not None
        assert names(proposal.label) == ["Halo"]
        assert proposal.label.recognisable == "yes"
        assert history(proposal.label)[0].change == "Added Halo (given by Alex Admin)"
    said_no.refresh_from_db()
    assert said_no.label is not None
    assert said_no.label.recognisable == "no", "an answer is not turned round"
    assert names(said_no.label) == []


def test_a_proposal_can_be_answered_with_a_term_that_exists(world: World) -> None:
    proposal = propose(world)
    vessel = Term.objects.get(code="other.vessel")
    admin = world.people["admin"]
    proposals.point_proposal(proposal=proposal, user=admin, term=vessel)
    assert names(label_of(world)) == [], "nobody puts a term into a label that did not ask for it"
    unit = reverse("unit", args=["study", world.dissection.pk, LAYER, 0])
    assert "Use “Vessel” instead" in signed_in(world, "expert1").get(unit).content.decode()
    assert Vocabulary.objects.count() == 1, "nothing had to be copied"
    with pytest.raises(ProposalError, match="decided already"):
        proposals.decline_proposal(proposal=proposal, user=admin, reason="no")


def test_a_term_approved_by_another_name_reaches_no_label(world: World) -> None:
    _, given = proposals.approve_proposal(
        proposal=propose(world), user=world.people["admin"], name="Ring"
    )
    assert given == 0
    assert names(label_of(world)) == []


def test_a_label_that_gets_a_term_keeps_its_question_set(world: World) -> None:
    expert = world.people["expert1"]
    save_label(
        user=expert, model=world.model, layer_name=LAYER, unit_index=0, term_codes=["other.vessel"]
    )
    proposal = propose(world)
    required = [replace(question, required=True) for question in DEFAULT]
    revise(world.project, required, world.people["admin"])
    proposals.approve_proposal(proposal=proposal, user=world.people["admin"], name="Halo")
    label = Label.objects.get()
    assert label.question_set is not None
    assert label.question_set.number == 1
    assert is_answered(label), "a whole answer stays whole"
    last = label.revisions.last()
    assert last is not None
    assert last.state["given_by"] == "admin"
    undo_label(user=expert, label=label)
    assert names(label) == ["Vessel"]
    assert history(label)[0].change == "Took back change 2"


def test_decisions_on_proposals_of_one_name_wait_for_one_another(world: World) -> None:
    proposal = propose(world)
    propose(world, who="expert2")
    with CaptureQueriesContext(connection) as queries:
        proposals.approve_proposal(proposal=proposal, user=world.people["admin"], name="Halo")
    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert 'FROM "catalog_project"' in statements[0]
    assert statements[0].endswith("FOR UPDATE"), "before anything else is read or locked"


def test_what_cannot_be_proposed_is_said_in_words(world: World) -> None:
    propose(world)
    with pytest.raises(ProposalError, match="waits for a decision"):
        propose(world, "HALO")
    with pytest.raises(ProposalError, match="“Vessel” is in the vocabulary"):
        propose(world, "vessel")
    with pytest.raises(ProposalError, match="Give a name"):
        propose(world, "  ")
    with pytest.raises(ProposalError, match="labels of your own"):
        proposals.propose_term(
            user=world.people["expert2"], project=world.project, name="x", label=label_of(world)
        )
    with pytest.raises(ProposalError, match="Give a reason"):
        proposals.decline_proposal(
            proposal=TermProposal.objects.get(), user=world.people["admin"], reason=" "
        )


def test_an_expert_proposes_beside_the_answer_and_reads_what_became_of_it(world: World) -> None:
    expert = signed_in(world, "expert1")
    options = expert.get(reverse("term-search", args=["study"]), {"q": "ha<lo"}).content.decode()
    assert "Propose “ha&lt;lo”" in options
    dialog = expert.get(propose_address(world), {"name": "Halo"}).content.decode()
    assert 'value="Halo"' in dialog
    refused = expert.post(propose_address(world), {"name": "Vessel"})
    assert refused.status_code == 422
    assert refused["HX-Retarget"] == "#propose-body"
    assert "in the vocabulary already" in refused.content.decode()
    sent = expert.post(propose_address(world), {"name": "Halo", "definition": "A bright ring."})
    assert sent["Unitscope-Saved"] == "yes"
    assert "Halo" in sent.content.decode()

    proposal = TermProposal.objects.get()
    decide = reverse("term-proposal", args=["study", proposal.pk])
    admin = signed_in(world, "admin")
    assert "1 proposed term waits" in admin.get("/p/study/vocabulary/").content.decode()
    page = admin.get(decide).content.decode()
    assert "A bright ring." in page
    assert "makes this project’s own copy first" in page
    assert admin.post(decide, {"answer": "decline", "reason": ""}).status_code == 422
    answer = {"answer": "decline", "reason": "Use <Vessel>."}
    assert admin.post(decide, answer).status_code == 302
    unit = reverse("unit", args=["study", world.dissection.pk, LAYER, 0])
    assert "Use &lt;Vessel&gt;." in expert.get(unit).content.decode()
    assert (
        "Use &lt;Vessel&gt;."
        in expert.get(reverse("term-proposals", args=["study"])).content.decode()
    )
    assert "has been decided" in admin.get(decide).content.decode()


def test_approving_in_the_page_copies_the_shared_vocabulary_with_a_word(world: World) -> None:
    proposal = propose(world)
    Membership.objects.create(
        project=world.project, user=world.people["outsider"], role=Role.ADJUDICATOR
    )
    judge = signed_in(world, "outsider")
    decide = reverse("term-proposal", args=["study", proposal.pk])
    parent = world.project.vocabulary.terms.get(code="mass")
    form = {"answer": "approve", "name": "Vessel", "parent": parent.pk}
    taken = judge.post(decide, form)
    assert taken.status_code == 422
    assert "already a term “Vessel”" in taken.content.decode()
    world.project.refresh_from_db()
    assert world.project.vocabulary.owner is None, "a refused approval copies nothing"
    page = judge.post(decide, form | {"name": "Halo"}, follow=True).content.decode()
    assert "was copied first" in page
    assert "1 label got it" in page
    [term] = label_of(world).terms.all()
    assert (term.code, term.parent and term.parent.code) == ("mass.halo", "mass")


def test_experts_see_their_own_proposals_only(world: World) -> None:
    propose(world, "Halo of the first")
    other = signed_in(world, "expert2").get(reverse("term-proposals", args=["study"]))
    assert "Halo of the first" not in other.content.decode()
