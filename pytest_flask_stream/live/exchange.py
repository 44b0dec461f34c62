"""The test's side of one request over a socket: what gives a live response its chunks.

Two threads have a part in a live stream. The server's calls the app and writes the tape, in
:mod:`.served`; the test's reads the wire, here. The wire tells that a body has ended, and not why:
so at every end, after the server has closed what the app gave, the server's side is asked whether
the app has raised.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from time import perf_counter as clock
from typing import TYPE_CHECKING, NoReturn

from flask import Flask

from pytest_flask_stream.body import Body
from pytest_flask_stream.budget import Budget
from pytest_flask_stream.debugging import debugging
from pytest_flask_stream.errors import (
    NEVER_TRUE,
    StreamClosed,
    StreamError,
    StreamServerError,
    StreamTimeout,
    StreamTruncated,
)
from pytest_flask_stream.record import StreamRecord
from pytest_flask_stream.refusals import never_started
from pytest_flask_stream.tape import State, Tape
from pytest_flask_stream.transcript import counted

from .connection import Connections
from .facts import WireFacts
from .request import wire_request
from .running import GRACE, SHORT_GRACE
from .served import Served
from .wire import WireExchange
from .wire_reader import BadWire, End, Frame

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LOOK_EVERY = 0.001
_NO_LENGTH = "leave Content-Length away where the length is not known before"
_UNNOTICED = "a generator that does not yield does not notice that its client has left"


class LiveExchange:
    """A request that was made to the app over a socket, and the response on that socket."""

    def __init__(self, app: Flask, tape: Tape, budget: Budget, connections: Connections) -> None:
        self.tape = tape
        self.budget = budget
        self.body: Body = Body(tape.body.keep_bytes)
        """What arrived."""
        self.facts: WireFacts = WireFacts()
        """How it arrived."""
        self._connections = connections
        self._served = Served(app, tape)
        self._wire: WireExchange | None = None
        self._begun = 0.0
        self._interrupted = False
        """Whether a wait was broken off from outside."""
        self._on_close: list[Callable[[], object]] = []

    @property
    def record(self) -> StreamRecord:
        """What the app handed to the server."""
        return self._served.record

    # Opening

    def open(self, application: Flask, environ: WSGIEnvironment) -> None:
        """Send the request, and wait until the app has answered."""
        __tracebackhide__ = True
        request = wire_request(environ)
        wire = WireExchange(request)
        self.facts = wire.facts
        try:
            with self._spending():
                connection = self._connections.take(self._patience("opening"))
                self._served = Served(
                    application, self.tape, carried=request.carried, tell=connection.wake
                )
                self._wire = wire
                self._connections.server.expect(connection.port, self._served)
                self.tape.began = clock()
                wire.send(connection)
                self._wait_for_answer(wire)
        except BaseException as error:
            self._fail_to_open(error)
            raise

    def _wait_for_answer(self, wire: WireExchange) -> None:
        __tracebackhide__ = True
        served = self._served
        while not (served.answered or served.closed.is_set() or wire.end is not None):
            if wire.head is not None and not served.called:
                break
            if wire.head is not None or self._event(wire) is None:
                self._receive(wire, "opening")
        if served.answered:
            return
        if served.error is not None:
            raise served.error
        if served.called:
            raise never_started(self.record, chunk=bool(self.tape.delivered))
        self._take_the_answer_of_the_server(wire)

    def _take_the_answer_of_the_server(self, wire: WireExchange) -> None:
        """The server has refused the request, or a fake one has no app behind it."""
        __tracebackhide__ = True
        if wire.head is None:
            raise StreamServerError(
                "the server closed the connection without an answer",
                self.record,
                remedy="see what it has logged, in the captured log of this test",
            )
        self.tape.status = wire.head.status
        self.tape.headers.extend(wire.head.headers)

    def _fail_to_open(self, error: BaseException) -> None:
        if self.tape.state == "open":
            self._finish("failed", error)

    @property
    def header_list(self) -> list[tuple[str, str]]:
        """The headers as the app gave them."""
        return list(self.tape.headers)

    def forget(self) -> None:
        """Let go of the traceback of an app that raised."""
        self._served.forget()

    def call_on_close(self, function: Callable[[], object]) -> None:
        """Call a function when the stream was closed."""
        self._on_close.append(function)

    # Reading

    def next_chunk(self) -> bytes:
        """Give the next frame, or raise what ended the stream."""
        __tracebackhide__ = True
        wire = self._wire
        if self.tape.state != "open" or wire is None:
            return self._nothing_more()
        with self._spending():
            while True:
                event = self._event(wire)
                if event is None:
                    self._receive(wire, "pull")
                elif type(event) is End:
                    self._ended(wire, event)
                elif type(event) is Frame and not self._is_an_error_page():
                    self.body.add(event.data)
                    return event.data

    def _is_an_error_page(self) -> bool:
        """Tell whether what arrives is the server's, instead of a body that failed at once."""
        return self._served.error is not None and not self.tape.body.size

    def pull(self, count: int) -> None:
        """Read at most ``count`` frames; nothing once the stream has ended."""
        __tracebackhide__ = True
        if self.tape.state == "open":
            for _ in self._frames(count):
                pass

    def take(self, count: int) -> list[bytes]:
        """Read at most ``count`` frames, and give them."""
        __tracebackhide__ = True
        if self.tape.state in ("exhausted", "failed"):
            return []
        return list(self._frames(count))

    def _frames(self, count: int) -> Iterator[bytes]:
        __tracebackhide__ = True
        for _ in range(count):
            try:
                chunk = self.next_chunk()
            except StopIteration:
                return
            yield chunk

    def start(self, until: Callable[[], bool] | None) -> None:
        """Wait until something is true: a server begins the first pull by itself."""
        __tracebackhide__ = True
        if len(self.body) or self.tape.state != "open":
            raise ValueError(
                f"start() begins the first pull, and this stream is {self.tape.state} after"
                f" {len(self.body)} chunks: call it before anything is read"
            )
        if until is None:
            return
        pause = threading.Event()
        with self._spending():
            while not until():
                if self._served.error is not None:
                    break
                self._patience("pull", NEVER_TRUE)
                pause.wait(_LOOK_EVERY)  # nobody tells when a condition becomes true
            else:
                return
        self.next_chunk()  # raises what the app raised

    def _event(self, wire: WireExchange) -> object:
        __tracebackhide__ = True
        try:
            return wire.event()
        except BadWire as error:
            return self._end_behind_the_length(wire, error)

    def _end_behind_the_length(self, wire: WireExchange, error: BadWire) -> End:
        """End a response that goes on behind its declared length; the claims tell of the rest."""
        __tracebackhide__ = True
        if not self._app_exceeds_its_length(wire):
            self._refuse(error)
        wire.leave()
        self.facts.end = "clean"
        return End("clean", b"", [])

    def _app_exceeds_its_length(self, wire: WireExchange) -> bool:
        """Tell whether the app has given more than its ``Content-Length``, and the server sent it.

        Werkzeug's does, and all that is behind the length is no part of the response.
        """
        arrived = self.body.size
        return wire.head is not None and self._declared == arrived < self.tape.body.size

    def _receive(self, wire: WireExchange, activity: str) -> None:
        __tracebackhide__ = True
        wire.receive(self._patience(activity))

    def _refuse(self, bad: BadWire) -> NoReturn:
        __tracebackhide__ = True
        remedy = (
            "see which headers the app sets: Transfer-Encoding, Connection and the like are the"
            " server's"
        )
        reason = f"what came over the wire is no HTTP response: {bad}"
        error = StreamServerError(reason, self.record, remedy=remedy)
        self._finish("failed", error)
        raise error from None  # the text says all of it

    # Waiting

    @contextlib.contextmanager
    def _spending(self) -> Iterator[None]:
        """Count the time of a ``with`` block."""
        __tracebackhide__ = True
        if self._begun:
            raise ValueError("somebody else is reading")
        self._begun = clock()
        try:
            yield
        except Exception:
            raise
        except BaseException:  # Ctrl-C, or a plugin that limits the time of a test
            self._interrupted = True
            raise
        finally:
            self.budget.used += clock() - self._begun
            self._begun = 0.0

    def _patience(self, activity: str, note: str | None = None) -> float | None:
        """Give how many seconds there are left; raise where there are none."""
        __tracebackhide__ = True
        budget = self.budget
        if not budget.timeout:
            return None
        waited = budget.used + clock() - self._begun
        if waited >= budget.timeout:
            if not debugging.active:
                self._give_up(activity, waited, note)
            budget.used, self._begun = 0.0, clock()
            return budget.timeout
        return budget.timeout - waited

    def _give_up(self, activity: str, waited: float, note: str | None) -> NoReturn:
        __tracebackhide__ = True
        served = self._served
        place, stack = served.whereabouts()
        if place is None and any(step.function == "dispatch_request" for step in stack):
            place = self.tape.view  # its coroutine is run in another thread
        if served.closing and not served.closed.is_set():
            activity = "closing"  # waitress closes before it sends the end
        self._connections.server.known_to_be_stuck(served.thread)
        if stack:
            where = "\n           ".join(["the server's thread is in", *map(str, stack)])
            note = where if note is None else f"{note}; {where}"
        elif note == _UNNOTICED:
            note = "the server has not noticed yet that its client has left"
        self._finish("timeout", None)
        error = self.tape.error = StreamTimeout(
            activity,
            self.budget.timeout or 0.0,
            waited,
            stuck=None if place is None else str(place),
            note=note,
            record=self.record,
        )
        raise error

    @property
    def busy(self) -> bool:
        """Whether somebody is waiting for a chunk at this moment."""
        return self._begun > 0.0

    @property
    def timeout(self) -> float | None:
        """Seconds that the app may keep the test waiting, or ``None``."""
        return self.budget.timeout

    def set_timeout(self, timeout: float | None) -> None:
        """Change the timeout."""
        self.budget.set_timeout(timeout)

    # Ending

    def close(self) -> None:
        """Leave with a FIN; see :meth:`disconnect`."""
        __tracebackhide__ = True
        self.disconnect()

    def disconnect(self, *, reset: bool = False) -> None:
        """Close the socket, and wait until the server has closed what the app gave."""
        __tracebackhide__ = True
        if self.tape.state != "open" or self._wire is None:
            return
        if self.busy:
            raise StreamError(
                "the stream cannot be closed while it is being read in another thread\n"
                "  remedy:  close it from where it is read",
                self.record,
            )
        with self._spending():
            self._wire.leave(reset=reset)
            self._served.deserted = True
            if self._interrupted:
                self._wait_shortly_for_close()
            else:
                self._wait_for_close(_UNNOTICED)
        served = self._served
        error = served.error or served.closing_error
        self._finish("failed" if served.error is not None else "closed", error)
        if error is not None:
            raise error

    def _ended(self, wire: WireExchange, end: End) -> NoReturn:
        """The response has come to an end on the wire: see what the app has to say of it."""
        __tracebackhide__ = True
        wire.stop_sending()
        self._wait_for_close()
        served = self._served
        error = served.error or served.closing_error
        if error is None:
            self._look_behind_the_end(wire)
        if error is None and self.facts.end in ("truncated", "reset"):
            error = self._truncated(end)
        if error is None:
            self._finish("exhausted", None)
            raise StopIteration
        self._finish("failed", error)
        raise error

    def _look_behind_the_end(self, wire: WireExchange) -> None:
        """Look once more: what was sent before the server closed is there by now."""
        __tracebackhide__ = True
        try:
            wire.receive(0)
        except BadWire as error:
            self._end_behind_the_length(wire, error)

    def _truncated(self, end: End) -> StreamTruncated:
        detail = f"{counted(len(self.body), 'chunk')} came whole"
        if end.partial:
            detail += f", and {counted(len(end.partial), 'byte')} of another"
        remedy = None
        if self._declared is not None:
            came = counted(self.body.size, "byte")
            detail = f"{came} came, Content-Length: {self._declared}"
            remedy = _NO_LENGTH if self.tape.body.size == self.body.size else None
        how = self.facts.end or "truncated"
        return StreamTruncated(how, detail, self.record, remedy=remedy)

    @property
    def _declared(self) -> int | None:
        """How many bytes the app says that it sends, if it does."""
        length = self.tape.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None

    def _wait_for_close(self, note: str | None = None) -> None:
        __tracebackhide__ = True
        served = self._served
        # A server may send the end before it closes, and a request may never have got to the app.
        while served.called and not served.closed.wait(self._patience("closing", note)):
            pass

    def _wait_shortly_for_close(self) -> None:
        """Keep nobody who was interrupted waiting for the same thing again."""
        served = self._served
        if served.called and not served.closed.wait(SHORT_GRACE):
            self._connections.server.known_to_be_stuck(served.thread)

    def _finish(self, state: State, error: BaseException | None) -> None:
        __tracebackhide__ = True
        self.tape.state, self.tape.error = state, error
        self.tape.closing_raised = error is not None and error is self._served.closing_error
        wire = self._wire
        if not self._served.called:
            self._connections.server.expect_no_more(self._served)
        if wire is not None:
            connection = wire.take_connection() if state == "exhausted" else None
            if connection is not None:
                self._connections.give_back(connection)
            wire.leave(reset=state == "timeout")
        if error is not None:
            self._served.wait_for_thread(GRACE)
        for function in self._on_close:
            function()

    def context_left(self) -> str | None:
        """Name the Flask context that the app has left where it ran, if one is."""
        return self._served.context_left()

    def _nothing_more(self) -> bytes:
        __tracebackhide__ = True
        if self.tape.state == "closed":
            raise StreamClosed("the client has disconnected", self.record)
        if self.tape.state == "timeout":
            raise StreamClosed("the stream ended in a timeout", self.record)
        raise StopIteration
