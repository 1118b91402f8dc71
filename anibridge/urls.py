"""Which path is answered by whom (design: URLs). Streams and events are in `asgi.py`."""

from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
]
