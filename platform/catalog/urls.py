from django.urls import path

from catalog import views, vocabulary_views

CATALOG = "p/<slug:slug>/catalog/"
VOCABULARY = "p/<slug:slug>/vocabulary/"

urlpatterns = [
    path(CATALOG, views.catalog, name="catalog"),
    path(f"{CATALOG}models/add/", views.model_add, name="model-add"),
    path(f"{CATALOG}datasets/add/", views.dataset_add, name="dataset-add"),
    path(VOCABULARY, vocabulary_views.vocabulary, name="vocabulary"),
    path(f"{VOCABULARY}export/", vocabulary_views.export, name="vocabulary-export"),
    path(f"{VOCABULARY}copy/", vocabulary_views.copy, name="vocabulary-copy"),
    path(f"{VOCABULARY}choose/", vocabulary_views.choose, name="vocabulary-choose"),
    path(f"{VOCABULARY}create/", vocabulary_views.create, name="vocabulary-create"),
    path(f"{VOCABULARY}import/", vocabulary_views.import_file, name="vocabulary-import"),
    path(f"{VOCABULARY}releases/", vocabulary_views.releases, name="vocabulary-releases"),
    path(f"{VOCABULARY}terms/add/", vocabulary_views.term_add, name="term-add"),
    path(f"{VOCABULARY}terms/<int:term>/", vocabulary_views.term_edit, name="term-edit"),
    path(f"{VOCABULARY}terms/<int:term>/state/", vocabulary_views.term_state, name="term-state"),
]
