"""What a stream leaves behind: ``Source`` and the two claims about teardown and closing."""

import contextlib
import itertools
import re
import sqlite3

import pytest
from flask import (
    Flask,
    Response,
    abort,
    current_app,
    g,
    redirect,
    request,
    stream_with_context,
)
from werkzeug.wsgi import ClosingIterator

from pytest_flask_stream import Source, StreamClient


class Rows:
    """Rows with a ``close()``, as a cursor has one."""

    def __init__(self, count=5):
        self.count = count
        self.closed = False
        self.arraysize = 7

    def __iter__(self):
        return iter(range(self.count))

    def close(self):
        self.closed = True


@pytest.fixture
def app():
    app = Flask(__name__)
    app.testing = True
    return app


@pytest.fixture
def client(open_client, app):
    return open_client(app)


def failure_of(claim):
    with pytest.raises(AssertionError) as caught:
        claim()
    return str(caught.value)


def part(text, name):
    return re.search(rf"^  {name}: +(.*)$", text, re.MULTILINE)[1]


def tears_down_twice():
    """Probe whether this Flask tears a kept context down before the first chunk, too."""
    moments = []
    app = Flask(__name__)
    app.teardown_request(lambda error: moments.append("teardown"))

    @app.get("/")
    def probe():
        return stream_with_context(moments.append("chunk") or "x" for _ in range(1))

    app.test_client().get("/", buffered=True)
    return moments.count("teardown") == 2


# Source


def test_a_source_counts_what_is_pulled_and_reads_nothing_before():
    asked = []
    source = Source((asked.append(n) or n for n in range(3)), "rows")
    assert (asked, source.pulled, source.exhausted, source.name) == ([], 0, False, "rows")
    assert next(source) == 0
    assert (asked, source.pulled, source.exhausted) == ([0], 1, False)
    assert list(source) == [1, 2]
    assert (source.pulled, source.exhausted, source.closed) == (3, True, False)


def test_a_source_passes_close_and_attributes_on():
    rows = Rows()
    source = Source(rows)
    assert source.arraysize == 7
    source.close()
    assert rows.closed
    assert source.closed


def test_a_source_has_a_close_only_where_what_it_wraps_has_one():
    assert not hasattr(Source([1]), "close")
    assert hasattr(Source(Rows()), "close")


def test_a_source_says_what_it_is_in_one_line():
    source = Source(Rows(), "rows")
    next(source)
    assert repr(source) == "<Source 'rows' open: 1 item pulled>"
    source.close()
    assert repr(source) == "<Source 'rows' closed: 1 item pulled>"


def test_a_source_refuses_a_name_that_is_none():
    with pytest.raises(TypeError, match="name must be a str"):
        Source([], 3)


def test_the_record_knows_the_sources_made_or_read_by_its_request(app, client, over_the_wire):
    made_outside = Source(iter("ab"), "outside")

    @app.get("/outside")
    def outside():
        return (letter for letter in made_outside)

    @app.get("/inside")
    def inside():
        Source([], "inside")
        return "done"

    first, second = client.get("/outside"), client.get("/inside")
    assert over_the_wire or first.record.sources == []
    next(first)
    assert first.record.sources == [made_outside]
    assert [source.name for source in second.record.sources] == ["inside"]


def test_a_source_of_a_request_that_the_view_makes_is_not_the_streams(app, client):
    @app.get("/inner")
    def inner():
        Source([], "inner")
        return "inner"

    @app.get("/outer")
    def outer():
        return app.test_client().get("/inner").text

    assert client.get("/outer").record.sources == []


@pytest.mark.in_process("a server pulls by itself")
def test_a_source_shows_what_a_generator_collects_before_it_yields(app, client):
    source = Source(range(9), "rows")

    @app.get("/")
    def view():
        def generate():
            while batch := list(itertools.islice(source, 3)):
                yield str(batch)

        return generate()

    next(client.get("/"))
    assert source.pulled == 3


# Teardown


