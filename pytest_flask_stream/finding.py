"""The form of what a failed claim says; the findings themselves are made in :mod:`.explain`.

Every text has five parts in the same order: the claim as it was called; what was seen; the likely
cause, with the user's line where it can be known; the remedy; a short transcript.
"""

from __future__ import annotations

import inspect
from typing import NamedTuple

from .body import Body
from .tape import Tape
from .transcript import counted, render, target

_SHOWN_ARGUMENT = 60


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


def called(name: str, *args: object, **kwargs: object) -> str:
    """Write a call down as it was made; keywords that are ``None`` were not given."""
    shown = [_shown(arg) for arg in args]
    shown += [f"{key}={_shown(value)}" for key, value in kwargs.items() if value is not None]
    return f"{name}({', '.join(shown)})"


def _shown(value: object) -> str:
    if isinstance(value, type) or inspect.isroutine(value):
        return value.__name__
    if isinstance(value, tuple) and all(isinstance(part, type) for part in value):
        return f"({', '.join(part.__name__ for part in value)})"
    text = repr(value)
    return text if len(text) <= _SHOWN_ARGUMENT else f"{text[: _SHOWN_ARGUMENT - 1]}…"


# Phrases that several findings have in common


def amount(tape: Tape, arrived: Body | None = None) -> str:
    """Say how much came: ``1 chunk of 57 bytes``, ``3 chunks, 57 bytes read so far``.

    That is what the app has handed over, or what has arrived of it, where that is judged.
    """
    body = tape.body if arrived is None else arrived
    size = counted(body.size, "byte")
    chunks = counted(len(body), "chunk")
    text = f"{chunks} of {size}" if len(body) == 1 else f"{chunks}, {size}"
    return f"{text} read so far" if tape.state == "open" else text


def declared_length(tape: Tape) -> str:
    """Say which ``Content-Length`` is declared, as the end of an enumeration."""
    length = tape.headers.get("Content-Length")
    return "" if length is None else f", Content-Length: {length}"


def is_bodiless(tape: Tape) -> bool:
    """Tell whether this is a response that has no body, whatever the view has handed over."""
    return tape.method == "HEAD" or (tape.status or "")[:3] in ("204", "304")


def named_view(tape: Tape) -> str:
    """Name the view and its place, or what has answered without one."""
    view = tape.view
    if view is not None:
        return f"view {view.function} ({view})"
    if tape.streamed is None:
        return "the WSGI layer that answered"
    return "the view" if tape.view_function is None else f"view {tape.endpoint!r}"
