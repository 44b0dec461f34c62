"""The decoders on streams of a Flask app: how far they read, where they start, what they raise."""

from __future__ import annotations

import csv
import gzip
import json
import threading
import zlib
from itertools import count, islice
from pathlib import Path

import pytest
from flask import Flask, Response
from hypothesis import given
from hypothesis import strategies as st

import pytest_flask_stream
from pytest_flask_stream import (
    ChunksNotKept,
    DecodeError,
    EndlessStream,
    Part,
    ServerSentEvent,
    StreamedResponse,
    StreamTimeout,
)
from pytest_flask_stream.decoders import Decoding, NDJSONDecoder, SSEDecoder

PACKAGE = Path(pytest_flask_stream.__file__).parent
JPEG = b"\xff\xd8 a frame \r\n of bytes \xff\xd9"


def mjpeg_frame(number):
    head = f"--frame\r\nContent-Type: image/jpeg\r\nX-Frame: {number}\r\n\r\n"
    return head.encode() + JPEG + b"\r\n"


class Endless:
    """A view that never ends; ``made`` is how many items it has made."""

    def __init__(self, item, content_type):
        self.item = item
        self.content_type = content_type
        self.made = 0

    def __call__(self):
        def items():
            for number in count():
                self.made += 1
                yield self.item(number)

        return Response(items(), content_type=self.content_type)


# What reads the first record of each format, and how many chunks that takes.
FORMATS = {
    "text": ("text/plain", "{}é\n".format, StreamedResponse.iter_text, "0é\n", 1),
    "lines": ("text/plain", "{}\n".format, StreamedResponse.iter_lines, "0", 1),
    "ndjson": ("application/x-ndjson", "[{}]\n".format, StreamedResponse.iter_ndjson, [0], 1),
    "csv": ("text/csv", "{},x\r\n".format, StreamedResponse.iter_csv, ["0", "x"], 1),
    "sse": (
        "text/event-stream",
        "data: {}\n\n".format,
        StreamedResponse.iter_sse,
        ServerSentEvent(data="0"),
        1,
    ),
    # A part ends where the next delimiter starts.
    "parts": (
        "multipart/x-mixed-replace; boundary=frame",
        mjpeg_frame,
        lambda stream: (part.body for part in stream.iter_parts()),
        JPEG,
        2,
    ),
}


@pytest.mark.parametrize(
    ("content_type", "item", "read", "first", "chunks"), FORMATS.values(), ids=FORMATS
)
class TestOnAnEndlessStream:
    def test_the_first_record_takes_no_chunk_too_many(
        self, get, content_type, item, read, first, chunks, over_the_wire
    ):
        view = Endless(item, content_type)
        stream = get(view)
        found = read(stream)
        assert stream.delivered == 0
        assert over_the_wire or view.made == 0
        assert next(found) == first
        assert stream.delivered == chunks
        assert over_the_wire or (stream.produced, view.made) == (chunks, chunks)
        stream.disconnect()

    def test_each_call_starts_at_the_first_byte_and_replays_before_it_pulls(
        self, get, content_type, item, read, first, chunks
    ):
        stream = get(Endless(item, content_type))
        stream.take(3)
        for _ in range(2):
            assert next(read(stream)) == first
            assert stream.delivered == 3
        list(islice(read(stream), 5))
        assert stream.delivered == 4 + chunks
        stream.disconnect()

    def test_the_same_iterator_goes_on(self, get, content_type, item, read, first, chunks):
        stream = get(Endless(item, content_type))
        found = read(stream)
        values = [next(found) for _ in range(3)]
        stream.take(2)
        values += [next(found) for _ in range(3)]
        assert values == list(islice(read(stream), 6))
        assert stream.delivered == 5 + chunks
        stream.disconnect()

    def test_two_iterators_alternate(self, get, content_type, item, read, first, chunks):
        stream = get(Endless(item, content_type))
        one, other = read(stream), read(stream)
        for number in range(4):
            assert next(one) == next(other)
            assert stream.delivered == number + chunks
        stream.disconnect()

    def test_what_was_delivered_is_there_after_disconnect(
        self, get, content_type, item, read, first, chunks
    ):
        stream = get(Endless(item, content_type))
        ongoing = read(stream)
        next(ongoing)
        stream.take(4 - chunks)
        stream.disconnect()
        assert len(list(ongoing)) == 4 - chunks  # the last part has no delimiter behind it
        assert len(list(read(stream))) == 5 - chunks
        assert stream.delivered == 4

    def test_reading_to_the_end_gives_up_at_max_chunks(
        self, get, content_type, item, read, first, chunks
    ):
        stream = get(Endless(item, content_type), max_chunks=5)
        with pytest.raises(EndlessStream) as caught:
            list(read(stream))
        assert caught.value.max_chunks == 5
        assert (stream.state, stream.delivered) == ("open", 6)
        stream.disconnect()
        assert len(list(read(stream))) == 7 - chunks


