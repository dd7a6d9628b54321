"""The API's addresses, included under api/. Its schema is committed as docs/openapi.yaml."""

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.permissions import IsAuthenticated
from rest_framework.routers import SimpleRouter

from accounts.api import TokenLogoutView, TokenView
from annotation.agreement.api import AgreementView, ConsensusViewSet, ExchangeView
from annotation.api import LabelViewSet, QuestionSetViewSet
from annotation.reading.api import ReadingListViewSet, ReadingViewSet
from catalog.api import DatasetViewSet, ProjectViewSet, TrainedModelViewSet, VocabularyViewSet
from dissections.api import DissectionViewSet, LayerViewSet, UnitViewSet
from explanations.api import CaseViewSet, ExplanationViewSet
from explanations.evaluation.api import CalibrationViewSet, EvaluationViewSet
from jobs.api import JobViewSet

router = SimpleRouter()
router.register("projects", ProjectViewSet, "api-project")
router.register("vocabularies", VocabularyViewSet, "api-vocabulary")
router.register("models", TrainedModelViewSet, "api-model")
router.register("datasets", DatasetViewSet, "api-dataset")
router.register("dissections", DissectionViewSet, "api-dissection")
router.register("layers", LayerViewSet, "api-layer")
router.register("units", UnitViewSet, "api-unit")
router.register("labels", LabelViewSet, "api-label")
router.register("reading-lists", ReadingListViewSet, "api-reading-list")
router.register("readings", ReadingViewSet, "api-reading")
router.register("question-sets", QuestionSetViewSet, "api-question-set")
router.register("consensus", ConsensusViewSet, "api-consensus")
router.register("cases", CaseViewSet, "api-case")
router.register("explanations", ExplanationViewSet, "api-explanation")
router.register("evaluations", EvaluationViewSet, "api-evaluation")
router.register("calibrations", CalibrationViewSet, "api-calibration")
router.register("jobs", JobViewSet, "api-job")

SIGNED_IN = (IsAuthenticated,)

urlpatterns = [
    path("", include(router.urls)),
    path(
        "projects/<slug:slug>/agreement/<int:model>/<str:layer>/",
        AgreementView.as_view(),
        name="api-agreement",
    ),
    re_path(
        r"^projects/(?P<slug>[-\w]+)/exchange/(?P<kind>labels|consensus)/$",
        ExchangeView.as_view(),
        name="api-exchange",
    ),
    path("auth/token/", TokenView.as_view(), name="api-token"),
    path("auth/logout/", TokenLogoutView.as_view(), name="api-logout"),
    path("schema/", SpectacularAPIView.as_view(permission_classes=SIGNED_IN), name="api-schema"),
    path(
        "docs/",
        SpectacularSwaggerView.as_view(permission_classes=SIGNED_IN, url_name="api-schema"),
        name="api-docs",
    ),
]
