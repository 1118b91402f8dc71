"""The owner's pages, under the rules that clients meet."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from downloads.models import Job
from qbshim.models import Category, ClientSession
from tests.downloads.factories import JobFactory
from tests.qbshim.conftest import Caller
from tests.qbshim.factories import CategoryFactory, ClientTaskFactory


@pytest.fixture
def admin(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def save(admin: Client, path: str, **fields: str) -> HttpResponse:
    return admin.post(f"/admin/qbshim/category/{path}/", fields)


def test_the_lists_show_what_clients_said(admin: Client, django_assert_max_num_queries):
    for _ in range(3):
        task = ClientTaskFactory(tags=["a", "b"])
    CategoryFactory(name="tv")
    with django_assert_max_num_queries(10):
        page = admin.get("/admin/qbshim/clienttask/", {"q": task.hash}).content.decode()
    assert task.name in page
    assert "a, b" in page
    assert admin.get(f"/admin/qbshim/clienttask/{task.pk}/change/").status_code == 200
    assert "tv" in admin.get("/admin/qbshim/category/").content.decode()
    assert admin.get("/admin/qbshim/category/tv/change/").status_code == 200


def test_a_category_is_made_under_the_same_rules(admin: Client, downloads_here: Path):
    assert b"Incorrect category name" in save(admin, "add", name="a//b", save_path="").content
    assert b"is not inside" in save(admin, "add", name="tv", save_path="/etc").content
    save(admin, "add", name="tv", save_path=str(downloads_here / "shows"))
    assert Category.objects.get().save_path == "shows"


def test_an_edited_category_keeps_its_name(admin: Client):
    CategoryFactory(name="tv")
    save(admin, "tv/change", name="other", save_path="shows")
    assert [(row.name, row.save_path) for row in Category.objects.all()] == [("tv", "shows")]


def test_a_deleted_category_leaves_its_jobs(admin: Client):
    for name in ("one", "two"):
        CategoryFactory(name=name)
        ClientTaskFactory(job__category=name)
    save(admin, "one/delete", post="yes")
    admin.post(
        "/admin/qbshim/category/",
        {"action": "delete_selected", "_selected_action": ["two"], "post": "yes"},
    )
    assert not Category.objects.exists()
    assert list(Job.objects.values_list("category", flat=True)) == ["", ""]


def test_the_owner_sees_who_is_signed_in_and_signs_them_out(admin: Client, sonarr: Caller):
    session = ClientSession.objects.get()
    page = admin.get("/admin/qbshim/clientsession/").content.decode()
    assert "admin from 127.0.0.1" in page
    assert admin.get(f"/admin/qbshim/clientsession/{session.pk}/change/").status_code == 200
    admin.post(f"/admin/qbshim/clientsession/{session.pk}/delete/", {"post": "yes"})
    assert sonarr.get("app/version").status_code == 403


def test_the_owner_ends_a_ban(admin: Client, stranger: Caller):
    for _ in range(5):
        stranger.sign_in("wrong")
    assert "127.0.0.1" in admin.get("/admin/qbshim/failedlogin/").content.decode()
    admin.post("/admin/qbshim/failedlogin/127.0.0.1/delete/", {"post": "yes"})
    assert stranger.sign_in().content == b"Ok."


def test_the_owner_gives_a_preference_its_default_back(admin: Client, sonarr: Caller):
    sonarr.post("app/setPreferences", json='{"locale": "de"}')
    sonarr.post("app/setCookies", cookies='[{"name": "x", "value": "hushhush"}]')
    page = admin.get("/admin/qbshim/preference/").content.decode()
    assert "locale" in page
    assert "hushhush" not in page
    assert admin.get("/admin/qbshim/preference/locale/change/").status_code == 200
    admin.post("/admin/qbshim/preference/locale/delete/", {"post": "yes"})
    assert sonarr.get("app/preferences").json()["locale"] == "en"


def test_a_tag_that_the_owner_deletes_is_taken_from_the_torrents(admin: Client, sonarr: Caller):
    job = JobFactory()
    sonarr.post("torrents/addTags", hashes=job.infohash, tags="a,b,c")
    admin.post("/admin/qbshim/tag/a/delete/", {"post": "yes"})
    admin.post(
        "/admin/qbshim/tag/",
        {"action": "delete_selected", "_selected_action": ["b"], "post": "yes"},
    )
    assert sonarr.one(job)["tags"] == "c"
    assert sonarr.get("torrents/tags").json() == ["c"]
