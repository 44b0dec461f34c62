"""The columns behind a record: what is written many at a time reads as if written one by one."""

from __future__ import annotations

import random
import threading
import time
import tracemalloc
from itertools import accumulate

import pytest
from flask import Flask, g

from pytest_flask_stream import ChunksNotKept, StreamClient
from pytest_flask_stream.body import Body
from pytest_flask_stream.columns import BLOCK, Changes, Times, Waits
from pytest_flask_stream.deadline import watchdog
from pytest_flask_stream.tape import BLANK, Tape


def test_times_read_the_same_before_and_after_they_are_packed():
    times = Times()
    for number in range(2 * BLOCK + 3):
        times.append(number / 8)
        assert (len(times), times[number]) == (number + 1, number / 8)
    assert [times[index] for index in (0, BLOCK - 1, BLOCK, 2 * BLOCK)] == [
        index / 8 for index in (0, BLOCK - 1, BLOCK, 2 * BLOCK)
    ]


def test_times_are_packed_however_many_came_in_between():
    times = Times()
    for number in range(3):
        times.pack().extend([float(number)] * (BLOCK + 5 * number))
        assert times.pack() == []
    for number in range(3, 20):
        times.append(float(number))
    assert len(times.pack()) == 17
    assert len(times) == 3 * BLOCK + 32
    assert [times[BLOCK - 1], times[BLOCK], times[3 * BLOCK + 14]] == [0, 1, 2]
    assert [times[index] for index in range(3 * BLOCK + 15, len(times))] == list(range(3, 20))


def test_waits_of_chunks_pulled_alone_and_in_one_go():
    at = Times()
    waits = Waits(at)

    def pulled_alone(*pulls):
        for now, wait in pulls:
            waits.append(now - wait)
            at.append(now)

    def pulled_in_one_go(begun, *times):
        waits.begin(len(at), begun)
        for now in times:
            at.append(now)

    pulled_alone((1.0, 0.5))
    pulled_in_one_go(6.0)  # nothing has come of it
    pulled_in_one_go(2.0, 7.5, 9.5)
    pulled_alone((20.0, 0.125), (30.0, 0.25))
    pulled_in_one_go(50.0, *[51.0] * 300)
    pulled_alone((60.0, 4.0))
    pulled_in_one_go(70.0, 70.25, 71.25)
    assert [waits[index] for index in range(5)] == [0.5, 5.5, 2.0, 0.125, 0.25]
    assert [waits[index] for index in range(5, 305)] == [1.0] + [0.0] * 299
    assert [waits[index] for index in range(305, len(waits))] == [4.0, 0.25, 1.0]


@pytest.mark.parametrize("chunks", [3, BLOCK, 2 * BLOCK + 5])
def test_the_time_of_the_pulls_for_one_chunk_is_added_up_from_any_of_them_on(chunks):
    at = Times()
    waits = Waits(at)
    assert (waits.alone, waits.total(0)) == (0, 0.0)
    for number in range(chunks):
        waits.append(float(number))
        at.append(number + 0.5)
    waits.begin(len(at), 1.0)
    for _ in range(3):
        at.append(1000.0)  # in one go: none of these
    for begun, now in ((9.0, 11.0), (12.0, 13.0)):
        waits.append(begun)
        at.append(now)
    waits.begin(len(at), 1.0)  # nothing has come of it
    waits.append(20.0)  # and this one goes on
    assert waits.alone == chunks + 3
    totals = [waits.total(first) for first in (0, 1, *range(chunks - 1, chunks + 4))]
    assert totals == [chunks / 2 + 3, (chunks - 1) / 2 + 3, 3.5, 3.0, 1.0, 0.0, 0.0]


def test_only_the_runs_that_are_asked_for_are_added_up(monkeypatch):
    at = Times()
    waits = Waits(at)
    for number in range(100):  # as by next() and take() in turn
        waits.append(float(number))
        at.append(number + 0.5)
        waits.begin(len(at), 1.0)
        at.append(1000.0)
    looks, between = [], Times.between
    monkeypatch.setattr(Times, "between", lambda *args: looks.append(args) or between(*args))
    assert waits.total(98) == 1.0
    assert len(looks) == 4  # where it began and where it ended, of each of the two


