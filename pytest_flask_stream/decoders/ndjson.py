r"""NDJSON and JSON Lines: one JSON value per line, UTF-8.

The byte ``\n`` cannot be part of a UTF-8 character, so a chunk is cut at its last one and all its
whole lines are decoded and split at once. Only where that fails are the lines taken one by one,
to find which are bad and where they stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from .base import Decoder, Place, shown

_BLANK = " \t\r"  # what JSON calls whitespace (RFC 8259, section 2), the line feed excepted
_raw_decode = json.JSONDecoder().raw_decode


def _values_of(lines: bytes) -> list[Any]:
    """Give the values of whole lines if all of them can be decoded.

    Does what ``json.loads`` does; but blanks are looked for once, not three times.
    """
    values = []
    for line in lines.decode().split("\n"):
        text = line.strip(_BLANK)
        if text:
            value, end = _raw_decode(text)
            if end != len(text):
                raise ValueError("something stands behind the value")
            values.append(value)
    return values


class NDJSONDecoder(Decoder[Any]):
    r"""The values of NDJSON / JSON Lines, as ``json.loads`` gives them.

    A line ends at ``\n``; a ``\r`` before it is whitespace to JSON. The text is UTF-8, whatever
    the response's charset (https://github.com/ndjson/ndjson-spec, https://jsonlines.org). Blank
    lines are no records. A last line without an end counts.

    :raises DecodeError: while reading, for a line that is no JSON or no UTF-8. ``record`` counts
        the lines that are not blank, good and bad; ``offset`` is where the line starts. Decoding
        goes on with the next line.

    .. versionadded:: 0.1
    """

    _awaited = "a value wants the end of its line"

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []  # of the line that has no end yet
        self._start = (0, 0)  # its chunk and offset

    def _decode(self, data: bytes) -> Sequence[Any]:
        cut = data.rfind(b"\n") + 1
        if cut == len(data) and not self._parts:
            self._start = (self._chunk, self._offset)
            return self._values(data)
        if not cut:
            self._keep(data, self._offset)
            return []
        self._keep(data[:cut], self._offset)
        values = self._values(b"".join(self._parts))
        self._parts = []
        if cut < len(data):
            self._keep(data[cut:], self._offset + cut)
        return values

    def _finish(self) -> Sequence[Any]:
        return self._values(b"".join(self._parts))

    def _keep(self, data: bytes, offset: int) -> None:
        if not self._parts:
            self._start = (self._chunk, offset)
        self._parts.append(data)

    def _values(self, lines: bytes) -> list[Any]:
        try:
            values = _values_of(lines)
        except (ValueError, RecursionError):
            return list(self._one_by_one(lines))
        self._record += len(values)
        return values

    def _one_by_one(self, lines: bytes) -> Iterator[Any]:
        """Give the values and the errors. All lines but the first start in the chunk fed last."""
        place = Place(*self._start)
        for line in lines.split(b"\n"):
            if line.strip(_BLANK.encode()):
                yield self._value(line, place)
            place = Place(self._chunk, place.offset + len(line) + 1)

    def _value(self, line: bytes, place: Place) -> Any:
        try:
            value = json.loads(line.decode())
        except UnicodeDecodeError as error:
            return self._error(f"the line is not UTF-8: {error.reason}", place, error)
        except RecursionError as error:
            return self._error("the line's JSON is nested too deeply", place, error)
        except ValueError as error:
            return self._error(f"the line is not JSON: {error}: {shown(line)}", place, error)
        self._record += 1
        return value
