"""The claim that each record arrives whole and alone in one chunk, and what it says otherwise."""

from __future__ import annotations

import gzip
import re
import threading
import zlib
from itertools import accumulate, pairwise

import pytest
from flask import Flask, Response, render_template_string, stream_template_string
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_flask_stream import (
    ChunksNotKept,
    DecodeError,
    EndlessStream,
    StreamTimeout,
)
from pytest_flask_stream.record_cuts import FORMATS, Cut, RecordCuts
from pytest_flask_stream.record_findings import Crowd, Tally


@pytest.fixture
def claim(get):
    """``claim(kind, *items)`` makes the claim of a view that yields these items."""

    def claim(kind, *items, content_type="text/plain", headers=None, **settings):
        view = lambda: Response(iter(items), content_type=content_type, headers=headers)  # noqa: E731
        get(view, **settings).assert_one_record_per_chunk(kind)

    return claim


def cuts_of(kind, chunks, encoding="utf-8"):
    cuts = RecordCuts(kind, encoding)
    found = [cut for chunk in chunks for cut in cuts.feed(chunk)]
    return [*found, *cuts.end()]


def right(kind, chunks, encoding="utf-8"):
    return Tally(cuts_of(kind, chunks, encoding)).right


def text_of(caught):
    """Give the failure's text with times and folders made equal."""
    text = re.sub(r"waited \d+\.\d{3} s", "waited 0.000 s", str(caught.value))
    return re.sub(r"\((?:[^() ]*/)?(test_\w+\.py):\d+", r"(\1:0", text)


# Where it holds


@pytest.mark.parametrize(
    ("kind", "items"),
    [
        ("line", ["a\n", "b\r\n", "c\r", "d"]),
        ("line", ["a\n", "", "b\n", b""]),
        ("line", ["\n", "\n"]),
        ("line", ["\x85a\u2028b\x0c\n", "c"]),
        ("line", [b"\xff\n", b"\xc3\n"]),
        ("ndjson", ['{"a": 1}\n', "[]\r\n", "1"]),
        ("ndjson", ["\n", "1\n\n", " \r\n2\n", "", "\n"]),
        ("ndjson", ['"\\r\r\x85\u2028"\n', "no json\n"]),
        ("sse", ["data: a\n\n", "event: b\ndata: b\r\n\r\n", "data\r\r"]),
        ("sse", ["data: a\n\n\n\n", "\n", "id: 1\n\n", "retry: 5\n\n"]),
    ],
)
def test_holds_where_each_record_is_a_chunk(claim, kind, items):
    claim(kind, *items)


@pytest.mark.parametrize("kind", FORMATS)
def test_holds_without_chunks_and_without_bytes(claim, kind):
    claim(kind)
    claim(kind, "", b"")


def test_heartbeats_and_comments_are_no_records(claim):
    claim("sse", ": hi\n\n", "data: a\n\n", ":\n\n", ":\r\n\r\n", "", "data: b\n\n")
    claim("sse", ": one\n: two\n\ndata: a\n\n: three\n\n", ":\n", "data: b\n\n", ": no end")


def test_a_comment_inside_a_block_does_not_end_it(claim):
    claim("sse", "data: a\n: why\ndata: b\n\n")
    with pytest.raises(AssertionError, match="record 0 is split over chunks 0 to 2"):
        claim("sse", "data: a\n", ": why\n", "\n")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_byte_order_mark_belongs_to_no_record(claim, kind):
    record = "data: 1\n\n" if kind == "sse" else "1\n"
    claim(kind, "\ufeff", record, record)
    claim(kind, "\ufeff" + record, record)


def test_repeats_and_reads_to_the_end_whatever_was_read_before(get):
    stream = get(lambda: iter(["a\n", "b\n", "c\n"]))
    next(stream)
    stream.assert_one_record_per_chunk("line")
    assert (stream.state, stream.delivered) == ("exhausted", 3)
    stream.assert_one_record_per_chunk("line")
    stream.assert_one_record_per_chunk("ndjson")


def test_after_disconnect_judges_what_was_delivered(get):
    def ticks():
        while True:
            yield "data: tick\n\n"
            yield "data: tock\n\ndata: tick\n\n"

    stream = get(ticks)
    stream.take(1)
    stream.disconnect()
    stream.assert_one_record_per_chunk("sse")

    stream = get(ticks)
    stream.take(2)
    stream.disconnect()
    with pytest.raises(AssertionError, match="chunk 1 holds 2 records, 1 and 2"):
        stream.assert_one_record_per_chunk("sse")


