"""How the admin looks and what its sidebar lists; part of the settings."""

from typing import Any

from django.urls import reverse_lazy


def _static(path: str) -> Any:
    # A callable: the URL is only known once the settings are.
    def url(request: object) -> str:
        from django.templatetags.static import static

        return static(path)

    return url


def _link(title: str, icon: str, url_name: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(url_name)}


UNFOLD = {
    "SITE_TITLE": "AniBridge",
    "SITE_HEADER": "AniBridge",
    "SITE_SUBHEADER": "the bridge for the *arr family",
    "SITE_URL": "/",
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": _static("anibridge/icon.svg")}
    ],
    "SHOW_HISTORY": False,
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {
                "items": [
                    {
                        **_link("Dashboard", "dashboard", "dashboard"),
                        # Every address begins with its own, so the usual comparison is of no use.
                        "active": lambda request: request.path == "/",
                    },
                    _link("Downloads", "download", "admin:downloads_job_changelist"),
                    _link("Downloaders", "dns", "admin:downloads_downloader_changelist"),
                ]
            },
            {
                "title": "Links",
                "separator": True,
                "items": [
                    _link("Links", "link", "admin:downloads_link_changelist"),
                    _link("Feeds", "rss_feed", "admin:downloads_feed_changelist"),
                    _link("Filter rules", "filter_alt", "admin:downloads_filterrule_changelist"),
                ],
            },
            {
                "title": "Catalogue",
                "separator": True,
                "items": [
                    _link("Sites", "public", "admin:catalogue_site_changelist"),
                    _link("Titles", "movie", "admin:catalogue_title_changelist"),
                    _link("Names", "translate", "admin:catalogue_titlemapping_changelist"),
                    _link("Availability", "check", "admin:catalogue_availabilityrecord_changelist"),
                ],
            },
            {
                "title": "Download clients",
                "separator": True,
                "items": [
                    _link("Torrents", "list", "admin:qbshim_clienttask_changelist"),
                    _link("Categories", "folder", "admin:qbshim_category_changelist"),
                    _link("Signed in", "key", "admin:qbshim_clientsession_changelist"),
                    _link("Failed logins", "block", "admin:qbshim_failedlogin_changelist"),
                ],
            },
            {
                "title": "Playing",
                "separator": True,
                "items": [
                    _link("Playbacks", "play_circle", "admin:strm_streamsession_changelist"),
                    _link("STRM library", "video_library", "admin:strm_librarytitle_changelist"),
                ],
            },
            {
                "title": "System",
                "separator": True,
                "items": [
                    _link("Users", "person", "admin:auth_user_changelist"),
                    _link(
                        "Schedule", "schedule", "admin:django_celery_beat_periodictask_changelist"
                    ),
                    _link("Processes", "monitor_heart", "admin:downloads_heartbeat_changelist"),
                ],
            },
        ],
    },
}