def test_two_formats_alternate_on_one_stream(get):
    stream = get(lambda: iter(["data: 1\n", "\ndata", ": 2\n\n"]))
    events, lines = stream.iter_sse(), stream.iter_lines()
    assert next(lines) == "data: 1"
    assert stream.delivered == 1
    assert next(events) == ServerSentEvent(data="1")
    assert stream.delivered == 2
    assert next(lines) == ""
    assert stream.delivered == 2
    assert next(lines) == "data: 2"
    assert stream.delivered == 3
    assert (list(events), list(lines)) == ([ServerSentEvent(data="2")], [""])
    assert stream.state == "exhausted"


def test_a_decoder_and_the_stream_itself_share_the_chunks(get):
    stream = get(lambda: iter(["a\n", "b\n", "c\n"]))
    lines = stream.iter_lines()
    assert next(lines) == "a"
    assert next(stream) == b"b\n"
    assert list(lines) == ["b", "c"]
    assert stream.read() == b"a\nb\nc\n"


def test_the_records_of_a_claim_and_of_a_decoder_are_the_same(get):
    stream = get(lambda: iter(['{"a": 1}\n', "\n", "2"]))
    stream.assert_one_record_per_chunk("ndjson")
    assert list(stream.iter_ndjson()) == [{"a": 1}, 2]


# Errors


def test_an_error_of_the_app_is_raised_where_the_iterator_comes_to_it(get):
    error = LookupError("no such row")

    def rows():
        yield "a\nb\n"
        yield "half a li"
        raise error

    stream = get(rows)
    lines = stream.iter_lines()
    assert [next(lines), next(lines)] == ["a", "b"]
    with pytest.raises(LookupError) as caught:
        next(lines)
    assert caught.value is error
    assert stream.state == "failed"
    assert list(lines) == []  # half a line is not taken for one

    for _ in range(2):
        again = stream.iter_lines()
        assert [next(again), next(again)] == ["a", "b"]
        with pytest.raises(LookupError) as caught:
            next(again)
        assert caught.value is error


def test_an_error_of_the_app_shows_the_users_frames(get):
    def rows():
        yield "a\n"
        raise LookupError

    stream = get(rows)
    with pytest.raises(LookupError) as caught:
        list(stream.iter_lines())
    visible = [
        entry for entry in caught.traceback if "__tracebackhide__" not in entry.frame.f_locals
    ]
    assert visible[0].path == visible[-1].path == Path(__file__)
    assert not [entry for entry in visible if entry.path.is_relative_to(PACKAGE)]


def test_a_timeout_is_raised_and_raised_again(get):
    over = threading.Event()

    def rows():
        yield "a\n"
        while not over.is_set():
            pass

    stream = get(rows)
    lines = stream.iter_lines()
    assert next(lines) == "a"
    stream.timeout = 0.05
    with pytest.raises(StreamTimeout):
        next(lines)
    with pytest.raises(StreamTimeout):
        list(stream.iter_lines())
    over.set()


@pytest.mark.parametrize(
    ("content_type", "item", "read", "awaited"),
    [
        (
            "text/event-stream",
            "data: 1\n",
            StreamedResponse.iter_sse,
            "an event is data lines, and an empty line behind them",
        ),
        ("text/plain", "xxxx", StreamedResponse.iter_lines, "a line wants its end"),
        ("text/csv", "1,2;", StreamedResponse.iter_csv, "a row wants its end"),
        ("text/plain", "[1, ", StreamedResponse.iter_ndjson, "a value wants the end of its line"),
        (
            "multipart/x-mixed-replace; boundary=picture",
            "--frame\r\n\r\nx\r\n",
            StreamedResponse.iter_parts,
            "no line of it begins with the boundary of the header, b'picture'",
        ),
        (
            "multipart/x-mixed-replace; boundary=frame",
            "--frame\r\n\r\nx--frame",
            StreamedResponse.iter_parts,
            "a part wants a delimiter behind it",
        ),
    ],
)
def test_a_stream_that_goes_on_without_a_record_says_what_is_missing(
    get, content_type, item, read, awaited
):
    stream = get(Endless(lambda number: item, content_type), max_chunks=3)
    for _ in range(2):
        with pytest.raises(EndlessStream) as caught:
            next(read(stream))
    size = 4 * len(item)
    note = f"  note:    nothing is complete in the {size} bytes so far: {awaited}\n  remedy:  of an"
    assert note in str(caught.value)
    assert str(caught.value).count("  note:  ") == 1


def test_a_stream_that_is_stuck_behind_a_record_misses_nothing(get):
    stream = get(Endless("data: {}\n\n".format, "text/event-stream"), max_chunks=3)
    events = stream.iter_sse()
    with pytest.raises(EndlessStream) as caught:
        list(events)
    assert "note:" not in str(caught.value)


