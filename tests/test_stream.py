"""What a response does: one pull for one chunk, whole bodies, states, and one close."""

from __future__ import annotations

import json
import threading
import traceback

import pytest
from flask import Flask, Response, jsonify
from werkzeug.sansio.response import Response as SansIOResponse

from pytest_flask_stream import (
    ChunksNotKept,
    EndlessStream,
    StreamClosed,
    StreamedResponse,
    StreamTimeout,
)

WAIT = 5.0  # seconds that a gate is waited for: a limit, never a pause


class Items:
    """An iterator that a view hands over: counts its pulls and its closes, may fail."""

    def __init__(self, *items, error=None, close_error=None):
        self.items = list(items)
        self.error = error
        self.close_error = close_error
        self.pulls = 0
        self.closes = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.pulls += 1
        if self.items:
            return self.items.pop(0)
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self):
        self.closes += 1
        if self.close_error is not None:
            raise self.close_error


def view_of(*items):
    return lambda: iter(list(items))


def counting_forever():
    number = 0
    while True:
        yield f"{number}\n"
        number += 1


# Opening


def test_opening_produces_nothing(get, over_the_wire):
    items = Items(b"a", b"b")
    stream = get(lambda: items)
    assert stream.status_code == 200
    assert (stream.delivered, stream.chunks) == (0, [])
    assert over_the_wire or (items.pulls, stream.produced) == (0, 0)


def test_opening_an_endless_stream_returns(get, over_the_wire):
    stream = get(counting_forever)
    assert over_the_wire or stream.produced == 0
    assert next(stream) == b"0\n"


def test_a_complete_body_counts_its_parts_at_once(get):
    stream = get(lambda: "whole")
    assert (stream.produced, stream.delivered, stream.streamed) == (1, 0, False)
    parts = get(lambda: Response(["a", "b", "c"]))
    assert (parts.produced, parts.delivered, parts.streamed) == (3, 0, False)


def test_streamed_tells_what_the_view_handed_over(get):
    assert get(view_of("a")).streamed is True
    assert get(lambda: (item for item in "ab")).streamed is True
    assert get(lambda: Response(iter("ab"))).streamed is True
    assert get(lambda: jsonify(a=1)).streamed is False
    assert get(lambda: {"a": 1}).streamed is False
    assert get(lambda: Response("a")).streamed is False
    assert get(lambda: ("gone", 410)).streamed is False


def test_an_error_page_is_no_stream(open_client):
    stream = open_client(Flask("empty")).get("/nowhere")
    assert (stream.status_code, stream.streamed) == (404, False)
    assert b"Not Found" in stream.read()


def test_a_response_is_a_sansio_response_without_its_body(get):
    def view():
        response = Response(iter("a"), mimetype="text/csv", status=202)
        response.headers["X-Row-Count"] = "1"
        response.cache_control.no_store = True
        response.content_length = 1
        return response

    stream = get(view)
    assert isinstance(stream, SansIOResponse)
    assert (stream.status, stream.status_code) == ("202 ACCEPTED", 202)
    assert (stream.mimetype, stream.content_length) == ("text/csv", 1)
    assert stream.headers["X-Row-Count"] == "1"
    assert stream.cache_control.no_store
    assert (stream.request.method, stream.request.path, stream.history) == ("GET", "/", ())


def test_a_response_without_a_content_type_gets_none(get):
    def view():
        response = Response(iter("a"))
        del response.headers["Content-Type"]
        return response

    assert "Content-Type" not in get(view).headers


# Reading


def test_next_pulls_exactly_one_chunk(get, over_the_wire):
    items = Items("a", "b", "c")
    stream = get(lambda: items)
    assert next(stream) == b"a"
    assert stream.chunks == [b"a"]
    assert over_the_wire or (items.pulls, stream.produced) == (1, 1)
    assert next(stream) == b"b"
    assert stream.chunks == [b"a", b"b"]
    assert over_the_wire or (items.pulls, stream.produced) == (2, 2)


