from __future__ import annotations

import copy
import dataclasses
import json
import re

import pytest
from decoder_tools import check, decode, in_alphabet, random_cuts
from hypothesis import given, settings

from pytest_flask_stream.decoders import ServerSentEvent, SSEDecoder


def event(
    data: str, kind: str = "message", last_id: str = "", retry: int | None = None
) -> ServerSentEvent:
    return ServerSentEvent(kind, data, last_id, retry)


def interpret(body: bytes) -> list[ServerSentEvent]:
    """The specification's own steps, over the whole body, one line at a time."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    events: list[ServerSentEvent] = []
    data = kind = last_id = ""
    retry = None
    for line in re.split("\r\n|\r|\n", text)[:-1]:
        if not line:
            if data:
                events.append(event(data[:-1], kind or "message", last_id, retry))
            data, kind, retry = "", "", None
            continue
        if line[0] == ":":
            continue
        field, value = line, ""
        if ":" in line:
            field, value = line.split(":", 1)
            value = value[1:] if value.startswith(" ") else value
        if field == "event":
            kind = value
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            last_id = value
        elif field == "retry" and re.fullmatch("[0-9]+", value):
            retry = int(value)
    return events


@pytest.mark.parametrize(
    ("body", "events"),
    [
        # Blocks and their ends
        ("", []),
        ("data: a\n\n", [event("a")]),
        ("data: a\n\ndata: b\n\n", [event("a"), event("b")]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", [event("a"), event("b")]),
        ("data: a\r\rdata: b\r\r", [event("a"), event("b")]),
        ("data: a\n\r\ndata: b\r\n\ndata: c\r\n\r", [event("a"), event("b"), event("c")]),
        ("\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [event("a"), event("b")]),
        ("data: a\n", []),
        ("data: a\n\ndata: b\n", [event("a")]),
        ("data: a\n\ndata: b", [event("a")]),
        ("\r\ndata: a\r\n\r\n", [event("a")]),
        # Data
        ("data: a\ndata: b\n\n", [event("a\nb")]),
        ("data\n\n", [event("")]),
        ("data:\n\n", [event("")]),
        ("data: \n\n", [event("")]),
        ("data\ndata\n\n", [event("\n")]),
        ("data: a\ndata:\ndata: b\n\n", [event("a\n\nb")]),
        ("data:a\n\ndata:  a\n\ndata:\ta\n\n", [event("a"), event(" a"), event("\ta")]),
        ("data: a: b:c\n\n", [event("a: b:c")]),
        ("data: \0a\n\n", [event("\0a")]),
        ("data: a\u2028b\u2029c\x85d\x0be\x0cf\n\n", [event("a\u2028b\u2029c\x85d\x0be\x0cf")]),
        ("data: é€😀\n\n", [event("é€😀")]),
        # Comments and unknown fields
        (": comment\n\n:\n\ndata: a\n\n", [event("a")]),
        ("data: a\n: comment\ndata: b\n\n", [event("a\nb")]),
        ("foo: a\ndatax: a\n data: a\nDATA: a\n\n", []),
        ("data : a\n\n", []),
        # Event types
        ("event: e\ndata: a\n\ndata: b\n\n", [event("a", "e"), event("b")]),
        ("event: e\n\ndata: a\n\n", [event("a")]),
        ("event: e\nevent: f\ndata: a\n\n", [event("a", "f")]),
        ("event: e\nevent\ndata: a\n\n", [event("a")]),
        ("event: \u00a0\ndata: a\n\n", [event("a", "\u00a0")]),
        # IDs
        ("id: 1\ndata: a\n\ndata: b\n\n", [event("a", last_id="1"), event("b", last_id="1")]),
        ("id: 1\n\ndata: a\n\n", [event("a", last_id="1")]),
        ("id: 1\ndata: a\n\nid\ndata: b\n\n", [event("a", last_id="1"), event("b")]),
        ("id: 1\nid: 2\0\ndata: a\n\n", [event("a", last_id="1")]),
        # Retry
        ("retry: 10\ndata: a\n\ndata: b\n\n", [event("a", retry=10), event("b")]),
        ("retry: 10\n\ndata: a\n\n", [event("a")]),
        ("retry: 1x\nretry: -1\nretry: 1.5\nretry:\nretry:  1\ndata: a\n\n", [event("a")]),
        ("retry: ٣\nretry: ²\ndata: a\n\n", [event("a")]),
        ("retry: 007\ndata: a\n\n", [event("a", retry=7)]),
        # Byte order mark
        ("\ufeffdata: a\n\n", [event("a")]),
        ("\ufeff\ufeffdata: a\n\n", []),
        ("data: a\n\n\ufeffdata: b\n\n", [event("a")]),
        ("data: \ufeffa\n\n", [event("\ufeffa")]),
    ],
)
def test_events(body: str, events: list[ServerSentEvent]) -> None:
    check(SSEDecoder, body.encode(), events)


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b"data: a\xffb\n\n", "a\ufffdb"),
        (b"data: \xe2\x82\n\n", "\ufffd"),
        (b"data: \xed\xa0\x80\n\n", "\ufffd" * 3),
        (b"data: \xf0\x9f\x98(\n\n", "\ufffd("),
        (b"data: \xe2\x82\xe2\x82\xac\n\n", "\ufffd€"),
    ],
)
def test_bytes_that_are_not_utf_8_are_replaced(body: bytes, data: str) -> None:
    check(SSEDecoder, body, [event(data)])


words = in_alphabet(
    b"data", b"event", b"id", b"retry", b":", b": ", b"x", b"1", b"\n", b"\n", b"\r", b"\r\n",
    b"\n\n", b"\0", b"\xef\xbb\xbf", b"\xe2\x82", b"\xac", b"data: y\n",
)  # fmt: skip


@settings(max_examples=300)
@given(random_cuts(words))
def test_equals_the_steps_of_the_specification(chunks: list[bytes]) -> None:
    assert decode(SSEDecoder(), chunks) == interpret(b"".join(chunks))


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: a\n\n", b"data: b\n\n", b"data: c\n\n"],
        [b"data: a\n\n", b"data: b", b"data: c\n\n", b"data: d\n\n"],
        [b"data: a\n\n", b"data: b\n", b"data: c\n\n"],
        [b"data: a\n\n", b"data: b\rdata: c\n\n"],
        [b"data: a\n\n", b"data: \r\n\n"],
        [b"data: a\n\n", b"data: b\n\nx\n\n"],
        [b"data: a\r\r", b"\ndata: b\n\n"],
        [b"data: a\n\n\xe2", b"data: b\n\n", b"data: c\n\n"],
        [b"data: a\n\n", b"data: \xe2\x82\n\n", b"data: \xe2\x82\xac\n\n"],
        [b"\xef\xbb\xbf", b"data: a\n\n"],
        [b"id: 1\ndata: a\n\n", b"data: b\n\n"],
        [b"event: e\n\n", b"data: b\n\n", b"retry: 5\n\n", b"data: c\n\n"],
    ],
)
def test_a_chunk_that_looks_like_a_whole_block(chunks: list[bytes]) -> None:
    assert decode(SSEDecoder(), chunks) == interpret(b"".join(chunks))


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r"])
def test_an_event_is_given_with_the_byte_that_ends_its_block(end: bytes) -> None:
    decoder = SSEDecoder()
    assert list(decoder.feed(b"data: a" + end[:-1])) == []
    assert list(decoder.feed(end[-1:])) == [event("a")]
    assert list(decoder.feed(b"\ndata: b\n\n")) == [event("b")]


def test_a_number_too_long_to_be_one_is_ignored() -> None:
    body = b"retry: " + b"9" * 100_000 + b"\ndata: a\n\n"
    assert decode(SSEDecoder(), [body]) == [event("a")]


def test_what_waits_is_not_joined_before_its_block_ends() -> None:
    decoder = SSEDecoder()
    pieces = ["data: ", *["x"] * 1000, "\n", "data", ":", "y", "\n"]
    for piece in pieces:
        assert list(decoder.feed(piece.encode())) == []
    assert decoder._parts == pieces
    assert list(decoder.feed(b"\n")) == [event("x" * 1000 + "\ny")]
    assert decoder._parts == [""]


def test_ten_megabytes_in_one_field() -> None:
    chunks = [b"data: ", *[b"x" * 1000] * 10_000, b"\n\n"]
    (found,) = decode(SSEDecoder(), chunks)
    assert len(found.data) == 10_000_000


class TestServerSentEvent:
    def test_defaults(self) -> None:
        found = ServerSentEvent(data="x")
        assert (found.event, found.data, found.id, found.retry) == ("message", "x", "", None)

    def test_is_a_plain_frozen_value(self) -> None:
        found = ServerSentEvent("e", "d", "1", 5)
        assert found == copy.deepcopy(found)
        assert hash(found) == hash(ServerSentEvent("e", "d", "1", 5))
        assert found != ServerSentEvent("e", "d", "2", 5)
        assert dataclasses.replace(found, id="2").id == "2"
        assert repr(found) == "ServerSentEvent(event='e', data='d', id='1', retry=5)"
        with pytest.raises(dataclasses.FrozenInstanceError):
            found.data = "x"  # type: ignore[misc]

    def test_json(self) -> None:
        assert ServerSentEvent(data='{"a":\n[1]}').json() == {"a": [1]}
        with pytest.raises(json.JSONDecodeError, match=r"data '\[DONE' is not JSON: Expecting"):
            ServerSentEvent(data="[DONE").json()
