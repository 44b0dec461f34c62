"""One request to the app in this process: we are the server.

The app is called, its iterable is pulled, and it is closed, all in one private Context. The loop
that pulls is a generator which runs *inside* that Context: asked for one chunk it is entered once
for that chunk, asked for many it stays inside. There is one loop for both, because it is what a
test spends its time in; it writes every fact down with one store where nothing has changed.

An :class:`Exchange` never points at the response that a test holds. The open ones are held in a
set of this module: a stream that was dropped half-read would otherwise be finished by the garbage
collector in whatever context is current then, and Flask's contexts would be popped there.
"""

from __future__ import annotations

import gc
import traceback
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextvars import Context, ContextVar
from functools import partial
from itertools import chain, islice
from time import perf_counter as clock
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from flask import Flask

from .context import flask_variables, stream_context
from .deadline import Budget, Interrupted, watchdog
from .errors import StreamClosed, StreamError, StreamTimeout
from .first_pull import FirstPull
from .frames import Place
from .probes import ENVIRON_KEY, Probe, current_probe
from .record import StreamRecord
from .tape import Body, State, Tape

if TYPE_CHECKING:  # there is no such module at run time
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
)
HeaderList: TypeAlias = list[tuple[str, str]]

T = TypeVar("T")

_LOOK_EVERY = 0.001
_NOTHING: Any = object()

_open_exchanges: set[Exchange] = set()


