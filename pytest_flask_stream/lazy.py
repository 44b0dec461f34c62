"""The fence around the one internal of Werkzeug that this package leans on.

One method of a test client is stood in for while our client is open: ``run_wsgi_app``, the one
place where Werkzeug calls the app. Werkzeug always pulls a first chunk there, in the caller's
context. Ours calls the app in the stream's Context, keeps the iterable, and shows Werkzeug one that
is empty when it looks for a first chunk.

The tests of :mod:`.client` tell on every supported version when the method moves. Other ways broke:
swapping ``client.application`` mixed up threads and nested requests, and a copy of the client lost
what users' client classes keep on themselves.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from flask import Flask
from flask.testing import FlaskClient

from .budget import Budget
from .context import flask_variables
from .errors import EndlessStream
from .producer import Producer
from .settings import StreamSettings
from .tape import Tape

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Hop(Producer, Protocol):
    """One request to the app, in this process or over a socket."""

    @property
    def budget(self) -> Budget:
        """The time that the app may keep the test waiting."""

    @property
    def header_list(self) -> list[tuple[str, str]]:
        """The headers as the app gave them."""

    def open(self, application: Flask, environ: WSGIEnvironment) -> None:
        """Ask the app, and come back when it has called ``start_response``."""

    def call_on_close(self, function: Callable[[], object]) -> None:
        """Call a function when the stream was closed."""

    def forget(self) -> None:
        """Let go of the traceback of an app that raised."""


MakeHop: TypeAlias = Callable[[Tape, Budget, Collection[ContextVar[Any]]], Hop]
"""Makes one; the variables are those of the test that the app must not see."""


class Opening:
    """One call of a client: the requests that it takes, more than one where it is redirected."""

    def __init__(
        self, flask_client: FlaskClient, settings: StreamSettings, make_hop: MakeHop
    ) -> None:
        self.flask_client = flask_client
        self._settings = settings
        self._make_hop = make_hop
        self.hops: list[Hop] = []
        self.failed: list[Hop] = []
        """Those whose app raised instead of answering."""

    def request(self, ask: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client, and let the requests that it makes be ours."""
        __tracebackhide__ = True
        token = _opening.set(self)
        try:
            response = ask(*args, **kwargs)
            for hop in self.hops[:-1]:
                hop.close()  # a client class may have asked again without reading this
        except BaseException:
            self._abandon()
            raise
        finally:
            _opening.reset(token)
        return response

    def run(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Stand where Werkzeug calls the app: call it up to its start, and show an empty body."""
        __tracebackhide__ = True
        settings = self._settings
        tape = Tape(
            environ["REQUEST_METHOD"],
            environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"],
            environ.get("QUERY_STRING", ""),
            settings["keep_bytes"],
        )
        budget = self.hops[-1].budget if self.hops else Budget(settings["timeout"])
        tape.ambient = settings["isolate"] and _flask_context_is_pushed()
        exchange = self._make_hop(tape, budget, [_opening])
        self.hops.append(exchange)
        try:
            exchange.open(self.flask_client.application, environ)
        except BaseException:
            self.failed.append(exchange)
            raise
        start_response(tape.status or "", exchange.header_list)
        return _Unread(exchange, settings["max_chunks"])

    def _abandon(self) -> None:
        """Close what was answered: nobody gets it, for the client raised after that."""
        for hop in self.hops:
            with contextlib.suppress(Exception):  # what the client raised goes first
                hop.close()


class _Unread:
    """A body as Werkzeug sees it: empty when it looks for a first chunk, read when it is asked for.

    That is how it reads out a response that redirects, and how a client class reads the answers
    to requests of its own, such as one that fetches a token.
    """

    def __init__(self, exchange: Hop, max_chunks: int) -> None:
        self._exchange = exchange
        self._max_chunks = max_chunks
        self._looked_at = False

    def __iter__(self) -> _Unread:
        return self

    def __next__(self) -> bytes:
        """Give nothing the first time, then the body."""
        __tracebackhide__ = True
        exchange = self._exchange
        if not self._looked_at:
            self._looked_at = True
            raise StopIteration
        if exchange.tape.state == "open" and len(exchange.body) > self._max_chunks:
            raise EndlessStream(self._max_chunks, exchange.record)
        return exchange.next_chunk()


def _flask_context_is_pushed() -> bool:
    request, app = flask_variables()
    return request.get(None) is not None or app.get(None) is not None


_opening: ContextVar[Opening] = ContextVar("pytest_flask_stream.opening")
"""Which call is ours; it is no part of a stream's Context, so requests made by a view are not."""


class LazyRun:
    """Stands in for ``run_wsgi_app`` of one client, for the calls that are ours."""

    _lock = threading.RLock()  # the collector may close a dropped client while it is held

    def __init__(self, client: FlaskClient) -> None:
        self._client = client
        self._users = 0

    @classmethod
    def put_on(cls, client: FlaskClient) -> None:
        """Stand in on this client, for one more user of it."""
        with cls._lock:
            stand_in = vars(client).get("run_wsgi_app")
            if not isinstance(stand_in, cls):
                stand_in = cls(client)
            stand_in._users += 1
            client.run_wsgi_app = stand_in  # type: ignore[method-assign]

    @classmethod
    def take_off(cls, client: FlaskClient) -> None:
        """Leave this client as it was, if this was its last user."""
        with cls._lock:
            stand_in = vars(client).get("run_wsgi_app")
            if isinstance(stand_in, cls):
                stand_in._users -= 1
                if stand_in._users == 0:
                    del client.run_wsgi_app

    def __call__(
        self,
        environ: WSGIEnvironment,
        buffered: bool = False,  # noqa: FBT001, FBT002 - Werkzeug's
    ) -> Any:
        """Run the app as Werkzeug does, but for a call of ours up to its start only."""
        __tracebackhide__ = True
        client = self._client
        opening = _opening.get(None)
        if opening is None or opening.flask_client is not client:
            return type(client).run_wsgi_app(client, environ, buffered=buffered)
        seen = cast("FlaskClient", _SeenClient(client, opening.run))
        return type(client).run_wsgi_app(seen, environ, buffered=buffered)


class _SeenClient:
    """What ``run_wsgi_app`` sees: the client in everything but the application."""

    def __init__(self, client: FlaskClient, application: Callable[..., Iterable[bytes]]) -> None:
        object.__setattr__(self, "_client", client)
        object.__setattr__(self, "application", application)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # A client class that overrides the method calls super(), which asks for the class.
        return type(self._client)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_client"), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(object.__getattribute__(self, "_client"), name, value)
