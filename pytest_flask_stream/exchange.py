"""One request to the app in this process: we are the server.

The app is called, its iterable is pulled, and it is closed, all in one private Context, within the
time that there is. What a server says and hears is in :mod:`.gateway`, the loops that pull are in
:mod:`.pulling`, and how a stream ends is in :mod:`.closing`; here is when the app runs.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection
from contextvars import ContextVar
from functools import partial
from time import perf_counter as clock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from flask import Flask

from .body import Body
from .budget import Budget
from .closing import Closing
from .context import stream_context
from .deadline import watchdog
from .errors import NEVER_TRUE, StreamError
from .first_pull import FirstPull
from .frames import clear_frames
from .probes import ENVIRON_KEY
from .tape import Tape

if TYPE_CHECKING:  # there is no such module at run time
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_LOOK_EVERY = 0.001


class Exchange(Closing):
    """A request that was made to the app, and the iterable that the app answered with."""

    def __init__(
        self,
        app: Flask,
        tape: Tape,
        budget: Budget,
        *,
        isolate: bool,
        without: Collection[ContextVar[Any]],
    ) -> None:
        super().__init__(app, tape, budget, stream_context(isolate=isolate, without=without))
        self.body: Body = tape.body
        """What arrived; in process that is what the app handed over."""
        self._starting: FirstPull | None = None
        self._traceback: TracebackType | None = None

    # Opening

    def open(self, application: WSGIApplication, environ: WSGIEnvironment) -> None:
        """Call the app, and pull as far as it takes it to call ``start_response``."""
        __tracebackhide__ = True
        environ[ENVIRON_KEY] = self.probe
        # Flask would push the stream's contexts in the test, for a client that is in a `with`.
        environ.pop("werkzeug.debug.preserve_context", None)
        self._hold()
        try:
            with self.budget.spending():
                self.tape.began = clock()
                self.context.run(self.gateway.call, application, environ)
        except BaseException as error:
            self._fail_to_open(error)
            raise
        if not self.tape.streamed:
            self._collect_lost_contexts()
        if self.budget.overdrawn:
            self.give_up("opening")
        self.next_chunk: Callable[[], bytes] = self._pull_one_by_one

    def _fail_to_open(self, error: BaseException) -> None:
        """The app raised instead of answering: close what there is, and say why if it was us."""
        __tracebackhide__ = True
        self._traceback = error.__traceback__
        if self._out_of_time(error):
            self.give_up("opening", error=error)
        self._finish("failed", error)

    def _collect_lost_contexts(self) -> None:
        """Have the collector look in here for a request context that nobody will pop.

        Up to Flask 3.1.1 a view that raises after it has called ``stream_with_context`` leaves
        one, in a started generator. Where Flask answers with an error page, only the collector
        can reach that generator, and it would finish it in the test's context.
        """
        if self.probe.is_active_in(self.context):
            self._enter(gc.collect)

    def forget(self) -> None:
        """Let go of the traceback of an app that raised, in the Context that it belongs to.

        Up to Flask 3.1.1 a view that raises after it has called ``stream_with_context`` leaves
        a started generator there, with the request's context pushed.
        """
        self.context.run(clear_frames, self._traceback)
        self._traceback = None
        self._collect_lost_contexts()

    @property
    def header_list(self) -> list[tuple[str, str]]:
        """The headers as the app gave them."""
        return self.gateway.headers

    # Pulling

    def _pull_one_by_one(self) -> bytes:
        """Enter the loop for single chunks: made for the first of them, as many need none."""
        __tracebackhide__ = True
        loop = self._loop
        if loop is None:
            loop = self._loop = self._pulling.one_by_one()
            self.budget.frame = getattr(loop, "gi_frame", None)
            self.next_chunk = partial(self.context.run, loop.send, None)
        return self.next_chunk()

    def pull(self, count: int) -> None:
        """Pull at most ``count`` chunks, without handing them to anybody."""
        __tracebackhide__ = True
        if self.tape.state == "open" and count:
            self._pull_many(count, None)

    def take(self, count: int) -> list[bytes]:
        """Pull at most ``count`` chunks."""
        __tracebackhide__ = True
        if self.tape.state == "open" and count:
            kept, unkept = self.body.kept, list[bytes]()
            before = len(kept)
            self._pull_many(count, unkept)
            return kept[before:] + unkept
        return [self.next_chunk()] if count and self.tape.state in ("closed", "timeout") else []

    def _pull_many(self, count: int, unkept: list[bytes] | None) -> None:
        __tracebackhide__ = True
        if count == 1 or self._starting is not None:  # a pull that has begun already is one alone
            self._pull_one(unkept)
            count -= 1
        if count and self.tape.state == "open":
            self.context.run(self._stay, count, unkept)
            if self.tape.state == "open":
                self.next_chunk = self._pull_one_by_one

    def _pull_one(self, unkept: list[bytes] | None) -> None:
        __tracebackhide__ = True
        try:
            chunk = self.next_chunk()
        except StopIteration:
            return
        if unkept is not None and not self.body.complete:
            unkept.append(chunk)

    def _stay(self, count: int, unkept: list[bytes] | None) -> None:
        __tracebackhide__ = True
        self._drop_loop()
        self._pulling.many(count, unkept)

    @property
    def timeout(self) -> float | None:
        """Seconds that the app may keep the test waiting, or ``None``."""
        return self.budget.timeout

    def set_timeout(self, timeout: float | None) -> None:
        """Change the timeout, also of a pull that has begun."""
        self.budget.set_timeout(timeout)
        if self.tape.state == "open":
            watchdog.watch(self.budget)

    # Starting in a thread

    def start(self, until: Callable[[], bool] | None) -> None:
        """Begin the first pull in a thread; wait for ``until`` where it is given."""
        __tracebackhide__ = True
        if self._starting is None:
            if self.tape.delivered or self.tape.state != "open":
                raise ValueError(
                    f"start() begins the first pull, and this stream is {self.tape.state} after"
                    f" {self.tape.delivered} chunks: call it before anything is read"
                )
            self.tape.allowed = 1
            self.tape.first_pull_produced = self.tape.produced
            self._starting = FirstPull(self.gateway.chunks, self.context)
            self.next_chunk = self._next_started
        if until is not None:
            self._wait_until(until, self._starting)

    def _wait_until(self, until: Callable[[], bool], first: FirstPull) -> None:
        __tracebackhide__ = True
        with self.budget.spending(interruptible=False):
            while not until():
                left = self._still_left()
                if first.failed or (left is not None and left <= 0):
                    break
                first.wait(_LOOK_EVERY)  # nobody tells when a condition becomes true
            else:
                return
        if first.failed:
            self.next_chunk()  # raises what the app raised
        self._starting = None
        self._abandon("pull", first, NEVER_TRUE)

    def _still_left(self) -> float | None:
        budget = self.budget
        if not budget.timeout:
            return None
        return budget.timeout - budget.used - (clock() - budget.begun)

    def _next_started(self) -> bytes:
        __tracebackhide__ = True
        self._ready()
        return self.next_chunk()

    def _ready(self) -> None:
        """Wait for a pull that was begun in a thread: its Context can be entered only then."""
        __tracebackhide__ = True
        first = self._join_first_pull("pull")
        if first is not None:
            # How long the pull took is a fact of its chunk; the test has waited for less of it.
            self.budget.used -= first.took

    def _join_first_pull(self, activity: str) -> FirstPull | None:
        __tracebackhide__ = True
        first, self._starting = self._starting, None
        if first is None:
            return None
        with self.budget.spending(interruptible=False):
            ended = first.join(self.budget.left)
        if not ended:
            self._abandon(activity, first)
        self.gateway.chunks = first.replay(self.gateway.chunks, self.budget)
        self.next_chunk = self._pull_one_by_one
        return first

    def _abandon(self, activity: str, first: FirstPull, note: str | None = None) -> None:
        """Give up on a thread: it closes the app's iterable if it ever comes back."""
        __tracebackhide__ = True
        place = first.place()
        if first.close_afterwards(self.gateway.close):
            first.join(None)  # it was just leaving
        else:
            self._abandoned = True
            thread = "a pull begun by start() runs in a thread and cannot be interrupted"
            note = thread if note is None else f"{note}; {thread}"
        self.give_up(activity, stuck=place, note=note)

    # Ending

    def close(self) -> None:
        """Close the app's iterable, as a server does whose client has left."""
        __tracebackhide__ = True
        if self.tape.state != "open":
            return
        if self.busy:
            raise StreamError(
                "the stream cannot be closed while a chunk of it is being produced: another"
                " thread is reading it, or its own generator is closing it\n"
                "  remedy:  close it from where it is read",
                self.record,
            )
        first = self._join_first_pull("closing")
        if first is not None and first.failed:
            self.next_chunk()  # raises what the app raised before the client left
        error = self._finish("closed", None)
        if self._out_of_time(error):
            self._time_out("closing", error)
        if error is not None:
            raise error
