"""Why a claim does not hold: a tape and a claim become a finding. Pure; knows no test runner.

What a claim of another kind says of an early reader is in :mod:`.early`, of a missing Flask
context in :mod:`.missing`; how a finding is written down is in :mod:`.finding`.
"""

from __future__ import annotations

from .body import Body
from .complete import complete_body, page_instead, status_page
from .context import missing_context_kind
from .early import early_cause, early_remedy
from .finding import Finding, amount, declared_length, is_bodiless, named_view
from .missing import find_missing_context, missing_context_cause, missing_context_remedy
from .search import OrderedSearch
from .tape import Tape
from .torn_down import OPEN_IT_THERE, speaks_of_teardown, teardown_functions
from .transcript import counted, shown_bytes, shown_bytes_around, shown_error

# Not streamed


def not_streamed(tape: Tape) -> Finding:
    """The view handed over no iterator."""
    received = f"{amount(tape)}{declared_length(tape)}"
    if tape.streamed is None:
        return Finding(
            "was not streamed by a Flask view",
            f"no view was reached; {received}",
            "a WSGI layer in front of the app answered, or the request never got to Flask",
            "test the layer itself with read() and assert_chunks(), or ask for a path it lets pass",
        )
    page = status_page(tape)
    if page is not None:
        seen = f"status {tape.status}, a complete body; {received}"
        return Finding("was not streamed", seen, *page)
    return Finding(
        "was not streamed",
        f"a complete body of {counted(tape.produced, 'part')} ({tape.body_type}); {received}",
        *complete_body(tape),
    )


# Ended otherwise than claimed


def ended_by_error(tape: Tape) -> Finding:
    """The app's error ended the stream."""
    error = tape.error
    found = find_missing_context(error)
    if found is not None:
        cause = missing_context_cause(found, tape)
        remedy = missing_context_remedy(missing_context_kind(found), found)
    else:
        when = "when the body was closed"
        if not tape.closing_raised:
            when = "while the body was being sent"
        cause = f"the app raised it {when}: {_the_error(tape)}"
        remedy = "mend the app, or claim the error with assert_raises()"
        if speaks_of_teardown(tape):
            cause += f"; {teardown_functions(tape)} had run by then"
            remedy = OPEN_IT_THERE
        text, marked, own = str(error).partition("\n  remedy:  ")
        if marked:  # what we raised, as a server would have
            cause = f"a server ends the response there: {text}"
            remedy = own.partition("\n")[0]
    return Finding(
        f"ended in {type(error).__name__}",
        f"{type(error).__name__} after {counted(tape.delivered, 'chunk')}",
        cause,
        remedy,
    )


def _the_error(tape: Tape) -> str:
    return "" if tape.error is None else shown_error(tape.error, tape)


def no_chunks(tape: Tape) -> Finding:
    """There is nothing to judge."""
    verdict = "has no chunk that a context could be seen of"
    return Finding(verdict, f"no chunk; {counted(tape.produced, 'item')} produced", *empty(tape))


def empty(tape: Tape) -> tuple[str, str]:
    """Give cause and remedy of a body that is empty."""
    if is_bodiless(tape):
        remedy = "ask with GET" if tape.method == "HEAD" else "send a body with another status"
        return f"a response to {tape.method} with status {tape.status} has no body", remedy
    if tape.state == "closed":
        return _LEFT
    if tape.early is not None:
        return early_cause(tape.early), early_remedy(tape)
    if tape.ambient:
        return (
            "the iterable gave nothing; the test has a Flask context pushed, and what it has not"
            " committed in there (rows of a database session) the app cannot see",
            "commit before the request, or open the stream with isolate=False",
        )
    return f"what {named_view(tape)} handed over gave nothing", "see that it has something to yield"


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


def incomplete(tape: Tape, arrived: Body) -> Finding:
    """The client left, or the length is not the declared one."""
    if tape.state == "closed":
        seen = f"{amount(tape, arrived)}, then disconnect()"
        return Finding("did not end by itself", seen, *_LEFT)
    declared = tape.headers.get("Content-Length")
    return Finding(
        "is not complete",
        f"{counted(tape.body.size, 'byte')} came, Content-Length: {declared}",
        f"{named_view(tape)} or a layer behind it declares another length than it sends",
        "leave Content-Length away where the length is not known before",
    )


# Chunks


