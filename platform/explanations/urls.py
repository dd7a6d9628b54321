from django.urls import path

from explanations import views
from explanations.exports.views import explanation_export

CASE = "p/<slug:slug>/cases/<int:case>/"

urlpatterns = [
    path(
        "p/<slug:slug>/catalog/models/<int:model>/predict/",
        views.model_predict,
        name="model-predict",
    ),
    path("p/<slug:slug>/cases/", views.cases, name="cases"),
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
