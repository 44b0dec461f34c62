"""What is said of a Flask context that was not there when a body was made."""

from __future__ import annotations

import re
from traceback import walk_tb
from types import FrameType

from .complete import page_instead
from .context import missing_context_kind
from .early import early_cause, early_remedy
from .finding import Finding, named_view
from .frames import iter_outward_in_app, raising_user_place
from .tape import Tape
from .transcript import counted

_PROXIES = {"request": "request|session", "app": "current_app|g"}
# Neither an attribute of something else (`db.session`), nor a keyword, nor a string of that name.
_PROXY = r"(?:(?<=\bflask\.)|(?<![\w.\"']))({})\b(?!\s*=(?!=)|[\"'])"
_NAMES = {"request": "request", "app": "application"}


COMPLETE = (
    "what answered was made before it was sent, and needs no context any more",
    "claim this of a body that is streamed; assert_streamed() says why this one is not",
)
"""Cause and remedy where something is claimed of a complete body that is meant for streams."""


def find_missing_context(error: BaseException | None) -> RuntimeError | None:
    """Find Flask's missing-context error: the one given, or one that it was raised from."""
    while error is not None:
        if isinstance(error, RuntimeError) and missing_context_kind(error) is not None:
            return error
        error = error.__cause__
    return None


def missing_context_cause(error: BaseException, tape: Tape) -> str:
    """Say who touched what without the context that it needs."""
    kind = missing_context_kind(error) or "request"
    name = _NAMES[kind]
    place = raising_user_place(error.__traceback__)
    if place is None:
        return f"the {name} context was gone when the body was made"
    touched = re.search(_PROXY.format(_PROXIES[kind]), place.source)
    if touched:
        what = f"touched {touched[1]} when the {name} context was gone"
    else:
        what = f"needed the {name} context when it was gone"
    thread = _thread_of(error)
    if thread is not None:
        what = f"{what.partition(' when ')[0]} in {thread}, which has no context of Flask's"
        return f"{place.function} {what}: {place}"
    return f"{place.function} {what}: {place}; {_stock_client(tape)}"


def _thread_of(error: BaseException) -> str | None:
    """Name the thread it was raised in, where that is one of the app's own, which handed it on."""
    frames = [frame for frame, _line in walk_tb(error.__traceback__)]
    if any(_module(frame) == "concurrent.futures.thread" for frame in frames):
        return "a pool's thread"
    callers = (caller for frame in frames for caller in iter_outward_in_app(frame))
    return "a thread" if any(_module(caller) == "threading" for caller in callers) else None


def _module(frame: FrameType) -> object:
    return frame.f_globals.get("__name__")


def missing_context_remedy(kind: str | None, error: BaseException | None = None) -> str:
    """Say how the body gets its context."""
    thread = None if error is None else _thread_of(error)
    if thread is not None:
        who = thread.removeprefix("a ").partition("'")[0]
        return f"give the {who} copy_current_request_context(function), made in the view, to call"
    wrap = "wrap the generator: stream_with_context(generate())"
    if kind == "app":
        return f"{wrap}, or push one in it: with app.app_context()"
    return f"{wrap}, or read what it needs of the request in the view"


def why_it_ended(tape: Tape) -> list[str]:
    """Give cause and remedy as lines, if a streamed body ended for want of a context."""
    found = find_missing_context(tape.error) if tape.streamed else None
    if found is None:
        return []
    remedy = missing_context_remedy(missing_context_kind(found), found)
    return [f"  cause:   {missing_context_cause(found, tape)}", f"  remedy:  {remedy}"]


def _stock_client(tape: Tape) -> str:
    if tape.ambient:
        return "under Flask's client it would have found one that the test has pushed"
    return "a context that is pushed in the test would have hidden it from Flask's client"


def no_request_context(tape: Tape, indexes: list[int]) -> Finding:
    """Chunks came without the context of their request."""
    first = indexes[0]
    _request, app = tape.contexts[first]
    other = "an app context of this app was active" if app else "no context was active"
    cause = (
        f"what {named_view(tape)} handed over runs after the request context was popped;"
        f" {_stock_client(tape)}"
    )
    remedy = missing_context_remedy("request")
    if not tape.streamed:
        cause, remedy = page_instead(tape) or COMPLETE
    elif tape.produced_early:
        cause, remedy = early_cause(tape.early), early_remedy(tape)
    elif not _items_in(tape, first):
        cause, remedy = _made_outside(tape, first)
    elif tape.exhausted_at is not None and tape.exhausted_at <= first:
        cause, remedy = _held_back(tape, first)
    return Finding(
        "ran without its request context",
        f"{len(indexes)} of {counted(tape.delivered, 'chunk')}, the first of them chunk {first},"
        f" where {other}",
        cause,
        remedy,
    )


def _items_in(tape: Tape, index: int) -> int:
    """Count what the view's iterable gave for a chunk."""
    before = tape.lead[index - 1] + index - 1 if index else 0
    return tape.lead[index] + index - before


def _made_outside(tape: Tape, index: int) -> tuple[str, str]:
    return (
        f"chunk {index} is none of what {named_view(tape)} yields: an after_request function or a"
        " WSGI layer adds it, where no context is kept",
        "yield it in the generator that is wrapped, or claim the chunks that have a context:"
        " stream.record.chunks",
    )


def _held_back(tape: Tape, index: int) -> tuple[str, str]:
    holder = "an after_request function or a WSGI layer holds it back"
    if tape.early is not None:
        holder = early_cause(tape.early)
    return (
        f"what {named_view(tape)} handed over had come to its end, and its context with it, when"
        f" chunk {index} came; {holder}",
        "hand each chunk on as it comes, or claim the chunks that have a context:"
        " stream.record.chunks",
    )


def other_context_error(tape: Tape, error: BaseException, kind: str) -> Finding:
    """Another context is missing than was claimed."""
    actual = missing_context_kind(error) or ""
    return Finding(
        f"did not miss the {kind} context",
        f"the {actual} context was missing, after {counted(tape.delivered, 'chunk')}",
        missing_context_cause(error, tape),
        f"claim kind={actual!r}, or mend what touches the {actual} context first",
    )
