"""Templates that are sent while they are rendered."""

import inspect
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, current_app, stream_template, stream_template_string
from flask.globals import app_ctx
from jinja2.environment import TemplateStream

blueprint = Blueprint("pages", __name__)


@blueprint.app_context_processor
def name_the_site() -> dict[str, str]:
    return {"site": "The example"}


@blueprint.context_processor
def name_the_section() -> dict[str, str]:
    return {"section": "people"}


def update_template_context(context: dict[str, Any]) -> None:
    """Add to ``context`` what Flask and the context processors give to every template."""
    update = current_app.update_template_context
    # From Flask 3.2 on, this method is handed the context it works for, as most methods of the
    # dispatch are; before, it looks the context up by itself. The signature is what tells the
    # two apart: a version number would be wrong for an app that overrides the method.
    if len(inspect.signature(update).parameters) == 2:
        update(app_ctx._get_current_object(), context)
    else:
        update(context)


def stream_by_hand(template_name: str, **context: Any) -> TemplateStream:
    """Stream a template in the way that was needed before ``stream_template`` came."""
    update_template_context(context)
    stream = current_app.jinja_env.get_template(template_name).stream(context)
    stream.enable_buffering(5)
    return stream


@blueprint.get("/users-by-hand.html")
def users_by_hand() -> Response:
    return Response(stream_by_hand("users.html", users=current_app.config["USERS"]))


@blueprint.get("/users.html")
def users() -> Iterator[str]:
    return stream_template("users.html", users=current_app.config["USERS"])


@blueprint.get("/users-inline.html")
def users_inline() -> Iterator[str]:
    source = "{% for id, name in users %}{{ name }} reads {{ request.path }}\n{% endfor %}"
    return stream_template_string(source, users=current_app.config["USERS"])
