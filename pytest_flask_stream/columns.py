"""Columns of facts: one value for each chunk, at a cost of a machine word or less.

What differs from chunk to chunk (the times) stands in arrays; what mostly stays the same (how far
the app is ahead, which contexts are active) is written down only where it changes. One thread
writes, and others may read meanwhile.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import sub
from struct import pack
from typing import Generic, TypeVar

T = TypeVar("T")

BLOCK = 2048
"""How many chunks are written down before what can be packed is packed."""
_IN_ONE_GO = -1
_FROM_THE_START = (0,)
_NOTHING_PACKED = array("d")  # most columns are short: an array for each would be in vain


class Changes(Generic[T]):
    """A column of which most neighbours are equal: kept as the places where it changes.

    It has ``value`` from the start.
    """

    __slots__ = ("_starts", "_values")

    def __init__(self, value: T) -> None:
        self._starts: Sequence[int] = _FROM_THE_START
        self._values: list[T] = [value]

    def note(self, index: int, value: T) -> None:
        """From ``index`` on the column has ``value``."""
        if self._values[-1] != value:
            # In this order: another thread may be reading.
            self._values.append(value)
            if isinstance(self._starts, array):
                self._starts.append(index)
            else:
                self._starts = array("q", [0, index])

    @property
    def last(self) -> T:
        """The value that it has now."""
        return self._values[-1]

    def spans(self, end: int) -> Iterator[tuple[range, T]]:
        """Give the indexes below ``end`` in ranges that have one value, with that value."""
        # Not strict: while a change is written down, its value is there already, and no start.
        for start, stop, value in zip(
            self._starts, [*self._starts[1:], end], self._values, strict=False
        ):
            if start < min(stop, end):
                yield range(start, min(stop, end)), value

    def __getitem__(self, index: int) -> T:
        return self._values[bisect_right(self._starts, index) - 1]


class Times:
    """A column of floats: a machine word for each, but for the last few.

    An ``array`` takes as long for one float as for a dozen, so they are appended to a list, and
    packed many at a time. One thread writes; others may read meanwhile, so what was packed
    is never taken out of its list: a new list takes over.
    """

    __slots__ = ("_packed", "_recent")

    def __init__(self) -> None:
        self._packed: array[float] = _NOTHING_PACKED
        self._recent: list[float] = []

    def pack(self) -> list[float]:
        """Pack what there is, and give what takes the next few: :data:`BLOCK` at most."""
        recent = self._recent
        if len(recent) >= BLOCK:
            if self._packed is _NOTHING_PACKED:
                self._packed = array("d")
            self._packed.frombytes(pack(f"{len(recent)}d", *recent))
            self._recent = recent = []
        return recent

    def append(self, value: float) -> None:
        """Take the next one."""
        self.pack().append(value)

    def __getitem__(self, index: int) -> float:
        recent = self._recent  # looked at first: whatever is packed later is in there
        packed = self._packed
        return packed[index] if index < len(packed) else recent[index - len(packed)]

    def between(self, start: int, stop: int) -> list[float]:
        """Give those from ``start`` up to ``stop``; fewer where there are not as many."""
        recent = self._recent  # looked at first, as above
        packed = len(self._packed)
        before = self._packed[start : min(stop, packed)].tolist()
        return before + recent[max(start - packed, 0) : max(stop - packed, 0)]

    def __len__(self) -> int:
        return len(self._packed) + len(self._recent)


class Waits:
    """How long each pull took, up to the clock ``at`` which its chunk was handed over.

    A chunk that was pulled by itself has waited since its pull began. Of chunks that were pulled in
    one go, each has waited since the one before it; the first one, since it was begun.
    """

    __slots__ = ("_alone", "_at", "_begun", "_offsets", "_starts")

    def __init__(self, at: Times) -> None:
        self._at = at
        self._alone: Times = Times()
        self._starts: array[int] = array("q")
        self._offsets: array[int] = array("q")
        self._begun: array[float] = array("d")

    def pack(self, index: int) -> list[float]:
        """Give what takes the clocks at which the next few pulls begin, each for one chunk."""
        if not self._starts or self._offsets[-1] == _IN_ONE_GO:
            self._note_run(index, len(self._alone), 0.0)
        return self._alone.pack()

    def append(self, begun: float) -> None:
        """Take the clock at which the pull began that the next chunk comes from, by itself."""
        self.pack(len(self)).append(begun)

    def begin(self, index: int, begun: float) -> None:
        """From ``index`` on the chunks are pulled in one go, which began at ``begun``."""
        self._note_run(index, _IN_ONE_GO, begun)

    def _note_run(self, index: int, offset: int, begun: float) -> None:
        self._begun.append(begun)
        self._offsets.append(offset)
        self._starts.append(index)

    def __getitem__(self, index: int) -> float:
        run = bisect_right(self._starts, index) - 1
        start, offset = self._starts[run], self._offsets[run]
        if offset != _IN_ONE_GO:
            begun = self._alone[offset + index - start]
        else:
            begun = self._at[index - 1] if index > start else self._begun[run]
        return self._at[index] - begun

    @property
    def alone(self) -> int:
        """How many pulls for one chunk there were."""
        return len(self._alone)

    def total(self, first: int) -> float:
        """Give how long the pulls for one chunk took together, from the ``first`` of them on.

        One that goes on is left out.
        """
        total, stop = 0.0, len(self)
        # From the last on, and not many at a time: there may be a great many runs, and chunks.
        for run in reversed(range(len(self._starts))):
            start, offset = self._starts[run], self._offsets[run]
            if offset != _IN_ONE_GO:
                skipped = max(first - offset, 0)
                for index in range(start + skipped, stop, BLOCK):
                    end = min(index + BLOCK, stop)
                    ends = self._at.between(index, end)
                    begins = self._alone.between(offset + index - start, offset + end - start)
                    total += sum(map(sub, ends, begins))
                if offset <= first:
                    break
            stop = start
        return total

    def __len__(self) -> int:
        return len(self._at)
