#!/bin/sh
# Run as PUID:PGID with UMASK, as the *arr images do, so that they can read and move what we write.
set -eu
umask "${UMASK:-002}"
if [ "$(id -u)" = 0 ]; then
    uid="${PUID:-1000}" gid="${PGID:-1000}"
    mkdir -p "$ANIBRIDGE_DATA_DIR" "$ANIBRIDGE_DOWNLOAD_DIR"
    # Only the roots: a large download folder is not walked at every start.
    chown "$uid:$gid" "$ANIBRIDGE_DATA_DIR" "$ANIBRIDGE_DOWNLOAD_DIR"
    exec gosu "$uid:$gid" "$@"
fi
exec "$@"
