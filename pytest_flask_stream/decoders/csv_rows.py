"""CSV: rows, from lines of text.

Lines are split as a file opened with ``newline=""`` splits them, line ends kept; what a row is
says :mod:`.row_reader`. A row that ends in a carriage return is given at once; should a line feed
follow, it was the rest of that line end and is dropped, while within quotes it is kept.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from pytest_flask_stream.errors import DecodeError

from .charset import CharsetDecoder, Piece
from .row_reader import BadRow, Row, RowReader, check_dialect

Mark = tuple[Piece, int]


class CSVDecoder(CharsetDecoder[Row]):
    r"""The rows of a CSV body, as ``csv.reader`` gives them.

    Lines end at ``\n``, ``\r\n`` or ``\r``; line ends within quotes belong to the field, and an
    empty line is an empty row. A row is given as soon as the line end that finishes it is there.
    A last row without a line end counts.

    :param dialect: The name of a registered dialect, or a ``csv.Dialect``.
    :param encoding: The name of a charset that Python knows; ``utf-8-sig`` is UTF-8 with or
        without a byte order mark.
    :param fmtparams: What ``csv.reader`` takes: ``delimiter``, ``quotechar``, ``escapechar``,
        ``doublequote``, ``skipinitialspace``, ``lineterminator``, ``quoting``, ``strict``.
    :raises TypeError: at once, for a parameter of the wrong type or name.
    :raises ValueError: at once, for an unknown charset or dialect, or a bad parameter.
    :raises DecodeError: while reading, for a row that ``csv.reader`` refuses (with ``strict``,
        say, or for a field longer than ``csv.field_size_limit()``); decoding goes on with the next
        line. Also for a row whose bytes are not of the charset; decoding ends there. ``record`` is
        the number of the row, ``offset`` where it starts.

    .. versionadded:: 0.1
    """

    _awaited = "a row wants its end"

    def __init__(
        self,
        dialect: str | csv.Dialect | type[csv.Dialect] = "excel",
        *,
        encoding: str = "utf-8-sig",
        **fmtparams: str | int | None,
    ) -> None:
        __tracebackhide__ = True
        super().__init__(encoding)
        self._reader = RowReader(check_dialect(dialect, fmtparams))
        self._parts: list[str] = []  # of the line that has no end yet
        self._start: Mark | None = None  # where the unfinished row starts
        self._after_cr = False

    def _decode(self, data: bytes) -> Sequence[Row | DecodeError]:
        piece = self._charset.decode(data, self._chunk, self._offset)
        rows = self._rows(piece)
        return rows if piece.error is None else [*rows, self._bad_bytes(piece)]

    def _finish(self) -> Sequence[Row | DecodeError]:
        piece = self._charset.finish(*self._here)
        rows = self._rows(piece)
        if piece.error is not None:
            return [*rows, self._bad_bytes(piece)]
        rest = ["".join(self._parts)] if self._parts else []
        origin = _Origin(self._start, piece, 0, rest)
        return [*rows, *self._judged(self._reader.end(rest), origin)]

    def _bad_bytes(self, piece: Piece) -> DecodeError:
        begun = self._start if self._reader.unfinished or self._parts else None
        return self._undecodable(piece, begun[0].place(begun[1]) if begun else piece.error_place)

    def _rows(self, piece: Piece) -> Sequence[Row | DecodeError]:
        text = piece.text
        if not text:
            return []
        begin = int(self._after_cr and text[0] == "\n")
        self._after_cr = False
        cut = max(text.rfind("\n"), text.rfind("\r")) + 1
        rows = self._whole_lines(piece, begin, cut) if begin < cut else []
        if cut < len(text):
            self._after_cr = False
            if not self._reader.unfinished and not self._parts:
                self._start = (piece, cut)
            self._parts.append(text[cut:])
        return rows

    def _whole_lines(self, piece: Piece, begin: int, cut: int) -> Sequence[Row | DecodeError]:
        begun = self._start if self._reader.unfinished or self._parts else None
        self._parts.append(piece.text[begin:cut])
        text = "".join(self._parts)
        self._parts = []
        lines = io.StringIO(text, newline="").readlines()
        origin = _Origin(begun, piece, cut - len(text), lines)
        rows = self._judged(self._reader.feed(lines), origin)
        if self._reader.unfinished:
            self._start = origin.mark(self._reader.begun)
        else:
            self._after_cr = text[-1] == "\r"
        return rows

    def _judged(self, rows: list[Row | BadRow], origin: _Origin) -> list[Row | DecodeError]:
        judged: list[Row | DecodeError] = []
        for row in rows:
            if isinstance(row, BadRow):
                piece, index = origin.mark(row.line)
                judged.append(self._error(str(row.error), piece.place(index), row.error))
            else:
                self._record += 1
                judged.append(row)
        return judged


class _Origin:
    """Says where lines come from. Never ask for a line before the one asked for last."""

    def __init__(self, begun: Mark | None, piece: Piece, index: int, lines: list[str]) -> None:
        self._begun = begun
        self._piece = piece
        self._index = index  # of the line asked for last
        self._lines = lines
        self._line = 0

    def mark(self, line: int) -> Mark:
        """Where a line starts; what starts before the second one was begun earlier, maybe."""
        if line <= 0 and self._begun is not None:
            return self._begun
        self._index += sum(map(len, self._lines[self._line : line]))
        self._line = line
        return self._piece, self._index
