"""A remote file that can be read and sought in like a local one, for looking at a video's header."""

import io
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from anibridge.lib import watch
from anibridge.lib.http import CONNECT_TIMEOUT, MIB, GuardedSession
from anibridge.lib.outbound import (
    OutboundError,
    TooLarge,
    UnexpectedAnswer,
    host_of,
    translated,
)

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


class RangedFile(io.RawIOBase):
    """A read-only file over HTTP ranges, through a guarded session that stays the caller's.

    Blocks are kept, few at a time, and `max_bytes` bounds what is transferred in all (TooLarge). A server
    without ranges is read forwards only; seeking back further than the kept blocks is then unsupported.
    Opening asks for the first block: it raises UnexpectedAnswer for a refusal and for a web page.
    """

    def __init__(
        self,
        url: str,
        *,
        session: GuardedSession,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = 16 * MIB,
        block_size: int = 256 * 1024,
        blocks: int = 8,
        timeout: float = 20.0,
    ) -> None:
        super().__init__()
        self.url = url
        self.size: int | None = None
        self.transferred = 0
        self._session = session
        self._headers = {**(headers or {}), "Accept-Encoding": "identity"}
        self._max_bytes = max_bytes
        self._block_size = block_size
        self._keep = max(2, blocks)
        self._timeout = timeout
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._forward: Iterator[bytes] | None = None
        self._response: requests.Response | None = None
        self._next_forward = 0
        try:
            self._fetch_block(0)
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        """Also without ranges, as far as the kept blocks and reading forwards go."""
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            if self.size is None:
                raise io.UnsupportedOperation("the size of this file is not known")
            offset += self.size
        if offset < 0:
            raise ValueError("negative seek position")
        self._position = offset
        return offset

    def readinto(self, buffer: Any) -> int:
        """Fills from one block, so it may return less than asked for; 0 only at the end."""
        with memoryview(buffer) as view, view.cast("B") as target:
            if not len(target) or (self.size is not None and self._position >= self.size):
                return 0
            number, start = divmod(self._position, self._block_size)
            piece = self._block(number)[start : start + len(target)]
            target[: len(piece)] = piece
            self._position += len(piece)
            return len(piece)

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        if self._forward is None:
            return self._fetch_block(number)
        if number < self._next_forward:
            raise io.UnsupportedOperation(f"{host_of(self.url)} does not serve parts of a file")
        while self._next_forward <= number:
            block = self._next_block()
            if not block:
                return b""
        return block

    def _fetch_block(self, number: int) -> bytes:
        first = number * self._block_size
        last = first + self._block_size - 1
        response = self._ask({**self._headers, "Range": f"bytes={first}-{last}"})
        if response.status_code == 206:
            try:
                self._learn_range(response, first)
                block = b"".join(self._taken(response, self._block_size))
            finally:
                response.raw.close()
            expected = self._block_size
            if self.size is not None:
                expected = min(expected, self.size - first)
            if len(block) < expected:
                raise OutboundError(f"{host_of(self.url)} broke the connection off")
            return self._kept(number, block)
        if response.status_code == 416 and number == 0:
            response.raw.close()
            self.size = 0
            return b""
        if response.status_code != 200 or number > 0:
            response.raw.close()
            raise _unexpected(self.url, response.status_code)
        length = response.headers.get("Content-Length", "")
        self.size = int(length) if length.isdecimal() else None
        self._response = response
        self._forward = self._taken(response, None)
        return self._next_block()

    def _ask(self, headers: Mapping[str, str]) -> requests.Response:
        with translated(self.url):
            watch.tick()
            response = self._session.get(
                self.url,
                headers=headers,
                timeout=(min(self._timeout, CONNECT_TIMEOUT), self._timeout),
                stream=True,
            )
        kind = response.headers.get("Content-Type", "").lower()
        if response.status_code < 300 and kind.startswith(("text/html", "application/xhtml")):
            response.raw.close()
            raise UnexpectedAnswer(
                f"{host_of(self.url)} answered with a web page instead of a file",
                status=response.status_code,
                retryable=False,
            )
        return response

    def _learn_range(self, response: requests.Response, first: int) -> None:
        found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != first:
            raise OutboundError(f"{host_of(self.url)} sent another part of the file than asked for")
        if self.size is not None and self.size != int(found[3]):
            raise OutboundError(f"the file at {host_of(self.url)} changed while it was read")
        self.size = int(found[3])

    def _taken(self, response: requests.Response, limit: int | None) -> Iterator[bytes]:
        """The body in blocks, each counted against the budget."""
        left = self._block_size if limit is None else limit
        while left > 0:
            if self.transferred >= self._max_bytes:
                raise TooLarge(
                    f"more than {self._max_bytes} bytes of the file at {host_of(self.url)} would have to be read"
                )
            with translated(self.url):
                piece: bytes = response.raw.read(left, decode_content=False)
            if not piece:
                return
            self.transferred += len(piece)
            if limit is not None:
                left -= len(piece)
            yield piece

    def _next_block(self) -> bytes:
        assert self._forward is not None
        block = next(self._forward, b"")
        number = self._next_forward
        self._next_forward += 1
        if len(block) < self._block_size:
            self._forward = iter(())
            self.size = number * self._block_size + len(block)
            self._hang_up()
        return self._kept(number, block)

    def _kept(self, number: int, block: bytes) -> bytes:
        self._blocks[number] = block
        while len(self._blocks) > self._keep:
            # The first block stays: readers of containers come back to it.
            victim = next(one for one in self._blocks if one != 0)
            del self._blocks[victim]
        return block

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.raw.close()
            self._response.close()
            self._response = None


def _unexpected(url: str, status: int) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"{host_of(url)} answered with HTTP status {status}",
        status=status,
        retryable=status in _RETRYABLE,
    )