def test_a_stuck_stream_says_what_its_first_record_lacks(get):
    over = threading.Event()

    def rows():
        yield "data: 1\n"
        while not over.is_set():
            pass

    stream = get(rows)
    stream.timeout = 0.05
    for _ in range(2):
        with pytest.raises(StreamTimeout) as caught:
            next(stream.iter_sse())
        assert str(caught.value).count("nothing is complete in the 8 bytes so far: an event") == 1
    over.set()


def test_a_bad_record_tells_where_it_is_and_does_not_end_the_reading(get):
    stream = get(lambda: iter(['{"a": 1}\n', "\n", "{oops", "}\n3\n", b"\xff\n4"]))
    values = stream.iter_ndjson()
    assert next(values) == {"a": 1}
    with pytest.raises(DecodeError) as caught:
        next(values)
    error = caught.value
    assert (error.record, error.chunk, error.offset) == (1, 2, 10)
    assert stream.delivered == 4
    assert str(error).startswith("the line is not JSON: Expecting property name")
    assert ": b'{oops}' (record 1," in str(error)
    assert str(error).endswith("(record 1, chunk 2, byte offset 10)")
    assert next(values) == 3
    with pytest.raises(DecodeError) as caught:
        next(values)
    assert (caught.value.record, caught.value.chunk, caught.value.offset) == (3, 4, 19)
    assert list(values) == [4]
    assert stream.state == "exhausted"


def test_undecodable_text_names_its_byte(get):
    stream = get(lambda: iter(["é", b"a\xff"]))
    texts = stream.iter_text()
    assert [next(texts), next(texts)] == ["é", "a"]
    with pytest.raises(DecodeError) as caught:
        next(texts)
    assert (caught.value.record, caught.value.chunk, caught.value.offset) == (1, 1, 3)


# What is not kept


def test_past_keep_bytes_an_ongoing_decoder_goes_on_and_a_new_one_does_not_start(get):
    stream = get(lambda: (f"{number}\n" for number in range(20)), keep_bytes=10)
    lines = stream.iter_lines()
    assert [next(lines) for _ in range(10)] == [str(number) for number in range(10)]
    with pytest.raises(ChunksNotKept, match="a decoder that starts anew needs the whole body"):
        next(stream.iter_lines())
    assert list(lines) == [str(number) for number in range(10, 20)]
    assert stream.state == "exhausted"


def test_a_decoder_that_was_overtaken_past_keep_bytes_cannot_go_on(get):
    stream = get(lambda: (f"{number}\n" for number in range(20)), keep_bytes=10)
    lines = stream.iter_lines()
    assert next(lines) == "0"
    stream.take(10)
    assert [next(lines) for _ in range(4)] == ["1", "2", "3", "4"]
    with pytest.raises(ChunksNotKept, match="a decoder that fell behind"):
        next(lines)


# Compressed bodies


def gzipped(items):
    coder = zlib.compressobj(wbits=zlib.MAX_WBITS + 16)
    for item in items:
        yield coder.compress(item.encode()) + coder.flush(zlib.Z_SYNC_FLUSH)
    yield coder.flush()


def test_a_gzip_body_is_decoded_as_it_comes(get):
    def view():
        items = (f"data: {number}\n\n" for number in count())
        return Response(gzipped(items), headers={"Content-Encoding": "gzip"})

    stream = get(view)
    events = stream.iter_sse()
    assert [next(events).data, next(events).data] == ["0", "1"]
    assert stream.delivered == 2
    stream.disconnect()


def test_a_gzip_body_in_one_piece(get):
    body = gzip.compress("é\nb\n".encode())
    stream = get(lambda: Response(body, headers={"Content-Encoding": "gzip"}))
    assert list(stream.iter_lines()) == ["é", "b"]
    assert stream.read() == body


def test_a_gzip_body_that_is_cut_off(get):
    body = gzip.compress(b"a\nb\n")
    stream = get(lambda: Response(iter([body[:-4]]), headers={"Content-Encoding": "gzip"}))
    with pytest.raises(DecodeError, match="ends before its content coding 'gzip' does"):
        list(stream.iter_lines())


def test_of_a_gzip_body_that_the_client_left_what_was_delivered_is_read(get):
    def view():
        items = (f"data: {number}\n\n" for number in count())
        return Response(gzipped(items), headers={"Content-Encoding": "gzip"})

    stream = get(view)
    events = stream.iter_sse()
    next(events)
    stream.take(2)
    stream.disconnect()
    assert [event.data for event in events] == ["1", "2"]
    assert [event.data for event in stream.iter_sse()] == ["0", "1", "2"]
    assert "".join(stream.iter_text()) == "data: 0\n\ndata: 1\n\ndata: 2\n\n"