def too_few(tape: Tape, count: int, wanted: int) -> Finding:
    """The stream ended before there were so many chunks."""
    if tape.early is not None:
        otherwise = early_cause(tape.early), early_remedy(tape)
    elif tape.streamed is False:
        otherwise = page_instead(tape) or complete_body(tape)
    elif tape.produced > tape.delivered:
        otherwise = f"a layer behind {named_view(tape)} merges its items", _MEND
    elif tape.delivered > count:
        otherwise = _fewer_on_the_wire(tape, count)
    else:
        otherwise = f"{named_view(tape)} yields no more", _MEND
    cause, remedy = ended_early(tape, otherwise)
    return Finding(
        f"gave fewer than {counted(wanted, 'chunk')}", _count(tape, count), cause, remedy
    )


def too_many(tape: Tape, count: int, wanted: int) -> Finding:
    """There are more chunks than claimed."""
    cause = f"{named_view(tape)} yields more"
    if tape.delivered < count:
        cause = f"{_NO_FRAMES}, and came in more pieces than the app gave"
    elif tape.lead[count - 1] < 1:
        cause = f"a layer behind {named_view(tape)} cuts up what it yields"
    return Finding(f"gave more than {counted(wanted, 'chunk')}", _count(tape, count), cause, _MEND)


def _fewer_on_the_wire(tape: Tape, count: int) -> tuple[str, str]:
    """Give cause and remedy where the app gave more chunks than arrived: over a socket only."""
    body = tape.body
    empty = sum(not body.size_of(index) for index in range(len(body)))
    if count == tape.delivered - empty:
        cause = f"{empty} of the app's {counted(tape.delivered, 'chunk')} had no bytes"
        return f"{cause}: nothing is sent for them over the wire", "claim the chunks that are sent"
    return f"{_NO_FRAMES}: what arrives together is one chunk", "claim the content of the body"


_NO_FRAMES = "the body went over the wire without frames"
_MEND = "mend the app, or the claim"


def _count(tape: Tape, count: int) -> str:
    so_far = " read so far" if tape.state == "open" else ""
    return f"{counted(count, 'chunk')}{so_far}, {counted(tape.produced, 'item')} produced"


def different_chunk(tape: Tape, index: int, expected: bytes, actual: bytes) -> Finding:
    """A chunk is another one than claimed."""
    pairs = enumerate(zip(expected, actual, strict=False))
    shorter = min(len(expected), len(actual))
    same = next((at for at, (one, other) in pairs if one != other), shorter)
    remedy = (
        "claim the chunks as they are cut, or the text with read_text() where the cut is of no"
        " concern"
    )
    page = page_instead(tape)
    if page is not None:
        cause, remedy = page
    elif tape.early is not None:
        cause = early_cause(tape.early)
    elif same == shorter:
        cause = "the body is cut elsewhere than claimed"
    else:
        cause = f"{named_view(tape)} yields other bytes than claimed"
    return Finding(
        f"differs in chunk {index}",
        f"chunk {index} is {shown_bytes_around(actual, same)} ({counted(len(actual), 'byte')}),"
        f" expected {shown_bytes_around(expected, same)} ({counted(len(expected), 'byte')}), first"
        f" difference at byte {same}",
        cause,
        remedy,
    )


# Templates


def not_buffered(tape: Tape, size: int, index: int, last: int) -> Finding:
    """A chunk is made of another number of template events than claimed."""
    events, pieces = tape.events[index], tape.pieces[index]
    shown = f"{counted(events, 'non-empty event')} ({counted(pieces, 'event')} in all)"
    what = "the last chunk" if index == last else f"chunk {index}"
    if tape.early is not None:
        cause = early_cause(tape.early)
    elif not pieces:
        cause = f"{what} was made by something else than a template"
    elif size == 1:
        cause = f"{named_view(tape)} buffers its template"
    else:
        cause = f"{named_view(tape)} streams its template with another buffer, or with none"
    return Finding(
        f"is not a template streamed {_buffering(size)}",
        f"{what} of {tape.delivered} was made of {shown}",
        cause,
        f"set the buffer that is meant: {_buffer_remedy(size)}",
    )


def no_template(tape: Tape, size: int) -> Finding:
    """No template was streamed."""
    if tape.streamed and not tape.delivered and (is_bodiless(tape) or tape.state == "closed"):
        cause, remedy = empty(tape)
    else:
        cause, remedy = page_instead(tape) or (
            f"{named_view(tape)} sends no template, or one that was rendered at once",
            f"stream it: {_buffer_remedy(size)}",
        )
    return Finding(
        f"is not a template streamed {_buffering(size)}",
        f"no template was streamed; {amount(tape)}{declared_length(tape)}",
        cause,
        remedy,
    )


