"""Job pages: what is shown, who may steer, and polling only while something works."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs.models import Job
from tests.platform.factories import World, build_world


@pytest.fixture
def world(db: None) -> World:
    return build_world(images=2, units=4)


@pytest.fixture
def admin(world: World, client: Client) -> Client:
    client.force_login(world.people["admin"])
    return client


def make_job(world: World, state: Job.State = Job.State.RUNNING, **values: object) -> Job:
    now = timezone.now()
    job = Job.objects.create(
        project=world.project,
        kind=Job.Kind.DISSECT,
        title=f"Dissect, {state}",
        target_id=1,
        state=state,
        created_by=world.people["admin"],
        attempt=0 if state == Job.State.QUEUED else 1,
        started=None if state == Job.State.QUEUED else now - timedelta(seconds=75),
        finished=None if state in Job.ACTIVE else now,
    )
    Job.objects.filter(pk=job.pk).update(**values)
    job.refresh_from_db()
    return job


def job_url(job: Job, name: str = "job") -> str:
    return reverse(name, args=[job.project.slug, job.pk])


def read(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def test_the_list_shows_state_person_and_duration(world: World, admin: Client) -> None:
    make_job(world, Job.State.SUCCEEDED)
    make_job(world, Job.State.FAILED, error="The archive is damaged.")
    html = read(admin, reverse("jobs", args=[world.project.slug]))
    for text in ("Succeeded", "Failed", "The archive is damaged.", "Alex Admin", "1 min 15 s"):
        assert text in html
    assert "hx-trigger" not in html


@pytest.mark.parametrize(
    ("show", "expected"),
    [("", 3), ("active", 1), ("failed", 1), ("nonsense", 3)],
)
def test_filters(world: World, admin: Client, show: str, expected: int) -> None:
    for state in (Job.State.RUNNING, Job.State.FAILED, Job.State.SUCCEEDED):
        make_job(world, state)
    html = read(admin, reverse("jobs", args=[world.project.slug]) + f"?show={show}")
    assert html.count('<tr id="job-') == expected


def test_the_list_polls_while_a_job_is_active(world: World, admin: Client) -> None:
    job = make_job(world)
    url = reverse("jobs", args=[world.project.slug])
    assert 'hx-trigger="every 2s"' in read(admin, url)
    Job.objects.filter(pk=job.pk).update(state=Job.State.SUCCEEDED)
    assert "hx-trigger" not in read(admin, url)


def test_an_empty_list_says_when_jobs_appear(world: World, admin: Client) -> None:
    assert "No jobs yet" in read(admin, reverse("jobs", args=[world.project.slug]))


def test_the_page_shows_progress_and_the_end_of_the_log(world: World, admin: Client) -> None:
    log = "".join(f"line {n}\n" for n in range(500))
    job = make_job(world, done=3, total=12, stage="Reading", log=log)
    html = read(admin, job_url(job))
    assert 'value="25"' in html
    assert "3 of 12" in html
    assert "line 499" in html
    assert "line 100\n" not in html
    assert 'hx-trigger="every 1s"' in html


def test_a_failed_job_says_what_to_do(world: World, admin: Client) -> None:
    job = make_job(world, Job.State.FAILED, error="The file is empty. Upload it again.")
    html = read(admin, job_url(job))
    assert "The file is empty. Upload it again." in html
    assert "Run again" in html
    assert "hx-trigger" not in html


def test_the_include_polls_itself_and_tells_the_page_when_it_ends(
    world: World, admin: Client
) -> None:
    job = make_job(world)
    response = admin.get(job_url(job, "job-progress"))
    assert job_url(job, "job-progress") in response.content.decode()
    assert "HX-Trigger-After-Swap" not in response
    Job.objects.filter(pk=job.pk).update(state=Job.State.FAILED)
    response = admin.get(job_url(job, "job-progress"))
    assert "hx-get" not in response.content.decode()
    assert response["HX-Trigger-After-Swap"] == "job-ended"


def test_an_admin_cancels_and_retries(world: World, admin: Client) -> None:
    job = make_job(world, Job.State.QUEUED)
    assert admin.post(job_url(job, "job-cancel")).status_code == 302
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    assert admin.post(job_url(job, "job-retry")).status_code == 302
    job.refresh_from_db()
    assert job.state == Job.State.QUEUED


def test_what_does_not_fit_the_state_is_explained(world: World, admin: Client) -> None:
    job = make_job(world, Job.State.SUCCEEDED)
    response = admin.post(job_url(job, "job-retry"), follow=True)
    assert "only failed or cancelled jobs can be run again" in response.content.decode()


def test_others_see_jobs_but_do_not_steer_them(world: World, client: Client) -> None:
    job = make_job(world, Job.State.FAILED)
    client.force_login(world.people["clinician"])
    html = read(client, job_url(job))
    assert "Run again" not in html
    assert "An admin of the project can run it again" in html
    assert client.post(job_url(job, "job-retry")).status_code == 403
    assert client.post(job_url(job, "job-cancel")).status_code == 403


@pytest.mark.parametrize("name", ["job", "job-progress", "job-cancel", "job-retry"])
def test_strangers_see_nothing(world: World, client: Client, name: str) -> None:
    url = job_url(make_job(world), name)
    send = client.post if name in ("job-cancel", "job-retry") else client.get
    assert send(url).status_code == 302
    client.force_login(world.people["outsider"])
    assert send(url).status_code == 404
    assert client.get(reverse("jobs", args=[world.project.slug])).status_code == 404


@pytest.mark.parametrize("name", ["job-cancel", "job-retry"])
def test_steering_needs_a_post(world: World, admin: Client, name: str) -> None:
    assert admin.get(job_url(make_job(world), name)).status_code == 405


def test_the_list_needs_as_many_queries_for_more_jobs(world: World, admin: Client) -> None:
    url = reverse("jobs", args=[world.project.slug])
    counts = []
    for _ in range(2):
        make_job(world)
        admin.get(url)
        with CaptureQueriesContext(connection) as captured:
            admin.get(url)
        counts.append(len(captured))
        for _ in range(5):
            make_job(world)
    assert counts[0] == counts[1]