def test_a_line_that_the_client_did_not_wait_for_may_lack_its_end(get):
    stream = get(lambda: iter(["a\n", "b", "\n"]))
    stream.take(2)
    stream.disconnect()
    stream.assert_one_record_per_chunk("line")


# What it refuses, and what passes through


@pytest.mark.parametrize("kind", ["lines", "", "csv", None, b"sse", ["sse"]])
def test_an_unknown_format_is_told_before_anything_is_read(get, kind, over_the_wire):
    stream = get(lambda: iter("ab"))
    with pytest.raises(ValueError) as caught:
        stream.assert_one_record_per_chunk(kind)
    assert str(caught.value) == f"format must be one of 'line', 'ndjson', 'sse', not {kind!r}"
    assert over_the_wire or stream.produced == 0


def test_past_keep_bytes_it_cannot_tell(get):
    stream = get(lambda: iter(["aaa\n"] * 4), keep_bytes=10)
    with pytest.raises(ChunksNotKept, match=r"^assert_one_record_per_chunk\(\) needs"):
        stream.assert_one_record_per_chunk("line")


def test_an_endless_stream_passes_through(get):
    def forever():
        while True:
            yield "a\n"

    with pytest.raises(EndlessStream):
        get(forever, max_chunks=10).assert_one_record_per_chunk("line")


def test_a_timeout_passes_through(get):
    over = threading.Event()

    def busy():
        yield "a\n"
        while not over.is_set():
            pass

    stream = get(busy)
    stream.timeout = 0.05
    with pytest.raises(StreamTimeout):
        stream.assert_one_record_per_chunk("line")
    over.set()


def test_an_error_of_the_app_fails_it(get):
    error = LookupError("no row")

    def rows():
        yield "a\n"
        raise error

    stream = get(rows)
    with pytest.raises(AssertionError) as caught:
        stream.assert_one_record_per_chunk("line")
    assert caught.value.__cause__ is error
    assert str(caught.value).startswith(
        "assert_one_record_per_chunk('line'): GET / ended in LookupError\n"
        "  seen:    LookupError after 1 chunk\n"
    )


def test_the_users_line_is_the_last_one_shown(claim):
    with pytest.raises(AssertionError) as caught:
        claim("line", "a\nb\n")
    frames = [
        entry for entry in caught.traceback if not entry.frame.f_locals.get("__tracebackhide__")
    ]
    assert frames[-1].path.name == "test_record_claims.py"


# What it says


def test_the_text_of_a_chunk_with_several_records(get):
    def view():
        return iter(["data: 0\n\n", "data: 1\n\ndata: 2\n\n: beat\n\ndata: 3\n\n"])

    with pytest.raises(AssertionError) as caught:
        get(view).assert_one_record_per_chunk("sse")
    assert text_of(caught).splitlines() == [
        "assert_one_record_per_chunk('sse'): GET / does not send each SSE block in a chunk"
        " of its own",
        "  seen:    chunk 1 holds 3 records, 1 to 3:"
        " b'data: 1\\n\\ndata: 2\\n\\n: beat\\n\\ndata: 3\\n\\n';"
        " 4 records in 2 chunks",
        "  cause:   view view (test_record_claims.py:0  def view():)"
        " yields several records at once",
        "  remedy:  yield each record by itself, together with the empty line behind it",
        "  GET /  200 text/html  exhausted  produced 2  delivered 2"
        "  teardown: request, app before chunk 1",
        "    #0  9 B  produced 1  waited 0.000 s  no context  b'data: 0\\n\\n'",
        "    #1  35 B  produced 2  waited 0.000 s  no context"
        "  b'data: 1\\n\\ndata: 2\\n\\n: beat\\n\\ndata: 3\\n\\n'",
    ]


