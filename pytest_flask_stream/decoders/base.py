"""What all decoders share: bytes in, values out, and a count of what went by.

A decoder does no I/O. It is fed a chunk and gives the values that this chunk completes, and is
told where the body ends. It works on a whole chunk at once: it finds the last place in the chunk
at which a record can end, decodes everything up to there in one go, and keeps the rest. So its
cost is linear in the body, however the body is cut, and a chunk of a thousand records costs one
search, not a thousand.

A record that cannot be decoded stands among the values as an error, which is raised when it is
that value's turn. (A generator would be finished by the first error it raises; reading on after a
bad record must be possible.) A batch without an error, the usual case, is a plain list iterator,
so that nothing but the interpreter stands between a value and the one who asks for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from pytest_flask_stream.errors import DecodeError

T = TypeVar("T")

_SHOWN = 60


def shown(data: bytes | str) -> str:
    """Give the beginning of what cannot be decoded, as a literal."""
    return repr(data) if len(data) <= _SHOWN else f"{data[:_SHOWN]!r}…"


class Place(NamedTuple):
    """Where a byte stands: the number of its chunk and its offset in the body, both from 0."""

    chunk: int
    offset: int


class Decoder(ABC, Generic[T]):
    """Bytes in, values out: what every decoder is.

    Feed it the chunks of one body, in order, empty ones too, and take all values of one chunk
    before the next is fed. A decoder counts chunks and bytes by itself and does no I/O.

    .. versionadded:: 0.1
    """

    failed: bool = False
    """Whether an error has ended the decoding, so that no further value can come."""

    _awaited = "more bytes"  # what a first value wants, told where a stream goes on without one

    def __init__(self) -> None:
        self._chunk = -1
        self._offset = 0  # of the first byte fed last
        self._size = 0  # of the body so far
        self._record = 0  # the number of the next record
        self._ended = False
        self._errors_among_values = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._chunk + 1} chunks, {self._size} bytes fed>"

    def feed(self, chunk: bytes, *, continued: bool = False) -> Iterator[T]:
        """Take the next chunk and give the values that it completes.

        :param chunk: The next bytes of the body; an empty chunk counts as one.
        :param continued: These bytes belong to the chunk fed before: they are not counted as a
            chunk of their own. So a chunk can be fed piece by piece.
        :return: An iterator of the values. Asking it for a record that cannot be decoded raises
            :class:`~pytest_flask_stream.DecodeError`; asking it again goes on behind that record,
            where the format has a place to go on.
        :raises ValueError: after :meth:`end`.
        """
        if self._ended:
            raise ValueError("a body ends once: nothing can be fed after end()")
        if not continued or self._chunk < 0:
            self._chunk += 1
        self._offset = self._size
        self._size += len(chunk)
        if self.failed or not chunk:
            return iter(())
        values = self._decode(chunk)
        if type(values) is list and not self._errors_among_values:
            return iter(values)
        return self._deliver(values)

    def end(self) -> Iterator[T]:
        """Say that the body ends here, and give the values that were waiting for more.

        What becomes of an unfinished last record is the format's own rule.

        :raises ValueError: if called twice.
        """
        if self._ended:
            raise ValueError("a body ends once: end() was called before")
        self._ended = True
        self._offset = self._size
        return iter(()) if self.failed else self._deliver(self._finish())

    @property
    def _missed(self) -> str | None:
        """What the first value lacks, if bytes have come and none has."""
        if self._record or not self._size:
            return None
        plural = "" if self._size == 1 else "s"
        return f"nothing is complete in the {self._size} byte{plural} so far: {self._awaited}"

    @abstractmethod
    def _decode(self, data: bytes) -> Iterable[T | DecodeError]:
        """Give what these bytes complete, errors in their place. Never called with ``b""``."""

    @abstractmethod
    def _finish(self) -> Iterable[T | DecodeError]:
        """Give what the end of the body completes."""

    def _error(self, reason: str, place: Place, cause: BaseException | None = None) -> DecodeError:
        """Make the error of the next record, which is counted by this."""
        error = DecodeError(reason, record=self._record, chunk=place.chunk, offset=place.offset)
        if cause is not None:  # its frames, and what went before it, are only ours
            cause.__traceback__ = cause.__context__ = None
        error.__cause__ = cause
        self._record += 1
        self._errors_among_values = True
        return error

    def _last_error(
        self, reason: str, place: Place, cause: BaseException | None = None
    ) -> DecodeError:
        """Make an error behind which the format has no place to go on."""
        self.failed = True
        return self._error(reason, place, cause)

    @property
    def _here(self) -> Place:
        """Where the bytes that were fed last begin."""
        return Place(max(self._chunk, 0), self._offset)

    def _deliver(self, values: Iterable[T | DecodeError]) -> Iterator[T]:
        self._errors_among_values = False
        return _Raising(values)


class _Raising(Iterator[T]):
    """Values among which errors stand. An error is raised in its turn and ends nothing."""

    def __init__(self, values: Iterable[T | DecodeError]) -> None:
        self._values = iter(values)

    def __next__(self) -> T:
        __tracebackhide__ = True
        value = next(self._values)
        if isinstance(value, DecodeError):
            raise value
        return value
