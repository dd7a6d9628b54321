from django.urls import path

from jobs import views

JOB = "p/<slug:slug>/jobs/<int:job>/"

urlpatterns = [
    path("p/<slug:slug>/jobs/", views.jobs, name="jobs"),
    path(JOB, views.job, name="job"),
    path(f"{JOB}progress/", views.job_progress, name="job-progress"),
    path(f"{JOB}cancel/", views.job_cancel, name="job-cancel"),
    path(f"{JOB}retry/", views.job_retry, name="job-retry"),
]