def test_chunk_boundaries_and_empty_chunks_are_kept(get, over_the_wire):
    stream = get(view_of("", "a\nb", b"", "ü"))
    sent = [b"a\nb", "ü".encode()]
    assert list(stream) == (sent if over_the_wire else [b"", sent[0], b"", sent[1]])
    assert stream.delivered == len(stream.chunks)
    assert [chunk.size for chunk in stream.record.chunks] == [0, 3, 0, 2]


def test_each_for_loop_goes_on_where_the_last_one_stopped(get):
    stream = get(view_of("a", "b", "c", "d"))
    assert iter(stream) is stream
    for first in stream:  # noqa: B007 - what is read is the point
        break
    for second in stream:  # noqa: B007
        break
    assert (first, second) == (b"a", b"b")
    assert list(stream) == [b"c", b"d"]
    assert list(stream) == []


def test_take_reads_so_many_chunks_and_no_more(get, over_the_wire):
    items = Items("a", "b", "c")
    stream = get(lambda: items)
    assert stream.take(2) == [b"a", b"b"]
    assert (stream.delivered, stream.state) == (2, "open")
    assert stream.take(0) == []
    assert stream.delivered == 2
    assert over_the_wire or items.pulls == 2
    assert stream.take(5) == [b"c"]
    assert stream.state == "exhausted"
    assert stream.take(1) == []


def test_take_all_there_is_does_not_look_for_the_end(get):
    stream = get(view_of("a", "b"))
    assert stream.take(2) == [b"a", b"b"]
    assert stream.state == "open"


@pytest.mark.parametrize("condition", [b"b", "b", lambda chunk: chunk == b"b"])
def test_take_until_includes_the_chunk_that_is_waited_for_and_stops_there(
    get, condition, over_the_wire
):
    items = Items("a", "b", "c")
    stream = get(lambda: items)
    assert stream.take_until(condition) == [b"a", b"b"]
    assert stream.delivered == 2
    assert over_the_wire or items.pulls == 2


def test_take_until_finds_bytes_across_chunk_boundaries(get):
    stream = get(view_of("da", "ta: ", "x", "y"))
    assert stream.take_until("data: x") == [b"da", b"ta: ", b"x"]


def test_take_until_finds_text_that_is_cut_within_a_character(get):
    head, tail = "é".encode()[:1], "é".encode()[1:]
    stream = get(view_of(head, tail, b"x"))
    assert stream.take_until("é") == [head, tail]


def test_take_until_looks_only_at_the_chunks_that_this_call_takes(get):
    stream = get(view_of("ab", "c", "ab", "c", "d"))
    assert next(stream) == b"ab"
    assert stream.take_until("bc") == [b"c", b"ab", b"c"]


def test_take_until_of_an_ended_stream_fails_with_the_transcript(get):
    stream = get(view_of("first", "second"))
    with pytest.raises(AssertionError) as caught:
        stream.take_until(b"third")
    text = str(caught.value)
    assert text.startswith("take_until(b'third')")
    assert "GET /  200 text/html  exhausted" in text
    assert "#1" in text
    assert "b'second'" in text
    assert stream.chunks == [b"first", b"second"]


def test_take_until_of_a_stream_that_fails_raises_its_error(get):
    error = LookupError("row 2")
    stream = get(lambda: Items("a", error=error))
    with pytest.raises(LookupError) as caught:
        stream.take_until("b")
    assert caught.value is error


def test_drain_reads_to_the_end(get):
    items = Items("a", "b")
    stream = get(lambda: items)
    assert stream.drain() is None
    assert (stream.state, stream.chunks, items.closes) == ("exhausted", [b"a", b"b"], 1)
    stream.drain()
    assert items.closes == 1


def test_read_gives_the_whole_body_also_after_a_part_was_read(get):
    stream = get(view_of("a", "b", "c"))
    next(stream)
    assert stream.read() == b"abc"
    assert stream.read() == b"abc"
    assert list(stream) == []


def test_read_text_uses_the_charset_of_the_response(get):
    latin = get(
        lambda: Response(iter([b"gr\xfc", b"n"]), content_type="text/plain; charset=latin1")
    )
    assert latin.read_text() == "grün"
    plain = get(lambda: Response(iter(["gr\xfcn"]), content_type="text/plain"))
    assert plain.read_text() == plain.read_text() == "grün"


