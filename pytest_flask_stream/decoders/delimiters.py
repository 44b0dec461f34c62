"""Finds the delimiters of a multipart body in a buffer that grows.

A delimiter is two dashes and the boundary at the beginning of a line, and behind them either
padding and a line end, or two more dashes: the closing one (RFC 2046, section 5.1.1). Each search
goes on where the one before stopped, also within the padding, so no byte is searched twice.

MJPEG servers often name a boundary that has the two dashes already, and send it without adding
any. Both forms are looked for then, and the first delimiter tells which it is.
"""

from __future__ import annotations

import re
from typing import NamedTuple

CR, LF = b"\r\n"
_PADDING = re.compile(rb"[ \t]*")


class Delimiter(NamedTuple):
    """Where a delimiter starts and ends, as indexes into the buffer.

    ``end`` is behind the first byte of its line end (a line feed may follow a carriage return), or
    behind the dashes of a closing one.
    """

    start: int
    end: int
    closing: bool


class DelimiterSearch:
    """Searches one region of the buffer after the other for the delimiter that ends it."""

    def __init__(self, boundary: bytes, buffer: bytearray) -> None:
        self._buffer = buffer
        self._either_form = boundary.startswith(b"--")
        self._needle = boundary if self._either_form else b"--" + boundary
        self.restart(0)

    def restart(self, begin: int) -> None:
        """Begin a new region; its first byte begins a line."""
        self._begin = self._searched = begin
        self._candidate = -1

    @property
    def settled(self) -> int:
        """Up to here, the region can contain no delimiter that is still to be found."""
        settled = self._searched if self._candidate < 0 else self._candidate
        return max(settled - 3, 0)  # a line feed and two dashes may belong to what is next

    def shift(self, count: int) -> None:
        """So many bytes were deleted from the buffer's start."""
        self._begin -= count
        self._searched -= count
        if self._candidate >= 0:
            self._candidate -= count
            self._behind -= count
            self._padded -= count

    def find(self) -> Delimiter | None:
        """Give the first delimiter of the region, if it is known to be one."""
        while self._candidate >= 0 or self._find_candidate():
            if self._buffer.startswith(b"--", self._behind):
                return self._found(self._behind + 2, closing=True)
            if self._may_become_one():
                return None
            if self._buffer[self._padded] in (CR, LF):
                return self._found(self._padded + 1, closing=False)
            self._candidate = -1
        return None

    def find_at_end(self) -> int:
        """Where a delimiter starts that only the body's end makes one; -1 if none does."""
        if self._candidate >= 0 and self._padded == len(self._buffer):
            return self._candidate
        return -1

    def closes(self, line: bytes) -> bool | None:
        """Whether a line is the closing delimiter or another one, ``None`` if it is none."""
        if not line.startswith(self._needle):
            return None
        rest = line[len(self._needle) :]
        if rest.startswith(b"--"):
            return True
        return None if rest.strip(b" \t") else False

    def _find_candidate(self) -> bool:
        while (at := self._buffer.find(self._needle, self._searched)) >= 0:
            self._searched = at + 1
            start = at
            if self._either_form and self._buffer[max(at - 2, 0) : at] == b"--":
                start = at - 2
            if self._starts_line(start):
                self._candidate = start
                self._behind = self._padded = at + len(self._needle)
                return True
        self._searched = max(self._searched, len(self._buffer) - len(self._needle) + 1)
        return False

    def _starts_line(self, index: int) -> bool:
        return index == self._begin or (index > 0 and self._buffer[index - 1] == LF)

    def _may_become_one(self) -> bool:
        """Whether what stands behind the candidate's boundary is all there, but not enough."""
        if self._buffer[self._behind : self._behind + 2] == b"-":
            return True
        padding = _PADDING.match(self._buffer, self._padded)
        self._padded = padding.end() if padding else self._padded
        return self._padded == len(self._buffer)

    def _found(self, end: int, *, closing: bool) -> Delimiter:
        if self._either_form:
            self._either_form = False
            self._needle = bytes(self._buffer[self._candidate : self._behind])
        return Delimiter(self._candidate, end, closing)
