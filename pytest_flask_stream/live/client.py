"""The client of live mode: Flask's test client, whose requests go over a socket.

What a request holds is still left to the test client (cookies, sessions, redirects, the building
of an environ); so a test says the same things in process and over the wire.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Collection
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from flask import Flask
from flask.testing import FlaskClient

from pytest_flask_stream.budget import Budget
from pytest_flask_stream.client import OpenArguments, StreamClient
from pytest_flask_stream.errors import StreamServerError
from pytest_flask_stream.settings import StreamSettings
from pytest_flask_stream.tape import Tape

from .app_server import AppServer
from .connection import Connections
from .response import LiveStreamedResponse

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from typing_extensions import Unpack
    from werkzeug.test import EnvironBuilder
    from werkzeug.wrappers import Request

    from .exchange import LiveExchange

DEFAULT_SERVER = "werkzeug"


class LiveStreamClient(StreamClient):
    """Makes requests to a Flask app on a real server, over a real socket.

    It has the calls of :class:`StreamClient` and hands out a :class:`LiveStreamedResponse`. The
    server runs in this process, on 127.0.0.1 and a port that the system picks; it starts with the
    client and stops with it.

    :param app: A ``Flask``, or an existing ``FlaskClient``.
    :param server: ``"werkzeug"`` (its threaded server) or ``"waitress"``; or a running server, as
        the fixture ``stream_server`` gives it, which is left running.
    :raises StreamServerError: if no server can be started, or the extra ``live`` is missing.
    :raises ValueError: for ``isolate=False``: the app runs in a thread of the server, which has
        none of the test's context variables; and for an unknown server.

    .. versionadded:: 0.1
    """

    _misuse: type[Exception] = ValueError
    """What a setting that makes no sense here is refused with."""

    def __init__(
        self,
        app: Flask | FlaskClient,
        *,
        server: str | AppServer = DEFAULT_SERVER,
        **settings: Unpack[StreamSettings],
    ) -> None:
        __tracebackhide__ = True
        require_h11()
        refuse_sharing(settings, ValueError)
        super().__init__(app, **settings)
        self._owned_server: AppServer | None = None
        try:
            if isinstance(server, str):
                server = self._owned_server = AppServer(self.flask_client.application, server)
        except BaseException:
            super().close()
            raise
        self._connections = Connections(server)

    _response_class = LiveStreamedResponse

    def _set(self, **settings: Unpack[StreamSettings]) -> None:
        __tracebackhide__ = True
        refuse_sharing(settings, self._misuse)
        super()._set(**settings)

    def _exchange(
        self,
        tape: Tape,
        budget: Budget,
        without: Collection[ContextVar[Any]],  # noqa: ARG002 - of the test; none gets there
    ) -> LiveExchange:
        from .exchange import LiveExchange  # noqa: PLC0415 - needs the extra

        return LiveExchange(self.flask_client.application, tape, budget, self._connections)

    def close(self) -> None:
        """Close all streams and the server, then raise the first error; harmless when repeated.

        :raises StreamServerError: if the app does not come back from a request.
        """
        __tracebackhide__ = True
        if self._closed:
            return
        with contextlib.ExitStack() as at_the_end:
            if self._owned_server is not None:
                at_the_end.callback(self._owned_server.stop)
            at_the_end.callback(self._connections.close)
            super().close()

    if TYPE_CHECKING:  # the same, with the response that they give

        def __enter__(self) -> LiveStreamClient: ...

        def open(
            self,
            path: str | EnvironBuilder | WSGIEnvironment | Request = "/",
            *args: Any,
            **kwargs: Unpack[OpenArguments],
        ) -> LiveStreamedResponse: ...

        def get(
            self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
        ) -> LiveStreamedResponse: ...

        def post(
            self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
        ) -> LiveStreamedResponse: ...

        def put(
            self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
        ) -> LiveStreamedResponse: ...

        def patch(
            self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
        ) -> LiveStreamedResponse: ...

        def delete(
            self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
        ) -> LiveStreamedResponse: ...

        def head(
            self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
        ) -> LiveStreamedResponse: ...

        def options(
            self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
        ) -> LiveStreamedResponse: ...

        def trace(
            self, path: str = "/", *args: Any, **kwargs: Unpack[OpenArguments]
        ) -> LiveStreamedResponse: ...


def require_h11() -> None:
    """Raise where what reads the wire is not installed."""
    __tracebackhide__ = True
    if importlib.util.find_spec("h11") is None:
        raise StreamServerError(
            "live mode reads the wire with h11, which is not installed",
            remedy="pip install 'pytest-flask-stream[live]'",
        )


def refuse_sharing(settings: StreamSettings, misuse: type[Exception]) -> None:
    """Raise where a stream is to see the test's context variables."""
    __tracebackhide__ = True
    if settings.get("isolate") is False:
        raise misuse(
            "isolate=False makes no sense in live mode: the app runs in a thread of its server,"
            " which has none of the test's context variables\n"
            "  remedy:  leave it away, or run this test in process"
        )
