from django.urls import path

from annotation.agreement import exchange_views, views

PROJECT = "p/<slug:slug>/"
LAYER = f"{PROJECT}agreement/<int:model>/<str:layer>/"

urlpatterns = [
    path(f"{PROJECT}agreement/", views.agreement, name="agreement"),
    path(LAYER, views.agreement_layer, name="agreement-layer"),
    path(f"{LAYER}accept/", views.agreements_accept, name="agreements-accept"),
    path(f"{LAYER}withdraw/", views.agreements_withdraw, name="agreements-withdraw"),
    path(f"{LAYER}<int:unit>/", views.adjudicate, name="adjudicate"),
    path(f"{LAYER}<int:unit>/undo/", views.adjudicate_undo, name="adjudicate-undo"),
    path(f"{PROJECT}labels/", exchange_views.labels_export, name="labels-export"),
    path(f"{PROJECT}labels/download/", exchange_views.labels_download, name="labels-download"),
    path(f"{PROJECT}labels/import/", exchange_views.labels_import, name="labels-import"),
    path(
        f"{PROJECT}labels/import/confirm/",
        exchange_views.labels_import_confirm,
        name="labels-import-confirm",
    ),
]
