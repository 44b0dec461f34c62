"""The time that an app has, and what it has used of it.

What the app takes for opening, for pulls and for closing is added up; the test's own time is not.
Who counts is the loop that pulls; who looks is :mod:`.deadline`, from a thread of its own.
"""

from __future__ import annotations

import math
import threading
from time import perf_counter as clock
from types import FrameType

from .columns import Waits
from .debugging import debugging
from .frames import Place

_NO_THREAD = 0
_NO_PULLS: tuple[list[float], list[float], int] = ([], [], 0)


class Budget:
    """The time that the app may still keep the test waiting on one stream.

    Most of it is counted where it is spent, with :meth:`spending` or from :meth:`begin` to
    :meth:`settle`. Of pulls for single chunks only the clocks are written down (:meth:`count`): a
    pull goes on while there is one more of those at which one began. How long they took is added
    up when somebody asks, and before ``deadline`` nobody needs to: until then they cannot have
    used up what there is. Whoever asks may be another thread, so what belongs together changes in
    one store.
    """

    __slots__ = (
        "_account",
        "_begun",
        "_pulls",
        "deadline",
        "fired_at",
        "frame",
        "interrupted",
        "limit",
        "spared",
        "stuck",
        "thread",
        "timeout",
    )

    def __init__(self, timeout: float | None) -> None:
        self.deadline: float = 0.0
        self.set_timeout(timeout)
        self._account: tuple[float, Waits | None, int] = (0.0, None, 0)
        self._begun: float = 0.0
        self._pulls: tuple[list[float], list[float], int] = _NO_PULLS
        self.fired_at: float = 0.0
        self.spared: float = 0.0
        self.interrupted: float = 0.0
        self.stuck: Place | None = None
        self.thread: int | None = None
        self.frame: FrameType | None = None

    def spending(self, *, interruptible: bool = True) -> _Spending:
        """Count the time of a ``with`` block; ours is not to be interrupted, the app's is."""
        return _Spending(self, threading.get_ident() if interruptible else _NO_THREAD)

    def begin(self) -> float:
        """Count from now on, for many pulls: past ``deadline`` it is to be looked at again."""
        self._begun = begun = self.look()
        return begun

    def look(self) -> float:
        """Set the ``deadline``, where nothing is being pulled, and give the clock."""
        settled, waits, _ = self._account
        if waits is not None:
            self.used = settled = self.used
        now = clock()  # last: to add up may take a while, and is no time of the app's
        self.deadline = now + self.limit - settled
        return now

    def settle(self) -> float:
        """Stop counting; give the clock when that began which went on, 0.0 if nothing did."""
        begun, self._begun = self._begun, 0.0
        if not begun:
            begun = self.begun
            if begun:
                self._pulls[0].pop()
        if begun:
            settled, waits, counted = self._account
            self._account = (settled + clock() - begun, waits, counted)
        return begun

    def set_timeout(self, timeout: float | None) -> None:
        """Set the seconds that there are in all; ``None``: as many as it takes."""
        self.timeout: float | None = timeout
        self.limit: float = timeout or math.inf
        self.deadline = 0.0

    def count(self, waits: Waits, begins: list[float], ends: list[float]) -> None:
        """Count the pulls that ``waits`` knows of by the clocks appended to these from now on."""
        if self._account[1] is not waits:
            self._account = (self.used, waits, waits.alone)
        self._pulls = (begins, ends, len(begins) - len(ends))

    @property
    def begun(self) -> float:
        """The clock when the app was last asked for something, 0.0 while it is not busy."""
        if self._begun:
            return self._begun
        begins, ends, more = self._pulls
        going_on = begins[len(ends) + more :]
        return going_on[0] if going_on else 0.0

    @begun.setter
    def begun(self, begun: float) -> None:
        if self._begun or not self.begun:
            self._begun = begun
        else:
            self._pulls[0][-1] = begun
        self.deadline = 0.0

    @property
    def used(self) -> float:
        """Seconds that were used so far, without the pull that goes on."""
        settled, waits, counted = self._account
        if waits is None or waits.alone == counted:
            return settled
        return settled + waits.total(counted)

    @used.setter
    def used(self, used: float) -> None:
        waits = self._account[1]
        self._account = (used, waits, 0 if waits is None else waits.alone)

    @property
    def overdrawn(self) -> bool:
        """Whether more was used than there was; what a debugger has used is forgiven."""
        if clock() <= self.deadline or self.used <= self.limit:
            return False
        if debugging.active:
            self.used = 0.0
            return False
        return True

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
        due = self.deadline  # the earliest, which is good enough until then
        if clock() > due:
            due = begun + timeout - self.used
        # An app that swallowed the interruption is interrupted again, after as long a grace.
        return max(due, self.fired_at and self.fired_at + timeout)


class _Spending:
    """Counts the time of a ``with`` block. No generator: its frames are this package's."""

    __slots__ = ("_budget", "_thread")

    def __init__(self, budget: Budget, thread: int) -> None:
        self._budget = budget
        self._thread = thread

    def __enter__(self) -> None:
        self._budget.thread = self._thread
        self._budget._begun = clock()

    def __exit__(self, *_: object) -> None:
        self._budget.settle()
        self._budget.thread = None
