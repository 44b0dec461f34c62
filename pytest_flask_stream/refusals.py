"""What a server refuses of a WSGI application (PEP 3333), said so that its author can mend it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

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


def check_head(record: Transcript, status: str, headers: Iterable[tuple[str, str]]) -> None:
    """Refuse a head that no server can send."""
    __tracebackhide__ = True
    try:
        "".join(chain((status,), *headers)).encode("latin-1")
    except (TypeError, UnicodeEncodeError):
        raise _not_latin1(record, [("the status", status), *_named(headers)]) from None
    if not status[:3].isdigit():
        raise StreamError(
            f"the status is {status!r:.80}: no client understands it, and a server sends it as it"
            " is (PEP 3333)\n  remedy:  begin it with three digits, as in '200 OK'",
            record,
        )


def _named(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, object]]:
    for name, value in headers:
        yield "the name of a header", name
        yield f"header {name}", value


def _not_latin1(record: Transcript, parts: list[tuple[str, object]]) -> StreamError:
    what, wrong = next((what, part) for what, part in parts if not _is_latin1(part))
    if not isinstance(wrong, str):
        why, remedy = f"of type {type(wrong).__name__}", "make it a str"
    else:
        why = "with characters that are not in Latin-1"
        remedy = (
            "encode it: a file name with send_file(download_name=…), or as"
            " filename*=UTF-8''… with urllib.parse.quote()"
        )
    return StreamError(
        f"{what} is {wrong!r:.80}, {why}: no server can send it (PEP 3333)\n  remedy:  {remedy}",
        record,
    )


def _is_latin1(part: object) -> bool:
    return isinstance(part, str) and all(ord(character) < 256 for character in part)
