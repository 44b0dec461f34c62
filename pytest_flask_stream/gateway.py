"""The server's side of WSGI (PEP 3333): calls the app, takes its head, closes its iterable.

Nothing in here knows of contexts or of time: it runs where it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from .record import StreamRecord
from .refusals import check_head, never_started, no_iterable, started_twice
from .tape import Tape

if TYPE_CHECKING:  # there is no such module at run time
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
)
HeaderList: TypeAlias = list[tuple[str, str]]

_NOTHING_MORE: Iterator[bytes] = iter(())


class Gateway:
    """One call of a WSGI application, and what it answered with."""

    def __init__(self, tape: Tape, record: StreamRecord) -> None:
        self._tape = tape
        self._record = record
        self._iterable: Iterable[bytes] | None = ()
        self._on_close: list[Callable[[], object]] = []
        self.headers: HeaderList = []
        """The headers as the app gave them."""
        self.chunks: Iterator[bytes] = _NOTHING_MORE
        """What is still to be pulled."""
        self.written: list[bytes] = []
        """What the app gave to ``write()``, which comes before the next chunk that it yields."""

    def call(self, application: WSGIApplication, environ: WSGIEnvironment) -> None:
        """Call the app, and pull as far as it takes it to call ``start_response``."""
        __tracebackhide__ = True
        self._iterable = application(environ, self._start_response)
        if not hasattr(self._iterable, "__iter__"):
            raise no_iterable(self._iterable)
        self.chunks = iter(self._iterable)
        if self._tape.status is None:
            self._pull_until_started()

    def _pull_until_started(self) -> None:
        """Pull a layer that calls ``start_response`` only when it is iterated (PEP 3333)."""
        __tracebackhide__ = True
        tape, first = self._tape, list[bytes]()
        tape.first_pull_produced = tape.produced
        tape.allowed = 1
        for chunk in self.chunks:
            first.append(chunk)
            tape.allowed += 1
            if tape.status is not None:
                self.chunks = chain(first, self.chunks)
                return
            if chunk:
                break
        if tape.status is None:
            raise never_started(self._record, chunk=bool(first))
        self.chunks = iter(first)

    def _start_response(
        self, status: str, headers: HeaderList, exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        tape = self._tape
        if exc_info is not None and exc_info[1] is not None and tape.delivered:
            # The headers are sent: PEP 3333 has the server raise the error that was to be told.
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and tape.status is not None:
            raise started_twice(self._record, tape.status, status)
        check_head(self._record, status, headers)
        self.headers = list(headers)
        tape.note_head(status, headers)
        return self._write

    def _write(self, data: bytes) -> None:
        self.written.append(data)
        self._tape.eventful = self._tape.news = True

    def put_written_first(self, *chunks: bytes) -> None:
        """Put what was written, and then ``chunks``, before what is still to be pulled."""
        self.chunks = chain([*self.written, *chunks], self.chunks)
        self.written.clear()

    def call_on_close(self, function: Callable[[], object]) -> None:
        """Call a function when the iterable was closed."""
        self._on_close.append(function)

    def close(self) -> None:
        """Close the app's iterable, once."""
        __tracebackhide__ = True
        iterable, self._iterable = self._iterable, None
        on_close, self._on_close = self._on_close, []
        self.chunks = _NOTHING_MORE
        try:
            close = getattr(iterable, "close", None)
            if close is not None:
                close()
        finally:
            for function in on_close:
                function()