def test_a_great_many_pulls_are_added_up_without_a_copy_of_them():
    at = Times()
    waits = Waits(at)
    for number in range(64 * BLOCK):
        waits.append(float(number))
        at.append(number + 0.5)
    tracemalloc.start()
    try:
        assert waits.total(0) == 32 * BLOCK
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 64 * BLOCK  # not even a word for each


@pytest.mark.parametrize("make", [Times, lambda: Waits(Times())])
def test_a_time_costs_a_machine_word(make):
    column, count = make(), 8 * BLOCK + 1
    tracemalloc.start()
    try:
        for number in range(count):
            column.append(number / 8)
        cost, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cost < 12 * count


def test_the_spans_of_a_column():
    column = Changes("a")
    assert list(column.spans(2)) == [(range(2), "a")]
    column.note(0, "a")
    column.note(2, "b")
    column.note(2, "c")
    column.note(5, "d")
    assert list(column.spans(4)) == [(range(2), "a"), (range(2, 4), "c")]
    assert list(column.spans(0)) == []
    assert [column[index] for index in range(6)] == [*"aaccc", "d"]
    assert column.last == "d"


def test_what_is_equal_is_no_change():
    column = Changes((True, False))
    column.note(1, tuple([True, False]))  # noqa: C409 - not the very one
    assert list(column.spans(2)) == [(range(2), (True, False))]


def test_a_column_is_read_while_a_change_is_written_down():
    class Index:
        """Looks at the column when it is asked for its number, to be noted: in between."""

        def __init__(self, index):
            self.index = index

        def __index__(self):
            seen.setdefault(self.index, (column[0], column[1], list(column.spans(2))))
            return self.index

    seen = {}
    column = Changes("a")
    column.note(Index(2), "b")
    column.note(Index(3), "c")
    assert seen == dict.fromkeys([2, 3], ("a", "a", [(range(2), "a")]))
    assert list(column.spans(4)) == [(range(2), "a"), (range(2, 3), "b"), (range(3, 4), "c")]


def test_a_body_keeps_every_size_and_its_first_bytes():
    chunks = [b"abc", b"defg", b"", b"hij", b"", b"k", b"lm", b"nopqr"]
    body = Body(keep_bytes=7)
    for chunk in chunks[:3]:
        body.add(chunk)
    assert (body.complete, body.whole("a test")) == (True, chunks[:3])
    for chunk in chunks[3:]:
        body.add(chunk)
    assert (body.complete, len(body), body.size) == (False, 8, 18)
    assert [body.size_of(index) for index in range(8)] == [3, 4, 0, 3, 0, 1, 2, 5]
    assert [body.kept_chunk(index) for index in range(8)] == [*chunks[:3], *[None] * 5]
    assert [body.chunk(index, "a test") for index in range(3)] == body.kept == chunks[:3]
    for read in (lambda: body.chunk(3, "a test"), lambda: body.chunk(7, "a test")):
        with pytest.raises(ChunksNotKept, match=r"^a test needs .*keep_bytes=7"):
            read()
    with pytest.raises(ChunksNotKept, match=r"^the whole needs"):
        body.whole("the whole")


@pytest.mark.parametrize("keep_bytes", [0, 1, 15, 16, 23, 64, 65, 100])
@pytest.mark.parametrize("seed", range(30))
def test_small_chunks_are_kept_as_others_are(monkeypatch, keep_bytes, seed):
    monkeypatch.setattr("pytest_flask_stream.body._MANY", 8)  # of 64 bytes: eight of up to 4 bytes
    chance = random.Random(seed)
    often = chance.choices([0, 1, 9], k=8)
    chunks = list(map(bytes, chance.choices(range(9), [*often, 1], k=40)))
    fitting = [size for size in accumulate(map(len, chunks)) if size <= keep_bytes]
    body = Body(keep_bytes)
    for number, chunk in enumerate(chunks, 1):
        body.add(chunk)
        assert body.kept == chunks[: min(number, len(fitting))]
        assert body.size == sum(map(len, chunks[:number]))
        assert body.complete == (body.room >= 0) == (number <= len(fitting))


