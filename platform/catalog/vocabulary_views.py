"""The vocabulary of a project: reading it, choosing it, and changing the project's own."""

from itertools import groupby
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe

from accounts.access import ADMINS, LABELLERS, get_project, has_role
from accounts.requests import MemberRequest
from annotation import moving
from annotation.proposals import DECIDERS, open_proposals
from catalog import vocabulary_services as services
from catalog.models import Project, Term, Vocabulary
from catalog.terms import search_terms
from catalog.vocabularies import json_format
from catalog.vocabularies.changes import as_update, changes_between
from catalog.vocabularies.entries import Content, VocabularyError
from catalog.vocabularies.exchange import FORMATS
from catalog.vocabularies.storing import content_of
from catalog.vocabulary_forms import (
    NEW,
    ChangeTermForm,
    ConfirmForm,
    NameForm,
    ReleaseForm,
    TermForm,
    UploadForm,
)
from catalog.vocabulary_selectors import NOW, compare, content_at, usable_vocabularies
from jobs.forms import require_form, sent


@require_safe
def vocabulary(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    shown = project.vocabulary
    query = request.GET.get("q", "").strip()
    found = search_terms(shown, query, limit=shown.terms.count())
    terms = sorted(found, key=lambda term: term.position)
    context = {
        "project": project,
        "query": query,
        "term_count": len(terms),
        "categories": [
            (category, list(group))
            for category, group in groupby(terms, key=lambda term: term.category)
        ],
        "retired": [] if query else shown.terms.filter(retired=True).select_related("parent"),
        "is_own": shown.owner_id == project.pk,
        "is_admin": has_role(request.user, project, *ADMINS),
        "may_propose": has_role(request.user, project, *LABELLERS),
        "waiting": open_proposals(project) if has_role(request.user, project, *DECIDERS) else 0,
        "formats": FORMATS,
    }
    return render(request, "catalog/vocabulary.html", context)


@require_safe
def export(request: MemberRequest, slug: str) -> HttpResponse:
    """The vocabulary as a file: ?as= one of the formats, ?release= a version, else as it is now."""
    project = get_project(request.user, slug)
    return exported(
        project.vocabulary, request.GET.get("as", "csv"), request.GET.get("release", NOW)
    )


def exported(vocabulary: Vocabulary, key: str, version: str) -> HttpResponse:
    """Raises Http404 where there is no such format or release."""
    if key not in FORMATS:
        raise Http404(f"Formats: {', '.join(FORMATS)}.")
    entry = FORMATS[key]
    text = entry.write(content_at(vocabulary, version))
    name = f"{vocabulary.slug}-{slugify(version) or 'now'}.{entry.extension}"
    return HttpResponse(
        text,
        content_type=f"{entry.media_type}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@require_POST
def copy(request: MemberRequest, slug: str) -> HttpResponse:
    """Make the project's own copy of the shipped vocabulary it uses, and use that."""
    project = get_project(request.user, slug, *ADMINS)
    if project.vocabulary.owner_id == project.pk:
        messages.info(request, "This vocabulary is the project’s own already.")
        return redirect("vocabulary", slug)
    own = services.copy_vocabulary(project=project, source=project.vocabulary, user=request.user)
    found = moving.use_vocabulary(project=project, vocabulary=own)
    messages.success(request, f"This project now has its own copy. {_fit_in_words(found)}".strip())
    return redirect("vocabulary", slug)


@require_form
def choose(request: MemberRequest, slug: str) -> HttpResponse:
    """The vocabularies that the project may use; a POST names the one to use."""
    project = get_project(request.user, slug, *ADMINS)
    usable = usable_vocabularies(project)
    if request.method == "POST":
        number = request.POST.get("vocabulary", "")
        chosen = get_object_or_404(usable, pk=number if number.isdigit() else None)
        found = moving.use_vocabulary(project=project, vocabulary=chosen)
        messages.success(request, f"This project now uses {chosen}. {_fit_in_words(found)}")
        return redirect("vocabulary", slug)
    context = {
        "project": project,
        "choices": [(choice, moving.fit(project, choice)) for choice in usable],
    }
    return render(request, "catalog/vocabulary_choose.html", context)


@require_form
def create(request: MemberRequest, slug: str) -> HttpResponse:
    """An empty vocabulary of the project's own, which it uses from now on."""
    project = get_project(request.user, slug, *ADMINS)
    form = NameForm(*sent(request))
    if request.method == "POST" and form.is_valid():
        try:
            own = services.create_vocabulary(project=project, name=form.cleaned_data["name"])
        except VocabularyError as error:
            form.add_error("name", str(error))
        else:
            found = moving.use_vocabulary(project=project, vocabulary=own)
            messages.success(request, f"Created {own.name}. {_fit_in_words(found)}")
            return redirect("vocabulary", slug)
    return _form_page(request, project, form, "Create a vocabulary", "Create and use")


@require_form
def term_add(request: MemberRequest, slug: str) -> HttpResponse:
    project = _project_with_own(request, slug)
    form = TermForm(*sent(request), vocabulary=project.vocabulary)
    if request.method == "POST" and form.is_valid():
        try:
            term = services.add_term(vocabulary=project.vocabulary, **form.cleaned_data)
        except VocabularyError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Added “{term.name}” ({term.code}).")
            return redirect("vocabulary", slug)
    return _form_page(request, project, form, "Add a term", "Add")


@require_form
def term_edit(request: MemberRequest, slug: str, term: int) -> HttpResponse:
    project = _project_with_own(request, slug)
    shown = get_object_or_404(project.vocabulary.terms.select_related("vocabulary"), pk=term)
    form = ChangeTermForm(*sent(request), term=shown)
    if request.method == "POST" and form.is_valid():
        try:
            changed = services.change_term(term=shown, **form.cleaned_data)
        except VocabularyError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Saved “{changed.name}”.")
            return redirect("vocabulary", slug)
    return _form_page(request, project, form, shown.name, "Save", term=shown)


@require_POST
def term_state(request: MemberRequest, slug: str, term: int) -> HttpResponse:
    """Retire a term, bring it back, or delete it: the POST's `action`."""
    project = _project_with_own(request, slug)
    shown = get_object_or_404(project.vocabulary.terms.select_related("vocabulary"), pk=term)
    try:
        messages.success(request, _change_state(shown, request.POST.get("action", "")))
    except VocabularyError as error:
        messages.error(request, str(error))
        return redirect("term-edit", slug, shown.pk)
    return redirect("vocabulary", slug)


@require_form
def releases(request: MemberRequest, slug: str) -> HttpResponse:
    """The releases, and what changed between ?before= and ?after=; a POST publishes one."""
    roles = ADMINS if request.method == "POST" else ()
    project = get_project(request.user, slug, *roles)
    shown = project.vocabulary
    form = ReleaseForm(*sent(request))
    if request.method == "POST" and form.is_valid():
        try:
            release = services.publish(vocabulary=shown, user=request.user, **form.cleaned_data)
        except VocabularyError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Published release {release.version}.")
            return redirect("vocabulary-releases", slug)
    listed = list(shown.releases.select_related("created_by"))
    before, after = request.GET.get("before"), request.GET.get("after", NOW)
    if before is None and listed:
        before = listed[0].version
    context = {
        "project": project,
        "releases": listed,
        "comparison": compare(shown, before, after) if before is not None else None,
        "form": form,
        "formats": FORMATS,
        "may_publish": shown.owner_id == project.pk and has_role(request.user, project, *ADMINS),
    }
    status = 422 if form.errors else 200
    return render(request, "catalog/vocabulary_releases.html", context, status=status)


@require_form
def import_file(request: MemberRequest, slug: str) -> HttpResponse:
    """Read a file and show what it would change; carry that out when it is sent back."""
    project = get_project(request.user, slug, *ADMINS)
    if "content" in request.POST:
        return _confirm_import(request, project)
    form = UploadForm(*sent(request), project=project)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        return _preview(request, project, values["file"], values["target"], values["name"])
    context = {"project": project, "form": form}
    status = 422 if form.errors else 200
    return render(request, "catalog/vocabulary_import.html", context, status=status)


def _preview(
    request: MemberRequest,
    project: Project,
    content: Content,
    target: str,
    name: str,
    refused: str = "",
) -> HttpResponse:
    is_new = target == NEW
    before = Content("", "", "", "", ()) if is_new else content_of(project.vocabulary)
    after = content if is_new else as_update(before, content)
    confirm = {
        "content": json_format.write(after),
        "base": services.digest(before),
        "target": target,
        "name": name,
    }
    context = {
        "project": project,
        "is_new": is_new,
        "name": name or content.name,
        "changes": changes_between(before, after),
        "term_count": len(content.terms),
        "form": ConfirmForm(initial=confirm),
        "refused": refused,
    }
    status = 422 if refused else 200
    return render(request, "catalog/vocabulary_preview.html", context, status=status)


def _confirm_import(request: MemberRequest, project: Project) -> HttpResponse:
    form = ConfirmForm(request.POST)
    if not form.is_valid():
        messages.error(request, "The preview could not be read. Choose the file again.")
        return redirect("vocabulary-import", project.slug)
    values = form.cleaned_data
    content, target, name = values["content"], values["target"], values["name"]
    try:
        if target == NEW:
            own = services.create_vocabulary(project=project, name=name, content=content)
            text = _fit_in_words(moving.use_vocabulary(project=project, vocabulary=own))
        else:
            services.import_content(
                vocabulary=project.vocabulary, content=content, base=values["base"]
            )
            text = ""
    except VocabularyError as error:
        return _preview(request, project, content, target, name, refused=str(error))
    messages.success(request, f"Imported. {text}".strip())
    return redirect("vocabulary", project.slug)


def _project_with_own(request: MemberRequest, slug: str) -> Project:
    """The project for its admin, where it uses a vocabulary of its own.

    Raises:
        Http404: Unitscope ships the vocabulary, so there is no page to change it.
    """
    project = get_project(request.user, slug, *ADMINS)
    if project.vocabulary.owner_id != project.pk:
        raise Http404("This vocabulary is shared; make the project's own copy to change it.")
    return project


def _change_state(term: Term, action: str) -> str:
    """What was done, in words."""
    if action == "retire":
        services.retire_term(term=term)
        return f"“{term.name}” is retired: labels keep it, new answers cannot choose it."
    if action == "bring-back":
        services.bring_back_term(term=term)
        return f"“{term.name}” can be chosen again."
    if action == "delete":
        services.delete_term(term=term, in_use=moving.in_use(term))
        return f"Deleted “{term.name}”."
    raise VocabularyError("Choose what to do with the term: retire, bring back or delete it.")


def _fit_in_words(found: moving.Fit) -> str:
    if not found.unfit_labels:
        return f"It has the terms of all labels ({found.labels})." if found.labels else ""
    return (
        f"{found.unfit_labels} of {found.labels} labels keep terms that it lacks: "
        f"{', '.join(found.missing[:8])}{'…' if len(found.missing) > 8 else ''}."
    )


def _form_page(
    request: MemberRequest,
    project: Project,
    form: Any,
    title: str,
    submit: str,
    term: Term | None = None,
) -> HttpResponse:
    context = {"project": project, "form": form, "title": title, "submit": submit, "term": term}
    status = 422 if form.errors else 200
    return render(request, "catalog/vocabulary_form.html", context, status=status)
