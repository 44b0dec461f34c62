"""``start()`` begins the first pull in a thread: for generators that subscribe in it."""

from __future__ import annotations

import queue
import threading

import flask
import pytest
from flask import Flask, stream_with_context

from pytest_flask_stream import StreamClient, StreamClosed, StreamTimeout

WAIT = 10.0  # seconds that a gate is waited for: a limit, never a pause
SHORT = 0.3
NEVER_TRUE = (
    "start(until=…) never became true; it has to ask for something that the first pull brings about"
)
CANNOT = "a pull begun by start() runs in a thread and cannot be interrupted"


class Gated:
    """A view whose generator says that it was entered, and goes on when it may."""

    def __init__(self, *chunks, error=None):
        self.entered = threading.Event()
        self.may_go_on = threading.Event()
        self.closed = threading.Event()
        self.chunks = chunks
        self.error = error
        self.threads = []

    def __call__(self):
        def generate():
            try:
                self.threads.append(threading.current_thread())
                self.entered.set()
                self.may_go_on.wait(WAIT)
                if self.error is not None:
                    raise self.error
                yield from self.chunks
            finally:
                self.closed.set()

        return generate()


def cannot(over_the_wire):
    """Say why nobody ends the pull."""
    return "the server's thread is in\n" if over_the_wire else f"{CANNOT}\n"


@pytest.fixture
def gated():
    views = []

    def make(*args, **kwargs):
        views.append(Gated(*args, **kwargs))
        return views[-1]

    yield make
    for view in views:
        view.may_go_on.set()


class Bus:
    def __init__(self):
        self.subscribers = []

    @property
    def count(self):
        return len(self.subscribers)

    def publish(self, message):
        for subscriber in self.subscribers:
            subscriber.put(message)


def bus_app():
    app, bus = Flask("bus"), Bus()

    @app.get("/events")
    def events():
        def generate():
            messages = queue.Queue()
            bus.subscribers.append(messages)
            try:
                while True:
                    yield f"data: {messages.get()}\n\n"
            finally:
                bus.subscribers.remove(messages)

        return generate(), {"Content-Type": "text/event-stream"}

    return app, bus


@pytest.mark.in_process(
    "a server does not notice that its client has left while the generator waits"
)
def test_publish_and_subscribe(open_client):
    app, bus = bus_app()
    client = open_client(app)
    a, b = client.get("/events"), client.get("/events")
    assert bus.count == 0
    a.start(until=lambda: bus.count == 1)
    b.start(until=lambda: bus.count == 2)
    bus.publish("hello")
    assert next(a) == next(b) == b"data: hello\n\n"
    a.disconnect()
    assert bus.count == 1
    bus.publish("more")
    assert next(b) == b"data: more\n\n"
    b.disconnect()
    assert bus.count == 0


def test_it_returns_at_once(get, gated):
    view = gated("a", "b")
    stream = get(view)
    assert stream.start() is None
    assert (stream.state, stream.delivered) == ("open", 0)
    assert view.entered.wait(WAIT)
    view.may_go_on.set()
    assert stream.take(2) == [b"a", b"b"]
    assert view.threads != [threading.current_thread()]


def test_it_returns_as_soon_as_it_is_true(get, gated):
    view = gated("a")
    stream = get(view)
    stream.start(until=view.entered.is_set)
    assert (stream.produced, stream.delivered) == (0, 0)
    view.may_go_on.set()
    assert next(stream) == b"a"


@pytest.mark.parametrize(
    "read",
    [
        lambda stream: [next(stream)],
        lambda stream: stream.take(1),
        lambda stream: stream.take_until("a"),
        lambda stream: [stream.read()],
        lambda stream: stream.assert_chunks(["a"]) or stream.chunks,
    ],
)
def test_the_next_read_waits_for_that_chunk(get, gated, read):
    view = gated("a")
    stream = get(view)
    stream.start(until=view.entered.is_set)
    opener = threading.Timer(0.02, view.may_go_on.set)
    opener.start()
    assert read(stream) == [b"a"]
    opener.join(WAIT)


def test_the_facts_of_the_first_chunk(get, over_the_wire):
    pulled, go_on = threading.Event(), threading.Event()

    def view():
        @stream_with_context
        def generate():
            go_on.wait(SHORT)
            yield flask.request.path
            pulled.set()
            yield "b"

        return generate()

    stream = get(view, timeout=WAIT)
    stream.start()
    stream.take(1)
    first = stream.record.chunks[0]
    assert (first.index, first.size, first.produced) == (0, 1, 1)
    assert (first.request_context, first.app_context) == (True, True)
    assert SHORT * 0.9 < first.waited <= first.at
    assert over_the_wire or not pulled.is_set()
    assert stream.read() == b"/b"
    assert stream.record.chunks[1].waited < first.waited
    stream.assert_lazy()
    stream.assert_streamed()
    stream.assert_request_context()


def test_contexts_never_reach_the_test(get):
    def view():
        @stream_with_context
        def generate():
            yield "a"
            yield flask.request.path

        return generate()

    stream = get(view)
    stream.start()
    assert next(stream) == b"a"
    assert not flask.has_request_context()
    assert stream.read() == b"a/"


def test_an_error_in_the_first_pull_is_raised_by_the_next_read(get, gated):
    error = LookupError("no row")
    view = gated(error=error)
    stream = get(view)
    stream.start()
    view.may_go_on.set()
    with pytest.raises(LookupError) as caught:
        next(stream)
    assert caught.value is error is stream.error
    assert stream.state == "failed"
    assert caught.traceback[-1].name == "generate"
    with pytest.raises(StopIteration):
        next(stream)


