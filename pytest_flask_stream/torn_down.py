"""What is said of what teardown functions have closed before the body was made."""

from __future__ import annotations

import re

from .frames import place_of_view
from .tape import Tape

OPEN_IT_THERE = (
    "open in the generator what it reads; or keep the context, stream_with_context(generate()),"
    " where Flask is not 3.1.2 or 3.1.3, which tear it down before the first chunk all the same"
)
# SQLite, SQLAlchemy, psycopg and files say "closed"; a detached object is not bound any more.
_CLOSED = re.compile(r"\bclosed\b|\bnot bound to a Session\b")


def speaks_of_teardown(tape: Tape) -> bool:
    """Tell whether an error may be about what teardown functions have closed before."""
    early = tape.torn_down_unread or any(run.delivered < tape.delivered for run in tape.teardowns)
    return early and bool(teardown_functions(tape)) and bool(_CLOSED.search(str(tape.error)))


def teardown_functions(tape: Tape) -> str:
    """Name the app's teardown functions of such a request, or give ``""``."""
    blueprint = (tape.endpoint or "").rpartition(".")[0]
    places = [
        place_of_view(function, tape.method)
        for functions in tape.teardown_functions
        for function in (*functions.get(blueprint, ()), *functions.get(None, ()))
    ]
    named = [f"{place.function} ({place})" for place in places if place is not None]
    return f"teardown function {' and '.join(named)}" if named else ""
