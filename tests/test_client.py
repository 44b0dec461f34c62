"""What the client does: everything that Flask's test client does, but lazily."""

from __future__ import annotations

import gc
import inspect
import io
import sys
import time
from contextvars import Context, ContextVar, copy_context

import flask
import pytest
from flask import Flask, Response, redirect, request, send_file, session, stream_with_context
from flask.testing import FlaskClient
from werkzeug.exceptions import NotFound
from werkzeug.test import Client, ClientRedirectError, EnvironBuilder
from werkzeug.wsgi import FileWrapper

from pytest_flask_stream import EndlessStream, StreamClient, StreamClosed, StreamedResponse
from pytest_flask_stream.context import flask_variables


class Closing:
    """An iterator that knows whether it was closed, and how far it was read."""

    def __init__(self, *items):
        self.items = list(items)
        self.pulls = 0
        self.closes = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.pulls += 1
        if not self.items:
            raise StopIteration
        return self.items.pop(0)

    def close(self):
        self.closes += 1


@pytest.fixture
def site():
    """An app whose views tell what they were asked; it streams every answer."""
    app = Flask("site")
    app.secret_key = "for tests"

    @app.route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"])
    def echo():
        return iter([request.method, " ", request.get_data(as_text=True)])

    @app.route("/login/<name>")
    def login(name):
        session["name"] = name
        response = Response(iter(["welcome"]))
        response.set_cookie("theme", "dark")
        return response

    @app.route("/who")
    def who():
        return iter([session.get("name", "nobody"), " ", request.cookies.get("theme", "plain")])

    @app.route("/from")
    def where_from():
        return iter([request.remote_addr or "", " ", request.headers.get("X-Token", "")])

    return app


# Requests


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "trace"])
def test_every_method_of_flasks_client_is_there(site, open_client, method, over_the_wire):
    stream = getattr(open_client(site), method)("/echo")
    assert over_the_wire or stream.produced == 0
    assert stream.read_text() == f"{method.upper()} "
    assert stream.request.method == method.upper()


def test_options_and_head_are_there(site, open_client):
    client = open_client(site)
    assert "TRACE" in client.options("/echo").headers["Allow"]
    assert client.head("/echo").status_code == 200


def test_requests_take_what_flasks_client_takes(site, open_client):
    client = open_client(site)
    assert client.post("/echo", data="text").read() == b"POST text"
    assert client.post("/echo", json={"a": 1}).read().startswith(b'POST {"a"')
    assert client.open("/echo", method="PUT", data=b"x").read() == b"PUT x"
    assert client.get("/from", headers={"X-Token": "t"}).read().endswith(b" t")
    assert client.get("/from", environ_base={"REMOTE_ADDR": "10.0.0.1"}).read() == b"10.0.0.1 "
    assert client.get("/echo", query_string={"q": "1"}).request.args["q"] == "1"
    assert client.open(EnvironBuilder(path="/echo", method="PATCH")).read() == b"PATCH "
    assert client.open(EnvironBuilder("/echo").get_environ()).read() == b"GET "


def test_environ_base_of_flasks_client_is_used(site, open_client):
    client = open_client(site)
    client.flask_client.environ_base["REMOTE_ADDR"] = "10.0.0.2"
    assert client.get("/from").read() == b"10.0.0.2 "


def test_the_input_of_a_request_can_be_read_while_streaming_and_is_closed_after_it(open_client):
    app = Flask("upload")

    @app.route("/", methods=["POST"])
    def view():
        @stream_with_context
        def items():
            yield request.stream.read(2)
            yield request.stream.read(2)

        return items()

    upload = io.BytesIO(b"abcd")
    # Flask's client closes it with the response where it was asked to follow redirects.
    stream = open_client(app).post("/", input_stream=upload, follow_redirects=True)
    assert stream.take(2) == [b"ab", b"cd"]
    assert not upload.closed
    stream.drain()
    assert upload.closed


def test_streams_are_listed_oldest_first(site, open_client):
    client = open_client(site)
    opened = [client.get("/echo"), client.post("/echo"), client.get("/who")]
    assert client.streams == opened
    client.streams.clear()
    assert client.streams == opened


