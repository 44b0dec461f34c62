"""Misuse, and apps that break the rules: each is a clear error that names what to do."""

from __future__ import annotations

import threading

import flask
import pytest
from flask import Flask, Response, stream_with_context

from pytest_flask_stream import StreamClient, StreamClosed, StreamError

WAIT = 5.0  # seconds that a gate is waited for: a limit, never a pause


class Items:
    """An iterator that notes its closes; the close may fail."""

    def __init__(self, *items, close_error=None):
        self.items = iter(items)
        self.close_error = close_error
        self.closes = 0

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.items)

    def close(self):
        self.closes += 1
        if self.close_error is not None:
            raise self.close_error


def streaming(*items):
    app = Flask("streaming")
    app.add_url_rule("/", "view", lambda: iter(items))
    return app


def layered(application):
    """Make an app behind a WSGI layer that answers in its place."""
    app = streaming("a", "b")
    app.wsgi_app = application
    return app


# Misuse of a client


@pytest.mark.parametrize("other", ["app", Flask, object(), lambda environ, start: []])
def test_an_app_that_is_no_flask_app_is_refused(other):
    with pytest.raises(TypeError, match=r"app must be a flask\.Flask") as caught:
        StreamClient(other)
    assert type(other).__name__ in str(caught.value)
    assert "app.wsgi_app = Layer(app.wsgi_app)" in str(caught.value)


def test_an_app_that_is_none_asks_for_the_fixture():
    with pytest.raises(TypeError, match="not None; does the fixture 'app' return it, or yield it"):
        StreamClient(None)


def test_a_client_of_an_app_that_is_no_flask_app_is_refused():
    from flask.testing import FlaskClient

    client = FlaskClient(object())
    with pytest.raises(TypeError, match=r"app must be a flask\.Flask"):
        StreamClient(client)
    assert "run_wsgi_app" not in vars(client)


def test_an_unknown_setting_is_refused_with_the_settings_that_there_are():
    with pytest.raises(TypeError, match=r"'timeuot'.*timeout, max_chunks, keep_bytes, isolate"):
        StreamClient(streaming(), timeuot=3)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("timeout", "3", TypeError),
        ("timeout", True, TypeError),
        ("timeout", -1, ValueError),
        ("timeout", float("nan"), ValueError),
        ("max_chunks", 0, ValueError),
        ("max_chunks", 2.5, TypeError),
        ("max_chunks", None, TypeError),
        ("keep_bytes", -1, ValueError),
        ("keep_bytes", "1 MB", TypeError),
        ("isolate", 0, TypeError),
        ("isolate", None, TypeError),
    ],
)
def test_a_bad_value_of_a_setting_is_refused_at_once(open_client, name, value, error):
    with pytest.raises(error, match=f"{name} must be .* not "):
        StreamClient(streaming(), **{name: value})
    client = open_client(streaming())
    before = getattr(client, name)
    with pytest.raises(error, match=f"{name} must be "):
        setattr(client, name, value)
    assert getattr(client, name) == before


def test_a_bad_timeout_of_a_stream_is_refused(open_client):
    stream = open_client(streaming("a")).get("/")
    with pytest.raises(TypeError, match="timeout must be seconds"):
        stream.timeout = "3"
    assert stream.timeout == 10.0


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("method", ["open", "get", "post"])
def test_buffered_is_refused_and_read_named(open_client, method, buffered):
    client = open_client(streaming())
    with pytest.raises(TypeError, match=r"read\(\)"):
        getattr(client, method)("/", buffered=buffered)
    assert client.streams == []


def test_an_argument_that_flasks_client_refuses_is_refused(open_client):
    client = open_client(streaming())
    with pytest.raises(TypeError, match="colour"):
        client.get("/", colour="red")
    assert client.streams == []


def test_a_closed_client_opens_nothing(open_client):
    client = open_client(streaming())
    client.close()
    with pytest.raises(StreamClosed, match="the client is closed") as caught:
        client.get("/")
    assert str(caught.value).splitlines() == [
        "no request can be made: the client is closed",
        "  remedy:  make it before that, or with another client: make_stream_client()",
    ]
    assert caught.value.reason == "the client is closed"


# Misuse of a stream


