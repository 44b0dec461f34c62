"""The first pull of a stream, begun in a thread: for generators that subscribe on it.

The thread enters the stream's Context, and nothing else can be in there until it comes back. What
it got, a chunk, the end or an error, is replayed to the loop that pulls the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextvars import Context
from itertools import islice
from time import perf_counter as clock

from .budget import Budget
from .frames import Place, nearest_user_place, stack_of_thread


class FirstPull:
    """The first pull of a stream, in a thread of its own."""

    def __init__(self, iterator: Iterator[bytes], context: Context) -> None:
        self._error: BaseException | None = None
        self._chunks: list[bytes] = []
        self._lock = threading.Lock()
        self._done = False
        self._afterwards: Callable[[], None] | None = None
        self.took: float = 0.0
        self._thread = threading.Thread(
            target=context.run,
            args=(self._pull, iterator),
            name="pytest-flask-stream first pull",
            daemon=True,  # a generator that never comes back must not keep the process alive
        )
        self._thread.start()

    def _pull(self, iterator: Iterator[bytes]) -> None:
        begun = clock()
        try:
            self._chunks.extend(islice(iterator, 1))
        except BaseException as error:
            self._error = error
        self.took = clock() - begun
        with self._lock:
            self._done = True
        if self._afterwards is not None:
            self._afterwards()

    @property
    def failed(self) -> bool:
        """Whether the app has raised."""
        return self._done and self._error is not None

    def wait(self, seconds: float) -> None:
        """Wait a moment: for the end of the pull, or, after that, just as long."""
        if self._thread.is_alive():
            self._thread.join(seconds)
        else:
            time.sleep(seconds)

    def join(self, seconds: float | None) -> bool:
        """Wait for the thread to end, and tell whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def close_afterwards(self, close: Callable[[], None]) -> bool:
        """Have the thread close the app's iterable, unless it has come back: tell whether so."""
        with self._lock:
            if not self._done:
                self._afterwards = close
            return self._done

    def place(self) -> Place | None:
        """The user's line that the thread is in."""
        ident = self._thread.ident
        return None if ident is None else nearest_user_place(stack_of_thread(ident))

    def replay(self, rest: Iterator[bytes], budget: Budget) -> Iterator[bytes]:
        """Give what the thread got, as if pulled only now, then what is left."""
        __tracebackhide__ = True
        budget.begun -= self.took
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._chunks:
            yield from self._chunks
            yield from rest
