r"""Where the records of a body are cut: chunks in, for each record its first and its last chunk.

Does no I/O and keeps nothing of a body but what it must know of the record that is not ended yet.
A chunk is decoded, its line ends are found by one search, and the lines are taken for what they are
in their format. The line end belongs to its line. A ``\r`` at the end of a chunk may be half a line
end, so its line is given with the chunk that tells. A byte order mark belongs to no record.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, get_args

from .errors import DecodeError

RecordFormat = Literal["line", "ndjson", "sse"]
FORMATS: tuple[RecordFormat, ...] = get_args(RecordFormat)

_ANY_LINE_END = re.compile("\r\n|\r|\n")
_LINE_FEED = re.compile("\n")
_BLANK = " \t\r"  # what JSON calls whitespace (RFC 8259, section 2), the line feed excepted


class Cut(NamedTuple):
    """Where a record lies: the numbers of its first and its last chunk.

    ``ended`` is whether the format takes it for whole.
    """

    first: int
    last: int
    ended: bool = True


class _Line(NamedTuple):
    """Where a line lies, the character it begins with, and whether there is only whitespace."""

    first: int
    last: int
    begins: str
    blank: bool


class RecordCuts:
    r"""Finds the cuts of one body.

    :param kind: ``"line"`` ends at ``\n``, ``\r\n`` or ``\r``, and the last one may lack its
        end. ``"ndjson"`` ends at ``\n``, and blank lines are no records. ``"sse"`` is a block of
        fields with the empty line behind it: from its first line that is no comment to that line.
    :param encoding: The charset of ``"line"``; the others are UTF-8.
    """

    def __init__(self, kind: RecordFormat, encoding: str = "utf-8") -> None:
        self._kind = kind
        self._lines = _Lines(
            _LINE_FEED if kind == "ndjson" else _ANY_LINE_END,
            encoding if kind == "line" else "utf-8",
        )
        self._block: Cut | None = None  # of the fields whose empty line has not come

    def feed(self, chunk: bytes) -> Iterator[Cut]:
        """Take the next chunk, an empty one too, and give the records that are ended now.

        :raises DecodeError: if the charset wants a byte order mark, and there is none.
        """
        __tracebackhide__ = True
        return self._records(self._lines.feed(chunk))

    def end(self) -> Iterator[Cut]:
        """Say that the body ends here, and give the last record.

        :raises DecodeError: as :meth:`feed` does.
        """
        __tracebackhide__ = True
        yield from self._records(self._lines.end())
        if self._block is not None:
            yield self._block

    def _records(self, lines: Iterable[_Line]) -> Iterator[Cut]:
        if self._kind == "sse":
            return self._blocks(lines)
        if self._kind == "ndjson":
            return (Cut(line.first, line.last) for line in lines if not line.blank)
        return (Cut(line.first, line.last) for line in lines)

    def _blocks(self, lines: Iterable[_Line]) -> Iterator[Cut]:
        for line in lines:
            block = self._block
            if line.begins and line.begins != ":":
                first = line.first if block is None else block.first
                self._block = Cut(first, line.last, ended=False)
            elif not line.begins and block is not None:
                self._block = None
                yield Cut(block.first, line.last)


class _Lines:
    """Finds the lines of one body."""

    def __init__(self, line_end: re.Pattern[str], encoding: str) -> None:
        utf8 = codecs.lookup(encoding).name == "utf-8"
        name = "utf-8-sig" if utf8 else encoding  # passes over a byte order mark
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(name)("replace")
        self._line_end = line_end
        self._chunk = -1
        self._first: int | None = None  # the first chunk of the line that has no end yet
        self._begins = ""
        self._blank = True
        self._carriage_return: int | None = None  # the chunk that ends in one
        self._cut_character: int | None = None  # the chunk in which a cut character begins

    def feed(self, chunk: bytes) -> Iterator[_Line]:
        __tracebackhide__ = True
        self._chunk += 1
        return self._split(self._text(chunk, final=False))

    def end(self) -> Iterator[_Line]:
        __tracebackhide__ = True
        return self._last(self._text(b"", final=True))

    def _text(self, data: bytes, *, final: bool) -> str:
        __tracebackhide__ = True
        try:
            return self._decoder.decode(data, final)
        except UnicodeError as error:  # only a missing byte order mark cannot be replaced
            first = self._chunk if self._cut_character is None else self._cut_character
            reason = f"not {self._encoding}: {error}"
            cause = error.with_traceback(None)
            raise DecodeError(reason, record=0, chunk=first, offset=0) from cause

    def _last(self, text: str) -> Iterator[_Line]:
        yield from self._split(text)
        if self._carriage_return is not None:
            yield self._ended(self._carriage_return)
        elif self._first is not None:
            yield self._ended(self._chunk)

    def _split(self, text: str) -> Iterator[_Line]:
        at = 0
        if text and self._carriage_return is not None:
            at = int(text[0] == "\n")
            yield self._ended(self._chunk if at else self._carriage_return)
        for found in self._line_end.finditer(text, at):
            self._add(text[at : found.start()], at)
            at = found.end()
            if found[0] == "\r" and at == len(text):
                self._carriage_return = self._chunk
            else:
                yield self._ended(self._chunk)
        if at < len(text):
            self._add(text[at:], at)
        self._note_cut_character(text)

    def _add(self, text: str, at: int) -> None:
        """Add to the line that has no end yet; the text stands at this place of the chunk's."""
        if self._first is None:
            cut = self._cut_character if at == 0 else None
            self._first = self._chunk if cut is None else cut
        self._begins = self._begins or text[:1]
        self._blank = self._blank and not text.strip(_BLANK)

    def _ended(self, last: int) -> _Line:
        first = last if self._first is None else self._first
        line = _Line(first, last, self._begins, self._blank)
        self._first, self._begins, self._blank = None, "", True
        self._carriage_return = None
        return line

    def _note_cut_character(self, text: str) -> None:
        if not self._decoder.getstate()[0]:
            self._cut_character = None
        elif text or self._cut_character is None:
            self._cut_character = self._chunk