def test_teardown_after_the_stream_holds_where_the_context_is_kept(app, client):
    @app.get("/")
    def view():
        return stream_with_context(request.path for _ in range(3))

    stream = client.get("/")
    if tears_down_twice():
        text = failure_of(stream.assert_teardown_after_stream)
        assert part(text, "seen") == (
            "the teardown functions ran 2 times: after 0, after 3 of 3 chunks"
        )
        assert part(text, "cause").startswith("this is Flask 3.1.")
        assert "not the app" in part(text, "cause")
    else:
        stream.assert_teardown_after_stream()
        stream.assert_teardown_after_stream()


def test_teardown_before_the_last_chunk_fails_and_names_the_view(app, client):
    @app.get("/")
    def users():
        return (str(n) for n in range(2))

    text = failure_of(client.get("/").assert_teardown_after_stream)
    assert text.splitlines()[0] == (
        "assert_teardown_after_stream(): GET / was torn down before its last chunk"
    )
    assert part(text, "seen") == (
        "the teardown functions of the request context ran after 0 of 2 chunks"
    )
    assert re.search(r"view users \(.*test_cleanup\.py:\d+  def users\(\):\)", part(text, "cause"))
    assert part(text, "remedy").endswith("stream_with_context(generate())")


@pytest.mark.parametrize("kept", [False, True])
def test_teardown_before_a_first_chunk_that_fails_is_told_of(app, client, kept):
    @app.get("/")
    def users():
        def generate():
            raise LookupError("Cannot operate on a closed database.")
            yield

        return stream_with_context(generate()) if kept else generate()

    stream = client.get("/")
    if kept and not tears_down_twice():
        stream.assert_teardown_after_stream()
        return
    text = failure_of(stream.assert_teardown_after_stream)
    if kept:
        assert "this is Flask 3.1." in part(text, "cause")
    else:
        assert part(text, "seen").endswith("ran before chunk 0, and an error came in its place")
        assert "does not keep the context" in part(text, "cause")


def test_teardown_after_the_stream_judges_on_after_an_error(app, client):
    @app.get("/")
    def view():
        def generate():
            yield "a"
            raise ValueError("lost")

        return generate()

    text = failure_of(client.get("/").assert_teardown_after_stream)
    assert "was torn down before its last chunk" in text


# Cleaned up


def test_a_stream_that_closes_what_it_reads_is_cleaned_up_when_the_client_leaves(app, client):
    rows = Rows()

    @app.get("/")
    def view():
        source = Source(rows)

        def generate():
            try:
                for row in source:
                    yield f"{row}{request.path}"
            finally:
                source.close()

        return stream_with_context(generate())

    stream = client.get("/")
    next(stream)
    stream.assert_cleaned_up()
    assert (stream.state, rows.closed) == ("closed", True)
    stream.assert_cleaned_up()


def test_a_source_that_was_read_out_needs_no_close(app, client):
    @app.get("/")
    def view():
        source = Source(Rows())
        return (str(row) for row in source)

    stream = client.get("/")
    stream.drain()
    stream.assert_cleaned_up()


def test_a_source_closed_on_close_is_cleaned_up_before_the_first_chunk(app, client):
    @app.get("/")
    def view():
        source = Source(Rows())
        response = Response(str(row) for row in source)
        response.call_on_close(source.close)
        return response

    client.get("/").assert_cleaned_up()
    client.head("/").assert_cleaned_up()


def test_a_source_left_open_on_disconnect_is_named(app, client, over_the_wire):
    @app.get("/")
    def view():
        source = Source(Rows(10**9), "cursor")
        return (str(row) for row in source)

    stream = client.get("/")
    next(stream)
    text = failure_of(stream.assert_cleaned_up)
    assert text.splitlines()[0] == "assert_cleaned_up(): GET / left 'cursor' open"
    seen = part(text, "seen")
    assert seen.startswith("source 'cursor' was neither closed nor read out; ")
    assert over_the_wire or seen.endswith("; 1 item pulled, 1 chunk delivered")


