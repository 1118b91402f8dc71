from django.urls import path, re_path

from torznab import views

app_name = "torznab"
urlpatterns = [
    path("api", views.Indexer.as_view(), name="api"),
    path("grab/<str:token>", views.grab, name="grab"),
    path("<str:site>/api", views.Indexer.as_view(), name="site-api"),
    # Some clients end an address with a slash, whatever they were given.
    path("api/", views.Indexer.as_view()),
    path("<str:site>/api/", views.Indexer.as_view()),
    re_path("", views.nowhere),
]