def test_the_text_of_a_split_record(get, over_the_wire):
    def view():
        return iter(["1\n", '{"a": ', "", "2}\n", "3\n"])

    where = "1 to 3, b'{\"a\": ' to b'2}\\n'; 3 records in 5 chunks"
    if over_the_wire:
        where = "1 and 2, b'{\"a\": ' and b'2}\\n'; 3 records in 4 chunks"
    with pytest.raises(AssertionError) as caught:
        get(view).assert_one_record_per_chunk("ndjson")
    assert text_of(caught).splitlines()[:4] == [
        "assert_one_record_per_chunk('ndjson'): GET / does not send each NDJSON record in a chunk"
        " of its own",
        f"  seen:    record 1 is split over chunks {where}",
        "  cause:   view view (test_record_claims.py:0  def view():)"
        " yields a record in several items",
        "  remedy:  yield each record by itself, together with its line end",
    ]


def test_the_text_of_a_body_that_is_cut_anywhere(get):
    body = "".join(f"{number},user\n" for number in range(10))

    def view():
        return iter([body[:39], body[39:]])

    with pytest.raises(AssertionError) as caught:
        get(view).assert_one_record_per_chunk("line")
    assert text_of(caught).splitlines()[:4] == [
        "assert_one_record_per_chunk('line'): GET / does not send each line in a chunk of its own",
        "  seen:    chunk 0 holds 6 records, 0 to 5, whole or in part:"
        " b'0,user\\n1,user\\n2,user\\n3,u…\\n4,user\\n5,us'; in all, 1 of 10 records is split,"
        " and 2 of 2 chunks hold more than one",
        "  cause:   view view (test_record_claims.py:0  def view():)"
        " yields items that are cut elsewhere"
        " than between two records",
        "  remedy:  yield each record by itself, together with its line end",
    ]


def test_the_text_of_blocks_that_are_never_ended(get):
    def view():
        return iter(["data: 0\n", "data: 1\n", "data: 2\n"])

    with pytest.raises(AssertionError) as caught:
        get(view).assert_one_record_per_chunk("sse")
    assert text_of(caught).splitlines()[1:4] == [
        "  seen:    record 0 is split over chunks 0 to 2 and not ended,"
        " b'data: 0\\n' to b'data: 2\\n';"
        " 1 record in 3 chunks",
        "  cause:   view view (test_record_claims.py:0  def view():)"
        " does not end it: an SSE block is"
        " ended by an empty line, and clients drop one that is not",
        "  remedy:  yield the empty line with the record: '\\n\\n' behind its last field",
    ]


def test_the_text_of_a_last_block_that_is_not_ended(get):
    stream = get(lambda: iter(["data: 0\n\n", "data: 1\n", "\n"]))
    with pytest.raises(AssertionError, match="record 1 is split over chunks 1 and 2"):
        stream.assert_one_record_per_chunk("sse")

    stream = get(lambda: iter(["data: 0\n\n", "data: 1\n", "\n"]))
    stream.take(2)
    stream.disconnect()
    with pytest.raises(AssertionError) as caught:
        stream.assert_one_record_per_chunk("sse")
    assert text_of(caught).splitlines()[1:4] == [
        "  seen:    record 1, in chunk 1, is not ended: b'data: 1\\n'; 2 records in 2 chunks",
        "  cause:   the client left before the record was ended",
        "  remedy:  read up to the end of a record, then disconnect()",
    ]


def test_the_cause_is_a_complete_body(get):
    with pytest.raises(AssertionError, match="complete body, not an iterator"):
        get(lambda: "a\nb\n").assert_one_record_per_chunk("line")


def test_the_cause_is_a_template(get):
    source = "{% for i in range(3) %}{{ i }}\n{% endfor %}"
    stream = get(lambda: stream_template_string(source))
    with pytest.raises(AssertionError, match="streams a template, whose events are no records"):
        stream.assert_one_record_per_chunk("line")
    rendered = get(lambda: render_template_string(source))
    with pytest.raises(AssertionError, match="complete body"):
        rendered.assert_one_record_per_chunk("line")


def test_the_cause_is_an_after_request_function(open_client):
    app = Flask("reads")
    app.add_url_rule("/", "view", lambda: Response(item for item in ["a\n", "b\n"]))

    @app.after_request
    def sign(response):
        response.set_data(response.get_data())
        return response

    with pytest.raises(AssertionError, match=r"after_request function sign read the body: "):
        open_client(app).get("/").assert_one_record_per_chunk("line")


