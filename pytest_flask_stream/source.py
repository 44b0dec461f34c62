"""A view's source, watched: how far it was read, and whether it was closed.

The view's iterable tells what was yielded, not what a generator has read before it yields. A test
that wants to know wraps the rows, the cursor or the file that the view reads from.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from .probes import Probe, current_probe
from .transcript import counted

T = TypeVar("T")


class Source(Generic[T]):
    """What a view reads from, as an iterator that counts.

    Nothing is read before it is asked for. ``close()``, where the wrapped object has one, and
    every other attribute are passed on; the view may also close what is wrapped by itself. A source
    that is made or read while a watched request runs stands in ``record.sources`` of its stream.

    :param iterable: Rows, a cursor, a file, a queue: anything; it has to be iterable only if the
        source is iterated.
    :param name: What failure texts call it.

    .. versionadded:: 0.1
    """

    pulled: int
    """How many items were read from it."""
    exhausted: bool
    """Whether it was read out."""
    closed: bool
    """Whether ``close()`` was called."""
    name: str
    """What failure texts call it."""

    def __init__(self, iterable: Iterable[T], name: str = "source") -> None:
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, not {name!r:.80}")
        self._iterable = iterable
        self._iterator: Iterator[T] | None = None
        self._probe: Probe | None = None
        self.name = name
        self.pulled = 0
        self.exhausted = False
        self.closed = False
        self._tell()

    def __iter__(self) -> Source[T]:
        return self

    def __next__(self) -> T:
        """Read one item."""
        __tracebackhide__ = True
        self._tell()
        if self._iterator is None:
            self._iterator = iter(self._iterable)
        try:
            item = next(self._iterator)
        except StopIteration:
            self.exhausted = True
            raise
        self.pulled += 1
        return item

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_iterable" not in self.__dict__:
            raise AttributeError(name)  # copying and pickling ask before there is anything
        value = getattr(self._iterable, name)
        return self._close if name == "close" else value

    def _close(self, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        self.closed = True
        return self._iterable.close(*args, **kwargs)  # type: ignore[attr-defined]

    def _tell(self) -> None:
        """Let the record of the stream that runs here know of this source."""
        probe = current_probe.get(None)
        if probe is not None and probe is not self._probe and probe.owns_current_request():
            self._probe = probe
            probe.tape.sources.append(self)

    @property
    def left_open(self) -> bool:
        """Whether it has a ``close()``, and is neither closed nor read out."""
        if self.closed or self.exhausted:
            return False
        return hasattr(self._iterable, "close") and not _is_closed(self._iterable)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "exhausted" if self.exhausted else "open"
        return f"<Source {self.name!r} {state}: {counted(self.pulled, 'item')} pulled>"


def _is_closed(iterable: object) -> bool:
    # The view may close what it has wrapped, behind our back: `with open(path) as file`. Files and
    # the cursors of most databases say so; what has another kind of `closed` (a method) is asked
    # for nothing.
    if inspect.isgenerator(iterable):
        return inspect.getgeneratorstate(iterable) == inspect.GEN_CLOSED
    closed = getattr(iterable, "closed", False)
    return isinstance(closed, int) and bool(closed)
