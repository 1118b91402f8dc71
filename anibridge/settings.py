"""Settings: one file, everything that differs between installations is a variable (see README).

A bad value stops the start; all bad ones are named at once.
"""

import ipaddress
import re
import zoneinfo
from pathlib import Path
from typing import Any, cast

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from environs import EnvError, EnvValidationError, FileAwareEnv, validate

from anibridge.lib import secrets
from anibridge.theme import UNFOLD as UNFOLD

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"

env = FileAwareEnv(eager=False, strip_whitespace=True)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


@env.parser_for("size")
def _size(value: str) -> int:
    """Bytes, with an optional unit: `10MB`, `512KiB`, `0`."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]I?)?B?(?:/S)?\s*", str(value).upper())
    if not match:
        raise EnvError("Must be a number of bytes such as 500000, 500KB or 10MB.")
    return int(float(match[1]) * _UNITS[match[2] or ""])


def _one_of(*choices: str) -> Any:
    return validate.OneOf(choices, error="is not one of the known values")


# --- What the operator decides -------------------------------------------------------------------
DATA_DIR = env.path("ANIBRIDGE_DATA_DIR", Path("data"))
_download_dir = env.path("ANIBRIDGE_DOWNLOAD_DIR", None)
HOST = env.str("ANIBRIDGE_HOST", "127.0.0.1")
PORT = env.int("ANIBRIDGE_PORT", 8000, validate=validate.Range(min=1, max=65535))
PUBLIC_URL = env.str("ANIBRIDGE_PUBLIC_URL", "")
_trusted_proxies: list[str] = env.list("ANIBRIDGE_TRUSTED_PROXIES", [])
WEB_WORKERS = env.int("ANIBRIDGE_WEB_WORKERS", 2, validate=validate.Range(min=1, max=64))
WEB_THREADS = env.int("ANIBRIDGE_WEB_THREADS", 8, validate=validate.Range(min=1, max=256))
ADMIN_USER = env.str("ANIBRIDGE_ADMIN_USER", "admin", validate=validate.Length(min=1, max=150))
DEMO = env.bool("ANIBRIDGE_DEMO", None)
DEMO_PORT = env.int("ANIBRIDGE_DEMO_PORT", 8001, validate=validate.Range(min=1, max=65535))
_demo_videos = env.path("ANIBRIDGE_DEMO_VIDEOS", None)
LOG_LEVEL = env.str(
    "ANIBRIDGE_LOG_LEVEL", "INFO", validate=_one_of("DEBUG", "INFO", "WARNING", "ERROR")
)
TIME_ZONE = env.str("TZ", "UTC", validate=_one_of(*zoneinfo.available_timezones()))
_secret_key = env.str("ANIBRIDGE_SECRET_KEY", "")
# Keys that were used before: sessions and stored passwords made with them stay readable.
_old_secret_keys: list[str] = env.list("ANIBRIDGE_SECRET_KEY_FALLBACKS", [])
_api_key = env.str("ANIBRIDGE_API_KEY", "")
_admin_password = env.str("ANIBRIDGE_ADMIN_PASSWORD", "")
_database_url = env.str("DATABASE_URL", "")
_broker_url = env.str("CELERY_BROKER_URL", "")

_sites = env.list("CATALOGUE_SITES", None)
SITE_BASE_URLS = {
    site: env.str(f"{site.upper()}_BASE_URL", "")
    for site in ("aniworld", "sto", "megakino", "demo")
}
DOWNLOAD_CONCURRENCY = env.int("DOWNLOAD_CONCURRENCY", 3, validate=validate.Range(min=1, max=64))
DOWNLOAD_RATE_LIMIT = env.size("DOWNLOAD_RATE_LIMIT", "0")
DOWNLOAD_RETRIES = env.int("DOWNLOAD_RETRIES", 3, validate=validate.Range(min=0, max=20))
DOWNLOAD_POLL_INTERVAL = env.float(
    "DOWNLOAD_POLL_INTERVAL", 60, validate=validate.Range(min=2, max=3600)
)
DOWNLOAD_SILENT_SECONDS = env.float(
    "DOWNLOAD_SILENT_SECONDS", 60, validate=validate.Range(min=5, max=3600)
)
DOWNLOAD_MAX_RUNNING = env.int("DOWNLOAD_MAX_RUNNING", 0, validate=validate.Range(min=0, max=1000))
DOWNLOAD_FORCED_SLOTS = env.int("DOWNLOAD_FORCED_SLOTS", 1, validate=validate.Range(min=0, max=16))
DOWNLOAD_PER_HOST = env.int("DOWNLOAD_PER_HOST", 4, validate=validate.Range(min=0, max=1000))
DOWNLOAD_PER_SOURCE = env.int("DOWNLOAD_PER_SOURCE", 0, validate=validate.Range(min=0, max=1000))
DOWNLOAD_STALL_SECONDS = env.float(
    "DOWNLOAD_STALL_SECONDS", 60, validate=validate.Range(min=1, max=3600)
)
DOWNLOAD_RESERVE = env.size("DOWNLOAD_RESERVE", "256MiB")
DOWNLOAD_MAX_BYTES = env.size("DOWNLOAD_MAX_BYTES", "200GB")
DOWNLOAD_KEEP_PARTIAL_HOURS = env.float(
    "DOWNLOAD_KEEP_PARTIAL_HOURS", 168, validate=validate.Range(min=0, max=24 * 365)
)
DOWNLOAD_KEEP_RECORD_DAYS = env.float(
    "DOWNLOAD_KEEP_RECORD_DAYS", 90, validate=validate.Range(min=1, max=3650)
)
_library_roots: list[str] = env.list("DOWNLOAD_LIBRARY_ROOTS", [])
PROVIDER_ORDER = env.list(
    "PROVIDER_ORDER",
    ["VOE", "Filemoon", "Streamtape", "Vidmoly", "Doodstream", "LoadX", "Luluvdo", "Vidoza"],
)
AVAILABILITY_TTL_HOURS = env.float(
    "AVAILABILITY_TTL_HOURS", 24, validate=validate.Range(min=0.01, max=24 * 365)
)
# An index below this share of the last good one is a broken page until its owner says otherwise.
INDEX_SMALLEST_SHARE = env.float("INDEX_SMALLEST_SHARE", 0.5, validate=validate.Range(min=0, max=1))
SEARCH_BUDGET_SECONDS = env.float(
    "SEARCH_BUDGET_SECONDS", 5, validate=validate.Range(min=0.5, max=90)
)
SKYHOOK_BASE_URL = env.str(
    "SKYHOOK_BASE_URL",
    "https://skyhook.sonarr.tv",
    validate=validate.URL(schemes={"http", "https"}, require_tld=False),
)
SPECIALS_MATCH_THRESHOLD = env.float(
    "SPECIALS_MATCH_THRESHOLD", 0.5, validate=validate.Range(min=0, max=1)
)
OUTBOUND_ALLOWED_PRIVATE_HOSTS = env.list("OUTBOUND_ALLOWED_PRIVATE_HOSTS", [])
STRM_PROXY_MODE = env.str("STRM_PROXY_MODE", "direct", validate=_one_of("direct", "proxy"))
STRM_PROXY_AUTH = env.str("STRM_PROXY_AUTH", "token", validate=_one_of("token", "apikey", "none"))
STRM_PUBLIC_BASE_URL = env.str("STRM_PUBLIC_BASE_URL", "")
STRM_PROXY_ALLOWED_HOSTS: list[str] = env.list("STRM_PROXY_ALLOWED_HOSTS", [])
STRM_MAX_STREAMS = env.int("STRM_MAX_STREAMS", 256, validate=validate.Range(min=0, max=4000))
STRM_MAX_STREAMS_PER_HOST = env.int(
    "STRM_MAX_STREAMS_PER_HOST", 64, validate=validate.Range(min=0, max=4000)
)
STRM_URL_TTL_MINUTES = env.float(
    "STRM_URL_TTL_MINUTES", 180, validate=validate.Range(min=0.1, max=60 * 24 * 30)
)
STRM_PLAYBACK_IDLE_MINUTES = env.float(
    "STRM_PLAYBACK_IDLE_MINUTES", 120, validate=validate.Range(min=1, max=60 * 24)
)
STRM_PLAYBACK_MAX_HOURS = env.float(
    "STRM_PLAYBACK_MAX_HOURS", 24, validate=validate.Range(min=1, max=24 * 30)
)
# 0: the links in .strm files do not end.
STRM_LINK_DAYS = env.float("STRM_LINK_DAYS", 0, validate=validate.Range(min=0, max=3650))
STRM_PREFETCH_NEXT = env.bool("STRM_PREFETCH_NEXT", False)
_strm_library = env.path("STRM_LIBRARY_DIR", None)
# 0: only `manage.py strm_library` and the API bring it in step.
STRM_LIBRARY_HOURS = env.float("STRM_LIBRARY_HOURS", 0, validate=validate.Range(min=0, max=720))
STRM_LIBRARY_SERIES_FOLDER = env.str("STRM_LIBRARY_SERIES_FOLDER", "")
STRM_LIBRARY_MOVIES_FOLDER = env.str("STRM_LIBRARY_MOVIES_FOLDER", "Movies")
STRM_LIBRARY_NFO = env.bool("STRM_LIBRARY_NFO", False)
STRM_LIBRARY_COVERS = env.bool("STRM_LIBRARY_COVERS", False)
STRM_REMUX = env.str("STRM_REMUX", "off", validate=_one_of("off", "mp4", "mkv"))
STRM_REMUX_CACHE = env.size("STRM_REMUX_CACHE", "20GB")
STRM_REMUX_WAIT_SECONDS = env.float(
    "STRM_REMUX_WAIT_SECONDS", 10, validate=validate.Range(min=0, max=600)
)
TORZNAB_LINK_MODE = env.str("TORZNAB_LINK_MODE", "verify", validate=_one_of("verify", "magnet"))
# A grab link stays good for so many days at least: delay profiles and pending releases hold them for days.
GRAB_LINK_DAYS = env.int("TORZNAB_LINK_DAYS", 30, validate=validate.Range(min=1, max=3650))
STRM_FILES_MODE = env.str("STRM_FILES_MODE", "no", validate=_one_of("no", "both", "only"))
TORZNAB_RETURN_TEST_RESULT = env.bool("TORZNAB_RETURN_TEST_RESULT", True)
QBIT_PUBLIC_SAVE_PATH = env.str("QBIT_PUBLIC_SAVE_PATH", "")

try:
    env.seal()
except EnvValidationError as error:
    named = "; ".join(
        f"{name}: {', '.join(str(m) for m in messages)}"
        for name, messages in cast("dict[str, list[str]]", error.error_messages).items()
    )
    raise ImproperlyConfigured(f"bad setting: {named}") from None

# --- Derived from it; nothing below reads the environment ----------------------------------------
DATA_DIR = DATA_DIR.expanduser().resolve()
DOWNLOAD_DIR: Path = (_download_dir or DATA_DIR / "downloads").expanduser().resolve()
DOWNLOAD_LIBRARY_ROOTS: list[Path] = [
    Path(root.strip()).expanduser().resolve() for root in _library_roots if root.strip()
]
STRM_LIBRARY_DIR: Path | None = _strm_library and _strm_library.expanduser().resolve()
_demo_runs = DATA_DIR / "run" / "demo"  # holds the port while `up` runs the demo catalogue
if DEMO is None and _demo_runs.exists():
    DEMO, DEMO_PORT = True, int(_demo_runs.read_text())
if DEMO:
    # Exactly the stand-in may be reached on this machine, nothing else.
    OUTBOUND_ALLOWED_PRIVATE_HOSTS.append(f"127.0.0.1:{DEMO_PORT}")
    SITE_BASE_URLS["demo"] = SITE_BASE_URLS["demo"] or f"http://127.0.0.1:{DEMO_PORT}"
DEMO_VIDEOS: Path = (_demo_videos or DATA_DIR / "demo").expanduser().resolve()
CATALOGUE_SITES: list[str] = [
    name.strip().lower()
    for name in (_sites if _sites is not None else (["demo"] if DEMO else []))
    if name.strip()
]
PROVIDER_ORDER = [name.strip() for name in PROVIDER_ORDER if name.strip()]
try:
    # Only these may say in X-Forwarded-For for whom they ask.
    TRUSTED_PROXIES = [
        ipaddress.ip_network(proxy.strip(), strict=False)
        for proxy in _trusted_proxies
        if proxy.strip()
    ]
except ValueError as error:
    raise ImproperlyConfigured(f"bad setting: ANIBRIDGE_TRUSTED_PROXIES: {error}") from None
OUTBOUND_ALLOWED_PRIVATE_HOSTS = [h.strip() for h in OUTBOUND_ALLOWED_PRIVATE_HOSTS if h.strip()]
STRM_PROXY_ALLOWED_HOSTS = [h.strip() for h in STRM_PROXY_ALLOWED_HOSTS if h.strip()]
try:
    SECRET_KEY_FALLBACKS, SECRET_KEY_FALLBACK_ENDS = secrets.previous(_old_secret_keys)
except ValueError as error:
    raise ImproperlyConfigured(f"bad setting: ANIBRIDGE_SECRET_KEY_FALLBACKS: {error}") from None
SECRETS_DIR = DATA_DIR / "secrets"
API_KEY_FILE = SECRETS_DIR / "api_key"
ADMIN_PASSWORD_FILE = SECRETS_DIR / "admin_password"

if _api_key and not re.fullmatch(r"[A-Za-z0-9_-]{16,128}", _api_key):
    # Sonarr appends the key to the URL without escaping it.
    raise ImproperlyConfigured(
        "bad setting: ANIBRIDGE_API_KEY: must be 16 to 128 letters, digits, - or _"
    )
try:
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    (DATA_DIR / "static").mkdir(exist_ok=True)
    SECRET_KEY = _secret_key or secrets.load_or_create(
        SECRETS_DIR / "secret_key", lambda: secrets.password() + secrets.api_key()
    )
    API_KEY = _api_key or secrets.load_or_create(API_KEY_FILE, secrets.api_key)
    ADMIN_PASSWORD = _admin_password or secrets.load_or_create(
        ADMIN_PASSWORD_FILE, secrets.password
    )
except OSError as error:
    raise ImproperlyConfigured(
        f"the data directory {DATA_DIR} cannot be written ({error.strerror or error}): "
        "make it writable or set ANIBRIDGE_DATA_DIR"
    ) from None

DEBUG = False
# Any name may be used: *arr containers reach us under names of their network. Host-bound links
# are built from ANIBRIDGE_PUBLIC_URL or the request itself, never stored.
ALLOWED_HOSTS = ["*"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL.rstrip("/")] if "://" in PUBLIC_URL else []
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
ROOT_URLCONF = "anibridge.urls"
WSGI_APPLICATION = "anibridge.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
USE_TZ = True
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "dashboard"
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # no collectstatic step between a fresh clone and a running server
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 2**20
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "anibridge",
    "catalogue",
    "downloads",
    "torznab",
    "qbshim",
    "strm",
    "wanted",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "anibridge.lib.rest.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "anibridge.lib.rest.Pages",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["anibridge.lib.rest.Json"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "anibridge.lib.rest.error_response",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AniBridge",
    "DESCRIPTION": "The bridge between the *arr family and sources that it cannot reach.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    # The pages' scripts come from the package: an installation without the internet has them too.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Several fields are called alike and take other values: each set has a name of its own in the schema.
    "ENUM_NAME_OVERRIDES": {
        "DownloadStatus": "downloads.models.JobStatus.values",
        "ItemStatus": ["created", "duplicate", "rejected"],
        "OutcomeStatus": ["done", "refused", "unknown"],
        "DownloaderKind": "downloads.models.DownloaderKind.choices",
        "RuleKind": "downloads.models.links.RuleKind.choices",
        "LinkMode": "downloads.models.links.LinkMode.choices",
        "NamingKind": ["movie", "episode"],
    },
}


def _database() -> dict[str, Any]:
    if not _database_url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "anibridge.sqlite3",
            "OPTIONS": {
                # IMMEDIATE: without it racing writers die with «database is locked» at once.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
            "CONN_MAX_AGE": 600,
        }
    try:
        parsed: dict[str, Any] = dict(dj_database_url.parse(_database_url, conn_max_age=600))
    except (ValueError, dj_database_url.ParseError):
        raise ImproperlyConfigured(
            "bad setting: DATABASE_URL: must look like postgresql://user:password@host:5432/name"
        ) from None
    if parsed["ENGINE"] == "django.db.backends.postgresql":
        parsed["ENGINE"] = "anibridge.lib.postgresql"
    parsed["CONN_HEALTH_CHECKS"] = True
    # Statements that come again are prepared: planning them takes PostgreSQL longer than most of them take.
    prepared: dict[str, Any] = {"server_side_binding": True, "prepare_threshold": 5}
    parsed["OPTIONS"] = prepared | dict(parsed.get("OPTIONS", {}))
    return parsed


DATABASES = {"default": _database()}

# Shared by all web processes; nothing in it is missed when it is gone.
CACHES = {
    "default": {
        "BACKEND": "anibridge.lib.caches.Redis",
        "LOCATION": _broker_url,
        "KEY_PREFIX": "anibridge",
        "OPTIONS": {"socket_connect_timeout": 1.0, "socket_timeout": 2.0},
    }
    if _broker_url.startswith(("redis:", "rediss:"))
    else {
        "BACKEND": "anibridge.lib.caches.Files",
        "LOCATION": str(DATA_DIR / "cache"),
        "OPTIONS": {"MAX_ENTRIES": 2000},
    }
}

# --- Celery: a message is a nudge, the row is the truth ------------------------------------------
CELERY_BROKER_URL = _broker_url or "filesystem://localhost//"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {
        "data_folder_in": str(DATA_DIR / "broker" / "queue"),
        "data_folder_out": str(DATA_DIR / "broker" / "queue"),
        "control_folder": str(DATA_DIR / "broker" / "control"),
        "polling_interval": 0.1,
    }
    if CELERY_BROKER_URL.startswith("filesystem:")
    # Redis hands unacknowledged work out again after this many seconds: longer than any download.
    else {"visibility_timeout": 24 * 3600}
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {"downloads.run_job": {"queue": "downloads"}}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
# Owned by code: written to the database at each start of beat; `enabled` stays as the admin set it.
# Each entry expires just before its next turn, so that a worker that was away does not catch up.
CELERY_BEAT_SCHEDULE = {
    "sweep downloads": {
        "task": "downloads.sweep",
        "schedule": 15.0,
        "options": {"expire_seconds": 14},
    },
    "give links to downloaders": {
        "task": "downloads.dispatch",
        "schedule": 15.0,
        "options": {"expire_seconds": 14},
    },
    "ask downloaders how it goes": {
        "task": "downloads.poll",
        "schedule": DOWNLOAD_POLL_INTERVAL,
        "options": {"expire_seconds": max(DOWNLOAD_POLL_INTERVAL - 1, 1)},
    },
    "look at new links": {
        "task": "downloads.process_links",
        "schedule": 60.0,
        "options": {"expire_seconds": 55},
    },
    "ask feeds that are due": {
        "task": "downloads.poll_feeds",
        "schedule": 60.0,
        "options": {"expire_seconds": 55},
    },
    "forget old downloads": {
        "task": "downloads.cleanup",
        "schedule": 86400.0,
        "options": {"expire_seconds": 80000},
    },
    "forget old links": {
        "task": "downloads.forget_links",
        "schedule": 86400.0,
        "options": {"expire_seconds": 80000},
    },
    "refresh title indexes that are due": {
        "task": "catalogue.refresh_due",
        "schedule": 60.0,
        "options": {"expire_seconds": 55},
    },
    "forget old availability": {
        "task": "catalogue.cleanup",
        "schedule": 86400.0,
        "options": {"expire_seconds": 80000},
    },
    "forget old sessions": {
        "task": "anibridge.clear_sessions",
        "schedule": 86400.0,
        "options": {"expire_seconds": 80000},
    },
    "forget old qBittorrent sessions": {
        "task": "qbshim.cleanup",
        "schedule": 300.0,
        "options": {"expire_seconds": 290},
    },
    "forget old playbacks": {
        "task": "strm.cleanup",
        "schedule": 86400.0,
        "options": {"expire_seconds": 80000},
    },
    "bring the STRM library in step": {
        "task": "strm.library",
        "schedule": max(STRM_LIBRARY_HOURS, 1.0) * 3600,
        "kwargs": {"scheduled": True},
        "options": {"expire_seconds": 3500},
    },
    "poll new episodes": {
        "task": "catalogue.poll_recent",
        "schedule": 900.0,
        "options": {"expire_seconds": 840},
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Expected answers (a client without a session, a wrong path) are no warnings of ours.
        "django.request": {"level": "ERROR"},
        "kombu": {"level": "WARNING"},
        # Its debug lines hold whole addresses, with the keys in them.
        "urllib3": {"level": "INFO"},
        # A line per task would bury the ones that matter: the sweeper alone runs every 15 s.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.redirected": {"level": "WARNING"},
    },
}
