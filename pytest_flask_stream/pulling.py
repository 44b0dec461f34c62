"""The two loops that pull: one chunk at a time, and many in one go.

A test spends its time in here, so each loop is flat, and a chunk costs it no call that it could do
without: what has not changed since the last chunk is looked at and not written down. Both loops
run *inside* the stream's Context. The one for single chunks is a generator, entered once for each
chunk, and reads the clock on either side of a pull, because the test's own time does not count;
both are written down as they are, and what a pull took is worked out when somebody asks. The one
for many chunks stays inside: there a pull begins where the last one ended, and one look at the
clock serves both.

Most streams are a plain generator: no context is active, each chunk is one item, no template is
streamed. As long as that is so, two small values tell: ``tape.spare`` is 0 after each chunk, and
``tape.eventful`` is false, which whatever makes more of a stream sets. Where there is more to see,
``tape.news`` tells of what is rare: data was written, Flask has signalled that the app's context
changed, or there is one without the request's. Whether the request's changed is looked at each
time, for Flask signals that only where the app's changes with it.

The same few lines stand in both loops: to share them would take a call for each chunk.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from itertools import islice
from time import perf_counter as clock
from typing import Any, NoReturn, Protocol

from .budget import Budget
from .columns import BLOCK
from .context import flask_variables
from .gateway import Gateway
from .probes import Probe
from .refusals import not_bytes
from .tape import Tape

_NOTHING: Any = object()


class Ending(Protocol):
    """How a stream ends; each closes the app's iterable."""

    def end(self) -> None:
        """The app's iterable is read out."""

    def fail(self, error: BaseException) -> None:
        """The app has raised."""

    def give_up(self, activity: str) -> NoReturn:
        """The timeout is used up."""


