"""What a typed suite may not write.

mypy finds a mistake in every line that has an ignore, of the kind that the ignore names; an ignore
that is not needed is an error too. Nothing here is run.
"""

from __future__ import annotations

from flask import Flask

from pytest_flask_stream import (
    LiveStreamClient,
    LiveStreamedResponse,
    MakeStreamClient,
    StreamClient,
    StreamedResponse,
    StreamSettings,
)


def settings_are_known_and_of_their_type(app: Flask, make: MakeStreamClient) -> None:
    StreamClient(app, time_out=1)  # type: ignore[call-arg]
    StreamClient(app, timeout="1")  # type: ignore[arg-type]
    make(app, max_chunk=1)  # type: ignore[call-overload]
    make(keep_bytes=None)  # type: ignore[call-overload]
    settings: StreamSettings = {"buffered": True}  # type: ignore[typeddict-unknown-key]
    StreamClient(app, **settings).isolate = None  # type: ignore[assignment]


def an_app_is_a_flask_app(make: MakeStreamClient) -> None:
    StreamClient()  # type: ignore[call-arg]
    StreamClient("app")  # type: ignore[arg-type]
    make(object())  # type: ignore[call-overload]


def a_request_takes_what_flask_takes(client: StreamClient) -> None:
    client.get("/", buffered=True)  # type: ignore[call-arg]
    client.post("/", jsn={})  # type: ignore[call-arg]


def a_stream_gives_bytes(stream: StreamedResponse) -> None:
    chunk: str = next(stream)  # type: ignore[assignment]
    for chunk in stream:  # type: ignore[assignment]
        print(chunk)
    stream.take_until(1)  # type: ignore[arg-type]
    stream.take("2")  # type: ignore[arg-type]


def facts_are_read_only(stream: StreamedResponse) -> None:
    stream.produced = 1  # type: ignore[misc]
    stream.record.produced = 1  # type: ignore[misc]
    assert stream.state == "ended"  # type: ignore[comparison-overlap]


def only_a_live_stream_is_reset(client: StreamClient, stream: StreamedResponse) -> None:
    stream.disconnect(reset=True)  # type: ignore[call-arg]
    live: LiveStreamedResponse = client.get("/")  # type: ignore[assignment]
    live.wire.frames = 1  # type: ignore[misc]
    assert live.wire.end == "cut"  # type: ignore[comparison-overlap]


def a_server_is_named(app: Flask, make: MakeStreamClient) -> None:
    LiveStreamClient(app, server=80)  # type: ignore[arg-type]
    LiveStreamClient(app, port=80)  # type: ignore[call-arg]
    make(live="yes")  # type: ignore[call-overload]


def claims_take_what_they_say(stream: StreamedResponse) -> None:
    stream.assert_lazy(1)  # type: ignore[call-arg]
    stream.assert_chunks([1])  # type: ignore[list-item]
    stream.assert_context_error("session")  # type: ignore[arg-type]
    stream.assert_raises("KeyError")  # type: ignore[arg-type]
    error: OSError = stream.assert_raises(KeyError)  # type: ignore[assignment]
    raise error
