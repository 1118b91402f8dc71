import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Kept connections are looked at before each request, since the server may have been started anew."""

    def is_usable(self) -> bool:
        """Whether the connection is still one.

        Nobody has asked anything, so there is nothing to be read unless the server has said good-bye, or the machine
        has noticed that it is gone. Only then is it asked, as Django would do before every request.
        """
        connection = self.connection
        if connection is None or connection.closed:
            return False
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return not poll.poll(0) or super().is_usable()
