"""What came out of the socket: frames, versions, ends; and leaving before the end."""

from __future__ import annotations

import gc
import itertools
import select
import threading
import weakref

import flask
import pytest
from flask import Flask, Response, request

from pytest_flask_stream import (
    LiveStreamClient,
    StreamClosed,
    StreamServerError,
    StreamTimeout,
    StreamTruncated,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TWO_FRAMES = b"1\r\na\r\n2\r\nbc\r\n"


@pytest.fixture
def endless(get):
    """``endless(**settings)`` opens a stream without an end that tells how it was closed."""

    def endless(**settings):
        closed = []

        def generate():
            try:
                for number in itertools.count():
                    yield f"{number}\n"
            except GeneratorExit:
                closed.append("GeneratorExit")
                raise
            finally:
                closed.append("finally")

        stream = get(generate, **settings)
        stream.closed = closed
        return stream

    return endless


# Facts of a real server


def test_a_chunk_is_a_frame(get):
    stream = get(lambda: iter(["a", "bc", "def"]))
    assert list(stream) == [b"a", b"bc", b"def"]
    wire = stream.wire
    assert (wire.http_version, wire.chunked, wire.frames, wire.end) == ("1.1", True, 3, "clean")
    assert repr(wire) == "<Wire HTTP/1.1 chunked: 3 frames, clean>"


def test_a_body_with_a_length_has_no_frames(get):
    stream = get(lambda: "abc")
    assert stream.read() == b"abc"
    wire = stream.wire
    assert (wire.http_version, wire.chunked, wire.frames, wire.end) == ("1.1", False, 0, "clean")
    assert repr(wire) == "<Wire HTTP/1.1 not chunked: 0 frames, clean>"


def test_nothing_is_known_before_the_head_has_come(get, gate):
    def generate():
        gate.wait()
        yield "a"

    stream = get(generate)
    wire = stream.wire
    known = (wire.http_version, wire.chunked, wire.frames, wire.head_sent_first, wire.end)
    assert known == (None, None, 0, None, None)
    assert repr(wire) == "<Wire no head yet: 0 frames, no end>"
    gate.open()
    assert stream.read() == b"a"
    assert wire.http_version == "1.1"


def test_the_frames_are_counted_as_they_are_read(get, gates):
    read = [gates(), gates()]

    def generate():
        yield "a"
        read[0].wait()
        yield "b"
        read[1].wait()

    stream = get(generate)
    next(stream)
    assert (stream.wire.frames, stream.wire.end) == (1, None)
    assert repr(stream.wire) == "<Wire HTTP/1.1 chunked: 1 frame, no end>"
    read[0].open()
    next(stream)
    assert (stream.wire.frames, stream.wire.end) == (2, None)
    read[1].open()
    assert list(stream) == []
    assert (stream.wire.frames, stream.wire.end) == (2, "clean")


def test_both_servers_send_the_head_with_the_first_chunk(get):
    stream = get(lambda: iter(["a", "b"]))
    stream.drain()
    assert stream.wire.head_sent_first is False


def test_a_generator_that_fails_leaves_the_final_frame_out(get):
    def generate():
        yield "a"
        yield "b"
        raise LookupError("no row")

    stream = get(generate)
    assert stream.take(2) == [b"a", b"b"]
    with pytest.raises(LookupError, match="no row"):
        next(stream)
    assert (stream.wire.end, stream.wire.frames) == ("truncated", 2)


def test_a_body_that_is_shorter_than_its_length_is_truncated(get):
    stream = get(lambda: Response(iter(["abc"]), headers={"Content-Length": "10"}))
    with pytest.raises(StreamTruncated, match="3 bytes came, Content-Length: 10") as caught:
        stream.read()
    assert caught.value.end == "truncated"
    assert (stream.wire.end, stream.state, stream.error) == ("truncated", "failed", caught.value)
    assert stream.chunks == [b"abc"]


# Facts of any server, as a faked one shows them


def test_a_clean_end(fake):
    stream = fake(CHUNKED + TWO_FRAMES + b"0\r\n\r\n").get("/")
    assert list(stream) == [b"a", b"bc"]
    assert (stream.wire.end, stream.state) == ("clean", "exhausted")


def test_the_end_of_the_connection_between_two_frames_is_a_truncation(fake):
    stream = fake(CHUNKED + TWO_FRAMES).get("/")
    assert stream.take(2) == [b"a", b"bc"]
    with pytest.raises(
        StreamTruncated, match=r"cut off on the wire \(truncated\): 2 chunks"
    ) as got:
        next(stream)
    assert (got.value.end, stream.wire.end, stream.state) == ("truncated", "truncated", "failed")


def test_a_frame_that_is_cut_off_is_no_chunk(fake):
    stream = fake(CHUNKED + b"1\r\na\r\n5\r\nbcd").get("/")
    with pytest.raises(StreamTruncated, match="1 chunk came whole, and 3 bytes of another"):
        stream.drain()
    assert (stream.chunks, stream.wire.frames) == ([b"a"], 1)


def test_a_reset_is_told_from_a_truncation(fake, gate):
    def answer(conversation):
        conversation.send(CHUNKED + TWO_FRAMES)
        gate.wait()
        conversation.reset()

    stream = fake(answer).get("/")
    assert stream.take(2) == [b"a", b"bc"]
    gate.open()
    with pytest.raises(StreamTruncated, match=r"cut off on the wire \(reset\)") as caught:
        next(stream)
    assert (caught.value.end, stream.wire.end) == ("reset", "reset")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_body_that_only_the_connection_ends_is_undelimited(fake, version):
    stream = fake(f"HTTP/{version} 200 OK\r\n\r\nabc".encode()).get("/")
    assert stream.read() == b"abc"
    wire = stream.wire
    assert (wire.end, wire.chunked, wire.frames) == ("undelimited", False, 0)
    assert wire.http_version == version
    assert stream.state == "exhausted"
    assert repr(wire) == f"<Wire HTTP/{version} not chunked: 0 frames, undelimited>"


def test_a_reset_of_an_undelimited_body_is_a_reset(fake, gate):
    def answer(conversation):
        conversation.send(b"HTTP/1.0 200 OK\r\n\r\nabc")
        gate.wait()
        conversation.reset()

    stream = fake(answer).get("/")
    assert next(stream) == b"abc"
    gate.open()
    with pytest.raises(StreamTruncated, match=r"cut off on the wire \(reset\)"):
        next(stream)
    assert stream.wire.end == "reset"


def test_a_head_that_is_sent_first_is_seen(fake, gate):
    def answer(conversation):
        conversation.send(CHUNKED)
        gate.wait()
        conversation.send(TWO_FRAMES + b"0\r\n\r\n")

    stream = fake(answer).get("/")
    assert (stream.status_code, stream.wire.chunked, stream.wire.frames) == (200, True, 0)
    assert stream.wire.head_sent_first is True
    gate.open()
    assert stream.read() == b"abc"


def test_responses_with_a_1xx_status_are_passed_over(fake):
    stream = fake(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + CHUNKED + b"0\r\n\r\n").get(
        "/"
    )
    assert (stream.status_code, stream.read()) == (200, b"")


def test_trailers_are_no_part_of_the_body(fake):
    stream = fake(CHUNKED + TWO_FRAMES + b"0\r\nX-Sum: 3\r\n\r\n").get("/")
    assert (stream.read(), stream.wire.end) == (b"abc", "clean")


# Hostile bytes


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "a response that does not begin with HTTP/: b'SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, "a head of more than 256 KiB"),
        (b"HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n", "a head that is no HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
            "a Transfer-Encoding together with Content-Length: 3",
        ),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "101 Switching Protocols"),
    ],
)
def test_what_is_no_response_is_a_clear_error(fake, sent, seen):
    client = fake(sent)
    with pytest.raises(StreamServerError) as caught:
        client.get("/")
    assert str(caught.value).startswith(f"what came over the wire is no HTTP response: {seen}")


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"xyz\r\n", "a chunk size that is no hexadecimal number: b'xyz'"),
        (b"FFFFFFFFFFFFFFFF\r\n", "a frame that announces 18446744073709551615 bytes"),
        (b"1\r\nab\r\n", "no CRLF behind a frame of 1 bytes, but b'b"),
        (b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "19 bytes behind the end of the response"),
    ],
)
def test_what_is_no_body_is_a_clear_error(fake, sent, seen):
    stream = fake(CHUNKED + TWO_FRAMES + sent).get("/")
    assert stream.take(2) == [b"a", b"bc"]
    with pytest.raises(StreamServerError) as caught:
        next(stream)
    assert str(caught.value).startswith(f"what came over the wire is no HTTP response: {seen}")
    assert (stream.state, stream.error, stream.wire.end) == ("failed", caught.value, None)