@pytest.mark.parametrize("n", ["1", 1.0, None, True])
def test_take_of_no_number_is_refused(open_client, n, over_the_wire):
    stream = open_client(streaming("a")).get("/")
    with pytest.raises(TypeError, match="n must be an int, at least 0"):
        stream.take(n)
    with pytest.raises(ValueError, match="n must be at least 0, not -1"):
        stream.take(-1)
    assert over_the_wire or stream.produced == 0


def test_a_condition_that_is_none_is_refused(open_client, over_the_wire):
    stream = open_client(streaming("a")).get("/")
    for condition in (3, None, ["a"]):
        with pytest.raises(TypeError, match="condition must be bytes, str or a callable"):
            stream.take_until(condition)
    for condition in ("", b""):
        with pytest.raises(ValueError, match="empty"):
            stream.take_until(condition)
    assert over_the_wire or stream.produced == 0


def test_an_error_of_the_condition_reaches_the_test_and_the_stream_stays_open(open_client):
    stream = open_client(streaming("a", "b")).get("/")
    with pytest.raises(ZeroDivisionError):
        stream.take_until(lambda chunk: 1 / 0)
    assert (stream.state, stream.chunks, list(stream)) == ("open", [b"a"], [b"b"])


# Chunks that are no bytes


class Raw(Response):
    """Hands its items to the server as they are."""

    def iter_encoded(self):
        return (item for item in self.response)


@pytest.mark.parametrize("chunk", [7, None, {"a": 1}, "text", bytearray(b"a"), memoryview(b"a")])
def test_a_chunk_that_is_no_bytes_is_refused_as_a_server_would(get, chunk):
    items = Items(b"a", chunk, b"c")
    stream = get(lambda: Raw(items))
    assert next(stream) == b"a"
    with pytest.raises(TypeError, match=r"PEP 3333") as caught:
        next(stream)
    assert f"chunk 1 is {chunk!r}, of type {type(chunk).__name__}" in str(caught.value)
    assert ("yield str or bytes" in str(caught.value)) == (not isinstance(chunk, str))
    assert (stream.state, stream.error) == ("failed", caught.value)
    assert (stream.chunks, stream.delivered, stream.produced, items.closes) == ([b"a"], 1, 2, 1)
    with pytest.raises(StopIteration):
        next(stream)
    with pytest.raises(TypeError, match="PEP 3333"):
        stream.read()


@pytest.mark.parametrize("chunk", ["text", 7])
def test_where_flask_encodes_nothing_bytes_are_asked_for(get, chunk):
    def passes_through():
        return Response(iter([chunk]), direct_passthrough=True)

    with pytest.raises(TypeError, match="yield bytes from the iterable of view") as caught:
        get(passes_through).drain()
    assert str(caught.value).endswith(
        ": direct_passthrough hands the server what it gives, as it is"
    )


@pytest.mark.parametrize("chunk", ["text", 7])
def test_a_layer_that_answers_itself_is_asked_for_bytes(open_client, chunk):
    def layer(environ, start_response):
        start_response("200 OK", [])
        return [chunk]

    app = Flask("layered")
    app.wsgi_app = layer
    with pytest.raises(TypeError, match=r"remedy:  yield bytes from the WSGI layer that answers$"):
        open_client(app).get("/").drain()


def test_a_layer_that_decodes_is_not_taken_for_the_view(open_client):
    client = open_client(streaming("a"))
    app = client.flask_client.application
    inner = app.wsgi_app
    app.wsgi_app = lambda *server: (chunk.decode() for chunk in inner(*server))
    with pytest.raises(TypeError, match="yield bytes from the WSGI layer or response class that"):
        client.get("/").drain()


def test_an_item_that_is_no_text_is_refused_through_flask_too(get):
    stream = get(lambda: iter(["a", 7]))
    with pytest.raises(TypeError, match="chunk 1 is 7, of type int"):
        stream.drain()
    assert stream.chunks == [b"a"]


def test_a_subclass_of_bytes_is_bytes(get):
    class Row(bytes):
        pass

    assert list(get(lambda: iter([Row(b"a")]))) == [b"a"]


# WSGI layers that break the rules


def test_an_app_that_never_starts_its_response_is_refused(open_client):
    closed = []

    class Silent:
        def __iter__(self):
            return iter([b"a"])

        def close(self):
            closed.append("closed")

    client = open_client(layered(lambda environ, start_response: Silent()))
    with pytest.raises(StreamError, match=r"without having called start_response") as caught:
        client.get("/")
    assert "a chunk" in str(caught.value)
    assert "remedy:  call start_response(status, headers)" in str(caught.value)
    assert caught.value.record.path == "/"
    assert caught.value.record.state == "failed"
    assert closed == ["closed"]