def test_a_client_is_a_context_manager_that_closes_its_streams(site, open_client):
    with open_client(site) as client:
        stream = client.get("/echo")
    assert stream.state == "closed"
    with pytest.raises(StreamClosed, match="the client is closed"):
        client.get("/echo")


def test_repr_counts_the_streams(site, open_client):
    client = open_client(site)
    name = type(client).__name__
    assert repr(client) == f"<{name} 'site': 0 streams opened>"
    client.get("/echo")
    assert repr(client) == f"<{name} 'site': 1 stream opened>"


# Settings


def test_settings_are_keywords_and_attributes_with_defaults(site, open_client):
    client = open_client(site)
    defaults = (client.timeout, client.max_chunks, client.keep_bytes, client.isolate)
    assert defaults == (10.0, 1_000_000, 67_108_864, True)
    client = open_client(site, timeout=2, max_chunks=3, keep_bytes=4)
    assert (client.timeout, client.max_chunks, client.keep_bytes) == (2.0, 3, 4)


def test_settings_are_read_when_a_stream_is_opened(site, open_client):
    client = open_client(site, max_chunks=2)
    before = client.get("/who")
    client.max_chunks = 3
    client.timeout = 0
    after = client.get("/who")
    with pytest.raises(EndlessStream):
        before.read()
    assert after.read() == b"nobody plain"
    assert (before.timeout, after.timeout) == (10.0, None)
    after.timeout = 3
    assert after.timeout == 3.0


# Cookies and sessions


def test_cookies_and_sessions_go_from_one_stream_to_the_next(site, open_client, over_the_wire):
    client = open_client(site)
    login = client.get("/login/ada")
    assert client.get("/who").read() == b"ada dark"
    assert over_the_wire or login.produced == 0
    assert client.get_cookie("theme").value == "dark"
    client.delete_cookie("theme")
    assert client.get("/who").read() == b"ada plain"
    client.set_cookie("theme", "light")
    assert client.get("/who").read() == b"ada light"


def test_a_session_transaction_is_passed_on(site, open_client):
    client = open_client(site)
    with client.session_transaction() as opened:
        opened["name"] = "grace"
    stream = client.get("/who")
    with client.session_transaction() as opened:
        assert opened["name"] == "grace"
    assert stream.read() == b"grace plain"


# Redirects


def redirecting(app, *, hops=()):
    @app.route("/start")
    def start():
        session["visited"] = ["start"]
        response = redirect("/middle")
        if hops:
            response.response = hops[0]
            del response.headers["Content-Length"]
        return response

    @app.route("/middle")
    def middle():
        session["visited"] = [*session["visited"], "middle"]
        return redirect("/end")

    @app.route("/end")
    def end():
        return iter(["a", "b", *session["visited"]])


def test_the_last_hop_of_a_redirect_is_the_stream(site, open_client, over_the_wire):
    redirecting(site)
    stream = open_client(site).get("/start", follow_redirects=True)
    assert (stream.status_code, stream.request.path) == (200, "/end")
    assert over_the_wire or stream.produced == 0
    assert stream.read() == b"abstartmiddle"
    assert [earlier.request.path for earlier in stream.history] == ["/start", "/middle"]
    assert [earlier.status_code for earlier in stream.history] == [302, 302]
    assert b'href="/middle"' in stream.history[0].data
    assert b'href="/end"' in stream.history[1].data


def test_a_redirect_is_not_followed_unasked(site, open_client):
    redirecting(site)
    stream = open_client(site).get("/start")
    assert (stream.status_code, stream.location, stream.history) == (302, "/middle", ())


def test_a_redirect_that_streams_is_read_out_and_closed_before_the_next_hop(site, open_client):
    body = Closing("see ", "/middle")
    redirecting(site, hops=[body])
    client = open_client(site)
    stream = client.get("/start", follow_redirects=True)
    assert (body.pulls, body.closes) == (3, 1)
    assert stream.history[0].data == b"see /middle"
    assert client.streams == [stream]


def test_a_redirect_that_never_ends_is_given_up(site, open_client, over_the_wire):
    def for_ever():
        while True:
            yield "moved "

    redirecting(site, hops=[for_ever()])
    with pytest.raises(EndlessStream, match="max_chunks=5") as caught:
        open_client(site, max_chunks=5).get("/start", follow_redirects=True)
    assert caught.value.record.path == "/start"
    assert over_the_wire or caught.value.record.delivered == 6