def test_read_text_decodes_characters_that_are_cut_by_chunks(get):
    data = "€".encode()
    stream = get(view_of(data[:1], data[1:2], data[2:]))
    next(stream)
    assert stream.read_text() == "€"


def test_read_json_loads_the_whole_body(get):
    stream = get(view_of('{"a":', " [1, 2]", "}"))
    next(stream)
    assert stream.read_json() == {"a": [1, 2]}
    assert stream.read_json() == {"a": [1, 2]}


def test_read_json_uses_the_json_provider_of_the_app(open_client):
    app = Flask("own_json")
    app.add_url_rule("/", "view", view_of("[1]"))

    class Provider(type(app.json)):
        def loads(self, s, **kwargs):
            return ("loaded by the app", json.loads(s, **kwargs))

    app.json = Provider(app)
    assert open_client(app).get("/").read_json() == ("loaded by the app", [1])


def test_chunks_is_a_copy_of_what_was_delivered_so_far(get):
    stream = get(view_of("a", "b"))
    next(stream)
    chunks = stream.chunks
    chunks.append(b"mine")
    assert stream.chunks == [b"a"]
    stream.drain()
    assert stream.chunks == [b"a", b"b"]


def test_repr_is_one_line_with_counts(open_client, paced):
    app = Flask("users")
    items = paced("a", "b")
    app.add_url_rule("/users.csv", "users", lambda: iter(items))
    stream = open_client(app).get("/users.csv?page=2")
    assert repr(stream) == (
        f"<{type(stream).__name__} GET /users.csv?page=2 200 open: 0 chunks delivered, 0 items"
        " produced>"
    )
    items.let_go()
    next(stream)
    assert repr(stream).endswith(" 200 open: 1 chunk delivered, 1 item produced>")
    items.let_go()
    stream.drain()
    assert repr(stream).endswith(" 200 exhausted: 2 chunks delivered, 2 items produced>")


def test_items_and_chunks_are_counted_apart(get):
    class Halves(Response):
        def iter_encoded(self):
            for chunk in super().iter_encoded():
                yield chunk[:1]
                yield chunk[1:]

    stream = get(lambda: Halves(iter(["ab", "cd"])))
    assert stream.take(3) == [b"a", b"b", b"c"]
    assert (stream.produced, stream.delivered) == (2, 3)


# Starting


def test_start_begins_the_first_pull_and_returns(get, over_the_wire):
    begun, go_on = threading.Event(), threading.Event()

    def view():
        def items():
            begun.set()
            assert go_on.wait(WAIT)
            yield "a"
            yield threading.current_thread().name

        return items()

    stream = get(view)
    stream.start()
    assert begun.wait(WAIT)
    assert (stream.produced, stream.delivered) == (0, 0)
    go_on.set()
    assert next(stream) == b"a"
    second = next(stream).decode()
    assert over_the_wire or second == threading.current_thread().name
    assert stream.state == "open"
    assert list(stream) == []
    assert stream.state == "exhausted"


def test_start_returns_as_soon_as_its_condition_is_true(get):
    subscribed, published = [], threading.Event()

    def view():
        def items():
            subscribed.append("me")
            assert published.wait(WAIT)
            yield "news"

        return items()

    stream = get(view)
    stream.start(until=lambda: len(subscribed) == 1)
    assert subscribed == ["me"]
    published.set()
    assert stream.read() == b"news"


@pytest.mark.parametrize(
    "read",
    [
        next,
        lambda stream: stream.take(1)[0],
        lambda stream: stream.take_until("a")[-1],
        lambda stream: stream.read(),
        lambda stream: list(stream)[0],  # noqa: RUF015 - reads all
        lambda stream: stream.drain() or stream.chunks[0],
    ],
)
def test_every_way_to_read_waits_for_the_chunk_that_was_started(get, read):
    go_on = threading.Event()

    def view():
        def items():
            assert go_on.wait(WAIT)
            yield "a"

        return items()

    stream = get(view)
    stream.start()
    releaser = threading.Thread(target=go_on.set)
    releaser.start()
    assert read(stream) == b"a"
    releaser.join()


