"""Interrupts an app that keeps the test waiting too long.

A thread looks at the open streams every now and then. Where the app has been busy for longer than
the stream's ``timeout`` allows, the thread sends ``SIGURG`` to the main thread (a signal that is
ignored by default), and the handler raises in there, in the very line that is stuck: its
``finally`` blocks run, and the pull ends. What is raised is a :class:`BaseException`, so that
``except Exception`` in the app does not swallow it.

Why not otherwise: ``setitimer`` would disarm other plugins' timers and costs a system call for
each chunk; pulling in a worker thread costs a hand-over for each chunk, breaks whatever is bound
to its thread (SQLite connections, scoped sessions) and leaves the generator stuck. Here a chunk
costs nothing but a look at the clock. Where no signal can reach the app (another thread, Windows,
inside a long call into C) the lateness is found when the pull returns.

A signal that lands in a line of this package is let pass once, and comes again a moment later:
the app has just returned then, or is just being entered, and what is raised between two lines of
ours would reach the test. Only where it lands there twice in one pull is the app behind that line
(an iterator that is written in C). In a line of Coverage it is always let pass. One that lands in
a finalizer is let pass too, for up to two seconds: Python prints what is raised in there, and goes
on.

The thread is started with the first stream, polls while streams are open, and ends by itself soon
after the last one was closed. It is a bare thread: a user's leak detector that compares
``threading.enumerate()`` before and after a test has no reason to know about it. The handler is
put in place for the first stream, and stays as long as a client may open further ones: to put it
there and take it off for each stream would cost a tenth of a small request.
"""

from __future__ import annotations

import _thread
import gc
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from time import perf_counter as clock
from types import FrameType
from typing import Any

from .app_stack import is_in_finalizer, is_measuring, is_ours, iter_app, stuck_place
from .budget import Budget
from .debugging import debugging
from .frames import is_user_frame, iter_outward, stack_of_thread

_SIGNAL: int | None = getattr(signal, "SIGURG", None)
_CAN_SIGNAL = _SIGNAL is not None and hasattr(signal, "pthread_kill")
_POLLS_PER_TIMEOUT = 20
_SLOWEST_POLL = 0.5
_FASTEST_POLL = 0.001
_IDLE_POLLS = 4
_FINALIZER_GRACE = 2.0


class Interrupted(BaseException):
    """Raised in the app where it is stuck; never reaches a test."""

    def __init__(self, budget: Budget) -> None:
        super().__init__("the timeout of a stream is used up")
        self.budget = budget


