"""What a failed claim says: a tape and a claim become lines of text. Pure; knows no test runner.

Every text has five parts in the same order: the claim as it was called; what was seen; the likely
cause, with the user's line where it can be known; the remedy; a short transcript.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .context import missing_context_kind
from .frames import raising_user_place
from .search import OrderedSearch
from .tape import EarlyRead, Tape
from .transcript import counted, render, shown_bytes, shown_error, target


class Finding(NamedTuple):
    """Why a claim does not hold: the end of its first line, and three of its parts."""

    verdict: str
    seen: str
    cause: str
    remedy: str


def failure(tape: Tape, claim: str, finding: Finding, limit: int | None) -> str:
    """Write the five parts down."""
    lines = [
        f"{claim}: {target(tape)} {finding.verdict}",
        f"  seen:    {finding.seen}",
        f"  cause:   {finding.cause}",
        f"  remedy:  {finding.remedy}",
        *("  " + line for line in render(tape, limit=limit).splitlines()),
    ]
    return "\n".join(lines)


_SHOWN_ARGUMENT = 60


def called(name: str, *args: object, **kwargs: object) -> str:
    """Write a call down as it was made; keywords that are ``None`` were not given."""
    shown = [_shown(arg) for arg in args]
    shown += [f"{key}={_shown(value)}" for key, value in kwargs.items() if value is not None]
    return f"{name}({', '.join(shown)})"


def _shown(value: object) -> str:
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, tuple) and all(isinstance(part, type) for part in value):
        return f"({', '.join(part.__name__ for part in value)})"
    text = repr(value)
    return text if len(text) <= _SHOWN_ARGUMENT else f"{text[: _SHOWN_ARGUMENT - 1]}…"


# What was seen


def amount(tape: Tape) -> str:
    """Say how much came: ``1 chunk of 57 bytes``, ``3 chunks, 57 bytes``."""
    size = counted(tape.body.size, "byte")
    chunks = counted(tape.delivered, "chunk")
    return f"{chunks} of {size}" if tape.delivered == 1 else f"{chunks}, {size}"


def _length(tape: Tape) -> str:
    length = tape.headers.get("Content-Length")
    return "" if length is None else f", Content-Length: {length}"


def _view(tape: Tape) -> str:
    if tape.view is None:
        return "the view"
    return f"view {tape.view.function} ({tape.view})"


# Not streamed


def not_streamed(tape: Tape) -> Finding:
    """The view handed over no iterator."""
    if tape.streamed is None:
        return Finding(
            "was not streamed by a Flask view",
            f"no view was reached; {amount(tape)}{_length(tape)}",
            "a WSGI layer in front of the app answered, or the request never got to Flask",
            "test the layer itself with read() and assert_chunks(), or ask for a path it lets pass",
        )
    parts = counted(tape.produced, "part")
    seen = f"a complete body of {parts} ({tape.body_type}); {amount(tape)}{_length(tape)}"
    if (tape.status or "2")[0] in "345":
        return Finding(
            "was not streamed",
            f"status {tape.status}; {seen}",
            f"{_view(tape)} was answered by a page of status {tape.status}, which is complete",
            "mend the request, or follow_redirects=True where this is a redirect",
        )
    return Finding(
        "was not streamed",
        seen,
        f"{_view(tape)} handed over a complete body, not an iterator",
        "return the generator itself, as in Response(generate()): list(…), ''.join(…), jsonify and"
        " render_template make the whole body first",
    )


def read_early(tape: Tape) -> Finding:
    """Items were made before the first pull, or the iterable was read out for the first chunk."""
    total = counted(tape.produced, "item")
    if tape.produced_early:
        how = f"{tape.produced_early} of {total} were produced before the first pull"
    else:
        first = tape.lead[0]
        how = f"the iterable was read out, {counted(first, 'item')}, before chunk 0 was handed over"
    return Finding(
        "was not streamed",
        f"{how}; {amount(tape)}{_length(tape)}",
        early_cause(tape.early),
        _EARLY_REMEDY if tape.produced_early else _MERGE_REMEDY,
    )


_EARLY_REMEDY = (
    "count the bytes in response.call_on_close(), or skip responses whose is_streamed is true"
)
_MERGE_REMEDY = (
    "hand each chunk on as it comes, and leave out responses that are streamed where that"
    " cannot be done"
)


def early_cause(early: EarlyRead | None) -> str:
    """Say who read the body before it was asked for."""
    if early is None:
        return "something between the view and the server read it; no line of it was seen"
    place = "" if early.place is None else f": {early.place}"
    return f"{early.reader} read the body{place}"


def not_lazy(tape: Tape, index: int, read_ahead: int) -> Finding:
    """More items were made than chunks were asked for."""
    produced = tape.lead[index] + index
    allowed = index + 1 + read_ahead
    return Finding(
        "is not lazy",
        f"{counted(produced, 'item')} were produced when chunk {index} was handed over,"
        f" at most {allowed} were allowed; {amount(tape)}{_length(tape)}",
        early_cause(tape.early),
        _EARLY_REMEDY
        if tape.produced_early
        else f"{_MERGE_REMEDY}; where reading ahead is meant, assert_lazy(read_ahead=…)",
    )


# Ended otherwise than claimed


def ended_by_error(tape: Tape) -> Finding:
    """The app's error ended the stream."""
    error = tape.error
    found = find_missing_context(error)
    seen = f"{type(error).__name__} after {counted(tape.delivered, 'chunk')}"
    if found is not None:
        return Finding(
            f"ended in {type(error).__name__}",
            seen,
            _missing_context_cause(found, tape),
            _context_remedy(missing_context_kind(found)),
        )
    return Finding(
        f"ended in {type(error).__name__}",
        seen,
        "the app raised it while the body was being sent: " + shown_error(error or Exception()),
        "mend the app, or claim the error with assert_raises()",
    )


