"""The test's side of one request over a socket: what gives a live response its chunks.

Two threads have a part in a live stream. The server's calls the app and writes the tape, in
:mod:`.served`; the test's reads the wire, here. The wire tells that a body has ended, and not why:
so at every end, after the server has closed what the app gave, the server's side is asked whether
the app has raised.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import perf_counter as clock
from typing import TYPE_CHECKING, NoReturn

from flask import Flask

from pytest_flask_stream.body import Body
from pytest_flask_stream.budget import Budget
from pytest_flask_stream.errors import (
    NEVER_TRUE,
    StreamError,
    StreamServerError,
    StreamTruncated,
)
from pytest_flask_stream.refusals import never_started
from pytest_flask_stream.tape import Tape
from pytest_flask_stream.transcript import counted

from .connection import Connections
from .facts import WireFacts
from .request import wire_request
from .served import Served
from .waiting import UNNOTICED, Waiting
from .wire import WireExchange
from .wire_reader import BadWire, End, Frame

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LOOK_EVERY = 0.001
_NO_LENGTH = "leave Content-Length away where the length is not known before"


class LiveExchange(Waiting):
    """A request that was made to the app over a socket, and the response on that socket."""

    def __init__(self, app: Flask, tape: Tape, budget: Budget, connections: Connections) -> None:
        super().__init__(app, tape, budget, connections)
        self.body: Body = Body(tape.body.keep_bytes)
        """What arrived."""
        self.facts: WireFacts = WireFacts()
        """How it arrived."""

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
                self._wait_for_close(UNNOTICED)
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