def test_a_started_pull_runs_in_the_context_of_the_stream(open_client):
    from flask import request, stream_with_context

    app = Flask("started")

    @app.route("/<name>")
    def view(name):
        @stream_with_context
        def items():
            yield f"{request.path} "
            yield request.path

        return items()

    client = open_client(app)
    one, two = client.get("/one"), client.get("/two")
    one.start()
    two.start()
    assert (two.read(), one.read()) == (b"/two /two", b"/one /one")


def test_an_error_in_a_started_pull_is_raised_by_the_next_read(get):
    error = LookupError("row 0")
    items = Items(error=error)
    stream = get(lambda: items)
    stream.start()
    with pytest.raises(LookupError) as caught:
        next(stream)
    assert caught.value is error
    assert (stream.state, stream.error, items.closes) == ("failed", error, 1)


def test_an_error_ends_the_wait_for_a_condition(get):
    error = LookupError("row 0")
    stream = get(lambda: Items(error=error))
    with pytest.raises(LookupError) as caught:
        stream.start(until=lambda: False)
    assert caught.value is error


def test_a_condition_that_never_comes_true_is_a_timeout(get):
    stream = get(view_of("a"))
    stream.timeout = 0.05
    with pytest.raises(
        StreamTimeout, match="never became true; it has to ask for something that the first pull"
    ):
        stream.start(until=lambda: False)
    assert stream.state == "timeout"


def test_a_started_stream_can_end_at_once(get):
    items = Items()
    stream = get(lambda: items)
    stream.start()
    assert list(stream) == []
    assert (stream.state, items.closes) == ("exhausted", 1)


def test_closing_waits_for_the_chunk_that_was_started(get):
    finished = []
    begun, go_on = threading.Event(), threading.Event()

    def view():
        def items():
            try:
                begun.set()
                assert go_on.wait(WAIT)
                finished.append("chunk")
                yield "a"
            finally:
                finished.append("closed")

        return items()

    stream = get(view)
    stream.start(until=begun.is_set)
    releaser = threading.Thread(target=go_on.set)
    releaser.start()
    stream.close()
    releaser.join()
    assert finished == ["chunk", "closed"]
    assert stream.state == "closed"


def test_closing_waits_for_a_started_chunk_no_longer_than_timeout(get):
    begun, go_on = threading.Event(), threading.Event()

    def view():
        def items():
            begun.set()
            go_on.wait(WAIT)
            yield "a"

        return items()

    stream = get(view)
    stream.start(until=begun.is_set)
    stream.timeout = 0.05
    with pytest.raises(StreamTimeout):
        stream.close()
    go_on.set()
    assert stream.state == "timeout"


def test_start_comes_before_anything_is_read(get):
    stream = get(view_of("a", "b"))
    next(stream)
    with pytest.raises(ValueError, match="before anything is read"):
        stream.start()


def test_start_can_be_repeated_before_anything_is_read(get, over_the_wire):
    items = Items("a", "b")
    stream = get(lambda: items)
    stream.start(until=lambda: items.pulls >= 1)
    stream.start()
    assert stream.take(1) == [b"a"]
    assert over_the_wire or items.pulls == 1


# The end


def with_callbacks(items, events):
    """Make an app that streams items, and writes down what happens at the end."""
    app = Flask("callbacks")

    @app.route("/")
    def view():
        response = Response(items)
        response.call_on_close(lambda: events.append("call_on_close"))
        return response

    app.teardown_request(lambda _: events.append("teardown_request"))
    app.teardown_appcontext(lambda _: events.append("teardown_appcontext"))
    return app


def generated(events, error=None, items="a"):
    try:
        yield from items
        if error is not None:
            raise error
    finally:
        events.append("finally")


def test_the_last_chunk_leaves_the_stream_open(open_client, over_the_wire):
    events = []
    stream = open_client(with_callbacks(generated(events), events)).get("/")
    assert next(stream) == b"a"
    assert stream.state == "open"
    assert over_the_wire or "call_on_close" not in events


