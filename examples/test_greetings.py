"""Generators that need a context: kept with ``stream_with_context``, and forgotten."""

import pytest

# With the context


@pytest.mark.parametrize("path", ["/hello", "/hello-returned"])
def test_a_wrapped_generator_keeps_the_request(stream_client, path):
    stream = stream_client.get(path, query_string={"name": "ada"})
    stream.assert_streamed()
    stream.assert_request_context()
    stream.assert_chunks(["<p>Hello ", "ada", "!</p>"])


def test_a_name_is_escaped(stream_client):
    assert stream_client.get("/hello?name=<b>").read_text() == "<p>Hello &lt;b&gt;!</p>"


def test_a_decorated_generator_keeps_the_request_and_the_app(stream_client):
    stream = stream_client.get("/hello-decorated?name=ada", headers={"Accept-Language": "fi"})
    stream.assert_request_context()
    assert stream.read_text() == "Hello ada, in fi"


def test_greetings_read_by_turns_each_keep_their_own_request(stream_client):
    ada = stream_client.get("/hello?name=ada")
    bob = stream_client.get("/hello?name=bob")
    assert [next(ada), next(bob)] == [b"<p>Hello ", b"<p>Hello "]
    assert [next(bob), next(ada)] == [b"bob", b"ada"]
    ada.assert_request_context()
    bob.assert_request_context()


def test_a_greeting_knows_who_is_logged_in(stream_client):
    assert stream_client.post("/login", data={"user": "ada"}).status_code == 204
    assert stream_client.get("/hello-session").read_text() == "Hello ada"


def test_a_greeting_by_session_is_not_cached_for_others(stream_client):
    with stream_client.session_transaction() as session:
        session["user"] = "ada"
    assert "Cookie" in stream_client.get("/hello-session").headers["Vary"]


def test_a_missing_name_is_told_after_the_headers_are_sent(stream_client):
    stream = stream_client.get("/hello")
    assert stream.status_code == 200
    stream.assert_raises(KeyError, after=1)


# Without it


@pytest.mark.parametrize(
    ("path", "kind", "after"),
    [
        ("/forgotten-request?name=ada", "request", 1),
        ("/forgotten-session", "request", 1),
        ("/forgotten-app", "app", 2),
        ("/forgotten-g", "app", 0),
    ],
)
def test_a_forgotten_context_is_an_error(stream_client, path, kind, after):
    stream = stream_client.get(path)
    error = stream.assert_context_error(kind, after=after)
    assert error is stream.error
    assert stream.status_code == 200  # was sent before anybody could know


def test_a_request_that_the_test_has_pushed_does_not_hide_it(app, stream_client):
    with app.test_request_context("/?name=somebody+else"):
        stream = stream_client.get("/forgotten-request?name=ada")
        stream.assert_context_error("request", after=1)


def test_an_app_context_that_the_test_has_pushed_does_not_hide_it(app, stream_client):
    with app.app_context():
        stream_client.get("/forgotten-app").assert_context_error("app", after=2)


def test_another_stream_that_is_half_read_does_not_hide_it(stream_client):
    next(stream_client.get("/hello?name=bob"))
    stream = stream_client.get("/forgotten-request?name=ada")
    stream.assert_context_error("request", after=1)


def test_an_error_of_the_generator_reaches_the_test_as_it_is(stream_client):
    stream = stream_client.get("/forgotten-app")
    with pytest.raises(RuntimeError, match="application context"):
        stream.drain()
    assert stream.chunks == [b"one", b"two"]
