"""Requests over a socket: what is sent gets to the app, and what it answers gets to the test."""

from __future__ import annotations

import io
import itertools
import socket
import threading

import flask
import pytest
from fake_server import FakeServer
from flask import Flask, Response, request
from flask.testing import FlaskClient

from pytest_flask_stream import (
    LiveStreamClient,
    LiveStreamedResponse,
    StreamClosed,
    StreamError,
    StreamServerError,
)

MIB = 1024 * 1024


@pytest.fixture
def app():
    app = Flask("live", static_folder=None)
    app.testing = True
    app.secret_key = "not secret"
    return app


@pytest.fixture
def client(open_client, app):
    return open_client(app)


# The client


def test_a_client_gives_live_responses(client, app):
    app.add_url_rule("/", "view", lambda: iter(["a"]))
    stream = client.get("/")
    assert type(client) is LiveStreamClient
    assert type(stream) is LiveStreamedResponse
    assert stream.read() == b"a"


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "REPORT"]
)
def test_every_method_gets_to_the_app(client, app, method):
    app.add_url_rule(
        "/",
        "view",
        lambda: iter([request.method]),
        methods=[method],
        provide_automatic_options=False,
    )
    assert client.open("/", method=method).read() == method.encode()


def test_an_unknown_server_is_refused(app):
    with pytest.raises(ValueError, match="unknown server 'apache'; it is one of 'werkzeug', "):
        LiveStreamClient(app, server="apache")
    assert "run_wsgi_app" not in vars(app.test_client())


@pytest.mark.parametrize("way", ["argument", "attribute"])
def test_sharing_contexts_is_refused(app, way):
    with pytest.raises(ValueError, match="isolate=False makes no sense in live mode"):  # noqa: PT012
        if way == "argument":
            LiveStreamClient(app, isolate=False)
        else:
            with LiveStreamClient(app) as client:
                client.isolate = False


def test_an_unknown_setting_is_refused_before_a_server_starts(app):
    with pytest.raises(TypeError, match="there is no setting 'time_out'"):
        LiveStreamClient(app, time_out=1)


def test_closing_closes_the_streams_and_the_server(open_client, app):
    app.add_url_rule("/", "view", lambda: (str(n) for n in itertools.count()))
    client = open_client(app)
    stream = client.get("/")
    next(stream)
    port = request_port(client)
    client.close()
    client.close()
    assert stream.state == "closed"
    with pytest.raises(StreamClosed, match="the client is closed"):
        client.get("/")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def request_port(client):
    return client._connections.server.port


# What has no body


def test_head_gets_the_headers_of_a_stream_and_no_body(client, app):
    app.add_url_rule("/", "view", lambda: Response(iter(["a", "b"]), headers={"X-Name": "value"}))
    stream = client.head("/")
    assert (stream.status_code, stream.headers["X-Name"]) == (200, "value")
    assert stream.read() == b""
    assert (stream.wire.end, stream.wire.frames, stream.wire.chunked) == ("clean", 0, False)


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_ends_with_its_head(client, app, status):
    app.add_url_rule("/", "view", lambda: Response(status=status))
    stream = client.get("/")
    assert stream.read() == b""
    assert (stream.status_code, stream.state) == (status, "exhausted")
    assert (stream.wire.end, stream.wire.frames, stream.wire.chunked) == ("clean", 0, False)


def test_a_range_is_sent_as_206(client, app, tmp_path):
    content = bytes(range(256)) * 100
    (tmp_path / "data.bin").write_bytes(content)
    app.add_url_rule("/", "view", lambda: flask.send_file(tmp_path / "data.bin"))
    stream = client.get("/", headers={"Range": "bytes=1000-19999"})
    assert stream.read() == content[1000:20000]
    assert stream.status_code == 206
    assert stream.headers["Content-Range"] == f"bytes 1000-19999/{len(content)}"
    assert (stream.wire.end, stream.wire.frames, stream.wire.chunked) == ("clean", 0, False)


def test_a_conditional_request_gets_304(client, app, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"data")
    app.add_url_rule("/", "view", lambda: flask.send_file(tmp_path / "data.bin"))
    first = client.get("/")
    assert first.read() == b"data"
    again = client.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.read()) == (304, b"")


# Redirects, cookies, sessions


