"""A live test waits no longer than ``timeout``, whatever the server or the app does."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import pytest
from flask import Flask, Response

from pytest_flask_stream import LiveStreamClient, StreamClosed, StreamTimeout

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TIMEOUT = 0.3  # s; set where nothing more is to come in time: a machine may be busy
MUCH_LATER = 5.0  # s; the machine may be busy, and a wait without a deadline takes longer


class Waited:
    """Catches a ``StreamTimeout``, and measures it."""

    def __init__(self, activity, timeout=TIMEOUT):
        self.activity, self.timeout = activity, timeout
        self._raises = pytest.raises(StreamTimeout)

    def __enter__(self):
        self._begun = time.perf_counter()
        self._caught = self._raises.__enter__()
        return self

    def __exit__(self, *error):
        seconds = time.perf_counter() - self._begun
        caught = self._raises.__exit__(*error)
        self.error = self._caught.value
        self.text = str(self.error)
        assert (self.error.activity, self.error.timeout) == (self.activity, self.timeout)
        assert self.timeout <= self.error.waited < self.timeout + MUCH_LATER
        assert seconds < self.timeout + MUCH_LATER
        return caught


# A server that is slow


def test_a_server_that_never_answers(fake):
    client = fake(lambda conversation: conversation.wait_until_client_leaves(), timeout=TIMEOUT)
    with Waited("opening") as waited:
        client.get("/")
    assert waited.error.stuck is None


def drip(data):
    """Send a byte now and then, more often than any timeout per byte would allow."""

    def answer(conversation):
        conversation.send(CHUNKED)
        pause = threading.Event()
        for byte in data:
            pause.wait(TIMEOUT / 10)  # is never set
            conversation.send(bytes([byte]))

    return answer


def test_a_server_that_drips_one_byte_at_a_time(fake):
    stream = fake(drip(b"1000\r\n" + b"x" * 4096)).get("/")
    stream.timeout = TIMEOUT
    with Waited("pull"):
        next(stream)
    assert (stream.state, stream.chunks, stream.wire.end) == ("timeout", [], None)


def test_a_server_that_drips_its_head(fake):
    def answer(conversation):
        pause = threading.Event()
        conversation.send(b"HTTP/1.1 200 OK\r\n")
        for _ in range(1000):
            pause.wait(TIMEOUT / 10)
            conversation.send(b"X: y\r\n")

    with Waited("opening"):
        fake(answer, timeout=TIMEOUT).get("/")


@pytest.mark.parametrize("sent", [b"", b"5", b"5\r\n", b"5\r\nab", b"5\r\nabcde", b"5\r\nabcde\r"])
def test_half_a_frame(fake, sent):
    def answer(conversation):
        conversation.send(CHUNKED + b"1\r\na\r\n" + sent)
        conversation.wait_until_client_leaves()

    stream = fake(answer).get("/")
    assert next(stream) == b"a"
    stream.timeout = TIMEOUT
    with Waited("pull"):
        next(stream)
    assert stream.chunks == [b"a"]


def test_a_body_that_stays_shorter_than_its_length(fake):
    def answer(conversation):
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        conversation.wait_until_client_leaves()

    stream = fake(answer).get("/")
    stream.timeout = TIMEOUT
    with Waited("pull"):
        stream.read()
    assert stream.chunks == [b"abc"]


# An app that is stuck


def test_a_stuck_view(open_client, gate):
    app = Flask("stuck")

    def helper():
        gate.wait()

    @app.get("/")
    def view():
        helper()
        return "late"

    client = open_client(app, timeout=TIMEOUT)
    with Waited("opening") as waited:
        client.get("/")
    assert "\n  note:    the server's thread is in\n" in waited.text
    assert waited.text.index("helper()") < waited.text.index("gate.wait()")


@pytest.mark.parametrize("where", ["view", "before the view"])
def test_a_stuck_coroutine(open_client, gate, where):
    pytest.importorskip("asgiref")
    app = Flask("stuck")

    async def wait():
        gate.wait()

    if where == "view":
        app.add_url_rule("/", "wait", wait)
    else:
        app.before_request(wait)
        app.add_url_rule("/", "view", lambda: "late")
    client = open_client(app, timeout=TIMEOUT)
    with Waited("opening") as waited:
        client.get("/")
    gate.open()
    if where == "view":
        assert waited.error.stuck.endswith("  async def wait():")
    else:
        assert waited.error.stuck is None


def test_a_stuck_generator(get, gate):
    def generate():
        yield "a"
        gate.wait()
        yield "b"

    stream = get(generate)
    assert next(stream) == b"a"
    stream.timeout = TIMEOUT
    with Waited("pull") as waited:
        next(stream)
    assert "\n  note:    the server's thread is in\n" in waited.text
    assert f"{Path(__file__).name}:" in waited.text
    assert "  gate.wait()\n" in waited.text
    assert (stream.state, stream.error) == ("timeout", waited.error)


def test_a_stuck_close(get, gate):
    def view():
        response = Response(iter(["a"]))
        response.call_on_close(gate.wait)
        return response

    stream = get(view)
    assert next(stream) == b"a"
    stream.timeout = TIMEOUT
    with Waited("closing") as waited:
        next(stream)
    assert "the server's thread is in" in waited.text


def test_an_app_that_gives_time_to_time_is_late_too(get, gates):
    """What was waited for chunks that did come is counted, too."""
    never = threading.Event()

    def generate():
        for number in range(1000):
            never.wait(TIMEOUT / 10)
            yield str(number)

    stream = get(generate)
    stream.timeout = TIMEOUT
    with Waited("pull"):
        stream.drain()
    assert stream.delivered < 15


# The setting


@pytest.mark.parametrize("off", [None, 0])
def test_without_a_timeout_there_is_no_limit(get, gate, off):
    def generate():
        yield "a"
        gate.wait()
        yield "b"

    stream = get(generate, timeout=off)
    next(stream)
    assert stream.timeout is None
    threading.Timer(TIMEOUT, gate.open).start()
    assert stream.read() == b"ab"


def test_it_may_be_changed_on_the_stream(get, gate):
    def generate():
        yield "a"
        gate.wait()

    stream = get(generate, timeout=None)
    next(stream)
    stream.timeout = TIMEOUT
    with Waited("pull"):
        next(stream)


def test_it_may_be_taken_off_the_stream(get, gate):
    def generate():
        yield "a"
        gate.wait()
        yield "b"

    stream = get(generate)
    next(stream)
    stream.timeout = TIMEOUT / 2
    stream.timeout = None
    threading.Timer(TIMEOUT * 2, gate.open).start()
    assert stream.read() == b"ab"


def test_the_time_of_the_test_is_not_counted(get):
    stream = get(lambda: iter("ab"))
    next(stream)
    stream.timeout = 1.0
    threading.Event().wait(1.2)
    assert next(stream) == b"b"


def test_start_waits_no_longer(get, gate):
    stream = get(lambda: iter(["a"]))
    stream.timeout = TIMEOUT
    with Waited("pull") as waited:
        stream.start(until=lambda: False)
    assert "start(until=…) never became true" in waited.text


# Afterwards


@pytest.fixture
def timed_out(get, gate):
    def generate():
        yield "a"
        gate.wait()
        yield "b"

    stream = get(generate)
    next(stream)
    stream.timeout = TIMEOUT
    with pytest.raises(StreamTimeout):
        next(stream)
    return stream


def test_nothing_more_is_read(timed_out):
    with pytest.raises(StreamClosed, match="the stream ended in a timeout"):
        next(timed_out)
    with pytest.raises(StreamTimeout):
        timed_out.read()
    timed_out.close()
    timed_out.disconnect()
    assert (timed_out.state, timed_out.chunks) == ("timeout", [b"a"])


def test_claims_raise_the_timeout(timed_out):
    with pytest.raises(StreamTimeout):
        timed_out.assert_complete()


def test_the_client_may_be_asked_again(open_client, gate):
    app = Flask("again")
    app.add_url_rule("/ok", "ok", lambda: iter("ab"))

    @app.get("/stuck")
    def stuck():
        gate.wait()
        return "late"

    client = open_client(app, timeout=TIMEOUT)
    with pytest.raises(StreamTimeout):
        client.get("/stuck")
    client.timeout = 20
    assert client.get("/ok").read() == b"ab"


def test_what_is_stuck_does_not_keep_the_end_of_the_test(server, gate):
    app = Flask("stuck")

    @app.get("/")
    def view():
        yield "a"
        gate.wait()

    client = LiveStreamClient(app, server=server)
    stream = client.get("/")
    next(stream)
    stream.timeout = TIMEOUT
    with pytest.raises(StreamTimeout):
        next(stream)
    threads = [thread for thread in threading.enumerate() if "pytest-flask-stream" in thread.name]
    begun = time.perf_counter()
    client.close()  # it was told of already, and is not told of again
    assert time.perf_counter() - begun < MUCH_LATER
    (stuck,) = [thread for thread in threads if thread.is_alive()]
    assert stuck.name.startswith(f"pytest-flask-stream {server} :")
    assert stuck.name.endswith(" request")
    assert stuck.daemon
    gate.open()
    stuck.join(20)
    assert not stuck.is_alive()


def test_nothing_is_left_once_it_is_let_go(server, gate):
    def open_files():
        gc.collect()
        return len(list(Path("/dev/fd").iterdir()))

    app = Flask("stuck")

    @app.get("/")
    def view():
        yield "a"
        gate.wait()
        yield "b"

    with LiveStreamClient(app, server=server) as warm:
        warm.get("/404").drain()
    before, threads = open_files(), set(threading.enumerate())
    client = LiveStreamClient(app, server=server)
    stream = client.get("/")
    next(stream)
    stream.timeout = TIMEOUT
    with pytest.raises(StreamTimeout):
        next(stream)
    client.close()
    gate.open()
    for thread in set(threading.enumerate()) - threads:
        thread.join(20)
    assert open_files() == before


def test_an_app_that_is_stuck_after_an_end_that_nobody_read_is_told_of(server, gate):
    """The client leaves, the app does not notice: that is told of where the client is closed."""
    app = Flask("stuck")

    @app.get("/")
    def view():
        yield "a"
        gate.wait()

    client = LiveStreamClient(app, server=server)
    next(stream := client.get("/"))
    client.timeout = stream.timeout = TIMEOUT
    with Waited("closing") as waited:
        client.close()
    assert "gate.wait()" in waited.text


def test_a_reader_in_another_thread_is_not_cut_short(get, gate):
    def generate():
        yield "a"
        gate.wait()
        yield "b"

    stream = get(generate)
    read = []
    reader = threading.Thread(target=lambda: read.extend(stream))
    reader.start()
    gate.open()
    reader.join(20)
    assert read == [b"a", b"b"]
