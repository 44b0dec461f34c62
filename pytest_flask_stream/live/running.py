"""What every server has in common: how it is stopped, and how its threads are kept account of.

A server has one thread that accepts connections, its loop, and one for each request. The loop never
runs a line of the app, so it ends when it is told to. A thread of a request runs the app, and
the app may be stuck: nobody can end such a thread, but it can be named, and as a daemon it does
not keep the process alive.

A server is stopped in this order. It accepts no more; every connection is shut down, which wakes a
thread that reads or writes; the threads of the requests get their grace; then the loop ends.
"""

from __future__ import annotations

import logging
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import monotonic
from typing import ClassVar

HOST = "127.0.0.1"
BACKLOG = 1024  # connections that wait to be accepted
GRACE = 1.0  # s; for the app's threads to notice that everybody has left
SHORT_GRACE = 0.1  # s; where a test was told of a stuck thread already, or was interrupted
LOOP_GRACE = 5.0  # s; a loop takes milliseconds, but the app may be holding the interpreter

log: logging.Logger = logging.getLogger("pytest_flask_stream.live")
"""Where servers write: requests at INFO, errors at ERROR. Where nobody listens, nothing shows."""
log.addHandler(logging.NullHandler())


class RequestThreads:
    """A thread for each request, all of them known until they are gone."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, target: Callable[[], object]) -> None:
        """Call ``target`` in a thread of its own; what it raises is logged."""
        thread = threading.Thread(
            target=_run_and_log, args=(target,), name=f"{self._name} request", daemon=True
        )
        # One that ends stays here for a while: it is alive for a moment after its last line.
        with self._lock:
            self._threads = [known for known in self._threads if known.is_alive()]
            thread.start()
            self._threads.append(thread)

    def join(self, deadline: float) -> None:
        """Wait until all have ended, those too that one of them starts, or until ``deadline``."""
        while (alive := self.alive()) and (left := deadline - monotonic()) > 0:
            alive[0].join(left)

    def alive(self) -> list[threading.Thread]:
        """Give those that have not ended."""
        with self._lock:
            return [thread for thread in self._threads if thread.is_alive()]


def _run_and_log(target: Callable[[], object]) -> None:
    try:
        target()
    except BaseException:  # left to Python, it would be printed, or be another test's warning
        log.exception("An error in a thread of the server")


class RunningServer(ABC):
    """A real HTTP/1.1 server that runs an application in threads of this process.

    It listens on ``host`` and ``port``, which make ``url``; ``name`` is the one that
    :func:`~pytest_flask_stream.live.server.start_server` was given.
    """

    name: ClassVar[str]
    host: str = HOST
    port: int

    def __init__(self, port: int) -> None:
        self.port = port
        self._pid = os.getpid()
        self._stopping = threading.RLock()
        title = f"pytest-flask-stream {self.name} :{port}"
        self._requests = RequestThreads(title)
        self._loop = threading.Thread(
            target=_run_and_log, args=(self._serve,), name=title, daemon=True
        )

    @property
    def url(self) -> str:
        """Where the server is, without a slash at the end: ``http://127.0.0.1:49152``."""
        return f"http://{self.host}:{self.port}"

    def stop(self, grace: float) -> list[threading.Thread]:
        """End the server: accept no more, shut every connection down, join all threads.

        The app gets ``grace`` seconds in all to notice. Returns the threads that are still alive
        then, because they are stuck in the app; they are daemons. May be called again, after
        an interrupted call too, and from any thread that is not the server's own; in a forked
        child it does nothing, as the server is the parent's.
        """
        if os.getpid() != self._pid:
            return []
        deadline = monotonic() + grace
        with self._stopping:
            self._hang_up()
            self._requests.join(deadline)
            self._end_loop()
            if self._loop.ident is not None:
                self._loop.join(LOOP_GRACE)
        return [*self._requests.alive(), *([self._loop] if self._loop.is_alive() else [])]

    def __repr__(self) -> str:
        state = "running" if self._loop.is_alive() else "stopped"
        requests = len(self._requests.alive())
        return f"<{type(self).__name__} {self.url} {state}, requests={requests}>"

    def _start(self) -> None:
        """Start the loop; if that cannot be, leave nothing behind."""
        try:
            self._loop.start()
        except BaseException:
            self.stop(0)
            raise

    @abstractmethod
    def _serve(self) -> None:
        """Accept connections until told to end; runs in the loop's thread."""

    @abstractmethod
    def _hang_up(self) -> None:
        """Accept no more, and shut all connections down."""

    @abstractmethod
    def _end_loop(self) -> None:
        """Let the loop end; no request is being served any more, unless it is stuck."""