def test_everything_is_closed_when_stop_iteration_arrives(open_client, paced):
    from flask import stream_with_context

    events, items = [], paced("a", "b")
    app = Flask("context")

    @app.route("/")
    def view():
        response = Response(stream_with_context(generated(events, items=items)))
        response.call_on_close(lambda: events.append("call_on_close"))
        return response

    app.teardown_request(lambda _: events.append("teardown_request"))
    app.teardown_appcontext(lambda _: events.append("teardown_appcontext"))
    stream = open_client(app).get("/")
    items.let_go()
    next(stream)
    events.clear()
    items.let_go()
    next(stream)
    with pytest.raises(StopIteration):
        next(stream)
    assert events == ["finally", "teardown_request", "teardown_appcontext", "call_on_close"]
    assert (stream.state, stream.error) == ("exhausted", None)


def test_everything_is_closed_when_an_error_arrives(open_client):
    events, error = [], LookupError("row 1")
    stream = open_client(with_callbacks(generated(events, error), events)).get("/")
    with pytest.raises(LookupError):
        list(stream)
    assert sorted(events) == ["call_on_close", "finally", "teardown_appcontext", "teardown_request"]
    assert (stream.state, stream.error) == ("failed", error)


@pytest.mark.parametrize(
    "end",
    [
        list,
        lambda stream: stream.drain(),
        lambda stream: stream.read(),
        lambda stream: stream.take(3),
        lambda stream: stream.close(),
        lambda stream: stream.disconnect(),
        lambda stream: next(stream) and stream.close(),
        lambda stream: stream.__exit__(None, None, None),
    ],
)
def test_a_stream_is_closed_exactly_once(get, end, over_the_wire):
    items = Items("a", "b")
    stream = get(lambda: items)
    assert over_the_wire or items.closes == 0
    end(stream)
    assert items.closes == 1
    stream.close()
    stream.disconnect()
    assert items.closes == 1


def test_the_client_closes_what_is_open_and_nothing_twice(open_client):
    all_items = [Items("a"), Items("b"), Items("c")]
    app = Flask("three")
    app.add_url_rule("/<int:n>", "view", lambda n: all_items[n])
    client = open_client(app)
    streams = [client.get(f"/{n}") for n in range(3)]
    streams[0].drain()
    streams[1].close()
    client.close()
    client.close()
    assert [items.closes for items in all_items] == [1, 1, 1]
    assert [stream.state for stream in streams] == ["exhausted", "closed", "closed"]


@pytest.mark.in_process("a server has pulled further when the client leaves")
def test_a_disconnect_ends_the_generator_where_it_is(get):
    ended = []

    def view():
        def items():
            try:
                yield "a"
                yield "b"
            except GeneratorExit:
                ended.append("after a")
                raise

        return items()

    stream = get(view)
    next(stream)
    stream.disconnect()
    assert ended == ["after a"]
    assert (stream.state, stream.error, stream.chunks) == ("closed", None, [b"a"])


@pytest.mark.in_process("a server pulls by itself")
def test_a_disconnect_before_the_first_chunk_closes_and_pulls_nothing(open_client):
    events, items = [], Items("a")
    stream = open_client(with_callbacks(items, events)).get("/")
    stream.disconnect()
    assert (items.pulls, items.closes, stream.produced) == (0, 1, 0)
    assert sorted(events) == ["call_on_close", "teardown_appcontext", "teardown_request"]
    assert stream.state == "closed"


def test_a_response_is_a_context_manager_that_closes_it(get, over_the_wire):
    items = Items("a", "b")
    with get(lambda: items) as stream:
        assert next(stream) == b"a"
        assert over_the_wire or items.closes == 0
    assert (stream.state, items.closes) == ("closed", 1)


def test_the_close_does_not_hide_the_error_of_the_block(get):
    stream = get(view_of("a"))
    with pytest.raises(ZeroDivisionError), stream:
        1 / 0  # noqa: B018
    assert stream.state == "closed"


def test_a_close_that_the_app_loses_stays_lost(get):
    # Flask and Werkzeug hand `close()` on; a plain `map` does not.
    items = Items("a", "b")
    stream = get(lambda: map(str.upper, items))
    next(stream)
    stream.disconnect()
    assert items.closes == 0  # watching must not change what is watched


