"""waitress with its loop in a thread, a thread for each request, and silent.

waitress has one loop that reads and writes all sockets, and a pool of threads for requests. Here

* each request gets a thread of its own from the loop, instead of one from a pool of a fixed size:
  none is started in vain, no stream waits for another to end, all of them can be joined;
* the loop is told to end by its *trigger*, a pipe that wakes it up to run a callable, so nobody
  waits for its next turn, which comes once in a second;
* what waitress logs goes to our logger, because its own prints where nobody has set it up.

All else is as waitress has it. So the app may be ahead of the client: waitress takes up to 16 MiB
of a response (``outbuf_high_watermark``) before it lets the app wait, and keeps what is more than
1 MiB of that in a file (``outbuf_overflow``). A request may have 1 GiB. The loop looks at a socket
for the client's leaving only while it has something to send on it.

waitress is optional and has no types of its own: what is used of it is written down here.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from .running import BACKLOG, HOST, LOOP_GRACE, RequestThreads, RunningServer, log

if TYPE_CHECKING:  # there is no such module at run time
    from _typeshed.wsgi import WSGIApplication

_CONNECTIONS = 1000  # its default of 100 would let the next one wait, and say so


class _Trigger(Protocol):
    def pull_trigger(self, thunk: Callable[[], object] | None = None) -> None: ...


class _Channel(Protocol):
    def handle_close(self) -> None: ...


class _Task(Protocol):
    close_when_flushed: bool
    server: _Server

    def service(self) -> None: ...


class _Dispatcher(Protocol):
    def add_task(self, task: _Task) -> None: ...
    def shutdown(self) -> bool: ...


class _Server(Protocol):
    accepting: bool
    active_channels: dict[int, _Channel]
    channel_class: Any
    logger: logging.Logger
    pull_trigger: Callable[[], object]
    task_dispatcher: _Dispatcher
    trigger: _Trigger

    def run(self) -> None: ...
    def close(self) -> None: ...


class WaitressServer(RunningServer):
    """waitress, which keeps a connection alive where the response has a length."""

    name = "waitress"

    def __init__(self, application: WSGIApplication) -> None:
        create_server = import_module("waitress").create_server
        listener = socket.create_server((HOST, 0), backlog=BACKLOG)
        super().__init__(listener.getsockname()[1])
        self._lock = threading.Lock()
        self._closed = False
        self._map: dict[int, object] = {}
        try:
            self._server: _Server = create_server(
                application,
                map=self._map,
                sockets=[listener],
                threads=0,
                connection_limit=_CONNECTIONS,
            )
        except BaseException:
            listener.close()
            raise
        self._server.logger = log
        self._server.channel_class = _with_our_log(self._server.channel_class)
        self._server.task_dispatcher = _ThreadPerRequest(self._requests)
        self._server.pull_trigger = self._pull_trigger
        self._start()

    def _serve(self) -> None:
        try:
            self._server.run()
        finally:
            self._close()

    def _hang_up(self) -> None:
        done = threading.Event()

        def in_the_loop() -> None:
            self._drop_connections()
            done.set()

        if self._loop.is_alive() and self._pull_trigger(in_the_loop):
            done.wait(LOOP_GRACE)

    def _end_loop(self) -> None:
        if self._loop.is_alive():
            self._pull_trigger(self._map.clear)  # the loop runs while there is something in it
        else:
            self._close()

    def _pull_trigger(self, thunk: Callable[[], object] | None = None) -> bool:
        # A thread that is late must not write to a pipe that is closed: the trigger knows the
        # number of the file only, and the number may be another file's by then.
        with self._lock:
            if not self._closed:
                self._server.trigger.pull_trigger(thunk)
            return not self._closed

    def _drop_connections(self) -> None:
        self._server.accepting = False
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()

    def _close(self) -> None:
        # Not in the lock: a thread that writes has the connection's lock when it pulls the trigger.
        self._drop_connections()
        with self._lock:
            self._closed = True
            self._server.close()


class _ThreadPerRequest:
    """What waitress hands the requests to; a task is all of a request and its response."""

    def __init__(self, threads: RequestThreads) -> None:
        self._threads = threads

    def add_task(self, task: _Task) -> None:
        self._threads.start(partial(_serve, task))

    def shutdown(self) -> bool:
        return True  # the threads end when their connections are closed


def _serve(task: _Task) -> None:
    try:
        task.service()
    except BaseException:
        # waitress expects an Exception; behind anything else the client would wait for ever.
        task.close_when_flushed = True
        task.server.pull_trigger()
        raise


def _with_our_log(channel_class: Any) -> Any:
    """Make a class of connections that log where we want, and log requests too."""
    task_class = channel_class.task_class

    def finish(self: Any) -> None:
        request = self.request
        if request.command == "HEAD":
            # Left to waitress, the final frame of a body would follow the head: bytes behind the
            # end of the response (RFC 9110, section 9.3.2).
            if not self.wrote_header:
                self.write(b"")
            self.chunked_response = False
        task_class.finish(self)
        line = f"{request.command} {request.path} HTTP/{request.version}"
        log.info("%r %s", line, self.status)

    task_class_with_log = type("Task", (task_class,), {"logger": log, "finish": finish})
    attributes = {"logger": log, "task_class": task_class_with_log}
    return type("Channel", (channel_class,), attributes)