def test_an_error_in_the_first_pull_is_raised_by_start(get, gated):
    view = gated(error=LookupError("no row"))
    view.may_go_on.set()
    stream = get(view)
    with pytest.raises(LookupError, match="no row"):
        stream.start(until=lambda: False)
    assert stream.state == "failed"


def test_an_error_in_the_first_pull_is_raised_by_close(get, gated):
    view = gated(error=LookupError("no row"))
    view.may_go_on.set()
    stream = get(view)
    stream.start()
    with pytest.raises(LookupError, match="no row"):
        stream.disconnect()
    assert stream.state == "failed"
    stream.disconnect()  # harmless when repeated


def test_an_empty_stream(get, gated):
    view = gated()
    view.may_go_on.set()
    stream = get(view)
    stream.start(until=view.closed.is_set)
    with pytest.raises(StopIteration):
        next(stream)
    assert (stream.state, stream.delivered) == ("exhausted", 0)
    with pytest.raises(ValueError, match=r"this stream is exhausted after 0 chunks"):
        stream.start()


def test_twice_is_one_pull(get, gated):
    view = gated("a", "b")
    stream = get(view)
    stream.start()
    stream.start(until=view.entered.is_set)
    view.may_go_on.set()
    assert stream.read() == b"ab"
    assert len(view.threads) == 1


def test_after_reading(get):
    stream = get(lambda: iter(["a", "b"]))
    next(stream)
    with pytest.raises(ValueError, match=r"begins the first pull.*is open after 1 chunks"):
        stream.start()
    assert next(stream) == b"b"


def test_after_disconnect(get):
    stream = get(lambda: iter(["a", "b"]))
    stream.disconnect()
    with pytest.raises(ValueError, match=r"this stream is closed after 0 chunks"):
        stream.start()


@pytest.mark.parametrize("bad", [5, "x", True])
def test_a_condition_that_cannot_be_called(get, gated, bad, over_the_wire):
    view = gated("a")
    stream = get(view)
    with pytest.raises(TypeError, match=f"until must be a callable.*not {bad!r}"):
        stream.start(bad)
    assert over_the_wire or not view.entered.is_set()
    view.may_go_on.set()
    assert stream.read() == b"a"


def test_a_condition_that_raises(get, gated):
    view = gated("a")
    stream = get(view)
    with pytest.raises(ZeroDivisionError):
        stream.start(until=lambda: 1 / 0)
    view.may_go_on.set()
    assert stream.read() == b"a"


def test_never_true(get, gated, over_the_wire):
    view = gated("a")
    stream = get(view)
    stream.start(until=view.entered.is_set)
    stream.timeout = SHORT
    with pytest.raises(StreamTimeout) as caught:
        stream.start(until=lambda: False)
    timeout = caught.value
    assert (timeout.activity, timeout.timeout) == ("pull", SHORT)
    assert timeout.waited > SHORT
    assert timeout.stuck.endswith("self.may_go_on.wait(WAIT)")
    assert f"note:    {NEVER_TRUE}; {cannot(over_the_wire)}" in str(timeout)
    assert stream.state == "timeout"
    with pytest.raises(StreamClosed):
        next(stream)
    assert not view.closed.is_set()
    view.may_go_on.set()
    assert view.closed.wait(WAIT)  # the thread closes the iterable when it comes back


def test_never_true_though_the_chunk_is_there(get, gated, over_the_wire):
    view = gated("a")
    view.may_go_on.set()
    stream = get(view)
    stream.timeout = SHORT
    with pytest.raises(StreamTimeout) as caught:
        stream.start(until=lambda: False)
    assert f"note:    {NEVER_TRUE}\n" in str(caught.value)
    assert CANNOT not in str(caught.value)
    assert caught.value.stuck is None
    assert over_the_wire or view.closed.is_set()


def test_a_read_that_waits_too_long(get, gated, over_the_wire):
    view = gated("a")
    stream = get(view)
    stream.start(until=view.entered.is_set)
    stream.timeout = SHORT
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert caught.value.activity == "pull"
    assert caught.value.stuck.endswith("self.may_go_on.wait(WAIT)")
    assert f"note:    {cannot(over_the_wire)}" in str(caught.value)


def test_closing_waits_for_the_pull(get, gated):
    view = gated("a")
    stream = get(view)
    stream.start(until=view.entered.is_set)
    opener = threading.Timer(0.02, view.may_go_on.set)
    opener.start()
    stream.disconnect()
    assert view.closed.is_set()
    assert (stream.state, stream.delivered) == ("closed", 0)
    opener.join(WAIT)


def test_a_stuck_pull_does_not_hang_the_end(gated):
    view = gated("a")
    app = Flask("stuck")
    app.add_url_rule("/", "view", view)
    client = StreamClient(app)
    stream = client.get("/")
    stream.start(until=view.entered.is_set)
    client.timeout = stream.timeout = SHORT
    with pytest.raises(StreamTimeout) as caught:
        client.close()
    assert caught.value.activity == "closing"
    assert caught.value.stuck.endswith("self.may_go_on.wait(WAIT)")
    assert f"note:    {CANNOT}\n" in str(caught.value)
    view.may_go_on.set()
    assert view.closed.wait(WAIT)
