"""What a failed claim says, line by line.

Times are written as ``T`` and lines of this file as ``here:N``: the source that follows tells which
line it is.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import sys
import threading
from functools import partial
from queue import SimpleQueue

import flask
import pytest
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    after_this_request,
    copy_current_request_context,
    current_app,
    g,
    redirect,
    request,
    send_file,
    session,
    stream_template_string,
    stream_with_context,
    url_for,
)
from flask.views import MethodView, View

LIST_TEMPLATE = "<ul>{% for i in items %}<li>{{ loop.index }} - {{ i }}</li>{% endfor %}</ul>"


@pytest.fixture
def stream_of(open_client):
    """``stream_of(view)`` opens ``GET /users.csv`` of an app with that view."""

    def stream_of(view, *, method="GET", path="/users.csv", layer=None, hook=None, **settings):
        app = Flask("texts", static_folder=None)
        app.secret_key = "not so secret"
        app.add_url_rule("/users.csv", "view", view)
        if hook is not None:
            app.after_request(hook)
        if layer is not None:
            app.wsgi_app = layer(app.wsgi_app)
        return open_client(app, **settings).open(path, method=method)

    return stream_of


def normal(text):
    text = re.sub(r"waited \d+\.\d{3} s", "waited T", text)
    return re.sub(r"[^\s(]*\btest_failure_texts\.py:\d+", "here:N", text)


def text_of(claim, *args, **kwargs):
    with pytest.raises(AssertionError) as caught:
        claim(*args, **kwargs)
    return normal(str(caught.value))


def parts(first, *, seen, cause, remedy, transcript):
    return "\n".join(
        [
            first,
            f"  seen:    {seen}",
            f"  cause:   {cause}",
            f"  remedy:  {remedy}",
            *(f"  {line}" for line in transcript),
        ]
    )


ROWS = ["id,name\n", "1,ada\n", "2,grace\n"]


def users():
    return (row for row in ROWS), {"Content-Type": "text/csv"}


def paced_users(rows):
    """Make the same view, of which the test lets each row be made."""

    def users():
        return iter(rows), {"Content-Type": "text/csv"}

    return users


VIEW = "view users (here:N  def users():)"
CHUNKS = [
    r"  #0  8 B  produced 1  waited T  no context  b'id,name\n'",
    r"  #1  6 B  produced 2  waited T  no context  b'1,ada\n'",
    r"  #2  8 B  produced 3  waited T  no context  b'2,grace\n'",
]


def seen_as(state, produced, *chunks, status="200 text/csv"):
    """The transcript of a stream whose contexts are gone before it begins."""
    head = (
        f"GET /users.csv  {status}  {state}  produced {produced}  delivered {len(chunks)}"
        "  teardown: request, app before chunk 1"
    )
    return [head, *chunks]


EXHAUSTED = seen_as("exhausted", 3, *CHUNKS)
WRAP = (
    "wrap the generator: stream_with_context(generate()), or read what it needs of the request"
    " in the view"
)
WOULD_HIDE = "a context that is pushed in the test would have hidden it from Flask's client"
LEFT = {
    "cause": "the client left before the end, and nothing more can come",
    "remedy": "read as far as the claim goes, then disconnect()",
}
MEND = "mend the app, or the claim"


# Early readers


def gets_data(response):
    response.headers["X-Size"] = len(response.get_data())
    return response


def adds_etag(response):
    response.add_etag()
    return response


def makes_conditional(response):
    return response.make_conditional(request)


def count_bytes(response):
    response.headers["X-Size"] = response.calculate_content_length()
    return response


EARLY_READERS = {
    gets_data: 'response.headers["X-Size"] = len(response.get_data())',
    adds_etag: "response.add_etag()",
    makes_conditional: "return response.make_conditional(request)",
    count_bytes: 'response.headers["X-Size"] = response.calculate_content_length()',
}


COUNT = "count the bytes in response.call_on_close(), or skip responses whose is_streamed is true"
LEAVE_ALONE = "leave the body alone of responses whose is_streamed is true"


@pytest.mark.parametrize("hook", EARLY_READERS)
def test_an_after_request_function_that_reads_the_body_is_named(stream_of, hook):
    cause = f"after_request function {hook.__name__} read the body: here:N  {EARLY_READERS[hook]}"
    stream = stream_of(users, hook=hook)
    stream.drain()
    assert text_of(stream.assert_streamed) == parts(
        "assert_streamed(): GET /users.csv was not streamed",
        seen="3 of 3 items were produced before the first pull; 3 chunks, 22 bytes,"
        " Content-Length: 22",
        cause=cause,
        remedy=COUNT if hook in (count_bytes, gets_data) else LEAVE_ALONE,
        transcript=seen_as(
            "exhausted", 3, *(re.sub("produced .", "produced 3", line) for line in CHUNKS)
        ),
    )


def test_of_a_stream_that_was_read_the_amount_is_that_of_all(stream_of):
    def merges(response):
        response.set_data(response.get_data())
        return response

    stream = stream_of(users, hook=merges)
    stream.drain()
    assert text_of(stream.assert_streamed) == parts(
        "assert_streamed(): GET /users.csv was not streamed",
        seen="3 of 3 items were produced before the first pull; 1 chunk of 22 bytes,"
        " Content-Length: 22",
        cause="after_request function merges read the body: here:N "
        " response.set_data(response.get_data())",
        remedy=LEAVE_ALONE,
        transcript=seen_as(
            "exhausted",
            3,
            r"  #0  22 B  produced 3  waited T  no context  b'id,name\n1,ada\n2,grace\n'",
        ),
    )


class Joining:
    def __init__(self, wsgi_app):
        self.wsgi_app = wsgi_app

    def __call__(self, environ, start_response):
        return [b"".join(self.wsgi_app(environ, start_response))]


def joins_lazily(wsgi_app):
    def layer(environ, start_response):
        yield b"".join(wsgi_app(environ, start_response))

    return layer


def joins_in_a_lambda(wsgi_app):
    return lambda environ, start_response: [b"".join(wsgi_app(environ, start_response))]


PASS_ON = (
    "pass the iterable on as the app gave it, or yield each chunk as it comes, and pass close() on"
)
ONE_CHUNK = r"  #0  22 B  produced 3  waited T  no context  b'id,name\n1,ada\n2,grace\n'"


@pytest.mark.parametrize(
    ("layer", "name", "line"),
    [
        (
            Joining,
            "__call__",
            'return [b"".join(self.wsgi_app(environ, start_response))]',
        ),
        (
            joins_in_a_lambda,
            "<lambda>",
            'return lambda environ, start_response: [b"".join(wsgi_app(environ, start_response))]',
        ),
    ],
)
def test_a_wsgi_layer_that_joins_at_once_is_named(stream_of, layer, name, line):
    text = text_of(stream_of(users, layer=layer).assert_streamed)
    # Python 3.10 does not know of which class a method is.
    assert text.replace("Joining.", "") == parts(
        "assert_streamed(): GET /users.csv was not streamed",
        seen="3 of 3 items were produced before the first pull; 1 chunk of 22 bytes read so far",
        cause=f"WSGI layer {name} read the body: here:N  {line}",
        remedy=PASS_ON,
        transcript=seen_as("open", 3, ONE_CHUNK),
    )


def test_a_wsgi_layer_that_joins_when_it_is_pulled_is_named(stream_of):
    stream = stream_of(users, layer=joins_lazily)
    cause = (
        'WSGI layer layer read the body: here:N  yield b"".join(wsgi_app(environ, start_response))'
    )
    assert text_of(stream.assert_streamed) == parts(
        "assert_streamed(): GET /users.csv was not streamed",
        seen="the iterable was read out, 3 items, before chunk 0 was handed over; 1 chunk of 22"
        " bytes read so far",
        cause=cause,
        remedy=PASS_ON,
        transcript=seen_as("open", 3, ONE_CHUNK),
    )
    assert text_of(stream.assert_lazy, read_ahead=1) == parts(
        "assert_lazy(read_ahead=1): GET /users.csv is not lazy",
        seen="3 items were produced when chunk 0 was handed over, at most 2 were allowed; 1 chunk"
        " of 22 bytes",
        cause=cause,
        remedy=f"{PASS_ON}; where reading ahead is meant, assert_lazy(read_ahead=…)",
        transcript=seen_as("exhausted", 3, ONE_CHUNK),
    )
    assert text_of(stream.assert_chunk_count, 3) == parts(
        "assert_chunk_count(3): GET /users.csv gave fewer than 3 chunks",
        seen="1 chunk, 3 items produced",
        cause=cause,
        remedy=PASS_ON,
        transcript=seen_as("exhausted", 3, ONE_CHUNK),
    )
    assert text_of(stream.assert_chunks, ["id,name\n", "1,ada\n"]) == parts(
        r"assert_chunks(['id,name\n', '1,ada\n']): GET /users.csv differs in chunk 0",
        seen=r"chunk 0 is b'id,name\n1,ada\n2,grace\n' (22 bytes), expected b'id,name\n' (8 bytes),"
        " first difference at byte 8",
        cause=cause,
        remedy="claim the chunks as they are cut, or the text with read_text() where the cut is of"
        " no concern",
        transcript=seen_as("exhausted", 3, ONE_CHUNK),
    )


def test_what_merges_inside_flask_is_no_wsgi_layer(stream_of):
    def merges(response):
        def in_pairs(items):
            for item in items:
                yield item + next(items, "")

        response.response = in_pairs(iter(response.response))
        return response

    assert text_of(stream_of(users, hook=merges).assert_lazy) == parts(
        "assert_lazy(): GET /users.csv is not lazy",
        seen="2 items were produced when chunk 0 was handed over, at most 1 was allowed; 2 chunks,"
        " 22 bytes",
        cause='in_pairs read the body: here:N  yield item + next(items, "")',
        remedy="hand each chunk on as it comes, and leave out responses that are streamed where"
        " that cannot be done; where reading ahead is meant, assert_lazy(read_ahead=…)",
        transcript=seen_as(
            "exhausted",
            3,
            r"  #0  14 B  produced 2  waited T  no context  b'id,name\n1,ada\n'",
            r"  #1  8 B  produced 3  waited T  no context  b'2,grace\n'",
        ),
    )


def test_a_response_class_that_reads_is_named(stream_of):
    class Sized(Response):
        def __call__(self, environ, start_response):
            self.headers["X-Size"] = len(self.get_data())
            return super().__call__(environ, start_response)

    def view():
        return Sized(item for item in "ab")

    text = text_of(stream_of(view).assert_streamed).replace("Sized.", "").splitlines()
    assert text[2:4] == [
        '  cause:   __call__ read the body: here:N  self.headers["X-Size"] = len(self.get_data())',
        "  remedy:  leave the body alone of responses whose is_streamed is true",
    ]


# Complete bodies


def listed():
    def generate():
        yield "a"
        yield "b"

    return Response(list(generate()))


@pytest.mark.in_process("a body with a length has no frames on the wire")
def test_a_list_of_the_views_own(stream_of):
    stream = stream_of(listed)
    cause = "view listed (here:N  def listed():) handed over a complete body, not an iterator"
    remedy = (
        "return the generator itself, as in Response(generate()): list(…), ''.join(…), jsonify,"
        " render_template, and .data or get_data() make the whole body first"
    )
    first = "  #0  1 B  produced 2  waited T  no context  b'a'"
    last = "  #1  1 B  produced 2  waited T  no context  b'b'"
    text = text_of(stream.assert_streamed)
    assert text == parts(
        "assert_streamed(): GET /users.csv was not streamed",
        seen="a complete body of 2 parts (list); 1 chunk of 1 byte read so far, Content-Length: 2",
        cause=cause,
        remedy=remedy,
        transcript=seen_as("open", 2, first, status="200 text/html"),
    )
    assert text_of(stream.assert_chunk_count, at_least=3) == parts(
        "assert_chunk_count(at_least=3): GET /users.csv gave fewer than 3 chunks",
        seen="2 chunks, 2 items produced",
        cause=cause,
        remedy=remedy,
        transcript=seen_as("exhausted", 2, first, last, status="200 text/html"),
    )


def not_there():
    abort(404)


def elsewhere():
    return redirect("/elsewhere")


def broken():
    raise LookupError


@pytest.mark.parametrize(
    ("view", "path", "status", "cause", "remedy"),
    [
        (
            not_there,
            "/users.csv",
            "404 NOT FOUND",
            "view not_there (here:N  def not_there():) answered with a page, which is complete",
            "mend the request: its path, method, data, or who is logged in",
        ),
        (
            not_there,
            "/nowhere",
            "404 NOT FOUND",
            "no view matched the request, and Flask answered with a page",
            "mend the request: its path, method, data, or who is logged in",
        ),
        (
            elsewhere,
            "/users.csv",
            "302 FOUND",
            "view elsewhere (here:N  def elsewhere():) answered with a page, which is complete",
            "ask for the page that it redirects to, or follow_redirects=True",
        ),
        (
            broken,
            "/users.csv",
            "500 INTERNAL SERVER ERROR",
            "view broken (here:N  def broken():) answered with a page, which is complete",
            "mend the app: an error handler hides the exception; TESTING = True lets it out",
        ),
    ],
)
def test_an_error_page(stream_of, caplog, view, path, status, cause, remedy):
    caplog.set_level("CRITICAL")  # Flask logs the error of the view
    stream = stream_of(view, path=path)
    size = stream.content_length
    text = text_of(stream.assert_streamed)
    assert (
        text.splitlines()[:4]
        == parts(
            f"assert_streamed(): GET {path} was not streamed",
            seen=f"status {status}, a complete body; 1 chunk of {size} bytes read so far,"
            f" Content-Length: {size}",
            cause=cause,
            remedy=remedy,
            transcript=[],
        ).splitlines()
    )
    assert "Iterator" not in text


@pytest.mark.parametrize(
    "claim",
    [
        lambda stream: stream.assert_chunks(["1,ada\n"]),
        lambda stream: stream.assert_chunk_count(3),
        lambda stream: stream.assert_order("1,ada"),
        lambda stream: stream.take_until("1,ada"),
        lambda stream: stream.assert_request_context(),
        lambda stream: stream.assert_teardown_after_stream(),
        lambda stream: stream.assert_template_buffering(5),
        lambda stream: stream.assert_one_record_per_chunk("line"),
        lambda stream: stream.assert_one_record_per_chunk("sse"),
    ],
)
def test_every_claim_says_that_an_error_page_was_the_answer(stream_of, claim):
    text = text_of(claim, stream_of(users, path="/nowhere")).splitlines()
    assert text[2:4] == [
        "  cause:   status 404 NOT FOUND: no view matched the request, and Flask answered with a"
        " page",
        "  remedy:  mend the request: its path, method, data, or who is logged in",
    ]


def test_a_streamed_answer_is_no_error_page(stream_of):
    def half_there():
        return (row for row in ROWS), 404

    stream = stream_of(half_there)
    cause = text_of(stream.assert_chunk_count, 4).splitlines()[2]
    assert cause == "  cause:   view half_there (here:N  def half_there():) yields no more"


def log_in():
    return "log in first", 401


def close_for_now():
    return "back soon"


def go_on():
    return None


@pytest.mark.parametrize(
    ("hook", "what"),
    [(log_in, "answered with a page"), (close_for_now, "handed over a complete body")],
)
def test_what_may_have_answered_in_place_of_the_view_is_named(open_client, hook, what):
    app = Flask("texts", static_folder=None)
    group = Blueprint("group", "texts")
    group.add_url_rule("/", "users", users)
    app.before_request(go_on)
    group.before_request(hook)
    app.register_blueprint(group)
    cause = text_of(open_client(app).get("/").assert_streamed).splitlines()[2]
    name = hook.__name__
    assert cause.startswith(
        f"  cause:   {VIEW}, or before_request function go_on (here:N  def go_on():) or {name}"
        f" (here:N  def {name}():), {what}"
    )


def test_a_client_that_has_the_body_already(open_client):
    app = Flask("texts", static_folder=None)

    @app.get("/")
    def tagged():
        response = Response("ab")
        response.set_etag("1")
        return response.make_conditional(request)

    stream = open_client(app).get("/", headers={"If-None-Match": '"1"'})
    text = text_of(stream.assert_streamed).splitlines()
    assert text[2:4] == [
        "  cause:   the client is told to take what it has: this answer has no body",
        "  remedy:  ask without If-None-Match and If-Modified-Since",
    ]


def test_a_range_that_the_body_has_not(open_client):
    app = Flask("texts", static_folder=None)
    app.add_url_rule("/", "file", lambda: send_file(__file__))
    stream = open_client(app).get("/", headers={"Range": "bytes=99999999-"})
    text = text_of(stream.assert_streamed).splitlines()
    assert text[1].startswith("  seen:    status 416 REQUESTED RANGE NOT SATISFIABLE")
    assert text[3] == "  remedy:  ask without a Range header, or for a range that the body has"


def test_a_layer_that_answers_itself(stream_of):
    def refuses(wsgi_app):
        def layer(environ, start_response):
            start_response("503 Busy", [("Content-Type", "text/plain")])
            return [b"busy"]

        return layer

    assert text_of(stream_of(users, layer=refuses).assert_streamed) == parts(
        "assert_streamed(): GET /users.csv was not streamed by a Flask view",
        seen="no view was reached; 1 chunk of 4 bytes read so far",
        cause="a WSGI layer in front of the app answered, or the request never got to Flask",
        remedy="test the layer itself with read() and assert_chunks(), or ask for a path it lets"
        " pass",
        transcript=[
            "GET /users.csv  503 text/plain  open  produced 0  delivered 1",
            "  #0  4 B  produced 0  waited T  no context  b'busy'",
        ],
    )


# Forgotten contexts


def reads_request():
    def greet():
        yield "Hello "
        yield request.args["name"]

    return greet()


def reads_session():
    def greet():
        yield "Hello "
        yield session["name"]

    return greet()


def reads_g():
    def greet():
        yield "Hello "
        yield g.name

    return greet()


def reads_current_app():
    def greet():
        yield "Hello "
        yield current_app.name

    return greet()


def reads_neither():
    def greet():
        yield "Hello "
        yield url_for("view")

    return greet()


GREETED = ["  #0  6 B  produced 1  waited T  no context  b'Hello '"]


@pytest.mark.parametrize(
    ("view", "touched", "line", "kind"),
    [
        (reads_request, "touched request", 'yield request.args["name"]', "request"),
        (reads_session, "touched session", 'yield session["name"]', "request"),
        (reads_g, "touched g", "yield g.name", "application"),
        (reads_current_app, "touched current_app", "yield current_app.name", "application"),
    ],
)
@pytest.mark.parametrize("ambient", [False, True])
def test_a_forgotten_context_names_the_generator_and_the_proxy(
    stream_of, view, touched, line, kind, ambient
):
    hidden = WOULD_HIDE
    with contextlib.ExitStack() as contexts:
        if ambient:
            contexts.enter_context(Flask("ambient").app_context())
            hidden = "under Flask's client it would have found one that the test has pushed"
        stream = stream_of(view)
    push = "wrap the generator: stream_with_context(generate()), or push one in it: with"
    text = text_of(stream.assert_complete)
    assert text == parts(
        "assert_complete(): GET /users.csv ended in RuntimeError",
        seen="RuntimeError after 1 chunk",
        cause=f"greet {touched} when the {kind} context was gone: here:N  {line}; {hidden}",
        remedy=WRAP if kind == "request" else f"{push} app.app_context()",
        transcript=[
            *seen_as("failed", 1, *GREETED, status="200 text/html"),
            f"  error: RuntimeError: Working outside of {kind} context.  here:N  {line}",
        ],
    )
    other = "app" if kind == "request" else "request"
    actual = "request" if kind == "request" else "app"
    assert text_of(stream.assert_context_error, other, after=1).splitlines()[:4] == [
        f"assert_context_error('{other}', after=1): GET /users.csv did not miss the {other}"
        " context",
        f"  seen:    the {actual} context was missing, after 1 chunk",
        f"  cause:   greet {touched} when the {kind} context was gone: here:N  {line}; {hidden}",
        f"  remedy:  claim kind='{actual}', or mend what touches the {actual} context first",
    ]


class Database:
    session = ()


db = Database()


def reads_next_to_a_database():
    def generate():
        yield "Hello "
        yield str((db.session, request.path))

    return generate()


def named(*, session, name):
    return f"{name} {session}"


def reads_by_a_keyword():
    def generate():
        yield "Hello "
        yield named(session="s", name=request.path)

    return generate()


def reads_by_the_module():
    def generate():
        yield "Hello "
        yield str((db.session, flask.session["name"]))

    return generate()


@pytest.mark.parametrize(
    ("view", "touched"),
    [
        (reads_next_to_a_database, "request"),
        (reads_by_a_keyword, "request"),
        (reads_by_the_module, "session"),
    ],
)
def test_what_has_the_name_of_a_proxy_is_not_taken_for_it(stream_of, view, touched):
    text = text_of(stream_of(view).assert_complete)
    assert f"  cause:   generate touched {touched} when the request context was gone: " in text


def reads_in_a_thread():
    def work(handed_on):
        try:
            handed_on.put(request.path)
        except RuntimeError as error:
            handed_on.put(error)

    def generate():
        handed_on = SimpleQueue()
        threading.Thread(target=work, args=[handed_on]).start()
        yield "Hello "
        raise handed_on.get()

    return stream_with_context(generate())


def test_an_error_that_a_thread_has_handed_on_is_the_threads(stream_of):
    text = text_of(stream_of(reads_in_a_thread).assert_complete).splitlines()
    assert text[2:4] == [
        "  cause:   work touched request in a thread, which has no context of Flask's: here:N "
        " handed_on.put(request.path)",
        "  remedy:  give the thread copy_current_request_context(function), made in the view, to"
        " call",
    ]


def test_a_context_that_a_function_of_flasks_needs(stream_of):
    text = text_of(stream_of(reads_neither).assert_chunk_count, 2).splitlines()
    assert text[2] == (
        "  cause:   greet needed the application context when it was gone: here:N "
        f' yield url_for("view"); {WOULD_HIDE}'
    )


def keeps_too_late():
    def generate():
        yield "Hello "
        yield from stream_with_context(iter("ada"))

    return generate()


def registers_too_late():
    def generate():
        yield "Hello "
        after_this_request(count_bytes)

    return generate()


def copies_too_late():
    def generate():
        yield "Hello "
        copy_current_request_context(nothing)()

    return generate()


def links_without_a_request():
    app = current_app._get_current_object()

    def generate():
        yield "Hello "
        with app.app_context():
            yield url_for("view")

    return generate()


@pytest.mark.parametrize(
    "view", [keeps_too_late, registers_too_late, copies_too_late, links_without_a_request]
)
def test_a_function_of_flasks_that_says_in_its_own_words_which_context_it_needs(stream_of, view):
    stream = stream_of(view)
    error = stream.assert_context_error("request", after=1)
    assert error is stream.error
    text = text_of(stream.assert_complete).splitlines()
    assert text[2].startswith(
        "  cause:   generate needed the request context when it was gone: here:N  "
    )
    assert text[3] == f"  remedy:  {WRAP}"


def test_a_context_error_that_does_not_come(stream_of):
    assert text_of(stream_of(users).assert_context_error, "app") == parts(
        "assert_context_error('app'): GET /users.csv did not end in a missing-context error",
        seen="exhausted, without an error; 3 chunks, 22 bytes; request context active in 0 of 3"
        " chunks",
        cause=f"what {VIEW} handed over had the context, or did not touch it",
        remedy="claim assert_request_context() where the context is kept",
        transcript=EXHAUSTED,
    )


def test_a_context_error_elsewhere(stream_of):
    line = 'here:N  yield request.args["name"]'
    error = f"RuntimeError: Working outside of request context.  {line}"
    assert text_of(stream_of(reads_request).assert_context_error, after=2) == parts(
        "assert_context_error(after=2): GET /users.csv did not end after 2 chunks",
        seen="RuntimeError after 1 chunk",
        cause=error,
        remedy="mend the app, or after=",
        transcript=[
            *seen_as("failed", 1, *GREETED, status="200 text/html"),
            f"  error: {error}",
        ],
    )


def test_chunks_without_their_context(stream_of):
    assert text_of(stream_of(users).assert_request_context) == parts(
        "assert_request_context(): GET /users.csv ran without its request context",
        seen="3 of 3 chunks, the first of them chunk 0, where no context was active",
        cause=f"what {VIEW} handed over runs after the request context was popped; {WOULD_HIDE}",
        remedy=WRAP,
        transcript=EXHAUSTED,
    )


def test_chunks_that_were_read_early_had_a_context_and_lost_it(stream_of):
    text = text_of(stream_of(users, hook=count_bytes).assert_request_context).splitlines()
    assert text[2:4] == [
        "  cause:   after_request function count_bytes read the body: here:N "
        f" {EARLY_READERS[count_bytes]}",
        "  remedy:  count the bytes in response.call_on_close(), or skip responses whose"
        " is_streamed is true",
    ]


def held_back(response):
    def in_pairs(items):
        held = []
        for item in items:
            held.append(item)
            if len(held) == 2:
                yield "".join(held)
                held.clear()
        yield "".join(held)

    response.call_on_close(response.response.close)
    response.response = in_pairs(response.response)
    return response


def kept_users():
    return stream_with_context(item for item in ["ada", "bob", "eve"])


def one_kept_user():
    return stream_with_context(item for item in ["ada"])


@pytest.mark.parametrize(
    ("view", "seen", "holder"),
    [
        (
            kept_users,
            "1 of 2 chunks, the first of them chunk 1",
            "in_pairs read the body: here:N  for item in items:",
        ),
        (
            one_kept_user,
            "1 of 1 chunk, the first of them chunk 0",
            "an after_request function or a WSGI layer holds it back",
        ),
    ],
)
def test_a_chunk_that_is_held_back_until_the_context_has_gone(stream_of, view, seen, holder):
    text = text_of(stream_of(view, hook=held_back).assert_request_context).splitlines()
    name = view.__name__
    assert text[1:4] == [
        f"  seen:    {seen}, where no context was active",
        f"  cause:   what view {name} (here:N  def {name}():) handed over had come to its end, and"
        f" its context with it, when chunk {seen[-1]} came; {holder}",
        "  remedy:  hand each chunk on as it comes, or claim the chunks that have a context:"
        " stream.record.chunks",
    ]


# Empty bodies


def nothing():
    return iter(())


NOTHING = [
    "GET /users.csv  200 text/html  exhausted  produced 0  delivered 0  teardown: request, app"
    " before chunk 1"
]


def test_an_empty_body_where_the_test_has_a_context_pushed(stream_of):
    with Flask("of the test").app_context():
        stream = stream_of(nothing)
    because = {
        "cause": "the iterable gave nothing; the test has a Flask context pushed, and what it has"
        " not committed in there (rows of a database session) the app cannot see",
        "remedy": "commit before the request, or open the stream with isolate=False",
    }
    assert text_of(stream.assert_chunk_count, at_least=1) == parts(
        "assert_chunk_count(at_least=1): GET /users.csv gave fewer than 1 chunk",
        seen="0 chunks, 0 items produced",
        transcript=NOTHING,
        **because,
    )
    assert text_of(stream.assert_request_context) == parts(
        "assert_request_context(): GET /users.csv has no chunk that a context could be seen of",
        seen="no chunk; 0 items produced",
        transcript=NOTHING,
        **because,
    )
    assert text_of(stream.assert_order, "ada") == parts(
        "assert_order('ada'): GET /users.csv has not these fragments in this order",
        seen="fragment 0, b'ada', does not occur anywhere in 0 chunks, 0 bytes",
        transcript=NOTHING,
        **because,
    )


def test_an_empty_body(stream_of):
    text = text_of(stream_of(nothing).assert_chunks, [b"a"]).splitlines()
    assert text[:4] == [
        "assert_chunks([b'a']): GET /users.csv gave fewer than 1 chunk",
        "  seen:    0 chunks, 0 items produced",
        "  cause:   what view nothing (here:N  def nothing():) handed over gave nothing",
        "  remedy:  see that it has something to yield",
    ]


def puts_nothing_back(response):
    response.headers["X-Size"] = sum(len(item) for item in response.response)
    return response


@pytest.mark.parametrize(
    ("claim", "given"),
    [
        ("assert_request_context", ()),
        ("assert_chunk_count", (3,)),
        ("assert_chunks", (["id,name\n"],)),
        ("assert_order", ("ada",)),
        ("take_until", ("ada",)),
        ("assert_raises", (LookupError,)),
    ],
)
def test_a_body_that_is_empty_because_somebody_has_read_it(stream_of, claim, given):
    stream = stream_of(users, hook=puts_nothing_back)
    text = text_of(getattr(stream, claim), *given).splitlines()
    assert text[2:4] == [
        "  cause:   after_request function puts_nothing_back read the body: here:N "
        ' response.headers["X-Size"] = sum(len(item) for item in response.response)',
        f"  remedy:  {COUNT}",
    ]


@pytest.mark.parametrize(
    ("method", "status", "remedy"),
    [("HEAD", "200 OK", "ask with GET"), ("GET", "304 NOT MODIFIED", "send a body with another")],
)
def test_a_response_that_can_have_no_body(stream_of, method, status, remedy):
    def view():
        return (item for item in "ab"), int(status[:3])

    text = text_of(stream_of(view, method=method).assert_chunk_count, 2).splitlines()
    assert text[2] == f"  cause:   a response to {method} with status {status} has no body"
    assert text[3].startswith(f"  remedy:  {remedy}")


# Content


def test_fewer_chunks(stream_of):
    assert text_of(stream_of(users).assert_chunk_count, 4) == parts(
        "assert_chunk_count(4): GET /users.csv gave fewer than 4 chunks",
        seen="3 chunks, 3 items produced",
        cause=f"{VIEW} yields no more",
        remedy=MEND,
        transcript=EXHAUSTED,
    )


def test_more_chunks(stream_of, paced):
    assert text_of(stream_of(users).assert_chunk_count, at_least=1, at_most=2) == parts(
        "assert_chunk_count(at_least=1, at_most=2): GET /users.csv gave more than 2 chunks",
        seen="3 chunks read so far, 3 items produced",
        cause=f"{VIEW} yields more",
        remedy=MEND,
        transcript=seen_as("open", 3, *CHUNKS),
    )
    rows = paced(*ROWS)
    rows.let_go(2)
    stream = stream_of(paced_users(rows))
    assert text_of(stream.assert_chunks, ["id,name\n"]) == parts(
        r"assert_chunks(['id,name\n']): GET /users.csv gave more than 1 chunk",
        seen="2 chunks read so far, 2 items produced",
        cause=f"{VIEW} yields more",
        remedy=MEND,
        transcript=seen_as("open", 2, *CHUNKS[:2]),
    )
    rows.let_go(3)


def test_a_layer_that_cuts_items_up(stream_of, over_the_wire):
    def cuts(wsgi_app):
        def layer(environ, start_response):
            for chunk in wsgi_app(environ, start_response):
                yield from (bytes([byte]) for byte in chunk)

        return layer

    text = text_of(stream_of(users, layer=cuts).assert_chunk_count, at_most=1).splitlines()
    assert over_the_wire or text[1] == "  seen:    2 chunks read so far, 1 item produced"
    assert text[2] == f"  cause:   a layer behind {VIEW} cuts up what it yields"
    text = text_of(stream_of(users, layer=cuts).assert_chunk_count, at_least=1000).splitlines()
    assert text[2] == f"  cause:   {VIEW} yields no more"


def test_a_layer_that_skips_items_is_named_also_where_it_is_a_generator_expression(stream_of):
    def skips(wsgi_app):
        def layer(environ, start_response):
            return (chunk for chunk in wsgi_app(environ, start_response) if b"ada" not in chunk)

        return layer

    stream = stream_of(users, layer=skips)
    name = "layer" if sys.version_info >= (3, 11) else "<genexpr>"
    assert text_of(stream.assert_lazy).splitlines()[1:3] == [
        "  seen:    3 items were produced when chunk 1 was handed over, at most 2 were allowed;"
        " 2 chunks, 16 bytes",
        f"  cause:   WSGI layer {name} read the body: here:N  return (chunk for chunk in"
        ' wsgi_app(environ, start_response) if b"ada" not in chunk)',
    ]


def test_a_chunk_that_differs(stream_of, paced):
    rows = paced(*ROWS)
    rows.let_go(2)
    stream = stream_of(paced_users(rows))
    assert text_of(stream.assert_chunks, ["id,name\n", "1,bob\n"]) == parts(
        r"assert_chunks(['id,name\n', '1,bob\n']): GET /users.csv differs in chunk 1",
        seen=r"chunk 1 is b'1,ada\n' (6 bytes), expected b'1,bob\n' (6 bytes), first difference at"
        " byte 2",
        cause=f"{VIEW} yields other bytes than claimed",
        remedy="claim the chunks as they are cut, or the text with read_text() where the cut is of"
        " no concern",
        transcript=seen_as("open", 2, *CHUNKS[:2]),
    )
    rows.let_go(3)


def test_a_chunk_that_is_cut_elsewhere(stream_of):
    text = text_of(stream_of(users).assert_chunks, ["id,name\n1,ada\n2,grace\n"]).splitlines()
    assert text[:3] == [
        r"assert_chunks(['id,name\n1,ada\n2,grace\n']): GET /users.csv differs in chunk 0",
        r"  seen:    chunk 0 is b'id,name\n' (8 bytes), expected b'id,name\n1,ada\n2,grace\n'"
        " (22 bytes), first difference at byte 8",
        "  cause:   the body is cut elsewhere than claimed",
    ]


def test_of_long_chunks_the_place_is_shown_where_they_differ(stream_of):
    def view():
        return iter(["'" * 30 + '"' * 30 + "y" + "z" * 100])

    text = text_of(stream_of(view).assert_chunks, ["'" * 30 + '"' * 30 + "Y"]).splitlines()
    assert text[0] == (
        "assert_chunks([" + repr("'" * 30 + '"' * 30)[:58] + "…): GET /users.csv differs in chunk 0"
    )
    quotes = '"' * 12
    assert text[1] == (
        f"  seen:    chunk 0 is b'…{quotes}y{'z' * 23}…' (161 bytes), expected b'…{quotes}Y'"
        " (61 bytes), first difference at byte 60"
    )
    shown = r"b'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'…zzzzzzzzzzzz'"
    assert text[5] == f"    #0  161 B  produced 1  waited T  no context  {shown}"


def test_fragments_that_are_missing_or_come_in_another_order(stream_of):
    stream = stream_of(users)
    first = "assert_order('ada', {}): GET /users.csv has not these fragments in this order"
    seen = "fragment 1, {}, does not occur after byte 13 in 3 chunks, 22 bytes"
    assert text_of(stream.assert_order, "ada", b"id,") == parts(
        first.format("b'id,'"),
        seen=seen.format("b'id,'") + "; it occurs at byte 0",
        cause="the fragments come in another order",
        remedy=MEND,
        transcript=EXHAUSTED,
    )
    assert text_of(stream.assert_order, "ada", "bob") == parts(
        first.format("'bob'"),
        seen=seen.format("b'bob'"),
        cause=f"{VIEW} does not yield it",
        remedy=MEND,
        transcript=EXHAUSTED,
    )


def test_what_take_until_waits_for_does_not_come(stream_of):
    stream = stream_of(users)
    assert text_of(stream.take_until, "bob") == parts(
        "take_until('bob'): GET /users.csv ended before the condition was true",
        seen="3 chunks taken by this call, 3 chunks, 22 bytes in all",
        cause=f"{VIEW} does not yield it",
        remedy="mend the app, or the condition",
        transcript=EXHAUSTED,
    )

    def never(chunk):
        return False

    text = text_of(stream.take_until, never).splitlines()
    assert text[0] == "take_until(never): GET /users.csv ended before the condition was true"


@pytest.mark.parametrize(
    ("before", "fragment", "where"),
    [
        (2, "ada", "chunk 1 holds it"),
        (2, "1,ada", "chunk 1 holds it"),
        (2, b"name", "chunk 0 holds it"),
        (1, "me\n1", "it begins in chunk 0 and ends in chunk 1"),
        (1, "name\n1,ada\n2", "it begins in chunk 0 and ends in chunk 2"),
    ],
)
def test_what_take_until_waits_for_was_taken_before(stream_of, before, fragment, where):
    stream = stream_of(users)
    stream.take(before)
    assert text_of(stream.take_until, fragment) == parts(
        f"take_until({fragment!r}): GET /users.csv ended before the condition was true",
        seen=f"{3 - before} chunk{'s' * (before == 1)} taken by this call, 3 chunks, 22 bytes in"
        " all",
        cause=f"an earlier read has taken it: {where}",
        remedy="call take_until() before what reads that far, or look at .chunks",
        transcript=EXHAUSTED,
    )


def test_a_length_that_is_not_held(stream_of):
    def view():
        return (item for item in "ab"), {"Content-Length": "3"}

    text = text_of(stream_of(view).assert_complete).splitlines()
    assert text[:4] == [
        "assert_complete(): GET /users.csv is not complete",
        "  seen:    2 bytes came, Content-Length: 3",
        "  cause:   view view (here:N  def view():) or a layer behind it declares another length"
        " than it sends",
        "  remedy:  leave Content-Length away where the length is not known before",
    ]


def test_a_client_that_left(stream_of, over_the_wire):
    stream = stream_of(users)
    stream.take(1)
    stream.disconnect()
    for claim in (stream.assert_complete, partial(stream.assert_order, "ada")):
        text = text_of(claim)
        assert "in 1 chunk of 8 bytes\n" in text or "    1 chunk of 8 bytes, then" in text
        assert f"  cause:   {LEFT['cause']}\n  remedy:  {LEFT['remedy']}\n" in text
    if over_the_wire:
        return  # how far the app has got is chance
    transcript = seen_as("closed", 1, CHUNKS[0])
    assert text_of(stream.assert_complete) == parts(
        "assert_complete(): GET /users.csv did not end by itself",
        seen="1 chunk of 8 bytes, then disconnect()",
        transcript=transcript,
        **LEFT,
    )
    assert text_of(stream.assert_chunk_count, 2) == parts(
        "assert_chunk_count(2): GET /users.csv gave fewer than 2 chunks",
        seen="1 chunk, 1 item produced",
        transcript=transcript,
        **LEFT,
    )
    assert text_of(stream.assert_order, "ada") == parts(
        "assert_order('ada'): GET /users.csv has not these fragments in this order",
        seen="fragment 0, b'ada', does not occur anywhere in 1 chunk of 8 bytes",
        transcript=transcript,
        **LEFT,
    )
    assert text_of(stream.assert_raises, OSError) == parts(
        "assert_raises(OSError): GET /users.csv did not end in OSError",
        seen="closed, without an error; 1 chunk of 8 bytes",
        transcript=transcript,
        **LEFT,
    )


# Errors


def fails():
    def generate():
        yield "a"
        raise ValueError("disk 7 is full\nand slow")

    return generate()


RAISED = r'ValueError: disk 7 is full  here:N  raise ValueError("disk 7 is full\nand slow")'
FAILED = [
    *seen_as(
        "failed",
        1,
        "  #0  1 B  produced 1  waited T  no context  b'a'",
        status="200 text/html",
    ),
    f"  error: {RAISED}",
]


@pytest.mark.parametrize(
    ("call", "first", "seen", "cause", "remedy"),
    [
        (
            lambda s: s.assert_complete(),
            "assert_complete(): GET /users.csv ended in ValueError",
            "ValueError after 1 chunk",
            f"the app raised it while the body was being sent: {RAISED}",
            "mend the app, or claim the error with assert_raises()",
        ),
        (
            lambda s: s.assert_raises((KeyError, OSError), after=1),
            "assert_raises((KeyError, OSError), after=1): GET /users.csv did not end in KeyError or"
            " OSError",
            "ValueError after 1 chunk",
            f"the app raised it while the body was being sent: {RAISED}",
            "mend the app, or claim the error with assert_raises()",
        ),
        (
            lambda s: s.assert_raises(ValueError, after=2),
            "assert_raises(ValueError, after=2): GET /users.csv did not end after 2 chunks",
            "ValueError after 1 chunk",
            RAISED,
            "mend the app, or after=",
        ),
        (
            lambda s: s.assert_raises(ValueError, match="^slow"),
            "assert_raises(ValueError, match='^slow'): GET /users.csv did not end in an error that"
            " matches '^slow'",
            r"ValueError('disk 7 is full\nand slow')",
            RAISED,
            "mend the app, or match=",
        ),
    ],
)
def test_an_error_of_the_apps(stream_of, call, first, seen, cause, remedy):
    assert text_of(call, stream_of(fails)) == parts(
        first, seen=seen, cause=cause, remedy=remedy, transcript=FAILED
    )


class UserTable:
    closed = False

    def rows(self):
        for name in ("ada", "bob"):
            if self.closed:
                raise LookupError("the table is closed")
            yield name

    def close(self):
        self.closed = True


def close_users(error):
    g.users.close()


def other_teardown(error):
    pass


@pytest.mark.parametrize("of_app", [True, False])
@pytest.mark.parametrize("message", ["closed", "of another kind"])
def test_an_error_of_what_a_teardown_function_has_closed(open_client, of_app, message):
    app = Flask("texts", static_folder=None)
    group, other = Blueprint("group", "texts"), Blueprint("other", "texts")

    @group.get("/")
    def users():
        g.users = UserTable()

        def generate(table=g.users):
            try:
                yield from table.rows()
            except LookupError as error:
                raise LookupError(f"{error}"[: None if message == "closed" else 5]) from None

        return generate()

    group.teardown_request(close_users)
    other.teardown_request(other_teardown)
    if of_app:
        app.teardown_appcontext(other_teardown)
    app.register_blueprint(group)
    app.register_blueprint(other)
    text = text_of(open_client(app).get("/").assert_complete).splitlines()
    named = "close_users (here:N  def close_users(error):)"
    if of_app:
        named += " and other_teardown (here:N  def other_teardown(error):)"
    if message == "closed":
        assert text[2].endswith(f"; teardown function {named} had run by then")
        assert text[3].startswith("  remedy:  open in the generator what it reads; or keep the")
    else:
        assert "teardown" not in text[2] + text[3]


def test_teardown_functions_that_ran_after_an_error_have_no_part_in_it(open_client):
    app = Flask("texts", static_folder=None)

    app.teardown_appcontext(other_teardown)

    @app.get("/")
    def users():
        def generate():
            yield "ada"
            raise LookupError("the table is closed")

        return stream_with_context(generate())

    stream = open_client(app).get("/")
    text = text_of(stream.assert_complete)
    torn_down_before_too = len(stream.record.teardowns) > 2  # by Flask 3.1.2 and 3.1.3
    assert ("teardown function" in text) is torn_down_before_too


def test_an_error_that_does_not_come(stream_of):
    assert text_of(stream_of(users).assert_raises, ValueError) == parts(
        "assert_raises(ValueError): GET /users.csv did not end in ValueError",
        seen="exhausted, without an error; 3 chunks, 22 bytes",
        cause=f"{VIEW} raises nothing while it is read, or a layer turns its error into a clean"
        " end",
        remedy="let the error out of the generator, or claim assert_complete()",
        transcript=EXHAUSTED,
    )


def test_a_chunk_that_is_no_bytes_points_at_the_view(stream_of):
    def numbers():
        return iter([b"0", 1])

    text = "chunk 1 is 1, of type int: a server takes bytes only (PEP 3333)"
    view = "here:N  def numbers():"
    assert text_of(stream_of(numbers).assert_complete) == parts(
        "assert_complete(): GET /users.csv ended in TypeError",
        seen="TypeError after 1 chunk",
        cause=f"a server ends the response there: {text}",
        remedy=f"yield str or bytes from the iterable of view numbers ({view})",
        transcript=[
            *seen_as(
                "failed",
                2,
                "  #0  1 B  produced 1  waited T  no context  b'0'",
                status="200 text/html",
            ),
            f"  error: TypeError: {text}  {view}",
        ],
    )


class Listing(View):
    init_every_request = False
    decorators = (partial,)  # no wrapper that says what it wraps

    def dispatch_request(self):
        return listed()


class Users(MethodView):
    def get(self):
        return listed()


class Page:
    def __call__(self):
        return listed()


@pytest.mark.parametrize(
    ("view", "named"),
    [
        (Listing.as_view("view"), "Listing.dispatch_request (here:N  def dispatch_request(self):)"),
        (Users.as_view("view"), "Users.get (here:N  def get(self):)"),
        (Page(), "Page.__call__ (here:N  def __call__(self):)"),
        (partial(listed), "listed (here:N  def listed():)"),
        (Flask("other").send_static_file, "'view'"),
    ],
    ids=["View", "MethodView", "callable", "partial", "Flask's own"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_view_is_named_by_the_users_code(stream_of, view, named, method):
    stream = stream_of(view, method=method)
    cause = text_of(stream.assert_template_buffering, 1).splitlines()[2]
    assert f" view {named} " in cause


def runs_dry():
    def rest():
        rows = iter("ab")
        while True:
            yield next(rows)

    def generate():
        yield from rest()

    return generate()


def test_a_generator_that_lets_stop_iteration_out_is_named_by_its_line(stream_of):
    text = text_of(stream_of(runs_dry).assert_complete).splitlines()
    error = "RuntimeError: generator raised StopIteration  here:N  yield next(rows)"
    assert text[2] == f"  cause:   the app raised it while the body was being sent: {error}"
    assert text[-1] == f"    error: {error}"


def test_a_lambda_view_is_where_it_stands(stream_of):
    stream = stream_of(lambda: iter("a"))

    def not_the_view():
        """Stands below the lambda, as a decorated function would below its decorators."""

    text = text_of(stream.assert_chunk_count, 2).splitlines()
    line = 'stream = stream_of(lambda: iter("a"))'
    assert text[2] == f"  cause:   view <lambda> (here:N  {line}) yields no more"


# Templates


def template(size):
    def page():
        stream = current_app.jinja_env.from_string(LIST_TEMPLATE).stream(items="abcd")
        if size > 1:
            stream.enable_buffering(size)
        return Response(stream)

    return page


BUFFERED = [
    "  #0  13 B  produced 1  waited T  no context  5 events  b'<ul><li>1 - a'",
    "  #1  14 B  produced 2  waited T  no context  5 events  b'</li><li>2 - b'",
    "  #2  14 B  produced 3  waited T  no context  5 events  b'</li><li>3 - c'",
    "  #3  14 B  produced 4  waited T  no context  5 events  b'</li><li>4 - d'",
    "  #4  10 B  produced 5  waited T  no context  2 events  b'</li></ul>'",
]


def test_another_buffer(stream_of):
    stream = stream_of(template(5))
    transcript = seen_as("exhausted", 5, *BUFFERED, status="200 text/html")
    assert text_of(stream.assert_template_buffering, 2) == parts(
        "assert_template_buffering(2): GET /users.csv is not a template streamed in buffers of 2"
        " events",
        seen="chunk 0 of 5 was made of 5 non-empty events (5 events in all)",
        cause="view page (here:N  def page():) streams its template with another buffer, or with"
        " none",
        remedy="set the buffer that is meant: template.stream(…) with enable_buffering(2)",
        transcript=transcript,
    )
    assert text_of(stream.assert_template_buffering, 1) == parts(
        "assert_template_buffering(1): GET /users.csv is not a template streamed event by event",
        seen="chunk 0 of 5 was made of 5 non-empty events (5 events in all)",
        cause="view page (here:N  def page():) buffers its template",
        remedy="set the buffer that is meant: stream_template(name, …), or template.stream(…)"
        " without enable_buffering()",
        transcript=transcript,
    )


def test_a_long_transcript_is_cut_in_the_middle(stream_of):
    text = text_of(stream_of(template(1)).assert_template_buffering, 5)
    assert text.splitlines()[4:] == [
        "  GET /users.csv  200 text/html  exhausted  produced 22  delivered 22  teardown: request,"
        " app before chunk 1",
        "    #0  4 B  produced 1  waited T  no context  1 event  b'<ul>'",
        "    #1  4 B  produced 2  waited T  no context  1 event  b'<li>'",
        "    #2  1 B  produced 3  waited T  no context  1 event  b'1'",
        "    … 16 more chunks (all with -vv)",
        "    #19  1 B  produced 20  waited T  no context  1 event  b'd'",
        "    #20  5 B  produced 21  waited T  no context  1 event  b'</li>'",
        "    #21  5 B  produced 22  waited T  no context  1 event  b'</ul>'",
    ]


def test_no_template(stream_of):
    assert text_of(stream_of(users).assert_template_buffering, 5) == parts(
        "assert_template_buffering(5): GET /users.csv is not a template streamed in buffers of 5"
        " events",
        seen="no template was streamed; 3 chunks, 22 bytes",
        cause=f"{VIEW} sends no template, or one that was rendered at once",
        remedy="stream it: template.stream(…) with enable_buffering(5)",
        transcript=EXHAUSTED,
    )


def test_a_template_that_was_not_begun(stream_of, over_the_wire):
    def page():
        return stream_template_string(LIST_TEMPLATE, items="abcd")

    stream = stream_of(page, method="HEAD")
    text = text_of(stream.assert_template_buffering, 1).splitlines()
    assert text[2:4] == [
        "  cause:   a response to HEAD with status 200 OK has no body",
        "  remedy:  ask with GET",
    ]
    if over_the_wire:
        return  # a server begins every body
    stream = stream_of(page)
    stream.disconnect()
    text = text_of(stream.assert_template_buffering, 1).splitlines()
    assert text[2:4] == [f"  cause:   {LEFT['cause']}", f"  remedy:  {LEFT['remedy']}"]


# Under pytest

INNER = """
import pytest
from flask import Flask, request