def find_missing_context(error: BaseException | None) -> BaseException | None:
    """Find Flask's missing-context error: the one given, or one that it was raised from."""
    while error is not None:
        if missing_context_kind(error) is not None:
            return error
        error = error.__cause__
    return None


_PROXIES = {"request": r"\b(request|session)\b", "app": r"\b(g|current_app)\b"}


def _missing_context_cause(error: BaseException, tape: Tape) -> str:
    kind = missing_context_kind(error) or "request"
    name = {"request": "request", "app": "application"}[kind]
    place = raising_user_place(error.__traceback__)
    if place is None:
        return f"the {name} context was gone when the body was made"
    touched = re.search(_PROXIES[kind], place.source)
    what = f"touched {touched[1]}" if touched else "used it"
    cause = f"{place.function} {what} when the {name} context was gone: {place}"
    return f"{cause}; {_stock_client(tape)}"


def _stock_client(tape: Tape) -> str:
    if tape.ambient:
        return "the test has a context of its own pushed, and Flask's client would have shown that"
    return "a context that is pushed in the test would have hidden it from Flask's client"


def _context_remedy(kind: str | None) -> str:
    wrap = "wrap the generator: stream_with_context(generate())"
    if kind == "app":
        return f"{wrap}, or push one in it: with app.app_context()"
    return f"{wrap}, or read what it needs of the request in the view"


def no_request_context(tape: Tape, indexes: list[int]) -> Finding:
    """Chunks came without the context of their request."""
    first = indexes[0]
    _request, app = tape.contexts[first]
    other = "an app context of this app was active" if app else "no context was active"
    return Finding(
        "ran without its request context",
        f"{len(indexes)} of {counted(tape.delivered, 'chunk')}, the first of them chunk {first},"
        f" where {other}",
        f"what {_view(tape)} handed over runs after the request context was popped;"
        f" {_stock_client(tape)}",
        _context_remedy("request"),
    )


def no_chunks(tape: Tape) -> Finding:
    """There is nothing to judge."""
    verdict = "has no chunk that a context could be seen of"
    return Finding(verdict, f"no chunk; {counted(tape.produced, 'item')}", *empty(tape))


def empty(tape: Tape) -> tuple[str, str]:
    """Give cause and remedy of a body that is empty."""
    if tape.method == "HEAD" or (tape.status or "")[:3] in ("204", "304"):
        return f"a response to {tape.method} with status {tape.status} has no body", "ask with GET"
    if tape.state == "closed":
        return _LEFT
    if tape.ambient:
        return (
            "the iterable gave nothing; the test has a Flask context pushed, and what it has not"
            " committed in there (rows of a database session) the app cannot see",
            "commit before the request, or open the stream with isolate=False",
        )
    return f"what {_view(tape)} handed over gave nothing", "see that it has something to yield"


