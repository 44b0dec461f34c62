"""The client's side of one HTTP/1.1 exchange, without I/O: bytes in, events out.

:mod:`.wire_head` has h11 write the request and read heads and trailers. The bodies are read here,
because h11 cannot tell what is to be told of them:

* how many bytes a frame announces, so that one of 2**60 bytes is refused at once;
* whether a CRLF follows the frame: h11 0.14 passes over any two bytes there;
* a frame within about 1 µs, where h11 takes five times as long.

So h11 never sees a frame. It is given the head, and then the final frame with its trailers, which
is a chunked body of its own. Where these end is found here, by the blank line, as h11 finds it.

What the server sends is not trusted. Whatever waits for its end has a limit: a head, the trailers,
the line of a chunk size, the number of 1xx responses, what a frame announces (a frame is collected
as it arrives; no memory is reserved because of an announcement). What can be judged before it is
complete is judged then, since what is no HTTP may never end: the first bytes of a response, the
line of a chunk size. However many pieces a body comes in, its bytes are looked at once; only a
line of a chunk size, which is short, is looked at again when more of it comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .wire_events import NEED_DATA, BadWire, End, Event, Frame, Head, NeedData, shown
from .wire_head import Answer, HeadReader

__all__ = ["NEED_DATA", "BadWire", "End", "Event", "Frame", "Head", "NeedData", "WireReader"]

MAX_HEAD = 256 * 1024
"""So many bytes may a head have, and so many the final frame with its trailers."""

MAX_FRAME = 1024**3
"""So many bytes may a frame announce."""

MAX_INTERIM = 100
"""So many 1xx responses may come before the final one."""

_CRLF = b"\r\n"
_BLANK_LINE = re.compile(rb"\n\r?\n")
# A chunk size, and extensions that nobody reads (RFC 9112, section 7.1), in a line that ends soon.
_SIZE = rb"([0-9A-Fa-f]{1,20})[ \t]{0,20}(?:;[\t\x20-\x7e\x80-\xff]{0,1000})?"
_SIZE_LINE = re.compile(_SIZE + rb"\r\n")
_BEGINNING_OF_SIZE_LINE = re.compile(rb"(?:" + _SIZE + rb"\r?)?")
_LONGEST_SIZE_LINE = 20 + 20 + 1 + 1000 + 2


class WireReader:
    """Reads what a server answers to one request.

    Send :attr:`request`. Then take :meth:`next_event` until it gives an :class:`End`; when it gives
    :data:`NEED_DATA`, :meth:`feed` what arrives next. For a time limit, watch the clock between
    two receives: a server may send a byte now and then, and no event comes of it.

    :param method: Any but ``CONNECT``, which opens a tunnel.
    :param target: The path and the query, percent-encoded.
    :param headers: All fields, ``Host`` too; a body needs its ``Content-Length`` (which must be
        right) or ``Transfer-Encoding: chunked`` (then it is sent as one frame).
    :raises ValueError: if this is no request that can be sent.
    """

    request: bytes
    """The whole request, to be sent as it is."""

    def __init__(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes = b""
    ) -> None:
        self._heads = HeadReader(method, target, headers, body)
        self.request = self._heads.request
        self._data = b""  # what was fed and is not used up, which is from _at on
        self._at = 0
        self._block = bytearray()  # the head or the trailers, until they are complete
        self._searched = 0  # up to here, no blank line begins in the block
        self._interim = 0
        self._frame = bytearray()  # a frame that did not come in one piece
        self._missing = 0  # of the frame or, with a Content-Length, of the body
        self._keep_alive = False
        self._closed = False
        self._bad = ""
        self._end: End | None = None
        # A function and no bound method, so that no reader waits for the garbage collector.
        self._read: Callable[[WireReader], Event | None] = WireReader._read_head

    def __repr__(self) -> str:
        ended = self._bad or (self._end.how if self._end else "open")
        return f"<WireReader: {ended}, {self.partial_bytes} bytes of an unfinished frame>"

    def feed(self, data: bytes) -> None:
        """Take what was received, in any pieces; ``b""`` says that the server has closed.

        Call it when :meth:`next_event` has given :data:`NEED_DATA`, or after the end, with what
        arrives on a connection that should be silent.

        :raises BadWire: if the response has ended, or was none before.
        :raises ValueError: if there can be no more data, because the server has closed.
        """
        if self._bad:
            raise BadWire(self._bad)
        if not data:
            self._closed = True
        elif self._closed:
            raise ValueError("a connection ends once: nothing can be fed after b''")
        else:
            self._data = self._data[self._at :] + data
            self._at = 0
            if self._end is not None:
                self.next_event()

    def next_event(self) -> Event | NeedData:
        """Give the next event, or :data:`NEED_DATA`; after the :class:`End`, that one again.

        :raises BadWire: when what was fed is no HTTP, and from then on.
        """
        try:
            event = self._read(self)
        except BadWire as bad:
            self._bad = str(bad)
            self._end = None
            self._go_on_with(WireReader._read_nothing)
            raise
        if event is not None:
            return event
        return self._cut_off() if self._closed else NEED_DATA

    @property
    def partial_bytes(self) -> int:
        """How many bytes of an unfinished frame have arrived."""
        return len(self._frame)

    @property
    def reusable(self) -> bool:
        """Whether the connection may be used for another request: after a clean end only."""
        # The other ends come with the connection's, so an end without that is a clean one.
        return self._end is not None and self._keep_alive and not self._closed

    # Heads and trailers

    def _read_head(self) -> Event | None:
        while (block := self._take_head()) is not None:
            answer = self._heads.read_head(block)
            if answer is not None:
                return self._begin_body(answer)
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise BadWire(f"more than {MAX_INTERIM} responses with a 1xx status")
        return None

    def _take_head(self) -> bytes | None:
        self._gather()
        if not self._block.startswith(b"HTTP/"[: len(self._block)]):
            raise BadWire(f"a response that does not begin with HTTP/: {shown(self._block)}")
        return self._take_block("a head")

    def _begin_trailers(self) -> Event | None:
        self._block += b"0\r\n"  # which also makes a blank line of a CRLF that follows at once
        self._read = WireReader._read_trailers
        return self._read_trailers()

    def _read_trailers(self) -> Event | None:
        self._gather()
        block = self._take_block("trailers")
        return None if block is None else self._finish(self._heads.read_trailers(block))

    def _gather(self) -> None:
        self._block += self._data[self._at :]
        self._data = b""
        self._at = 0

    def _take_block(self, name: str) -> bytes | None:
        """Give what stands before a blank line, with it; the rest is the next thing's."""
        block = self._block
        found = _BLANK_LINE.search(block, self._searched)
        end = found.end() if found else len(block)
        if end > MAX_HEAD:
            raise BadWire(f"{name} of more than {MAX_HEAD // 1024} KiB: {shown(block)}")
        if not found:
            self._searched = max(0, end - len(b"\n\r"))
            return None
        self._data = bytes(block[end:])
        self._block = bytearray()
        self._searched = 0
        return bytes(block[:end])

    # Bodies

    def _begin_body(self, answer: Answer) -> Head:
        self._keep_alive = answer.keep_alive
        self._missing = answer.length
        self._read = {
            "none": WireReader._read_clean_end,
            "chunked": WireReader._read_frame,
            "length": WireReader._read_length,
            "until close": WireReader._read_until_close,
        }[answer.body]
        return answer.head

    def _read_until_close(self) -> Event | None:
        return self._take_bytes(len(self._data))

    def _read_length(self) -> Event | None:
        if not self._missing:
            return self._finish([])
        frame = self._take_bytes(self._missing)
        self._missing -= len(frame.data) if frame else 0
        return frame

    def _take_bytes(self, limit: int) -> Frame | None:
        data = self._data[self._at : self._at + limit]
        self._at += len(data)
        return Frame(data) if data else None

    # Frames

    def _read_frame(self) -> Event | None:
        data = self._data
        line = _SIZE_LINE.match(data, self._at)
        if line is None:
            self._check_beginning_of_size_line()
            return None
        size = int(line[1], 16)
        start = line.end()
        end = start + size
        if data[end : end + 2] == _CRLF and 0 < size <= MAX_FRAME:
            self._at = end + 2
            return Frame(data[start:end])
        self._at = start
        return self._begin_frame(size) if size else self._begin_trailers()

    def _check_beginning_of_size_line(self) -> None:
        line = self._data[self._at : self._at + _LONGEST_SIZE_LINE]
        if _BEGINNING_OF_SIZE_LINE.fullmatch(line):
            return
        seen = line.partition(_CRLF)[0]
        if re.match(rb"[0-9A-Fa-f]", seen):
            raise BadWire(f"a chunk size line that is malformed or too long: {shown(seen)}")
        raise BadWire(f"a chunk size that is no hexadecimal number: {shown(seen)}")

    def _begin_frame(self, size: int) -> Event | None:
        if size > MAX_FRAME:
            raise BadWire(f"a frame that announces {size} bytes, more than {MAX_FRAME}")
        self._missing = size
        self._read = WireReader._read_rest_of_frame
        return self._read_rest_of_frame()

    def _read_rest_of_frame(self) -> Event | None:
        if self._missing:
            piece = self._data[self._at : self._at + self._missing]
            self._frame += piece
            self._at += len(piece)
            self._missing -= len(piece)
        if self._missing or not self._take_crlf():
            return None
        frame = Frame(bytes(self._frame))
        self._frame = bytearray()
        self._read = WireReader._read_frame
        return frame

    def _take_crlf(self) -> bool:
        found = self._data[self._at : self._at + 2]
        if not _CRLF.startswith(found):
            size = len(self._frame)
            raise BadWire(f"no CRLF behind a frame of {size} bytes, but {shown(found)}")
        if found == _CRLF:
            self._at += 2
        return found == _CRLF

    # Ends

    def _read_clean_end(self) -> End:
        return self._finish([])

    def _finish(self, trailers: list[tuple[str, str]]) -> End:
        self._check_nothing_follows()
        return self._ended(End("clean", b"", trailers))

    def _cut_off(self) -> End:
        if self._read is WireReader._read_until_close:
            return self._ended(End("undelimited", b"", []))
        return self._ended(End("truncated", bytes(self._frame), []))

    def _ended(self, end: End) -> End:
        self._end = end
        self._go_on_with(WireReader._read_end)
        return end

    def _read_end(self) -> End | None:
        self._check_nothing_follows()
        return self._end

    def _check_nothing_follows(self) -> None:
        rest = self._data[self._at :]
        if rest:
            raise BadWire(f"{len(rest)} bytes behind the end of the response: {shown(rest)}")

    def _read_nothing(self) -> None:
        raise BadWire(self._bad)

    def _go_on_with(self, read: Callable[[WireReader], Event | None]) -> None:
        """Never read anything else, and forget what was collected."""
        self._read = read
        self._data = b""
        self._at = 0
        self._block = bytearray()
        self._frame = bytearray()
