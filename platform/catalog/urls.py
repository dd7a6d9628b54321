from django.urls import path

from catalog import views

CATALOG = "p/<slug:slug>/catalog/"

urlpatterns = [
    path(CATALOG, views.catalog, name="catalog"),
    path(f"{CATALOG}models/add/", views.model_add, name="model-add"),
    path(f"{CATALOG}datasets/add/", views.dataset_add, name="dataset-add"),
    path("p/<slug:slug>/vocabulary/", views.vocabulary, name="vocabulary"),
]
