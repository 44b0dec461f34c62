"""What Flask does to a stream, on the version installed: each claim of ``docs/flask-versions.md``.

A test says which row or point of the page it proves, in the page's own words; a row of the table is
true in the column of the installed version. The last test looks that none is left out.
"""

from __future__ import annotations

import importlib.metadata
import io
import re
from pathlib import Path

import flask
import pytest
from flask import Flask, Response, abort, g, request, session, stream_with_context

PAGE = Path(__file__).parents[1] / "docs" / "flask-versions.md"
FLASK = tuple(int(part) for part in importlib.metadata.version("flask").split(".")[:3])
LATE = FLASK in ((3, 1, 2), (3, 1, 3))  # the column on the right
COLUMNS = ["Flask 2.3 to 3.1.1", "Flask 3.1.2 and 3.1.3"]

proved = []


def proves(words):
    """Note what a test proves."""

    def note(test):
        proved.append(words)
        return test

    return note


@pytest.fixture
def happened():
    return []


@pytest.fixture
def app(happened):
    app = Flask("versions")
    app.secret_key = "for tests"

    @app.teardown_request
    def of_request(error):
        happened.append(("teardown_request", type(error).__name__))

    @app.teardown_appcontext
    def of_app(error):
        happened.append(("teardown_appcontext", type(error).__name__))

    @app.get("/kept")
    def kept():
        def generate():
            try:
                yield from "ab"
            finally:
                happened.append("finally")

        response = Response(stream_with_context(generate()))
        response.call_on_close(lambda: happened.append("call_on_close"))
        return response

    @app.get("/plain")
    def plain():
        return (letter for letter in "ab")

    return app


@pytest.fixture
def client(app, open_client):
    return open_client(app)


TEARDOWN = [("teardown_request", "NoneType"), ("teardown_appcontext", "NoneType")]
TEARDOWN_WITH_EXIT = [(name, "GeneratorExit") for name, _error in TEARDOWN]


# The table


@pytest.mark.in_process("a server has pulled by itself when the test looks")
@proves("`stream_with_context(…)` takes hold of the context")
def test_when_the_context_is_held(app, client):
    pushed = []
    flask.appcontext_pushed.connect(lambda *_, **__: pushed.append("app"), app, weak=False)
    stream = client.get("/kept")
    before = len(pushed)
    next(stream)
    assert len(pushed) - before == (1 if LATE else 0)


@proves("the teardown functions of such a stream run")
def test_how_often_a_kept_context_is_torn_down(client, happened, over_the_wire):
    stream = client.get("/kept")
    next(stream)
    assert over_the_wire or happened == (TEARDOWN if LATE else [])
    stream.drain()
    assert [what for what in happened if what in TEARDOWN] == TEARDOWN * (2 if LATE else 1)


@pytest.mark.in_process("a server begins every body")
@proves("the client leaves before the first chunk")
def test_leaving_before_the_first_chunk(client, happened):
    client.get("/kept").disconnect()
    teardown = TEARDOWN if LATE else TEARDOWN_WITH_EXIT
    assert happened == [*teardown, "call_on_close"]


@proves("`request.files` in the generator")
def test_an_upload_in_the_generator(app, client):
    @app.post("/upload")
    def upload():
        file = request.files["file"]
        return stream_with_context(str(file.closed) for _ in "a")

    data = {"file": (io.BytesIO(b"words"), "words.txt")}
    assert client.post("/upload", data=data).read_text() == str(LATE)


@proves("`stream_with_context` in an `async def` view")
def test_an_async_view(app, client):
    pytest.importorskip("asgiref", reason="asgiref is not installed")

    @app.get("/async")
    async def view():
        return stream_with_context(letter for letter in "ab")

    if LATE:
        assert client.get("/async").read() == b"ab"
    else:
        with pytest.raises(ValueError, match="was created in a different Context"):
            client.get("/async")


# The same on all


@proves("A generator **without** `stream_with_context`")
def test_a_plain_generator_is_torn_down_once_and_before(client, happened):
    stream = client.get("/plain")
    assert happened == TEARDOWN
    stream.drain()
    assert happened == TEARDOWN


@proves("With `stream_with_context`, at the end")
def test_the_order_at_the_end(client, happened):
    stream = client.get("/kept")
    assert list(stream) == [b"a", b"b"]
    before = TEARDOWN if LATE else []
    assert happened == [*before, "finally", *TEARDOWN, "call_on_close"]