class Exchange:
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
        self.tape = tape
        self.budget = budget
        self.record: StreamRecord = StreamRecord(tape)
        self.probe: Probe = Probe(app, tape)
        self.context: Context = stream_context(isolate=isolate, without=without)
        self._brought = [self.context.get(variable) for variable in flask_variables()]
        self.context.run(current_probe.set, self.probe)
        self.body: Body = tape.body
        """What arrived; in process that is what the app handed over."""
        self.next_chunk: Callable[[], bytes] = self._not_open
        """Give the next chunk, or raise what ended the stream."""

        self._headers: HeaderList = []
        self._written: list[bytes] = []
        self._iterable: Iterable[bytes] | None = ()
        self._iterator: Iterator[bytes] = iter(())
        self._loop: Iterator[bytes] = iter(())
        self._starting: FirstPull | None = None
        self._abandoned = False
        self._stayed_since = 0.0
        self._traceback: TracebackType | None = None
        self._on_close: list[Callable[[], object]] = []

    # Opening

    def open(self, application: WSGIApplication, environ: WSGIEnvironment) -> None:
        """Call the app, and pull as far as it takes it to call ``start_response``."""
        __tracebackhide__ = True
        environ[ENVIRON_KEY] = self.probe
        # Flask would push the stream's contexts in the test, for a client that is in a `with`.
        environ.pop("werkzeug.debug.preserve_context", None)
        watchdog.watch(self.budget)
        _open_exchanges.add(self)
        try:
            with self.budget.spending():
                self.tape.began = clock()
                self.context.run(self._call, application, environ)
        except BaseException as error:
            self._fail_to_open(error)
            raise
        if not self.tape.streamed:
            self._collect_lost_contexts()
        if self.budget.overdrawn:
            self._give_up("opening")
        loop = self._pulling()
        self.budget.frame = getattr(loop, "gi_frame", None)
        self._loop = loop
        self.next_chunk = partial(self.context.run, loop.__next__)

    def _call(self, application: WSGIApplication, environ: WSGIEnvironment) -> None:
        __tracebackhide__ = True
        self._iterable = application(environ, self._start_response)
        if not hasattr(self._iterable, "__iter__"):
            raise TypeError(
                f"the app returned {self._iterable!r:.80}, no iterable of bytes (PEP 3333)\n"
                "  remedy:  return the iterable that the wrapped application gave, or a list"
            )
        self._iterator = iter(self._iterable)
        if self.tape.status is None:
            self._pull_until_started()

    def _pull_until_started(self) -> None:
        """Pull a layer that calls ``start_response`` only when it is iterated (PEP 3333)."""
        __tracebackhide__ = True
        tape, first = self.tape, list[bytes]()
        tape.first_pull_produced = tape.produced
        tape.allowed = 1
        for chunk in self._iterator:
            first.append(chunk)
            tape.allowed += 1
            if tape.status is not None:
                self._iterator = chain(first, self._iterator)
                return
            if chunk:
                break
        if tape.status is None:
            raise StreamError(
                f"the app gave {'a chunk' if first else 'its body'} without having called"
                " start_response: no server can send it (PEP 3333)\n"
                "  remedy:  call start_response(status, headers) in every branch of the"
                " WSGI layer, before the first chunk is yielded",
                self.record,
            )
        self._iterator = iter(first)

    def _start_response(
        self, status: str, headers: HeaderList, exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        tape = self.tape
        if exc_info is not None and exc_info[1] is not None and tape.delivered:
            # The headers are sent: PEP 3333 has the server raise the error that was to be told.
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and tape.status is not None:
            raise StreamError(
                f"the app called start_response twice: {tape.status!r}, then {status!r}; a server"
                " refuses the second one (PEP 3333)\n"
                "  remedy:  call it once, or pass exc_info where an error page replaces a response"
                " that has not begun",
                self.record,
            )
        tape.status = status
        self._headers = list(headers)
        tape.headers.clear()
        tape.headers.extend(headers)
        return self._written.append

    @property
    def header_list(self) -> HeaderList:
        """The headers as the app gave them."""
        return self._headers

    def _fail_to_open(self, error: BaseException) -> None:
        """The app raised instead of answering: close what there is, and say why if it was us."""
        __tracebackhide__ = True
        self._traceback = error.__traceback__
        if self._out_of_time(error):
            self._give_up("opening", error=error)
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
        self.context.run(_clear_frames, self._traceback)
        self._traceback = None
        self._collect_lost_contexts()

    # Pulling

    def pull(self, count: int) -> None:
        """Pull at most ``count`` chunks, without handing them to anybody."""
        __tracebackhide__ = True
        if self.tape.state == "open" and count:
            self._stay(deque, islice(self._loop, count), 0)

    def take(self, count: int) -> list[bytes]:
        """Pull at most ``count`` chunks."""
        __tracebackhide__ = True
        if self.tape.state == "open" and count:
            return self._stay(list, islice(self._loop, count))
        return [self.next_chunk()] if count and self.tape.state in ("closed", "timeout") else []

    def _stay(self, consume: Callable[..., T], *args: Any) -> T:
        """Pull many chunks without leaving the Context in between."""
        __tracebackhide__ = True
        self._ready()
        if self.busy:
            return self.context.run(consume, *args)  # refused: somebody else is in there
        self._stayed_since = clock()
        try:
            return self.context.run(consume, *args)
        finally:
            self._stayed_since = 0.0

    @property
    def timeout(self) -> float | None:
        """Seconds that the app may keep the test waiting, or ``None``."""
        return self.budget.timeout

    def set_timeout(self, timeout: float | None) -> None:
        """Change the timeout, also of a pull that has begun."""
        self.budget.set_timeout(timeout)
        if self.tape.state == "open":
            watchdog.watch(self.budget)

    @property
    def busy(self) -> bool:
        """Whether the app is producing a chunk at this moment."""
        return getattr(self._loop, "gi_running", False)

    # One flat loop: a call for each of its steps would cost more than what they do.
    def _pulling(self) -> Generator[bytes, None, None]:  # noqa: C901, PLR0912, PLR0915
        """Pull the app's iterable, write down what is seen, and close at the end."""
        __tracebackhide__ = True
        tape, budget, probe, body = self.tape, self.budget, self.probe, self.body
        request_of = flask_variables().request.get
        app_of = flask_variables().app.get
        at, waited, kept = tape.at, tape.waited, body.kept
        written = self._written
        pull = self._iterator.__next__
        if tape.first_pull_produced is None:
            tape.first_pull_produced = tape.produced
        tape.events.note(0, 0)
        tape.pieces.note(0, 0)
        request_seen = app_seen = lead = _NOTHING
        room, used = body.room, budget.used
        delivered = 0
        now = 0.0
        while True:
            try:
                tape.allowed = delivered + 1
                stayed_since = self._stayed_since
                if stayed_since:  # many are asked for at once: this pull begins where one ended
                    budget.begun = now if now > stayed_since else stayed_since
                else:
                    budget.begun = clock()
                chunk = pull()
                now = clock()
                took = now - budget.begun
                budget.begun = 0.0
                if written:
                    pull, chunk = self._interleave(chunk)
            except StopIteration:
                budget.settle()
                if written:
                    pull = iter([*written]).__next__
                    written.clear()
                    continue
                break
            except BaseException as error:
                budget.settle()
                self._fail(error)
                raise
            budget.used = used = used + took
            if type(chunk) is not bytes and not isinstance(chunk, bytes):
                raise self._refused(chunk)
            at.append(now)
            waited.append(took)
            if tape.produced - delivered != lead:
                lead = tape.produced - delivered
                tape.lead.note(delivered, lead)
            request, app = request_of(None), app_of(None)
            if request is not request_seen or app is not app_seen:
                request_seen, app_seen = request, app
                tape.contexts.note(delivered, probe.flags(request, app))
            if tape.templates:
                tape.note_events(delivered)
            room -= len(chunk)
            if room >= 0:
                kept.append(chunk)
            else:
                body.lose(len(chunk))
            delivered += 1
            if used > budget.limit:
                if budget.overdrawn:
                    self._give_up("pull")
                used = budget.used
            yield chunk
        if budget.overdrawn:
            self._give_up("pull")
        self._end()

    def _interleave(self, chunk: bytes) -> tuple[Callable[[], bytes], bytes]:
        """Put what the app wrote with ``write()`` before the chunk that it gave then."""
        first, *others = [*self._written, chunk]
        self._written.clear()
        return chain(others, self._iterator).__next__, first

    def _refused(self, chunk: object) -> TypeError:
        """Make the error for something that is no bytes; a server would end the response here."""
        __tracebackhide__ = True
        tape = self.tape
        view = f" of view {tape.view.function} ({tape.view})" if tape.view is not None else ""
        error = TypeError(
            f"chunk {tape.delivered} is {chunk!r:.80}, of type {type(chunk).__name__}: a server"
            " takes bytes only (PEP 3333)\n"
            f"  remedy:  yield str or bytes from the iterable{view}"
        )
        self._fail(error)
        return error

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
            self._starting = FirstPull(self._iterator, self.context)
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
        self._abandon("pull", first, "start(until=…) never became true")

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
        self._iterator = first.replay(self._iterator, self.budget)
        self.next_chunk = partial(self.context.run, self._loop.__next__)
        return first

    def _abandon(self, activity: str, first: FirstPull, note: str | None = None) -> None:
        """Give up on a thread: it closes the app's iterable if it ever comes back."""
        __tracebackhide__ = True
        place = first.place()
        if first.close_afterwards(self._close_iterable):
            first.join(None)  # it was just leaving
        else:
            self._abandoned = True
            thread = "a pull begun by start() runs in a thread and cannot be interrupted"
            note = thread if note is None else f"{note}; {thread}"
        self._give_up(activity, stuck=place, note=note)

    # Ending

    def context_left(self) -> str | None:
        """Name the Flask context that the stream has left in its Context, if one is."""
        left = [self.context.get(variable) for variable in flask_variables()]
        for kind, value, brought in zip(("request", "app"), left, self._brought, strict=True):
            if value is not None and value is not brought:
                return kind
        return None

    def call_on_close(self, function: Callable[[], object]) -> None:
        """Call a function when the stream was closed."""
        self._on_close.append(function)

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

    def _end(self) -> None:
        """The app's iterable is read out: close at once, as a server does."""
        __tracebackhide__ = True
        error = self._finish("exhausted", None)
        if self._out_of_time(error):
            self._time_out("closing", error)
        if error is not None:
            raise error

    def _fail(self, error: BaseException) -> None:
        """The app raised in a pull: close, and say why if it was us who interrupted it."""
        __tracebackhide__ = True
        if self._out_of_time(error):
            self._give_up("pull", error=error)
        self._finish("failed", error)

    def _out_of_time(self, error: BaseException | None) -> bool:
        if isinstance(error, Interrupted):  # of a stream, that is, which the app is read for
            return error.budget is self.budget
        return self.budget.overdrawn

    def _give_up(
        self,
        activity: str,
        *,
        stuck: Place | None = None,
        note: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """The timeout is used up: close, with as much time once more, and raise."""
        __tracebackhide__ = True
        waited = self.budget.used
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
                self._enter(self._close_iterable)
        except BaseException as raised:
            closing_error = raised
        tape = self.tape
        tape.state = "failed" if closing_error is not None and state == "exhausted" else state
        tape.error = error if error is not None else closing_error
        watchdog.unwatch(self.budget)
        _open_exchanges.discard(self)
        self.budget.frame = None
        self.next_chunk = self._nothing_more
        if not self.busy:
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

    def _close_iterable(self) -> None:
        __tracebackhide__ = True
        iterable, self._iterable = self._iterable, None
        self._iterator = iter(())
        try:
            close = getattr(iterable, "close", None)
            if close is not None:
                close()
        finally:
            for function in self._on_close:
                function()

    def _drop_loop(self) -> None:
        # What the loop still holds is finished here, in the Context that it belongs to.
        loop, self._loop = self._loop, iter(())
        close = getattr(loop, "close", None)
        if close is not None:
            close()

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


def _clear_frames(raised: TracebackType | None) -> None:
    traceback.clear_frames(raised)
    for frame, _ in traceback.walk_tb(raised):
        # Up to Python 3.12 who has asked for the locals (pytest does, of a test that fails) has
        # made a copy of them, in the frame, which only forgets them when it is asked for again.
        _locals = frame.f_locals