# Errors of the app


def test_an_error_reaches_the_test_unchanged(get):
    error = LookupError("row 1")
    error.hint = "kept"

    def view():
        def items_of_the_user():
            yield "a"
            raise error

        return items_of_the_user()

    stream = get(view)
    assert next(stream) == b"a"
    with pytest.raises(LookupError) as caught:
        next(stream)
    assert caught.value is error
    assert (error.args, error.hint, error.__cause__, error.__context__) == (
        ("row 1",),
        "kept",
        None,
        None,
    )
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "items_of_the_user"
    assert (stream.state, stream.error, stream.chunks) == ("failed", error, [b"a"])


def raising_generator():
    yield "a"
    raise LookupError("row 1")


@pytest.mark.parametrize("read", [list, lambda stream: stream.take(2), StreamedResponse.drain])
@pytest.mark.parametrize(
    "view",
    [
        raising_generator,
        lambda: Items("a", error=LookupError("row 1")),
        lambda: Items("a", close_error=LookupError("row 1")),
    ],
    ids=["generator", "iterator", "close"],
)
def test_no_frame_of_the_package_is_shown_of_an_error_of_the_app(get, read, view):
    stream = get(view)
    with pytest.raises(LookupError) as caught:
        read(stream)
    shown = [
        entry for entry in caught.traceback if not entry.frame.f_locals.get("__tracebackhide__")
    ]
    assert "pytest_flask_stream" not in {entry.path.parent.name for entry in shown}


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), MemoryError()]
)
def test_errors_that_are_no_exceptions_reach_the_test_too(get, error):
    items = Items("a", error=error)
    stream = get(lambda: items)
    with pytest.raises(type(error)) as caught:
        list(stream)
    assert caught.value is error
    assert (stream.state, stream.error, items.closes) == ("failed", error, 1)


class Interrupting(bytes):
    """Raises where its chunk has come and is written down, as a handler of a signal may."""

    def __len__(self):
        raise KeyboardInterrupt


