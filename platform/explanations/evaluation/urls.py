from django.urls import path

from explanations.evaluation import views

ONE = "p/<slug:slug>/evaluations/<int:evaluation>/"

urlpatterns = [
    path("p/<slug:slug>/evaluations/", views.evaluations, name="evaluations"),
    path("p/<slug:slug>/evaluations/start/", views.evaluation_start, name="evaluation-start"),
    path(ONE, views.evaluation, name="evaluation"),
    path(f"{ONE}evaluation.<str:suffix>", views.evaluation_download, name="evaluation-download"),
]
