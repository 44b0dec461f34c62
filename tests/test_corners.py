"""What seldom happens: apps and layers that do the unusual, and what is seen and said of them."""

import threading

import flask
import pytest
from flask import Flask, Response, redirect, request
from flask.testing import FlaskClient
from werkzeug.middleware.profiler import ProfilerMiddleware

from pytest_flask_stream import StreamClient, StreamTimeout, plugin
from pytest_flask_stream.explain import too_few, too_many
from pytest_flask_stream.tape import Tape


@pytest.fixture
def app():
    app = Flask(__name__)
    app.testing = True
    return app


@pytest.fixture
def client(open_client, app):
    return open_client(app)


def failure_of(claim, *args, **kwargs):
    with pytest.raises(AssertionError) as caught:
        claim(*args, **kwargs)
    return str(caught.value)


# Who answers


def test_a_stream_that_comes_before_any_view_is_the_views_all_the_same(app, client):
    app.before_request(lambda: Response(letter for letter in "ab"))
    stream = client.get("/nowhere")
    stream.assert_streamed()
    text = failure_of(stream.assert_chunk_count, at_least=3)
    assert "  cause:   the view yields no more\n" in text


def test_the_first_request_counts_where_a_layer_asks_the_app_twice(app, client):
    class Twice:
        def __init__(self, application):
            self.application = application

        def __call__(self, environ, start_response):
            body = self.application(environ, start_response)
            self.application({**environ, "PATH_INFO": "/log"}, lambda *_: None).close()
            return body

    app.wsgi_app = Twice(app.wsgi_app)
    app.add_url_rule("/", "first", lambda: iter("ab"))
    app.add_url_rule("/log", "second", lambda: "logged")
    stream = client.get("/")
    stream.assert_chunks(["a", "b"])
    assert stream.record.endpoint == "first"
    assert [teardown.kind for teardown in stream.record.teardowns] == ["request", "app"]


# Who reads the body


class Letters:
    """An iterable that can be read again, and is no iterator."""

    def __iter__(self):
        return iter("abc")


@pytest.mark.parametrize(
    ("make", "chunks"), [(lambda: iter("abc"), []), (Letters, [b"a", b"b", b"c"])]
)
def test_an_after_request_function_that_reads_and_puts_nothing_back(app, client, make, chunks):
    @app.after_request
    def log(response):
        app.logger.debug("".join(response.response))
        return response

    app.add_url_rule("/", "view", lambda: Response(make()))
    stream = client.get("/")
    assert list(stream) == chunks
    text = failure_of(stream.assert_streamed)
    assert "  seen:    3 of " in text
    assert "  cause:   after_request function log read the body: " in text


def test_a_layer_of_a_library_that_reads_the_body(app, client):
    app.wsgi_app = ProfilerMiddleware(app.wsgi_app, stream=None)
    app.add_url_rule("/", "view", lambda: iter("abc"))
    stream = client.get("/")
    assert "was not streamed" in failure_of(stream.assert_streamed)
    assert stream.read() == b"abc"


def test_too_few_chunks_of_a_complete_body(app, client):
    app.add_url_rule("/", "view", lambda: "all of it")
    text = failure_of(client.get("/").assert_chunk_count, 2)
    assert "handed over a complete body, not an iterator" in text


# What has no body


def test_an_empty_body_in_answer_to_post(app, client):
    app.add_url_rule("/<int:status>", "view", lambda status: (iter(()), status), methods=["POST"])
    text = failure_of(client.post("/200").assert_chunk_count, 1)
    assert "gave nothing" in text
    assert "has no body" not in text
    text = failure_of(client.post("/204").assert_chunk_count, 1)
    assert "  cause:   a response to POST with status 204 NO CONTENT has no body\n" in text
    assert "  remedy:  send a body with another status\n" in text


def test_an_empty_body_that_is_no_template(app, client):
    app.add_url_rule("/", "view", lambda: iter(()))
    text = failure_of(client.get("/").assert_template_buffering, 1)
    assert ") sends no template, or one that was rendered at once\n" in text


