"""The facts of one stream, as users read them: no I/O, no opinion.

A :class:`StreamRecord` is a window on a tape that is still being written: it changes while the
stream goes on, and it cannot be changed through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, overload

from werkzeug.datastructures import Headers

from . import transcript
from .tape import State, Tape, Teardown

if TYPE_CHECKING:  # a source tells the tape of itself, so its module stands above this one
    from .source import Source


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """The facts of one chunk that the app handed to the server.

    ``index``
        Its number, from 0.
    ``size``
        Its bytes. An empty chunk counts.
    ``at``
        When it was handed over, in seconds since the request began.
    ``waited``
        How long the pull took, in seconds.
    ``produced``
        How many items the view's iterable had given by then.
    ``template_events``
        How many non-empty events of Jinja's ``Template.generate()`` are in it.
    ``request_context``
        Whether the context of this request was active when it was yielded.
    ``app_context``
        Whether a context of this app was.
    """

    index: int
    size: int
    at: float
    waited: float
    produced: int
    template_events: int
    request_context: bool
    app_context: bool


class ChunkRecords(Sequence[ChunkRecord]):
    """The chunks of a record: a sequence, of which each element is made when it is asked for."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def __len__(self) -> int:
        return self._tape.delivered

    @overload
    def __getitem__(self, index: int) -> ChunkRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[ChunkRecord]: ...
    def __getitem__(self, index: int | slice) -> ChunkRecord | list[ChunkRecord]:
        if isinstance(index, slice):
            return [self._make(i) for i in range(*index.indices(len(self)))]
        return self._make(range(len(self))[index])

    def _make(self, index: int) -> ChunkRecord:
        tape = self._tape
        request, app = tape.contexts[index]
        return ChunkRecord(
            index=index,
            size=tape.body.size_of(index),
            at=tape.at[index] - tape.began,
            waited=tape.waited[index],
            produced=tape.lead[index] + index,
            template_events=tape.events[index],
            request_context=request,
            app_context=app,
        )

    def __repr__(self) -> str:
        return f"<{transcript.counted(len(self), 'ChunkRecord')}>"


class StreamRecord:
    """What was seen of one stream; read-only. ``str()`` is the transcript.

    .. versionadded:: 0.1
    """

    __slots__ = ("_tape",)

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    @property
    def method(self) -> str:
        """The request's method."""
        return self._tape.method

    @property
    def path(self) -> str:
        """The request's path, without the query string."""
        return self._tape.path

    @property
    def query_string(self) -> str:
        """The request's query string, without its question mark; ``""`` where there is none."""
        return self._tape.query_string

    @property
    def endpoint(self) -> str | None:
        """The endpoint that Flask matched, or ``None``."""
        return self._tape.endpoint

    @property
    def status(self) -> str | None:
        """The status line, such as ``"200 OK"``; ``None`` as long as the app has given none."""
        return self._tape.status

    @property
    def headers(self) -> Headers:
        """The response's headers (a copy)."""
        return Headers(self._tape.headers)

    @property
    def streamed(self) -> bool | None:
        """Whether the view handed over an iterator; ``None`` if no Flask view answered."""
        return self._tape.streamed

    @property
    def produced(self) -> int:
        """How many items the view's iterable has given so far."""
        return self._tape.produced

    @property
    def delivered(self) -> int:
        """How many chunks the app has handed over so far."""
        return self._tape.delivered

    @property
    def state(self) -> State:
        """``"open"``, ``"exhausted"``, ``"failed"``, ``"closed"`` or ``"timeout"``."""
        return self._tape.state

    @property
    def error(self) -> BaseException | None:
        """The exception that ended the stream, or ``None``."""
        return self._tape.error

    @property
    def chunks(self) -> Sequence[ChunkRecord]:
        """The facts of each chunk that the app handed over."""
        return ChunkRecords(self._tape)

    @property
    def sources(self) -> list[Source[Any]]:
        """Each ``Source`` made or read during this request (a copy)."""
        return cast("list[Source[Any]]", list(self._tape.sources))

    @property
    def teardowns(self) -> list[Teardown]:
        """Each run of the teardown functions so far (a copy)."""
        return list(self._tape.teardowns)

    def transcript(self, *, times: bool = True, limit: int | None = None) -> str:
        """Give the record as text.

        :param times: Write how long each pull took. Without, the text is the same from run to
            run and can be kept as a snapshot.
        :param limit: Show at most so many chunks from either end; ``None`` shows all.
        """
        return transcript.render(self._tape, times=times, limit=limit)

    def __str__(self) -> str:
        return self.transcript()

    def __repr__(self) -> str:
        tape = self._tape
        return (
            f"<StreamRecord {transcript.summary(tape)} {tape.state}:"
            f" {transcript.counted(tape.delivered, 'chunk')} delivered,"
            f" {transcript.counted(tape.produced, 'item')} produced>"
        )