def test_a_redirect_loop_is_the_error_of_flasks_client_and_leaves_nothing_open(open_client):
    app = Flask("loop")
    bodies = []

    @app.route("/")
    def view():
        bodies.append(Closing("round and round"))
        return Response(bodies[-1], status=302, headers={"Location": "/"})

    client = open_client(app)
    with pytest.raises(ClientRedirectError):
        client.get("/", follow_redirects=True)
    client.close()
    assert len(bodies) > 1
    assert [body.closes for body in bodies] == [1] * len(bodies)


def test_an_error_after_a_redirect_leaves_nothing_open(open_client):
    app = Flask("broken")
    app.testing = True
    body = Closing("moved")

    @app.route("/")
    def view():
        return Response(body, status=302, headers={"Location": "/broken"})

    @app.route("/broken")
    def broken():
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        open_client(app).get("/", follow_redirects=True)
    assert body.closes == 1


# Clients of one's own


def test_the_test_client_class_of_the_app_is_used(site, open_client):
    class WithToken(FlaskClient):
        def open(self, *args, **kwargs):
            kwargs["headers"] = {"X-Token": "secret", **kwargs.get("headers", {})}
            return super().open(*args, **kwargs)

    site.test_client_class = WithToken
    client = open_client(site)
    assert type(client.flask_client) is WithToken
    assert client.get("/from").read().endswith(b" secret")
    assert client.get("/from", headers={"X-Token": "mine"}).read().endswith(b" mine")


def test_a_client_class_may_override_run_wsgi_app_and_keep_state_on_itself(
    site, open_client, over_the_wire
):
    class Recording(FlaskClient):
        paths = ()

        def run_wsgi_app(self, environ, buffered=False):
            self.paths = (*self.paths, environ["PATH_INFO"])
            environ["HTTP_X_TOKEN"] = f"request {len(self.paths)}"
            answer = super().run_wsgi_app(environ, buffered=buffered)
            self.last_status = answer[1]
            return answer

    site.test_client_class = Recording
    client = open_client(site)
    stream = client.get("/from")
    assert over_the_wire or stream.produced == 0
    assert client.flask_client.paths == ("/from",)
    assert stream.read().endswith(b" request 1")
    client.get("/who")
    assert client.flask_client.paths == ("/from", "/who")
    assert client.flask_client.last_status == "200 OK"
    assert Recording.paths == ()


def test_a_client_class_may_log_in_before_its_first_request(site, open_client):
    class LoggingIn(FlaskClient):
        logged_in = False

        def open(self, *args, **kwargs):
            if not self.logged_in:
                self.logged_in = True
                self.get("/login/ada")
            return super().open(*args, **kwargs)

    redirecting(site)
    site.test_client_class = LoggingIn
    stream = open_client(site).get("/start", follow_redirects=True)
    assert b'href="/middle"' in stream.history[0].data
    assert stream.read() == b"abstartmiddle"


def test_a_client_class_may_read_the_answers_to_requests_of_its_own(
    site, open_client, over_the_wire
):
    class WithToken(FlaskClient):
        token = None

        def open(self, *args, **kwargs):
            if self.token is None:
                self.token = "fetching"
                self.token = self.post("/echo", data="secret").text
            kwargs["headers"] = {"X-Token": self.token}
            return super().open(*args, **kwargs)

    site.test_client_class = WithToken
    client = open_client(site)
    stream = client.get("/from")
    assert over_the_wire or stream.produced == 0
    assert stream.read().endswith(b" POST secret")
    assert client.streams == [stream]


def test_a_client_class_may_drop_an_answer_and_ask_again(open_client):
    app = Flask("retrying")
    bodies = []

    @app.route("/")
    def view():
        bodies.append(Closing("a", "b"))
        return Response(bodies[-1], status=200 if len(bodies) > 1 else 503)

    class Retrying(FlaskClient):
        def open(self, *args, **kwargs):
            response = super().open(*args, **kwargs)
            return response if response.status_code == 200 else super().open(*args, **kwargs)

    app.test_client_class = Retrying
    client = open_client(app)
    stream = client.get("/")
    assert (len(bodies), bodies[0].closes) == (2, 1)
    assert stream.read() == b"ab"


