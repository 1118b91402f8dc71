"""Health, dashboard, admin: what a browser and a monitor see."""

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from anibridge.celery import app as celery_app
from catalogue.models import Site
from downloads import heartbeats, services, transitions
from downloads.models import JobStatus
from tests.downloads.orders import order

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(admin_client: Client) -> Client:
    return admin_client


@pytest.fixture
def alive() -> None:
    for role in heartbeats.ROLES:
        heartbeats.beat(f"{role}@here", role)


@pytest.fixture
def broken_broker() -> Iterator[None]:
    before = celery_app.conf.broker_url
    celery_app.conf.broker_url = "redis://127.0.0.1:9/0"
    yield
    celery_app.conf.broker_url = before


def test_healthz_answers_anybody(client: Client):
    assert client.get("/healthz").content == b"ok"


def test_readyz_is_not_ready_while_no_worker_beats(client: Client):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["workers"] == "silent: default, downloads, beat"
    assert answer.json()["checks"]["database"] == "ok"


def test_readyz_is_ready_when_every_part_is(client: Client, alive: None):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")


def test_readyz_names_one_silent_role(client: Client, alive: None):
    heartbeats.Heartbeat.objects.filter(role="beat").delete()
    assert client.get("/readyz").json()["checks"]["workers"] == "silent: beat"


def test_readyz_tells_of_a_broker_that_does_not_answer(
    client: Client, alive: None, broken_broker: None, settings
):
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {}
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["broker"].startswith("failed")


@pytest.mark.parametrize("path", ["/", "/dashboard/now"])
def test_the_dashboard_asks_for_a_sign_in(client: Client, path: str):
    for ask in (client.get, client.head):
        answer = ask(path)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/admin/login/")


def test_the_dashboard_shows_downloads_sites_and_processes(owner: Client, alive: None):
    Site.objects.create(site_id="demo", display_name="Demo catalogue", base_url="https://demo.test")
    job, _ = services.enqueue(order(name="Sintel.S01E01.German-DEMO"))
    token = transitions.claim(job.pk, "worker")
    transitions.beat(job.pk, token, progress=0.42, speed=3_000_000, host="VOE")
    page = owner.get("/").content.decode()
    for told in (
        "Sintel.S01E01.German-DEMO",
        "42 %",
        "demo · VOE",
        "Demo catalogue",
        "downloads ·",
    ):
        assert told in page


def test_a_failed_download_shows_why_and_hostile_names_stay_text(owner: Client):
    job, _ = services.enqueue(order(name="<script>alert(1)</script>"))
    token = transitions.claim(job.pk, "worker")
    transitions.move(
        job.pk, JobStatus.FAILED, token=token, error_message="VOE: page is <b>gone</b>"
    )
    page = owner.get("/dashboard/now").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "VOE: page is &lt;b&gt;gone" in page
    assert "<script>alert" not in page


def test_the_dashboard_warns_of_silent_workers(owner: Client):
    assert "No sign of life from: default, downloads, beat" in owner.get("/").content.decode()


def test_the_dashboard_needs_the_same_few_queries_for_many_jobs(
    owner: Client, django_assert_max_num_queries
):
    for episode in range(1, 40):
        services.enqueue(order(episode=episode))
    with django_assert_max_num_queries(9):
        owner.get("/dashboard/now")


@pytest.mark.parametrize(
    ("path", "shown"), [("/", ["Dashboard"]), ("/admin/catalogue/site/", ["Sites"])]
)
def test_the_sidebar_shows_where_one_is(rf, admin_user, path: str, shown: list[str]):
    for _ in range(2):  # what is remembered from one request must not show in the next
        request = rf.get(path)
        request.user = admin_user
        groups = admin.site.get_sidebar_list(request)
        assert [i["title"] for g in groups for i in g["items"] if i["active"]] == shown


ADMIN_PAGES = [
    "catalogue_site", "catalogue_title", "catalogue_titlemapping", "catalogue_availabilityrecord",
    "downloads_job", "downloads_heartbeat", "qbshim_clienttask", "qbshim_category",
]  # fmt: skip


@pytest.mark.parametrize("page", ADMIN_PAGES)
def test_every_list_of_the_admin_opens(owner: Client, page: str):
    services.enqueue(order())
    assert owner.get(reverse(f"admin:{page}_changelist")).status_code == 200


def test_a_job_in_the_admin_can_be_looked_at_but_not_edited(owner: Client):
    job, _ = services.enqueue(order())
    page = owner.get(reverse("admin:downloads_job_change", args=[job.pk]))
    assert page.status_code == 200
    assert b'name="status"' not in page.content


@pytest.mark.parametrize(
    ("action", "status"), [("cancel", JobStatus.CANCELLED), ("retry", JobStatus.QUEUED)]
)
def test_an_action_of_the_admin_goes_through_the_services(owner: Client, action: str, status: str):
    job, _ = services.enqueue(order())
    if action == "retry":
        services.cancel(job.pk)
    owner.post(
        reverse("admin:downloads_job_changelist"),
        {"action": action, "_selected_action": [job.pk]},
    )
    job.refresh_from_db()
    assert job.status == status
    assert job.events.last().new == status


def test_deleting_in_the_admin_ends_the_job(owner: Client):
    job, _ = services.enqueue(order())
    owner.post(
        reverse("admin:downloads_job_changelist"),
        {"action": "remove_with_files", "_selected_action": [job.pk]},
    )
    job.refresh_from_db()
    assert job.removed_at is not None
    assert job.delete_files