# Who misses a context


def test_a_context_that_no_line_of_the_users_has_missed(app, client):
    app.add_url_rule("/", "view", lambda: Response(map(flask.url_for, ["view"])))
    stream = client.get("/")
    text = failure_of(stream.assert_complete)
    assert "  cause:   the application context was gone when the body was made\n" in text


def test_an_error_of_another_kind_is_no_missing_context(app, client):
    @app.get("/<kind>")
    def view(kind):
        error = {"value": ValueError, "runtime": RuntimeError}[kind]

        def generate():
            yield "a"
            raise error("of another kind")

        return generate()

    for kind, error in (("value", ValueError), ("runtime", RuntimeError)):
        with pytest.raises(error, match="of another kind"):
            client.get(f"/{kind}").drain()
        stream = client.get(f"/{kind}")
        next(stream)
        with pytest.raises(error, match="of another kind"):
            next(stream)
        with pytest.raises(error, match="of another kind"):
            list(client.get(f"/{kind}").iter_text())
        text = failure_of(client.get(f"/{kind}").assert_context_error)
        assert "did not end in a missing-context error" in text.splitlines()[0]


# Time


@pytest.mark.in_process("the test is told in time that a server is late")
def test_a_stream_that_ends_too_late_in_another_thread(app, client):
    @app.get("/")
    def view():
        def generate():
            yield "a"
            entered.set()
            late.wait()

        return generate()

    entered, late = threading.Event(), threading.Event()
    stream = client.get("/")
    next(stream)
    stream.timeout = 0.05
    errors = []

    def read():
        try:
            stream.drain()
        except StreamTimeout as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert entered.wait(10)
    thread.join(0.1)  # twice the timeout: nothing can interrupt it there
    late.set()
    thread.join()
    assert [error.activity for error in errors] == ["pull"]
    assert (stream.state, stream.chunks) == ("timeout", [b"a"])


def test_a_first_pull_without_a_timeout(app, client):
    app.add_url_rule("/", "view", lambda: iter("a"))
    asked = []
    client.timeout = None
    stream = client.get("/")
    stream.start(until=lambda: asked.append("once more") or len(asked) > 3)
    assert list(stream) == [b"a"]


def test_leaving_a_debugger_that_was_never_entered(app, client):
    app.add_url_rule("/", "view", lambda: iter("ab"))
    stream = client.get("/")
    next(stream)
    plugin.pytest_leave_pdb()
    assert stream.read() == b"ab"


@pytest.mark.parametrize("claim", ["assert_teardown_after_stream", "assert_cleaned_up"])
def test_a_clean_up_claim_of_a_stream_that_took_too_long(app, client, claim):
    @app.get("/")
    def view():
        def generate():
            yield "a"
            over.wait()

        return generate()

    over = threading.Event()
    stream = client.get("/")
    stream.timeout = 0.05
    with pytest.raises(StreamTimeout) as first:
        stream.drain()
    with pytest.raises(StreamTimeout) as again:
        getattr(stream, claim)()
    assert again.value is first.value
    over.set()


# Who else stands in for Flask's client


def test_what_the_test_has_put_on_the_client_since_stays_there(app):
    flask_client = app.test_client()
    app.add_url_rule("/", "view", lambda: redirect(request.path))

    def run_wsgi_app(environ, buffered=False):
        raise LookupError("the test's own")

    with StreamClient(flask_client) as client:
        client.get("/")
        flask_client.run_wsgi_app = run_wsgi_app
    assert flask_client.run_wsgi_app is run_wsgi_app
    del flask_client.run_wsgi_app


def test_a_client_that_does_not_ask_the_app(app):
    class Canned(FlaskClient):
        def open(self, *args, **kwargs):
            return "canned"

    app.test_client_class = Canned
    with StreamClient(app) as client, pytest.raises(TypeError) as caught:
        client.get("/")
    assert str(caught.value) == (
        "Canned answered without asking the app, so there is no stream to read\n"
        "  remedy:  have its open() call super().open()"
    )


# What a socket makes of the chunks