def test_redirects_are_followed_over_the_socket(client, app):
    app.add_url_rule("/old", "old", lambda: flask.redirect("/older"))
    app.add_url_rule("/older", "older", lambda: flask.redirect("/new", 301))
    app.add_url_rule("/new", "new", lambda: iter(["n", "e", "w"]))
    stream = client.get("/old", follow_redirects=True)
    assert [response.status_code for response in stream.history] == [302, 301]
    assert stream.request.path == "/new"
    assert list(stream) == [b"n", b"e", b"w"]


def test_a_redirect_that_is_not_followed_is_the_response(client, app):
    app.add_url_rule("/", "view", lambda: flask.redirect("/new"))
    stream = client.get("/")
    assert (stream.status_code, stream.headers["Location"]) == (302, "/new")


def test_a_body_is_sent_once_more_where_307_redirects(client, app):
    app.add_url_rule("/", "old", lambda: flask.redirect("/new", 307), methods=["POST"])
    app.add_url_rule("/new", "new", lambda: iter([request.get_data()]), methods=["POST"])
    stream = client.post("/", data=b"the body", follow_redirects=True)
    assert stream.read() == b"the body"


def test_cookies_go_both_ways(client, app):
    def view():
        response = Response(iter([request.cookies.get("from_test", ""), "."]))
        response.set_cookie("from_app", "xy")
        return response

    app.add_url_rule("/", "view", view)
    client.set_cookie("from_test", "ä;b")
    assert client.get("/").read_text() == "ä;b."
    assert client.get_cookie("from_app").value == "xy"


def test_a_session_goes_both_ways(client, app):
    def view():
        flask.session["seen"] = flask.session["user"]
        return iter(["a"])

    app.add_url_rule("/", "view", view)
    with client.session_transaction() as session:
        session["user"] = "Ada"
    client.get("/").drain()
    with client.session_transaction() as session:
        assert session["seen"] == "Ada"


def test_an_existing_flask_client_is_shared(open_client, app):
    app.add_url_rule("/", "view", lambda: iter([request.cookies["name"]]))
    flask_client = app.test_client()
    flask_client.set_cookie("name", "value")
    client = open_client(flask_client)
    assert client.flask_client is flask_client
    assert client.get("/").read() == b"value"


def test_a_client_class_of_the_app_makes_the_requests(open_client, app):
    class WithToken(FlaskClient):
        def open(self, *args, **kwargs):
            kwargs.setdefault("headers", {})["Authorization"] = "Bearer secret"
            return super().open(*args, **kwargs)

    app.test_client_class = WithToken
    app.add_url_rule("/", "view", lambda: iter([request.headers["Authorization"]]))
    assert open_client(app).get("/").read() == b"Bearer secret"


# What is sent


