"""Streams that take their time, break, or never end."""

import time

import pytest
from streaming_app import create_app
from streaming_app.live import RowError

from pytest_flask_stream import EndlessStream, StreamClient, StreamTimeout

# Slow


def test_a_pause_is_made_before_each_chunk(in_process, pauses):
    stream = in_process.get("/countdown")
    assert pauses == []
    assert stream.take(2) == [b"10\n", b"9\n"]
    assert pauses == [1.0, 1.0]


def test_the_countdown_is_sent_number_by_number(stream_client):
    stream = stream_client.get("/countdown")
    stream.assert_streamed()
    stream.assert_lazy()
    stream.assert_chunk_count(10)
    stream.assert_order("10", "5", "1")
    stream.assert_complete()


def test_how_long_each_chunk_was_waited_for_is_on_record(make_stream_client):
    app = create_app(sleep=lambda seconds: time.sleep(seconds / 50))
    stream = make_stream_client(app).get("/countdown")
    stream.take(3)
    assert all(chunk.waited >= 0.019 for chunk in stream.record.chunks)


# Broken


def test_an_error_comes_after_the_chunks_that_were_sent(stream_client):
    stream = stream_client.get("/report")
    error = stream.assert_raises(RowError, after=3, match="row 3")
    assert stream.error is error
    assert stream.state == "failed"


def test_the_client_of_a_broken_stream_has_seen_a_200(stream_client):
    stream = stream_client.get("/report")
    with pytest.raises(RowError):
        stream.read()
    assert stream.status_code == 200
    assert stream.chunks == [b"title\n", b"first\n", b"second\n"]


def test_a_broken_stream_is_not_complete(stream_client):
    with pytest.raises(AssertionError) as told:
        stream_client.get("/report").assert_complete()
    assert isinstance(told.value.__cause__, RowError)


# Endless


def test_an_endless_stream_is_streamed(stream_client):
    stream = stream_client.get("/clock")
    assert stream.mimetype == "text/event-stream"
    stream.assert_streamed()
    stream.assert_chunk_count(at_least=3)
    stream.assert_order("data: 0", "data: 1", "data: 2")


def test_of_an_endless_stream_take_what_you_need(stream_client):
    stream = stream_client.get("/clock")
    assert len(stream.take_until("data: 2")) == 3
    stream.disconnect()
    stream.assert_lazy()
    stream.assert_chunk_count(3)


@pytest.mark.flask_stream(max_chunks=50)
def test_an_endless_stream_cannot_be_read_to_its_end(stream_client):
    stream = stream_client.get("/clock")
    with pytest.raises(EndlessStream):
        stream.drain()
    assert stream.state == "open"


# Endless, and silent until something happens


def listen(client, hub):
    """Open an event stream and wait until it is subscribed, which its first pull does."""
    subscribers = hub.subscribers
    stream = client.get("/events")
    stream.start(until=lambda: hub.subscribers == subscribers + 1)
    return stream


def test_nobody_is_subscribed_before_the_first_pull(in_process, hub):
    in_process.get("/events")
    assert hub.subscribers == 0


def test_an_event_is_passed_on_as_it_happens(stream_client, hub):
    stream = listen(stream_client, hub)
    events = stream.iter_sse()  # without the comments that are sent meanwhile
    hub.publish("ada came")
    assert next(events).data == "ada came"
    hub.publish("bob came")
    assert next(events).data == "bob came"
    stream.assert_streamed()


def test_an_event_reaches_everybody(stream_client, hub):
    streams = [listen(stream_client, hub) for _ in range(3)]
    hub.publish("ada came")
    assert [next(stream.iter_sse()).data for stream in streams] == ["ada came"] * 3


def test_a_client_that_leaves_is_unsubscribed(stream_client, hub):
    stream = listen(stream_client, hub)
    hub.publish("ada came")
    stream.take_until("ada came")
    assert hub.subscribers == 1
    stream.disconnect()
    assert hub.subscribers == 0
    assert [event.data for event in stream.iter_sse()] == ["ada came"]


def test_a_client_that_leaves_does_not_take_the_others_along(stream_client, hub):
    ada, bob = listen(stream_client, hub), listen(stream_client, hub)
    hub.publish("one")
    ada.disconnect()
    assert hub.subscribers == 1
    hub.publish("two")
    bob.take_until("two")
    bob.assert_order("data: one\n\n", "data: two\n\n")


def test_a_client_that_leaves_before_anything_was_read_leaves_nothing(stream_client, hub):
    stream = stream_client.get("/events")
    stream.disconnect()
    assert stream.state == "closed"
    assert hub.subscribers == 0


def test_streams_that_a_test_leaves_open_are_closed_with_their_client(app, hub):
    with StreamClient(app) as client:
        listen(client, hub)
        listen(client, hub)
        hub.publish("the lights go out")
    assert hub.subscribers == 0


@pytest.mark.flask_stream(timeout=0.5)
def test_a_stream_of_which_nothing_comes_does_not_hang_the_test(stream_client):
    stream = stream_client.get("/events")
    with pytest.raises(StreamTimeout):
        next(stream.iter_sse())
    assert stream.state == "timeout"


def test_a_generator_that_keeps_the_test_waiting_is_ended(in_process, hub):
    stream = in_process.get("/events")
    with pytest.raises(StreamTimeout):
        stream.take_until("never")
    assert hub.subscribers == 0