@pytest.mark.in_process("a server begins every body")
def test_a_finally_block_does_not_help_a_generator_that_never_starts(app, client):
    @app.get("/")
    def view():
        source = Source(Rows(), "cursor")

        def generate():
            try:
                yield from (str(row) for row in source)
            finally:
                source.close()

        return generate()

    text = failure_of(client.get("/").assert_cleaned_up)
    assert "a generator that never starts runs no finally block" in part(text, "cause")


OPEN_IT_THERE = "close it in response.call_on_close(), or open it in the generator that closes it"
NEVER_STARTS = ": a generator that never starts runs no finally block"


@pytest.mark.parametrize(
    ("method", "path", "cause", "remedy"),
    [
        ("HEAD", "/", f"when no body is sent{NEVER_STARTS}", OPEN_IT_THERE),
        ("GET", "/204", f"when no body is sent{NEVER_STARTS}", OPEN_IT_THERE),
        (
            "HEAD",
            "/passthrough",
            "when no body is sent",
            "leave direct_passthrough away, or hand over an iterable whose close() closes it",
        ),
        *(
            (
                method,
                f"/{path}",
                "when the view has answered",
                "close it in the view, in a with or finally block",
            )
            for method in ("GET", "HEAD")
            for path in ("first", "moved", "404")
        ),
    ],
)
@pytest.mark.parametrize("reads", [False, True])
def test_nobody_has_left_where_no_body_was_streamed(
    app, client, method, path, cause, remedy, reads
):
    @app.get("/", defaults={"what": "whole"})
    @app.get("/<what>")
    def view(what):
        rows = Source(Rows(), "rows")
        if what == "404":
            abort(404)
        if what == "moved":
            return redirect("/elsewhere")
        if what == "first":
            return str(next(rows))
        status = 204 if what == "204" else 200
        items = (b"%d" % row for row in rows)
        return Response(items, status, direct_passthrough=what == "passthrough")

    stream = client.open(path, method=method)
    if reads:
        stream.drain()
    text = failure_of(stream.assert_cleaned_up)
    assert part(text, "cause") == f"nobody closes it {cause}"
    assert part(text, "remedy") == remedy


def test_a_generator_that_swallows_generator_exit_is_told_of(app, client):
    @app.get("/")
    def view():
        def generate():
            while True:
                try:
                    yield "x"
                except GeneratorExit:
                    yield "again"
                    return

        return generate()

    stream = client.get("/")
    next(stream)
    with pytest.raises(AssertionError) as caught:
        stream.assert_cleaned_up()
    assert "could not be closed" in str(caught.value)
    assert "yields again after GeneratorExit" in part(str(caught.value), "cause")
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize("keeps_close", [True, False])
def test_a_layer_that_loses_close_is_told_of(app, client, keeps_close):
    class Layer:
        def __init__(self, application):
            self.application = application

        def __call__(self, environ, start_response):
            body = self.application(environ, start_response)
            through = (chunk for chunk in body)
            return ClosingIterator(through, body.close) if keeps_close else through

    app.wsgi_app = Layer(app.wsgi_app)

    @app.get("/")
    def view():
        return (str(n) for n in itertools.count())

    stream = client.get("/")
    next(stream)
    if keeps_close:
        stream.assert_cleaned_up()
    else:
        text = failure_of(stream.assert_cleaned_up)
        assert "was not closed" in text.splitlines()[0]
        assert "close() did not reach what view view" in part(text, "seen")


def test_close_reaches_an_iterable_that_is_no_generator(app, client):
    rows = Rows()

    @app.get("/chained")
    def chained():
        return Response(itertools.chain([b"a"], map(str, rows)))

    @app.get("/own")
    def own():
        return Response(rows)

    chained_stream, own_stream = client.get("/chained"), client.get("/own")
    next(chained_stream)
    chained_stream.assert_cleaned_up()
    own_stream.assert_cleaned_up()
    assert rows.closed


def test_a_context_that_is_left_pushed_is_told_of(app, client):
    @app.get("/")
    def view():
        def generate():
            app.app_context().push()
            yield "x"
            yield "y"

        return generate()

    stream = client.get("/")
    next(stream)
    text = failure_of(stream.assert_cleaned_up)
    assert part(text, "seen") == "the app context is still active where the stream ran; closed"


