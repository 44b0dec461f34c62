"""What a server refuses of a WSGI application (PEP 3333), said so that its author can mend it."""

from __future__ import annotations

from .errors import StreamError, Transcript
from .tape import Tape


def no_iterable(given: object) -> TypeError:
    """The app returned something that cannot be iterated."""
    return TypeError(
        f"the app returned {given!r:.80}, no iterable of bytes (PEP 3333)\n"
        "  remedy:  return the iterable that the wrapped application gave, or a list"
    )


def not_bytes(tape: Tape, chunk: object) -> TypeError:
    """A chunk is something else than bytes."""
    return TypeError(
        f"chunk {tape.delivered} is {chunk!r:.80}, of type {type(chunk).__name__}: a server"
        " takes bytes only (PEP 3333)\n"
        f"  remedy:  yield {_what_to_yield(tape, chunk)}"
    )


def _what_to_yield(tape: Tape, chunk: object) -> str:
    view = f" of view {tape.view.function} ({tape.view})" if tape.view is not None else ""
    if tape.streamed is None:
        return "bytes from the WSGI layer that answers"
    if tape.passthrough:
        passed = "direct_passthrough hands the server what it gives, as it is"
        return f"bytes from the iterable{view}: {passed}"
    if isinstance(chunk, str):
        encoded = "Flask encodes what the view yields"
        return f"bytes from the WSGI layer or response class that gave it: {encoded}"
    return f"str or bytes from the iterable{view}"


def never_started(record: Transcript, *, chunk: bool) -> StreamError:
    """The app gave a chunk, or ended, before it called ``start_response``."""
    return StreamError(
        f"the app gave {'a chunk' if chunk else 'its body'} without having called"
        " start_response: no server can send it (PEP 3333)\n"
        "  remedy:  call start_response(status, headers) in every branch of the"
        " WSGI layer, before the first chunk is yielded",
        record,
    )


def started_twice(record: Transcript, first: str, second: str) -> StreamError:
    """The app called ``start_response`` once more, without an error to tell of."""
    return StreamError(
        f"the app called start_response twice: {first!r}, then {second!r}; a server"
        " refuses the second one (PEP 3333)\n"
        "  remedy:  call it once, or pass exc_info where an error page replaces a response"
        " that has not begun",
        record,
    )
