"""Watches inside the app: the view's iterable, template events, contexts, teardown.

Everything is seen from where Flask lets anybody look: its signals, ``after_this_request``, and the
public ``jinja2.Template.generate``. The receivers are connected, and the method is wrapped, while
a client is open; the last one that closes takes them off again.

A :class:`Probe` belongs to one request. It travels in the environ, so that requests which the app
makes while it answers are never taken for the one that is watched; a context variable of the
stream's Context tells which request a template event or the end of an app context belongs to.

What a view hands over is wrapped so that its items can be counted before any ``after_request``
function sees them. The wrapper looks like what it wraps, asks it for nothing that was not asked
for, and nothing here holds on to it: an iterable that the app loses is lost as it would be
without us. So are a request and its ``g``, which are referred to weakly.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, ContextVar
from types import FrameType, GeneratorType
from typing import Any

import flask
from flask import Flask, Response
from jinja2 import Template
from werkzeug.wrappers import Response as WerkzeugResponse
from werkzeug.wsgi import ClosingIterator

from .context import flask_variables
from .frames import (
    Place,
    is_user_frame,
    iter_outward_in_app,
    reading_place,
)
from .tape import BLANK, EarlyRead, Tape, Teardown

ENVIRON_KEY = "pytest_flask_stream.probe"
current_probe: ContextVar[Probe] = ContextVar("pytest_flask_stream.current_probe")


class Probe:
    """What is known inside the app of one watched request."""

    def __init__(self, app: Flask, tape: Tape) -> None:
        self.app: Flask = app
        self.tape = tape
        self._begun = False
        self._request: Callable[[], object] = _nothing
        self._request_context: Callable[[], object] = _nothing
        self._g: Callable[[], object] = _nothing

    def begin(self, app: Flask) -> None:
        """Watch the request that an app has just begun; the first one only."""
        if self._begun:
            return
        self._begun = True
        self.app = app  # another one than the client's where a layer has mounted several
        self._request = _weakly(_unwrapped(flask.request))
        self._g = _weakly(_unwrapped(flask.g))
        self._request_context = _weakly(flask_variables().request.get(None))
        self.tape.endpoint = endpoint = flask.request.endpoint
        self.tape.view_function = app.view_functions.get(endpoint or "")
        flask.after_this_request(self._watch_view)

    def flags(self, request_context: object, app_context: object) -> tuple[bool, bool]:
        """Tell whether this request's context, and one of this app, is what is active."""
        request = request_context is not None and (
            request_context is self._request_context() or self.owns(_request_of(request_context))
        )
        return request, getattr(app_context, "app", None) is self.app

    def is_active_in(self, context: Context) -> bool:
        """Tell whether this request's context is pushed in a Context."""
        pushed = context.get(flask_variables().request)
        return pushed is not None and pushed is self._request_context()

    def owns_current_request(self) -> bool:
        """Tell whether no other request than this one is active."""
        return not flask.has_request_context() or self.owns(_unwrapped(flask.request))

    def owns_current_g(self) -> bool:
        """Tell whether the app context that is active is this request's."""
        return flask.has_app_context() and _unwrapped(flask.g) is self._g()

    def owns(self, request: object) -> bool:
        """Tell whether a request is this one."""
        return request is not None and request is self._request()

    def note_teardown(self, kind: Any, error: BaseException | None) -> None:
        """Write down that teardown functions have run."""
        if type(error) is GeneratorExit:
            # The generator that the client has left is in its traceback, with all that it holds.
            # The app lets go of that now; so do we, and keep another one in its place.
            error = GeneratorExit()
        tape = self.tape
        tape.teardowns.append(Teardown(kind, tape.delivered, error))
        if tape.first_pull_produced is None:
            tape.torn_down_unread = True

    def watch_template(self, events: Iterator[str]) -> Iterator[str]:
        """Pass the events of a template on, counting them."""
        tape = self.tape
        tape.templates += 1
        tape.eventful = True
        for event in events:
            if event and not tape.template_events:
                tape.template_events = 1  # as `+= 1`, in half the time
            else:
                tape.template_events += 1 if event else BLANK
            yield event

    def _watch_view(self, response: Response) -> Response:
        # This is the first of the functions that run after the view. It runs once more, with
        # an error page, where a later one fails: what counts is what is answered in the end.
        tape = self.tape
        # Template events of the view's own (a page joined to one string) are in no chunk.
        tape.forget_events()
        tape.early = tape.exhausted_at = tape.generator_unfinished = None
        body = response.response
        tape.body_type = type(body).__name__
        tape.passthrough = response.direct_passthrough
        tape.streamed = not (response.is_sequence or _is_error_page(response))
        if tape.streamed:
            tape.produced = 0
            tape.closable = hasattr(body, "close")
            tape.generator_unfinished = _unfinished(body) if inspect.isgenerator(body) else None
            tape.teardown_functions = [
                self.app.teardown_request_funcs,
                {None: self.app.teardown_appcontext_funcs},
            ]
            response.response = watched(body, self)
        else:
            tape.produced = len(body) if isinstance(body, (list, tuple)) else 1
            tape.before_request = [
                function
                for name in (None, *flask.request.blueprints)
                for function in self.app.before_request_funcs.get(name, ())
            ]
        return response


