"""What is written down while a stream runs.

A stream of a million chunks must cost megabytes, not a gigabyte, and writing a chunk down must
cost nanoseconds. So nothing here is an object per chunk: what is known of chunks stands in columns,
and the bytes themselves in a body.

The tape is the private, mutable side; users read it through
:class:`~pytest_flask_stream.StreamRecord`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

from werkzeug.datastructures import Headers

from .body import Body
from .columns import Changes, Times, Waits
from .frames import Place, place_of_view

State = Literal["open", "exhausted", "failed", "closed", "timeout"]
T = TypeVar("T")

BLANK = 1 << 32
"""What an empty template event adds to the number of those that are not."""


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
        "before_request",
        "began",
        "body",
        "body_type",
        "closable",
        "closing_raised",
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
        "news",
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
        "teardown_functions",
        "teardowns",
        "template_events",
        "templates",
        "torn_down_unread",
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
        self.before_request: list[Callable[..., object]] = []
        """What might have answered a complete body in place of the view."""
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
        self.news: bool = False
        """Whether the next chunk has to be looked at for written data and for the app's context:
        either has come since the last look, or an app context stands alone."""

        self.templates: int = 0
        """How many templates were streamed."""
        self.template_events: int = 0
        """Template events since the last chunk; one that is empty counts as :data:`BLANK`."""
        self.events: Changes[int] = Changes(0)
        """Non-empty template events in a chunk."""
        self.pieces: Changes[int] = Changes(0)
        """Template events in a chunk, the empty ones too."""

        self.teardowns: list[Teardown] = []
        self.torn_down_unread: bool = False
        """Whether some of them ran before the first chunk was asked for."""
        self.teardown_functions: list[Mapping[str | None, Sequence[Callable[..., object]]]] = []
        """What they may have called, by the blueprint whose requests it is for."""
        self.closable: bool = False
        """Whether what the view handed over has a ``close()``."""
        self.closing_raised: bool = False
        """Whether the error is of closing what the app had given, and no other came before it."""
        self.view_closed: bool = False
        """Whether that was called."""
        self.generator_unfinished: Callable[[], bool] | None = None
        """Tells of the view's generator, which is not held on to."""
        self.sources: list[WatchedSource] = []

    @property
    def view(self) -> Place | None:
        """Where the view is defined; looked for where a text names it, for that takes a while."""
        view = self.view_function
        return None if view is None else place_of_view(view, self.method)

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

    def note_chunk(self, chunk: bytes, begun: float, now: float, flags: tuple[bool, bool]) -> None:
        """Write down a chunk that was pulled by itself, with all its facts.

        Another thread may be reading: what counts the chunks is written last.

        :param begun: The clock when the pull began.
        :param now: The clock when the chunk was handed over.
        :param flags: Whether this request's context, and one of this app, is active.
        """
        index = len(self.body)
        self.lead.note(index, self.produced - index)
        self.contexts.note(index, flags)
        self.note_events(index, self.template_events)
        self.forget_events()
        self.waited.append(begun)
        self.at.append(now)
        with self._counting:
            allowed, produced = self.allowed, self.produced
            self.body.add(chunk)
            self.allowed, self.produced = max(allowed, index + 1), produced

    def forget_events(self) -> None:
        """Start counting template events anew: those until now are in no chunk."""
        self.template_events = 0

    def note_events(self, index: int, counted: int) -> None:
        """Write down how many template events there are in a chunk, as they were counted."""
        blanks, events = divmod(counted, BLANK)
        self.events.note(index, events)
        self.pieces.note(index, events + blanks)

    @property
    def produced_early(self) -> int:
        """How many items were made before the first chunk was asked for."""
        first = self.first_pull_produced
        return self.produced if first is None else first
