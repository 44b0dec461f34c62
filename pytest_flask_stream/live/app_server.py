"""One app on a server: which request is whose, and what nobody waited for.

A request is told by the port that it comes from: the client knows the port of its socket before it
sends anything, and every server puts it in the environ. So nothing is added to a request that the
app could see.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

from pytest_flask_stream.errors import StreamServerError
from pytest_flask_stream.settings import DEFAULTS
from pytest_flask_stream.tape import Tape
from pytest_flask_stream.transcript import counted

from .running import GRACE, SHORT_GRACE
from .served import Served
from .server import RunningServer, start_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class AppServer:
    """An app that answers on a server in this process, on 127.0.0.1 and a port of its own.

    ``host``, ``port`` and ``url`` say where. A request that none of this package's clients has
    made is answered too; what the app raises in one is raised by :meth:`stop`.
    """

    def __init__(self, app: Flask, name: str) -> None:
        self.app = app
        self.name = name
        self._expected: dict[int, Served] = {}
        self._strangers: list[Served] = []
        self._told_stuck: set[threading.Thread] = set()
        self._running: RunningServer = start_server(name, self._answer)

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return self._running.host

    @property
    def port(self) -> int:
        """The port that it listens on, picked by the system."""
        return self._running.port

    @property
    def url(self) -> str:
        """Its root, as in ``http://127.0.0.1:49152``."""
        return self._running.url

    def expect(self, port: int, served: Served) -> None:
        """Take the next request that comes from this port for this one."""
        self._expected[port] = served

    def expect_no_more(self, served: Served) -> None:
        """Do not wait any more for a request that has never come."""
        for port, expected in list(self._expected.items()):
            if expected is served:
                self._expected.pop(port, None)

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        port = int(environ.get("REMOTE_PORT") or 0)
        served = self._expected.pop(port, None) or self._stranger(environ)
        return served(environ, start_response)

    def _stranger(self, environ: WSGIEnvironment) -> Served:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        query = environ.get("QUERY_STRING", "")
        tape = Tape(environ["REQUEST_METHOD"], path, query, DEFAULTS["keep_bytes"])
        served = Served(self.app, tape)
        self._strangers.append(served)
        return served

    def known_to_be_stuck(self, thread: threading.Thread | None) -> None:
        """Do not tell of a stuck thread again: a test was told already."""
        if thread is not None:
            self._told_stuck.add(thread)

    def stop(self) -> None:
        """Stop the server, with all its threads and sockets; harmless when repeated.

        :raises StreamServerError: if the app does not come back from a request within a second.
        :raises Exception: what the app raised in a request that nobody waited for.
        """
        __tracebackhide__ = True
        for served in self._strangers:
            served.deserted = True
        # Who was told of a stuck thread need not wait for it once more.
        stuck = self._running.stop(SHORT_GRACE if self._told_stuck else GRACE)
        untold = [thread for thread in stuck if thread not in self._told_stuck]
        self._told_stuck.update(stuck)
        strangers, self._strangers = self._strangers, []
        raised = [served.error or served.closing_error for served in strangers]
        errors = [error for error in raised if error is not None]
        for served in strangers:
            served.forget()
        if errors:
            raise errors[0]
        if untold:
            raise _stuck_error(untold, strangers)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.app.name!r} on {self.name} at {self.url}>"


def _stuck_error(threads: list[threading.Thread], strangers: list[Served]) -> StreamServerError:
    where = counted(len(threads), "thread")
    lines = [f"the app still runs in {where} of the server, {GRACE:g} s after that was stopped"]
    for served in strangers:
        if served.thread in threads:
            lines.append(f"  stuck:   {served.tape.method} {served.tape.path}")
            lines += [f"           {place}" for place in served.whereabouts()[1]]
    return StreamServerError(
        "\n".join(lines), remedy="let the app notice that its client has left: yield now and then"
    )
