"""What is said of an answer that was complete, where a streamed one was meant. Pure.

A page with the status of a redirect or an error comes first: whatever is claimed then, the view
that was meant has not answered, or not as it was meant to.
"""

from __future__ import annotations

from .finding import named_view
from .frames import place_of_view
from .tape import Tape

_STATUS_REMEDIES = {
    "3": "ask for the page that it redirects to, or follow_redirects=True",
    "4": "mend the request: its path, method, data, or who is logged in",
    "416": "ask without a Range header, or for a range that the body has",
    "5": "mend the app: an error handler hides the exception; TESTING = True lets it out",
}


def status_page(tape: Tape) -> tuple[str, str] | None:
    """Give cause and remedy of a redirect's or an error's page, ``None`` if it is no such page."""
    status = tape.status or ""
    if tape.streamed is not False or status[:1] not in _STATUS_REMEDIES:
        return None
    if status.startswith("304"):
        return (
            "the client is told to take what it has: this answer has no body",
            "ask without If-None-Match and If-Modified-Since",
        )
    cause = "no view matched the request, and Flask answered with a page"
    if tape.view_function is not None:
        cause = f"{_answering(tape)} answered with a page, which is complete"
    return cause, _STATUS_REMEDIES.get(status[:3]) or _STATUS_REMEDIES[status[0]]


def page_instead(tape: Tape) -> tuple[str, str] | None:
    """Give the same for a claim whose text has not told of the status yet."""
    found = status_page(tape)
    return None if found is None else (f"status {tape.status}: {found[0]}", found[1])


def complete_body(tape: Tape) -> tuple[str, str]:
    """Give cause and remedy of a view that makes its body at once."""
    return (
        f"{_answering(tape)} handed over a complete body, not an iterator",
        "return the generator itself, as in Response(generate()): list(…), ''.join(…), jsonify,"
        " render_template, and .data or get_data() make the whole body first",
    )


def _answering(tape: Tape) -> str:
    """Name the view, and what may have answered in its place."""
    hooks = [place for hook in tape.before_request if (place := place_of_view(hook, tape.method))]
    named = " or ".join(f"{place.function} ({place})" for place in hooks)
    return named_view(tape) + (f", or before_request function {named}," if hooks else "")
