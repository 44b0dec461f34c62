from __future__ import annotations

import gc
import re
import time
import tracemalloc
import weakref
from collections.abc import Iterable, Iterator
from itertools import pairwise, repeat
from typing import Any, NamedTuple

import h11
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_flask_stream.live.wire_reader import (
    MAX_FRAME,
    MAX_HEAD,
    MAX_INTERIM,
    NEED_DATA,
    BadWire,
    End,
    Frame,
    Head,
    WireReader,
)

HOST = [("Host", "localhost")]
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH_5 = OK + b"Content-Length: 5\r\n\r\n"
EOF = b""


class Seen(NamedTuple):
    """An exchange in short: bytes without frames are one, whatever was refused is "bad"."""

    status: int | None
    frames: list[bytes]
    end: str
    partial: bytes = b""
    trailers: list[tuple[str, str]] = []  # noqa: RUF012 (never changed)


def reader(method: str = "GET") -> WireReader:
    return WireReader(method, "/", HOST)


def feed_all(wire_reader: WireReader, pieces: Iterable[bytes]) -> Iterator[Any]:
    """Give every event, and the BadWire in its place as the last."""
    try:
        for piece in pieces:
            wire_reader.feed(piece)
            while (event := wire_reader.next_event()) is not NEED_DATA:
                yield event
                if isinstance(event, End):
                    break
    except BadWire as bad:
        yield bad


def see(pieces: Iterable[bytes], method: str = "GET") -> Seen:
    wire_reader = reader(method)
    events = list(feed_all(wire_reader, pieces))
    last = events[-1] if events else None
    heads = [event for event in events if isinstance(event, Head)]
    frames = [event.data for event in events if isinstance(event, Frame)]
    if heads and not heads[0].chunked:
        frames = [b"".join(frames)]
    assert all(frames) or (heads and not heads[0].chunked)
    status = heads[0].status_code if heads else None
    if isinstance(last, BadWire):
        stays_bad(wire_reader, last)
        return Seen(status, frames, "bad")
    if isinstance(last, End):
        assert wire_reader.partial_bytes == 0
        return Seen(status, frames, last.how, last.partial, last.trailers)
    return Seen(status, frames, "open")


def stays_bad(wire_reader: WireReader, bad: BadWire) -> None:
    assert not wire_reader.reusable
    for call in (
        wire_reader.next_event,
        lambda: wire_reader.feed(b"x"),
        lambda: wire_reader.feed(EOF),
    ):
        with pytest.raises(BadWire) as again:
            call()
        assert str(again.value) == str(bad)


def byte_by_byte(wire: bytes) -> list[bytes]:
    return [wire[i : i + 1] for i in range(len(wire))]


