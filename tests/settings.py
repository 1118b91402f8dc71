"""What the suite runs with: the real settings, a few lines changed."""

import os
import tempfile
from pathlib import Path

_scratch = Path(tempfile.mkdtemp(prefix="anibridge-tests-"))
os.environ["ANIBRIDGE_DATA_DIR"] = str(_scratch)
os.environ.setdefault("ANIBRIDGE_DEMO", "true")

from anibridge.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Every test client starts the middleware anew, which would look at each of the admin's static files first.
WHITENOISE_AUTOREFRESH = True
SKYHOOK_BASE_URL = "http://127.0.0.1:9"  # nobody listens; tests of it bring their own
SEARCH_BUDGET_SECONDS = 30.0  # a machine may be busy; tests of the budget set their own
CELERY_BROKER_URL = "memory://localhost/"
CELERY_BROKER_TRANSPORT_OPTIONS = {}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # A file, as in production: the in-memory one is shared between threads and locks whole tables.
    DATABASES["default"]["TEST"] = {"NAME": str(_scratch / "test.sqlite3")}  # noqa: F405
