"""Start a real server by its name. Nothing here knows of pytest, or of what is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_flask_stream.errors import StreamServerError

from .running import RunningServer

if TYPE_CHECKING:  # there is no such module at run time
    from _typeshed.wsgi import WSGIApplication

__all__ = ["SERVERS", "RunningServer", "start_server"]

SERVERS: tuple[str, ...] = ("werkzeug", "waitress")
"""The names of the servers that can be started."""


def start_server(name: str, application: WSGIApplication) -> RunningServer:
    """Serve ``application`` on 127.0.0.1 and a port that the system picks.

    The port takes connections when this returns. ``name`` is one of :data:`SERVERS`, else it is
    a :class:`ValueError`; :class:`~pytest_flask_stream.StreamServerError` is raised where the
    server is not installed or cannot listen.
    """
    if name not in SERVERS:
        raise ValueError(f"unknown server {name!r}; it is one of {', '.join(map(repr, SERVERS))}")
    try:
        return _server_class(name)(application)
    except ImportError as error:
        raise StreamServerError(
            f"no server could be started: {name} is not installed",
            server=name,
            remedy=f"pip install 'pytest-flask-stream[{name}]', or use the server 'werkzeug'",
        ) from error
    except (OSError, RuntimeError, SystemExit) as error:  # RuntimeError: no more threads
        raise StreamServerError(
            f"no server could be started: {name}: {error}",
            server=name,
            remedy="see that this process may listen on 127.0.0.1, and has files and threads left",
        ) from error


def _server_class(name: str) -> Callable[[WSGIApplication], RunningServer]:
    if name == "werkzeug":
        from .werkzeug_server import WerkzeugServer  # noqa: PLC0415 - costs its import

        return WerkzeugServer
    from .waitress_server import WaitressServer  # noqa: PLC0415 - as above

    return WaitressServer