@pytest.mark.parametrize("keep_bytes", [0, 5, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 5, 9 * BLOCK])
@pytest.mark.parametrize("small", [0, 1, BLOCK, 3 * BLOCK])
@pytest.mark.parametrize(
    "read",
    [
        list,
        lambda stream: [*stream.take(BLOCK + 7), *stream],
        lambda stream: [next(stream), *stream.take(1 << 20)],
    ],
)
def test_a_stream_is_kept_up_to_the_last_that_fits(monkeypatch, read, small, keep_bytes):
    monkeypatch.setattr("pytest_flask_stream.body._MANY", BLOCK)
    sent = [b"s"] * small + [b"large", b"s", b""] * BLOCK
    app = Flask("small")
    app.add_url_rule("/", "view", lambda: iter(sent))
    with StreamClient(app, keep_bytes=keep_bytes) as client:
        stream = client.get("/")
        assert read(stream) == sent
    fitting = [size for size in accumulate(map(len, sent)) if size <= keep_bytes]
    body = stream._body
    assert body.kept == sent[: len(fitting)]
    assert [body.size_of(index) for index in range(len(body))] == list(map(len, sent))


def test_a_chunk_that_just_fits_is_taken_once():
    size = 1 << 19  # of less than that, none is small
    app = Flask("fits")
    app.add_url_rule("/", "view", lambda: iter(["a" * size, ""]))
    with StreamClient(app, keep_bytes=size) as client:
        assert list(map(len, client.get("/").take(9))) == [size, 0]


def test_a_chunk_is_written_down_with_all_its_facts():
    tape = Tape("GET", "/", "", keep_bytes=3)
    tape.allowed, tape.produced = 1, 2
    tape.note_chunk(b"ab", 0.5, 1.0, (True, True))
    tape.allowed = 2
    tape.note_chunk(b"cd", 2.75, 3.0, (False, True))
    tape.allowed, tape.produced, tape.template_events = 3, 7, 2
    tape.note_chunk(b"e", 3.25, 4.0, (False, False))
    assert (tape.delivered, tape.produced, tape.allowed, tape.template_events) == (3, 7, 3, 0)
    assert [tape.lead[index] + index for index in range(3)] == [2, 2, 7]
    assert [tape.contexts[index] for index in range(3)] == [
        (True, True),
        (False, True),
        (False, False),
    ]
    times = [(tape.at[index], tape.waited[index]) for index in range(3)]
    assert times == [(1, 0.5), (3, 0.25), (4, 0.75)]
    assert [tape.events[index] for index in range(3)] == [0, 0, 2]
    assert [tape.body.size_of(index) for index in range(3)] == [2, 2, 1]
    assert tape.body.kept == [b"ab"]


def test_chunks_that_nobody_has_asked_for_are_allowed():
    tape = Tape("GET", "/", "", keep_bytes=9)
    for number in range(1, 6):
        tape.note_chunk(b"a", 0.5, 1.0, (False, False))
        assert (tape.delivered, tape.allowed, tape.produced) == (number, number, 0)
    tape.allowed, tape.produced = 6, 3
    assert (tape.delivered, tape.allowed, tape.produced, tape.spare) == (5, 6, 3, 3)
    assert tape.produced_early == 3
    tape.first_pull_produced = 2
    assert tape.produced_early == 2


def test_chunks_of_which_nothing_was_noted():
    tape = Tape("GET", "/", "", keep_bytes=9)
    assert (tape.produced, tape.allowed, tape.spare, tape.template_events) == (0, 0, 0, 0)
    assert (tape.lead[1], tape.contexts[1]) == (1, (False, False))
    assert (tape.events[1], tape.pieces[1]) == (0, 0)


