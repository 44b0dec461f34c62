"""Multipart bodies of any kind, by RFC 2046, section 5.1, and as MJPEG is written.

What is unfinished waits in a buffer, and no byte of it is searched twice, however small the
chunks. Nothing is believed about sizes: a part ends where the next delimiter starts, and its
``Content-Length`` is asked only where the body ends without one.

The line end before a delimiter belongs to the delimiter, not to the part. A bare line feed is
taken for a line end, as generators written by hand have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from werkzeug.datastructures import Headers

from pytest_flask_stream.errors import DecodeError

from .base import Decoder, Place, shown
from .delimiters import CR, LF, DelimiterSearch
from .part_headers import content_length, parse_headers

_NO_DELIMITER = "the boundary that the Content-Type names does not begin any line of the body"


@dataclass(frozen=True, repr=False)
class Part:
    """One part of a multipart body: its ``headers`` and its ``body``.

    .. versionadded:: 0.1
    """

    headers: Headers
    body: bytes

    def __repr__(self) -> str:
        mimetype = self.headers.get("Content-Type", "no Content-Type")
        size = len(self.body)
        return f"<{type(self).__name__} {mimetype}: {size} byte{'s' * (size != 1)}>"


class MultipartDecoder(Decoder[Part]):
    """The parts of a multipart body (RFC 2046), MJPEG's ``multipart/x-mixed-replace`` too.

    What stands before the first delimiter and behind the closing one is passed over. A part is
    given as soon as the delimiter behind it is there; it needs neither a ``Content-Disposition``
    nor a ``Content-Length``. Where the body ends without a delimiter, the last part counts if it
    has a ``Content-Length`` and as many bytes are there.

    :param boundary: As the ``Content-Type`` has it. If it starts with two dashes already, the
        delimiter may go without two more.
    :raises TypeError: at once, if the boundary is neither ``str`` nor ``bytes``.
    :raises ValueError: at once, if it is empty.
    :raises DecodeError: while reading, for a part with a line among its headers that is none, and
        at the end of a body, not empty, without any delimiter. ``record`` is the number of the
        part, ``offset`` where its headers start. Decoding ends there.

    .. versionadded:: 0.1
    """

    def __init__(self, boundary: str | bytes) -> None:
        __tracebackhide__ = True
        super().__init__()
        needle = _as_bytes(boundary)
        self._awaited = f"no line of it begins with the boundary of the header, {shown(needle)}"
        self._buffer = bytearray()
        self._search = DelimiterSearch(needle, self._buffer)
        self._state: Literal["preamble", "headers", "body", "epilogue"] = "preamble"
        self._base = 0  # the offset in the body of the buffer's first byte
        self._begin = 0  # of the body, or of the header line that is next
        self._scanned = 0  # up to here there is no end of that line
        self._after_cr = False
        self._place: Place | None = None  # where the part starts, or the preamble
        self._lines: list[bytes] = []  # of its headers
        self._headers = Headers()

    def _decode(self, data: bytes) -> Sequence[Part | DecodeError]:
        if self._state == "epilogue":
            return []
        if self._state == "preamble" and self._place is None:
            self._place = self._here
        parts: list[Part | DecodeError] = []
        self._buffer += data
        while self._step(parts):
            pass
        self._forget()
        return parts

    def _finish(self) -> Sequence[Part | DecodeError]:
        if self._state == "preamble" and self._size and self._search.find_at_end() < 0:
            return [self._last_error(_NO_DELIMITER, self._place or self._here)]
        parts: list[Part | DecodeError] = []
        if self._state == "headers":
            self._end_by_line(bytes(self._buffer[self._begin :]), parts)
        elif self._state == "body":
            self._end_body(parts)
        return parts

    def _step(self, parts: list[Part | DecodeError]) -> bool:
        """Read on to the next end of a header line, or to the next delimiter, if it is there."""
        if self.failed or self._state == "epilogue":
            return False
        return self._read_header(parts) if self._state == "headers" else self._read_body(parts)

    def _forget(self) -> None:
        """Delete from the buffer what was read."""
        count = self._search.settled if self._state == "preamble" else self._begin
        if self.failed or self._state == "epilogue":
            count = len(self._buffer)
        del self._buffer[:count]
        self._base += count
        self._begin -= count
        self._scanned -= count
        self._search.shift(count)

    # Preamble and body

    def _read_body(self, parts: list[Part | DecodeError]) -> bool:
        delimiter = self._search.find()
        if delimiter is None:
            return False
        if self._state == "body":
            parts.append(self._part(self._until(delimiter.start)))
        self._after_cr = self._buffer[delimiter.end - 1] == CR
        self._begin_part(delimiter.end, closing=delimiter.closing)
        return True

    def _end_body(self, parts: list[Part | DecodeError]) -> None:
        start = self._search.find_at_end()
        length = content_length(self._headers)
        if start >= 0:
            parts.append(self._part(self._until(start)))
        elif length is not None and length <= len(self._buffer) - self._begin:
            parts.append(self._part(self._buffer[self._begin : self._begin + length]))

    def _until(self, end: int) -> bytearray:
        """Give the body up to a delimiter, without the line end before that."""
        if end > self._begin and self._buffer[end - 1] == LF:
            end -= 1
            if end > self._begin and self._buffer[end - 1] == CR:
                end -= 1
        return self._buffer[self._begin : end]

    def _part(self, body: bytearray) -> Part:
        self._record += 1
        return Part(self._headers, bytes(body))

    # Headers

    def _begin_part(self, index: int, *, closing: bool) -> None:
        self._state = "epilogue" if closing else "headers"
        self._awaited = "a part wants a delimiter behind it"
        self._begin = self._scanned = index
        self._place = None
        self._lines = []

    def _read_header(self, parts: list[Part | DecodeError]) -> bool:
        if self._begin == len(self._buffer):
            return False
        if self._after_cr:
            self._after_cr = False
            self._begin += self._buffer[self._begin] == LF
            self._scanned = self._begin
            return True
        if self._place is None:
            self._place = Place(self._here.chunk, self._base + self._begin)
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            return False
        line = bytes(self._buffer[self._begin : end]).removesuffix(b"\r")
        self._begin = self._scanned = end + 1
        if not self._end_by_line(line, parts):
            self._take_header_line(line, parts)
        return True

    def _take_header_line(self, line: bytes, parts: list[Part | DecodeError]) -> None:
        if line:
            self._lines.append(line)
        elif self._parse_headers(parts):
            self._state = "body"
            self._search.restart(self._begin)

    def _end_by_line(self, line: bytes, parts: list[Part | DecodeError]) -> bool:
        """If a line among the headers is a delimiter, end the part there; it has no body."""
        closing = self._search.closes(line)
        if closing is None:
            return False
        if self._lines and self._parse_headers(parts):
            parts.append(self._part(bytearray()))
        self._begin_part(self._begin, closing=closing)
        return True

    def _parse_headers(self, parts: list[Part | DecodeError]) -> bool:
        try:
            self._headers = parse_headers(self._lines)
        except ValueError as error:
            reason = f"the part's header, which an empty line ends, cannot be read: {error}"
            parts.append(self._last_error(reason, self._place or self._here, error))
            return False
        return True


def _as_bytes(boundary: str | bytes) -> bytes:
    __tracebackhide__ = True
    if not isinstance(boundary, str | bytes):
        raise TypeError(f"boundary must be str or bytes, not {boundary!r:.80}")
    if not boundary:
        raise ValueError("boundary must not be empty")
    if isinstance(boundary, bytes):
        return boundary
    try:
        return boundary.encode("latin-1")  # as WSGI has header values (PEP 3333)
    except UnicodeEncodeError:
        return boundary.encode()
