"""What is said where records and chunks do not go one by one. Pure; knows no test runner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .complete import page_instead
from .early import early_cause, early_remedy
from .finding import Finding, named_view
from .record_cuts import Cut, RecordFormat
from .tape import Tape
from .transcript import counted, shown_bytes

_NAMES: dict[RecordFormat, str] = {"line": "line", "ndjson": "NDJSON record", "sse": "SSE block"}


class Crowd(NamedTuple):
    """A chunk in which several records lie, from one to another, whole or in part."""

    chunk: int
    first: int
    last: int


class Tally:
    """Counts records that are split, and chunks that hold more than one; keeps the first of each.

    ``unended`` is the last record where its format does not take it for whole.
    """

    def __init__(self, cuts: Iterable[Cut]) -> None:
        __tracebackhide__ = True
        self.records: int = 0
        self.split: int = 0
        self.crowded: int = 0
        self.first_split: tuple[int, Cut] | None = None
        self.first_crowd: Crowd | None = None
        self.unended: Cut | None = None
        self._before = -1  # the chunk in which the record before ends
        self._crowd = -1  # the last chunk that holds more than one
        for cut in cuts:
            self._count(cut)

    @property
    def right(self) -> bool:
        """Whether each record came whole and alone in one chunk."""
        return not (self.split or self.crowded or self.unended)

    @property
    def only_unended(self) -> bool:
        """Whether nothing else is wrong than that the last record is not ended."""
        last = self.unended
        return last is not None and not self.crowded and self.split == (last.first != last.last)

    @property
    def split_comes_first(self) -> bool:
        """Whether a record is split before several are in one chunk."""
        if self.first_split is None or self.first_crowd is None:
            return self.first_crowd is None
        return self.first_split[0] <= self.first_crowd.first

    def _count(self, cut: Cut) -> None:
        number = self.records
        self.records += 1
        if cut.first != cut.last:
            self.split += 1
            self.first_split = self.first_split or (number, cut)
        if cut.first == self._before:
            self._join(cut.first, number)
        self._before = cut.last
        if not cut.ended:
            self.unended = cut

    def _join(self, chunk: int, number: int) -> None:
        if chunk != self._crowd:
            self.crowded += 1
            self._crowd = chunk
        first = self.first_crowd
        if first is None:
            self.first_crowd = Crowd(chunk, number - 1, number)
        elif first.chunk == chunk:
            self.first_crowd = first._replace(last=number)


def not_one_by_one(
    tape: Tape,
    kind: RecordFormat,
    chunks: list[bytes],
    tally: Tally,
) -> Finding:
    """Records are split, share a chunk, or the last one is not ended."""
    cause, remedy = _reason(tape, kind, tally)
    return Finding(
        f"does not send each {_NAMES[kind]} in a chunk of its own",
        _seen(chunks, tally),
        cause,
        remedy,
    )


def _seen(chunks: list[bytes], tally: Tally) -> str:
    first = _first_seen(chunks, tally)
    if tally.split + tally.crowded <= 1:
        return f"{first}; {counted(tally.records, 'record')} in {counted(len(chunks), 'chunk')}"
    return (
        f"{first}; in all, {tally.split} of {counted(tally.records, 'record')} {_are(tally.split)}"
        f" split, and {tally.crowded} of {counted(len(chunks), 'chunk')}"
        f" {'holds' if tally.crowded == 1 else 'hold'} more than one"
    )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _first_seen(chunks: list[bytes], tally: Tally) -> str:
    if tally.first_split is not None and tally.split_comes_first:
        number, cut = tally.first_split
        over = "and" if cut.last == cut.first + 1 else "to"
        parts = f"{shown_bytes(chunks[cut.first])} {over} {shown_bytes(chunks[cut.last])}"
        unended = " and not ended" if not cut.ended else ""
        return (
            f"record {number} is split over chunks {cut.first} {over} {cut.last}{unended}, {parts}"
        )
    if tally.first_crowd is not None:
        crowd = tally.first_crowd
        number = crowd.last - crowd.first + 1
        over = "and" if number == 2 else "to"
        held = f"{number} records, {crowd.first} {over} {crowd.last}"
        if tally.split:
            held += ", whole or in part"
        return f"chunk {crowd.chunk} holds {held}: {shown_bytes(chunks[crowd.chunk])}"
    last = tally.records - 1
    chunk = 0 if tally.unended is None else tally.unended.first
    return f"record {last}, in chunk {chunk}, is not ended: {shown_bytes(chunks[chunk])}"


def _reason(tape: Tape, kind: RecordFormat, tally: Tally) -> tuple[str, str]:
    view = named_view(tape)
    page = page_instead(tape)
    if tally.only_unended and page is None:
        return _unended(tape, view)
    if tape.streamed is False:
        return page or (
            f"{view} handed over a complete body, not an iterator",
            "return a generator that yields each record by itself",
        )
    if "Content-Encoding" in tape.headers:
        return (
            "the body is compressed, and what is not flushed waits in the compressor",
            "flush the compressor behind each record, or leave out responses that are streamed",
        )
    if tape.templates:
        return (
            f"{view} streams a template, whose events are no records",
            "yield each record by itself, from a generator",
        )
    if tape.produced != tape.delivered:
        return _layer(tape, view)
    return _view(view, kind, tally)


def _unended(tape: Tape, view: str) -> tuple[str, str]:
    if tape.state == "closed":
        return (
            "the client left before the record was ended",
            "read up to the end of a record, then disconnect()",
        )
    return (
        f"{view} does not end it: an SSE block is ended by an empty line, and clients drop one"
        " that is not",
        "yield the empty line with the record: '\\n\\n' behind its last field",
    )


def _layer(tape: Tape, view: str) -> tuple[str, str]:
    """The app hands over another number of chunks than the view has made items."""
    if tape.early is not None:
        return early_cause(tape.early), early_remedy(tape)
    does = "merges its items" if tape.produced > tape.delivered else "cuts up what it yields"
    return f"a layer behind {view} {does}", "mend the layer: hand each chunk on as it comes"


def _view(view: str, kind: RecordFormat, tally: Tally) -> tuple[str, str]:
    if not tally.split:
        cause = f"{view} yields several records at once"
    elif not tally.crowded:
        cause = f"{view} yields a record in several items"
    else:
        cause = f"{view} yields items that are cut elsewhere than between two records"
    end = "the empty line behind it" if kind == "sse" else "its line end"
    return cause, f"yield each record by itself, together with {end}"