def test_another_content_coding_is_told_at_the_call(get, over_the_wire):
    stream = get(lambda: Response(iter("ab"), headers={"Content-Encoding": "br"}))
    with pytest.raises(DecodeError, match="content coding 'br' cannot be decoded"):
        stream.iter_text()
    assert over_the_wire or stream.produced == 0


# Formats with something of their own


def test_csv_with_a_byte_order_mark_and_a_dialect(get):
    class Semicolons(csv.excel):
        delimiter = ";"
        lineterminator = "\n"

    def view():
        yield "\ufeffid;na"
        yield 'me\n1;"ada;\n'
        yield 'the first"\n'

    stream = get(view)
    rows = stream.iter_csv(Semicolons)
    assert next(rows) == ["id", "name"]
    assert stream.delivered == 2
    assert list(rows) == [["1", "ada;\nthe first"]]
    assert list(stream.iter_csv(delimiter=";"))[1] == ["1", "ada;\nthe first"]
    assert next(stream.iter_csv(Semicolons, encoding="utf-8"))[0] == "\ufeffid"


def test_csv_of_another_charset(get):
    stream = get(lambda: Response(iter([b"caf\xe9,1\r\n"]), mimetype="text/csv"))
    assert list(stream.iter_csv(encoding="latin-1")) == [["café", "1"]]
    with pytest.raises(DecodeError) as caught:
        list(stream.iter_csv())
    assert (caught.value.record, caught.value.chunk, caught.value.offset) == (0, 0, 0)


def test_the_parts_of_an_mjpeg_view(get):
    def view():
        frames = (mjpeg_frame(number) for number in range(3))
        return Response(frames, mimetype="multipart/x-mixed-replace; boundary=frame")

    stream = get(view)
    parts = stream.iter_parts()
    first = next(parts)
    assert isinstance(first, Part)
    assert (first.headers["Content-Type"], first.headers["x-frame"]) == ("image/jpeg", "0")
    assert first.body == JPEG
    assert stream.delivered == 2
    assert [part.headers["X-Frame"] for part in parts] == ["1"]  # nothing ends the last part


def test_the_last_frame_of_an_mjpeg_view_that_declares_its_length(get):
    def view():
        head = f"--frame\r\nContent-Length: {len(JPEG)}\r\n\r\n".encode()
        return Response(
            iter([head, JPEG, b"\r\n"]), mimetype="multipart/x-mixed-replace; boundary=--frame"
        )

    assert [part.body for part in get(view).iter_parts()] == [JPEG]


def test_parts_of_what_is_not_multipart(get, over_the_wire):
    stream = get(lambda: iter("ab"))
    with pytest.raises(DecodeError, match="not multipart"):
        stream.iter_parts()
    assert over_the_wire or stream.produced == 0


def test_text_in_the_responses_charset(get):
    view = lambda: Response(iter([b"\xe9\n"]), content_type="text/plain; charset=latin-1")  # noqa: E731
    assert list(get(view).iter_text()) == ["é\n"]
    assert list(get(view).iter_lines()) == ["é"]


def test_an_answer_without_a_body(open_client):
    app = Flask("head")
    app.add_url_rule("/", "view", lambda: iter("ab"))
    stream = open_client(app).head("/")
    assert list(stream.iter_lines()) == []
    assert stream.state == "exhausted"


@given(
    st.lists(
        st.sampled_from(
            [
                *(b"data: a\n\n", b"data: \xc3\xa9\n\n", b"data: \xff\n\n", b"data:  b\n\n"),
                *(b"data: c\r\n\r\n", b"data: d\r\r", b"data: e\n\r", b"\n", b"id: 7\n\n", b"\r"),
                *(b"data: f\n", b": no\n\n", b"data: \xc3", b"\xa9\n\n", b"event: g\n", b""),
                *(b"\xef\xbb\xbf", b"data: h\r\n\n", b"data: i\nA", b"\n\n", b"data: "),
            ]
        ),
        max_size=8,
    )
)
def test_events_that_come_chunk_by_chunk_are_those_of_the_whole_body(chunks):
    whole = list(Decoding([b"".join(chunks)], SSEDecoder()))
    assert list(Decoding(chunks, SSEDecoder())) == whole


@pytest.mark.parametrize("text", ["1 2", "1,", "[1", " ", "\ufeff1", "1\x0c", "nul", "NaN", "\t1 "])
def test_a_line_is_json_where_the_standard_library_says_so(text):
    try:
        expected = repr([json.loads(text)])
    except ValueError:
        expected = "bad" if text.strip() else "[]"
    try:
        found = repr(list(Decoding([text.encode()], NDJSONDecoder())))
    except DecodeError:
        found = "bad"
    assert found == expected
