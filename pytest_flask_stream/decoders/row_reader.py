r"""``csv.reader``, made to be fed.

``csv.reader`` is the rule for CSV here, dialects, errors and all, so it does the parsing. But it
pulls lines from an iterator, and what it has of an unfinished row is lost when it is left. So it
is given the lines there are, and behind them an exception waits: where that comes up, the row that
was begun is unfinished, and its lines are kept.

Parsing a kept row anew with each further line would cost the square of its length. Instead each
further line is tried alone, behind a character that brings a fresh reader into the state in which
the line before left it (an opening quote, or the beginning of a plain field). That tells whether
the line ends the row, in the reader's own words and not by a second set of rules. Only when the
row is whole, or its last field is longer than the reader allows, are its lines parsed for good.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple, cast

Row = list[str]
Reader = Any  # its type has no public name


class BadRow(NamedTuple):
    """A row that the reader refuses, and the line at which the row begins.

    The line is an index into the lines fed last, or -1 for one fed before.
    """

    error: Exception
    line: int


class _MoreLines(Exception):
    """The reader asks for a line that is not there yet."""


def check_dialect(dialect: object, fmtparams: Mapping[str, object]) -> Any:
    """Give the dialect that ``csv.reader`` makes of these arguments.

    :raises TypeError: for a parameter of the wrong type or name.
    :raises ValueError: for an unknown dialect or a parameter with a bad value.
    """
    __tracebackhide__ = True
    try:
        return _reader((), dialect, **fmtparams).dialect
    except csv.Error as error:
        error.__traceback__ = None  # its frames are only ours
        known = ", ".join(map(repr, csv.list_dialects()))
        raise ValueError(f"{error} (dialect {dialect!r:.80}; known are: {known})") from error


def _reader(lines: Iterable[str], dialect: object, **fmtparams: object) -> Reader:
    __tracebackhide__ = True
    return csv.reader(lines, cast("Any", dialect), **cast("Any", fmtparams))


class _NoLineYet(Iterator[str]):
    def __next__(self) -> str:
        raise _MoreLines


class RowReader:
    """Whole lines in, rows out.

    :param dialect: What :func:`check_dialect` gave.
    """

    def __init__(self, dialect: Any) -> None:
        self._dialect = dialect
        self._probe = _Probe(dialect)
        self._lines: list[str] = []  # of the unfinished row
        self.begun: int = -1  # the line at which the unfinished row begins, numbered as in BadRow

    @property
    def unfinished(self) -> bool:
        """Whether a row was begun and not finished."""
        return bool(self._lines)

    def feed(self, lines: list[str]) -> list[Row | BadRow]:
        """Take whole lines, each with its end, and give the rows that they finish."""
        known = len(self._lines)
        if known:
            taken = self._extend(lines)
            if self._probe.unfinished:
                self.begun = -1
                return []
            known = len(self._lines) - taken
            lines = self._lines + lines[taken:]
        rows, rest = self._parse(lines, _NoLineYet(), known)
        self._keep(lines, rest, known)
        return rows

    def end(self, lines: list[str]) -> list[Row | BadRow]:
        """Take the last line, which may lack its end, and give what there is."""
        known = len(self._lines)
        return self._parse(self._lines + lines, (), known)[0]

    def _extend(self, lines: list[str]) -> int:
        """Add lines to the unfinished row, up to its end; say how many were added."""
        for taken, line in enumerate(lines, 1):
            self._lines.append(line)
            if not self._probe.feed(line):
                return taken
        return len(lines)

    def _parse(
        self, lines: list[str], ending: Iterable[str], known: int
    ) -> tuple[list[Row | BadRow], int]:
        reader = _reader(chain(lines, ending), self._dialect)
        rows: list[Row | BadRow] = []
        while True:
            begun = reader.line_num
            try:
                rows.append(next(reader))
            except (_MoreLines, StopIteration):
                return rows, begun
            except (csv.Error, ValueError) as error:
                rows.append(BadRow(error, max(begun - known, -1)))

    def _keep(self, lines: list[str], begun: int, known: int) -> None:
        self._lines = lines[begun:]
        self.begun = max(begun - known, -1)
        self._probe.reset()
        for line in self._lines:
            self._probe.feed(line)


class _Probe:
    """Knows, line by line, whether a row is unfinished, and the size of its last field."""

    def __init__(self, dialect: Any) -> None:
        self._dialect = dialect
        self._quoting = csv.QUOTE_NONE if dialect.quoting == csv.QUOTE_NONE else csv.QUOTE_MINIMAL
        taken = (dialect.delimiter, dialect.quotechar, dialect.escapechar)
        self._plain = next(char for char in "abcd" if char not in taken)
        quotes = self._quoting != csv.QUOTE_NONE and dialect.quotechar is not None
        self._quote: str = dialect.quotechar if quotes else self._plain
        self.reset()

    def reset(self) -> None:
        """Be where a row begins."""
        self._prefix = ""
        self._size = 0

    @property
    def unfinished(self) -> bool:
        """Whether a row was begun, and the reader would not refuse it as it is."""
        return bool(self._prefix) and self._size <= csv.field_size_limit()

    def feed(self, line: str) -> bool:
        """Go on by a line; say whether the row is unfinished behind it."""
        line = self._prefix + line
        if self._asks_for_more(line):
            self._note(line)
        else:
            self.reset()
        return self.unfinished

    def _asks_for_more(self, line: str) -> bool:
        try:
            next(_reader(chain((line,), _NoLineYet()), self._dialect, quoting=self._quoting))
        except _MoreLines:
            return True
        except csv.Error:
            pass
        return False

    def _note(self, line: str) -> None:
        """See what becomes of a quote behind the line: the field's end, or a plain character."""
        lines = (line, self._quote)
        try:
            row = next(_reader(lines, self._dialect, quoting=self._quoting, strict=False))
        except csv.Error:  # the field has no room for it, so it is a plain one
            self._prefix, self._size = self._plain, csv.field_size_limit()
            return
        plain = row[-1].endswith(self._quote)
        size = len(row[-1]) - plain
        if len(row) == 1:
            size += self._size - (self._prefix == self._plain)
        self._size = size
        self._prefix = self._plain if plain else self._quote
