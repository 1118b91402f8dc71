"""Which path is answered by whom (design.md §3). Streams and events are in `asgi.py`."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.routers import SimpleRouter

from anibridge import metrics, views
from catalogue.api import SearchView, SiteViewSet
from downloads.api import DownloadViewSet
from downloads.api_older import OlderDownloadView, OlderEventsView, OlderJobView
from downloads.links_api import FeedViewSet, FetcherResultsView, FilterViewSet, LinkViewSet
from downloads.registry_api import ServiceViewSet
from qbshim.views.auth import unknown
from strm.api import LibraryViewSet, PlaybackViewSet
from torznab.views import nowhere

api = SimpleRouter(trailing_slash=False)
api.register("sites", SiteViewSet, basename="site")
api.register("downloads", DownloadViewSet, basename="download")
api.register("services", ServiceViewSet, basename="service")
api.register("links", LinkViewSet, basename="link")
api.register("feeds", FeedViewSet, basename="feed")
api.register("filters", FilterViewSet, basename="filter")
api.register("strm/playbacks", PlaybackViewSet, basename="playback")
api.register("strm/library", LibraryViewSet, basename="library")

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("dashboard/now", views.dashboard_now, name="dashboard-now"),
    path("admin/", admin.site.urls),
    path("torznab/", include("torznab.urls")),
    path("torznab", nowhere),
    path("api/v2/", include("qbshim.urls")),
    path("api/v1/search", SearchView.as_view(), name="search"),
    path("api/v1/fetcher-results", FetcherResultsView.as_view(), name="fetcher-results"),
    path("api/v1/", include(api.urls)),
    path("downloader/download", OlderDownloadView.as_view(), name="older-download"),
    path("jobs/<str:reference>", OlderJobView.as_view(), name="older-job"),
    path("jobs/<str:reference>/events", OlderEventsView.as_view(), name="older-events"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(), name="api-docs"),
    # What clients probe beside the API: a real server answers these in plain text as well.
    path("api/v2", unknown),
    path("version/api", unknown),
    # Browsers ask for it whatever a page says.
    path("favicon.ico", RedirectView.as_view(url=static("anibridge/icon.svg"))),
    path("metrics", metrics.MetricsView.as_view(), name="metrics"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
]

handler400 = views.bad_request
