"""Generators that need a context: kept alive, and forgotten."""

from collections.abc import Iterator

from flask import (
    Blueprint,
    Response,
    current_app,
    g,
    request,
    session,
    stream_with_context,
)
from markupsafe import escape

blueprint = Blueprint("greetings", __name__)


@blueprint.before_app_request
def take_the_language() -> None:
    g.language = request.accept_languages.best or "en"


def greet() -> Iterator[str]:
    yield "<p>Hello "
    yield escape(request.args["name"])
    yield "!</p>"


# With the context


@blueprint.get("/hello")
def hello() -> Response:
    """Wrap the generator, and put it into a ``Response``."""
    return Response(stream_with_context(greet()))


@blueprint.get("/hello-returned")
def hello_returned() -> Iterator[str]:
    """Wrap the generator, and return it as it is."""
    return stream_with_context(greet())


@blueprint.get("/hello-decorated")
def hello_decorated() -> Iterator[str]:
    """Decorate the generator function."""

    @stream_with_context
    def generate() -> Iterator[str]:
        yield current_app.config["GREETING"]
        yield f" {request.args['name']}, "
        yield f"in {g.language}"

    return generate()


@blueprint.post("/login")
def login() -> tuple[str, int]:
    session["user"] = request.form["user"]
    return "", 204


@blueprint.get("/hello-session")
def hello_session() -> Iterator[str]:
    """Read the session in the generator, and in the view too.

    The headers are sent before the generator runs: only a session that the view has read makes
    them say ``Vary: Cookie``.
    """
    session.get("user")

    @stream_with_context
    def generate() -> Iterator[str]:
        yield "Hello "
        yield session["user"]

    return generate()


# Without it: these four work in no server


@blueprint.get("/forgotten-request")
def forgotten_request() -> Iterator[str]:
    return greet()


@blueprint.get("/forgotten-session")
def forgotten_session() -> Iterator[str]:
    def generate() -> Iterator[str]:
        yield "Hello "
        yield session["user"]

    return generate()


@blueprint.get("/forgotten-app")
def forgotten_app() -> Iterator[str]:
    def generate() -> Iterator[str]:
        yield from ("one", "two")
        yield current_app.config["GREETING"]

    return generate()


@blueprint.get("/forgotten-g")
def forgotten_g() -> Iterator[str]:
    def generate() -> Iterator[str]:
        yield g.language

    return generate()
