"""The ordinary pages and APIs as a WSGI application; `asgi.py` puts it on a thread pool."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anibridge.settings")

application = get_wsgi_application()
