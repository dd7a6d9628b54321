from django.urls import path

from annotation import proposal_views, views

UNIT = "p/<slug:slug>/dissections/<int:dissection>/<str:layer>/<int:unit>/"
PROPOSALS = "p/<slug:slug>/vocabulary/proposals/"

urlpatterns = [
    path(f"{UNIT}label/", views.save, name="unit-label"),
    path(f"{UNIT}label/undo/", views.undo, name="unit-label-undo"),
    path(f"{UNIT}label/early-look/", views.early_look, name="unit-early-look"),
    path(f"{UNIT}label/propose/", proposal_views.unit_propose, name="unit-propose"),
    path(PROPOSALS, proposal_views.proposals, name="term-proposals"),
    path(f"{PROPOSALS}<int:proposal>/", proposal_views.proposal, name="term-proposal"),
    path("p/<slug:slug>/terms/", views.terms, name="term-search"),
]
