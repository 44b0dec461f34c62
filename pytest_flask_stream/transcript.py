"""A tape as text: one line for the stream, one for each chunk.

The text is what a developer sees when a test fails, and it is what ``str(record)`` gives. Without
times it is the same from run to run, so that it can be kept as a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator

from .errors import StreamTimeout
from .frames import place_of_error
from .tape import Tape, Teardown

_HEAD_BYTES = 24
_TAIL_BYTES = 12


def render(tape: Tape, *, times: bool = True, limit: int | None = None) -> str:
    """Write a tape down; at most ``limit`` chunks from either end, all of them with ``None``."""
    return "\n".join(_lines(tape, times=times, limit=limit))


def summary(tape: Tape) -> str:
    """Name the request and its outcome, as in ``GET /users.csv 200``."""
    code = (tape.status or "").partition(" ")[0]
    return f"{target(tape)} {code}".rstrip()


def target(tape: Tape) -> str:
    """Name the request, as in ``GET /users.csv?page=2``."""
    query = f"?{tape.query_string}" if tape.query_string else ""
    return f"{tape.method} {tape.path}{query}"


def counted(number: int, noun: str) -> str:
    """Give a number with its noun: ``1 chunk``, ``2 chunks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shown_bytes(data: bytes) -> str:
    """Give bytes as a literal, long ones cut in the middle."""
    if len(data) <= _HEAD_BYTES + _TAIL_BYTES:
        return repr(data)
    return f"b'{_escaped(data[:_HEAD_BYTES])}…{_escaped(data[-_TAIL_BYTES:])}'"


def shown_bytes_around(data: bytes, index: int) -> str:
    """Give bytes as a literal; of long ones what is before and after ``index``."""
    if len(data) <= _HEAD_BYTES + _TAIL_BYTES:
        return repr(data)
    start, end = max(0, index - _TAIL_BYTES), index + _HEAD_BYTES
    before, after = "…" if start else "", "…" if end < len(data) else ""
    return f"b'{before}{_escaped(data[start:end])}{after}'"


def _escaped(data: bytes) -> str:
    return repr(b'"' + data)[3:-1]  # with a double quote in it, the literal is in single ones


def shown_context(*, request: bool, app: bool) -> str:
    """Name the contexts that were active."""
    if request:
        return "request context"
    return "app context" if app else "no context"


def shown_error(error: BaseException, tape: Tape, *, times: bool = True) -> str:
    """Name an error and the user's line that raised it; the view where no line of the app did."""
    place: object = place_of_error(error) or tape.view
    first_line = str(error).partition("\n")[0]
    if isinstance(error, StreamTimeout):
        place = error.stuck  # where the app was, not where the test waited
        if not times:
            first_line = f"timeout is {error.timeout:g} s ({error.activity})"
    name = type(error).__name__
    text = f"{name}: {first_line}" if first_line else name
    return text if place is None else f"{text}  {place}"


def _lines(tape: Tape, *, times: bool, limit: int | None) -> Iterator[str]:
    yield _head(tape)
    count = tape.delivered
    skipped = range(0) if limit is None else range(limit, count - limit)
    for index in range(count):
        if index not in skipped:
            yield "  " + _chunk_line(tape, index, times=times)
        elif index == skipped.start:
            yield f"  … {counted(len(skipped), 'more chunk')} (all with -vv)"
    if tape.error is not None:
        yield f"  error: {shown_error(tape.error, tape, times=times)}"


def _head(tape: Tape) -> str:
    mimetype = str(tape.headers.get("Content-Type", "")).partition(";")[0]
    code = tape.status.partition(" ")[0] if tape.status else "no status"
    parts = [
        target(tape),
        f"{code} {mimetype}".rstrip(),
        tape.state,
        f"produced {tape.produced}",
        f"delivered {tape.delivered}",
        *_teardown_parts(tape),
    ]
    return "  ".join(parts)


def _teardown_parts(tape: Tape) -> Iterator[str]:
    if not tape.teardowns:
        return
    groups: list[tuple[int, list[Teardown]]] = []
    for teardown in tape.teardowns:
        if not groups or groups[-1][0] != teardown.delivered:
            groups.append((teardown.delivered, []))
        groups[-1][1].append(teardown)
    shown = (f"{_kinds(group)} {_moment(tape, at)}" for at, group in groups)
    yield "teardown: " + ", ".join(shown)


def _kinds(group: list[Teardown]) -> str:
    return ", ".join(teardown.kind for teardown in group)


def _moment(tape: Tape, delivered: int) -> str:
    if delivered == 0:
        return "before chunk 1"
    if delivered == tape.delivered and tape.state != "open":
        return "after the last chunk"
    return f"after {counted(delivered, 'chunk')}"


def _chunk_line(tape: Tape, index: int, *, times: bool) -> str:
    request, app = tape.contexts[index]
    parts = [
        f"#{index}",
        f"{tape.body.size_of(index)} B",
        f"produced {tape.lead[index] + index}",
    ]
    if times:
        parts.append(f"waited {tape.waited[index]:.3f} s")
    parts.append(shown_context(request=request, app=app))
    if tape.templates:
        parts.append(counted(tape.events[index], "event"))
    kept = tape.body.kept_chunk(index)
    parts.append("(not kept)" if kept is None else shown_bytes(kept))
    return "  ".join(parts)
