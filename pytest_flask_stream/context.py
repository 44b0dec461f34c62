"""The private :class:`contextvars.Context` of a stream.

A server's thread has none of Flask's contexts when it begins a request, and a test often has
some: pushed by ``with app.app_context()``, by ``with client:``, by a plugin. Whatever is pushed
there hides a missing context from the app. So a stream runs in a Context of its own, which holds
the test's context variables without Flask's, and what changes in there never flows back.

Which variables are Flask's is found out, not looked up: they are those that a throw-away app sets
when it pushes a context in an empty Context. Flask 2.3 to 3.1 have two, Flask 3.2 has one for
both; their names are private and stay so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextvars import Context, ContextVar, copy_context
from functools import cache, partial
from typing import Any, NamedTuple

from flask import (
    Flask,
    after_this_request,
    copy_current_request_context,
    current_app,
    request,
    session,
    stream_with_context,
    url_for,
)


class FlaskVariables(NamedTuple):
    """The context variables in which Flask keeps its contexts; one and the same in Flask 3.2."""

    request: ContextVar[Any]
    app: ContextVar[Any]


@cache
def flask_variables() -> FlaskVariables:
    """Find the variables in which the installed Flask keeps its contexts."""
    throw_away = Flask(__name__, static_folder=None)
    # No context is popped here or below: that would run everybody's teardown receivers.
    app_variables = _set_by(throw_away.app_context().push)
    request_variables = _set_by(throw_away.test_request_context().push)
    (app_variable,) = app_variables
    (request_variable,) = (request_variables - app_variables) or app_variables
    return FlaskVariables(request_variable, app_variable)


def _set_by(push: Any) -> set[ContextVar[Any]]:
    context = Context()
    context.run(push)
    # A receiver of `appcontext_pushed` may have set variables of its own: they are not Flask's.
    return {
        variable
        for variable, value in context.items()
        if type(value).__module__.partition(".")[0] == "flask"
    }


def stream_context(*, isolate: bool, without: Collection[ContextVar[Any]] = ()) -> Context:
    """Make the Context of one stream from the current one.

    With ``isolate``, everything but Flask's contexts is taken over; without it, these too. The
    variables in ``without`` are never taken over.
    """
    left_out = {*without, *(flask_variables() if isolate else ())}
    context = Context()
    for variable, value in copy_context().items():
        if variable not in left_out:
            context.run(variable.set, value)
    return context


class MissingContext(NamedTuple):
    """What Flask raises where a context is missing."""

    kind: str
    text: str


def missing_context_kind(error: BaseException | None) -> str | None:
    """Tell which context an error of Flask's says is missing: ``"request"`` or ``"app"``."""
    if not isinstance(error, RuntimeError):
        return None
    text = str(error)
    if _NO_REQUEST in text:
        return "request"
    return next((kind for kind, known in _missing_context_texts() if text == known), None)


_NO_REQUEST = "There is no request in this context."  # Flask 3.2, where an app context is active


@cache
def _missing_context_texts() -> tuple[MissingContext, ...]:
    return tuple(
        MissingContext(kind, Context().run(_text_raised_by, needs))
        for kind, needs in (
            ("request", partial(_resolve, request)),
            ("request", partial(_resolve, session)),
            ("app", partial(_resolve, current_app)),
            ("request", partial(stream_with_context, iter(()))),
            ("request", partial(after_this_request, _text_raised_by)),
            ("request", partial(copy_current_request_context, _text_raised_by)),
            ("request", _build_url_outside_a_request),
        )
    )


def _resolve(proxy: Any) -> object:
    return proxy._get_current_object()  # documented by Flask and Werkzeug


def _text_raised_by(needs_context: Callable[[], object]) -> str:
    try:
        needs_context()
    except RuntimeError as error:
        return str(error)
    return ""


def _build_url_outside_a_request() -> None:
    Flask(__name__, static_folder=None).app_context().push()
    url_for("view")