def test_a_client_class_may_use_another_client_that_reads(site, open_client, over_the_wire):
    helper_app = Flask("helper")
    helper_app.add_url_rule("/token", "token", lambda: iter(["a", "b"]))
    helper = helper_app.test_client()
    helper_streams = open_client(helper)

    class Delegating(FlaskClient):
        def open(self, *args, **kwargs):
            kwargs["headers"] = {"X-Token": helper.get("/token").text}
            return super().open(*args, **kwargs)

    site.test_client_class = Delegating
    stream = open_client(site).get("/from")
    assert over_the_wire or stream.produced == 0
    assert helper_streams.streams == []
    assert stream.read().endswith(b" ab")


def test_a_client_class_that_raises_after_the_answer_leaves_nothing_open(
    open_client, over_the_wire
):
    app = Flask("strict")
    body = Closing("a")
    app.add_url_rule("/", "view", lambda: body)

    class Strict(FlaskClient):
        def open(self, *args, **kwargs):
            response = super().open(*args, **kwargs)
            raise LookupError(response.status)

    app.test_client_class = Strict
    client = open_client(app)
    with pytest.raises(LookupError, match="200 OK"):
        client.get("/")
    client.close()
    assert body.closes == 1
    assert over_the_wire or body.pulls == 0


def test_an_existing_client_shares_its_cookies_session_and_defaults(site, open_client):
    logged_in = site.test_client()
    logged_in.get("/login/ada")
    logged_in.environ_base["REMOTE_ADDR"] = "10.0.0.3"
    client = open_client(logged_in)
    assert client.flask_client is logged_in
    assert client.get("/who").read() == b"ada dark"
    assert client.get("/from").read() == b"10.0.0.3 "
    client.get("/login/grace")
    assert logged_in.get("/who").data == b"grace dark"


def test_an_existing_client_stays_what_it_is_for_calls_of_its_own(open_client, over_the_wire):
    app = Flask("both")
    bodies = []

    @app.route("/")
    def view():
        bodies.append(Closing("a", "b"))
        return bodies[-1]

    stock = app.test_client()
    client = open_client(stock)
    stock_response = stock.get("/")
    assert bodies[0].pulls == 1  # the stock client produces the first chunk inside `get()`
    client.get("/")
    assert over_the_wire or bodies[1].pulls == 0
    assert stock_response.data == b"ab"


def test_inside_with_client_the_contexts_of_streams_are_not_preserved(site, open_client):
    with site.test_client() as stock:
        client = open_client(stock)
        stock.get("/echo")
        assert flask.has_request_context()
        stream = client.get("/who")
        assert not flask.has_request_context()
        assert stream.read() == b"nobody plain"
        assert not flask.has_request_context()
        half_read = client.get("/who")
        next(half_read)
    half_read.drain()


def test_a_client_that_entered_itself_into_with_works(site, open_client):
    client = open_client(site)
    with client.flask_client:
        stream = client.get("/who")
        assert next(stream) == b"nobody"
    assert stream.read() == b"nobody plain"


def test_after_close_an_existing_client_is_as_it_was(site):
    stock = site.test_client()
    before = dict(vars(stock))
    with StreamClient(stock) as client:
        client.get("/echo")
        assert "run_wsgi_app" in vars(stock)
    assert vars(stock).keys() == before.keys()
    assert stock.get("/echo").data == b"GET "


def test_two_stream_clients_share_one_client_until_both_are_closed(open_client, over_the_wire):
    app = Flask("shared")
    bodies = []

    @app.route("/")
    def view():
        bodies.append(Closing("a"))
        return bodies[-1]

    stock = app.test_client()
    one, two = open_client(stock, max_chunks=1), open_client(stock, max_chunks=2)
    first = one.get("/")
    one.close()
    one.close()
    assert (first.state, bodies[0].closes) == ("closed", 1)
    second = two.get("/")
    assert over_the_wire or bodies[1].pulls == 0
    assert (one.streams, two.streams) == ([first], [second])
    two.close()
    assert "run_wsgi_app" not in vars(stock)


def test_apps_and_classes_are_never_touched(site, open_client):
    before = dict(vars(FlaskClient)), dict(vars(Client)), site.wsgi_app, dict(vars(type(site)))
    known = set(vars(site))
    open_client(site).get("/echo").drain()
    assert (dict(vars(FlaskClient)), dict(vars(Client)), site.wsgi_app) == before[:3]
    assert dict(vars(type(site))) == before[3]
    assert set(vars(site)) - known <= {"json", "_got_first_request", "jinja_env"}