@pytest.fixture
def app():
    app = Flask(__name__)

    @app.after_request
    def count_bytes(response):
        if response.mimetype == "text/csv":
            response.headers["X-Size"] = response.calculate_content_length()
        return response

    @app.get("/users.csv")
    def users():
        return (row for row in ["id,name\\n", "1,ada\\n"]), {"Content-Type": "text/csv"}

    @app.get("/hello")
    def hello():
        def greet():
            yield "Hello "
            yield request.args["name"]

        return greet()

    return app


def test_early(stream_client):
    stream_client.get("/users.csv").assert_streamed()


def test_context(stream_client):
    stream_client.get("/hello").assert_complete()


def test_misuse(stream_client):
    stream_client.get("/hello").assert_raises(OSError, match="(")


def test_count(stream_client):
    stream_client.get("/hello").assert_chunk_count(at_least=2, at_most=1)


def test_type(stream_client):
    stream_client.get("/hello").assert_chunks(["a", 1])


def test_not_kept(make_stream_client):
    make_stream_client(keep_bytes=1).get("/hello").assert_chunks([])


def test_not_whole(make_stream_client):
    make_stream_client(keep_bytes=1).get("/users.csv").read_text()
"""

EXPECTED = r"""
    def test_early(stream_client):
>       stream_client.get("/users.csv").assert_streamed()
E       AssertionError: assert_streamed(): GET /users.csv was not streamed
E         seen:    2 of 2 items were produced before the first pull; 1 chunk of 8 bytes read so far, Content-Length: 14
E         cause:   after_request function count_bytes read the body: test_inner.py:12  response.headers["X-Size"] = response.calculate_content_length()
E         remedy:  count the bytes in response.call_on_close(), or skip responses whose is_streamed is true
E         GET /users.csv  200 text/csv  open  produced 2  delivered 1  teardown: request, app before chunk 1
E           #0  8 B  produced 2  waited T  no context  b'id,name\n'