def _nothing() -> None:
    return None


def _weakly(thing: object) -> Callable[[], object]:
    """Refer to something without holding it: what the app lets go of is gone, as without us."""
    try:
        return weakref.ref(thing)
    except TypeError:  # a user's class that has no room for that
        return lambda: thing


def _unwrapped(proxy: Any) -> object:
    return proxy._get_current_object()  # documented by Flask and Werkzeug


def _request_of(context: object) -> object:
    try:
        return getattr(context, "request", None)
    except RuntimeError:  # Flask 3.2: an app context without a request
        return None


def _is_error_page(response: Response) -> bool:
    # Flask runs an HTTPException as a WSGI application of its own, so its page is an iterator.
    # The page is complete all the same: it has declared its length.
    return (
        isinstance(response.response, ClosingIterator)
        and response.status_code >= 300
        and "Content-Length" in response.headers
    )


def _unfinished(generator: GeneratorType[Any, Any, Any]) -> Callable[[], bool]:
    lost = weakref.ref(generator)

    def unfinished() -> bool:
        left = lost()
        return left is not None and inspect.getgeneratorstate(left) != inspect.GEN_CLOSED

    return unfinished


# What a view hands over


def watched(body: Iterable[Any], probe: Probe) -> Iterable[Any]:
    """Wrap an iterable so that its items are counted; the wrapper looks like what it wraps."""
    iterator = hasattr(type(body), "__next__")
    base: type[_WatchedIterable] = _WatchedIterator if iterator else _WatchedIterable
    if hasattr(type(body), "__len__"):
        base = type(base.__name__, (base,), {"__len__": _forwarded_len})
    return base(body, probe)


def _forwarded_len(wrapper: _WatchedIterable) -> int:
    return len(wrapper._watched)  # type: ignore[arg-type]