def test_an_app_that_ends_without_starting_its_response_is_refused(open_client):
    client = open_client(layered(lambda environ, start_response: []))
    with pytest.raises(StreamError, match="gave its body without having called start_response"):
        client.get("/")


def test_empty_chunks_before_the_start_are_waited_through_but_not_for_ever(open_client):
    client = open_client(layered(lambda environ, start_response: iter([b"", b"", b"x"])))
    with pytest.raises(StreamError, match="gave a chunk without having called start_response"):
        client.get("/")


def test_a_second_start_response_is_refused(open_client):
    def twice(environ, start_response):
        start_response("200 OK", [])
        start_response("201 CREATED", [])
        return [b"a"]

    with pytest.raises(StreamError, match="called start_response twice") as caught:
        open_client(layered(twice)).get("/")
    assert "'200 OK', then '201 CREATED'" in str(caught.value)
    assert "exc_info" in str(caught.value)


def test_a_second_start_response_while_streaming_is_refused(open_client):
    def twice(environ, start_response):
        start_response("200 OK", [("X-Try", "1")])
        yield b"a"
        start_response("201 CREATED", [])

    stream = open_client(layered(twice)).get("/")
    assert next(stream) == b"a"
    with pytest.raises(StreamError, match="called start_response twice"):
        next(stream)
    assert (stream.status_code, stream.state, stream.chunks) == (200, "failed", [b"a"])


@pytest.mark.parametrize(
    ("status", "header", "what", "remedy"),
    [
        (
            "200 OK",
            ("Content-Disposition", 'attachment; filename="名.csv"'),
            "header Content-Disposition is 'attachment; filename=\"名.csv\"', with characters",
            "encode it: a file name with send_file(download_name=…), or as filename*=UTF-8''…",
        ),
        ("200 OK", ("名", "1"), "the name of a header is '名', with characters", "encode it"),
        ("200 名", ("X-Count", "1"), "the status is '200 名', with characters", "encode it"),
        ("200 OK", ("X-Count", 3), "header X-Count is 3, of type int", "make it a str"),
        ("0 OK", ("X-Count", "3"), "the status is '0 OK': no client understands", "begin it with"),
    ],
)
def test_a_head_that_no_server_can_send_is_refused(open_client, status, header, what, remedy):
    def answers(environ, start_response):
        start_response(status, [("Content-Type", "text/csv"), header])
        return [b"a"]

    with pytest.raises(StreamError) as caught:
        open_client(layered(answers)).get("/")
    text = str(caught.value)
    assert text.startswith(what)
    assert "(PEP 3333)" in text
    assert f"\n  remedy:  {remedy}" in text


def test_a_head_in_latin1_is_none_to_be_refused(open_client):
    def answers(environ, start_response):
        start_response("200 Très bien", [("X-Name", "résumé"), ("X-Empty", "")])
        return [b"a"]

    stream = open_client(layered(answers)).get("/")
    assert (stream.read(), stream.headers["X-Name"]) == (b"a", "résumé")


@pytest.mark.parametrize("answer", [None, 3])
def test_an_app_that_returns_no_iterable_is_refused(open_client, answer):
    def broken(environ, start_response):
        start_response("200 OK", [])
        return answer

    with pytest.raises(TypeError, match=f"the app returned {answer}, no iterable") as caught:
        open_client(layered(broken)).get("/")
    assert "remedy:" in str(caught.value)


def test_a_view_that_returns_none_is_flasks_own_error(open_client):
    app = Flask("none")
    app.testing = True
    app.add_url_rule("/", "view", lambda: None)
    with pytest.raises(TypeError, match="view"):
        open_client(app).get("/")


def test_an_iterable_that_raises_when_it_is_begun_reaches_the_test(open_client):
    error = LookupError("no rows")

    class Broken:
        def __iter__(self):
            raise error

    def application(environ, start_response):
        start_response("200 OK", [])
        return Broken()

    with pytest.raises(LookupError) as caught:
        open_client(layered(application)).get("/").drain()
    assert caught.value is error


# A close() that raises


