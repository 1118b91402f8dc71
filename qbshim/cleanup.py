"""What grows by itself and has to go by itself."""

import time

from qbshim import auth, bans, changes, maindata


def run() -> None:
    """Delete what is over: sessions, answers that a client could refer to, the change log, failed logins."""
    now = time.time()
    auth.forget_expired()
    maindata.forget_old(now)
    changes.prune(now)
    bans.prune()