test_inner.py:31: AssertionError

    def test_context(stream_client):
>       stream_client.get("/hello").assert_complete()
E       AssertionError: assert_complete(): GET /hello ended in RuntimeError
E         seen:    RuntimeError after 1 chunk
E         cause:   greet touched request when the request context was gone: test_inner.py:23  yield request.args["name"]; a context that is pushed in the test would have hidden it from Flask's client
E         remedy:  wrap the generator: stream_with_context(generate()), or read what it needs of the request in the view
E         GET /hello  200 text/html  failed  produced 1  delivered 1  teardown: request, app before chunk 1
E           #0  6 B  produced 1  waited T  no context  b'Hello '
E           error: RuntimeError: Working outside of request context.  test_inner.py:23  yield request.args["name"]

test_inner.py:35: AssertionError

    def test_misuse(stream_client):
>       stream_client.get("/hello").assert_raises(OSError, match="(")
E       ValueError: match must be a regular expression, and '(' is none: missing ), unterminated subpattern at position 0

test_inner.py:39: ValueError

    def test_count(stream_client):
>       stream_client.get("/hello").assert_chunk_count(at_least=2, at_most=1)
E       ValueError: at_least=2 is more than at_most=1

test_inner.py:43: ValueError

    def test_type(stream_client):
>       stream_client.get("/hello").assert_chunks(["a", 1])
E       TypeError: expected must be bytes or str, and 1 is int