def test_a_dropped_client_lives_as_long_as_its_streams_and_leaves_nothing_patched(site):
    stock = site.test_client()
    stream = StreamClient(stock).get("/who")
    gc.collect()
    assert next(stream) == b"nobody"
    assert stream.read() == b"nobody plain"
    assert [teardown.kind for teardown in stream.record.teardowns] == ["request", "app"]
    del stream
    gc.collect()
    assert "run_wsgi_app" not in vars(stock)


def test_a_dropped_client_may_be_collected_while_another_one_is_made(
    site, open_client, over_the_wire
):
    class Collecting(FlaskClient):
        def __setattr__(self, name, value):
            gc.collect()
            super().__setattr__(name, value)

    site.test_client_class = Collecting
    stock = site.test_client()
    cycle = [StreamClient(stock)]
    cycle.append(cycle)
    del cycle
    stream = open_client(stock).get("/echo")
    assert over_the_wire or stream.produced == 0
    assert stream.read() == b"GET "


# Errors in a view


def test_a_view_that_raises_is_an_error_page_without_testing(open_client):
    app = Flask("broken")
    app.logger.disabled = True
    app.add_url_rule("/", "view", lambda: 1 / 0)
    stream = open_client(app).get("/")
    assert (stream.status_code, stream.streamed) == (500, False)
    assert b"Internal Server Error" in stream.read()


def test_a_view_that_raises_raises_in_the_test_with_testing(open_client):
    error = LookupError("row 0")
    app = Flask("broken")
    app.testing = True

    @app.route("/")
    def view_of_the_user():
        raise error

    client = open_client(app)
    with pytest.raises(LookupError) as caught:
        client.get("/")
    assert caught.value is error
    assert caught.traceback[-1].name == "view_of_the_user"
    assert (error.__cause__, error.__context__) == (None, None)
    assert client.streams == []


def test_an_error_handler_answers_as_ever(open_client, over_the_wire):
    app = Flask("handled")
    app.testing = True
    app.register_error_handler(LookupError, lambda error: (iter(["so ", "sorry"]), 418))

    @app.route("/")
    def view():
        raise LookupError

    stream = open_client(app).get("/")
    assert (stream.status_code, stream.streamed) == (418, True)
    assert over_the_wire or stream.produced == 0
    assert stream.read() == b"so sorry"


def test_abort_in_a_generator_is_raised_by_the_pull(open_client):
    app = Flask("late abort")

    @app.route("/")
    def view():
        def items():
            yield "a"
            flask.abort(404)

        return items()

    stream = open_client(app).get("/")
    next(stream)
    with pytest.raises(NotFound):
        next(stream)


@pytest.mark.parametrize("testing", [True, False])
def test_a_view_may_raise_after_it_called_stream_with_context(open_client, testing):
    app = Flask("late")
    app.testing = testing
    app.logger.disabled = True

    @app.route("/<name>")
    def view(name):
        body = stream_with_context(iter([name]))
        if name == "broken":
            raise LookupError(name)
        return body

    client = open_client(app)
    if testing:
        with pytest.raises(LookupError, match="broken"):
            client.get("/broken")
    else:
        assert client.get("/broken").status_code == 500
    assert not flask.has_app_context()
    assert client.get("/fine").read() == b"fine"


# Bodies that are never sent


@pytest.mark.parametrize(
    ("method", "status"), [("head", 200), ("get", 204), ("get", 304), ("head", 304)]
)
@pytest.mark.parametrize("end", ["pull", "close", "after the test"])
def test_no_body_is_sent_for_head_204_and_304(open_client, method, status, end, over_the_wire):
    app = Flask("no body")
    closed, body = [], Closing("a")

    @app.route("/")
    def view():
        response = Response(body, status=status)
        response.call_on_close(lambda: closed.append("call_on_close"))
        return response

    client = open_client(app)
    stream = getattr(client, method)("/")
    assert (stream.status_code, stream.state) == (status, "open")
    assert over_the_wire or closed == []
    if end == "pull":
        assert list(stream) == []
        assert stream.state == "exhausted"
    else:
        (stream if end == "close" else client).close()
        assert stream.state == "closed"
    assert closed == ["call_on_close"]
    assert (body.pulls, stream.produced, stream.delivered, stream.read()) == (0, 0, 0, b"")