def test_all_streams_are_closed_before_the_first_error_is_raised():
    first, second = OSError("first"), OSError("second")
    bodies = [Items("a"), Items("a", close_error=first), Items("a", close_error=second), Items("a")]
    app = Flask("closing")
    app.add_url_rule("/<int:n>", "view", lambda n: bodies[n])
    client = StreamClient(app)
    streams = [client.get(f"/{n}") for n in range(4)]
    with pytest.raises(OSError, match="first") as caught:
        client.close()
    assert caught.value is first
    assert [body.closes for body in bodies] == [1, 1, 1, 1]
    assert [stream.state for stream in streams] == ["closed"] * 4
    assert [stream.error for stream in streams] == [None, first, second, None]
    client.close()
    assert [body.closes for body in bodies] == [1, 1, 1, 1]


def test_the_error_of_a_close_leaves_nothing_patched():
    import jinja2

    app = Flask("closing")
    app.add_url_rule("/", "view", lambda: Items("a", close_error=OSError("gone")))
    generate, stock = jinja2.Template.generate, app.test_client()
    with pytest.raises(OSError, match="gone"), StreamClient(stock) as client:
        client.get("/")
    assert jinja2.Template.generate is generate
    assert "run_wsgi_app" not in vars(stock)


def test_a_generator_that_ignores_its_close_is_pythons_own_error(get):
    def stubborn():
        while True:
            try:
                yield "a"
            except GeneratorExit:
                yield "still here"
                return

    stream = get(stubborn)
    next(stream)
    with pytest.raises(RuntimeError, match="generator ignored GeneratorExit") as caught:
        stream.disconnect()
    assert (stream.state, stream.error) == ("closed", caught.value)


def test_a_teardown_function_that_raises_at_the_close_reaches_the_test(open_client, paced):
    app = Flask("teardown")
    events, items = [], paced("a", "b")

    @app.route("/")
    def view():
        response = Response(stream_with_context(iter(items)))
        response.call_on_close(lambda: events.append("call_on_close"))
        return response

    @app.teardown_request
    def teardown(_):
        if broken:
            raise LookupError("teardown")

    broken = False
    stream = open_client(app).get("/")
    items.let_go()
    next(stream)
    broken = True
    items.let_go()
    with pytest.raises(LookupError, match="teardown") as caught:
        stream.drain()
    assert stream.error is caught.value
    assert stream.state == "failed"
    broken = False
    assert not flask.has_app_context()


# Two readers


def two_readers(get):
    """Open a stream, and have a thread inside its first pull until a gate opens."""
    inside, go_on = threading.Event(), threading.Event()

    def view():
        def items():
            inside.set()
            assert go_on.wait(WAIT)
            yield "a"
            yield "b"

        return items()

    stream = get(view)
    chunks = []
    reader = threading.Thread(target=lambda: chunks.append(next(stream)))
    reader.start()
    assert inside.wait(WAIT)

    def release():
        go_on.set()
        reader.join(WAIT)
        return chunks

    return stream, release


@pytest.mark.parametrize(
    "read",
    [
        next,
        list,
        lambda stream: stream.take(1),
        lambda stream: stream.take_until("a"),
        lambda stream: stream.drain(),
        lambda stream: stream.read(),
        lambda stream: stream.close(),
    ],
    ids=["next", "list", "take", "take_until", "drain", "read", "close"],
)
def test_a_second_reader_is_refused_and_the_first_goes_on(get, read):
    stream, release = two_readers(get)
    try:
        with pytest.raises(StreamError, match=r"another thread|two readers") as caught:
            read(stream)
    finally:
        chunks = release()
    assert "remedy:" in str(caught.value)
    assert caught.value.record is stream.record
    assert chunks == [b"a"]
    assert (stream.state, stream.error, stream.chunks) == ("open", None, [b"a"])
    assert list(stream) == [b"b"]


@pytest.mark.in_process("a server pulls before the test has the stream")
@pytest.mark.parametrize("read", [next, lambda stream: stream.drain()])
def test_a_generator_that_reads_its_own_stream_is_refused(get, read):
    streams = []

    def view():
        def items():
            yield "a"
            next(streams[0])

        return items()

    streams.append(get(view))
    next(streams[0])
    with pytest.raises(StreamError, match="for its own generator"):
        read(streams[0])
    assert streams[0].state == "failed"


def test_a_runtime_error_of_the_app_is_not_taken_for_a_second_reader(get):
    error = RuntimeError("cannot enter context: it is already entered")

    def view():
        def items():
            yield "a"
            raise error

        return items()

    stream = get(view)
    with pytest.raises(RuntimeError) as caught:
        stream.drain()
    assert caught.value is error
