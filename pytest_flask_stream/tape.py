"""What is written down while a stream runs.

A stream of a million chunks must cost megabytes, not a gigabyte, and writing a chunk down must
cost nanoseconds. So nothing here is an object per chunk: what differs from chunk to chunk (the
times) stands in arrays, and what mostly stays the same (how far the app is ahead, which contexts
are active, how many template events make a chunk) is written down only where it changes.

The tape is the private, mutable side; users read it through
:class:`~pytest_flask_stream.StreamRecord`.
"""

from __future__ import annotations

import inspect
import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from struct import pack
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from werkzeug.datastructures import Headers

from .errors import ChunksNotKept
from .frames import Place, place_of_code

State = Literal["open", "exhausted", "failed", "closed", "timeout"]
T = TypeVar("T")

BLOCK = 2048
"""How many chunks are written down before what can be packed is packed."""
_IN_ONE_GO = -1
_FROM_THE_START = (0,)


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
        for start, stop, value in zip(
            self._starts, [*self._starts[1:], end], self._values, strict=True
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
        self._packed: array[float] = array("d")
        self._recent: list[float] = []

    def pack(self) -> Callable[[float], None]:
        """Pack what there is, and give what appends the next few: :data:`BLOCK` at most."""
        recent = self._recent
        if len(recent) >= BLOCK:
            self._packed.frombytes(pack(f"{len(recent)}d", *recent))
            self._recent = recent = []
        return recent.append

    def append(self, value: float) -> None:
        """Take the next one."""
        self.pack()(value)

    def __getitem__(self, index: int) -> float:
        recent = self._recent  # looked at first: whatever is packed later is in there
        packed = self._packed
        return packed[index] if index < len(packed) else recent[index - len(packed)]

    def __len__(self) -> int:
        return len(self._packed) + len(self._recent)


class Waits:
    """How long each pull took.

    A chunk that was pulled by itself has its own time. Of chunks that were pulled in one go, each
    has waited since the one before it; the first one, since it was begun.
    """

    __slots__ = ("_alone", "_at", "_begun", "_offsets", "_starts")

    def __init__(self, at: Times) -> None:
        self._at = at
        self._alone: Times = Times()
        self._starts: array[int] = array("q")
        self._offsets: array[int] = array("q")
        self._begun: array[float] = array("d")

    def pack(self, index: int) -> Callable[[float], None]:
        """Give what appends the times of the next few chunks, each pulled by itself."""
        if not self._starts or self._offsets[-1] == _IN_ONE_GO:
            self._note_run(index, len(self._alone), 0.0)
        return self._alone.pack()

    def append(self, value: float) -> None:
        """Take the time of the next chunk, which was pulled by itself."""
        self.pack(len(self))(value)

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
            return self._alone[offset + index - start]
        before = self._at[index - 1] if index > start else self._begun[run]
        return self._at[index] - before

    def __len__(self) -> int:
        return len(self._at)


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


class TakesHead(Protocol):
    """What has a head of its own, made of the one on the tape."""

    def _take_new_head(self) -> None:
        """Follow an app that has replaced its head."""


class Tape:
    """The facts of one stream, as they are seen."""

    __slots__ = (
        "_counting",
        "ambient",
        "asked",
        "at",
        "began",
        "body",
        "body_type",
        "closable",
        "contexts",
        "early",
        "endpoint",
        "error",
        "eventful",
        "events",
        "exhausted_at",
        "first_pull_produced",
        "generator_unfinished",
        "headers",
        "lead",
        "method",
        "on_new_head",
        "passthrough",
        "path",
        "pieces",
        "query_string",
        "sources",
        "spare",
        "state",
        "status",
        "streamed",
        "teardowns",
        "template_blanks",
        "template_events",
        "templates",
        "view_closed",
        "view_function",
        "waited",
    )

    def __init__(  # noqa: PLR0915 - one line for each fact
        self, method: str, path: str, query_string: str, keep_bytes: int
    ) -> None:
        self.method: str = method
        self.path: str = path
        self.query_string: str = query_string
        self.endpoint: str | None = None
        self.status: str | None = None
        self.headers: Headers = Headers()
        self.on_new_head: Callable[[], TakesHead | None] | None = None
        """Gives whom to tell when the app has replaced the head that it gave first."""
        self.state: State = "open"
        self.error: BaseException | None = None
        self.began: float = 0.0
        """The clock when the app was called, in seconds."""

        self.ambient: bool = False
        """Whether the test has a Flask context pushed that the stream is kept from seeing."""
        self.view_function: Callable[..., object] | None = None
        self.streamed: bool | None = None
        self.body_type: str = ""
        """What the view handed over, by the name of its type."""
        self.passthrough: bool = False
        """Whether the view set ``direct_passthrough``."""
        self.asked: int = 0
        """Chunks that were asked for and not handed over yet.

        While a stream is read that is always one: the next is asked for with each handed over.
        """
        self.spare: int = 0
        """Items that may still be made, one for each chunk asked for; below 0 it is too many.

        Whoever makes an item takes one away, whoever asks for a chunk adds one: while each chunk
        is one item, both look at a small number and need not know the totals.
        """
        self.early: EarlyRead | None = None
        self.exhausted_at: int | None = None
        """How many chunks had been handed over when the view's iterable was read out."""
        self.first_pull_produced: int | None = None

        self.eventful: bool = False
        """Whether there is more to look at, chunk by chunk, than items and the clock: a Flask
        context, a template, data that was written, chunks that are not one item each."""

        self._counting = threading.RLock()  # a live stream is written in the server's thread
        self.body: Body = Body(keep_bytes)
        self.at: Times = Times()
        """The clock when each chunk was handed over."""
        self.waited: Waits = Waits(self.at)
        self.lead: Changes[int] = Changes(1)
        """Items made when a chunk was handed over, less the chunk's index."""
        self.contexts: Changes[tuple[bool, bool]] = Changes((False, False))
        """Whether this request's context, and one of this app, was active."""

        self.templates: int = 0
        """How many templates were streamed."""
        self.template_events: int = 0
        """Non-empty events since the last chunk."""
        self.template_blanks: int = 0
        """Empty events since the last chunk."""
        self.events: Changes[int] = Changes(0)
        """Non-empty template events in a chunk."""
        self.pieces: Changes[int] = Changes(0)
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
    def view(self) -> Place | None:
        """Where the view is defined; looked for where a text names it, for that takes a while."""
        if self.view_function is None:
            return None
        code = getattr(inspect.unwrap(self.view_function), "__code__", None)
        return place_of_code(code) if code is not None else None

    @property
    def delivered(self) -> int:
        """How many chunks the app has handed over."""
        return len(self.body)

    @property
    def allowed(self) -> int:
        """How many items may have been made by now: one for each chunk that was asked for."""
        return len(self.body) + self.asked

    @allowed.setter
    def allowed(self, allowed: int) -> None:
        with self._counting:
            more = allowed - self.allowed
            self.asked += more
            self.spare += more

    @property
    def produced(self) -> int:
        """How many items were made."""
        with self._counting:
            return len(self.body) + self.asked - self.spare

    @produced.setter
    def produced(self, produced: int) -> None:
        self.spare = self.allowed - produced

    def note_head(self, status: str, headers: Iterable[tuple[str, str]]) -> None:
        """Take the status line and the headers, also in the place of those given before."""
        self.status = status
        self.headers.clear()
        self.headers.extend(headers)
        follow = self.on_new_head() if self.on_new_head is not None else None
        if follow is not None:
            follow._take_new_head()

    def note_chunk(self, chunk: bytes, now: float, waited: float, flags: tuple[bool, bool]) -> None:
        """Write down a chunk that was pulled by itself, with all its facts.

        Another thread may be reading: what counts the chunks is written last.

        :param now: The clock when it was handed over.
        :param waited: How long the pull took.
        :param flags: Whether this request's context, and one of this app, is active.
        """
        index = len(self.body)
        self.lead.note(index, self.produced - index)
        self.contexts.note(index, flags)
        self.note_events(index)
        self.waited.append(waited)
        self.at.append(now)
        with self._counting:
            allowed, produced = self.allowed, self.produced
            self.body.add(chunk)
            self.allowed, self.produced = max(allowed, index + 1), produced

    def forget_events(self) -> None:
        """Start counting template events anew: those until now are in no chunk."""
        self.template_events = self.template_blanks = 0

    def note_events(self, index: int) -> int | None:
        """Write down how many template events there were since the last chunk.

        Gives that number where a next chunk of as many, none of them empty, is as this one.
        """
        events, blanks = self.template_events, self.template_blanks
        self.events.note(index, events)
        self.pieces.note(index, events + blanks)
        self.forget_events()
        return None if blanks else events

    @property
    def produced_early(self) -> int:
        """How many items were made before the first chunk was asked for."""
        first = self.first_pull_produced
        return self.produced if first is None else first