def test_template_events_in_a_chunk():
    tape = Tape("GET", "/", "", keep_bytes=9)
    for index, (events, blanks) in enumerate([(0, 0), (1, 1), (0, 7), (3, 1), (1_000_000, 5)]):
        tape.note_events(index, events + blanks * BLANK)
        assert (tape.events[index], tape.pieces[index]) == (events, events + blanks)


@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 1])
def test_facts_at_the_edge_of_a_block(get, count, over_the_wire):
    stream = get(lambda: (b"%d" % number for number in range(count + 1)))
    assert stream.take(count) == [b"%d" % number for number in range(count)]
    assert stream.delivered == count
    assert over_the_wire or (stream.produced, len(stream.record.chunks)) == (count, count)
    last = next(stream)
    assert last == b"%d" % count
    at = [chunk.at for chunk in stream.record.chunks]
    assert at == sorted(at)
    assert [chunk.produced for chunk in stream.record.chunks] == list(range(1, count + 2))
    assert all(chunk.waited >= 0 for chunk in stream.record.chunks)
    assert list(stream) == []


def test_chunks_that_are_not_kept_are_taken_all_the_same(get):
    stream = get(lambda: iter(["ab", "cd", "ef"]), keep_bytes=3)
    assert stream.take(2) == [b"ab", b"cd"]
    assert stream.take(1) == [b"ef"]


def test_a_chunk_of_a_bulk_read_waits_for_the_app_alone(get):
    gate = threading.Event()

    def view():
        def generate():
            yield "a"
            gate.wait(0.05)
            yield "b"
            yield "c"

        return generate()

    stream = get(view)
    next(stream)
    stream.drain()
    waits = [chunk.waited for chunk in stream.record.chunks]
    assert waits[1] >= 0.045
    assert max(waits[0], waits[2]) < waits[1]


def read_in_turns(stream):
    return [next(stream), *stream.take(2), next(stream), *stream.take(9)]


@pytest.mark.parametrize("read", [list, lambda stream: stream.drain(), read_in_turns])
def test_contexts_that_come_and_go_between_chunks(open_client, read):
    app = Flask("contexts")

    @app.get("/")
    def index():
        request_context = app.test_request_context("/other")

        def generate():
            yield "no context"
            with app.app_context():
                yield "app"
                with request_context:
                    yield "another request, same app"
                yield "app"
            yield "no context"

        return generate()

    stream = open_client(app).get("/")
    read(stream)
    flags = [(chunk.request_context, chunk.app_context) for chunk in stream.record.chunks]
    assert flags == [(False, app) for app in (False, True, True, True, False)]


@pytest.mark.parametrize("read", [list, lambda stream: stream.drain()])
def test_a_context_whose_teardown_raises_is_gone_all_the_same(open_client, read):
    # Flask sends no signal then that it was popped.
    app = Flask("contexts")

    @app.teardown_appcontext
    def raise_where_told(_):
        if g.get("raises"):
            raise LookupError

    @app.get("/")
    def index():
        def generate():
            try:
                with app.app_context():
                    g.raises = True
                    yield "app"
            except LookupError:
                yield "no context"

        return generate()

    stream = open_client(app).get("/")
    read(stream)
    assert [chunk.app_context for chunk in stream.record.chunks] == [True, False]


@pytest.mark.in_process("a debugger in a server's thread does not stop the server's clock")
def test_the_time_in_a_debugger_is_no_wait_in_a_bulk_read_either(get):
    spent = []

    def spend(seconds):
        begun = time.perf_counter()
        threading.Event().wait(seconds)
        spent.append(time.perf_counter() - begun)

    def view():
        def generate():
            yield from "abcd"
            spend(0.02)
            watchdog.suspend()
            spend(0.1)
            watchdog.resume()
            yield "e"
            yield "f"

        return generate()

    stream = get(view, timeout=5.0)
    begun = time.perf_counter()
    stream.drain()
    took = time.perf_counter() - begun
    waits = [chunk.waited for chunk in stream.record.chunks]
    in_app, in_debugger = spent
    assert min(waits) >= 0
    assert waits[4] >= in_app
    assert sum(waits) <= took - in_debugger