_LEFT = (
    "the client left before the end, and nothing more can come",
    "read as far as the claim goes, then disconnect()",
)


def ended_early(tape: Tape, otherwise: tuple[str, str]) -> tuple[str, str]:
    """Give cause and remedy where the stream is shorter than claimed."""
    if tape.state == "closed":
        return _LEFT
    if not tape.body.size:
        return empty(tape)
    return otherwise


def incomplete(tape: Tape) -> Finding:
    """The client left, or the length is not the declared one."""
    if tape.state == "closed":
        return Finding("did not end by itself", f"{amount(tape)}, then disconnect()", *_LEFT)
    declared = tape.headers.get("Content-Length")
    return Finding(
        "is not complete",
        f"{counted(tape.body.size, 'byte')} came, Content-Length: {declared}",
        f"{_view(tape)} or a layer behind it declares another length than it sends",
        "leave Content-Length away where the length is not known before",
    )


def wrong_count(tape: Tape, count: int, wanted: str, *, more: bool) -> Finding:
    """There are fewer or more chunks than claimed."""
    seen = f"{count} or more chunks" if tape.state == "open" else counted(count, "chunk")
    otherwise = (
        (early_cause(tape.early), _MERGE_REMEDY)
        if tape.early is not None
        else (f"{_view(tape)} yields so many", "mend the app, or the claim")
    )
    cause, remedy = otherwise if more else ended_early(tape, otherwise)
    return Finding(
        f"has not {wanted}",
        f"{seen}, {counted(tape.produced, 'item')} produced",
        cause,
        remedy,
    )


# Templates


def not_buffered(tape: Tape, size: int, index: int, last: int) -> Finding:
    """A chunk is made of another number of template events than claimed."""
    events, pieces = tape.events[index], tape.pieces[index]
    shown = f"{counted(events, 'non-empty event')} ({counted(pieces, 'event')} in all)"
    what = "the last chunk" if index == last else f"chunk {index}"
    if not pieces:
        cause = f"{what} was made by something else than a template"
    elif tape.early is not None:
        cause = early_cause(tape.early)
    elif size == 1:
        cause = f"{_view(tape)} buffers its template"
    else:
        cause = f"{_view(tape)} streams its template with another buffer, or with none"
    return Finding(
        f"is not a template streamed {buffering(size)}",
        f"{what} of {tape.delivered} was made of {shown}",
        cause,
        f"set the buffer that is meant: {_buffer_remedy(size)}",
    )


def no_template(tape: Tape, size: int) -> Finding:
    """No template was streamed."""
    return Finding(
        f"is not a template streamed {buffering(size)}",
        f"no template was streamed; {amount(tape)}{_length(tape)}",
        f"{_view(tape)} sends no template, or one that was rendered at once",
        f"stream it: stream_template(name, …), or {_buffer_remedy(max(size, 2))}",
    )


def buffering(size: int) -> str:
    """Say how a template is buffered."""
    return "event by event" if size == 1 else f"in buffers of {size} events"


def _buffer_remedy(size: int) -> str:
    if size == 1:
        return "stream_template(name, …), or template.stream(…) without enable_buffering()"
    return f"template.stream(…) with enable_buffering({size})"


# Content


def different_chunk(tape: Tape, index: int, expected: bytes, actual: bytes) -> Finding:
    """A chunk is another one than claimed."""
    pairs = enumerate(zip(expected, actual, strict=False))
    shorter = min(len(expected), len(actual))
    same = next((at for at, (one, other) in pairs if one != other), shorter)
    merged = actual.startswith(expected) or expected.startswith(actual)
    cause = (
        "the body is cut elsewhere than claimed"
        if merged
        else f"{_view(tape)} yields other bytes than claimed"
    )
    if tape.early is not None:
        cause = early_cause(tape.early)
    return Finding(
        f"differs in chunk {index}",
        f"chunk {index} is {shown_bytes(actual)} ({counted(len(actual), 'byte')}), expected"
        f" {shown_bytes(expected)} ({counted(len(expected), 'byte')}), first difference at byte"
        f" {same}",
        cause,
        "claim the chunks as they are cut, or the text with read_text() where the cut is of no"
        " concern",
    )