def test_a_server_that_closes_without_an_answer_is_a_clear_error(fake):
    client = fake(b"")
    with pytest.raises(StreamServerError, match="closed the connection without an answer"):
        client.get("/")


def test_half_a_head_is_a_clear_error(fake):
    client = fake(b"HTTP/1.1 200 OK\r\nContent-")
    with pytest.raises(StreamServerError, match="closed the connection without an answer"):
        client.get("/")


# Leaving


@pytest.mark.parametrize("reset", [False, True])
def test_the_app_is_closed_when_disconnect_returns(endless, reset):
    stream = endless()
    assert stream.take(3) == [b"0\n", b"1\n", b"2\n"]
    stream.disconnect(reset=reset)
    assert stream.closed == ["GeneratorExit", "finally"]
    assert (stream.state, stream.error, stream.wire.end) == ("closed", None, None)
    with pytest.raises(StreamClosed, match="the client has disconnected"):
        next(stream)


@pytest.mark.parametrize("reset", [False, True])
def test_leaving_before_the_first_chunk_was_read(endless, reset):
    stream = endless()
    stream.disconnect(reset=reset)
    assert stream.closed == ["GeneratorExit", "finally"]
    assert (stream.delivered, stream.state) == (0, "closed")


def test_a_reset_is_noticed_with_the_next_chunk(opened):
    app = Flask("notices")

    def view():
        connection = request.environ["werkzeug.socket"]

        def generate():
            yield "a"
            assert select.select([connection], [], [], 20)[0], "the client has not left"
            for number in itertools.count():
                yield str(number)

        return generate()

    app.add_url_rule("/", "view", view)
    stream = opened.enter_context(LiveStreamClient(app)).get("/")
    next(stream)
    stream.disconnect(reset=True)
    assert stream.produced == 2


