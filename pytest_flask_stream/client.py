"""Flask's test client, opened lazily.

Everything that a test client does (cookies, sessions, redirects, building an environ) is left to
the client that the app makes, or that the suite has. One method of it is stood in for while our
client is open, the one in which Werkzeug calls the app; :mod:`.lazy` does that.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from inspect import isfunction
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, TypedDict, cast

from flask import Flask
from flask.sessions import SessionMixin
from flask.testing import FlaskClient
from werkzeug.datastructures import Authorization, Headers
from werkzeug.test import Cookie, EnvironBuilder, TestResponse
from werkzeug.wrappers import Request

from .budget import Budget
from .deadline import watchdog
from .errors import StreamClosed
from .exchange import Exchange
from .lazy import Hop, LazyRun, Opening
from .opened import opened_in_test
from .probes import watch
from .settings import DEFAULTS, StreamSettings, check
from .stream import StreamedResponse
from .tape import Tape

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from typing_extensions import Unpack

_SHOWN_CHUNKS = 3
_PACKAGE = __name__.partition(".")[0]


class OpenArguments(TypedDict, total=False):
    """What Flask's test client takes, as keywords."""

    base_url: str | None
    subdomain: str | None
    url_scheme: str | None
    query_string: Mapping[str, Any] | str | None
    method: str
    input_stream: IO[bytes] | None
    content_type: str | None
    content_length: int | None
    errors_stream: IO[str] | None
    multithread: bool
    multiprocess: bool
    run_once: bool
    headers: Headers | Iterable[tuple[str, str]] | Mapping[str, Any] | None
    data: IO[bytes] | str | bytes | Mapping[str, Any] | None
    environ_base: Mapping[str, Any] | None
    environ_overrides: Mapping[str, Any] | None
    mimetype: str | None
    json: Any
    auth: Authorization | tuple[str, str] | None
    follow_redirects: bool


