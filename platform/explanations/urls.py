from django.urls import include, path

from explanations import findings_views, uploading_views, views
from explanations.exports.views import explanation_export

CASE = "p/<slug:slug>/cases/<int:case>/"

urlpatterns = [
    path("", include("explanations.reader_tests.urls")),
    path(
        "p/<slug:slug>/catalog/models/<int:model>/predict/",
        views.model_predict,
        name="model-predict",
    ),
    path(
        "p/<slug:slug>/catalog/models/<int:model>/explain/",
        views.explain_all,
        name="explain-all",
    ),
    path("p/<slug:slug>/cases/", views.cases, name="cases"),
    path("p/<slug:slug>/cases/findings.<str:form>", findings_views.findings, name="findings"),
    path("p/<slug:slug>/cases/upload/", uploading_views.case_upload, name="case-upload"),
    path(
        "p/<slug:slug>/cases/uploaded/<int:run>/",
        uploading_views.case_uploaded,
        name="case-uploaded",
    ),
    path(CASE, views.case, name="case"),
    path(f"{CASE}explanation/", views.case_explanation, name="case-explanation"),
    path(
        "p/<slug:slug>/explanations/<int:explanation>/maps/<str:key>.png",
        views.explanation_map,
        name="explanation-map",
    ),
    path(
        "p/<slug:slug>/explanations/<int:explanation>/export/<str:form>",
        explanation_export,
        name="explanation-export",
    ),
]
