"""The response that a test holds: pulls one chunk at a time, closes once.

A :class:`StreamedResponse` owns no fact. It asks a producer (the app in this process, or a socket)
for chunks, and reads what stands on the tape; so it need not know which producer it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from werkzeug.sansio.response import Response as SansIOResponse
from werkzeug.test import TestResponse
from werkzeug.wrappers import Request

from . import explain
from .cleanup_claims import CleanupClaims
from .decoders import Decoders
from .elsewhere import NamesOfOthers
from .errors import EndlessStream, StreamError
from .finding import called
from .producer import Producer
from .record import StreamRecord
from .record_claims import RecordClaims
from .search import Needle
from .settings import check
from .tape import State
from .transcript import counted, summary


class StreamedResponse(CleanupClaims, RecordClaims, Decoders, NamesOfOthers, SansIOResponse):
    """A response that is read lazily, chunk by chunk, as a server reads it.

    It is an iterator of its chunks (``bytes``): any number of ``for`` loops may go over it, each
    going on where the last one stopped. It is a context manager, which closes it. And it is a
    :class:`werkzeug.sansio.response.Response`, so that ``status_code``, ``headers``, ``mimetype``,
    ``content_length``, ``cache_control`` and the like are there.

    Only a client makes one.

    .. versionadded:: 0.1
    """

    default_mimetype: str | None = None  # the response has the type that the app gave it, or none

    request: Request
    """The request that was made."""

    history: tuple[TestResponse, ...]
    """The earlier responses of a redirect, oldest first, read out."""

    _client: object = None
    """Who opened it, held for as long as it is."""

    def __init__(
        self,
        producer: Producer,
        response: TestResponse,
        *,
        loads: Callable[[bytes], Any],
        max_chunks: int,
        shown_chunks: int | None,
    ) -> None:
        super().__init__(status=response.status, headers=response.headers)
        self.request = response.request
        self.history = response.history
        self._producer = producer
        self._tape = producer.tape
        self._body = producer.body
        self._loads = loads
        self._max_chunks = max_chunks
        self._shown_chunks = shown_chunks

    # Facts

    @property
    def record(self) -> StreamRecord:
        """The facts of this stream."""
        return self._producer.record

    @property
    def chunks(self) -> list[bytes]:
        """The chunks delivered so far, as a list of one's own.

        :raises ChunksNotKept: if the body is longer than ``keep_bytes``.
        """
        __tracebackhide__ = True
        return list(self._body.whole("chunks"))

    @property
    def produced(self) -> int:
        """How many items the view's iterable has given so far."""
        return self._tape.produced

    @property
    def delivered(self) -> int:
        """How many chunks were handed to the test so far."""
        return len(self._body)

    @property
    def streamed(self) -> bool | None:
        """Whether the view handed over an iterator.

        ``False`` for a complete body (a ``str``, a list, ``jsonify``, the page of an
        ``HTTPException``), ``None`` if no Flask view answered.
        """
        return self._tape.streamed

    @property
    def state(self) -> State:
        """``"open"``, ``"exhausted"``, ``"failed"``, ``"closed"`` or ``"timeout"``."""
        return self._tape.state

    @property
    def error(self) -> BaseException | None:
        """The exception that ended the stream, or ``None``."""
        return self._tape.error

    @property
    def timeout(self) -> float | None:
        """How many seconds the app may keep the test waiting on this stream, or ``None``."""
        return self._producer.timeout

    @timeout.setter
    def timeout(self, timeout: float | None) -> None:
        __tracebackhide__ = True
        self._producer.set_timeout(check({"timeout": timeout})["timeout"])

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {summary(self._tape)} {self.state}:"
            f" {counted(self.delivered, 'chunk')} delivered,"
            f" {counted(self.produced, 'item')} produced>"
        )

    # Reading

    def __iter__(self) -> StreamedResponse:
        return self

    def __next__(self) -> bytes:
        """Pull exactly one chunk.

        :raises StopIteration: at the end, when the stream is closed already.
        :raises StreamClosed: after ``disconnect()`` or a timeout.
        """
        __tracebackhide__ = True
        next_chunk = self._producer.next_chunk  # a callable of the instance: as a method it is slow
        try:
            return next_chunk()
        except (RuntimeError, ValueError):
            self._refuse_second_reader()
            raise

    def take(self, n: int) -> list[bytes]:
        """Read the next chunks; fewer only where the stream ends.

        :param n: How many, at least 0.
        """
        __tracebackhide__ = True
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"n must be an int, at least 0, not {n!r}")
        if n < 0:
            raise ValueError(f"n must be at least 0, not {n}")
        try:
            return self._producer.take(n)
        except (RuntimeError, ValueError):
            self._refuse_second_reader()
            raise

    def take_until(self, condition: bytes | str | Callable[[bytes], object]) -> list[bytes]:
        """Read up to and including the first chunk for which a condition is true.

        :param condition: Called with each chunk. ``bytes`` or ``str`` (its UTF-8 bytes): until
            the chunks taken by this call contain it, also across their boundaries.
        :raises AssertionError: if the stream ends first.
        """
        __tracebackhide__ = True
        is_true = _condition(condition)
        taken: list[bytes] = []
        while True:
            self._check_limit()
            try:
                chunk = next(self)
            except StopIteration:
                break
            taken.append(chunk)
            if is_true(chunk):
                return taken
        claim = called("take_until", condition)
        return self._fail(
            claim,
            explain.not_found(self._tape, self._body, len(taken), condition),
            cause=self.error,
        )

    def start(self, until: Callable[[], bool] | None = None) -> None:
        """Begin the first pull in a thread of its own, in the stream's Context.

        The next read waits for that chunk, and so does closing, up to ``timeout``. For generators
        that subscribe to something on their first pull.

        :param until: Return as soon as this is true; at once where it is ``None``.
        :raises StreamTimeout: if it does not become true within ``timeout``.
        :raises TypeError: if ``until`` cannot be called.
        :raises ValueError: if something was read already.
        """
        __tracebackhide__ = True
        if until is not None and not callable(until):
            raise TypeError(f"until must be a callable without arguments, or None, not {until!r}")
        self._producer.start(until)

    def drain(self) -> None:
        """Read to the end."""
        __tracebackhide__ = True
        self._read_out()

    def read(self) -> bytes:
        """Read to the end and give the whole body, from its first byte; repeatable.

        Of a stream that failed, its error is raised (again); after ``disconnect()``, what was
        delivered is the body.
        """
        __tracebackhide__ = True
        self._read_out()
        if self.error is not None and self.state != "closed":
            raise self.error
        return b"".join(self._body.whole("read()"))

    def read_text(self) -> str:
        """Like :meth:`read`, decoded by the response's charset, else as UTF-8."""
        __tracebackhide__ = True
        return self.read().decode(self.mimetype_params.get("charset", "utf-8"))

    def read_json(self) -> Any:
        """Like :meth:`read`, loaded by the app's JSON provider."""
        __tracebackhide__ = True
        return self._loads(self.read())

    def _iter_chunks(self) -> Iterator[bytes]:
        """Give the body from its first byte: what was delivered, then what comes."""
        __tracebackhide__ = True
        # Asked once for each chunk: what can be known by looking at a list costs no call.
        body, kept = self._body, self._body.kept
        body.whole("a decoder that starts anew")
        index = 0
        while True:
            if index < len(kept):
                yield kept[index]
            elif body.room < 0 and index < len(body):
                yield body.chunk(index, "a decoder that fell behind")
            elif self.state == "open":
                if index > self._max_chunks:
                    self._check_limit()
                try:
                    chunk = self._producer.next_chunk()
                except StopIteration:
                    return
                except (RuntimeError, ValueError):
                    self._refuse_second_reader()
                    raise
                yield chunk
            else:
                break
            index += 1
        if self.error is not None and self.state != "closed":
            raise self.error

    def _has_left(self) -> bool:
        return self.state == "closed"

    def _advance(self, count: int) -> None:
        __tracebackhide__ = True
        missing = count - len(self._body)
        if missing > 0:
            try:
                self._producer.pull(missing)
            except (RuntimeError, ValueError):
                self._refuse_second_reader()
                raise

    def _advance_within_limit(self) -> None:
        __tracebackhide__ = True
        self._check_limit()
        self._advance(len(self._body) + 1)

    def _read_out(self) -> None:
        __tracebackhide__ = True
        while self.state == "open":
            self._check_limit()
            self._advance(self._max_chunks + 1)

    def _check_limit(self) -> None:
        __tracebackhide__ = True
        if self.state == "open" and len(self._body) > self._max_chunks:
            raise EndlessStream(self._max_chunks, self.record)

    def _refuse_second_reader(self) -> None:
        """Say it in our words where a chunk is being produced already."""
        __tracebackhide__ = True
        if self._producer.busy:
            raise StreamError(
                "two readers at once: a chunk of this stream is being produced already, in another"
                " thread or for its own generator\n"
                "  remedy:  read a stream from one place at a time",
                self.record,
            ) from None

    # Ending

    def close(self) -> None:
        """Let the client go away now, also before the first chunk; harmless when repeated.

        A server calls ``close()`` on the app's iterable then (PEP 3333).
        """
        __tracebackhide__ = True
        self._producer.close()

    def disconnect(self) -> None:
        """Do the same as :meth:`close`."""
        __tracebackhide__ = True
        self._producer.close()

    def __enter__(self) -> StreamedResponse:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        self.close()

    def _take_new_head(self) -> None:
        """Follow an app that has replaced its head before it was sent (PEP 3333)."""
        self.status = self._tape.status or ""
        self.headers.clear()
        self.headers.extend(self._tape.headers)

    def _context_left(self) -> str | None:
        return self._producer.context_left()


def _condition(
    condition: bytes | str | Callable[[bytes], object],
) -> Callable[[bytes], object]:
    __tracebackhide__ = True
    if isinstance(condition, str):
        condition = condition.encode()
    if isinstance(condition, bytes):
        if not condition:
            raise ValueError("every chunk contains the empty string: wait for something")
        return Needle(condition)
    if not callable(condition):
        raise TypeError(f"condition must be bytes, str or a callable, not {condition!r:.80}")
    return condition