class Pulling:
    """Pulls the app's iterable and writes down what is seen; says when it ends."""

    def __init__(
        self, gateway: Gateway, tape: Tape, budget: Budget, probe: Probe, ending: Ending
    ) -> None:
        self._gateway = gateway
        self._tape = tape
        self._budget = budget
        self._probe = probe
        self._ending = ending
        self.in_one_go: bool = False
        """Whether :meth:`many` is at work."""

    def one_by_one(self) -> Generator[bytes, None, None]:  # noqa: C901, PLR0912, PLR0915
        """Give chunk after chunk, each pulled when it is asked for."""
        __tracebackhide__ = True
        gateway, tape, budget, body = self._gateway, self._tape, self._budget, self._tape.body
        request_of, written = flask_variables().request.get, gateway.written
        request_seen = spare_seen = spare_next = events_seen = _NOTHING
        room, kept = body.room, body.kept
        try:
            self._ask()
            begun = budget.look()
            while True:
                ends, begins = tape.at.pack(), tape.waited.pack(len(body))
                budget.count(tape.waited, begins, ends)
                body.room = room
                small, room = body.small_among(BLOCK), body.room
                wanted = len(body) + BLOCK
                begins.append(begun)
                for chunk in islice(gateway.chunks, BLOCK):
                    now = clock()
                    if tape.eventful or tape.spare:
                        if tape.news or request_of(None) is not request_seen:
                            if written:
                                gateway.put_written_first(chunk)
                                break
                            request_seen = self._note_contexts(len(body))
                        spare = tape.spare
                        if spare != spare_seen:
                            spare_seen, spare_next = spare, spare + 1
                            tape.lead.note(len(body), 1 - spare)
                            tape.eventful = True
                        events = tape.template_events
                        if events != events_seen:
                            events_seen = events
                            tape.note_events(len(body), events)
                        tape.template_events = 0
                        tape.spare = spare_next
                    else:
                        tape.spare = 1  # for the next chunk
                    if type(chunk) is not bytes and not isinstance(chunk, bytes):
                        raise self._refused(chunk)  # noqa: TRY301
                    ends.append(now)
                    if len(chunk) <= small or (room := room - len(chunk)) >= 0:
                        kept.append(chunk)
                    else:
                        body.room = room
                        body.squeeze(chunk)
                        room, small = body.room, body.small
                    if now > budget.deadline:
                        self._look_at_budget()
                    yield chunk
                    begins.append(clock())
                else:
                    if len(body) < wanted:
                        if not written:
                            break
                        gateway.put_written_first()
                begun = begins.pop()
            budget.settle()
            self._end()
        except BaseException as error:
            # The app has raised, or a handler of a signal, which may do so in a line of ours. Where
            # this loop is thrown away, it is left with GeneratorExit, and the stream goes on.
            in_app = budget.settle() > 0.0
            if tape.state == "open" and (in_app or not isinstance(error, GeneratorExit)):
                self._ending.fail(error)
            raise
        finally:
            body.room = room

    def many(self, count: int, unkept: list[bytes] | None) -> None:
        """Pull at most ``count`` chunks in one go.

        :param unkept: Takes those of them that the body does not keep, where somebody wants them.
        """
        __tracebackhide__ = True
        budget, body = self._budget, self._tape.body
        try:
            self._ask()
            self.in_one_go = True
            budget.thread = threading.get_ident()
            self._tape.waited.begin(len(body), budget.begin())
            while count > 0:
                before = len(body)
                if self._pull_block(min(count, BLOCK), unkept):
                    break
                count -= len(body) - before
            else:
                return
            budget.settle()
            self._end()
        except BaseException as error:
            budget.settle()
            if self._tape.state == "open":
                self._ending.fail(error)
            raise
        finally:
            budget.settle()
            budget.thread = None
            self.in_one_go = False

    def _pull_block(self, count: int, unkept: list[bytes] | None) -> bool:  # noqa: C901, PLR0912
        """Pull at most ``count`` chunks, and tell whether the app's iterable is read out."""
        __tracebackhide__ = True
        gateway, tape, budget, body = self._gateway, self._tape, self._budget, self._tape.body
        request_of, written = flask_variables().request.get, gateway.written
        request_seen = spare_seen = spare_next = events_seen = _NOTHING
        ends, kept = tape.at.pack(), body.kept
        small, room = body.small_among(count), body.room
        begun, wanted = budget.begun, len(body) + count
        try:
            for chunk in islice(gateway.chunks, count):
                now = clock()
                if tape.eventful or tape.spare:
                    if tape.news or request_of(None) is not request_seen:
                        if written:
                            gateway.put_written_first(chunk)
                            return False
                        request_seen = self._note_contexts(len(body))
                    spare = tape.spare
                    if spare != spare_seen:
                        spare_seen, spare_next = spare, spare + 1
                        tape.lead.note(len(body), 1 - spare)
                        tape.eventful = True
                    events = tape.template_events
                    if events != events_seen:
                        events_seen = events
                        tape.note_events(len(body), events)
                    tape.template_events = 0
                    tape.spare = spare_next
                else:
                    tape.spare = 1  # for the next chunk
                if type(chunk) is not bytes and not isinstance(chunk, bytes):
                    raise self._refused(chunk)
                ends.append(now)
                if len(chunk) <= small or (room := room - len(chunk)) >= 0:
                    kept.append(chunk)
                else:
                    body.room = room
                    body.squeeze(chunk)
                    room, small = body.room, body.small
                    if room < 0 and unkept is not None:
                        unkept.append(chunk)
                if now > budget.deadline:
                    begun = self._look_at_clock(begun)
        finally:
            body.room = room
        if len(body) == wanted:
            return False
        if written:
            gateway.put_written_first()
            return False
        return True

    def _note_contexts(self, index: int) -> object:
        """Write down which contexts are active, and give the request's."""
        request, app = (variable.get(None) for variable in flask_variables())
        flags = self._probe.flags(request, app)
        # Flask does not signal that an app's context was popped where a teardown function raises.
        # The request's changes with it, as a rule; one that stands alone is looked at each time.
        self._tape.news = app is not None and flags != (True, True)
        self._tape.contexts.note(index, flags)
        return request

    def _ask(self) -> None:
        tape = self._tape
        if tape.first_pull_produced is None:
            tape.first_pull_produced = tape.produced
        if tape.asked != 1:
            tape.allowed = 1  # nothing was delivered yet: later on it is always one
        tape.eventful = bool(
            tape.templates
            or tape.lead.last != 1
            or self._gateway.written
            # The request's never comes without one of the app.
            or flask_variables().app.get(None) is not None
        )

    def _look_at_clock(self, begun: float) -> float:
        """Look whether there is time left, and give the clock from which on it counts now."""
        __tracebackhide__ = True
        tape, budget = self._tape, self._budget
        if budget.begun != begun:  # a debugger was entered, and time has stood still
            last = len(tape.body) - 1
            before = tape.at[last] - tape.waited[last]
            tape.waited.begin(last, before + budget.begun - begun)
        budget.settle()
        if budget.overdrawn:
            self._ending.give_up("pull")
        return budget.begin()

    def _look_at_budget(self) -> None:
        """The same between two pulls."""
        __tracebackhide__ = True
        budget = self._budget
        if budget.overdrawn:
            self._ending.give_up("pull")
        budget.look()

    def _end(self) -> None:
        __tracebackhide__ = True
        if self._budget.overdrawn:
            self._ending.give_up("pull")
        self._ending.end()

    def _refused(self, chunk: object) -> TypeError:
        """Make the error for something that is no bytes; a server would end the response here."""
        __tracebackhide__ = True
        self._budget.settle()
        self._tape.spare -= 1  # there is no next chunk
        error = not_bytes(self._tape, chunk)
        self._ending.fail(error)
        return error
