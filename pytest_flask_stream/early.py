"""What is said of a body that was read before it was asked for: by whom, and what to do."""

from __future__ import annotations

from .finding import Finding, amount, declared_length
from .tape import EarlyRead, Tape
from .transcript import counted

_COUNTING_REMEDY = (
    "count the bytes in response.call_on_close(), or skip responses whose is_streamed is true"
)
_COUNTING = ("content_length", "len(")
_LAYER_REMEDY = (
    "pass the iterable on as the app gave it, or yield each chunk as it comes, and pass close() on"
)
_OTHER_REMEDY = "leave the body alone of responses whose is_streamed is true"
_MERGE_REMEDY = (
    "hand each chunk on as it comes, and leave out responses that are streamed where that"
    " cannot be done"
)


def read_early(tape: Tape) -> Finding:
    """Items were made before the first pull, or the iterable was read out for the first chunk."""
    total = counted(tape.produced, "item")
    if tape.produced_early:
        were = "was" if tape.produced_early == 1 else "were"
        how = f"{tape.produced_early} of {total} {were} produced before the first pull"
    else:
        first = tape.lead[0]
        how = f"the iterable was read out, {counted(first, 'item')}, before chunk 0 was handed over"
    return Finding(
        "was not streamed",
        f"{how}; {amount(tape)}{declared_length(tape)}",
        early_cause(tape.early),
        early_remedy(tape),
    )


def not_lazy(tape: Tape, index: int, read_ahead: int) -> Finding:
    """More items were made than chunks were asked for."""
    produced = tape.lead[index] + index
    allowed = index + 1 + read_ahead
    remedy = early_remedy(tape)
    if not tape.produced_early:
        remedy += "; where reading ahead is meant, assert_lazy(read_ahead=…)"
    return Finding(
        "is not lazy",
        f"{counted(produced, 'item')} were produced when chunk {index} was handed over,"
        f" at most {allowed} {'was' if allowed == 1 else 'were'} allowed;"
        f" {amount(tape)}{declared_length(tape)}",
        early_cause(tape.early),
        remedy,
    )


def early_cause(early: EarlyRead | None) -> str:
    """Say who read the body before it was asked for."""
    if early is None:
        return "something between the view and the server read it; no line of it was seen"
    place = "" if early.place is None else f": {early.place}"
    return f"{early.reader} read the body{place}"


def early_remedy(tape: Tape) -> str:
    """Say what who reads the body early had better do."""
    early = tape.early
    if early is not None and early.reader.startswith("WSGI layer "):
        return _LAYER_REMEDY
    if not tape.produced_early:
        return _MERGE_REMEDY
    if early is not None and early.reader.startswith("after_request ") and _counts(early):
        return _COUNTING_REMEDY
    return _OTHER_REMEDY


def _counts(early: EarlyRead) -> bool:
    source = early.place.source if early.place is not None else ""
    return any(sign in source for sign in _COUNTING)
