"""The owner's pages, under the rules that clients meet."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from downloads.models import Job
from qbshim.models import Category
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