def not_in_order(tape: Tape, search: OrderedSearch) -> Finding:
    """A fragment does not come after the one before it."""
    number = len(search.found)
    fragment = shown_bytes(search.fragments[number])
    after = _end_of_last(search)
    where = f"after byte {after}" if number else "anywhere"
    earlier = b"".join(tape.body.kept).find(search.fragments[number])
    otherwise = (
        f"{_view(tape)} does not yield it",
        "mend the app, or the claim",
    )
    seen = f"fragment {number}, {fragment}, does not occur {where} in {amount(tape)}"
    if number and earlier >= 0:
        seen += f"; it occurs at byte {earlier}"
        otherwise = ("the fragments come in another order", "mend the app, or the claim")
    cause, remedy = ended_early(tape, otherwise)
    return Finding("has not these fragments in this order", seen, cause, remedy)


def _end_of_last(search: OrderedSearch) -> int:
    if not search.found:
        return 0
    last = len(search.found) - 1
    return search.found[last] + len(search.fragments[last])


def not_found(tape: Tape, taken: int) -> Finding:
    """``take_until()`` came to the end."""
    cause, remedy = ended_early(
        tape, (f"{_view(tape)} does not yield it", "mend the app, or the condition")
    )
    return Finding(
        "ended before the condition was true",
        f"{counted(taken, 'chunk')} taken by this call, {amount(tape)} in all",
        cause,
        remedy,
    )


# Errors that were expected


def no_such_error(tape: Tape, types: tuple[type[BaseException], ...]) -> Finding:
    """The stream ends otherwise than in the error that was claimed."""
    wanted = " or ".join(expected.__name__ for expected in types)
    if tape.error is not None:
        return ended_by_error(tape)._replace(verdict=f"did not end in {wanted}")
    cause, remedy = ended_early(
        tape,
        (
            f"{_view(tape)} raises nothing while it is read, or a layer turns its error into a"
            " clean end",
            "let the error out of the generator, or claim assert_complete()",
        ),
    )
    return Finding(
        f"did not end in {wanted}", f"{tape.state}, without an error; {amount(tape)}", cause, remedy
    )


def no_context_error(tape: Tape) -> Finding:
    """The stream does not end in Flask's missing-context error."""
    found = no_such_error(tape, (RuntimeError,))
    verdict = "did not end in a missing-context error"
    if tape.error is not None or tape.state == "closed" or not tape.delivered:
        return found._replace(verdict=verdict)
    contexts = [tape.contexts[index] for index in range(tape.delivered)]
    with_request = sum(request for request, _app in contexts)
    return found._replace(
        verdict=verdict,
        seen=f"{found.seen}; request context active in {with_request} of"
        f" {counted(len(contexts), 'chunk')}",
        cause=f"what {_view(tape)} handed over had the context, or did not touch it",
        remedy="claim assert_request_context() where the context is kept",
    )


def other_context_error(tape: Tape, error: BaseException, kind: str) -> Finding:
    """Another context is missing than was claimed."""
    actual = missing_context_kind(error) or ""
    return Finding(
        f"did not miss the {kind} context",
        f"the {actual} context was missing, after {counted(tape.delivered, 'chunk')}",
        _missing_context_cause(error, tape),
        f"claim kind={actual!r}, or mend what touches the {actual} context first",
    )


def error_elsewhere(tape: Tape, after: int) -> Finding:
    """The error comes earlier or later than claimed."""
    return Finding(
        f"did not end after {counted(after, 'chunk')}",
        f"{type(tape.error).__name__} after {counted(tape.delivered, 'chunk')}",
        shown_error(tape.error or Exception()),
        "mend the app, or after=",
    )


def error_without_match(tape: Tape, pattern: str) -> Finding:
    """The error says something else than claimed."""
    return Finding(
        f"did not end in an error that matches {pattern!r}",
        f"{type(tape.error).__name__}: {tape.error}",
        shown_error(tape.error or Exception()),
        "mend the app, or match=",
    )