# Downloads


@pytest.fixture
def download():
    app = Flask("download")
    app.data = io.BytesIO(bytes(range(256)) * 100)

    @app.route("/")
    def view():
        return send_file(app.data, mimetype="application/octet-stream", conditional=True)

    return app


def test_a_download_is_streamed_and_its_file_closed(open_client, download, over_the_wire):
    stream = open_client(download).get("/")
    assert (stream.status_code, stream.content_length, stream.streamed) == (200, 25600, True)
    first = next(stream)
    assert over_the_wire or (len(first), download.data.closed) == (8192, False)
    assert stream.read() == bytes(range(256)) * 100
    assert download.data.closed
    assert {chunk.size for chunk in stream.record.chunks} == {8192, 1024}


def test_a_half_read_download_closes_its_file_on_disconnect(open_client, download):
    stream = open_client(download).get("/")
    next(stream)
    stream.disconnect()
    assert download.data.closed


def test_a_range_of_a_download_is_given(open_client, download, over_the_wire):
    stream = open_client(download).get("/", headers={"Range": "bytes=300-8999"})
    assert (stream.status_code, stream.content_length) == (206, 8700)
    assert stream.headers["Content-Range"] == "bytes 300-8999/25600"
    assert over_the_wire or stream.produced == 0
    assert stream.read() == (bytes(range(256)) * 100)[300:9000]
    assert download.data.closed


def test_a_range_that_cannot_be_satisfied_is_416(open_client, download):
    stream = open_client(download).get("/", headers={"Range": "bytes=99999-"})
    assert stream.status_code == 416
    stream.drain()


def test_a_file_on_disk_is_closed_after_its_last_chunk(open_client, tmp_path):
    (tmp_path / "report.txt").write_bytes(b"x" * 10_000)
    app = Flask("disk")
    app.add_url_rule("/", "view", lambda: send_file(tmp_path / "report.txt"))
    client = open_client(app)
    stream = client.get("/")
    assert sum(map(len, stream)) == 10_000
    assert [chunk.size for chunk in stream.record.chunks] == [8192, 1808]
    etag = stream.headers["ETag"]
    cached = client.get("/", headers={"If-None-Match": etag})
    assert (cached.status_code, list(cached)) == (304, [])


def test_direct_passthrough_gives_the_bare_iterable(open_client, over_the_wire):
    app = Flask("passthrough")
    file = io.BytesIO(b"abcdef")

    @app.route("/")
    def view():
        return Response(FileWrapper(file, 2), direct_passthrough=True)

    stream = open_client(app).get("/")
    assert over_the_wire or stream.produced == 0
    assert list(stream) == [b"ab", b"cd", b"ef"]
    assert (stream.produced, file.closed) == (3, True)


# async


def test_an_async_view_may_stream(open_client, over_the_wire):
    pytest.importorskip("asgiref")
    app = Flask("async")

    @app.route("/")
    async def view():
        return Response(item for item in "ab")

    stream = open_client(app).get("/")
    assert stream.streamed is True
    assert over_the_wire or stream.produced == 0
    assert list(stream) == [b"a", b"b"]


def test_an_async_view_with_stream_with_context_works_as_far_as_flask_goes(open_client):
    pytest.importorskip("asgiref")
    app = Flask("async")

    @app.route("/<name>")
    async def view(name):
        @stream_with_context
        def items():
            yield request.path
            yield "b"

        return Response(items())

    def outcome(read):
        # Up to Flask 3.1.1 the context was pushed in the view's task, where no pull can pop it.
        try:
            return read()
        except ValueError as error:
            return type(error), "different Context" in str(error)

    def stock():
        try:
            return outcome(lambda: app.test_client().get("/x").get_data())
        finally:
            gc.collect()  # what the stock client leaves behind is finished here

    client = open_client(app)
    assert outcome(lambda: client.get("/x").read()) == Context().run(stock)
    client.close()
    gc.collect()  # an error in here, or after the test, is what the stream has left behind
    assert not flask.has_app_context()


# WSGI layers


