from django.urls import path

from torznab import views

app_name = "torznab"
urlpatterns = [
    path("api", views.Indexer.as_view(), name="api"),
    path("grab/<str:token>", views.grab, name="grab"),
    path("<str:site>/api", views.Indexer.as_view(), name="site-api"),
]
