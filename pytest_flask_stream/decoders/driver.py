"""Pulls chunks as a decoder needs them.

A class, not a generator: a generator would be over after the first error it lets through, and a
bad record is not the end of a body. It pulls a chunk only when every value of the chunk before has
been taken, and never again once the chunks have ended or the decoder has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pytest_flask_stream.errors import EndlessStream, StreamTimeout

from .base import Decoder

T = TypeVar("T")


class Decoding(Iterator[T]):
    """The values of a body, decoded lazily from its chunks.

    A chunk is pulled only when no value of the chunks before is left. An error of the chunks'
    iterator passes through unchanged, and what was unfinished then is not taken for finished:
    asked again, the chunks are asked again.

    :param chunks: The chunks of the body, from its first byte.
    :param decoder: A decoder that was fed nothing yet; it is used up.
    :param content: A decoder of the content coding, through which the chunks go first; see
        :class:`ContentDecoder`. Chunks are counted as they are in ``chunks``, while byte offsets
        are those of the decoded body.
    :param left: Says, when the chunks have ended, whether it was the reader who left. What the
        content coding lacks then is no error.
    :raises DecodeError: while iterating, at a record that cannot be decoded. Iterating can go on
        behind it where the format allows that, and is over otherwise.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        decoder: Decoder[T],
        *,
        content: Decoder[bytes] | None = None,
        left: Callable[[], bool] = bool,  # bool() is False
    ) -> None:
        self._chunks = iter(chunks)
        self._decoder = decoder
        self._content = content
        self._left = left
        self._pieces: Iterator[bytes] = iter(())
        self._values: Iterator[T] = iter(())
        self._content_ended = content is None
        self._over = False
        self._interrupted = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} by {self._decoder!r}>"

    def __next__(self) -> T:
        __tracebackhide__ = True
        while True:
            for value in self._values:
                return value
            self._values = self._more()

    def _more(self) -> Iterator[T]:
        """Give the decoder the next bytes there are."""
        __tracebackhide__ = True
        if self._content is not None:
            for piece in self._pieces:
                return self._decoder.feed(piece, continued=True)
            self._over = self._over or self._content.failed
        if self._over or self._decoder.failed:
            raise StopIteration
        try:
            chunk = next(self._chunks)
        except StopIteration:
            return self._end()
        except BaseException as error:
            self._interrupted = True
            if isinstance(error, EndlessStream | StreamTimeout) and self._decoder._missed:
                error._add_note(self._decoder._missed)
            raise
        self._interrupted = False
        if self._content is None:
            return self._decoder.feed(chunk)
        self._pieces = self._content.feed(chunk)
        return self._decoder.feed(b"")  # counts the chunk; its bytes follow as pieces

    def _end(self) -> Iterator[T]:
        if self._interrupted:
            raise StopIteration
        if self._content is not None and not self._content_ended:
            self._content_ended = True
            if not self._left():
                self._pieces = self._content.end()
            return iter(())
        self._over = True
        return self._decoder.end()