class Watchdog:
    """Looks at the budgets of the open streams, from a thread of its own.

    A stream may be closed by the garbage collector, at any line and in any thread, and a signal
    may come at any line of the main thread: so closing and the handler take no lock.
    """

    def __init__(self) -> None:
        self._previous: Any = None
        self._installed = False
        self._tracing = False
        self._traced_by: Any = None
        self._collecting_in: int | None = None
        self._forget()
        if hasattr(os, "register_at_fork"):  # pragma: no branch - there is none on Windows
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # A forked child has our handler, but neither the thread nor a test that waits.
        self._lock = threading.RLock()
        self._budgets: set[Budget] = set()
        self._fired: deque[Budget] = deque()
        self._wake = threading.Event()
        self._running = False
        self._poll = _SLOWEST_POLL
        debugging.suspended_at = 0.0

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
        self._budgets.discard(budget)

    def tidy(self) -> None:
        """A client was closed: take the handler off if no stream of another is open.

        Only the main thread can.
        """
        if not self._budgets:
            self._uninstall()

    def suspend(self) -> None:
        """Let every clock stand still: a debugger was entered."""
        debugging.suspended_at = debugging.suspended_at or clock()

    def resume(self) -> None:
        """Let the clocks go on."""
        suspended_at, now = debugging.suspended_at, clock()
        if not suspended_at:
            return
        for budget in list(self._budgets):
            if budget.begun:
                budget.begun += now - max(budget.begun, suspended_at)
        debugging.suspended_at = 0.0

    # The thread

    def _run(self) -> None:
        idle = 0
        while idle < _IDLE_POLLS:
            budgets = list(self._budgets)
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
        if debugging.suspended_at:
            return wait
        for budget in budgets:
            now = clock()  # first: until the deadline that is what is given, and it may be early
            due = budget.due()
            if due is not None:
                late = now - due
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
        budget.stuck = stuck_place(stack_of_thread(ident))
        if ident == threading.main_thread().ident and self._handles():
            self._fired.append(budget)
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
        previous = signal.signal(_SIGNAL or 0, self._handle)
        if previous != self._handle:  # else somebody has put back what they had found: ours
            self._previous = previous
        self._collecting_in = None  # taken off in a collection, we were not told of its end
        gc.callbacks.append(self._note_collection)
        self._installed = True

    def _uninstall(self) -> None:
        if not self._installed or not _in_main_thread():
            return
        if self._handles():
            signal.signal(_SIGNAL or 0, self._previous or signal.SIG_DFL)
        gc.callbacks.remove(self._note_collection)
        self._installed = False

    def _note_collection(self, phase: str, _: object) -> None:
        self._collecting_in = threading.get_ident() if phase == "start" else None

    def _handles(self) -> bool:
        """Tell whether the signal comes to us: an app may have put a handler of its own there."""
        return _CAN_SIGNAL and signal.getsignal(_SIGNAL or 0) == self._handle

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._fired:
            previous: Callable[[int, FrameType | None], Any] | int | None = self._previous
            if callable(previous):
                previous(number, frame)
            return
        late = []
        for fired in self._take_fired():
            if _is_late(fired):
                late.append(fired)
            else:
                fired.fired_at = 0.0  # the pull came back just before the signal
        if not late:
            return
        budget = min(late, key=_begun)  # the outermost, where streams are nested
        if debugging.active:
            budget.begun = clock()  # pragma: no cover - a debugger is the tracer then
        elif is_measuring(frame):
            budget.fired_at = 0.0
        elif is_ours(frame) and budget.spared != budget.begun:
            budget.spared = budget.begun
            budget.fired_at = 0.0
        elif self._is_finalizing(frame) and _lateness(budget) < _FINALIZER_GRACE:
            budget.fired_at = 0.0
        else:
            self._interrupt(budget, frame)

    def _is_finalizing(self, frame: FrameType | None) -> bool:
        """Tell whether the app is inside of something that Python lets raise nothing."""
        return self._collecting_in == threading.get_ident() or is_in_finalizer(frame)

    def _interrupt(self, budget: Budget, frame: FrameType | None) -> None:
        error = Interrupted(budget)
        if budget.interrupted == budget.begun:
            # A bare `except:` has swallowed it and tries again. Raised once more in the next line
            # of the user's frames, that is in the `except:` itself, it gets out of there.
            self._raise_in_next_line(error, frame)
        else:
            budget.stuck = stuck_place(frame)
        budget.interrupted = budget.begun
        raise error

    def _raise_in_next_line(self, error: Interrupted, frame: FrameType | None) -> None:
        def trace(_: FrameType, event: str, __: object) -> Any:  # pragma: no cover - is no tracer's
            if event == "line":
                raise error
            return trace

        for outer in iter_app(frame):
            if is_user_frame(outer):
                outer.f_trace = trace
        if not self._tracing:
            self._tracing, self._traced_by = True, sys.gettrace()
        sys.settrace(lambda *_: None)

    def stop_tracing(self) -> None:
        """Give the trace function back that was there before one of ours."""
        if self._tracing and _in_main_thread():
            self._tracing = False  # pragma: no cover - our trace function is the tracer still
            sys.settrace(self._traced_by)  # pragma: no cover - as above

    def _take_fired(self) -> list[Budget]:
        fired = []
        while self._fired:
            fired.append(self._fired.popleft())
        return fired


def _is_late(budget: Budget) -> bool:
    return budget.begun > 0.0 and _lateness(budget) > 0.0


def _lateness(budget: Budget) -> float:
    return budget.used + clock() - budget.begun - budget.limit


def _begun(budget: Budget) -> float:
    return budget.begun


def _poll_interval(timeout: float | None) -> float:
    if not timeout:
        return _SLOWEST_POLL
    return min(_SLOWEST_POLL, max(_FASTEST_POLL, timeout / _POLLS_PER_TIMEOUT))


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


watchdog: Watchdog = Watchdog()
"""One for the process: there is one main thread, and one handler for a signal."""
