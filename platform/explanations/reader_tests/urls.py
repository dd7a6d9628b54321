from django.urls import path

from explanations.reader_tests import views

TESTS = "p/<slug:slug>/reader-tests/"

urlpatterns = [
    path(TESTS, views.reader_tests, name="reader-tests"),
    path(f"{TESTS}new/", views.reader_test_new, name="reader-test-new"),
    path(f"{TESTS}<int:test>/", views.reader_test, name="reader-test"),
    path(f"{TESTS}<int:test>/read/", views.reader_test_read, name="reader-test-read"),
    path(f"{TESTS}<int:test>/back/", views.reader_test_back, name="reader-test-back"),
]