class StreamClient:
    """Makes requests to a Flask app and hands out their responses unread.

    ``app`` is a :class:`flask.Flask`, or a :class:`flask.testing.FlaskClient` that exists already,
    whose cookies, session and defaults are shared then. The settings are keywords and attributes;
    they are read when a stream is opened. As a context manager it closes itself.

    :raises TypeError: for an ``app`` that is neither, an unknown setting or one of a wrong type.
    :raises ValueError: for a setting out of range.

    .. versionadded:: 0.1
    """

    flask_client: FlaskClient
    """The app's own client, which makes the requests."""

    _closed = True  # until there is something to close
    _response_class: type[StreamedResponse] = StreamedResponse

    def __init__(self, app: Flask | FlaskClient, **settings: Unpack[StreamSettings]) -> None:
        __tracebackhide__ = True
        self._settings = cast("StreamSettings", {**DEFAULTS, **check(settings)})
        self.flask_client = _flask_client(app)
        self._streams: list[StreamedResponse] = []
        # A thread that the test has started does not know of the test; its client does.
        self._opened_in_test = opened_in_test.get([])
        self._failed: list[Hop] = []
        self._shown_chunks: int | None = _SHOWN_CHUNKS
        LazyRun.put_on(self.flask_client)
        watch.acquire()
        self._closed = False

    # Settings

    @property
    def timeout(self) -> float | None:
        """Seconds that the app may keep the test waiting on one stream; ``None``: no limit."""
        return self._settings["timeout"]

    @timeout.setter
    def timeout(self, timeout: float | None) -> None:
        __tracebackhide__ = True
        self._set(timeout=timeout)

    @property
    def max_chunks(self) -> int:
        """How many chunks a call that reads to the end puts up with."""
        return self._settings["max_chunks"]

    @max_chunks.setter
    def max_chunks(self, max_chunks: int) -> None:
        __tracebackhide__ = True
        self._set(max_chunks=max_chunks)

    @property
    def keep_bytes(self) -> int:
        """How many bytes of a body are kept."""
        return self._settings["keep_bytes"]

    @keep_bytes.setter
    def keep_bytes(self, keep_bytes: int) -> None:
        __tracebackhide__ = True
        self._set(keep_bytes=keep_bytes)

    @property
    def isolate(self) -> bool:
        """Whether a stream is kept from seeing Flask's contexts of the test."""
        return self._settings["isolate"]

    @isolate.setter
    def isolate(self, isolate: bool) -> None:
        __tracebackhide__ = True
        self._set(isolate=isolate)

    def _set(self, **settings: Unpack[StreamSettings]) -> None:
        __tracebackhide__ = True
        self._settings.update(check(settings))

    def __setattr__(self, name: str, value: object) -> None:
        __tracebackhide__ = True
        # A misspelt setting would be lost without a word. A subclass may have what it wants.
        known = name.startswith("_") or name == "flask_client" or hasattr(type(self), name)
        if not known and type(self).__module__.partition(".")[0] == _PACKAGE:
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}; the settings are"
                f" {', '.join(DEFAULTS)}",
                name=name,
                obj=self,
            )
        super().__setattr__(name, value)

    # Requests

    def open(
        self,
        path: str | EnvironBuilder | WSGIEnvironment | Request = "/",
        *args: Any,
        **kwargs: Unpack[OpenArguments],
    ) -> StreamedResponse:
        """Make a request; nothing of its body is produced.

        Takes what :meth:`flask.testing.FlaskClient.open` takes, but ``buffered``. When it
        returns, the view has run and the status is known.

        :raises StreamTimeout: if the app does not answer within ``timeout``.
        :raises StreamClosed: if this client is closed.
        """
        __tracebackhide__ = True
        return self._open("open", path, *args, **kwargs)

    def get(self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]) -> StreamedResponse:
        """Make a ``GET`` request; see :meth:`open`."""
        __tracebackhide__ = True
        return self._open("get", path, *args, **kwargs)

    def post(
        self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
    ) -> StreamedResponse:
        """Make a ``POST`` request; see :meth:`open`."""
        __tracebackhide__ = True
        return self._open("post", path, *args, **kwargs)

    def put(self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]) -> StreamedResponse:
        """Make a ``PUT`` request; see :meth:`open`."""
        __tracebackhide__ = True
        return self._open("put", path, *args, **kwargs)

    def patch(
        self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
    ) -> StreamedResponse:
        """Make a ``PATCH`` request; see :meth:`open`."""
        __tracebackhide__ = True
        return self._open("patch", path, *args, **kwargs)

    def delete(
        self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
    ) -> StreamedResponse:
        """Make a ``DELETE`` request; see :meth:`open`."""
        __tracebackhide__ = True
        return self._open("delete", path, *args, **kwargs)

    def head(
        self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
    ) -> StreamedResponse:
        """Make a ``HEAD`` request; see :meth:`open`."""
        __tracebackhide__ = True
        return self._open("head", path, *args, **kwargs)

    def options(
        self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
    ) -> StreamedResponse:
        """Make an ``OPTIONS`` request; see :meth:`open`."""
        __tracebackhide__ = True
        return self._open("options", path, *args, **kwargs)

    def trace(
        self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
    ) -> StreamedResponse:
        """Make a ``TRACE`` request; see :meth:`open`."""
        __tracebackhide__ = True
        return self._open("trace", path, *args, **kwargs)

    def _open(self, verb: str, /, *args: Any, **kwargs: Any) -> StreamedResponse:
        __tracebackhide__ = True
        if "buffered" in kwargs:
            raise TypeError(
                "a stream is never buffered: leave buffered away, and use read() for the whole body"
            )
        if self._closed:
            raise StreamClosed("the client is closed")
        opening = Opening(self.flask_client, self._settings, self._exchange)
        try:
            response = opening.request(getattr(self.flask_client, verb), *args, **kwargs)
        finally:
            self._failed += opening.failed
            for hop in opening.hops[-1:]:
                opened_in_test.get(self._opened_in_test).append(hop.record)
        return self._opened(opening, response)

    def _exchange(self, tape: Tape, budget: Budget, without: Collection[ContextVar[Any]]) -> Hop:
        """Make what asks the app, for one request."""
        return Exchange(
            self.flask_client.application, tape, budget, isolate=self.isolate, without=without
        )

    def _opened(self, opening: Opening, response: TestResponse) -> StreamedResponse:
        __tracebackhide__ = True
        if not opening.hops:
            raise TypeError(
                f"{type(self.flask_client).__name__} answered without asking the app, so there is"
                " no stream to read\n"
                "  remedy:  have its open() call super().open()"
            )
        exchange = opening.hops[-1]
        # Werkzeug closes what was sent with the request when the response is closed.
        exchange.call_on_close(response.close)
        stream = self._response_class(
            exchange,
            response,
            loads=self.flask_client.application.json.loads,
            max_chunks=self.max_chunks,
            shown_chunks=self._shown_chunks,
        )
        exchange.tape.on_new_head = weakref.ref(stream)
        stream._client = self  # a dropped client closes its streams: not while a test holds one
        self._streams.append(stream)
        return stream

    @property
    def streams(self) -> list[StreamedResponse]:
        """All streams that were opened, oldest first (a copy)."""
        return list(self._streams)

    # What is passed on

    def session_transaction(
        self, *args: Any, **kwargs: Any
    ) -> AbstractContextManager[SessionMixin]:
        """Open the session for a ``with`` block, as Flask's client does."""
        return self.flask_client.session_transaction(*args, **kwargs)

    def get_cookie(self, key: str, domain: str = "localhost", path: str = "/") -> Cookie | None:
        """Give a cookie, as Flask's client does."""
        return self.flask_client.get_cookie(key, domain, path)

    def set_cookie(self, key: str, value: str = "", **kwargs: Any) -> None:
        """Set a cookie, as Flask's client does."""
        self.flask_client.set_cookie(key, value, **kwargs)

    def delete_cookie(self, key: str, **kwargs: Any) -> None:
        """Delete a cookie, as Flask's client does."""
        self.flask_client.delete_cookie(key, **kwargs)

    # Ending

    def close(self) -> None:
        """Close all streams, then raise the first error; harmless when repeated."""
        __tracebackhide__ = True
        if self._closed:
            return
        self._closed = True
        errors: list[BaseException] = []
        for stream in self._streams:
            try:
                stream.close()
            except BaseException as error:
                errors.append(error)
        for exchange in self._failed:
            exchange.forget()
        LazyRun.take_off(self.flask_client)
        watch.release()
        watchdog.tidy()
        if errors:
            raise errors[0]

    def __del__(self) -> None:
        # Dropped without close(): nothing may stay connected or stood in for.
        self.close()

    def __enter__(self) -> StreamClient:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        self.close()

    def __repr__(self) -> str:
        count = len(self._streams)
        streams = "1 stream" if count == 1 else f"{count} streams"
        return f"<{type(self).__name__} {self.flask_client.application.name!r}: {streams} opened>"


def _flask_client(app: object) -> FlaskClient:
    __tracebackhide__ = True
    application = flask_app(app)
    return app if isinstance(app, FlaskClient) else application.test_client()


def flask_app(app: object) -> Flask:
    """Give the app that a client is made for.

    :raises TypeError: for what is neither an app nor a client of one.
    """
    __tracebackhide__ = True
    application = app.application if isinstance(app, FlaskClient) else app
    if isinstance(application, Flask):
        return application
    raise TypeError(
        "app must be a flask.Flask or a client made by app.test_client(), not"
        f" {_what_it_is(application)}"
    )


def _what_it_is(no_app: object) -> str:
    if no_app is None:
        return "None; does the fixture 'app' return it, or yield it?"
    factory = " call it, if it makes the app;" if isfunction(no_app) else ""
    return (
        f"{no_app!r:.80} of type {type(no_app).__name__};{factory} a WSGI layer is put around the"
        " app with app.wsgi_app = Layer(app.wsgi_app)"
    )
