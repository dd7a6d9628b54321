from django.urls import path

from annotation import proposal_views
from annotation.urls import UNIT

PROPOSALS = "p/<slug:slug>/vocabulary/proposals/"

urlpatterns = [
    path(f"{UNIT}label/propose/", proposal_views.unit_propose, name="unit-propose"),
    path(PROPOSALS, proposal_views.proposals, name="term-proposals"),
    path(f"{PROPOSALS}<int:proposal>/", proposal_views.proposal, name="term-proposal"),
]
