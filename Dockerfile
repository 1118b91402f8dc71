# The same steps as `make run`: environment, pinned dependencies, then `manage.py up`.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg gosu tini tzdata \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .

ENV ANIBRIDGE_HOST=0.0.0.0 \
    ANIBRIDGE_DATA_DIR=/data \
    ANIBRIDGE_DOWNLOAD_DIR=/downloads \
    ANIBRIDGE_DEMO=false \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
VOLUME ["/data", "/downloads"]
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('ANIBRIDGE_PORT', '8000')}/readyz\", timeout=4)"]

# tini reaps orphans; the entry point gives the folders to PUID:PGID and drops root.
ENTRYPOINT ["tini", "--", "/app/docker-entrypoint.sh"]
CMD ["python", "manage.py", "up", "--console"]
