"""What the app raises in a thread of the server comes back to the test that has caused it."""

from __future__ import annotations

import contextlib
import http.client
import logging
import traceback
import urllib.error
import urllib.request

import pytest
from flask import Flask, Response, abort

from pytest_flask_stream import StreamError
from pytest_flask_stream.live.app_server import AppServer

LOGGER = "pytest_flask_stream.live"


class Broken(Exception):
    pass


@pytest.fixture
def raised():
    """The error that the apps of these tests raise, made beforehand to be told by its identity."""
    return Broken("it broke")


@pytest.fixture
def app():
    app = Flask("live_errors")
    app.testing = True
    return app


def last_line(caught):
    """Name the function and give the line in which an error was raised."""
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    return frame.filename, frame.name, frame.line


# Where it is raised


def test_an_error_in_the_view_is_raised_where_the_request_is_made(open_client, app, raised):
    @app.get("/")
    def view():
        raise raised

    with pytest.raises(Broken) as caught:
        open_client(app).get("/")
    assert caught.value is raised
    assert last_line(caught) == (__file__, "view", "raise raised")


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_an_error_in_the_generator_is_raised_where_the_next_chunk_is_read(get, raised, chunks):
    def generate():
        for number in range(chunks):
            yield str(number)
        raise raised

    stream = get(generate)
    assert stream.take(chunks) == [str(number).encode() for number in range(chunks)]
    with pytest.raises(Broken) as caught:
        next(stream)
    assert caught.value is raised
    assert last_line(caught) == (__file__, "generate", "raise raised")
    assert (stream.state, stream.error) == ("failed", raised)


def test_the_chunks_before_an_error_are_read_first(get, raised):
    def generate():
        yield "a"
        yield "b"
        raise raised

    stream = get(generate)
    read = []
    with pytest.raises(Broken):
        read.extend(stream)
    assert read == [b"a", b"b"]


def test_it_is_raised_again_by_a_later_read(get, raised):
    def generate():
        yield "a"
        raise raised

    stream = get(generate)
    for _ in range(2):
        with pytest.raises(Broken) as caught:
            stream.read()
        assert caught.value is raised
    assert stream.chunks == [b"a"]


def test_an_error_in_close_is_raised_at_the_end(get, raised):
    def view():
        response = Response(iter(["a"]))

        @response.call_on_close
        def fail():
            raise raised

        return response

    stream = get(view)
    assert next(stream) == b"a"
    with pytest.raises(Broken) as caught:
        next(stream)
    assert caught.value is raised
    assert last_line(caught) == (__file__, "fail", "raise raised")
    assert stream.state == "failed"


def test_an_error_in_a_finally_block_is_raised_where_the_client_leaves(get, raised):
    def generate():
        try:
            while True:
                yield "a"
        finally:
            raise raised

    stream = get(generate)
    next(stream)
    with pytest.raises(Broken) as caught:
        stream.disconnect()
    assert caught.value is raised
    assert last_line(caught) == (__file__, "generate", "raise raised")


def test_an_error_that_nobody_has_read_is_raised_when_the_client_closes(
    open_client, app, raised, gate
):
    @app.get("/")
    def view():
        yield "a"
        gate.open()
        raise raised

    client = open_client(app)
    client.get("/")
    gate.wait()
    with pytest.raises(Broken) as caught:
        client.close()
    assert caught.value is raised


@pytest.mark.parametrize(
    "kind", [ConnectionResetError, BrokenPipeError, TimeoutError, OSError, SystemExit, MemoryError]
)
def test_an_error_that_a_server_takes_for_its_own_is_the_apps(get, kind):
    def generate():
        yield "a"
        raise kind("of the app")

    stream = get(generate)
    next(stream)
    with pytest.raises(kind, match="of the app") as caught:
        next(stream)
    assert last_line(caught)[1] == "generate"


def test_an_error_after_a_redirect_is_raised_where_the_request_is_made(open_client, app, raised):
    @app.get("/new")
    def new():
        raise raised

    app.add_url_rule("/", "old", lambda: Response(status=302, headers={"Location": "/new"}))
    with pytest.raises(Broken) as caught:
        open_client(app).get("/", follow_redirects=True)
    assert caught.value is raised


