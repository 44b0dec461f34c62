"""What is written down while a stream runs.

A stream of a million chunks must cost megabytes, not a gigabyte, and writing a chunk down must
cost nanoseconds. So nothing here is an object per chunk: what differs from chunk to chunk (the
times) stands in arrays, and what mostly stays the same (how far the app is ahead, which contexts
are active, how many template events make a chunk) is written down only where it changes.

The tape is the private, mutable side; users read it through
:class:`~pytest_flask_stream.StreamRecord`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from werkzeug.datastructures import Headers

from .errors import ChunksNotKept
from .frames import Place

State = Literal["open", "exhausted", "failed", "closed", "timeout"]
T = TypeVar("T")


class Teardown(NamedTuple):
    """One run of the teardown functions of a context.

    ``kind`` is ``"request"`` or ``"app"``, ``delivered`` how many chunks had been handed over by
    then, and ``error`` what the functions were given: ``None``, the exception that ended the
    request, or ``GeneratorExit`` where the client had left.
    """

    kind: Literal["request", "app"]
    delivered: int
    error: BaseException | None


class EarlyRead(NamedTuple):
    """The first time that more items were made than the chunks asked for until then.

    ``reader`` says in words who did it, ``place`` is the line; ``delivered`` is how many chunks
    had been handed over by then, ``pulling`` whether the next one had been asked for.
    """

    reader: str
    place: Place | None
    delivered: int
    pulling: bool


class Changes(Generic[T]):
    """A column of which most neighbours are equal: kept as the places where it changes."""

    __slots__ = ("_starts", "_values")

    def __init__(self) -> None:
        self._starts: array[int] = array("q")
        self._values: list[T] = []

    def note(self, index: int, value: T) -> None:
        """From ``index`` on the column has ``value``."""
        if not self._values or self._values[-1] != value:
            # In this order: another thread may be reading.
            self._values.append(value)
            self._starts.append(index)

    def __getitem__(self, index: int) -> T:
        return self._values[bisect_right(self._starts, index) - 1]


class Body:
    """The bytes of a body: every size, and the first ``keep_bytes`` bytes themselves."""

    __slots__ = ("_lost_sizes", "keep_bytes", "kept", "room")

    def __init__(self, keep_bytes: int) -> None:
        self.keep_bytes: int = keep_bytes
        self.room: int = keep_bytes
        self.kept: list[bytes] = []
        self._lost_sizes: array[int] = array("q")

    def add(self, chunk: bytes) -> None:
        """Take the next chunk: keep it whole, or only its size."""
        self.room -= len(chunk)
        if self.room >= 0:
            self.kept.append(chunk)
        else:
            self.lose(len(chunk))

    def lose(self, size: int) -> None:
        """Take the size of a chunk that is not kept. Nothing after it is kept either."""
        self.room = -1
        self._lost_sizes.append(size)

    @property
    def complete(self) -> bool:
        """Whether every byte is kept."""
        return not self._lost_sizes

    @property
    def size(self) -> int:
        """The bytes of all chunks together."""
        return sum(map(len, self.kept)) + sum(self._lost_sizes)

    def __len__(self) -> int:
        return len(self.kept) + len(self._lost_sizes)

    def size_of(self, index: int) -> int:
        """The bytes of one chunk."""
        kept = len(self.kept)
        return len(self.kept[index]) if index < kept else self._lost_sizes[index - kept]

    def kept_chunk(self, index: int) -> bytes | None:
        """One chunk, or ``None`` where only its size is kept."""
        return self.kept[index] if index < len(self.kept) else None

    def chunk(self, index: int, wanted: str) -> bytes:
        """One chunk; :class:`ChunksNotKept` for ``wanted`` where only its size is kept."""
        __tracebackhide__ = True
        if index >= len(self.kept):
            raise ChunksNotKept(wanted, self.keep_bytes)
        return self.kept[index]

    def whole(self, wanted: str) -> list[bytes]:
        """All chunks, not to be changed; :class:`ChunksNotKept` where some are only counted."""
        __tracebackhide__ = True
        if self._lost_sizes:
            raise ChunksNotKept(wanted, self.keep_bytes)
        return self.kept


class WatchedSource(Protocol):
    """What is known of a ``Source``."""

    name: str
    pulled: int

    @property
    def left_open(self) -> bool:
        """Whether it should have been closed, and was not."""


class Tape:
    """The facts of one stream, as they are seen."""

    __slots__ = (
        "_events_before",
        "_pieces_before",
        "allowed",
        "ambient",
        "at",
        "began",
        "body",
        "body_type",
        "closable",
        "contexts",
        "early",
        "endpoint",
        "error",
        "events",
        "exhausted_at",
        "first_pull_produced",
        "generator_unfinished",
        "headers",
        "lead",
        "method",
        "passthrough",
        "path",
        "pieces",
        "produced",
        "query_string",
        "sources",
        "state",
        "status",
        "streamed",
        "teardowns",
        "template_events",
        "template_pieces",
        "templates",
        "view",
        "view_closed",
        "waited",
    )

    def __init__(self, method: str, path: str, query_string: str, keep_bytes: int) -> None:
        self.method: str = method
        self.path: str = path
        self.query_string: str = query_string
        self.endpoint: str | None = None
        self.status: str | None = None
        self.headers: Headers = Headers()
        self.state: State = "open"
        self.error: BaseException | None = None
        self.began: float = 0.0
        """The clock when the app was called, in seconds."""

        self.ambient: bool = False
        """Whether the test has a Flask context pushed that the stream is kept from seeing."""
        self.view: Place | None = None
        self.streamed: bool | None = None
        self.body_type: str = ""
        """What the view handed over, by the name of its type."""
        self.passthrough: bool = False
        """Whether the view set ``direct_passthrough``."""
        self.produced: int = 0
        self.allowed: int = 0
        """How many items may have been made by now: one for each chunk that was asked for."""
        self.early: EarlyRead | None = None
        self.exhausted_at: int | None = None
        """How many chunks had been handed over when the view's iterable was read out."""
        self.first_pull_produced: int | None = None

        self.body: Body = Body(keep_bytes)
        self.at: array[float] = array("d")
        self.waited: array[float] = array("d")
        self.lead: Changes[int] = Changes()
        """Items made when a chunk was handed over, less the chunk's index."""
        self.contexts: Changes[tuple[bool, bool]] = Changes()
        """Whether this request's context, and one of this app, was active."""

        self.templates: int = 0
        """How many templates were streamed."""
        self.template_events: int = 0
        self.template_pieces: int = 0
        self._events_before = 0
        self._pieces_before = 0
        self.events: Changes[int] = Changes()
        """Non-empty template events in a chunk."""
        self.pieces: Changes[int] = Changes()
        """Template events in a chunk, the empty ones too."""

        self.teardowns: list[Teardown] = []
        self.closable: bool = False
        """Whether what the view handed over has a ``close()``."""
        self.view_closed: bool = False
        """Whether that was called."""
        self.generator_unfinished: Callable[[], bool] | None = None
        """Tells of the view's generator, which is not held on to."""
        self.sources: list[WatchedSource] = []

    @property
    def delivered(self) -> int:
        """How many chunks the app has handed over."""
        return len(self.at)

    def note_chunk(
        self, chunk: bytes, *, at: float, waited: float, contexts: tuple[bool, bool]
    ) -> None:
        """Write down one more chunk that the app has handed over; the clock in seconds.

        Another thread may be reading: what counts the chunks is written last.
        """
        index = len(self.at)
        self.lead.note(index, self.produced - index)
        self.contexts.note(index, contexts)
        self.note_events(index)
        self.body.add(chunk)
        self.waited.append(waited)
        self.at.append(at)

    def forget_events(self) -> None:
        """Start counting template events anew: those until now are in no chunk."""
        self.template_events = self.template_pieces = 0

    def note_events(self, index: int) -> None:
        """Write down how many template events there were since the last chunk."""
        events = self.template_events - self._events_before
        pieces = self.template_pieces - self._pieces_before
        self._events_before += events
        self._pieces_before += pieces
        self.events.note(index, events)
        self.pieces.note(index, pieces)

    @property
    def produced_early(self) -> int:
        """How many items were made before the first chunk was asked for."""
        first = self.first_pull_produced
        return self.produced if first is None else first