test_inner.py:47: TypeError

    def test_not_kept(make_stream_client):
>       make_stream_client(keep_bytes=1).get("/hello").assert_chunks([])
E       pytest_flask_stream.errors.ChunksNotKept: assert_chunks() needs the whole body, and only its first keep_bytes=1 bytes are kept
E         remedy:  raise keep_bytes, or look at the chunks as they come: for chunk in stream

test_inner.py:51: ChunksNotKept

    def test_not_whole(make_stream_client):
>       make_stream_client(keep_bytes=1).get("/users.csv").read_text()
E       pytest_flask_stream.errors.ChunksNotKept: read() needs the whole body, and only its first keep_bytes=1 bytes are kept
E         remedy:  raise keep_bytes, or look at the chunks as they come: for chunk in stream

test_inner.py:55: ChunksNotKept
"""  # noqa: E501


@pytest.mark.parametrize("mode", ["plain", "rewrite"])
def test_the_users_line_is_on_top_with_and_without_rewriting(pytester, mode):
    pytester.makepyfile(test_inner=INNER)
    named = {point.name for point in importlib.metadata.entry_points(group="pytest11")}
    plugin = [] if "flask_stream" in named else ["-p", "pytest_flask_stream.plugin"]
    others = ["-p", "no:asyncio", "-p", "no:flask"]  # pytest-flask pushes contexts, which is told
    result = pytester.runpytest(f"--assert={mode}", "--show-capture=no", *plugin, *others)
    result.assert_outcomes(failed=7)
    lines = [normal(line.rstrip()) for line in result.outlines]
    for block in re.split(r"\n\n(?=    def )", EXPECTED.strip("\n")):
        expected = block.splitlines()
        start = lines.index(expected[0])
        assert lines[start : start + len(expected)] == expected
    assert not [line for line in lines if re.search(r"pytest_flask_stream\S*\.py:\d+", line)]