def test_a_client_goes_on_after_an_error(open_client, app, raised):
    @app.get("/raises")
    def raises():
        raise raised

    app.add_url_rule("/", "view", lambda: iter(["a"]))
    client = open_client(app)
    for _ in range(3):
        with pytest.raises(Broken) as caught:
            client.get("/raises")
        assert last_line(caught)[1] == "raises"
        assert client.get("/").read() == b"a"


def test_the_claim_that_it_raises_holds(get, raised):
    def generate():
        yield "a"
        raise raised

    assert get(generate).assert_raises(Broken, after=1, match="it broke") is raised


# What is no error


def test_an_app_that_is_not_testing_answers_500(open_client, app, raised):
    @app.get("/")
    def view():
        raise raised

    app.testing = False
    stream = open_client(app).get("/")
    assert stream.status_code == 500
    assert b"Internal Server Error" in stream.read()
    assert (stream.state, stream.error) == ("exhausted", None)


def test_an_http_exception_is_a_page(open_client, app):
    app.add_url_rule("/", "view", lambda: abort(404))
    stream = open_client(app).get("/")
    assert (stream.status_code, stream.state) == (404, "open")
    assert b"Not Found" in stream.read()


# Requests of somebody else


@pytest.fixture
def running(app, server):
    return AppServer(app, server)


def fetch(url):
    with urllib.request.urlopen(url, timeout=20) as response:
        return response.status, response.read()


def test_another_client_is_answered(app, running):
    app.add_url_rule("/", "view", lambda: iter(["a", "b"]))
    assert fetch(f"{running.url}/") == (200, b"ab")
    running.stop()


def test_an_error_in_a_request_of_another_client_is_raised_at_the_stop(app, running, raised):
    @app.get("/")
    def view():
        raise raised

    with pytest.raises(urllib.error.HTTPError, match="500"):
        fetch(f"{running.url}/")
    with pytest.raises(Broken) as caught:
        running.stop()
    assert caught.value is raised
    assert last_line(caught) == (__file__, "view", "raise raised")
    running.stop()


def test_an_error_in_close_of_such_a_request_is_raised_at_the_stop(app, running, raised):
    @app.get("/")
    def view():
        response = Response(iter(["a"]))

        @response.call_on_close
        def fail():
            raise raised

        return response

    with contextlib.suppress(http.client.IncompleteRead):  # waitress closes it before its end
        fetch(f"{running.url}/")
    with pytest.raises(Broken) as caught:
        running.stop()
    assert caught.value is raised


def test_an_app_that_is_stuck_in_such_a_request_is_named(app, running, gates):
    @app.get("/stuck")
    def view():
        yield "a"
        waiting.open()
        gate.wait()

    waiting, gate = gates(), gates()
    with urllib.request.urlopen(f"{running.url}/stuck", timeout=20) as response:
        assert response.read(1) == b"a"
        waiting.wait()
        with pytest.raises(StreamError) as caught:
            running.stop()
    text = str(caught.value)
    assert text.startswith(
        "the app still runs in 1 thread of the server, 1 s after that was stopped\n"
    )
    assert "stuck:   GET /stuck" in text
    assert "gate.wait()" in text
    assert "remedy:" in text


# The server's log


def test_what_the_server_logs_is_captured_and_not_printed(get, caplog, capfd, raised):
    def generate():
        yield "a"
        raise raised

    with caplog.at_level(logging.INFO, LOGGER):
        stream = get(generate)
        next(stream)
        with pytest.raises(Broken):
            next(stream)
        stream._client.close()
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.name for record in errors] == [LOGGER]
    assert "Broken: it broke" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_requests_are_logged_at_info(get, caplog, capfd):
    with caplog.at_level(logging.INFO, LOGGER):
        stream = get(lambda: iter(["a"]))
        stream.drain()
        stream._client.close()
    (logged,) = caplog.records
    assert (logged.name, logged.levelno) == (LOGGER, logging.INFO)
    assert "GET / HTTP/1.1" in logged.getMessage()
    assert "200" in logged.getMessage()
    assert capfd.readouterr() == ("", "")


def test_nothing_is_logged_above_info_where_a_client_leaves(get, caplog, capfd):
    def generate():
        while True:
            yield "a"

    stream = get(generate)
    next(stream)
    stream.disconnect(reset=True)
    stream._client.close()
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
