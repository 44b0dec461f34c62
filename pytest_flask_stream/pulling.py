"""The two loops that pull: one chunk at a time, and many in one go.

A test spends its time in here, so each loop is flat, and a chunk costs it no call that it could do
without: what has not changed since the last chunk is looked at and not written down. Both loops
run *inside* the stream's Context. The one for single chunks is a generator, entered once for each
chunk, and reads the clock on either side of a pull, because the test's own time does not count.
The one for many chunks stays inside: there a pull begins where the last one ended, and one look at
the clock serves both.

Most streams are a plain generator: no context is active, each chunk is one item, no template is
streamed. As long as that is so, two small values tell: ``tape.spare`` is 0 after each chunk, and
``tape.eventful`` is false, which whatever makes more of a stream sets.

The same few lines stand in both loops: to share them would take a call for each chunk.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from itertools import islice, repeat
from time import perf_counter as clock
from typing import Any, NoReturn, Protocol

from .columns import BLOCK
from .context import flask_variables
from .deadline import Budget
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
        request_variable, app_variable = flask_variables()
        request_of, app_of = request_variable.get, app_variable.get
        written, keep, waited = gateway.written, body.kept.append, tape.waited
        request_seen = app_seen = spare_seen = events_seen = _NOTHING
        pull, room = gateway.chunks.__next__, body.room
        self._ask()
        while True:
            note_time = tape.at.pack()
            note_wait = waited.pack(len(body))
            for _ in repeat(None, BLOCK):
                try:
                    budget.begun = clock()
                    chunk = pull()
                    now = clock()
                    took = now - budget.begun
                    budget.begun = 0.0
                except StopIteration:
                    budget.settle()
                    if not written:
                        return self._end()
                    gateway.put_written_first()
                    pull = gateway.chunks.__next__
                    continue
                except BaseException as error:
                    budget.settle()
                    self._ending.fail(error)
                    raise
                if tape.spare or tape.eventful:
                    if written:
                        gateway.put_written_first(chunk)
                        pull = gateway.chunks.__next__
                        chunk = pull()
                    if app_of(None) is not app_seen or request_of(None) is not request_seen:
                        request_seen, app_seen = request_of(None), app_of(None)
                        tape.contexts.note(len(body), self._probe.flags(request_seen, app_seen))
                    if tape.spare != spare_seen:
                        spare_seen = tape.spare
                        tape.lead.note(len(body), 1 - spare_seen)
                        tape.eventful = True
                    if tape.templates:
                        if tape.template_blanks or tape.template_events != events_seen:
                            events_seen = tape.note_events(len(body))
                        tape.template_events = 0
                    tape.spare += 1
                else:
                    tape.spare = 1  # for the next chunk
                budget.used = used = budget.used + took
                if type(chunk) is not bytes and not isinstance(chunk, bytes):
                    raise self._refused(chunk)
                note_time(now)
                note_wait(took)
                body.room = room = room - len(chunk)
                if room >= 0:
                    keep(chunk)
                else:
                    body.lose(len(chunk))
                if used > budget.limit and budget.overdrawn:
                    self._ending.give_up("pull")
                yield chunk

    def many(self, count: int, unkept: list[bytes] | None) -> None:
        """Pull at most ``count`` chunks in one go.

        :param unkept: Takes those of them that the body does not keep, where somebody wants them.
        """
        __tracebackhide__ = True
        budget, body = self._budget, self._tape.body
        self._ask()
        budget.thread = threading.get_ident()
        self._tape.waited.begin(len(body), budget.begin())
        self.in_one_go = True
        try:
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
        request_variable, app_variable = flask_variables()
        request_of, app_of = request_variable.get, app_variable.get
        written, keep, note_time = gateway.written, body.kept.append, tape.at.pack()
        request_seen = app_seen = spare_seen = events_seen = _NOTHING
        room, begun, wanted = body.room, budget.begun, len(body) + count
        try:
            for chunk in islice(gateway.chunks, count):
                now = clock()
                if tape.spare or tape.eventful:
                    if written:
                        gateway.put_written_first(chunk)
                        return False
                    if app_of(None) is not app_seen or request_of(None) is not request_seen:
                        request_seen, app_seen = request_of(None), app_of(None)
                        tape.contexts.note(len(body), self._probe.flags(request_seen, app_seen))
                    if tape.spare != spare_seen:
                        spare_seen = tape.spare
                        tape.lead.note(len(body), 1 - spare_seen)
                        tape.eventful = True
                    if tape.templates:
                        if tape.template_blanks or tape.template_events != events_seen:
                            events_seen = tape.note_events(len(body))
                        tape.template_events = 0
                    tape.spare += 1
                else:
                    tape.spare = 1  # for the next chunk
                if type(chunk) is not bytes and not isinstance(chunk, bytes):
                    raise self._refused(chunk)
                note_time(now)
                room -= len(chunk)
                if room >= 0:
                    keep(chunk)
                else:
                    body.lose(len(chunk))
                    if unkept is not None:
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

    def _ask(self) -> None:
        tape = self._tape
        if tape.first_pull_produced is None:
            tape.first_pull_produced = tape.produced
        if tape.asked != 1:
            tape.allowed = len(tape.body) + 1
        request_variable, app_variable = flask_variables()
        tape.eventful = (
            tape.templates > 0
            or tape.lead.last != 1
            or len(self._gateway.written) > 0
            or app_variable.get(None) is not None
            or request_variable.get(None) is not None
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

    def _end(self) -> None:
        __tracebackhide__ = True
        if self._budget.overdrawn:
            self._ending.give_up("pull")
        self._ending.end()

    def _refused(self, chunk: object) -> TypeError:
        """Make the error for something that is no bytes; a server would end the response here."""
        __tracebackhide__ = True
        self._tape.spare -= 1  # there is no next chunk
        error = not_bytes(self._tape, chunk)
        self._ending.fail(error)
        return error
