from django.urls import path

from annotation import views

UNIT = "p/<slug:slug>/dissections/<int:dissection>/<str:layer>/<int:unit>/"

urlpatterns = [
    path(f"{UNIT}label/", views.save, name="unit-label"),
    path(f"{UNIT}label/undo/", views.undo, name="unit-label-undo"),
    path(f"{UNIT}label/early-look/", views.early_look, name="unit-early-look"),
    path("p/<slug:slug>/terms/", views.terms, name="term-search"),
]
