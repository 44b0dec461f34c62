"""Generators that need nothing of Flask: a table, row by row.

The views take what they need from the app while it is there; the generator then runs when the
view has returned and the context is gone.
"""

from collections.abc import Iterable, Iterator

from flask import Blueprint, Response, current_app

blueprint = Blueprint("downloads", __name__)


def csv_lines(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in rows:
        yield ",".join(row) + "\n"


@blueprint.get("/users.csv")
def users() -> Response:
    """Put the generator into a ``Response``."""
    return Response(csv_lines(current_app.config["USERS"]), mimetype="text/csv")


@blueprint.get("/users-tuple.csv")
def users_as_a_tuple() -> tuple[Iterator[str], dict[str, str]]:
    """Return the generator and the headers, and leave the ``Response`` to Flask."""
    return csv_lines(current_app.config["USERS"]), {"Content-Type": "text/csv"}


@blueprint.get("/users-response-class.csv")
def users_in_the_response_class() -> Response:
    """Use the app's own class of responses."""
    return current_app.response_class(csv_lines(current_app.config["USERS"]), mimetype="text/csv")


@blueprint.get("/users-passthrough.csv")
def users_passed_through() -> Response:
    """Hand the iterable to the server as it is, which must then give bytes."""
    lines = (line.encode() for line in csv_lines(current_app.config["USERS"]))
    return Response(lines, mimetype="text/csv", direct_passthrough=True)


@blueprint.get("/users-passthrough-text.csv")
def users_passed_through_as_text() -> Response:
    """Do the same with text, which worked on Python 2 and which no server takes today."""
    lines = csv_lines(current_app.config["USERS"])
    return Response(lines, mimetype="text/csv", direct_passthrough=True)