@pytest.fixture
def tape():
    """The tape of an app that has handed over three chunks, the second one empty."""
    tape = Tape("GET", "/", "", keep_bytes=9)
    tape.streamed, tape.state = True, "exhausted"
    for chunk in (b"a", b"", b"b"):
        tape.produced += 1
        tape.note_chunk(chunk, 0.0, 0.0, (False, False))
    return tape


@pytest.mark.parametrize(
    ("arrived", "cause", "remedy"),
    [
        (
            2,
            "1 of the app's 3 chunks had no bytes: nothing is sent for them over the wire",
            "claim the chunks that are sent",
        ),
        (
            1,
            "the body went over the wire without frames: what arrives together is one chunk",
            "claim the content of the body",
        ),
        (3, "the view yields no more", "mend the app, or the claim"),
        (4, "the view yields no more", "mend the app, or the claim"),
    ],
)
def test_why_fewer_chunks_arrive(tape, arrived, cause, remedy):
    found = too_few(tape, arrived, 5)
    assert (found.cause, found.remedy) == (cause, remedy)


def test_why_one_chunk_of_four_does_not_arrive(tape):
    tape.produced += 1
    tape.note_chunk(b"c", 0.0, 0.0, (False, False))
    assert too_few(tape, 3, 5).cause.startswith("1 of the app's 4 chunks had no bytes")


@pytest.mark.parametrize(
    ("arrived", "cause"),
    [
        (2, "the view yields more"),
        (3, "the view yields more"),
        (
            4,
            "the body went over the wire without frames, and came in more pieces than the app gave",
        ),
    ],
)
def test_why_more_chunks_arrive(tape, arrived, cause):
    assert too_many(tape, arrived, 1).cause == cause


def test_a_layer_that_cuts_up_what_has_not_arrived_yet_is_no_cause(tape):
    tape.note_chunk(b"b", 0.0, 0.0, (False, False))  # of no item
    causes = [too_many(tape, arrived, 1).cause for arrived in (2, 3, 4)]
    yields_more, cuts_up = "the view yields more", "a layer behind the view cuts up what it yields"
    assert causes == [yields_more, yields_more, cuts_up]


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ("open", "3 chunks read so far, 3 items produced"),
        ("exhausted", "3 chunks, 3 items produced"),
        ("closed", "3 chunks, 3 items produced"),
        ("timeout", "3 chunks, 3 items produced"),
    ],
)
def test_more_may_come_only_of_an_open_stream(tape, state, seen):
    tape.state = state
    assert too_many(tape, 3, 1).seen == seen


# Numbers in a text, where two would do by chance


def test_where_the_fourth_fragment_was_looked_for(app, client):
    app.add_url_rule("/", "view", lambda: iter(["one ", "three ", "two ", "four "]))
    text = failure_of(client.get("/").assert_order, "one", "three", "two", "four", "three")
    assert "fragment 4, b'three', does not occur after byte 18 in 4 chunks" in text
    assert "; it occurs at byte 4\n" in text
    assert "  cause:   the fragments come in another order\n" in text


def test_in_which_chunks_an_earlier_read_has_taken_it(app, client):
    app.add_url_rule("/", "view", lambda: iter(["a long one", "b", "c", "de"]))
    stream = client.get("/")
    stream.drain()
    text = failure_of(stream.take_until, "bcd")
    assert "it begins in chunk 1 and ends in chunk 3" in text
    assert "chunk 3 holds it" in failure_of(stream.take_until, "de")


def test_too_many_chunks_of_a_layer_that_merges(app, client):
    class Pairs:
        def __init__(self, application):
            self.application = application

        def __call__(self, environ, start_response):
            body = iter(self.application(environ, start_response))
            return (b"".join(pair) for pair in zip(body, body, strict=True))

    app.wsgi_app = Pairs(app.wsgi_app)
    app.add_url_rule("/", "view", lambda: iter("abcdef"))
    text = failure_of(client.get("/").assert_chunk_count, at_most=1)
    assert "cuts up" not in text
    assert ") yields more\n" in text
