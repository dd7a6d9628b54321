"""Download of an explanation in one of its forms."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, quote_etag
from django.views.decorators.http import require_safe

from accounts.access import get_project
from accounts.models import User
from accounts.requests import MemberRequest
from analysis.imaging import ImageError
from explanations.blinding import readable, readers_answers
from explanations.exports.forms import FORMS, Form, entity_tag, file_name, write
from explanations.exports.record import record_of
from explanations.models import Explanation
from explanations.selectors import finished_explanations
from explanations.services import content_of


@require_safe
def explanation_export(
    request: MemberRequest, slug: str, explanation: int, form: str
) -> HttpResponse:
    project = get_project(request.user, slug)
    shown = get_object_or_404(finished_explanations(project), pk=explanation)
    if form not in FORMS:
        raise Http404("Explanations are exported as " + ", ".join(FORMS) + ".")
    return export_response(request, request.user, shown, Form(form))


def export_response(
    request: HttpRequest, user: User, explanation: Explanation, form: Form
) -> HttpResponse:
    """The file of a finished explanation, as `user` may read it.

    Raises:
        PermissionDenied: the reader has to answer units that it names first.
        Http404: the image's or the maps' file cannot be read.
    """
    answers = readers_answers(user, explanation)
    record = record_of(explanation, readable(content_of(explanation), answers))
    etag = quote_etag(entity_tag(form, record))
    response = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            body = write(form, explanation, record)
        except (OSError, ImageError) as error:
            raise Http404("The stored image of this case cannot be read.") from error
        response = HttpResponse(body, content_type=FORMS[form].media_type)
        response["Content-Disposition"] = str(
            content_disposition_header(True, file_name(form, record))
        )
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response
