"""How a stream in this process ends: what the app gave is closed, once, in the Context it ran in.

A stream ends because it is read out, because the app has raised, because its client has left or
because its time is used up; each of these closes it, and closing may raise and take too long.

The open ones are held in a set of this module, which never points at the response that a test
holds: a stream that was dropped half-read would otherwise be finished by the garbage collector in
whatever context is current then, and Flask's contexts would be popped there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextvars import Context
from typing import NoReturn

from flask import Flask

from .budget import Budget
from .context import flask_variables
from .deadline import Interrupted, watchdog
from .errors import StreamClosed, StreamTimeout
from .frames import Place
from .gateway import Gateway
from .probes import Probe, current_probe
from .pulling import Pulling
from .record import StreamRecord
from .tape import State, Tape

_open_streams: set[Closing] = set()


class Closing:
    """What runs in the Context of a stream, and how that is brought to its end."""

    def __init__(self, app: Flask, tape: Tape, budget: Budget, context: Context) -> None:
        self.tape = tape
        self.budget = budget
        self.context = context
        self.record: StreamRecord = StreamRecord(tape)
        self.probe: Probe = Probe(app, tape)
        request, app_context = flask_variables()
        self._brought = (context.get(request), context.get(app_context))
        context.run(current_probe.set, self.probe)
        self.next_chunk: Callable[[], bytes] = self._not_open
        """Give the next chunk, or raise what ended the stream."""

        self.gateway: Gateway = Gateway(tape, self.record)
        self._pulling = Pulling(self.gateway, tape, budget, self.probe, self)
        self._loop: Generator[bytes, None, None] | None = None
        self._abandoned = False

    def _hold(self) -> None:
        """Hold the stream, and watch its time, until it has ended."""
        watchdog.watch(self.budget)
        _open_streams.add(self)

    @property
    def busy(self) -> bool:
        """Whether the app is producing a chunk at this moment."""
        return self._pulling.in_one_go or getattr(self._loop, "gi_running", False)

    def context_left(self) -> str | None:
        """Name the Flask context that the stream has left in its Context, if one is."""
        left = [self.context.get(variable) for variable in flask_variables()]
        for kind, value, brought in zip(("request", "app"), left, self._brought, strict=True):
            if value is not None and value is not brought:
                return kind
        return None

    def call_on_close(self, function: Callable[[], object]) -> None:
        """Call a function when the stream was closed."""
        self.gateway.call_on_close(function)

    def end(self) -> None:
        """The app's iterable is read out: close at once, as a server does."""
        __tracebackhide__ = True
        error = self._finish("exhausted", None)
        if self._out_of_time(error):
            self._time_out("closing", error)
        if error is not None:
            raise error

    def fail(self, error: BaseException) -> None:
        """The app raised in a pull: close, and say why if it was us who interrupted it."""
        __tracebackhide__ = True
        if self._out_of_time(error):
            self.give_up("pull", error=error)
        self._finish("failed", error)

    def _out_of_time(self, error: BaseException | None) -> bool:
        if isinstance(error, Interrupted):  # of a stream, that is, which the app is read for
            return error.budget is self.budget
        return self.budget.overdrawn

    def give_up(
        self,
        activity: str,
        *,
        stuck: Place | None = None,
        note: str | None = None,
        error: BaseException | None = None,
    ) -> NoReturn:
        """The timeout is used up: close, with as much time once more, and raise."""
        __tracebackhide__ = True
        waited = self.budget.used
        watchdog.stop_tracing()
        self.budget.grant_again()
        self._finish("timeout", None)
        timeout = self._timeout(activity, waited, stuck=stuck, note=note)
        self.tape.error = timeout
        raise timeout from (None if isinstance(error, Interrupted) else error)

    def _time_out(self, activity: str, error: BaseException | None) -> None:
        __tracebackhide__ = True
        self.tape.state, self.tape.error = "timeout", None
        timeout = self.tape.error = self._timeout(activity, self.budget.used)
        raise timeout from (None if isinstance(error, Interrupted) else error)

    def _timeout(
        self,
        activity: str,
        waited: float,
        *,
        stuck: Place | None = None,
        note: str | None = None,
    ) -> StreamTimeout:
        budget = self.budget
        place = stuck if stuck is not None else budget.stuck
        if place is None and activity == "opening":
            place = self.tape.view
        return StreamTimeout(
            activity,
            budget.timeout or 0.0,
            waited,
            stuck=None if place is None else str(place),
            note=note,
            record=self.record,
        )

    def _finish(self, state: State, error: BaseException | None) -> BaseException | None:
        """Close the app's iterable, once, and give what that raised."""
        __tracebackhide__ = True
        closing_error = None
        try:
            with self.budget.spending():
                self._enter(self.gateway.close)
        except BaseException as raised:
            closing_error = raised
        tape = self.tape
        tape.state = "failed" if closing_error is not None and state == "exhausted" else state
        tape.error = error if error is not None else closing_error
        tape.closing_raised = error is None and closing_error is not None
        watchdog.unwatch(self.budget)
        _open_streams.discard(self)
        self.budget.frame = None
        self.next_chunk = self._nothing_more
        if self._loop is not None and not self.busy:
            self._enter(self._drop_loop)
        return closing_error

    def _enter(self, function: Callable[[], object]) -> None:
        """Run a function in the stream's Context, also where we are in there already."""
        __tracebackhide__ = True
        if self._abandoned:
            return
        if current_probe.get(None) is self.probe:
            function()
        else:
            self.context.run(function)

    def _drop_loop(self) -> None:
        # What the loop still holds is finished here, in the Context that it belongs to.
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.close()

    def _nothing_more(self) -> bytes:
        __tracebackhide__ = True
        state = self.tape.state
        if state == "closed":
            raise StreamClosed("the client has disconnected", self.record)
        if state == "timeout":
            raise StreamClosed("the stream ended in a timeout", self.record)
        raise StopIteration

    def _not_open(self) -> bytes:
        raise StreamClosed("the request was never answered", self.record)