def test_waitress_notices_soon_though_the_app_never_pauses(opened, gate):
    """Its loop needs a lock that an app in a hurry hardly ever lets go of."""
    app = Flask("in_a_hurry")

    @app.get("/")
    def view():
        for number in itertools.count():
            if number == 6000:  # more than fits into the sockets and into its memory
                gate.open()
            yield b"x" * 1000

    stream = opened.enter_context(LiveStreamClient(app, server="waitress")).get("/")
    gate.wait()
    before = stream.produced
    stream.disconnect()
    assert stream.produced - before < 1000  # some 5; several thousand where it gets no turn


def test_leaving_twice_is_harmless(endless):
    stream = endless()
    stream.disconnect()
    stream.disconnect(reset=True)
    stream.close()
    assert stream.closed == ["GeneratorExit", "finally"]


def test_a_with_block_leaves_at_its_end(endless):
    with endless() as stream:
        next(stream)
    assert stream.closed == ["GeneratorExit", "finally"]


def test_leaving_after_the_end_changes_nothing(get):
    stream = get(lambda: iter(["a"]))
    stream.drain()
    stream.disconnect()
    assert (stream.state, stream.wire.end) == ("exhausted", "clean")


def test_claims_hold_of_an_endless_stream_that_was_left(endless):
    stream = endless()
    stream.take(3)
    stream.disconnect()
    stream.assert_chunk_count(3)
    stream.assert_chunks(["0\n", "1\n", "2\n"])
    stream.assert_order("0", "1")
    stream.assert_streamed()


def test_a_generator_that_is_idle_does_not_notice(get, gate):
    def generate():
        yield "a"
        gate.wait()
        yield "b"

    stream = get(generate)
    next(stream)
    stream.timeout = 0.3
    with pytest.raises(StreamTimeout) as caught:
        stream.disconnect()
    error = caught.value
    assert (error.activity, error.timeout) == ("closing", 0.3)
    assert "note:    a generator that does not yield does not notice that its client" in str(error)
    assert "gate.wait()" in str(error)
    assert stream.state == "timeout"
    with pytest.raises(StreamClosed, match="the stream ended in a timeout"):
        next(stream)


def test_what_close_raises_after_leaving_is_raised_there(get):
    def view():
        response = Response(str(number) for number in itertools.count())

        @response.call_on_close
        def fail():
            raise LookupError("close failed")

        return response

    stream = get(view)
    next(stream)
    with pytest.raises(LookupError, match="close failed"):
        stream.disconnect()
    assert stream.state == "closed"


def test_what_the_app_does_at_leaving_is_on_record(get):
    def view():
        return flask.stream_with_context(str(number) for number in itertools.count())

    stream = get(view)
    next(stream)
    stream.disconnect()
    assert stream.record.teardowns[-1].delivered == len(stream.record.chunks)
    stream.assert_cleaned_up()


# Garbage


def test_a_client_that_is_dropped_leaves_nothing(server):
    app = Flask("dropped")
    closed = threading.Event()

    def generate():
        try:
            for number in itertools.count():
                yield str(number)
        finally:
            closed.set()

    app.add_url_rule("/", "view", generate)
    client = LiveStreamClient(app, server=server)
    stream = client.get("/")
    next(stream)
    gone = weakref.ref(client)
    del client, stream
    gc.collect()
    assert gone() is None
    assert closed.is_set()


def test_a_stream_keeps_its_client_and_the_server(server):
    app = Flask("dropped")
    app.add_url_rule("/", "view", lambda: iter("abc"))
    client = LiveStreamClient(app, server=server)
    stream = client.get("/")
    del client
    gc.collect()
    assert stream.read() == b"abc"
    del stream
    gc.collect()
