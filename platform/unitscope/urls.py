"""Every address of the product. Each app lists its own; pages of a project start with p/<slug>/."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from unitscope.project_page import project_home
from unitscope.views import home


@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """Says that the web process answers; it looks at no other service."""
    return HttpResponse("ok", content_type="text/plain")


urlpatterns = [
    path("", home, name="home"),
    path("", include("accounts.urls")),
    path("p/<slug:slug>/", project_home, name="project"),
    path("", include("catalog.urls")),
    path("", include("annotation.proposal_urls")),
    path("", include("dissections.urls")),
    path("", include("annotation.urls")),
    path("", include("annotation.reading.urls")),
    path("", include("annotation.agreement.urls")),
    path("", include("explanations.urls")),
    path("", include("explanations.evaluation.urls")),
    path("", include("jobs.urls")),
    path("api/", include("unitscope.api")),
    path("admin/", admin.site.urls),
    path("healthz", healthz, name="healthz"),
]