@pytest.mark.parametrize(
    ("layer", "does"),
    [
        (lambda items: (item[at : at + 1] for item in items for at in range(len(item))), "cuts up"),
        (lambda items: (first + next(items) for first in items), "merges its items"),
    ],
)
def test_the_cause_is_a_layer(open_client, layer, does):
    app = Flask("behind")
    app.add_url_rule("/", "view", lambda: iter(["a\n", "b\n"]))
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start: layer(iter(inner(environ, start)))
    with pytest.raises(AssertionError) as caught:
        open_client(app).get("/").assert_one_record_per_chunk("line")
    cause = text_of(caught).splitlines()[2]
    assert does in cause or "read the body" in cause


# Charsets and content codings


def test_lines_are_those_of_the_responses_charset(claim):
    utf16 = "text/plain; charset=utf-16-le"
    lines = [line.encode("utf-16-le") for line in ("a\u0a0a\n", "b\n", "c")]
    claim("line", *lines, content_type=utf16)
    claim("line", b"\xff\xfe", *lines, content_type="text/plain; charset=utf-16")
    body = b"".join(lines)
    for at in range(1, len(body)):
        if at not in (len(lines[0]), len(lines[0] + lines[1])):
            with pytest.raises(AssertionError):
                claim("line", body[:at], body[at:], content_type=utf16)


def test_an_unknown_charset_is_told_before_anything_is_read(get, over_the_wire):
    stream = get(lambda: Response(iter("a"), content_type="text/plain; charset=nope"))
    with pytest.raises(DecodeError, match="charset is unknown"):
        stream.assert_one_record_per_chunk("line")
    assert over_the_wire or stream.produced == 0
    stream.assert_one_record_per_chunk("ndjson")


def flushed(records, *, each):
    coder = zlib.compressobj(wbits=zlib.MAX_WBITS + 16)
    for record in records:
        yield coder.compress(record) + (coder.flush(zlib.Z_SYNC_FLUSH) if each else b"")
    yield coder.flush()


def test_a_compressed_body_is_judged_by_what_becomes_readable(claim, over_the_wire):
    headers = {"Content-Encoding": "gzip"}
    records = [b"data: 1\n\n", b"data: 2\n\n"]
    claim("sse", *flushed(records, each=True), headers=headers)
    claim("sse", gzip.compress(records[0]), headers=headers)
    with pytest.raises(AssertionError) as caught:
        claim("sse", *flushed(records, each=False), headers=headers)
    lines = text_of(caught).splitlines()
    last = 1 if over_the_wire else 2  # in between, there is an empty one
    assert lines[1].startswith(f"  seen:    chunk {last} holds 2 records, 0 and 1: b'")
    assert lines[2:4] == [
        "  cause:   the body is compressed, and what is not flushed waits in the compressor",
        "  remedy:  flush the compressor behind each record, or leave out responses that are"
        " streamed",
    ]