@pytest.mark.in_process("a server has pulled further when the client leaves")
@proves("The client leaves between two chunks")
def test_leaving_between_two_chunks(client, happened):
    stream = client.get("/kept")
    next(stream)
    happened.clear()
    stream.disconnect()
    assert happened == ["finally", *TEARDOWN_WITH_EXIT, "call_on_close"]


@proves("The body of `HEAD`")
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_a_body_that_is_not_sent(app, client, happened, method, status, keep):
    class Rows:
        def __iter__(self):
            return self

        def __next__(self):
            happened.append("pulled")
            raise StopIteration

        def close(self):
            happened.append("close")

    @app.get("/rows")
    def rows():
        body = stream_with_context(Rows()) if keep else Rows()
        response = Response(body, status=status)
        response.call_on_close(lambda: happened.append("call_on_close"))
        return response

    @app.get("/generator")
    def generator():
        def generate():
            try:
                yield "a"
            finally:
                happened.append("finally")

        return Response(stream_with_context(generate()) if keep else generate(), status=status)

    client.open("/generator", method=method).drain()
    assert "finally" not in happened
    client.open("/rows", method=method).drain()
    assert "pulled" not in happened
    assert "call_on_close" in happened
    assert ("close" in happened) is not keep


@proves("With `direct_passthrough`")
def test_direct_passthrough(app, client, happened):
    @app.get("/passed")
    def passed():
        response = Response((part for part in [b"a"]), direct_passthrough=True)
        response.call_on_close(lambda: happened.append("call_on_close"))
        return response

    client.get("/passed").drain()
    assert "call_on_close" not in happened


@proves("Where the iterable's own `close()` raises")
def test_a_close_that_raises(app, client, happened):
    @app.get("/raises")
    def raises():
        def generate():
            try:
                while True:
                    yield "a"
            finally:
                raise OSError("no")

        response = Response(generate())
        response.call_on_close(lambda: happened.append("call_on_close"))
        return response

    stream = client.get("/raises")
    next(stream)
    with pytest.raises(OSError, match="no"):
        stream.disconnect()
    assert "call_on_close" not in happened


@proves("An error in a generator")
@pytest.mark.parametrize("keep", [False, True])
def test_an_error_in_a_generator(app, client, keep):
    handled = []
    app.register_error_handler(Exception, lambda error: handled.append(error) or ("oh", 500))
    flask.got_request_exception.connect(lambda *_, **__: handled.append("signal"), app, weak=False)

    @app.get("/fails")
    def fails():
        def generate():
            yield "a"
            abort(404)

        return stream_with_context(generate()) if keep else generate()

    stream = client.get("/fails")
    error = stream.assert_raises(Exception, after=1, match="404 Not Found")
    assert stream.status_code == 200
    assert type(error).__name__ == "NotFound"
    assert handled == []


@proves("What a generator does to the session")
def test_the_headers_are_sent(app, client):
    late_functions = []

    @app.get("/late")
    def late():
        def generate():
            session["user"] = "ada"
            flask.after_this_request(late_functions.append)
            yield "a"

        return stream_with_context(generate())

    stream = client.get("/late")
    assert stream.read() == b"a"
    assert "Set-Cookie" not in stream.headers
    assert "Vary" not in stream.headers
    with client.session_transaction() as kept:
        assert "user" not in kept
    assert late_functions == []


@proves("A request uses the app context")
def test_an_app_context_that_is_pushed_already(app):
    @app.get("/who")
    def who():
        return g.get("user", "nobody")

    with app.app_context():
        g.user = "the test's"
        assert app.test_client().get("/who").text == "the test's"


# The page


def test_each_claim_of_the_page_is_proved():
    text = PAGE.read_text("utf-8")
    table, _, rest = text.partition("The same on all of them:")
    header, *rows = re.findall(r"^\| (.*) \|$", table, re.MULTILINE)
    assert header.split(" | ")[1:] == COLUMNS
    assert [row.split(" | ")[0] for row in rows] == proved[: len(rows)]

    points = re.findall(r"^\* (.*)", rest.partition("\n## ")[0], re.MULTILINE)
    assert len(points) == len(proved) - len(rows)
    for point, words in zip(points, proved[len(rows) :], strict=True):
        assert point.startswith(words)
