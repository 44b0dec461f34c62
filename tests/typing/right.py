"""What a typed suite may write; mypy accepts every line of it, and nothing here is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from flask import Flask
from flask.testing import FlaskClient
from typing_extensions import assert_type

from pytest_flask_stream import (
    ChunkRecord,
    ChunksNotKept,
    DecodeError,
    EndlessStream,
    LiveStreamClient,
    LiveStreamedResponse,
    MakeStreamClient,
    StreamClient,
    StreamClosed,
    StreamedResponse,
    StreamError,
    StreamRecord,
    StreamServerError,
    StreamSettings,
    StreamTimeout,
    StreamTruncated,
    Teardown,
    Wire,
)


def test_a_fixture_is_annotated_with_the_client(stream_client: StreamClient) -> None:
    assert_type(stream_client.get("/"), StreamedResponse)
    assert_type(stream_client.post("/", json={"a": 1}, headers={"A": "b"}), StreamedResponse)
    assert_type(stream_client.open("/", method="PUT", data=b""), StreamedResponse)
    assert_type(stream_client.get("/", follow_redirects=True).history[0].status_code, int)
    assert_type(stream_client.streams, list[StreamedResponse])
    assert_type(stream_client.flask_client, FlaskClient)
    stream_client.timeout = None
    stream_client.set_cookie("name", "value")
    with stream_client.session_transaction() as session:
        session["user"] = 1


def test_the_factory_is_annotated_with_the_protocol(
    make_stream_client: MakeStreamClient, app: Flask
) -> None:
    assert_type(make_stream_client(), StreamClient)
    assert_type(make_stream_client(app), StreamClient)
    assert_type(make_stream_client(app.test_client(), timeout=1, isolate=False), StreamClient)
    assert_type(make_stream_client(live=True), LiveStreamClient)
    assert_type(make_stream_client(app, live=True, timeout=1), LiveStreamClient)


def test_a_live_stream_has_a_wire(live_stream_client: LiveStreamClient, app: Flask) -> None:
    stream = live_stream_client.post("/", data={"a": "b"})
    assert_type(stream, LiveStreamedResponse)
    assert_type(stream.wire, Wire)
    assert_type(stream.wire.frames, int)
    assert_type(stream.wire.chunked, bool | None)
    assert stream.wire.end in ("clean", "truncated", "reset", "undelimited", None)
    stream.disconnect(reset=True)
    with LiveStreamClient(app, server="waitress", timeout=1) as client, client.get("/") as other:
        assert_type(client, LiveStreamClient)
        assert_type(other, LiveStreamedResponse)
    either: StreamClient = client
    either.get("/").disconnect()


def test_a_live_client_gives_live_responses(
    live_stream_client: LiveStreamClient, make_stream_client: MakeStreamClient, app: Flask
) -> None:
    assert_type(make_stream_client(live=True), LiveStreamClient)
    assert_type(make_stream_client(app.test_client(), live=True, timeout=1), LiveStreamClient)
    assert_type(make_stream_client(live=False), StreamClient)
    assert_type(live_stream_client.get("/"), LiveStreamedResponse)
    assert_type(live_stream_client.open("/", method="PUT", data=b""), LiveStreamedResponse)
    assert_type(live_stream_client.streams, list[StreamedResponse])
    client: StreamClient = live_stream_client
    assert_type(client.get("/"), StreamedResponse)
    with LiveStreamClient(app, server="waitress", timeout=1) as own:
        own.get("/").drain()


def test_what_came_out_of_the_socket(live_stream_client: LiveStreamClient) -> None:
    stream = live_stream_client.get("/")
    wire: Wire = stream.wire
    assert_type(wire.http_version, str | None)
    assert_type(wire.chunked, bool | None)
    assert_type(wire.frames, int)
    assert_type(wire.head_sent_first, bool | None)
    assert wire.end in ("clean", "truncated", "reset", "undelimited", None)
    stream.disconnect(reset=True)


def test_settings_are_keywords(app: Flask) -> None:
    settings: StreamSettings = {"timeout": 0.5, "max_chunks": 10, "keep_bytes": 0, "isolate": True}
    with StreamClient(app, **settings) as client:
        assert_type(client, StreamClient)
    StreamClient(app, timeout=None)


def test_a_stream_is_an_iterator_of_bytes(stream_client: StreamClient) -> None:
    with stream_client.get("/") as stream:
        assert_type(next(stream), bytes)
        for chunk in stream:
            assert_type(chunk, bytes)
        chunks: Iterator[bytes] = stream
        assert_type(b"".join(chunks), bytes)
    assert_type(stream.take(2), list[bytes])
    assert_type(stream.take_until("end"), list[bytes])
    assert_type(stream.take_until(lambda chunk: chunk.endswith(b"\n")), list[bytes])
    assert_type(stream.chunks, list[bytes])
    assert_type(stream.read(), bytes)
    assert_type(stream.read_text(), str)
    assert_type(stream.produced, int)
    assert_type(stream.delivered, int)
    assert_type(stream.streamed, bool | None)
    assert_type(stream.error, BaseException | None)
    assert_type(stream.status_code, int)
    assert_type(stream.headers["Content-Type"], str)
    until: Callable[[], bool] = bool
    stream.start(until)
    stream.timeout = 2
    assert stream.state == "closed"


def test_claims_take_and_give_what_they_say(stream_client: StreamClient) -> None:
    stream = stream_client.get("/")
    stream.assert_streamed()
    stream.assert_lazy(read_ahead=1)
    stream.assert_chunk_count(2)
    stream.assert_chunk_count(at_least=1, at_most=3)
    stream.assert_chunks([b"bytes", "text"])
    stream.assert_order(b"bytes", "text")
    stream.assert_complete()
    stream.assert_template_buffering(5)
    stream.assert_request_context()
    assert_type(stream.assert_context_error("app", after=1), RuntimeError)
    assert_type(stream.assert_raises(KeyError, after=1, match="x"), KeyError)
    assert_type(stream.assert_raises(OSError).errno, int | None)


def test_the_record_is_read(stream_client: StreamClient) -> None:
    record = stream_client.get("/").record
    assert_type(record, StreamRecord)
    assert_type(record.chunks, Sequence[ChunkRecord])
    assert_type(record.chunks[0].size, int)
    assert_type(record.chunks[0].waited, float)
    assert_type(record.teardowns, list[Teardown])
    assert_type(record.teardowns[0].delivered, int)
    assert_type(record.transcript(times=False), str)


def test_errors_are_caught_by_their_root_and_carry_their_evidence(
    stream_client: StreamClient,
) -> None:
    root: type[StreamError]
    for root in (
        ChunksNotKept,
        DecodeError,
        EndlessStream,
        StreamClosed,
        StreamServerError,
        StreamTimeout,
        StreamTruncated,
    ):
        with pytest.raises(root):
            stream_client.get("/").drain()
    with pytest.raises(StreamTimeout) as caught:
        stream_client.get("/").read()
    assert_type(caught.value.waited, float)
    assert_type(caught.value.stuck, str | None)