class _WatchedIterable:
    """Counts what an iterable gives, for the tape of a probe."""

    def __init__(self, watched: Iterable[Any], probe: Probe) -> None:
        self._watched = watched
        self._probe = probe

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._watched)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._watched, name)
        return self._close if name == "close" else value

    def _close(self, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        self._probe.tape.view_closed = True
        return self._watched.close(*args, **kwargs)  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[Any]:
        return self._counted(iter(self._watched))

    def _counted(self, items: Iterator[Any]) -> Iterator[Any]:
        __tracebackhide__ = True
        probe = self._probe
        tape = probe.tape
        for item in items:
            if tape.spare == 1:
                tape.spare = 0  # as `-= 1`, in half the time
            else:
                tape.spare -= 1
                if tape.spare < 0 and tape.early is None:
                    _note_early(probe, inspect.currentframe())
            yield item
        if tape.exhausted_at is None:
            tape.exhausted_at = tape.delivered


class _WatchedIterator(_WatchedIterable):
    """The same for an iterator: it gives its next item when it is asked."""

    _watched: Iterator[Any]

    def __iter__(self) -> Iterator[Any]:
        # A generator is read by one that counts, which is faster. Any other iterator may be
        # asked for more than items (a file that is to seek), so it stays what it looks like.
        return self._counted(self._watched) if inspect.isgenerator(self._watched) else self

    def __next__(self) -> Any:
        __tracebackhide__ = True
        probe = self._probe
        tape = probe.tape
        try:
            item = next(self._watched)
        except StopIteration:
            if tape.exhausted_at is None:
                tape.exhausted_at = tape.delivered
            raise
        tape.spare -= 1
        if tape.spare < 0 and tape.early is None:
            _note_early(probe, inspect.currentframe())
        return item


def _note_early(probe: Probe, frame: FrameType | None) -> None:
    """Write down who reads more than the chunks that were asked for."""
    tape = probe.tape
    # In the pull of chunk n as many as n + 1 items are allowed.
    pulling = tape.asked > 0
    place = reading_place(frame)
    reader = _reader(probe.app, frame, place, pulling=pulling)
    tape.early = EarlyRead(reader, place, tape.delivered, pulling)


def _reader(app: Flask, frame: FrameType | None, place: Place | None, *, pulling: bool) -> str:
    if place is None:
        return "something outside the app's own code"
    after_request = {
        getattr(inspect.unwrap(function), "__code__", None): function
        for functions in app.after_request_funcs.values()
        for function in functions
    }
    inside_flask = met_user = False
    for outer in iter_outward_in_app(frame):
        function = after_request.get(outer.f_code)
        if function is not None:
            return f"after_request function {getattr(function, '__name__', place.function)}"
        met_user = met_user or is_user_frame(outer)
        # Once Flask has returned, what is inside it is asked for its items by the response.
        is_response = pulling and _is_of_response(outer)
        if outer.f_code is Flask.wsgi_app.__code__ or (met_user and is_response):
            inside_flask = True
    return place.function if inside_flask else f"WSGI layer {place.function}"


def _is_of_response(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") == WerkzeugResponse.__module__


# The receivers, and the one method that is wrapped


class Watch:
    """Connects the receivers while at least one client is open."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the collector may close a dropped client meanwhile
        self._clients = 0
        self._generate: Callable[..., Iterator[str]] | None = None

    def acquire(self) -> None:
        """Begin to watch; to be called once for each client."""
        with self._lock:
            self._clients += 1
            if self._clients == 1:
                for signal, receiver in _RECEIVERS:
                    signal.connect(receiver, weak=False)  # they live on; a weak one takes longer
                self._generate = Template.generate
                Template.generate = _watching(Template.generate)  # type: ignore[method-assign]

    def release(self) -> None:
        """Stop watching, if this was the last client."""
        with self._lock:
            self._clients -= 1
            if self._clients == 0:
                for signal, receiver in _RECEIVERS:
                    signal.disconnect(receiver)
                if self._generate is not None:
                    Template.generate = self._generate  # type: ignore[method-assign]


watch: Watch = Watch()
"""One for the process, as the signals and the class that it watches are."""


def _on_appcontext_pushed(_sender: Flask, **_: object) -> None:
    # Where none was active, no request's context becomes active without one of the app.
    probe = current_probe.get(None)
    if probe is not None:
        probe.tape.eventful = probe.tape.news = True


def _on_appcontext_popped(_sender: Flask, **_: object) -> None:
    probe = current_probe.get(None)
    if probe is not None:
        probe.tape.news = True


def _on_request_started(sender: Flask, **_: object) -> None:
    probe = flask.request.environ.get(ENVIRON_KEY)
    if isinstance(probe, Probe):
        probe.begin(sender)


def _on_request_tearing_down(_sender: Flask, exc: BaseException | None = None, **_: object) -> None:
    request = flask.request
    probe = request.environ.get(ENVIRON_KEY)
    if isinstance(probe, Probe) and probe.owns(_unwrapped(request)):
        probe.note_teardown("request", exc)


def _on_appcontext_tearing_down(
    _sender: Flask, exc: BaseException | None = None, **_: object
) -> None:
    probe = current_probe.get(None)
    if probe is not None and probe.owns_current_g():
        probe.note_teardown("app", exc)


_RECEIVERS: tuple[tuple[Any, Callable[..., None]], ...] = (
    (flask.appcontext_pushed, _on_appcontext_pushed),
    (flask.appcontext_popped, _on_appcontext_popped),
    (flask.request_started, _on_request_started),
    (flask.request_tearing_down, _on_request_tearing_down),
    (flask.appcontext_tearing_down, _on_appcontext_tearing_down),
)


def _watching(generate: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
    def watching_generate(self: Template, *args: Any, **kwargs: Any) -> Iterator[str]:
        events = generate(self, *args, **kwargs)
        probe = current_probe.get(None)
        if probe is None or not probe.owns_current_request():
            return events
        return probe.watch_template(events)

    watching_generate.__doc__ = generate.__doc__
    return watching_generate