def cuttings(wire: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and in all two-way cuts."""
    yield [wire] if wire else []
    yield byte_by_byte(wire)
    for cut in range(1, len(wire)):
        yield [wire[:cut], wire[cut:]]


def check(wire: bytes, expected: Seen, method: str = "GET", *tail: bytes) -> None:
    """These bytes are read as that, however they are cut."""
    for pieces in cuttings(wire):
        assert see([*pieces, *tail], method) == expected, pieces


def wire_error(wire: bytes, method: str = "GET") -> str:
    *_, bad = feed_all(reader(method), [wire])
    assert isinstance(bad, BadWire)
    return str(bad)


# What ends by itself

CLEAN = [
    # Chunked
    (CHUNKED + b"0\r\n\r\n", Seen(200, [], "clean")),
    (CHUNKED + b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", Seen(200, [b"a", b"bc"], "clean")),
    (CHUNKED + b"a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n",
     Seen(200, [b"0123456789", b"0123456789a"], "clean")),
    (CHUNKED + b"00000000000000000002\r\n\r\n\r\n000\r\n\r\n", Seen(200, [b"\r\n"], "clean")),
    (CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", Seen(200, [b"0\r\n\r\n"], "clean")),
    # Extensions
    (CHUNKED + b"1;a=b;c=\"d\" ; e\r\na\r\n0;f\r\n\r\n", Seen(200, [b"a"], "clean")),
    (CHUNKED + b"1  \r\na\r\n1\t;\xff\r\nb\r\n0 \r\n\r\n", Seen(200, [b"a", b"b"], "clean")),
    # Trailers
    (CHUNKED + b"1\r\na\r\n0\r\nA: 1\r\nb:\r\nC: \xe9 x \r\n\r\n",
     Seen(200, [b"a"], "clean", b"", [("A", "1"), ("b", ""), ("C", "é x")])),
    (CHUNKED + b"0;x\r\nA: 1\r\n 2\r\n\r\n", Seen(200, [], "clean", b"", [("A", "1 2")])),
    # Content-Length
    (LENGTH_5 + b"hello", Seen(200, [b"hello"], "clean")),
    (OK + b"content-length: 0\r\n\r\n", Seen(200, [b""], "clean")),
    (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", Seen(200, [b"ab"], "clean")),
    (OK + b"Content-Length: 2, 2\r\n\r\nab", Seen(200, [b"ab"], "clean")),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", Seen(200, [b"ab"], "clean")),
    # No body follows
    (b"HTTP/1.1 204 No Content\r\n\r\n", Seen(204, [b""], "clean")),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Seen(304, [b""], "clean")),
    (b"HTTP/1.1 204 \r\nTransfer-Encoding: chunked\r\n\r\n", Seen(204, [b""], "clean")),
    # 1xx heads come first
    (b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH_5 + b"hello", Seen(200, [b"hello"], "clean")),
    (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\nLink: b\r\n\r\nHTTP/1.1 102 \r\n\r\n"
     + CHUNKED + b"0\r\n\r\n", Seen(200, [], "clean")),
    # Line ends and reasons that are let pass
    (b"HTTP/1.1 200\nTransfer-Encoding: Chunked\n\n1\r\na\r\n0\r\nA: 1\n\n",
     Seen(200, [b"a"], "clean", b"", [("A", "1")])),
    (b"HTTP/1.9 599 \xe9\r\nContent-Length:0\r\n\r\n", Seen(599, [b""], "clean")),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "expected"), CLEAN)
def test_a_response_that_ends_by_itself(wire: bytes, expected: Seen) -> None:
    check(wire, expected)
    check(wire, expected, "GET", EOF)


@pytest.mark.parametrize(("wire", "expected"), CLEAN)
def test_bytes_behind_the_end_are_refused(wire: bytes, expected: Seen) -> None:
    check(wire + b"\n", expected._replace(end="bad", trailers=[]))
    check(wire, expected._replace(end="bad", trailers=[]), "GET", b"H")


@pytest.mark.parametrize("end", range(len(CHUNKED), len(CHUNKED) + 18))
def test_two_responses_are_refused_where_the_second_begins(end: int) -> None:
    wire = LENGTH_5 + b"hello" + CHUNKED + b"0\r\n\r\n"
    check(wire[:end], see([wire[:end]]))
    assert wire_error(LENGTH_5 + b"hello" + OK) == (
        "17 bytes behind the end of the response: b'HTTP/1.1 200 OK\\r\\n'"
    )


@pytest.mark.parametrize(
    "field", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]
)
def test_a_response_to_head_ends_with_its_head(field: bytes) -> None:
    check(OK + field + b"\r\n", Seen(200, [b""], "clean"), "HEAD")
    check(OK + field + b"\r\n0\r\n\r\n", Seen(200, [b""], "bad"), "HEAD")


# What ends with the connection


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("body", [b"", b"a", b"0\r\n\r\n"])
def test_a_body_without_length_ends_undelimited(version: bytes, body: bytes) -> None:
    wire = b"HTTP/" + version + b" 200 OK\r\nServer: a\r\n\r\n" + body
    check(wire, Seen(200, [body], "open"))
    check(wire, Seen(200, [body], "undelimited"), "GET", EOF)


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        # Before or within a head
        (b"", Seen(None, [], "truncated")),
        (b"HTT", Seen(None, [], "truncated")),
        (OK + b"Content-Length: 0\r\n", Seen(None, [], "truncated")),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Seen(None, [], "truncated")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", Seen(None, [], "truncated")),
        # Short of its Content-Length
        (LENGTH_5, Seen(200, [b""], "truncated")),
        (LENGTH_5 + b"hell", Seen(200, [b"hell"], "truncated")),
        # Between two frames
        (CHUNKED, Seen(200, [], "truncated")),
        (CHUNKED + b"1\r\na\r\n", Seen(200, [b"a"], "truncated")),
        # Within the line of a chunk size
        (CHUNKED + b"1\r\na\r\n1", Seen(200, [b"a"], "truncated")),
        (CHUNKED + b"1\r\na\r\n1;x", Seen(200, [b"a"], "truncated")),
        (CHUNKED + b"1\r", Seen(200, [], "truncated")),
        # Within a frame
        (CHUNKED + b"3\r\n", Seen(200, [], "truncated")),
        (CHUNKED + b"3\r\nab", Seen(200, [], "truncated", b"ab")),
        (CHUNKED + b"1\r\na\r\n3\r\nabc", Seen(200, [b"a"], "truncated", b"abc")),
        (CHUNKED + b"1\r\na\r\n3\r\nabc\r", Seen(200, [b"a"], "truncated", b"abc")),
        # Within the final frame and its trailers
        (CHUNKED + b"1\r\na\r\n0\r\n", Seen(200, [b"a"], "truncated")),
        (CHUNKED + b"0\r\n\r", Seen(200, [], "truncated")),
        (CHUNKED + b"0\r\nA: 1\r\n", Seen(200, [], "truncated")),
    ],
)
def test_a_response_that_is_cut_off(wire: bytes, expected: Seen) -> None:
    check(wire, expected, "GET", EOF)
    check(wire, expected._replace(end="open", partial=b""))


# What is no HTTP


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        # The status line
        (b"SSH-2.0-Open", "a response that does not begin with HTTP/: b'SSH-2.0-Open'"),
        (b"\r\n" + LENGTH_5, "a response that does not begin with HTTP/: b'\\r\\nHTTP/1.1 200 OK"),
        (b"\x16\x03\x01", "a response that does not begin with HTTP/: b'\\x16\\x03\\x01'"),
        (b"HTTPS", "a response that does not begin with HTTP/: b'HTTPS'"),
        (b"HTTP/x\r\n\r\n", "a head that is no HTTP: illegal status line: b'HTTP/x'"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "illegal status line: b'HTTP/1.1 20 OK'"),
        (b"HTTP/1.1 099 \r\n\r\n", "a head that is no HTTP: "),
        (b"HTTP/2.0 200 OK\r\n\r\n", "a response of HTTP/2.0"),
        # 1xx
        (b"HTTP/1.1 101 Switching\r\nUpgrade: a\r\n\r\n", "101 Switching Protocols, after"),
        # Header lines
        (OK + b"no colon\r\n\r\n", "a head that is no HTTP: illegal header line: b'no colon'"),
        (OK + b"a b: 1\r\n\r\n", "illegal header line: b'a b: 1'"),
        (OK + b"a: \x00\r\n\r\n", "illegal header line: b'a: \\x00'"),
        (OK + b" a: 1\r\n\r\n", "a head that is no HTTP: continuation line at start of headers"),
        (OK + b"Content-Length : 5\r\n\r\n", "illegal header line: b'Content-Length : 5'"),
        (OK + b"Content-Length: \0\r\n\r\n", "illegal header line: b'Content-Length: \\x00'"),
        # Content-Length
        (OK + b"Content-Length: -1\r\n\r\n", "bad Content-Length: b'Content-Length: -1'"),
        (OK + b"Content-Length:\r\n\r\n", "bad Content-Length: b'Content-Length:'"),
        (OK + b"Content-Length: +5\r\n\r\n", "bad Content-Length: b'Content-Length: +5'"),
        (OK + b"Content-Length: 5\r\ncontent-length: 6\r\n\r\n",
         "conflicting Content-Length headers: b'Content-Length: 5', b'content-length: 6'"),
        (OK + b"Content-Length: 5, 6\r\n\r\n",
         "conflicting Content-Length headers: b'Content-Length: 5, 6'"),
        (OK + b"Content-Length: 123456789012345678901\r\n\r\n", " Content-Length"),
        # Transfer-Encoding
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
         "Only Transfer-Encoding: chunked is supported: b'Transfer-Encoding: gzip, chunked'"),
        (OK + b"Transfer-Encoding: identity\r\n\r\n", "Only Transfer-Encoding: chunked"),
        (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
         "multiple Transfer-Encoding headers: b'Transfer-Encoding: chunked', b'Transfer-"),
        (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
         "a Transfer-Encoding together with Content-Length: 5"),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         "a Transfer-Encoding in a response of HTTP/1.0, which has none"),
    ],
)  # fmt: skip
def test_a_head_that_is_none(wire: bytes, text: str) -> None:
    check(wire, Seen(None, [], "bad"))
    check(b"HTTP/1.1 100 \r\n\r\n" + wire, Seen(None, [], "bad"))
    check(wire, Seen(None, [], "bad"), "HEAD")
    assert text in wire_error(wire)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"zz\r\n", "a chunk size that is no hexadecimal number: b'zz'"),
        (b"hello, world", "a chunk size that is no hexadecimal number: b'hello, world'"),
        (b"\r\n", "a chunk size that is no hexadecimal number: b''"),
        (b"\n", "a chunk size that is no hexadecimal number: b'\\n'"),
        (b"-1\r\n", "a chunk size that is no hexadecimal number: b'-1'"),
        (b"+1\r\na\r\n", "a chunk size that is no hexadecimal number: b'+1'"),
        (b" 1\r\na\r\n", "a chunk size that is no hexadecimal number: b' 1'"),
        (b";a\r\n", "a chunk size that is no hexadecimal number: b';a'"),
        (b"0x1\r\na\r\n", "a chunk size line that is malformed or too long: b'0x1'"),
        (b"1_0\r\n", "a chunk size line that is malformed or too long: b'1_0'"),
        (b"1 1\r\n", "a chunk size line that is malformed or too long: b'1 1'"),
        (b"1\na\r\n", "a chunk size line that is malformed or too long: b'1\\na'"),
        (b"1\rx", "a chunk size line that is malformed or too long: b'1\\rx'"),
        (b"1;\x00\r\na\r\n", "a chunk size line that is malformed or too long: b'1;\\x00'"),
        (b"000000000000000000001\r\na\r\n",
         "a chunk size line that is malformed or too long: b'000000000000000000001'"),
        (b"40000001\r\n", "a frame that announces 1073741825 bytes, more than 1073741824"),
        (b"ffffffffffffffffffff\r\n", "a frame that announces 1208925819614629174706175 bytes"),
        (b"1\r\nab\r\n", "no CRLF behind a frame of 1 bytes, but b'b\\r'"),
        (b"1\r\na\n", "no CRLF behind a frame of 1 bytes, but b'\\n'"),
        (b"1\r\na\r0", "no CRLF behind a frame of 1 bytes, but b'\\r0'"),
        (b"0\r\nno colon\r\n\r\n", "a head that is no HTTP: illegal header line: b'no colon'"),
        (b"0\r\n A: 1\r\n\r\n", "continuation line at start of headers"),
    ],
)  # fmt: skip
def test_a_chunked_body_that_is_none(body: bytes, text: str) -> None:
    check(CHUNKED + body, Seen(200, [], "bad"))
    check(CHUNKED + b"1\r\na\r\n" + body, Seen(200, [b"a"], "bad"))
    assert text in wire_error(CHUNKED + body)


def test_the_largest_frame_that_is_taken() -> None:
    assert MAX_FRAME == 0x40000000
    check(CHUNKED + b"40000000\r\nab", Seen(200, [], "truncated", b"ab"), "GET", EOF)


def test_a_field_is_not_shown_twice() -> None:
    assert wire_error(OK + b"Content-Length: \0\r\n\r\n") == (
        "a head that is no HTTP: illegal header line: b'Content-Length: \\x00'"
    )


def test_101_is_refused_also_where_it_was_asked_for() -> None:
    wire_reader = WireReader("GET", "/", [*HOST, ("Connection", "upgrade"), ("Upgrade", "a")])
    wire_reader.feed(b"HTTP/1.1 101 \r\nUpgrade: a\r\n\r\nx")
    with pytest.raises(BadWire, match="101 Switching Protocols"):
        wire_reader.next_event()


def test_what_is_shown_of_long_bytes_is_their_beginning() -> None:
    shown = wire_error(CHUNKED + b"x" * 1000)
    assert shown == f"a chunk size that is no hexadecimal number: b'{'x' * 40}'…"
    assert len(wire_error(OK + b"x" * 100_000 + b"\r\n\r\n")) < 200
    assert len(wire_error(OK + b"Content-Length: " + b"x" * 1000 + b"\r\n\r\n")) < 200
    assert len(wire_error(OK + b"Content-Length: " + b"9" * 100_000 + b"\r\n\r\n")) < 200
    assert len(wire_error(OK + b"Content-Length: 1\r\n" * 9 + b"Content-Length: 2\r\n\r\n")) < 250


# Limits

HEAD_LINE = OK + b"A: "
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "endless", "limit", "text"),
    [
        (HEAD_LINE, b"x" * 1000, MAX_HEAD, "a head of more than 256 KiB: b'HTTP/1.1 200 OK"),
        (OK, b"A: 1\r\n", MAX_HEAD, "a head of more than 256 KiB: b'HTTP/1.1 200 OK"),
        (INTERIM, INTERIM, 25 * MAX_INTERIM, "more than 100 responses with a 1xx status"),
        (CHUNKED + b"0\r\n", b"A: 1\r\n", MAX_HEAD, "trailers of more than 256 KiB: b'0"),
        (CHUNKED + b"0\r\nA: ", b"x" * 1000, MAX_HEAD, "trailers of more than 256 KiB: b'0"),
        (CHUNKED + b"1;", b"x", 2000, "a chunk size line that is malformed or too long: b'1;x"),
        (CHUNKED + b"1", b" ", 2000, "a chunk size line that is malformed or too long: b'1  "),
        (CHUNKED, b"0", 2000, "a chunk size line that is malformed or too long: b'000"),
    ],
)
def test_what_never_ends_is_refused(begin: bytes, endless: bytes, limit: int, text: str) -> None:
    *_, bad = feed_all(reader(), [begin, *repeat(endless, limit // len(endless) + 1)])
    assert str(bad).startswith(text)


@pytest.mark.parametrize(
    ("begin", "end"), [(HEAD_LINE, b"\r\n\r\n"), (CHUNKED + b"0\r\nA: ", b"\r\n\r\n")]
)
def test_limits_do_not_depend_on_how_much_is_received_at_once(begin: bytes, end: bytes) -> None:
    own = len(begin.removeprefix(CHUNKED) + end)
    fits = begin + b"x" * (MAX_HEAD - own) + end
    too_long = begin + b"x" * (MAX_HEAD - own + 1) + end
    for size in (1000, MAX_HEAD * 2):
        for wire, expected in (
            (fits, "truncated" if begin == HEAD_LINE else "clean"),
            (too_long, "bad"),
        ):
            pieces = [wire[i : i + size] for i in range(0, len(wire), size)]
            found = see([*pieces, EOF]).end
            assert found == (expected if expected != "truncated" else "undelimited")


def test_a_size_line_has_the_same_limit_whole_and_in_pieces() -> None:
    for size, end in ((1000, "truncated"), (1001, "bad")):
        wire = CHUNKED + b"1;" + b"x" * size + b"\r\na\r\n"
        assert see([wire, EOF]).end == see([*byte_by_byte(wire), EOF]).end == end


def test_an_announcement_takes_no_memory() -> None:
    wire_reader = reader()
    list(feed_all(wire_reader, [CHUNKED]))
    tracemalloc.start()
    try:
        list(feed_all(wire_reader, [b"40000000\r\n", b"x" * 1000]))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert wire_reader.partial_bytes == 1000


def test_what_was_read_is_forgotten() -> None:
    frame = b"x" * 100_000
    wire_reader = reader()
    list(feed_all(wire_reader, [CHUNKED]))
    tracemalloc.start()
    try:
        for _ in range(100):
            piece = b"%x\r\n%b\r\n" % (len(frame), frame)
            for event in feed_all(wire_reader, [piece[:50_000], piece[50_000:]]):
                assert event == Frame(frame)
                del event
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def cpu_time(wire: bytes, size: int) -> float:
    pieces = [wire[i : i + size] for i in range(0, len(wire), size)]
    begin = time.process_time()
    assert see(pieces).end in {"clean", "open"}
    return time.process_time() - begin


@pytest.mark.parametrize(
    ("wire", "size"),
    [
        (CHUNKED + b"100000\r\n" + b"x" * 2**20 + b"\r\n0\r\n\r\n", 4),
        (HEAD_LINE + b"x" * (MAX_HEAD - 100) + b"\r\nContent-Length: 0\r\n\r\n", 1),
        (CHUNKED + b"0\r\nA: " + b"x" * (MAX_HEAD - 100) + b"\r\n\r\n", 1),
    ],
)
def test_a_dripping_byte_costs_no_more_the_more_came_before(wire: bytes, size: int) -> None:
    pieces = len(wire) // size
    sample = OK + b"\r\n" + b"x" * 20_000
    assert cpu_time(wire, size) < 10 * cpu_time(sample, 1) / 20_000 * pieces


# Events


def test_the_head_is_given_as_it_was_sent() -> None:
    wire = (
        b"HTTP/1.1 404 N\xe9 pas\r\nX-Abc:  1\r\nset-cookie: a\r\nSET-COOKIE: b \r\nV: \xe9\r\n\r\n"
    )
    for pieces in cuttings(wire):
        (head,) = feed_all(reader(), pieces)
        assert head == Head(
            status="404 Né pas",
            status_code=404,
            http_version="1.1",
            headers=[("X-Abc", "1"), ("set-cookie", "a"), ("SET-COOKIE", "b"), ("V", "é")],
            chunked=False,
        )


@pytest.mark.parametrize(("reason", "status"), [(b"", "200"), (b" ", "200"), (b" A B", "200 A B")])
def test_a_status_may_lack_its_reason(reason: bytes, status: str) -> None:
    (head,) = feed_all(reader(), [b"HTTP/1.0 200" + reason + b"\r\n\r\n"])
    assert (head.status, head.http_version) == (status, "1.0")


@pytest.mark.parametrize(
    ("wire", "method", "chunked"),
    [
        (CHUNKED, "GET", True),
        (CHUNKED, "HEAD", False),
        (LENGTH_5, "GET", False),
        (CHUNKED.replace(b"200", b"304"), "GET", False),
    ],
)
def test_chunked_says_whether_frames_follow(wire: bytes, method: str, chunked: bool) -> None:
    (head,) = [event for event in feed_all(reader(method), [wire]) if isinstance(event, Head)]
    assert head.chunked is chunked


def test_a_frame_is_given_when_it_is_whole_and_not_before() -> None:
    wire_reader = reader()
    list(feed_all(wire_reader, [CHUNKED]))
    for piece, size in ((b"3\r\n", 0), (b"a", 1), (b"bc", 3), (b"\r", 3)):
        assert list(feed_all(wire_reader, [piece])) == []
        assert wire_reader.partial_bytes == size
    assert list(feed_all(wire_reader, [b"\n1\r\n"])) == [Frame(b"abc")]
    assert wire_reader.partial_bytes == 0


@pytest.mark.parametrize("head", [OK + b"\r\n", LENGTH_5])
def test_without_frames_bytes_are_given_as_they_arrive(head: bytes) -> None:
    pieces = [head + b"h", b"el", b"l"]
    _, *frames = feed_all(reader(), pieces)
    assert frames == [Frame(b"h"), Frame(b"el"), Frame(b"l")]


def test_several_frames_in_one_piece_are_given_one_by_one() -> None:
    wire_reader = reader()
    wire_reader.feed(CHUNKED + b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
    events = [wire_reader.next_event() for _ in range(5)]
    assert events[1:] == [Frame(b"a"), Frame(b"b"), End("clean", b"", []), End("clean", b"", [])]


def test_pieces_may_be_fed_without_taking_the_events_in_between() -> None:
    wire_reader = reader()
    for byte in byte_by_byte(CHUNKED + b"1\r\na\r\n0\r\nA: 1\r\n\r\n"):
        wire_reader.feed(byte)
    _, frame, end = (wire_reader.next_event() for _ in range(3))
    assert (frame, end) == (Frame(b"a"), End("clean", b"", [("A", "1")]))


def test_the_end_is_given_again() -> None:
    for wire, how in (
        (LENGTH_5 + b"hello", "clean"),
        (OK + b"\r\n", "undelimited"),
        (b"", "truncated"),
    ):
        wire_reader = reader()
        *_, end = feed_all(wire_reader, [wire, EOF] if wire else [EOF])
        wire_reader.feed(EOF)
        assert wire_reader.next_event() is wire_reader.next_event() is end
        assert end.how == how


def test_nothing_arrives_after_the_connection_has_ended() -> None:
    wire_reader = reader()
    wire_reader.feed(EOF)
    with pytest.raises(ValueError, match=r"^a connection ends once: nothing can be fed after b''$"):
        wire_reader.feed(b"x")
    assert wire_reader.next_event() == End("truncated", b"", [])


def test_bytes_after_the_end_are_refused_as_they_arrive() -> None:
    wire_reader = reader()
    list(feed_all(wire_reader, [LENGTH_5, b"hello"]))
    assert wire_reader.reusable
    with pytest.raises(BadWire, match=r"^1 bytes behind the end of the response: b'x'$") as bad:
        wire_reader.feed(b"x")
    stays_bad(wire_reader, bad.value)


@pytest.mark.parametrize(
    ("wire", "reusable"),
    [
        (CHUNKED + b"0\r\n\r\n", True),
        (LENGTH_5 + b"hello", True),
        (b"HTTP/1.1 204 \r\nConnection: keep-alive, closed\r\n\r\n", True),
        (b"HTTP/1.1 204 \r\nConnection: a\r\nconnection: x , Close\r\n\r\n", False),
        (b"HTTP/1.1 100 \r\nConnection: close\r\n\r\nHTTP/1.1 204 \r\n\r\n", True),
        (b"HTTP/1.0 204 \r\nConnection: keep-alive\r\n\r\n", False),
        (LENGTH_5 + b"hell", False),
        (OK + b"\r\n", False),
        (b"", False),
    ],
)
def test_a_connection_is_reusable_after_a_clean_end(wire: bytes, reusable: bool) -> None:
    for pieces in cuttings(wire):
        wire_reader = reader()
        list(feed_all(wire_reader, pieces))
        assert wire_reader.reusable is reusable
        wire_reader.feed(EOF)
        wire_reader.next_event()
        assert not wire_reader.reusable


def test_a_connection_that_we_asked_to_close_is_not_reusable() -> None:
    wire_reader = WireReader("GET", "/", [*HOST, ("connection", "close")])
    list(feed_all(wire_reader, [LENGTH_5 + b"hello"]))
    assert not wire_reader.reusable


def test_a_reader_does_not_wait_for_the_garbage_collector() -> None:
    wire_reader = reader()
    list(feed_all(wire_reader, [CHUNKED + b"2\r\na"]))
    gone = weakref.ref(wire_reader)
    gc.disable()
    try:
        del wire_reader
        assert gone() is None
    finally:
        gc.enable()


def test_repr_is_one_line() -> None:
    wire_reader = reader()
    assert repr(wire_reader) == "<WireReader: open, 0 bytes of an unfinished frame>"
    list(feed_all(wire_reader, [CHUNKED + b"2\r\na", EOF]))
    assert repr(wire_reader) == "<WireReader: truncated, 0 bytes of an unfinished frame>"
    assert repr(NEED_DATA) == "NEED_DATA"


# The request


@pytest.mark.parametrize(
    ("method", "headers", "body", "sent"),
    [
        ("GET", [], b"", b"GET /a?b=%20 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("POST", [("content-LENGTH", "2")], b"ab",
         b"POST /a?b=%20 HTTP/1.1\r\nHost: localhost\r\ncontent-LENGTH: 2\r\n\r\nab"),
        ("PUT", [("Transfer-Encoding", "chunked")], b"ab",
         b"PUT /a?b=%20 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
         b"2\r\nab\r\n0\r\n\r\n"),
        ("PUT", [("Transfer-Encoding", "chunked")], b"",
         b"PUT /a?b=%20 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
         b"0\r\n\r\n"),
        ("PURGE", [("X", "é"), ("X", "")], b"",
         b"PURGE /a?b=%20 HTTP/1.1\r\nHost: localhost\r\nX: \xe9\r\nX: \r\n\r\n"),
    ],
)  # fmt: skip
def test_the_request(method: str, headers: list[tuple[str, str]], body: bytes, sent: bytes) -> None:
    assert WireReader(method, "/a?b=%20", HOST + headers, body).request == sent


def test_a_large_request() -> None:
    body = bytes(10 * 2**20)
    request = WireReader("POST", "/", [*HOST, ("Content-Length", str(len(body)))], body).request
    assert request.endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "text"),
    [
        ("GET", "/", [], b"", "GET / is no HTTP/1.1 request: Missing mandatory Host: header"),
        ("GET", "/", [*HOST, *HOST], b"", "multiple Host: headers"),
        ("GET", "/a b" * 200, HOST, b"", "Illegal target"),
        ("GET", "/", [*HOST, ("a b" * 200, "c")], b"", "Illegal header name b'a b"),
        ("G T", "/", HOST, b"", "G T / is no HTTP/1.1 request: Illegal method"),
        ("GET", "/a b", HOST, b"", "GET /a b is no HTTP/1.1 request: Illegal target"),
        ("GET", "/a\r\nb: 1", HOST, b"", "Illegal target"),
        ("GET", "/é", HOST, b"", "Illegal target"),
        ("GET", "/€", HOST, b"", "GET /€ is no HTTP/1.1 request: 'latin-1' codec can't encode"),
        ("GET", "/", [*HOST, ("a b", "c")], b"", "Illegal header name b'a b'"),
        ("GET", "/", [*HOST, ("a", "b\r\nc: d")], b"", "Illegal header value b'b\\r\\nc: d'"),
        ("GET", "/", [*HOST, ("a", "€")], b"", "'latin-1' codec can't encode"),
        ("GET", "/", [*HOST, ("Content-Length", "x")], b"", "bad Content-Length"),
        ("GET", "/", [*HOST, ("Content-Length", "3")], b"ab", "Too little data"),
        ("GET", "/", [*HOST, ("Content-Length", "1")], b"ab", "Too much data"),
        ("GET", "/", [*HOST, ("Transfer-Encoding", "gzip")], b"ab", "Only Transfer-Encoding:"),
        ("GET", "/", HOST, b"ab", "a body needs a Content-Length, or Transfer-Encoding: chunked"),
        ("CONNECT", "a:1", HOST, b"", "CONNECT cannot be sent: it asks for a tunnel and not for"),
    ],
)
def test_a_request_that_cannot_be_sent(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes, text: str
) -> None:
    with pytest.raises(ValueError) as error:
        WireReader(method, target, headers, body)
    assert text in str(error.value)
    assert len(str(error.value)) < 300


# Properties


class Written(NamedTuple):
    """A valid response, what it says, and where in it each frame is complete."""

    wire: bytes
    seen: Seen
    frame_ends: list[int]


token = st.text("abcXYZ-09!", min_size=1, max_size=8)
words = st.lists(st.text("ab\xe9:;,=\"'", min_size=1, max_size=5), max_size=3).map(" ".join)
field = st.tuples(token.map(lambda name: f"x{name}"), words)
fields = st.lists(field, max_size=3)
contents = st.lists(
    st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"0\r\n\r\n", b"\xff", b"HTTP/1.1 ", b"x" * 300]),
    min_size=1,
    max_size=4,
).map(b"".join)


def write_head(line: str, headers: list[tuple[str, str]], between: str = ": ") -> bytes:
    lines = [line, *(f"{name}{between}{value}" for name, value in headers)]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


@st.composite
def responses(draw: st.DrawFn) -> Written:
    between = draw(st.sampled_from([":", ": ", ":\t "]))
    wire = b"".join(
        write_head(f"HTTP/1.1 {status} {draw(words)}", draw(fields), between)
        for status in draw(st.lists(st.sampled_from([100, 102, 103, 199]), max_size=2))
    )
    framing = draw(st.sampled_from(["chunked", "length", "close"]))
    frames = draw(st.lists(contents, max_size=4))
    body = b"".join(frames)
    headers = draw(fields)
    version = "1.1" if framing == "chunked" else draw(st.sampled_from(["1.0", "1.1"]))
    if framing == "chunked":
        headers.append(
            (draw(st.sampled_from(["Transfer-Encoding", "tRANSFER-encoding"])), "chunked")
        )
    if framing == "length":
        headers.append(("Content-Length", str(len(body))))
    headers = draw(st.permutations(headers))
    status = draw(st.sampled_from([200, 206, 302, 404, 500, 999]))
    wire += write_head(f"HTTP/{version} {status} {draw(words)}", headers, between)
    if framing != "chunked":
        end = "clean" if framing == "length" else "undelimited"
        return Written(wire + body, Seen(status, [body], end), [])
    ends = []
    for frame in frames:
        size = draw(st.sampled_from(["%x", "%X", "%06x"])) % len(frame)
        extension = draw(st.sampled_from(["", ";a", ' ; a="b"', " "]))
        wire += f"{size}{extension}\r\n".encode() + frame + b"\r\n"
        ends.append(len(wire))
    trailers = draw(fields)
    wire += draw(st.sampled_from([b"0\r\n", b"000;a\r\n"])) + write_head("", trailers, between)[2:]
    return Written(wire, Seen(status, frames, "clean", b"", trailers), ends)


@st.composite
def cut(draw: st.DrawFn, wire: bytes) -> list[bytes]:
    places = draw(st.lists(st.integers(0, len(wire)), max_size=6))
    cuts = sorted({0, *places, len(wire)})
    return [wire[a:b] for a, b in pairwise(cuts)]


@given(responses(), st.data())
def test_gives_back_what_was_written(written: Written, data: st.DataObject) -> None:
    assert see([*data.draw(cut(written.wire)), EOF]) == written.seen
    assert see([*byte_by_byte(written.wire), EOF]) == written.seen


@given(responses(), st.data())
def test_a_response_cut_anywhere_is_truncated(written: Written, data: st.DataObject) -> None:
    assume(written.seen.end == "clean")
    length = data.draw(st.integers(0, len(written.wire) - 1))
    found = see([*data.draw(cut(written.wire[:length])), EOF])
    assert found.end == "truncated"
    if written.frame_ends:
        complete = sum(end <= length for end in written.frame_ends)
        assert found.frames == written.seen.frames[:complete]
        assert [*written.seen.frames, b""][complete].startswith(found.partial)
    else:
        assert b"".join(written.seen.frames).startswith(b"".join(found.frames))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    wire = draw(responses()).wire
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(wire)))
        end = min(len(wire), begin + draw(st.integers(0, 4)))
        snippets = [
            b"",
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
            b";",
            b"0",
            b"-",
            b"\0",
            b"\xff",
            b"0\r\n\r\n",
        ]
        wire = wire[:begin] + draw(st.sampled_from(snippets) | st.binary(max_size=3)) + wire[end:]
    return wire


hostile = mutated() | st.binary(max_size=60) | st.binary(max_size=60).map(CHUNKED.__add__)


@given(hostile, st.sampled_from(["GET", "HEAD"]), st.data())
def test_whatever_arrives_is_read_or_refused(wire: bytes, method: str, data: st.DataObject) -> None:
    pieces = [*data.draw(cut(wire)), EOF]
    events = list(feed_all(reader(method), pieces))
    assert all(isinstance(event, (Head, Frame, End, BadWire)) for event in events)
    assert isinstance(events[-1], (End, BadWire))
    assert len(events) <= len(wire) + 3
    assert sum(len(event.data) for event in events if isinstance(event, Frame)) <= len(wire)
    assert (
        see(pieces, method) == see([wire, EOF], method) == see([*byte_by_byte(wire), EOF], method)
    )


@settings(max_examples=200)  # one in five ends clean
@given(mutated())
def test_what_is_read_to_a_clean_end_h11_reads_as_well(wire: bytes) -> None:
    found = see([wire, EOF])
    # h11 takes no space before an extension, which RFC 9112 (section 7.1.1) allows.
    if found.end == "clean" and not re.search(rb"[ \t];", wire):
        assert frames_by_h11(wire) == [frame for frame in found.frames if frame]


def frames_by_h11(wire: bytes) -> list[bytes]:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=HOST))
    connection.send(h11.EndOfMessage())
    connection.receive_data(wire)
    frames = []
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        frames += [bytes(event.data)] if isinstance(event, h11.Data) else []
    return frames
