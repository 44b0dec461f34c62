"""The claims about what a stream leaves behind. They judge on where an error has ended it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import Context

import flask

from .assertions import Claims
from .complete import page_instead
from .context import missing_context_kind
from .errors import StreamTimeout
from .finding import Finding, called, is_bodiless, named_view
from .missing import COMPLETE, find_missing_context, missing_context_cause, missing_context_remedy
from .tape import Tape, Teardown
from .transcript import counted, shown_error

WRAP = "keep the context while the body is sent: stream_with_context(generate())"


class CleanupClaims(Claims):
    """The ``assert_*`` methods about teardown and closing."""

    def close(self) -> None:
        """Let the client go away."""
        raise NotImplementedError

    def _context_left(self) -> str | None:
        """Name the Flask context that is left in the stream's Context, if one is."""
        raise NotImplementedError

    def assert_teardown_after_stream(self) -> None:
        """Claim that the teardown functions ran once, and after the last chunk.

        What a teardown function takes away (a database session, a temporary file) is there for
        the whole body then. Flask 3.1.2 and 3.1.3 run them before the first chunk too, whatever
        the app does; the text says so. Reads to the end; an error that ends the stream does not
        fail this claim, unless it comes in place of the first chunk and they had run before it.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        claim = called("assert_teardown_after_stream")
        self._quietly(self._read_out)
        tape = self._tape
        if isinstance(tape.error, StreamTimeout):
            raise tape.error
        finding = _teardown_finding(tape)
        if finding is not None:
            self._fail(claim, finding)

    def assert_cleaned_up(self) -> None:
        """Claim that the stream leaves nothing behind.

        Closes the stream if it is open, as a client does that leaves. Then it holds when
        ``close()`` reached the view's iterable, or that was read out; its generator is finished;
        the teardown functions ran; no Flask context is left in the stream's Context; and every
        :class:`Source` made or read during this request that has a ``close()`` is closed or read
        out. An error that ended the stream does not fail this claim; one that closing raises does.

        .. versionadded:: 0.1
        """
        __tracebackhide__ = True
        claim = called("assert_cleaned_up")
        tape = self._tape
        self._quietly(self.close)
        if isinstance(tape.error, StreamTimeout):
            raise tape.error
        if tape.closing_raised and tape.error is not None:
            self._fail(claim, _close_raised(tape, tape.error), cause=tape.error)
        for finding in _left_behind(tape, self._context_left):
            self._fail(claim, finding)


# Teardown


def _teardown_finding(tape: Tape) -> Finding | None:
    requests = [teardown for teardown in tape.teardowns if teardown.kind == "request"]
    apps = [teardown for teardown in tape.teardowns if teardown.kind == "app"]
    if not requests:
        return _teardown_failed(tape) if apps else _no_teardown(tape)
    if len(requests) > 1 or len(apps) > 1:
        return _torn_down_twice(tape, max(requests, apps, key=len))
    early = [teardown for teardown in tape.teardowns if teardown.delivered < tape.delivered]
    if early:
        seen = f"after {early[0].delivered} of {counted(tape.delivered, 'chunk')}"
        return _torn_down_early(tape, early[0], seen)
    failed = tape.state == "failed" and not tape.closing_raised
    if failed and tape.torn_down_unread and not tape.delivered:
        return _torn_down_early(tape, requests[0], "before chunk 0, and an error came in its place")
    return None


def _no_teardown(tape: Tape) -> Finding:
    return Finding(
        "was not torn down",
        f"no teardown function ran; {counted(tape.delivered, 'chunk')}, {tape.state}",
        "no Flask request was made, or its context is still pushed somewhere",
        "see assert_cleaned_up()",
    )


def _teardown_failed(tape: Tape) -> Finding:
    cause = "a teardown_request function raised, and those behind it never ran"
    if tape.error is not None:
        cause += f": {shown_error(tape.error, tape)}"
    return Finding(
        "was not torn down to the end",
        "the teardown functions of the request did not all run;"
        f" {counted(tape.delivered, 'chunk')}, {tape.state}",
        cause,
        "let teardown functions not fail, or catch their errors in there",
    )


def _torn_down_early(tape: Tape, teardown: Teardown, when: str) -> Finding:
    cause = (
        f"what {named_view(tape)} handed over does not keep the context: Flask pops it when the"
        " view has returned, and whatever its teardown functions close is closed for the generator"
    )
    return Finding(
        "was torn down before its last chunk",
        f"the teardown functions of the {teardown.kind} context ran {when}",
        *((cause, WRAP) if tape.streamed else page_instead(tape) or COMPLETE),
    )


def _torn_down_twice(tape: Tape, runs: list[Teardown]) -> Finding:
    moments = ", ".join(f"after {teardown.delivered}" for teardown in runs)
    seen = (
        f"the teardown functions ran {len(runs)} times: {moments} of"
        f" {counted(tape.delivered, 'chunk')}"
    )
    # A layer may have added chunks of its own, which have no context.
    flags = [request for _, (request, _app) in tape.contexts.spans(tape.delivered)]
    kept = any(flags) or not flags
    around = [teardown.delivered for teardown in runs] == [0, tape.delivered]
    if kept and around and Context().run(_flask_tears_down_twice):
        return Finding(
            "was torn down twice",
            seen,
            f"this is Flask {_flask_version()}, not the app: 3.1.2 and 3.1.3 also run them before"
            " the first chunk of a stream_with_context; 3.1.1 and 3.2 run them once",
            "use another version of Flask, or make the functions bear to be run twice",
        )
    return Finding(
        "was torn down twice",
        seen,
        "a context of this request was pushed and popped once more, in a generator or a thread",
        "push it once, and let it end with the stream",
    )


def _flask_tears_down_twice() -> bool:
    """Try whether ``stream_with_context`` lets go of the context when the view has returned."""
    with flask.Flask(__name__).test_request_context():
        kept = flask.stream_with_context(iter(()))
    lets_go = not flask.has_request_context()
    kept.close()  # type: ignore[attr-defined]
    return lets_go


def _flask_version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - only a failing claim needs it

    return version(flask.__name__)


# What is left behind


def _left_behind(tape: Tape, context_left: Callable[[], str | None]) -> Iterator[Finding]:
    if tape.streamed and tape.closable and not tape.view_closed and tape.exhausted_at is None:
        yield _close_lost(tape)
    if tape.generator_unfinished is not None and tape.generator_unfinished():
        yield _generator_left(tape)
    if tape.streamed is not None and not tape.teardowns:
        yield _no_teardown(tape)
    left = context_left()
    if left is not None:
        yield _context_left_finding(tape, left)
    for source in tape.sources:
        if source.left_open:
            yield _source_left(tape, source.name, source.pulled)


def _close_lost(tape: Tape) -> Finding:
    return Finding(
        "was not closed",
        f"close() did not reach what {named_view(tape)} handed over;"
        f" {counted(tape.produced, 'item')} produced, {counted(tape.delivered, 'chunk')} delivered",
        "an after_request function or a WSGI layer handed on another iterable, without passing"
        " close() on (PEP 3333); the finally blocks run by luck, when the collector comes by",
        "wrap with werkzeug.wsgi.ClosingIterator(new, old.close), or set response.response and let"
        " call_on_close() close the old one",
    )


def _generator_left(tape: Tape) -> Finding:
    return Finding(
        "left its generator unfinished",
        f"the generator of {named_view(tape)} is suspended after {counted(tape.produced, 'item')}",
        "it went on after GeneratorExit, or was never closed",
        "let GeneratorExit out of the generator: catch Exception, not BaseException, around yield",
    )


def _context_left_finding(tape: Tape, left: str) -> Finding:
    return Finding(
        "left a Flask context behind",
        f"the {left} context is still active where the stream ran; {tape.state}",
        "it was pushed without being popped, or its generator was never finished; the next request"
        " on this server's thread would see it",
        "push contexts with a with block, and close what stream_with_context() wraps",
    )


def _source_left(tape: Tape, name: str, pulled: int) -> Finding:
    return Finding(
        f"left {name!r} open",
        f"source {name!r} was neither closed nor read out; {counted(pulled, 'item')} pulled,"
        f" {counted(tape.delivered, 'chunk')} delivered",
        *_why_left_open(tape),
    )


def _why_left_open(tape: Tape) -> tuple[str, str]:
    cause = f"nobody closes it when {_how_it_ended(tape)}"
    if tape.streamed is False:
        return cause, "close it in the view, in a with or finally block"
    if tape.passthrough:
        if not is_bodiless(tape):
            cause += "; with direct_passthrough the functions of call_on_close() never run"
        return (
            cause,
            "leave direct_passthrough away, or hand over an iterable whose close() closes it",
        )
    if _never_started(tape):
        return (
            f"{cause}: a generator that never starts runs no finally block",
            "close it in response.call_on_close(), or open it in the generator that closes it",
        )
    return (
        cause,
        "close it in response.call_on_close(), or in a with or finally block of the generator,"
        " which runs only once the generator was started",
    )


def _never_started(tape: Tape) -> bool:
    began = tape.produced or tape.exhausted_at is not None or tape.state == "failed"
    return tape.body_type == "generator" and not began


def _how_it_ended(tape: Tape) -> str:
    if tape.streamed is False:
        return "the view has answered"
    if is_bodiless(tape):
        return "no body is sent"
    if tape.state == "failed":
        return "an error ends the body"
    if tape.exhausted_at is not None:
        return "the body comes to its end"
    return "the client leaves"


def _close_raised(tape: Tape, error: BaseException) -> Finding:
    return Finding(
        "could not be closed",
        f"close() raised {type(error).__name__} after {counted(tape.delivered, 'chunk')}",
        *_why_closing_failed(tape, error),
    )


def _why_closing_failed(tape: Tape, error: BaseException) -> tuple[str, str]:
    if "ignored GeneratorExit" in str(error):
        return (
            "the generator yields again after GeneratorExit: it catches BaseException around yield",
            "let GeneratorExit out of the generator: catch Exception, not BaseException, around"
            " yield",
        )
    missing = find_missing_context(error)
    if missing is not None:
        remedy = missing_context_remedy(missing_context_kind(missing), missing)
        return missing_context_cause(missing, tape), remedy
    return shown_error(error, tape), "let cleaning up not fail, or catch its errors in there"