def layered(wsgi_app):
    app = Flask("layered")
    app.add_url_rule("/", "view", lambda: iter(["a", "b"]))
    app.wsgi_app = wsgi_app(app.wsgi_app)
    return app


@pytest.mark.in_process("a server refuses any chunk before start_response, an empty one too")
def test_a_layer_that_starts_late_is_pulled_just_far_enough(open_client):
    pulled = []

    def late(inner):
        def run(environ, start_response):
            for number in range(5):
                if number == 2:
                    start_response("203 Late", [("X-Late", "yes")])
                pulled.append(number)
                yield b"" if number < 2 else b"%d" % number

        return run

    stream = open_client(layered(late)).get("/")
    assert (stream.status.upper(), stream.headers["X-Late"], pulled) == (
        "203 LATE",
        "yes",
        [0, 1, 2],
    )
    assert (stream.delivered, stream.streamed) == (0, None)
    assert list(stream) == [b"", b"", b"2", b"3", b"4"]


def test_a_view_behind_a_layer_that_is_a_generator_is_streamed(open_client, over_the_wire):
    def generator(inner):
        def run(environ, start_response):
            yield from inner(environ, start_response)

        return run

    stream = open_client(layered(generator)).get("/")
    assert (stream.status_code, stream.streamed) == (200, True)
    assert stream.delivered == 0
    assert over_the_wire or stream.produced == 1  # pulled just far enough
    assert list(stream) == [b"a", b"b"]


def test_a_late_start_without_any_chunk_is_an_empty_body(open_client):
    def late(inner):
        def run(environ, start_response):
            start_response("200 OK", [])
            yield from ()

        return run

    stream = open_client(layered(late)).get("/")
    assert (stream.status_code, list(stream), stream.state) == (200, [], "exhausted")


def test_a_layer_that_answers_alone_leaves_streamed_open(open_client):
    def maintenance(inner):
        def run(environ, start_response):
            start_response("503 Service Unavailable", [])
            return [b"back ", b"soon"]

        return run

    stream = open_client(layered(maintenance)).get("/")
    assert (stream.status_code, stream.streamed, stream.produced) == (503, None, 0)
    assert list(stream) == [b"back ", b"soon"]


def test_what_was_written_with_write_comes_first(open_client):
    def writing(inner):
        def run(environ, start_response):
            write = start_response("200 OK", [])
            write(b"one ")
            write(b"two ")
            return [b"three"]

        return run

    stream = open_client(layered(writing)).get("/")
    assert list(stream) == [b"one ", b"two ", b"three"]


@pytest.mark.parametrize("read", [list, lambda stream: stream.take(9)])
def test_what_a_layer_writes_comes_before_what_the_view_yields(open_client, read):
    def writing(inner):
        def run(environ, start_response):
            def start(*head):
                write = start_response(*head)
                write(b"first")
                return write

            return inner(environ, start)

        return run

    app = layered(writing)
    app.add_url_rule("/yields", "yields", lambda: iter("ab"))
    assert read(open_client(app).get("/yields")) == [b"first", b"a", b"b"]


def test_what_is_written_while_iterating_keeps_its_place(open_client):
    def writing(inner):
        def run(environ, start_response):
            write = start_response("200 OK", [])

            def body():
                yield b"1"
                write(b"2")
                yield b"3"
                write(b"4")

            return body()

        return run

    client = open_client(layered(writing))
    assert list(client.get("/")) == [b"1", b"2", b"3", b"4"]
    assert client.get("/").take(9) == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("read", [list, StreamedResponse.drain], ids=["for", "drain"])
def test_what_is_written_has_waited_for_the_pull_that_it_was_written_in(open_client, read):
    def writing(inner):
        def run(environ, start_response):
            write = start_response("200 OK", [])

            def body():
                time.sleep(0.02)
                write(b"1")
                yield b"2"

            return body()

        return run

    stream = open_client(layered(writing)).get("/")
    read(stream)
    assert stream.record.chunks[0].waited >= 0.02


def test_start_response_with_exc_info_replaces_an_answer_that_has_not_begun(open_client):
    def replacing(inner):
        def run(environ, start_response):
            start_response("200 OK", [("X-Try", "1")])
            try:
                raise LookupError
            except LookupError:
                start_response("500 Sorry", [("X-Try", "2")], sys.exc_info())
            return [b"sorry"]

        return run

    stream = open_client(layered(replacing)).get("/")
    assert (stream.status_code, stream.headers.getlist("X-Try")) == (500, ["2"])
    assert stream.record.headers.getlist("X-Try") == ["2"]
    assert stream.read() == b"sorry"


