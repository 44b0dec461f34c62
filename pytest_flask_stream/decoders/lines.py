r"""Lines of text, ended by ``\n``, ``\r\n`` or ``\r``.

A chunk's line ends are made equal and the text is split at once. A line that ends in ``\r`` is
given without waiting for the byte behind it; should that turn out to be the ``\n`` of the same
line end, it is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_flask_stream.errors import DecodeError

from .base import Place
from .charset import CharsetDecoder, Piece


class LineDecoder(CharsetDecoder[str]):
    r"""Lines of text, without their ends.

    A line ends at ``\n``, ``\r\n`` or ``\r`` and nowhere else (not at U+2028, U+0085 or a form
    feed). A last line without an end counts; nothing behind the last line end is no line.

    :param encoding: The name of a charset that Python knows.
    :raises TypeError: at once, if it is no ``str``.
    :raises ValueError: at once, if there is no such charset.
    :raises DecodeError: while reading, for a line whose bytes are not of this charset. ``record``
        is the number of the line, ``offset`` where it starts. Decoding ends there.

    .. versionadded:: 0.1
    """

    _awaited = "a line wants its end"

    def __init__(self, encoding: str = "utf-8") -> None:
        __tracebackhide__ = True
        super().__init__(encoding)
        self._parts: list[str] = []  # of the line that has no end yet
        self._start: tuple[Piece, int] | None = None  # where that line starts
        self._after_cr = False

    def _decode(self, data: bytes) -> Sequence[str | DecodeError]:
        piece = self._charset.decode(data, self._chunk, self._offset)
        lines = self._split(piece)
        return lines if piece.error is None else [*lines, self._bad_line(piece)]

    def _finish(self) -> Sequence[str | DecodeError]:
        piece = self._charset.finish(*self._here)
        lines = self._split(piece)
        if piece.error is not None:
            return [*lines, self._bad_line(piece)]
        return [*lines, "".join(self._parts)] if self._parts else lines

    def _split(self, piece: Piece) -> list[str]:
        text = piece.text
        if not text:
            return []
        if self._after_cr and text[0] == "\n":
            text = text[1:]
        self._after_cr = text.endswith("\r")
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.split("\n")
        rest = lines.pop()
        if lines and self._parts:
            self._parts.append(lines[0])
            lines[0] = "".join(self._parts)
            self._parts = []
        self._keep(rest, piece)
        self._record += len(lines)
        return lines

    def _keep(self, rest: str, piece: Piece) -> None:
        if rest and not self._parts:
            self._start = (piece, len(piece.text) - len(rest))
        if rest:
            self._parts.append(rest)

    def _bad_line(self, piece: Piece) -> DecodeError:
        return self._undecodable(piece, self._line_start(piece))

    def _line_start(self, piece: Piece) -> Place:
        if not self._parts or self._start is None:
            return piece.error_place
        first, index = self._start
        return first.place(index)