def test_a_context_of_the_test_is_nothing_that_the_stream_left(app):
    @app.get("/")
    def view():
        return (str(n) for n in range(3))

    with app.app_context(), StreamClient(app, isolate=False) as client:
        stream = client.get("/")
        next(stream)
        stream.assert_cleaned_up()


def test_an_error_that_ended_the_stream_does_not_hide_what_is_left(app, client):
    @app.get("/<leak>")
    def view(leak):
        source = Source(Rows(), "cursor")

        def generate():
            yield str(next(source))
            if leak == "no":
                source.close()
            raise ValueError("lost")

        return generate()

    clean, leaking = client.get("/no"), client.get("/yes")
    for stream in (clean, leaking):
        stream.assert_raises(ValueError)
    clean.assert_cleaned_up()
    assert "left 'cursor' open" in failure_of(leaking.assert_cleaned_up)


def test_a_real_cursor_is_watched(app, client, tmp_path):
    path = tmp_path / "rows.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table rows (n)")
        connection.executemany("insert into rows values (?)", [(n,) for n in range(9)])
    connection.close()

    @app.teardown_request
    def disconnect(error):
        if "database" in g:
            g.pop("database").close()

    @app.get("/<how>")
    def view(how):
        g.database = sqlite3.connect(path)
        cursor = Source(g.database.execute("select n from rows"), "cursor")
        generate = (f"{n}\n" for (n,) in cursor)
        return stream_with_context(generate) if how == "kept" else generate

    if not tears_down_twice():
        kept = client.get("/kept")
        kept.assert_chunk_count(9)
        kept.assert_teardown_after_stream()
        kept.assert_cleaned_up()
    error = client.get("/lost").assert_raises(sqlite3.ProgrammingError, after=0)
    assert "closed" in str(error)


def test_a_body_that_was_read_out_needs_no_close(app, client):
    class LosesClose:
        def __init__(self, application):
            self.application = application

        def __call__(self, environ, start_response):
            yield from self.application(environ, start_response)

    app.wsgi_app = LosesClose(app.wsgi_app)

    @app.get("/")
    def view():
        return (str(n) for n in range(3))

    stream = client.get("/")
    stream.drain()
    stream.assert_cleaned_up()


def test_a_generator_left_suspended_is_told_of_where_a_layer_hides_the_error(app, client):
    class HidesErrors:
        def __init__(self, application):
            self.application = application

        def __call__(self, environ, start_response):
            body = self.application(environ, start_response)

            def close():
                with contextlib.suppress(RuntimeError):
                    body.close()

            return ClosingIterator((chunk for chunk in body), close)

    app.wsgi_app = HidesErrors(app.wsgi_app)
    stuck = []

    @app.get("/")
    def view():
        def generate():
            try:
                while True:
                    yield "x"
            except GeneratorExit:
                yield "again"

        stuck.append(generate())
        return stuck[0]

    stream = client.get("/")
    next(stream)
    text = failure_of(stream.assert_cleaned_up)
    assert "left its generator unfinished" in text.splitlines()[0]
    assert part(text, "seen").startswith("the generator of view view (")
    stuck.pop().close()


@pytest.fixture
def closing_raises(app):
    @app.get("/")
    def view():
        response = Response(iter("ab"))

        @response.call_on_close
        def release():
            raise OSError("cannot release")

        return response


@pytest.mark.usefixtures("closing_raises")
@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_an_error_of_closing_is_told_of_at_the_end_of_the_body_too(client, chunks):
    stream = client.get("/")
    with contextlib.suppress(OSError):
        for _ in range(chunks):
            next(stream, None)
    text = failure_of(stream.assert_cleaned_up)
    assert text.splitlines()[0] == "assert_cleaned_up(): GET / could not be closed"
    assert part(text, "cause").startswith("OSError: cannot release  ")


@pytest.mark.usefixtures("closing_raises")
def test_an_error_of_closing_is_no_error_of_sending(client):
    text = failure_of(client.get("/").assert_complete)
    assert part(text, "cause").startswith("the app raised it when the body was closed: OSError")