@pytest.mark.in_process("a server has its own lines between the app and the test")
@pytest.mark.parametrize(
    "read", [list, lambda stream: stream.drain(), lambda stream: stream.take(3)]
)
def test_what_is_raised_between_the_app_and_the_test_ends_the_stream_and_is_told(get, read):
    items = Items(b"a", Interrupting(b"b"), b"c")
    stream = get(lambda: Response(items, direct_passthrough=True))
    with pytest.raises(KeyboardInterrupt):
        read(stream)
    assert (stream.state, stream.chunks, items.closes) == ("failed", [b"a"], 1)
    assert isinstance(stream.error, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        stream.read()


@pytest.mark.parametrize(
    "read",
    [
        list,
        lambda stream: stream.take(2),
        lambda stream: stream.drain(),
        lambda stream: stream.read(),
        lambda stream: stream.read_text(),
        lambda stream: stream.read_json(),
    ],
)
def test_every_way_to_read_raises_the_error_and_keeps_what_came_before(get, read):
    error = LookupError("row 1")
    stream = get(lambda: Items("a", error=error))
    with pytest.raises(LookupError) as caught:
        read(stream)
    assert caught.value is error
    assert stream.chunks == [b"a"]


def test_after_the_end_there_is_nothing_more(get):
    stream = get(view_of("a"))
    stream.drain()
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(stream)
    assert stream.take(1) == []


def test_after_an_error_there_is_nothing_more(get):
    stream = get(lambda: Items("a", error=LookupError()))
    with pytest.raises(LookupError):
        stream.drain()
    with pytest.raises(StopIteration):
        next(stream)
    assert list(stream) == stream.take(1) == []


def test_after_an_error_every_read_raises_it_again(get):
    error = LookupError("row 1")
    stream = get(lambda: Items("a", error=error))
    for read in (stream.read, stream.read, stream.read_text, stream.read_json):
        with pytest.raises(LookupError) as caught:
            read()
        assert caught.value is error


@pytest.mark.parametrize("end", ["close", "disconnect"])
def test_after_a_disconnect_a_pull_is_an_error_and_read_gives_what_was_delivered(get, end):
    stream = get(view_of('"a', '"'))
    stream.take(2)
    getattr(stream, end)()
    for _ in range(2):
        with pytest.raises(StreamClosed, match="disconnected"):
            next(stream)
    with pytest.raises(StreamClosed):
        stream.take(1)
    with pytest.raises(StreamClosed):
        stream.take_until("a")
    with pytest.raises(StreamClosed):
        list(stream)
    assert stream.take(0) == []
    assert (stream.read(), stream.read_text(), stream.read_json()) == (b'"a"', '"a"', "a")


def test_after_the_test_a_pull_is_an_error(get, open_client):
    app = Flask("closed")
    app.add_url_rule("/", "view", view_of("a"))
    client = open_client(app)
    stream = client.get("/")
    client.close()
    with pytest.raises(StreamClosed):
        next(stream)


def test_after_a_timeout_a_pull_is_an_error_and_read_raises_the_timeout_again(get):
    never = threading.Event()

    def view():
        def items():
            yield "a"
            never.wait(WAIT)

        return items()

    stream = get(view)
    assert next(stream) == b"a"
    stream.timeout = 0.05
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert (stream.state, stream.error, stream.chunks) == ("timeout", caught.value, [b"a"])
    with pytest.raises(StreamClosed, match="timeout"):
        next(stream)
    with pytest.raises(StreamTimeout) as again:
        stream.read()
    assert again.value is caught.value


def test_an_error_of_the_close_at_the_end_reaches_the_test(get):
    error = OSError("cursor is gone")
    items = Items("a", close_error=error)
    stream = get(lambda: items)
    assert next(stream) == b"a"
    with pytest.raises(OSError, match="cursor is gone") as caught:
        next(stream)
    assert caught.value is error
    assert (stream.state, stream.error, stream.chunks) == ("failed", error, [b"a"])
    assert items.closes == 1
    with pytest.raises(OSError, match="cursor is gone"):
        stream.read()


def test_an_error_of_the_close_at_a_disconnect_reaches_the_test_once(get):
    error = OSError("cursor is gone")
    items = Items("a", "b", close_error=error)
    stream = get(lambda: items)
    next(stream)
    with pytest.raises(OSError, match="cursor is gone") as caught:
        stream.disconnect()
    assert caught.value is error
    assert (stream.state, stream.error) == ("closed", error)
    stream.disconnect()
    assert items.closes == 1
    assert stream.read() == b"a"


def test_an_error_of_the_close_does_not_hide_that_of_the_stream(get):
    error = LookupError("row 1")
    items = Items("a", error=error, close_error=OSError("cursor is gone"))
    stream = get(lambda: items)
    with pytest.raises(LookupError) as caught:
        stream.drain()
    assert caught.value is error
    assert (stream.state, stream.error, items.closes) == ("failed", error, 1)


def test_an_error_of_call_on_close_reaches_the_test(get):
    def view():
        response = Response(iter("a"))
        response.call_on_close(lambda: 1 / 0)
        return response

    stream = get(view)
    with pytest.raises(ZeroDivisionError):
        stream.drain()
    assert stream.chunks == [b"a"]


# Limits


def test_a_body_past_keep_bytes_is_read_and_counted_but_not_kept(get):
    stream = get(view_of("aaaa", "bbbb", "cccc"), keep_bytes=6)
    assert next(stream) == b"aaaa"
    assert stream.chunks == [b"aaaa"]
    assert list(stream) == [b"bbbb", b"cccc"]
    assert stream.delivered == 3
    assert [chunk.size for chunk in stream.record.chunks] == [4, 4, 4]
    assert (stream.state, stream.error) == ("exhausted", None)
    with pytest.raises(ChunksNotKept, match=r"^chunks needs .*keep_bytes=6"):
        _ = stream.chunks
    with pytest.raises(ChunksNotKept, match=r"^read\(\) needs ") as caught:
        stream.read()
    assert (caught.value.wanted, caught.value.keep_bytes) == ("read()", 6)


@pytest.mark.parametrize("read", ["read", "read_text", "read_json"])
def test_read_of_a_body_past_keep_bytes_tells_so_at_the_end(get, read):
    stream = get(view_of("aaaa", "bbbb"), keep_bytes=6)
    with pytest.raises(ChunksNotKept):
        getattr(stream, read)()
    assert stream.state == "exhausted"


def test_a_body_of_just_keep_bytes_is_kept(get):
    stream = get(view_of("aaa", "bbb", ""), keep_bytes=6)
    assert stream.read() == b"aaabbb"


def test_everything_else_goes_on_past_keep_bytes(get):
    stream = get(view_of("aaaa", "bb", "bb", "cc", "dd"), keep_bytes=0)
    assert stream.take(1) == [b"aaaa"]
    assert stream.take_until("bbbb") == [b"bb", b"bb"]
    stream.drain()
    assert (stream.delivered, stream.state) == (5, "exhausted")


@pytest.mark.parametrize(
    "read",
    [
        lambda stream: stream.drain(),
        lambda stream: stream.read(),
        lambda stream: stream.read_text(),
        lambda stream: stream.read_json(),
        lambda stream: stream.take_until("never"),
        lambda stream: stream.take_until(lambda chunk: False),
    ],
)
def test_what_reads_to_the_end_gives_an_endless_stream_up_and_leaves_it_open(get, read):
    stream = get(counting_forever, max_chunks=20)
    with pytest.raises(EndlessStream, match="max_chunks=20") as caught:
        read(stream)
    assert caught.value.max_chunks == 20
    assert caught.value.record is stream.record
    assert (stream.state, stream.error, stream.delivered) == ("open", None, 21)
    assert next(stream) == b"21\n"
    stream.disconnect()
    assert stream.read().startswith(b"0\n1\n")


def test_max_chunks_counts_the_chunks_in_all(get):
    stream = get(counting_forever, max_chunks=20)
    stream.take(30)
    assert stream.delivered == 30
    with pytest.raises(EndlessStream):
        stream.drain()
    assert stream.delivered == 30


def test_a_stream_of_just_max_chunks_is_read_to_its_end(get):
    stream = get(view_of(*"abc"), max_chunks=3)
    assert stream.read() == b"abc"
    one_more = get(view_of(*"abcd"), max_chunks=3)
    with pytest.raises(EndlessStream):
        one_more.read()


def test_next_and_for_and_take_know_no_limit(get):
    stream = get(counting_forever, max_chunks=2)
    assert len(stream.take(10)) == 10
    for chunk in stream:
        if chunk == b"19\n":
            break
    assert stream.delivered == 20


# Names of other libraries


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("data", "read()"),
        ("get_data", "read()"),
        ("content", "read()"),
        ("text", "read_text()"),
        ("json", "read_json()"),
        ("get_json", "read_json()"),
        ("iter_bytes", "for chunk in stream"),
        ("iter_content", "for chunk in stream"),
        ("iter_encoded", "for chunk in stream"),
        ("iter_json", "iter_ndjson()"),
        ("response", "chunks"),
        ("is_streamed", "streamed"),
    ],
)
def test_a_name_that_other_responses_have_is_answered_with_ours(get, name, instead, over_the_wire):
    stream = get(view_of("a"))
    with pytest.raises(AttributeError, match=f"no '{name}'; use ") as caught:
        getattr(stream, name)
    assert instead in str(caught.value)
    assert (caught.value.name, caught.value.obj) == (name, stream)
    assert not hasattr(stream, name)
    assert over_the_wire or stream.produced == 0


def test_a_stream_in_process_says_who_has_a_wire(get, over_the_wire):
    if over_the_wire:
        pytest.skip("there it has one")
    stream = get(view_of("a"))
    with pytest.raises(AttributeError, match="use live_stream_client, whose streams have one"):
        _ = stream.wire


def test_a_name_that_nobody_knows_is_a_plain_attribute_error(get):
    stream = get(view_of("a"))
    with pytest.raises(AttributeError, match=r"StreamedResponse.* has no .*'chunk_list'$"):
        _ = stream.chunk_list
