"""The record: plain facts, read-only, and their transcript."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Sequence

import flask
import pytest
from flask import Flask, stream_with_context

from pytest_flask_stream import (
    ChunkRecord,
    StreamClosed,
    StreamRecord,
    StreamTimeout,
    Teardown,
)


@pytest.fixture
def stream_of(open_client):
    """``stream_of(view)`` opens ``GET /rows?page=2`` of an app with that view."""

    def stream_of(view, *, path="/rows?page=2", method="GET", layer=None, **settings):
        app = Flask("record", static_folder=None)
        app.add_url_rule("/rows", "rows", view)
        if layer is not None:
            app.wsgi_app = layer(app.wsgi_app)
        return open_client(app, **settings).open(path, method=method)

    return stream_of


def abc():
    def generate():
        yield "a"
        yield ""
        yield "ccc"

    return generate(), {"Content-Type": "text/plain", "X-Mine": "1"}


def test_the_facts_of_a_stream_that_is_read_step_by_step(stream_of, paced):
    items = paced("a", "bb", "ccc")
    headers = {"Content-Type": "text/plain", "X-Mine": "1"}
    stream = stream_of(lambda: (iter(items), headers))
    record = stream.record
    assert isinstance(record, StreamRecord)
    assert record is stream.record
    assert (record.method, record.path, record.query_string) == ("GET", "/rows", "page=2")
    assert (record.endpoint, record.status, record.streamed) == ("rows", "200 OK", True)
    assert record.headers["X-Mine"] == "1"
    assert (record.state, record.produced, len(record.chunks)) == ("open", 0, 0)
    for number, size in enumerate([1, 2, 3], start=1):
        items.let_go()
        next(stream)
        assert (record.produced, record.delivered, len(record.chunks)) == (number, number, number)
        assert record.chunks[-1].size == size
    assert (record.state, record.error) == ("open", None)
    stream.drain()
    assert (record.state, record.error) == ("exhausted", None)
    assert [chunk.size for chunk in record.chunks] == [1, 2, 3]
    assert [chunk.index for chunk in record.chunks] == [0, 1, 2]
    assert [chunk.produced for chunk in record.chunks] == [1, 2, 3]
    assert {chunk.template_events for chunk in record.chunks} == {0}
    assert record.teardowns == [Teardown("request", 0, None), Teardown("app", 0, None)]


def test_chunks_are_a_sequence_of_facts(stream_of):
    stream = stream_of(abc)
    stream.drain()
    chunks = stream.record.chunks
    assert isinstance(chunks, Sequence)
    assert all(type(chunk) is ChunkRecord for chunk in chunks)
    assert chunks[-1] == chunks[2] == list(chunks)[2]
    assert chunks[1:] == [chunks[1], chunks[2]]
    assert chunks[::-1] == list(reversed(chunks))
    assert chunks[0] in chunks
    assert repr(chunks) == "<3 ChunkRecords>"
    for index in (3, -4):
        with pytest.raises(IndexError):
            chunks[index]


def test_nothing_can_be_changed_through_a_record(stream_of):
    stream = stream_of(abc)
    record = stream.record
    stream.drain()
    names = [name for name, value in vars(StreamRecord).items() if isinstance(value, property)]
    assert "produced" in names
    for name in names:
        with pytest.raises(AttributeError):
            setattr(record, name, None)
    with pytest.raises(AttributeError):
        record.chunks[0].size = 7
    with pytest.raises(AttributeError):
        record.teardowns[0].kind = "app"
    record.headers["X-Mine"] = "2"
    record.teardowns.clear()
    assert record.headers["X-Mine"] == "1"
    assert len(record.teardowns) == 2


def test_a_record_outlives_its_client(open_client, over_the_wire):
    app = Flask("record", static_folder=None)
    app.add_url_rule("/rows", "rows", abc)
    with open_client(app) as client:
        stream = client.get("/rows")
        record = stream.record
        next(stream)
    assert record.state == "closed"
    assert over_the_wire or (record.produced, len(record.chunks)) == (1, 1)
    with pytest.raises(StreamClosed):
        next(stream)


def test_waited_is_the_time_of_the_pull_and_at_that_of_the_whole_exchange(stream_of, over_the_wire):
    def view():
        def generate():
            yield "a"
            time.sleep(0.02)
            yield "b"
            yield "c"

        return generate()

    before = time.perf_counter()
    stream = stream_of(view)
    stream.take(2)
    time.sleep(0.02)
    next(stream)
    longest = time.perf_counter() - before
    first, second, third = stream.record.chunks
    assert second.waited >= 0.02
    assert second.at - first.at >= second.waited
    assert over_the_wire or third.at - second.at >= 0.02 + third.waited
    assert 0 <= first.waited <= first.at <= second.at <= third.at <= longest


def test_times_of_a_bulk_read_are_those_of_each_chunk(stream_of):
    def view():
        def generate():
            yield "a"
            yield "b"
            time.sleep(0.02)
            yield "c"

        return generate()

    stream = stream_of(view)
    stream.drain()
    first, second, third = stream.record.chunks
    assert third.waited >= 0.02
    assert second.at < third.at - 0.02 + 1e-6
    assert first.waited + second.waited + third.waited <= third.at


def test_a_request_that_reaches_no_view(stream_of):
    def layer(wsgi_app):
        def answer(environ, start_response):
            start_response("418 I'm a teapot", [])
            return [b"tea"]

        return answer

    record = stream_of(abc, layer=layer).record
    assert (record.endpoint, record.streamed, record.status) == (None, None, "418 I'm a teapot")
    assert record.teardowns == []


# Transcripts


def shown(text):
    return re.sub(r"\d+\.\d{3} s", "T", text)


def test_the_transcript_of_an_open_stream(stream_of, paced):
    items = paced("a", "bb", "ccc")
    stream = stream_of(lambda: (iter(items), {"Content-Type": "text/plain"}))
    items.let_go(2)
    stream.take(2)
    record = stream.record
    assert shown(str(record)).splitlines() == [
        "GET /rows?page=2  200 text/plain  open  produced 2  delivered 2  teardown: request, app"
        " before chunk 1",
        "  #0  1 B  produced 1  waited T  no context  b'a'",
        "  #1  2 B  produced 2  waited T  no context  b'bb'",
    ]
    assert str(record) == record.transcript()
    assert repr(record) == (
        "<StreamRecord GET /rows?page=2 200 open: 2 chunks delivered, 2 items produced>"
    )
    items.let_go(2)


def test_the_transcript_without_times_is_the_same_from_run_to_run(stream_of):
    texts = set()
    for _run in range(3):
        stream = stream_of(abc)
        stream.drain()
        texts.add(stream.record.transcript(times=False))
    assert [text.splitlines() for text in texts] == [
        [
            "GET /rows?page=2  200 text/plain  exhausted  produced 3  delivered 3  teardown:"
            " request, app before chunk 1",
            "  #0  1 B  produced 1  no context  b'a'",
            "  #1  0 B  produced 2  no context  b''",
            "  #2  3 B  produced 3  no context  b'ccc'",
        ]
    ]


@pytest.mark.usefixtures("small_heap")
def test_the_transcript_of_a_timeout_without_times_is_stable_too(stream_of):
    def view():
        def generate():
            yield "a"
            threading.Event().wait(2)

        return generate()

    stream = stream_of(view)
    next(stream)
    stream.timeout = 0.3
    with pytest.raises(StreamTimeout):
        stream.drain()
    last = stream.record.transcript(times=False).splitlines()[-1]
    assert last.startswith("  error: StreamTimeout: timeout is 0.3 s (pull)  ")
    assert last.endswith("threading.Event().wait(2)")
    assert "kept the test waiting for 0." in str(stream.record)


@pytest.mark.parametrize(
    ("limit", "numbers", "left_out"),
    [
        (None, list(range(9)), None),
        (1, [0, 8], "  … 7 more chunks (all with -vv)"),
        (3, [0, 1, 2, 6, 7, 8], "  … 3 more chunks (all with -vv)"),
        (4, [0, 1, 2, 3, 5, 6, 7, 8], "  … 1 more chunk (all with -vv)"),
        (5, list(range(9)), None),
    ],
)
def test_the_limit_of_a_transcript(stream_of, limit, numbers, left_out):
    stream = stream_of(lambda: (str(n) for n in range(9)))
    stream.drain()
    lines = stream.record.transcript(limit=limit, times=False).splitlines()[1:]
    chunks = [line for line in lines if line.startswith("  #")]
    assert [int(line.split()[0][1:]) for line in chunks] == numbers
    assert [line for line in lines if line not in chunks] == ([left_out] if left_out else [])
    if left_out:
        assert lines.index(left_out) == limit


def test_chunks_that_are_not_kept_and_long_ones(stream_of):
    stream = stream_of(lambda: iter(["x" * 24 + "--" + "y" * 12, "b", "c"]), keep_bytes=39)
    stream.drain()
    head = "produced {0}  no context"
    assert stream.record.transcript(times=False).splitlines()[1:] == [
        f"  #0  38 B  {head.format(1)}  b'{'x' * 24}…{'y' * 12}'",
        f"  #1  1 B  {head.format(2)}  b'b'",
        f"  #2  1 B  {head.format(3)}  (not kept)",
    ]


def test_an_error_is_shown_with_its_line(stream_of):
    def view():
        def generate():
            yield "a"
            raise LookupError("no such row\nat all")

        return generate()

    stream = stream_of(view)
    with pytest.raises(LookupError):
        stream.drain()
    first, second, last = stream.record.transcript(times=False).splitlines()
    assert "failed  produced 1  delivered 1" in first
    assert second == "  #0  1 B  produced 1  no context  b'a'"
    place = r"\S*test_record\.py:\d+"
    line = re.escape(r'raise LookupError("no such row\nat all")')
    assert re.fullmatch(rf"  error: LookupError: no such row  {place}  {line}", last)


def test_an_error_without_a_text_is_named(stream_of):
    def view():
        def generate():
            yield "a"
            raise LookupError

        return generate()

    stream = stream_of(view)
    with pytest.raises(LookupError):
        stream.drain()
    assert "  error: LookupError  " in str(stream.record)


def test_what_the_server_refuses_is_shown_with_the_view(stream_of):
    def view():
        return iter([1])

    stream = stream_of(view)
    with pytest.raises(TypeError):
        stream.drain()
    last = str(stream.record).splitlines()[-1]
    assert re.search(r"a server takes bytes only \(PEP 3333\)  \S+:\d+  def view\(\):$", last)


def test_contexts_and_template_events_are_shown(stream_of):
    def view():
        app = flask.current_app._get_current_object()
        template = app.jinja_env.from_string("x{{ y }}")

        def generate():
            yield "plain"
            with app.app_context():
                yield "app"

        return itertools.chain(stream_with_context(template.generate(y="")), generate())

    stream = stream_of(view)
    stream.drain()
    assert stream.record.transcript(times=False).splitlines()[1:] == [
        "  #0  1 B  produced 1  request context  1 event  b'x'",
        "  #1  0 B  produced 2  request context  0 events  b''",
        "  #2  5 B  produced 3  no context  0 events  b'plain'",
        "  #3  3 B  produced 4  app context  0 events  b'app'",
    ]
