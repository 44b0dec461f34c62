"""Plain text: each chunk's characters as soon as they can be decoded.

The record is the chunk. An error names the byte at which the undecodable bytes begin.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_flask_stream.errors import DecodeError

from .charset import CharsetDecoder, Piece


class TextDecoder(CharsetDecoder[str]):
    """Text as it becomes decodable: at most one non-empty ``str`` for each chunk fed.

    A character that is cut waits for its last byte. A byte order mark is the charset's affair: it
    is text in ``utf-8``, and none in ``utf-8-sig`` and ``utf-16``.

    :param encoding: The name of a charset that Python knows.
    :raises TypeError: at once, if it is no ``str``.
    :raises ValueError: at once, if there is no such charset.
    :raises DecodeError: while reading, where bytes are not of this charset, also if the body ends
        within a character. ``record`` is the number of the chunk, ``offset`` that of the first bad
        byte. Decoding ends there.

    .. versionadded:: 0.1
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        __tracebackhide__ = True
        super().__init__(encoding)

    def _decode(self, data: bytes) -> Sequence[str | DecodeError]:
        return self._values(self._charset.decode(data, self._chunk, self._offset))

    def _finish(self) -> Sequence[str | DecodeError]:
        return self._values(self._charset.finish(*self._here))

    def _values(self, piece: Piece) -> Sequence[str | DecodeError]:
        text = [piece.text] if piece.text else []
        if piece.error is None:
            return text
        self._record = piece.error_place.chunk
        return [*text, self._undecodable(piece, piece.error_place)]