def _buffering(size: int) -> str:
    return "event by event" if size == 1 else f"in buffers of {size} events"


def _buffer_remedy(size: int) -> str:
    if size == 1:
        return "stream_template(name, …), or template.stream(…) without enable_buffering()"
    return f"template.stream(…) with enable_buffering({size})"


# Content


def not_in_order(tape: Tape, arrived: Body, search: OrderedSearch) -> Finding:
    """A fragment does not come after the one before it."""
    number = len(search.found)
    fragment = shown_bytes(search.fragments[number])
    where = f"after byte {_end_of_last(search)}" if number else "anywhere"
    earlier = b"".join(arrived.kept).find(search.fragments[number])
    otherwise = page_instead(tape) or (f"{named_view(tape)} does not yield it", _MEND)
    seen = f"fragment {number}, {fragment}, does not occur {where} in {amount(tape, arrived)}"
    if number and earlier >= 0:
        seen += f"; it occurs at byte {earlier}"
        otherwise = ("the fragments come in another order", _MEND)
    cause, remedy = ended_early(tape, otherwise)
    return Finding("has not these fragments in this order", seen, cause, remedy)


def _end_of_last(search: OrderedSearch) -> int:
    last = len(search.found) - 1
    return search.found[last] + len(search.fragments[last])


def not_found(tape: Tape, arrived: Body, taken: int, condition: object) -> Finding:
    """``take_until()`` came to the end."""
    where = _delivered_before(arrived, condition)
    if where is not None:
        cause = f"an earlier read has taken it: {where}"
        remedy = "call take_until() before what reads that far, or look at .chunks"
    else:
        cause, remedy = ended_early(
            tape,
            page_instead(tape)
            or (f"{named_view(tape)} does not yield it", "mend the app, or the condition"),
        )
    return Finding(
        "ended before the condition was true",
        f"{counted(taken, 'chunk')} taken by this call, {amount(tape, arrived)} in all",
        cause,
        remedy,
    )


def _delivered_before(arrived: Body, condition: object) -> str | None:
    """Say which chunks hold what was waited for; the first of them was taken before then."""
    fragment = condition.encode() if isinstance(condition, str) else condition
    if not isinstance(fragment, bytes):
        return None
    kept = arrived.kept
    search = OrderedSearch([fragment])
    last = next((index for index, chunk in enumerate(kept) if search.feed(chunk)), None)
    if last is None:
        return None
    first, end = 0, len(kept[0])
    while end <= search.found[0]:
        first += 1
        end += len(kept[first])
    if first == last:
        return f"chunk {first} holds it"
    return f"it begins in chunk {first} and ends in chunk {last}"


# Errors that were expected


def no_such_error(tape: Tape, types: tuple[type[BaseException], ...]) -> Finding:
    """The stream ends otherwise than in the error that was claimed."""
    wanted = " or ".join(expected.__name__ for expected in types)
    if tape.error is not None:
        return ended_by_error(tape)._replace(verdict=f"did not end in {wanted}")
    cause, remedy = ended_early(
        tape,
        (
            f"{named_view(tape)} raises nothing while it is read, or a layer turns its error into a"
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
    contexts = tape.contexts.spans(tape.delivered)
    with_request = sum(len(indexes) for indexes, (request, _app) in contexts if request)
    return found._replace(
        verdict=verdict,
        seen=f"{found.seen}; request context active in {with_request} of"
        f" {counted(tape.delivered, 'chunk')}",
        cause=f"what {named_view(tape)} handed over had the context, or did not touch it",
        remedy="claim assert_request_context() where the context is kept",
    )


def error_elsewhere(tape: Tape, after: int) -> Finding:
    """The error comes earlier or later than claimed."""
    return Finding(
        f"did not end after {counted(after, 'chunk')}",
        f"{type(tape.error).__name__} after {counted(tape.delivered, 'chunk')}",
        _the_error(tape),
        "mend the app, or after=",
    )


def error_without_match(tape: Tape, pattern: str) -> Finding:
    """The error says something else than claimed."""
    return Finding(
        f"did not end in an error that matches {pattern!r}",
        f"{type(tape.error).__name__}({str(tape.error)!r})",
        _the_error(tape),
        "mend the app, or match=",
    )
