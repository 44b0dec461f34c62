"""Interrupts an app that keeps the test waiting too long.

A thread looks at the open streams every now and then. Where the app has been busy for longer than
the stream's ``timeout`` allows, the thread sends ``SIGURG`` to the main thread (a signal that is
ignored by default), and the handler raises in there, in the very line that is stuck: its
``finally`` blocks run, and the pull ends. What is raised is a :class:`BaseException`, so that
``except Exception`` in the app does not swallow it.

Why not otherwise: ``setitimer`` would disarm other plugins' timers and costs a system call for
each chunk; pulling in a worker thread costs a hand-over for each chunk, breaks whatever is bound
to its thread (SQLite connections, scoped sessions) and leaves the generator stuck. Here a chunk
costs nothing but two stores. Where no signal can reach the app (another thread, Windows, inside a
long call into C) the lateness is found when the pull returns.

The thread is started with the first stream, polls while streams are open, and ends by itself soon
after the last one was closed. It is a bare thread: a user's leak detector that compares
``threading.enumerate()`` before and after a test has no reason to know about it. The handler is
in place only while streams are open.
"""

from __future__ import annotations

import _thread
import contextlib
import math
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from time import perf_counter as clock
from types import FrameType
from typing import Any

from .frames import Place, iter_outward, nearest_user_place, stack_of_thread

_SIGNAL: int | None = getattr(signal, "SIGURG", None)
_CAN_SIGNAL = _SIGNAL is not None and hasattr(signal, "pthread_kill")
_POLLS_PER_TIMEOUT = 20
_SLOWEST_POLL = 0.5
_FASTEST_POLL = 0.001
_IDLE_POLLS = 4
_NO_THREAD = 0
_DEBUGGERS = frozenset({"pdb", "bdb", "pydevd", "_pydevd_bundle", "debugpy", "ipdb", "pudb"})


class Interrupted(BaseException):
    """Raised in the app where it is stuck; never reaches a test."""

    def __init__(self, budget: Budget) -> None:
        super().__init__("the timeout of a stream is used up")
        self.budget = budget


class Budget:
    """The time that the app may still keep the test waiting on one stream.

    ``begun`` is the clock when the app was last asked for something, 0.0 while it is not busy.
    The hot loop writes ``begun`` and ``used`` itself; everything else uses :meth:`spending`.
    """

    __slots__ = (
        "__weakref__",
        "begun",
        "fired_at",
        "frame",
        "limit",
        "stuck",
        "thread",
        "timeout",
        "used",
    )

    def __init__(self, timeout: float | None) -> None:
        self.set_timeout(timeout)
        self.used = 0.0
        self.begun = 0.0
        self.fired_at = 0.0
        self.stuck: Place | None = None
        self.thread: int | None = None
        self.frame: FrameType | None = None

    @contextlib.contextmanager
    def spending(self, *, interruptible: bool = True) -> Iterator[None]:
        """Count the time of a ``with`` block; ours is not to be interrupted, the app's is."""
        self.thread = threading.get_ident() if interruptible else _NO_THREAD
        self.begun = clock()
        try:
            yield
        finally:
            self.settle()
            self.thread = None

    def settle(self) -> None:
        """Stop counting."""
        begun, self.begun = self.begun, 0.0
        if begun:
            self.used += clock() - begun

    def set_timeout(self, timeout: float | None) -> None:
        """Set the seconds that there are in all; ``None``: as many as it takes."""
        self.timeout = timeout
        self.limit = timeout or math.inf

    @property
    def overdrawn(self) -> bool:
        """Whether more was used than there was."""
        return self.used > self.limit

    @property
    def left(self) -> float | None:
        """Seconds still to be used, at least 0; ``None`` without a timeout."""
        return max(0.0, self.timeout - self.used) if self.timeout else None

    def grant_again(self) -> None:
        """Give the app its whole time once more: to clean up after it was interrupted."""
        self.used = 0.0
        self.fired_at = 0.0

    def due(self) -> float | None:
        """The clock at which the app is late, or ``None`` while it is not busy or has no limit."""
        begun, timeout = self.begun, self.timeout
        if not begun or not timeout:
            return None
        # An app that swallowed the interruption is interrupted again, after as long a grace.
        return max(begun + timeout - self.used, self.fired_at and self.fired_at + timeout)