def test_a_coding_that_is_not_known_or_not_kept_to(claim):
    with pytest.raises(DecodeError, match="'br' cannot be decoded"):
        claim("line", "a\n", headers={"Content-Encoding": "br"})
    with pytest.raises(DecodeError, match="not coded as its header says"):
        claim("line", "a\n", headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize("chunks", [[b"a\0"], [b"", b"a", b"\0"], [b"a\xd8"]])
def test_a_charset_whose_byte_order_mark_is_missing(get, chunks, over_the_wire):
    stream = get(lambda: Response(iter(chunks), content_type="text/plain; charset=utf-16"))
    first = int(b"" in chunks and not over_the_wire)
    for read in (
        lambda: stream.assert_one_record_per_chunk("line"),
        lambda: list(stream.iter_lines()),
    ):
        with pytest.raises(DecodeError, match="not utf-16: ") as caught:
            read()
        assert (caught.value.record, caught.value.chunk, caught.value.offset) == (0, first, 0)
        shown = [entry for entry in caught.traceback if not entry.ishidden(caught)]
        assert {entry.path.name for entry in shown} == {"test_record_claims.py"}


# Cuts


@pytest.mark.parametrize(
    ("kind", "chunks", "cuts"),
    [
        ("line", [b"a\r", b"\nb"], [Cut(0, 1), Cut(1, 1)]),
        ("line", [b"a\r", b"", b"\n"], [Cut(0, 2)]),
        ("line", [b"a\r", b"", b"b\r"], [Cut(0, 0), Cut(2, 2)]),
        ("line", [b"a\r", b"\r", b"\n"], [Cut(0, 0), Cut(1, 2)]),
        ("line", [b"a\n", b"\r"], [Cut(0, 0), Cut(1, 1)]),
        ("line", [b"\xc3", b"", b"\xa9\n"], [Cut(0, 2)]),
        ("line", [b"a\n\xc3", b"\xa9\nb\n"], [Cut(0, 0), Cut(0, 1), Cut(1, 1)]),
        ("line", [b"a\r\xe2", b"\x82", b"\xacb"], [Cut(0, 0), Cut(0, 2)]),
        ("line", [b"a\n\xc3"], [Cut(0, 0), Cut(0, 0)]),
        ("ndjson", [b"1\r", b"\n"], [Cut(0, 1)]),
        ("ndjson", [b" ", b"\n", b" 1", b" \n"], [Cut(2, 3)]),
        ("sse", [b"data: a\r\n\r", b"\n", b"data: b\r\n\r\n"], [Cut(0, 1), Cut(2, 2)]),
        ("sse", [b"data: a\r", b"\ndata: b\n\n"], [Cut(0, 1)]),
        ("sse", [b"data: a\r\r", b"data: b\r\r"], [Cut(0, 0), Cut(1, 1)]),
        ("sse", [b"data: a\n", b"", b":\n"], [Cut(0, 0, ended=False)]),
        ("sse", [b"data: a\n\r"], [Cut(0, 0)]),
        ("sse", [b": a\n", b"id", b": 1\n\n"], [Cut(1, 2)]),
        ("sse", [b": a", b"\r", b"\n\n"], []),
    ],
)
def test_cuts(kind, chunks, cuts):
    assert cuts_of(kind, chunks) == cuts


def test_a_tally_keeps_the_first_of_each():
    tally = Tally([Cut(0, 0), Cut(0, 2), Cut(2, 2), Cut(2, 3), Cut(4, 4), Cut(4, 4), Cut(4, 4)])
    assert (tally.records, tally.split, tally.crowded) == (7, 2, 3)
    assert tally.first_split == (1, Cut(0, 2))
    assert tally.first_crowd == Crowd(0, 0, 1)
    assert not tally.split_comes_first


LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
TEXT = st.text(
    st.characters(exclude_characters="\r\n\ufeff", exclude_categories=["Cs"]), min_size=1
)
FIELDS = st.tuples(st.sampled_from(["data", "id", "event", "retry", "x"]), st.text("ab:é ")).map(
    ": ".join
)


@st.composite
def bodies(draw):
    """A kind, and a body of it as its records."""
    kind = draw(st.sampled_from(FORMATS))
    end = draw(st.sampled_from(["\n", "\r\n"]) if kind == "ndjson" else LINE_ENDS)
    if kind == "sse":
        block = st.lists(FIELDS, min_size=1, max_size=3).map(lambda lines: [*lines, ""])
        records = [
            "".join(line + end for line in lines) for lines in draw(st.lists(block, max_size=4))
        ]
    else:
        lines = TEXT.filter(lambda text: text.strip(" \t")) if kind == "ndjson" else TEXT
        records = [line + end for line in draw(st.lists(lines, max_size=5))]
        if records and draw(st.booleans()):
            records[-1] = records[-1].removesuffix(end)
    return kind, [record.encode() for record in records]


@settings(deadline=None)
@given(bodies(), st.data())
def test_holds_at_the_records_and_nowhere_else(body, data):
    kind, records = body
    assert right(kind, records)
    whole = b"".join(records)
    places = data.draw(st.sets(st.integers(0, len(whole))))
    chunks = [whole[a:b] for a, b in pairwise(sorted({0, len(whole), *places}))]
    assert right(kind, chunks) == ([c for c in chunks if c] == records)
    assert right(kind, [piece for chunk in chunks for piece in (b"", chunk)]) == right(kind, chunks)


@settings(deadline=None)
@given(bodies(), st.data())
def test_a_single_false_cut_or_merge_is_found(body, data):
    kind, records = body
    whole = b"".join(records)
    ends = list(accumulate(map(len, records)))
    at = data.draw(st.integers(1, max(len(whole) - 1, 1)))
    assume(records and len(whole) > 1)
    wanted = {0, *ends} ^ {at}
    chunks = [whole[a:b] for a, b in pairwise(sorted(wanted))]
    assert not right(kind, chunks)
