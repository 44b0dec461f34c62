"""Content codings: gzip and deflate, undone chunk by chunk.

The standard library's ``zlib`` decodes incrementally; what is done here is the rest. A coded
chunk can be a thousand times as long when decoded, so what comes out is handed on in pieces of
bounded size, made as they are asked for. ``zlib`` copies the input that it has not used at each
call, so what goes in is cut into windows; else one long chunk would cost the square of its length.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from pytest_flask_stream.errors import DecodeError

from .base import Decoder

_WINDOW = 4096
_PIECE = 65536
_GZIP = zlib.MAX_WBITS + 16
_CODINGS = ("deflate", "gzip", "x-gzip")


class ContentDecoder(Decoder[bytes]):
    """Undo the ``Content-Encoding`` of a body.

    Gives the decoded bytes in pieces of at most 64 KiB. Knows ``gzip`` (RFC 1952, any number of
    members), ``deflate`` (RFC 1950, and the bare RFC 1951 that some send under this name) and
    ``identity``, alone or one upon the other (RFC 9110, section 8.4).

    :param codings: The value of the header field: names, separated by commas, in the order in
        which the codings were applied.
    :raises DecodeError: at once, naming it, for any other coding; while reading, for bytes that
        are not coded so, and for a body that ends before its coding does. Its ``record`` is the
        number of the chunk, its ``offset`` that of the chunk's first coded byte, or of the body's
        end. Decoding ends there.

    .. versionadded:: 0.1
    """

    def __init__(self, codings: str) -> None:
        __tracebackhide__ = True
        super().__init__()
        names = map(str.strip, reversed(codings.lower().split(",")))
        self._stages = list(map(_stage, (name for name in names if name not in ("", "identity"))))

    def _decode(self, data: bytes) -> Iterable[bytes | DecodeError]:
        # A generator, so that no piece is made before it is asked for.
        pieces: Iterable[bytes] = (data,)
        for stage in self._stages:
            pieces = chain.from_iterable(map(stage.pieces, pieces))
        place = self._here
        try:
            yield from pieces
        except zlib.error as error:
            self._record = place.chunk
            yield self._last_error(f"the body is not coded as its header says: {error}", place)

    def _finish(self) -> Iterable[bytes | DecodeError]:
        self._record = self._here.chunk
        for stage in self._stages:
            if not stage.complete:
                reason = f"the body ends before its content coding {stage.name!r} does"
                return [self._last_error(reason, self._here)]
        return []


def _stage(name: str) -> _Stage:
    __tracebackhide__ = True
    if name not in _CODINGS:
        reason = f"the content coding {name!r} cannot be decoded; known are: gzip, deflate"
        raise DecodeError(reason, record=0, chunk=0, offset=0)
    return _Deflate(name) if name == "deflate" else _Gzip(name)


class _Stage:
    """One coding. ``zlib.error`` means bytes that are not coded so."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._member: zlib._Decompress | None = None

    @property
    def complete(self) -> bool:
        """Whether the coding could end here: nothing came yet, or its end was seen."""
        return self._member is None or self._member.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decode, in pieces of bounded size."""
        for start in range(0, len(data), _WINDOW):
            rest = data[start : start + _WINDOW]
            while rest:
                if self._member is None or self._member.eof:
                    rest = self._next_member(rest)
                if self._member is None or not rest:
                    break
                yield from self._from_member(self._member, rest)
                rest = self._member.unused_data

    @staticmethod
    def _from_member(member: zlib._Decompress, data: bytes) -> Iterator[bytes]:
        while True:
            before = member.copy()
            try:
                piece = member.decompress(data, _PIECE)
            except zlib.error:
                yield from _before_error(before, data)
                raise
            if piece:
                yield piece
            data = member.unconsumed_tail
            if member.eof or (not data and len(piece) < _PIECE):
                return

    def _next_member(self, data: bytes) -> bytes:
        """Begin to decode with these bytes; give those to begin with."""
        raise NotImplementedError


def _before_error(member: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """Give what comes out before the first bad byte, which ``zlib`` does not tell."""
    with contextlib.suppress(zlib.error):
        for index in range(len(data)):
            piece = member.decompress(data[index : index + 1])
            if piece:
                yield piece


class _Gzip(_Stage):
    def _next_member(self, data: bytes) -> bytes:
        if self._member is not None:
            data = data.lstrip(b"\0")  # padding between members
        if data:
            self._member = zlib.decompressobj(_GZIP)
        return data


class _Deflate(_Stage):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._head = b""

    @property
    def complete(self) -> bool:
        return super().complete and not (self._member is None and self._head)

    def _next_member(self, data: bytes) -> bytes:
        if self._member is not None:
            raise zlib.error("bytes after its end")
        self._head += data
        if len(self._head) < 2:
            return b""
        method, check = self._head[0] & 0x0F, int.from_bytes(self._head[:2], "big")
        wrapped = method == zlib.DEFLATED and check % 31 == 0  # RFC 1950, section 2.2
        self._member = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        return self._head
