"""How long the test waits for a server, and what is left to do when a live stream has ended.

The app runs in a thread of the server, which nobody can interrupt: when the time is used up the
test goes on, and is told where that thread is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from time import perf_counter as clock
from typing import NoReturn

from flask import Flask

from pytest_flask_stream.budget import Budget
from pytest_flask_stream.debugging import debugging
from pytest_flask_stream.errors import StreamClosed, StreamTimeout
from pytest_flask_stream.record import StreamRecord
from pytest_flask_stream.tape import State, Tape

from .connection import Connections
from .running import GRACE, SHORT_GRACE
from .served import Served
from .wire import WireExchange

UNNOTICED = "a generator that does not yield does not notice that its client has left"


class Waiting:
    """The time of a live stream, and its end."""

    def __init__(self, app: Flask, tape: Tape, budget: Budget, connections: Connections) -> None:
        self.tape = tape
        self.budget = budget
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

    def context_left(self) -> str | None:
        """Name the Flask context that the app has left where it ran, if one is."""
        return self._served.context_left()

    def call_on_close(self, function: Callable[[], object]) -> None:
        """Call a function when the stream was closed."""
        self._on_close.append(function)

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
        elif note == UNNOTICED:
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

    def _nothing_more(self) -> bytes:
        __tracebackhide__ = True
        if self.tape.state == "closed":
            raise StreamClosed("the client has disconnected", self.record)
        if self.tape.state == "timeout":
            raise StreamClosed("the stream ended in a timeout", self.record)
        raise StopIteration
