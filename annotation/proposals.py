"""Terms that experts miss: proposing them on a unit, and deciding on them."""

from django.db import transaction
from django.utils import timezone

from accounts.models import Role, User
from annotation.models import Label, TermProposal
from annotation.moving import use_vocabulary
from annotation.services import give_term
from catalog.models import Project, Term
from catalog.vocabularies.entries import (
    LENGTHS,
    VocabularyError,
    folded,
    several_lines,
    short,
)
from catalog.vocabulary_services import add_term, copy_vocabulary

DECIDERS = (Role.ADMIN, Role.ADJUDICATOR)
TEXT_CHARACTERS = 2000


class ProposalError(ValueError):
    """A proposal, or a decision on one, is refused; the message says what to do."""


@transaction.atomic
def propose_term(
    *,
    user: User,
    project: Project,
    name: str,
    label: Label | None,
    parent: Term | None = None,
    category: str = "",
    definition: str = "",
) -> TermProposal:
    """Ask for a term that the vocabulary lacks. The label gets it once it is approved by that name.

    Raises:
        ProposalError: no name, an overlong text, a name that the vocabulary has, or the same
            proposal is open on this label.
    """
    if label is not None and label.author_id != user.pk:
        raise ProposalError("A term can be proposed for labels of your own only.")
    try:
        name = short(name, "name", LENGTHS["name"])
        category = short(category, "category", LENGTHS["category"], empty=True)
        definition = several_lines(definition)
    except VocabularyError as error:
        raise ProposalError(str(error)) from error
    if len(definition) > TEXT_CHARACTERS:
        raise ProposalError(f"The definition has more than {TEXT_CHARACTERS} characters.")
    if parent is not None and parent.vocabulary_id != project.vocabulary_id:
        raise ProposalError("The parent must be a term of the project's vocabulary.")
    for term in project.vocabulary.terms.filter(retired=False):
        if folded(term.name) == folded(name):
            raise ProposalError(f"“{term.name}” is in the vocabulary already. Choose it.")
    same = project.term_proposals.filter(state=TermProposal.State.OPEN, name__iexact=name)
    if same.filter(label=label, proposed_by=user).exists():
        raise ProposalError(f"You have proposed “{name}” here already; it waits for a decision.")
    return TermProposal.objects.create(
        project=project,
        name=name,
        category=category,
        parent=parent,
        definition=definition,
        label=label,
        proposed_by=user,
    )


@transaction.atomic
def approve_proposal(
    *,
    proposal: TermProposal,
    user: User,
    name: str,
    code: str = "",
    parent: Term | None = None,
    category: str = "",
    help_text: str = "",
) -> tuple[Term, int]:
    """Add the term, and give it to the labels of all open proposals of the same name.

    Under another name than was proposed, labels stay as they are: nobody chose that term.
    A vocabulary that the project may not edit is copied first, and the project uses the copy.

    Returns:
        The term, and the number of labels that got it.

    Raises:
        ProposalError: decided already.
        VocabularyError: see `vocabulary_services.add_term`.
    """
    proposal = _open(proposal)
    project = proposal.project
    parent_code = parent.code if parent else None
    if project.vocabulary.owner_id is None:
        own = copy_vocabulary(project=project, source=project.vocabulary, user=user)
        use_vocabulary(project=project, vocabulary=own)
        project.refresh_from_db()
    term = add_term(
        vocabulary=project.vocabulary,
        name=name,
        code=code,
        parent=project.vocabulary.terms.get(code=parent_code) if parent_code else None,
        category=category,
        help_text=help_text,
    )
    asked = _approve(proposal, term, user)
    if folded(term.name) != folded(proposal.name):
        return term, 0
    labels = [entry.label for entry in asked if entry.label]
    return term, sum(give_term(label=label, term=term, given_by=user) for label in labels)


@transaction.atomic
def point_proposal(*, proposal: TermProposal, user: User, term: Term) -> None:
    """Answer all open proposals of the name with a term that exists.

    Labels stay as they are; the experts read which term to use.

    Raises:
        ProposalError: decided already, or not a term in use of the project's vocabulary.
    """
    proposal = _open(proposal)
    if term.vocabulary_id != proposal.project.vocabulary_id or term.retired:
        raise ProposalError("Choose a term in use of the project's vocabulary.")
    _approve(proposal, term, user)


@transaction.atomic
def decline_proposal(*, proposal: TermProposal, user: User, reason: str) -> None:
    """Decline a proposal; the expert sees the reason.

    Raises:
        ProposalError: decided already, or no reason.
    """
    proposal = _open(proposal)
    reason = reason.strip()
    if not reason:
        raise ProposalError("Give a reason; the expert will read it.")
    _decide(proposal, TermProposal.State.DECLINED, user, reason=reason[:TEXT_CHARACTERS])


def open_proposals(project: Project) -> int:
    return project.term_proposals.filter(state=TermProposal.State.OPEN).count()


def _open(proposal: TermProposal) -> TermProposal:
    """The proposal as it is now. Decisions in a project wait for one another: each may decide on
    several proposals of the same name."""
    Project.objects.select_for_update().get(pk=proposal.project_id)
    proposal = TermProposal.objects.select_related("project__vocabulary").get(pk=proposal.pk)
    if proposal.state != TermProposal.State.OPEN:
        raise ProposalError(
            f"“{proposal.name}” has been decided already ({proposal.get_state_display().lower()})."
        )
    return proposal


def _approve(proposal: TermProposal, term: Term, user: User) -> list[TermProposal]:
    """Answer all open proposals of the same name with a term, and return them."""
    same = list(
        proposal.project.term_proposals.filter(
            state=TermProposal.State.OPEN, name__iexact=proposal.name
        ).select_related("label")
    )
    for asked in same:
        _decide(asked, TermProposal.State.APPROVED, user, term=term)
    return same


def _decide(
    proposal: TermProposal,
    state: TermProposal.State,
    user: User,
    *,
    term: Term | None = None,
    reason: str = "",
) -> None:
    proposal.state = state
    proposal.term = term
    proposal.reason = reason
    proposal.decided_by = user
    proposal.decided = timezone.now()
    proposal.save(update_fields=["state", "term", "reason", "decided_by", "decided"])
