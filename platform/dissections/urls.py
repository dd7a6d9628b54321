from django.urls import path

from dissections import views

LAYER = "p/<slug:slug>/dissections/<int:dissection>/<str:layer>/"

urlpatterns = [
    path(
        "p/<slug:slug>/catalog/models/<int:model>/dissect/",
        views.model_dissect,
        name="model-dissect",
    ),
    path("p/<slug:slug>/units/", views.units_start, name="units-start"),
    path(LAYER, views.units, name="units"),
    path(f"{LAYER}<int:unit>/", views.unit, name="unit"),
    path(f"{LAYER}<int:unit>/compare/", views.unit_compare, name="unit-compare"),
    path("p/<slug:slug>/units/<int:unit>/patches/<int:rank>.png", views.patch, name="patch"),
    path("p/<slug:slug>/images/<int:image>.png", views.image, name="image"),
    path("p/<slug:slug>/images/<int:image>/pixels/", views.pixels, name="image-pixels"),
]