def test_cleaning_up_that_misses_its_context_says_so(app, client):
    @app.get("/")
    def view():
        def generate():
            try:
                yield from itertools.repeat("a")
            finally:
                current_app.logger.info("sent")

        return generate()

    stream = client.get("/")
    next(stream)
    text = failure_of(stream.assert_cleaned_up)
    assert "could not be closed" in text.splitlines()[0]
    assert part(text, "cause").startswith(
        "generate touched current_app when the application context was gone: "
    )
    assert part(text, "remedy").startswith("wrap the generator: stream_with_context(generate())")


def test_a_teardown_function_that_raises_is_told_of(app, client):
    sent = []

    @app.teardown_request
    def release(_error):
        if sent:
            sent.clear()  # once: a context of pytest-flask's may be torn down, too
            raise OSError("cannot release")

    @app.get("/")
    def view():
        def generate():
            yield "a"
            sent.append(True)

        return stream_with_context(generate())

    stream = client.get("/")
    stream.assert_raises(OSError, after=1)
    if tears_down_twice():
        return  # the first of the two has run to its end
    text = failure_of(stream.assert_teardown_after_stream)
    assert text.splitlines()[0].endswith("was not torn down to the end")
    assert part(text, "cause").startswith(
        "a teardown_request function raised, and those behind it never ran: OSError: cannot release"
    )


def test_of_a_complete_body_nothing_is_to_be_kept(app, client):
    app.add_url_rule("/", "view", lambda: "made at once")
    stream = client.get("/")
    for claim in (stream.assert_teardown_after_stream, stream.assert_request_context):
        text = failure_of(claim)
        assert part(text, "cause") == (
            "what answered was made before it was sent, and needs no context any more"
        )
        assert part(text, "remedy").startswith("claim this of a body that is streamed")


def test_a_chunk_that_an_after_request_function_adds_has_no_context_of_the_views(app, client):
    @app.after_request
    def begin_with_a_mark(response):
        body = response.response
        response.response = ClosingIterator(itertools.chain([b"\xef\xbb\xbf"], body), body.close)
        return response

    @app.get("/")
    def users():
        return stream_with_context(request.path for _ in range(2))

    stream = client.get("/")
    stream.drain()
    stream.assert_cleaned_up()
    if not tears_down_twice():  # the context is there as soon as the view has begun the generator
        stream.assert_request_context()
        stream.assert_teardown_after_stream()
        return
    text = failure_of(stream.assert_request_context)
    assert part(text, "seen").startswith("1 of 3 chunks, the first of them chunk 0,")
    assert part(text, "cause").startswith("chunk 0 is none of what view users (")
    assert "an after_request function or a WSGI layer adds it" in part(text, "cause")
    text = failure_of(stream.assert_teardown_after_stream)
    assert part(text, "cause").startswith("this is Flask 3.1.")


def test_a_generator_that_failed_before_its_first_item_was_started(app, client):
    @app.get("/")
    def view():
        def generate():
            rows = Source(Rows(), "rows")
            raise LookupError(rows)
            yield

        return generate()

    stream = client.get("/")
    stream.assert_raises(LookupError)
    text = failure_of(stream.assert_cleaned_up)
    assert part(text, "cause") == "nobody closes it when an error ends the body"


def test_a_body_that_gave_way_to_an_error_page_is_not_left_behind(app, client, caplog):
    app.testing = False

    @app.after_request
    def sign(response):
        raise LookupError("no key")

    app.add_url_rule("/", "view", lambda: (letter for letter in "ab"))
    stream = client.get("/")
    assert stream.status_code == 500
    assert caplog.records  # which hold on to the error, and it to the generator
    stream.assert_cleaned_up()


@pytest.mark.in_process("a server has read the rows out when the client leaves")
def test_an_iterator_that_is_no_generator_has_no_finally_block(app, client):
    @app.get("/")
    def view():
        return map(str, Source(Rows(), "rows"))

    text = failure_of(client.get("/").assert_cleaned_up)
    assert part(text, "cause") == "nobody closes it when the client leaves"