@pytest.mark.parametrize("read", [next, lambda stream: stream.take(2)])
def test_a_head_that_is_replaced_in_the_first_pull_is_the_responses_too(
    open_client, read, over_the_wire
):
    def replaces(inner):
        def run(environ, start_response):
            start_response("200 Fine", [("X-Try", "1"), ("X-Old", "yes")])
            return fails_at_once(start_response)

        return run

    def fails_at_once(start_response):
        try:
            raise LookupError("no row")
        except LookupError:
            start_response("500 Sorry", [("X-Try", "2")], sys.exc_info())
        yield b"sorry"

    stream = open_client(layered(replaces)).get("/")
    first_head = (200, {"X-Try": "1", "X-Old": "yes"})
    assert over_the_wire or (stream.status_code, dict(stream.headers)) == first_head
    read(stream)
    assert stream.record.status == "500 Sorry"
    assert (stream.status.upper(), stream.status_code) == ("500 SORRY", 500)
    assert dict(stream.headers) == dict(stream.record.headers) == {"X-Try": "2"}


def test_start_response_with_exc_info_after_the_first_chunk_raises_it(open_client):
    error = LookupError("late")

    def replacing(inner):
        def run(environ, start_response):
            start_response("200 OK", [("X-Try", "1")])

            def body():
                yield b"a"
                try:
                    raise error
                except LookupError:
                    start_response("500 Sorry", [("X-Try", "2")], sys.exc_info())
                yield b"never"

            return body()

        return run

    stream = open_client(layered(replacing)).get("/")
    assert next(stream) == b"a"
    with pytest.raises(LookupError) as caught:
        next(stream)
    assert caught.value is error
    assert stream.status_code == 200


# The fence around what is not public


def test_werkzeugs_client_runs_the_app_where_we_stand_in():
    app = Flask("fence")
    app.add_url_rule("/", "view", lambda: flask.redirect("/end"))
    app.add_url_rule("/end", "end", lambda: "end")
    client = app.test_client()
    calls = []

    def run_wsgi_app(environ, buffered=False):
        calls.append((environ["PATH_INFO"], buffered))
        return Client.run_wsgi_app(client, environ, buffered=buffered)

    client.run_wsgi_app = run_wsgi_app
    assert client.get("/", follow_redirects=True).data == b"end"
    del client.run_wsgi_app
    assert calls == [("/", False), ("/end", False)]
    assert list(inspect.signature(Client.run_wsgi_app).parameters) == [
        "self",
        "environ",
        "buffered",
    ]


def test_werkzeugs_run_wsgi_app_calls_what_stands_at_application():
    class Seen:
        def __init__(self, client, application):
            self.client, self.application = client, application

        def __getattr__(self, name):
            return getattr(self.client, name)

    def application(environ, start_response):
        start_response("200 OK", [("Set-Cookie", "a=1")])
        return ()

    client = Flask("fence").test_client()
    environ = EnvironBuilder("/").get_environ()
    body, status, headers = Client.run_wsgi_app(Seen(client, application), environ)
    assert (list(body), status, headers["Set-Cookie"]) == ([], "200 OK", "a=1")
    assert client.get_cookie("a").value == "1"


def test_flask_keeps_its_contexts_in_the_variables_that_we_found():
    variables = set(flask_variables())
    assert all(isinstance(variable, ContextVar) for variable in variables)
    app = Flask("fence")

    def set_by_a_request():
        with app.test_request_context():
            return set(copy_context())

    def set_by_an_app_context():
        with app.app_context():
            return set(copy_context())

    assert Context().run(set_by_a_request) == variables
    assert Context().run(set_by_an_app_context) == {flask_variables().app}
    assert all(variable.name.startswith("flask.") for variable in variables)


def test_the_environ_key_that_preserves_contexts_is_the_one_we_drop():
    app = Flask("fence")
    app.add_url_rule("/", "view", lambda: "a")
    with app.test_client() as client:
        response = client.get("/")
        assert "werkzeug.debug.preserve_context" in response.request.environ