class Watchdog:
    """Looks at the budgets of the open streams, from a thread of its own."""

    def __init__(self) -> None:
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._budgets: weakref.WeakSet[Budget] = weakref.WeakSet()
        self._wake = threading.Event()
        self._running = False
        self._poll = _SLOWEST_POLL
        self._fired: Budget | None = None
        self._previous: Any = None
        self._installed = False
        self._suspended_at = 0.0

    def watch(self, budget: Budget) -> None:
        """Interrupt the app when this budget is used up; also after its timeout was changed."""
        if not budget.timeout:
            return
        with self._lock:
            self._budgets.add(budget)
            poll = _poll_interval(budget.timeout)
            hurry = poll < self._poll
            if hurry:
                self._poll = poll
            started, self._running = self._running, True
        self._install()
        if not started:
            _thread.start_new_thread(self._run, ())
        elif hurry:
            self._wake.set()

    def unwatch(self, budget: Budget) -> None:
        """Leave this budget alone from now on."""
        with self._lock:
            self._budgets.discard(budget)
            last = not self._budgets
        if last:
            self._uninstall()

    def suspend(self) -> None:
        """Let every clock stand still: a debugger was entered."""
        self._suspended_at = clock()

    def resume(self) -> None:
        """Let the clocks go on."""
        if not self._suspended_at:
            return
        stood_still = clock() - self._suspended_at
        for budget in self._current():
            if budget.begun:
                budget.begun += stood_still
        self._suspended_at = 0.0

    def _current(self) -> list[Budget]:
        with self._lock:
            return list(self._budgets)

    # The thread

    def _run(self) -> None:
        idle = 0
        while idle < _IDLE_POLLS:
            budgets = self._current()
            idle = 0 if budgets else idle + 1
            wait = self._look(budgets)
            if self._wake.wait(wait):
                self._wake.clear()
            if idle == _IDLE_POLLS and not self._stop():
                idle = 0

    def _stop(self) -> bool:
        with self._lock:
            if self._budgets:
                return False
            self._running = False
            self._poll = _SLOWEST_POLL
            return True

    def _look(self, budgets: list[Budget]) -> float:
        wait = min((_poll_interval(budget.timeout) for budget in budgets), default=_SLOWEST_POLL)
        self._poll = wait
        if self._suspended_at:
            return wait
        for budget in budgets:
            due = budget.due()
            if due is not None:
                late = clock() - due
                if late > 0:
                    self._fire(budget)
                else:
                    wait = min(wait, max(-late, _FASTEST_POLL / 4))
        return wait

    def _fire(self, budget: Budget) -> None:
        budget.fired_at = clock()
        ident = self._thread_of(budget)
        if ident is None:
            return
        budget.stuck = nearest_user_place(stack_of_thread(ident))
        main = threading.main_thread().ident
        if _CAN_SIGNAL and self._installed and ident == main:
            self._fired = budget
            signal.pthread_kill(ident, _SIGNAL or 0)

    def _thread_of(self, budget: Budget) -> int | None:
        if budget.thread is not None:
            return budget.thread
        for ident, innermost in sys._current_frames().items():  # documented
            if any(frame is budget.frame for frame in iter_outward(innermost)):
                return ident
        return None

    # The main thread

    def _install(self) -> None:
        if self._installed or not _CAN_SIGNAL or not _in_main_thread():
            return
        self._previous = signal.signal(_SIGNAL or 0, self._handle)
        self._installed = True

    def _uninstall(self) -> None:
        if not self._installed or not _in_main_thread():
            return
        if signal.getsignal(_SIGNAL or 0) == self._handle:
            signal.signal(_SIGNAL or 0, self._previous or signal.SIG_DFL)
        self._installed = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        budget, self._fired = self._fired, None
        if budget is None:
            previous: Callable[[int, FrameType | None], Any] | int | None = self._previous
            if callable(previous):
                previous(number, frame)
            return
        if not budget.begun or not _is_late(budget):
            return  # the pull came back just before the signal
        if _debugger_is_active():
            budget.begun = clock()
            return
        place = nearest_user_place(frame)
        if place is not None:
            budget.stuck = place
        raise Interrupted(budget)


def _is_late(budget: Budget) -> bool:
    return budget.used + clock() - budget.begun > budget.limit


def _poll_interval(timeout: float | None) -> float:
    if not timeout:
        return _SLOWEST_POLL
    return min(_SLOWEST_POLL, max(_FASTEST_POLL, timeout / _POLLS_PER_TIMEOUT))


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _debugger_is_active() -> bool:
    trace = sys.gettrace()
    module = getattr(trace, "__module__", None) or type(trace).__module__
    if trace is not None and module.partition(".")[0] in _DEBUGGERS:
        return True
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12 and newer
    return monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None


watchdog = Watchdog()
"""One for the process: there is one main thread, and one handler for a signal."""
