"""Werkzeug's threaded server, in threads that can be joined, and silent.

The socket is bound and listening before Werkzeug sees it. Left to Werkzeug, its host name would be
asked of the DNS, and an error would be printed and end the process.

``make_server()`` gives no say in the server's class, and the class is everybody's; what has to
differ is put on the one server it makes. Each of these is a method that ``socketserver`` or
Werkzeug documents as one to override.
"""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

from .running import BACKLOG, HOST, RunningServer, log

if TYPE_CHECKING:  # there is no such module at run time
    from _typeshed.wsgi import WSGIApplication

_POLL_INTERVAL = 0.01  # s; a stop takes as long


class WerkzeugServer(RunningServer):
    """Werkzeug's server with a thread for each connection, which has one request."""

    name = "werkzeug"

    def __init__(self, application: WSGIApplication) -> None:
        with socket.create_server((HOST, 0), backlog=BACKLOG) as listener:
            super().__init__(listener.getsockname()[1])
            self._server = make_server(
                self.host,
                self.port,
                application,
                threaded=True,
                request_handler=_Handler,
                fd=listener.fileno(),  # it is duplicated
            )
        self._connections: set[socket.socket] = set()
        vars(self._server).update(
            process_request=self._process_request, handle_error=self._handle_error, log=_log
        )
        self._start()

    def _serve(self) -> None:
        self._server.serve_forever(_POLL_INTERVAL)

    def _hang_up(self) -> None:
        if self._loop.is_alive():
            self._server.shutdown()
        # Only shut down, not closed: the thread still has to see that, and to close what it serves.
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _end_loop(self) -> None:
        self._server.server_close()

    def _process_request(self, connection: socket.socket, address: Any) -> None:
        self._connections.add(connection)
        self._requests.start(partial(self._answer, connection, address))

    def _answer(self, connection: socket.socket, address: Any) -> None:
        try:
            self._server.finish_request(connection, address)
        finally:
            self._connections.discard(connection)
            self._server.shutdown_request(connection)

    def _handle_error(self, connection: socket.socket, address: Any) -> None:
        self._connections.discard(connection)
        log.exception("No thread for the connection from %s", address)


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # said here, as make_server() sets it on a class without it
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self.log("info", "%r %s %s", self.requestline, code, size)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - Werkzeug's
        _log(type, message, *args)


def _log(kind: str, message: str, *args: Any) -> None:
    log.log(logging.INFO if kind == "info" else logging.ERROR, message, *args)