def test_a_body_of_10_mib_gets_there(client, app):
    body = bytes(range(256)) * (10 * MIB // 256)
    app.add_url_rule("/", "view", lambda: iter([str(request.get_data() == body)]), methods=["POST"])
    assert client.post("/", data=body).read() == b"True"


def test_a_body_of_10_mib_comes_back_while_it_is_sent(client, app):
    body = bytes(range(256)) * (10 * MIB // 256)

    def view():
        stream = request.stream
        return flask.stream_with_context(iter(lambda: stream.read(MIB), b""))

    app.add_url_rule("/", "view", view, methods=["POST"])
    assert client.post("/", data=body).read() == body


def test_a_body_that_the_app_never_reads_does_no_harm(client, app):
    app.add_url_rule("/", "view", lambda: iter(["a", "b"]), methods=["POST"])
    stream = client.post("/", data=bytes(10 * MIB))
    assert list(stream) == [b"a", b"b"]
    stream.assert_complete()


def test_a_file_is_uploaded(client, app):
    def view():
        file = request.files["file"]
        return iter([file.filename, ":", file.read(), ":", request.form["name"]])

    app.add_url_rule("/", "view", view, methods=["POST"])
    data = {"file": (io.BytesIO(b"content"), "ä.txt"), "name": "Ö"}
    assert client.post("/", data=data).read_text() == "ä.txt:content:Ö"


def test_json_is_sent_and_read(client, app):
    app.add_url_rule("/", "view", lambda: {"got": request.get_json()}, methods=["POST"])
    stream = client.post("/", json={"a": ["ä", 1]})
    assert stream.read_json() == {"got": {"a": ["ä", 1]}}


def test_a_body_may_be_sent_chunked(client, app):
    app.add_url_rule("/", "view", lambda: iter([request.get_data()]), methods=["POST"])
    headers = {"Transfer-Encoding": "chunked"}
    stream = client.post("/", input_stream=io.BytesIO(b"no length"), headers=headers)
    assert stream.read() == b"no length"


def test_a_path_and_a_query_of_any_characters_get_there(client, app):
    def view(rest):
        return iter([repr((rest, request.args.to_dict(flat=False)))])

    app.add_url_rule("/<path:rest>", "view", view)
    path, query = "grün/a b%25/?#;&=+", {"ключ": ["знач", "a&b=c"], "plus": ["1+1 %"]}
    stream = client.get("/gr%C3%BCn/a%20b%2525/%3F%23;&=+", query_string=query)
    assert stream.read_text() == repr((path, query))


def test_what_no_request_can_say_is_in_the_environ(client, app):
    names = ("REMOTE_ADDR", "REMOTE_USER", "my.own")
    app.add_url_rule("/", "view", lambda: iter([repr([request.environ[name] for name in names])]))
    stream = client.get(
        "/",
        environ_base={"REMOTE_ADDR": "10.1.2.3"},
        environ_overrides={"REMOTE_USER": "ada", "my.own": 7},
    )
    assert stream.read_text() == "['10.1.2.3', 'ada', 7]"


def test_a_base_url_is_seen_by_the_app(client, app):
    app.add_url_rule(
        "/x", "view", lambda: iter([request.url, " ", flask.url_for("view", _external=True)])
    )
    stream = client.get("/x", base_url="https://shop.example:8443/")
    assert stream.read_text() == "https://shop.example:8443/x https://shop.example:8443/x"


def test_a_subdomain_is_routed(open_client):
    app = Flask("subdomains", subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.com"
    app.add_url_rule("/", "view", lambda: iter([request.host]), subdomain="api")
    assert open_client(app).get("/", subdomain="api").read() == b"api.example.com"


def test_a_script_name_is_no_part_of_the_path(client, app):
    app.add_url_rule("/x", "view", lambda: iter([repr((request.script_root, request.path))]))
    stream = client.get("/x", base_url="http://localhost/shop")
    assert stream.read_text() == "('/shop', '/x')"


def test_an_application_root_is_seen_by_the_app(client, app):
    app.config["APPLICATION_ROOT"] = "/shop"
    app.add_url_rule("/x", "view", lambda: iter([repr((request.script_root, request.path))]))
    assert client.get("/x").read_text() == "('/shop', '/x')"


def test_a_header_is_sent_as_it_is(client, app):
    app.add_url_rule("/", "view", lambda: iter([repr(request.headers.get("X-Name"))]))
    assert client.get("/", headers={"X-Name": "a, b;c=ü"}).read_text() == "'a, b;c=ü'"


def test_what_is_no_request_is_refused(client, app):
    with pytest.raises(ValueError, match="CONNECT cannot be sent"):
        client.open("/", method="CONNECT")
    app.add_url_rule("/", "view", lambda: iter(["a"]))
    assert client.get("/").read() == b"a"


# Connections


def test_a_server_that_keeps_a_connection_is_asked_on_it_again(client, app, server):
    app.add_url_rule("/", "view", lambda: str(request.environ["REMOTE_PORT"]))
    first, second = client.get("/").read(), client.get("/").read()
    assert (first == second) is (server == "waitress")


def test_a_kept_connection_is_not_shared_by_two_open_streams(client, app):
    app.add_url_rule("/", "view", lambda: str(request.environ["REMOTE_PORT"]))
    client.get("/").drain()
    first, second = client.get("/"), client.get("/")
    assert first.read() != second.read()


def test_a_stream_that_was_left_half_read_is_no_danger_to_the_next(client, app):
    app.add_url_rule("/long", "long", lambda: ("x" * 1000 for _ in itertools.count()))
    app.add_url_rule("/", "view", lambda: iter(["a"]))
    stream = client.get("/long")
    next(stream)
    stream.disconnect()
    assert client.get("/").read() == b"a"


def test_a_connection_that_the_server_has_closed_is_not_used_again(opened, app):
    server = opened.enter_context(FakeServer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"))
    client = opened.enter_context(LiveStreamClient(app, server=server))
    for _ in range(3):
        assert client.get("/").read() == b"a"
        assert server.closed.acquire(timeout=20)


def test_no_connection_to_a_server_that_is_gone(app, server):
    from pytest_flask_stream.live.app_server import AppServer

    gone = AppServer(app, server)
    gone.stop()
    with LiveStreamClient(app, server=gone) as client:
        with pytest.raises(StreamServerError, match=f"no connection to {gone.url}") as caught:
            client.get("/")
        assert caught.value.server == server


# Reading


def test_20_streams_are_read_alternately(client, app):
    app.add_url_rule("/<int:n>", "view", lambda n: (f"{n}.{k}" for k in range(3)))
    streams = [client.get(f"/{n}") for n in range(20)]
    rounds = [[next(stream) for stream in streams] for _ in range(3)]
    assert rounds == [[f"{n}.{k}".encode() for n in range(20)] for k in range(3)]
    assert [stream.read() for stream in streams] == [b"%d.0%d.1%d.2" % (n, n, n) for n in range(20)]


def test_lock_step(client, app, gates):
    read = [gates() for _ in range(4)]
    made = []

    def generate():
        for number in range(4):
            if number:
                read[number - 1].wait()
            made.append(number)
            yield str(number)

    app.add_url_rule("/", "view", generate)
    stream = client.get("/")
    for number in range(4):
        assert next(stream) == str(number).encode()
        assert made == list(range(number + 1))
        read[number].open()
    assert list(stream) == []


@pytest.mark.parametrize("size", [1, 2, 1000, 65536, MIB])
def test_a_chunk_is_a_frame_of_any_size(client, app, size):
    app.add_url_rule("/", "view", lambda: (b"x" * size for _ in range(3)))
    stream = client.get("/")
    assert [len(chunk) for chunk in stream] == [size] * 3
    assert stream.wire.frames == 3


def test_empty_chunks_send_nothing(client, app):
    app.add_url_rule("/", "view", lambda: iter(["", "a", "", "", "b", ""]))
    stream = client.get("/")
    assert list(stream) == [b"a", b"b"]
    assert (stream.wire.frames, stream.delivered) == (2, 2)
    assert [chunk.size for chunk in stream.record.chunks] == [0, 1, 0, 0, 1, 0]
    stream.assert_chunk_count(2)
    stream.assert_chunks(["", "a", "b"])
    stream.assert_chunks(["a", "", "b", ""])


def test_the_server_may_be_ahead_of_the_test(client, app, gate):
    def generate():
        yield from "abc"
        gate.open()

    app.add_url_rule("/", "view", generate)
    stream = client.get("/")
    gate.wait()
    assert (stream.delivered, stream.produced) == (0, 3)
    assert list(stream) == [b"a", b"b", b"c"]


def test_bytes_come_as_they_arrive_where_there_are_no_frames(client, app, gates):
    go_on = gates()

    def generate():
        yield b"abc"
        go_on.wait()
        yield b"def"

    app.add_url_rule("/", "view", lambda: Response(generate(), headers={"Content-Length": "6"}))
    stream = client.get("/")
    assert next(stream) == b"abc"
    go_on.open()
    assert list(stream) == [b"def"]
    assert (stream.wire.chunked, stream.wire.frames, stream.wire.end) == (False, 0, "clean")


def test_two_threads_that_read_one_stream_are_told_so(client, app, gate):
    def generate():
        yield "a"
        gate.wait()
        yield "b"

    app.add_url_rule("/", "view", generate)
    stream = client.get("/")
    next(stream)
    read = []
    reader = threading.Thread(target=lambda: read.append(next(stream)))
    reader.start()
    while not stream._producer.busy:
        assert reader.is_alive()
    with pytest.raises(StreamError, match="two readers at once"):
        next(stream)
    with pytest.raises(StreamError, match="cannot be closed while it is being read"):
        stream.close()
    gate.open()
    reader.join(20)
    assert read == [b"b"]


def test_start_waits_for_a_condition(client, app, gate):
    subscribers = []

    def generate():
        subscribers.append(1)
        gate.wait()
        yield "a"

    app.add_url_rule("/", "view", generate)
    stream = client.get("/")
    stream.start(until=lambda: subscribers)
    gate.open()
    assert stream.read() == b"a"


def test_it_runs_in_the_context_of_the_request_and_not_of_the_test(client, app):
    app.add_url_rule("/", "view", lambda: (str(flask.has_app_context()) for _ in range(2)))
    with app.test_request_context():
        assert list(client.get("/")) == [b"False", b"False"]


def test_nothing_of_a_contextvar_of_the_test_is_seen(client, app):
    from contextvars import ContextVar

    variable = ContextVar("variable", default="not set")
    variable.set("set by the test")
    app.add_url_rule("/", "view", lambda: iter([variable.get()]))
    assert client.get("/").read() == b"not set"
