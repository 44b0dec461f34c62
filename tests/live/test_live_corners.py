"""What seldom happens on a socket."""

from __future__ import annotations

import io
import threading

import pytest
from fake_server import FakeServer
from flask import Flask, request

from pytest_flask_stream import LiveStreamClient, StreamServerError
from pytest_flask_stream.deadline import watchdog

WAIT = 20.0


@pytest.fixture
def app():
    app = Flask("corners")
    app.testing = True
    return app


@pytest.fixture
def client(opened, app, server):
    return opened.enter_context(LiveStreamClient(app, server=server))


def test_what_the_server_refuses_by_itself_is_answered_without_the_app(app):
    with LiveStreamClient(app, server="werkzeug") as client:
        stream = client.get("/" + "x" * 70_000)
        assert (stream.status_code, stream.streamed) == (414, None)
        with pytest.raises(AssertionError, match="was not streamed by a Flask view"):
            stream.assert_streamed()


def test_where_the_app_writes_its_errors_is_the_tests_to_say(app, client):
    @app.get("/")
    def view():
        request.environ["wsgi.errors"].write("an error of the app")
        return "a"

    errors = io.StringIO()
    assert client.get("/", errors_stream=errors).read() == b"a"
    assert errors.getvalue() == "an error of the app"


def test_bytes_that_come_behind_the_end_are_refused(opened, app, gates):
    read, sent = gates(), gates()

    def answer(conversation):
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
        read.wait()
        conversation.send(b"HTTP/1.1 200 OK\r\n\r\n")
        sent.open()
        conversation.wait_until_client_leaves()

    server = opened.enter_context(FakeServer(answer))
    stream = opened.enter_context(LiveStreamClient(app, server=server)).get("/")
    assert next(stream) == b"a"
    read.open()
    sent.wait()
    with pytest.raises(StreamServerError, match="bytes behind the end of the response"):
        next(stream)
    assert stream.state == "failed"


def test_the_time_in_a_debugger_is_not_the_apps(app, client, gate):
    @app.get("/")
    def view():
        def generate():
            gate.wait()
            yield "a"

        return generate()

    stream = client.get("/")
    stream.timeout = 0.1
    watchdog.suspend()
    try:
        later = threading.Timer(0.5, gate.open)
        later.start()
        assert next(stream) == b"a"
    finally:
        stream.timeout = WAIT
        watchdog.resume()
        later.join()


def test_of_several_requests_the_stuck_one_is_named(app, gates):
    import urllib.request

    from pytest_flask_stream.live.app_server import AppServer

    app.add_url_rule("/fine", "fine", lambda: "fine")

    @app.get("/stuck")
    def stuck():
        yield "a"
        waiting.open()
        gate.wait()

    waiting, gate = gates(), gates()
    running = AppServer(app, "werkzeug")
    with urllib.request.urlopen(f"{running.url}/fine", timeout=WAIT) as fine:
        assert fine.read() == b"fine"
    with urllib.request.urlopen(f"{running.url}/stuck", timeout=WAIT) as response:
        assert response.read(1) == b"a"
        waiting.wait()
        with pytest.raises(StreamServerError) as caught:
            running.stop()
    assert "GET /stuck" in str(caught.value)
    assert "GET /fine" not in str(caught.value)


def test_an_app_of_no_flask_is_refused():
    with pytest.raises(TypeError, match=r"app must be a flask\.Flask"):
        LiveStreamClient(Flask)
