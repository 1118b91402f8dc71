"""WSGI on threads below ASGI, as a2wsgi has it, with one step from a thread to the loop for each answer.

a2wsgi lets the thread wait for the loop with every part of an answer: its head, each piece of its body, its end. Each time
two threads wake each other, which under load takes longer than most of our answers do. Ours are whole before their first
byte is sent, so they are handed over at once when the thread is done.
"""

from concurrent.futures import ThreadPoolExecutor

from a2wsgi import wsgi
from a2wsgi.asgi_typing import HTTPResponseBodyEvent, Receive, Scope, Send, SendEvent
from a2wsgi.wsgi_typing import WSGIApp

HELD = 1024 * 1024
"""Bytes of an answer that are handed over at its end. A longer one goes piece by piece, as fast as its client reads."""


class OnThreads(wsgi.WSGIMiddleware):
    """The ASGI app of a WSGI app, on so many threads. For HTTP alone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await _Responder(self.app, self.executor, self.send_queue_size)(scope, receive, send)


class _Responder(wsgi.WSGIResponder):
    """One request. `send` is called on its thread, `sender` runs on the loop."""

    def __init__(self, app: WSGIApp, executor: ThreadPoolExecutor, send_queue_size: int) -> None:
        super().__init__(app, executor, send_queue_size)
        self._held: list[SendEvent] | None = []
        self._size = 0

    def send(self, message: SendEvent | None) -> None:
        if self._held is None or message is None:
            super().send(message)
            return
        self._held.append(message)
        self._size += len(_body(message))
        if self._size > HELD:
            held, self._held = self._held, None
            for one in held:
                super().send(one)

    async def sender(self, send: Send) -> None:
        await super().sender(send)
        if self._held:
            head, *parts = self._held
            await send(head)
            await send({"type": "http.response.body", "body": b"".join(map(_body, parts))})


def _body(message: SendEvent) -> bytes:
    if message["type"] != "http.response.body":
        return b""
    body: HTTPResponseBodyEvent = message
    return body.get("body", b"")
