"""Text from bytes, with the way back from a character to its byte.

Records of text are cut out of text, not out of bytes: that is right for every charset, also those
in which the byte 10 is no line feed. An error must name a byte, though. Writing down the byte of
each record would cost more than decoding, so nothing is: each piece of text keeps its bytes and
the state in which the incremental decoder met them, and decodes them anew, up to the character
asked for, when that is asked. It goes forward only, so that all questions about one piece cost no
more than decoding it once more.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

from pytest_flask_stream.errors import DecodeError

from .base import Decoder, Place, T

Source = tuple[str, tuple[bytes, int], bytes]  # the charset, the decoder's state, the bytes

# Codecs of the standard library that are no charsets: how a text is cut would matter to some.
_NO_CHARSETS = ("idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape")


def check_encoding(encoding: str) -> str:
    """Give the encoding's name if text can be decoded by it.

    :raises TypeError: if it is no ``str``.
    :raises ValueError: if there is no such charset.
    """
    __tracebackhide__ = True
    if not isinstance(encoding, str):
        raise TypeError(f"encoding must be the name of a charset, not {encoding!r:.80}")
    try:
        name = codecs.lookup(encoding).name.replace("-", "_")
        "  ".encode(encoding)
    except (LookupError, ValueError) as error:
        error.__traceback__ = None  # its frames are only ours
        raise ValueError(f"there is no charset {encoding!r:.80}") from error
    if name in _NO_CHARSETS:
        raise ValueError(f"{encoding!r:.80} is a codec of Python's, but no charset")
    return encoding


class Piece:
    """The text that some bytes made decodable.

    ``error`` is what is wrong with the bytes behind the text, or ``None``.
    """

    __slots__ = ("_before", "_chunk", "_cursor", "_end", "_offset", "_source", "error", "text")

    def __init__(self, source: Source, chunk: int, offset: int, before: _Before) -> None:
        self._source = source
        self._cursor: _Cursor | None = None
        self._chunk = chunk
        self._offset = offset
        self._before = before
        self._end = 0
        self.text: str = ""
        self.error: UnicodeError | None = None

    def place(self, index: int) -> Place:
        """Where a character of the text begins.

        Never ask for one that stands before the one asked for last.
        """
        if not index and self._before.mute is not None:
            return self._before.mute
        if self._cursor is None:
            self._cursor = _Cursor(*self._source)
        self._cursor.advance(index)
        return self._at(self._cursor.behind)

    def _at(self, index: int) -> Place:
        if index < 0 and self._before.kept is not None:
            return self._before.kept
        return Place(self._chunk, self._offset + index)

    def fail(self, error: UnicodeError) -> None:
        """Keep the text before the first bad byte, and where that stands."""
        self.error = error
        cursor = _Cursor(*self._source)
        self.text = cursor.salvage()
        self._end = cursor.behind

    @property
    def error_place(self) -> Place:
        """Where the bad bytes begin."""
        return self._at(self._end)


class _Before(NamedTuple):
    """Where the bytes begin that went before a piece and belong to its first character.

    ``mute`` gave no text so far: a byte order mark, the beginning of a character. ``kept`` are
    those of them that the decoder keeps to look at again.
    """

    mute: Place | None = None
    kept: Place | None = None


class _Cursor:
    """Decodes some bytes anew, step by step."""

    __slots__ = ("_consumed", "_data", "_decoder", "_produced")

    def __init__(self, encoding: str, state: tuple[bytes, int], data: bytes) -> None:
        self._data = data
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._decoder.setstate(state)
        self._produced = 0
        self._consumed = 0

    @property
    def behind(self) -> int:
        """The index of the byte behind what was decoded; negative for one kept from before."""
        return self._consumed - len(self._decoder.getstate()[0])

    def advance(self, index: int) -> None:
        """Decode so many characters in all. As none has less than a byte, no step goes too far."""
        while self._produced < index:
            step = self._data[self._consumed : self._consumed + index - self._produced]
            if not step:
                return
            self._produced += len(self._decode(step))

    def salvage(self) -> str:
        """Decode up to the first bad byte, by halves: the cost is linear."""
        texts = []
        size = len(self._data)
        while size:
            before = self._decoder.getstate()
            try:
                texts.append(self._decode(self._data[self._consumed : self._consumed + size]))
            except UnicodeError:
                self._decoder.setstate(before)
                size //= 2
            else:
                size = min(size, len(self._data) - self._consumed)
        return "".join(texts)

    def _decode(self, data: bytes) -> str:
        text = self._decoder.decode(data)
        self._consumed += len(data)
        return text


class Charset:
    """Decodes the bytes of a body to pieces of text."""

    def __init__(self, encoding: str) -> None:
        __tracebackhide__ = True
        self._encoding = check_encoding(encoding)
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._state = self._decoder.getstate()
        self._before = _Before()

    def decode(self, data: bytes, chunk: int, offset: int) -> Piece:
        """Decode what can be decoded now; bytes behind an error are lost."""
        piece = Piece((self._encoding, self._state, data), chunk, offset, self._before)
        try:
            piece.text = self._decoder.decode(data)
        except UnicodeError as error:
            piece.fail(error)
            return piece
        self._state = self._decoder.getstate()
        if self._state[0] or not piece.text:
            self._before = self._note(piece, chunk, offset, len(data))
        elif self._before.mute is not None:
            self._before = _Before()
        return piece

    def _note(self, piece: Piece, chunk: int, offset: int, size: int) -> _Before:
        kept = len(self._state[0])
        place = Place(chunk, offset + size - kept) if kept <= size else self._before.kept
        if piece.text:
            return _Before(place, place)
        return _Before(self._before.mute or Place(chunk, offset), place)

    def finish(self, chunk: int, offset: int) -> Piece:
        """Give the text that waited for more; bytes that are no whole character are an error."""
        piece = Piece((self._encoding, self._state, b""), chunk, offset, self._before)
        try:
            piece.text = self._decoder.decode(b"", True)  # noqa: FBT003 - the codecs' signature
        except UnicodeError as error:
            piece.fail(error)
        else:
            if self._decoder.getstate()[0]:  # half a byte order mark is passed over in silence
                piece.fail(UnicodeError("unexpected end of data"))
        return piece


class CharsetDecoder(Decoder[T]):
    """What the decoders of text share: a charset, and what is said of bytes that it lacks."""

    def __init__(self, encoding: str) -> None:
        __tracebackhide__ = True
        super().__init__()
        self._encoding = encoding
        self._charset = Charset(encoding)

    def _undecodable(self, piece: Piece, place: Place) -> DecodeError:
        what = piece.error.reason if isinstance(piece.error, UnicodeDecodeError) else piece.error
        at = "" if place == piece.error_place else f" at byte {piece.error_place.offset}"
        return self._last_error(f"not {self._encoding}{at}: {what}", place, piece.error)
