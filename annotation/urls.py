from django.urls import path

from annotation import settings_views, views

UNIT = "p/<slug:slug>/dissections/<int:dissection>/<str:layer>/<int:unit>/"

urlpatterns = [
    path(f"{UNIT}label/", views.save, name="unit-label"),
    path(f"{UNIT}label/undo/", views.undo, name="unit-label-undo"),
    path(f"{UNIT}label/early-look/", views.early_look, name="unit-early-look"),
    path("p/<slug:slug>/settings/", settings_views.project_settings, name="project-settings"),
    path("p/<slug:slug>/settings/blinding/", settings_views.blinding, name="project-blinding"),
    path("p/<slug:slug>/settings/questions/", settings_views.ask, name="project-questions"),
    path("p/<slug:slug>/terms/", views.terms, name="term-search"),
]
