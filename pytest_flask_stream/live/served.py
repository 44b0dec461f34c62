"""The server's side of one request: the app is called in the server's thread, and watched there.

What the server gets is what the app gave, item for item; the tape is written on the way. The app
runs in a Context of its own, as empty as that of a server's thread, and stays there for the call,
every pull and the close. It is kept: what the request leaves behind can be looked at afterwards,
from the test's thread, where the server's thread may be gone by then.

The test's thread reads what stands here while the server's thread writes it. So every flag is
written once, after what it tells of, and ``tell`` is called after that.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from time import perf_counter as clock
from time import sleep
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from pytest_flask_stream.context import flask_variables
from pytest_flask_stream.frames import (
    Place,
    clear_frames,
    iter_outward,
    nearest_user_place,
    package_of,
    stack_of_thread,
)
from pytest_flask_stream.probes import ENVIRON_KEY, Probe, current_probe
from pytest_flask_stream.record import StreamRecord
from pytest_flask_stream.refusals import check_head, no_iterable, not_bytes, started_twice
from pytest_flask_stream.tape import Tape

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask import Flask

_PACKAGE = __name__.partition(".")[0]
_TURN = 0.001
"""How many seconds a server gets between two chunks to notice that its client has left."""


class Served:
    """One request, as the server has the app answer it."""

    def __init__(
        self,
        app: Flask,
        tape: Tape,
        *,
        carried: dict[str, Any] | None = None,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self.tape = tape
        self.probe: Probe = Probe(app, tape)
        self.record: StreamRecord = StreamRecord(tape)
        self.called: bool = False
        """Whether the app was called."""
        self.started: bool = False
        """Whether it has called ``start_response``."""
        self.closing: bool = False
        """Whether the server has begun to close what the app gave."""
        self.answered: bool = False
        """Whether its head can be taken for its answer: it has returned, or given a chunk."""
        self.closed: threading.Event = threading.Event()
        """Set when the server is done with it: has closed what the app gave, or got nothing."""
        self.error: BaseException | None = None
        """What the app has raised when it was called or pulled."""
        self.closing_error: BaseException | None = None
        """What closing has raised."""
        self.deserted: bool = False
        """Whether the client has left, and the server has yet to notice."""
        self.thread: threading.Thread | None = None
        """The server's thread that the app runs in."""
        self._application: WSGIApplication = app
        self._carried = carried or {}
        self._tell = tell
        self._context = Context()
        self._returned = False
        self._asked_at = 0.0
        """The clock when the server last asked for a chunk that it has not got yet."""
        self._traceback: TracebackType | None = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Call the app in the server's place."""
        __tracebackhide__ = True
        self.thread = threading.current_thread()
        environ.update(self._carried)
        environ[ENVIRON_KEY] = self.probe
        self.called = True
        try:
            self._context.run(current_probe.set, self.probe)
            iterable = self._context.run(self._call, environ, start_response)
        except BaseException as error:
            self._fail(error)
            self._end()
            raise
        if not self.tape.streamed:
            self._collect_lost_contexts()
        self._returned = True
        self._maybe_answered()
        return handed_on(iterable, self)

    def _maybe_answered(self) -> None:
        # Until it returns, an app may replace its head or raise; a server has sent nothing then.
        if self.started and (self._returned or self.tape.delivered):
            self.answered = True
            self._tell()

    def _call(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        __tracebackhide__ = True
        iterable = self._application(environ, self._watched(start_response))
        if not hasattr(iterable, "__iter__"):
            raise no_iterable(iterable)
        return iterable

    def _watched(self, start_response: StartResponse) -> StartResponse:
        def started(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
        ) -> Callable[[bytes], object]:
            __tracebackhide__ = True
            tape = self.tape
            if exc_info is None and tape.status is not None:
                raise started_twice(self.record, tape.status, status)
            check_head(self.record, status, headers)
            write = start_response(status, headers, exc_info)
            tape.note_head(status, headers)
            self.started = True
            self._maybe_answered()

            def write_and_note(chunk: bytes) -> None:
                __tracebackhide__ = True
                self.about_to_pull()
                self.note(chunk)
                if self._asked_at:
                    self._asked_at = clock()
                self._maybe_answered()
                write(chunk)

            return write_and_note

        return started

    # What the server pulls

    def about_to_pull(self) -> None:
        """Write down that the server asks for one more chunk."""
        if self.deserted:
            # waitress notices in its loop, which an app that is always busy keeps waiting: each
            # chunk is added to what cannot be sent, under a lock that the loop needs.
            sleep(_TURN)
        tape = self.tape
        tape.allowed = tape.delivered + 1
        if tape.first_pull_produced is None:
            tape.first_pull_produced = tape.produced

    def pull(self, pull: Callable[[], bytes]) -> bytes:
        """Pull one chunk in the app's Context, and write down what is seen."""
        __tracebackhide__ = True
        self.about_to_pull()
        self._asked_at = clock()
        try:
            chunk = self._checked(self._context.run(pull))
        except StopIteration:
            raise
        except BaseException as error:
            self._fail(error)
            raise
        self.note(chunk)
        self._asked_at = 0.0
        return chunk

    def _checked(self, chunk: object) -> bytes:
        __tracebackhide__ = True
        if not isinstance(chunk, bytes):
            raise not_bytes(self.tape, chunk)
        return chunk

    def note(self, chunk: bytes) -> None:
        """Write one chunk down; what is written before the first is asked for has not waited."""
        now = clock()
        begun = self._asked_at or now
        context, variables = self._context, flask_variables()
        flags = self.probe.flags(context.get(variables.request), context.get(variables.app))
        self.tape.note_chunk(chunk, begun, now, flags)

    def close(self, close: Callable[[], None]) -> None:
        """Close what the app gave, in its Context."""
        __tracebackhide__ = True
        self.closing = True
        try:
            self._context.run(close)
        except BaseException as error:
            self.closing_error = error
            raise
        finally:
            self._end()

    def _fail(self, error: BaseException) -> None:
        self._traceback = error.__traceback__
        self.error = error
        self._tell()

    def _end(self) -> None:
        self.closed.set()
        self._tell()

    # Afterwards

    def context_left(self) -> str | None:
        """Name the Flask context that is left in the app's Context, if one is."""
        for kind, variable in zip(("request", "app"), flask_variables(), strict=True):
            if self._context.get(variable) is not None:
                return kind
        return None

    def whereabouts(self) -> tuple[Place | None, list[Place]]:
        """Give the user's line that the server's thread is in, and the app's lines that led there.

        The innermost comes last; there is none where the thread is not in the app.
        """
        ident = None if self.thread is None or self.closed.is_set() else self.thread.ident
        frame = None if ident is None else stack_of_thread(ident)
        return nearest_user_place(frame), _stack_of_the_app(frame)

    def wait_for_thread(self, seconds: float) -> None:
        """Wait until the server is done with what the app has raised, as it soon will be.

        On the way up it adds to the traceback, and then it logs it. Whoever shows the same error
        meanwhile may see half of it; and Python 3.11 cannot parse source in two threads at once.
        """
        thread = self.thread
        if thread not in (None, threading.current_thread()) and self.closed.is_set():
            thread.join(seconds)

    def forget(self) -> None:
        """Let go of the traceback of an app that raised, in the Context that it belongs to."""
        if self.closed.is_set():
            self._context.run(clear_frames, self._traceback)
            self._traceback = None
            self._collect_lost_contexts()

    def _collect_lost_contexts(self) -> None:
        """Have the collector look in here for a request context that nobody will pop.

        A view that raises after it has called ``stream_with_context`` leaves one, up to Flask
        3.1.1; found later, it would be finished in whatever context the collector is in.
        """
        if self.probe.is_active_in(self._context):
            self._context.run(gc.collect)


def _stack_of_the_app(frame: FrameType | None) -> list[Place]:
    stack: list[Place] = []
    for outer in iter_outward(frame):
        if outer.f_code.co_filename == __file__:
            return stack[::-1]
        if package_of(outer) != _PACKAGE:
            stack.append(Place(outer.f_code.co_name, outer.f_code.co_filename, outer.f_lineno or 0))
    return []  # the server's thread is sending, or waiting, and not in the app


def handed_on(iterable: Iterable[bytes], served: Served) -> Iterable[bytes]:
    """Give the server what the app gave, watched; it has a length where that has one."""
    # A server sends a Content-Length of its own for a list of one chunk.
    kind = _HandedOnSequence if hasattr(type(iterable), "__len__") else _HandedOn
    return kind(iterable, served)


class _HandedOn:
    """What the server iterates and closes."""

    def __init__(self, iterable: Iterable[bytes], served: Served) -> None:
        self._iterable = iterable
        self._served = served
        self._pull: Callable[[], bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        __tracebackhide__ = True
        pull = self._pull
        if pull is None:
            pull = self._pull = self._begin()
        return self._served.pull(pull)

    def _begin(self) -> Callable[[], bytes]:
        items: list[Iterator[bytes]] = []

        def first() -> bytes:
            __tracebackhide__ = True
            # An iterable may already run code of the app's when it is asked for its iterator.
            if not items:
                items.append(iter(self._iterable))
            return next(items[0])

        return first

    def close(self) -> None:
        __tracebackhide__ = True
        self._served.close(self._let_go)

    def _let_go(self) -> None:
        """Close it and hold it no longer: without a ``close()`` it ends when nobody does."""
        __tracebackhide__ = True
        iterable, self._iterable, self._pull = self._iterable, (), None
        close = getattr(iterable, "close", None)
        if close is not None:
            close()


class _HandedOnSequence(_HandedOn):
    def __len__(self) -> int:
        return len(self._iterable)  # type: ignore[arg-type]
