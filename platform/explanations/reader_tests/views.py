from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import ADMINS, get_project, has_role
from accounts.models import User
from accounts.requests import MemberRequest
from catalog.models import Project
from explanations.findings import may_see_findings
from explanations.models import ReaderTest, ReaderTestAnswer
from explanations.reader_tests import pages, services
from explanations.reader_tests.forms import GuessForm, ReaderTestForm
from explanations.reader_tests.results import results
from jobs.forms import require_form

WITHHELD = (
    "You name units without seeing colleagues' answers, which explanations show. "
    "Ask an admin of the project to close this test or to open the project's blinding."
)


@require_safe
def reader_tests(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    admin = has_role(request.user, project, *ADMINS)
    shown = (
        project.reader_tests.all() if admin else project.reader_tests.filter(readers=request.user)
    )
    context = {
        "project": project,
        "is_admin": admin,
        "lines": [pages.test_line(test, request.user) for test in shown.select_related("model")],
    }
    return render(request, "reader_tests/tests.html", context)


@require_form
def reader_test_new(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    form = ReaderTestForm(request.POST if request.method == "POST" else None, project=project)
    if request.method == "POST" and form.is_valid():
        try:
            test = form.save(request.user)
        except services.ReaderTestError as error:
            form.add_error(None, str(error))
        else:
            return redirect("reader-test", slug, test.pk)
    status = 422 if form.errors else 200
    return render(
        request, "reader_tests/new.html", {"project": project, "form": form}, status=status
    )


@require_http_methods(["GET", "HEAD", "POST"])
def reader_test(request: MemberRequest, slug: str, test: int) -> HttpResponse:
    """The results so far. POST closes the test or opens it again."""
    project = get_project(request.user, slug, *ADMINS)
    shown = get_object_or_404(project.reader_tests.select_related("model"), pk=test)
    if request.method == "POST":
        services.set_closed(test=shown, closed="close" in request.POST)
        return redirect("reader-test", slug, shown.pk)
    found = results(shown)
    context = {
        "project": project,
        "test": shown,
        "results": found,
        **pages.result_context(shown, found),
    }
    return render(request, "reader_tests/test.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def reader_test_read(request: MemberRequest, slug: str, test: int) -> HttpResponse:
    """The reader's next case; POST takes the guess on it."""
    project = get_project(request.user, slug)
    shown = _own_test(request.user, project, test)
    turns = shown.answers.filter(reader=request.user)
    if request.method == "POST":
        form = GuessForm(request.POST)
        if form.is_valid():
            turn = get_object_or_404(turns, pk=form.cleaned_data["turn"])
            _tell(request, lambda: services.answer(turn=turn, guess=form.cleaned_data["guess"]))
        else:
            messages.error(request, "Choose one of the classes.")
        return redirect("reader-test-read", slug, shown.pk)
    following = _next(turns)
    context: dict[str, Any] = {
        "project": project,
        "test": shown,
        "done": turns.filter(guess__isnull=False).count(),
        "planned": turns.count(),
        "turn": following,
    }
    if following is not None:
        services.note_opened(following)
        context |= pages.turn_context(following)
    return render(request, "reader_tests/read.html", context)


@require_POST
def reader_test_back(request: MemberRequest, slug: str, test: int) -> HttpResponse:
    project = get_project(request.user, slug)
    shown = _own_test(request.user, project, test)
    _tell(request, lambda: services.take_back(test=shown, reader=request.user))
    return redirect("reader-test-read", slug, shown.pk)


def _own_test(user: User, project: Project, pk: int) -> ReaderTest:
    """A test the user takes part in. Who has come to answer units blind since may not go on."""
    test = get_object_or_404(
        project.reader_tests.filter(readers=user).select_related("model"), pk=pk
    )
    if not may_see_findings(user, project):
        raise PermissionDenied(WITHHELD)
    return test


def _next(turns: QuerySet[ReaderTestAnswer]) -> ReaderTestAnswer | None:
    return (
        turns.filter(guess__isnull=True)
        .select_related("explanation__case__image", "explanation__layer", "test__model")
        .order_by("position")
        .first()
    )


def _tell(request: MemberRequest, act: Callable[[], None]) -> None:
    try:
        act()
    except services.ReaderTestError as error:
        messages.error(request, str(error))
