"""Each claim: when it holds, when not, how far it reads, and what it refuses."""

from __future__ import annotations

import contextlib
import itertools
import threading

import flask
import pytest
from flask import Flask, Response, abort, stream_template_string, stream_with_context

from pytest_flask_stream import ChunksNotKept, EndlessStream, StreamedResponse, StreamTimeout

LIST_TEMPLATE = "<ul>{% for i in items %}<li>{{ loop.index }} - {{ i }}</li>{% endfor %}</ul>"


class Broken(Exception):
    pass


@pytest.fixture
def stream_of(open_client):
    """``stream_of(view)`` opens ``GET /`` of an app with that view."""

    def stream_of(view, *, method="GET", layer=None, after_request=None, **settings):
        app = Flask("claims", static_folder=None)
        app.add_url_rule("/", "view", view, methods=["GET", "POST"])
        if after_request is not None:
            app.after_request(after_request)
        if layer is not None:
            app.wsgi_app = layer(app.wsgi_app)
        return open_client(app, **settings).open("/", method=method)

    return stream_of


@pytest.fixture
def yielding(stream_of):
    """``yielding("a", "b")`` opens a stream of these items; an exception among them is raised."""

    def yielding(*items, **options):
        def view():
            return generate()

        def generate():
            for item in items:
                if isinstance(item, BaseException):
                    raise item
                yield item

        return stream_of(view, **options)

    return yielding


@pytest.fixture
def endless(stream_of):
    def endless(**options):
        return stream_of(lambda: (f"{n}\n" for n in itertools.count()), **options)

    return endless


def joins(wsgi_app):
    """A layer that hands everything on as one chunk."""

    def layer(environ, start_response):
        app_iter = wsgi_app(environ, start_response)
        try:
            yield b"".join(app_iter)
        finally:
            app_iter.close()

    return layer


def reads_out(wsgi_app):
    """A layer that reads all there is before it hands on the first chunk."""

    def layer(environ, start_response):
        app_iter = wsgi_app(environ, start_response)
        try:
            yield from list(app_iter)
        finally:
            app_iter.close()

    return layer


def reads_early(response):
    response.get_data()
    return response


# Claims that every stream of two chunks meets, and how far each may read

HOLD = {
    "streamed": (lambda s: s.assert_streamed(), 1),
    "lazy": (lambda s: s.assert_lazy(), 2),
    "count": (lambda s: s.assert_chunk_count(2), 2),
    "at least": (lambda s: s.assert_chunk_count(at_least=1), 1),
    "at most": (lambda s: s.assert_chunk_count(at_most=2), 2),
    "between": (lambda s: s.assert_chunk_count(at_least=1, at_most=5), 2),
    "chunks": (lambda s: s.assert_chunks(["a\n", b"b\n"]), 2),
    "order": (lambda s: s.assert_order("a", b"\n"), 1),
    "complete": (lambda s: s.assert_complete(), 2),
}
READ_TO_THE_END = ["lazy", "count", "at most", "between", "chunks", "complete"]


@pytest.mark.parametrize("name", HOLD)
def test_reads_as_far_as_it_must_and_no_further(yielding, name):
    claim, delivered = HOLD[name]
    stream = yielding("a\n", "b\n")
    assert claim(stream) is None
    assert stream.delivered == delivered
    assert stream.state == ("exhausted" if name in READ_TO_THE_END else "open")


@pytest.mark.parametrize("name", HOLD)
@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_holds_again_and_whatever_was_read_before(yielding, name, before):
    claim, delivered = HOLD[name]
    stream = yielding("a\n", "b\n")
    stream.take(before)
    claim(stream)
    claim(stream)
    assert stream.delivered == max(delivered, min(before, 2))


@pytest.mark.parametrize("name", HOLD)
def test_all_claims_hold_of_one_stream_in_any_order(yielding, name):
    stream = yielding("a\n", "b\n")
    for claim, _delivered in [HOLD[name], *HOLD.values()]:
        claim(stream)
    assert list(stream) == []


FAIL = {
    "lazy": lambda s: s.assert_lazy(),
    "count": lambda s: s.assert_chunk_count(3),
    "at least": lambda s: s.assert_chunk_count(at_least=3),
    "at most": lambda s: s.assert_chunk_count(at_most=9),
    "chunks": lambda s: s.assert_chunks(["a\n", "b\n", "c\n"]),
    "order": lambda s: s.assert_order("a", "c"),
    "complete": lambda s: s.assert_complete(),
    "buffering": lambda s: s.assert_template_buffering(5),
    "request context": lambda s: s.assert_request_context(),
    "context error": lambda s: s.assert_context_error(),
    "raises": lambda s: s.assert_raises(KeyError),
}


@pytest.mark.parametrize("name", FAIL)
def test_an_error_fails_what_has_to_read_that_far(yielding, name):
    error = Broken("at the end")
    stream = yielding("a\n", "b\n", error)
    for _again in range(2):
        with pytest.raises(AssertionError, match="Broken after 2 chunks") as caught:
            FAIL[name](stream)
        assert caught.value.__cause__ is error
        assert type(caught.value) is AssertionError
    assert (stream.state, stream.error, stream.delivered) == ("failed", error, 2)


@pytest.mark.parametrize("name", ["streamed", "at least", "order"])
def test_an_error_further_on_fails_nothing(yielding, name):
    claim, delivered = HOLD[name]
    stream = yielding("a\n", Broken())
    claim(stream)
    assert (stream.delivered, stream.state) == (delivered, "open")
    with pytest.raises(Broken):
        stream.drain()
    claim(stream)


def test_an_error_instead_of_the_first_chunk_fails_assert_streamed(yielding):
    with pytest.raises(AssertionError) as caught:
        yielding(Broken("at once")).assert_streamed()
    assert isinstance(caught.value.__cause__, Broken)


@pytest.mark.parametrize("name", FAIL)
def test_a_timeout_passes_through(stream_of, name):
    def view():
        def generate():
            yield "a\n"
            yield "b\n"
            threading.Event().wait(2)

        return generate()

    stream = stream_of(view)
    stream.take(2)
    stream.timeout = 0.05  # not before: the machine may be slow, and opening counts too
    for _again in range(2):
        with pytest.raises(StreamTimeout) as caught:
            FAIL[name](stream)
        assert caught.value is stream.error
    assert (stream.state, stream.delivered) == ("timeout", 2)
    stream.assert_streamed()
    stream.assert_order("a", "b")


def test_a_timeout_passes_through_also_where_the_body_was_complete(stream_of):
    def stuck(chunks):
        threading.Event().wait(2)
        yield from chunks

    def layer(wsgi_app):
        return lambda environ, start_response: stuck(wsgi_app(environ, start_response))

    stream = stream_of(lambda: "whole", layer=layer)
    stream.timeout = 0.05
    with pytest.raises(StreamTimeout):
        stream.assert_streamed()


@pytest.mark.parametrize(
    "name", ["lazy", "order", "complete", "buffering", "request context", "context error", "raises"]
)
def test_what_reads_to_the_end_gives_up_on_an_endless_stream(endless, name):
    stream = endless(max_chunks=20)
    claim = {**FAIL, "order": lambda s: s.assert_order("never")}[name]
    for _again in range(2):
        with pytest.raises(EndlessStream):
            claim(stream)
        assert (stream.state, stream.delivered) == ("open", 21)


# On an endless stream


@pytest.mark.parametrize(
    ("claim", "delivered"),
    [
        (lambda s: s.assert_streamed(), 1),
        (lambda s: s.assert_chunk_count(at_least=3), 3),
        (lambda s: s.assert_order("0", "5"), 6),
        (lambda s: s.assert_order("1\n2", "3"), 4),
    ],
)
def test_decides_for_an_endless_stream(endless, claim, delivered, over_the_wire):
    stream = endless(max_chunks=50)
    claim(stream)
    assert (stream.delivered, stream.state) == (delivered, "open")
    assert over_the_wire or stream.produced == delivered


@pytest.mark.parametrize(
    ("claim", "delivered"),
    [
        (lambda s: s.assert_chunk_count(3), 4),
        (lambda s: s.assert_chunk_count(0), 1),
        (lambda s: s.assert_chunk_count(at_most=2), 3),
        (lambda s: s.assert_chunk_count(at_least=1, at_most=2), 3),
        (lambda s: s.assert_chunks(["0\n", "1\n"]), 3),
        (lambda s: s.assert_chunks(["0\n", "x", "2\n", "3\n"]), 2),
        (lambda s: s.assert_chunks([]), 1),
    ],
)
def test_decides_against_an_endless_stream(endless, claim, delivered, over_the_wire):
    stream = endless(max_chunks=50)
    for _again in range(2):
        with pytest.raises(AssertionError):
            claim(stream)
        assert (stream.delivered, stream.state) == (delivered, "open")
        assert over_the_wire or stream.produced == delivered


def test_claims_after_disconnect_judge_what_was_delivered(endless):
    stream = endless()
    stream.take(3)
    stream.disconnect()
    stream.assert_streamed()
    stream.assert_lazy()
    stream.assert_chunk_count(3)
    stream.assert_chunks(["0\n", "1\n", "2\n"])
    stream.assert_order("0", "2")
    for claim in (
        stream.assert_complete,
        lambda: stream.assert_chunk_count(4),
        lambda: stream.assert_chunk_count(at_least=4),
        lambda: stream.assert_chunks(["0\n", "1\n", "2\n", "3\n"]),
        lambda: stream.assert_order("3"),
        lambda: stream.assert_raises(Exception),
        stream.assert_context_error,
    ):
        with pytest.raises(AssertionError, match="the client left before the end") as caught:
            claim()
        assert caught.value.__cause__ is None
    assert (stream.delivered, stream.state) == (3, "closed")


# assert_streamed


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_generator_is_streamed(yielding, count):
    yielding(*"ab"[:count]).assert_streamed()


@pytest.mark.parametrize(
    "view",
    [
        lambda: "whole",
        lambda: b"whole",
        lambda: flask.jsonify([1]),
        lambda: Response(["a", "b"]),
        lambda: Response(("a", "b")),
        lambda: {"a": 1},
        lambda: abort(404),
        lambda: flask.redirect("/elsewhere"),
    ],
)
def test_a_complete_body_is_not_streamed(stream_of, view):
    stream = stream_of(view)
    assert stream.streamed is False
    for claim in (stream.assert_streamed, stream.assert_lazy):
        with pytest.raises(AssertionError, match="was not streamed"):
            claim()
    stream.assert_complete()


@pytest.mark.parametrize(
    ("items", "early"), [(["a", "b"], True), (["a"], True), (["", ""], True), ([], False)]
)
def test_what_an_after_request_function_reads_is_not_streamed(yielding, items, early):
    stream = yielding(*items, after_request=reads_early)
    outcome = pytest.raises(AssertionError) if early else contextlib.nullcontext()
    assert stream.produced == len(items)
    with outcome:
        stream.assert_streamed()


@pytest.mark.parametrize(("items", "streamed"), [("", True), ("a", True), ("ab", False)])
def test_a_layer_that_joins_is_told_by_more_than_one_item(yielding, items, streamed):
    stream = yielding(*items, layer=joins)
    with contextlib.nullcontext() if streamed else pytest.raises(AssertionError, match="read out"):
        stream.assert_streamed()
    assert len(stream.record.chunks) == 1


@pytest.mark.parametrize("read", [lambda stream: None, next, StreamedResponse.drain])
def test_a_layer_that_reads_out_is_told_whatever_was_read_before(yielding, read):
    stream = yielding("a", "b", layer=reads_out)
    read(stream)
    with pytest.raises(AssertionError, match="read out"):
        stream.assert_streamed()


def test_a_layer_that_reads_ahead_streams_as_long_as_it_does_not_read_out(yielding):
    def ahead(wsgi_app):
        def layer(environ, start_response):
            app_iter = wsgi_app(environ, start_response)
            chunks = iter(app_iter)
            held = list(itertools.islice(chunks, 2))
            for chunk in chunks:
                yield held.pop(0)
                held.append(chunk)
            yield from held

        return layer

    stream = yielding(*"abcd", layer=ahead)
    stream.assert_streamed()
    with pytest.raises(AssertionError, match="3 items were produced when chunk 0"):
        stream.assert_lazy()
    with pytest.raises(AssertionError, match="at most 2 were allowed"):
        stream.assert_lazy(read_ahead=1)
    stream.assert_lazy(read_ahead=2)


def test_a_layer_that_answers_for_flask_is_not_streamed(stream_of):
    def answers(wsgi_app):
        def layer(environ, start_response):
            start_response("200 OK", [])
            yield b"mine"

        return layer

    stream = stream_of(lambda: "never", layer=answers)
    assert stream.streamed is None
    with pytest.raises(AssertionError, match="was not streamed by a Flask view"):
        stream.assert_streamed()
    stream.assert_complete()
    stream.assert_chunks([b"mine"])


def test_a_file_is_streamed(stream_of, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"x" * 20_000)
    stream = stream_of(lambda: flask.send_file(path))
    stream.assert_streamed()
    assert stream.delivered == 1
    stream.assert_lazy()
    stream.assert_complete()


# assert_lazy


def test_a_stream_without_chunks_is_lazy(yielding):
    yielding().assert_lazy()
    yielding("a", method="HEAD").assert_lazy()


@pytest.mark.parametrize("items", ["ab", "abcd"])
def test_a_stream_that_is_read_early_is_not_lazy(yielding, items):
    count = len(items)
    stream = yielding(*items, after_request=reads_early)
    for read_ahead in (0, count - 2):
        with pytest.raises(AssertionError, match=f"{count} items were produced when chunk 0"):
            stream.assert_lazy(read_ahead=read_ahead)
    stream.assert_lazy(read_ahead=count - 1)


def test_the_chunk_that_is_too_far_ahead_may_be_a_later_one(yielding):
    def ahead_at_the_end(wsgi_app):
        def layer(environ, start_response):
            chunks = iter(wsgi_app(environ, start_response))
            yield from itertools.islice(chunks, 2)
            yield b"".join(chunks)

        return layer

    stream = yielding(*"abcde", layer=ahead_at_the_end)
    with pytest.raises(AssertionError, match="5 items were produced when chunk 2"):
        stream.assert_lazy()


# assert_chunk_count, assert_chunks


def test_empty_chunks_count(yielding, over_the_wire):
    stream = yielding("", "a", "")
    stream.assert_chunk_count(1 if over_the_wire else 3)
    stream.assert_chunks(["", "a", ""])
    with pytest.raises(AssertionError) if not over_the_wire else contextlib.nullcontext():
        stream.assert_chunks(["a"])
    with pytest.raises(AssertionError):
        stream.assert_chunks(["", "b", ""])


def test_no_chunks_is_a_count(yielding):
    stream = yielding()
    stream.assert_chunk_count(0)
    stream.assert_chunks([])
    with pytest.raises(AssertionError):
        stream.assert_chunk_count(1)


@pytest.mark.parametrize("expected", [["ab", "c"], ["a", "bc", "d"], ["a"], ["bc", "a"], ["abc"]])
def test_chunks_are_their_boundaries_and_their_order(yielding, expected):
    with pytest.raises(AssertionError):
        yielding("a", "bc").assert_chunks(expected)


def test_expected_chunks_may_come_from_an_iterator_and_in_utf_8(yielding):
    stream = yielding("ä", "ö")
    stream.assert_chunks(iter(["ä", "ö".encode()]))
    stream.assert_chunks(("ä", "ö"))


@pytest.mark.parametrize(
    "expected", [["0\n", "1\n"], ["0\n", "1\n", "2\n"], ["0\n", "1\n", "x"], ["0\n", "1\n"] * 2]
)
def test_chunks_that_are_not_kept_are_not_judged(endless, expected):
    stream = endless(keep_bytes=4)
    for _again in range(2):
        with pytest.raises(ChunksNotKept, match=r"assert_chunks\(\) needs the whole body"):
            stream.assert_chunks(expected)
    assert stream.delivered == 3


def test_chunks_that_are_kept_are_judged_whatever_was_read(endless):
    stream = endless(keep_bytes=4)
    stream.take(9)
    with pytest.raises(AssertionError):
        stream.assert_chunks(["0\n", "x"])
    stream.assert_order("0", "1")
    with pytest.raises(ChunksNotKept, match=r"assert_order\(\) needs the whole body"):
        stream.assert_order("2")
    stream.assert_chunk_count(at_least=9)


def test_a_layer_that_answers_alone_may_give_too_few_chunks_too(stream_of):
    def maintenance(_wsgi_app):
        def answer(environ, start_response):
            start_response("503 Service Unavailable", [])
            return [b"back ", b"soon"]

        return answer

    with pytest.raises(AssertionError, match="gave fewer than 9 chunks") as caught:
        stream_of(lambda: "ab", layer=maintenance).assert_chunk_count(9)
    assert "cause:   the WSGI layer that answered yields no more" in str(caught.value)


# assert_order


def test_order_needs_neither_one_chunk_nor_neighbours(yielding):
    stream = yielding("one tw", "o thr", "", "ee four")
    stream.assert_order("two", "three", "four")
    stream.assert_order("one two three four")
    for fragments in (["three", "two"], ["two", "two"], ["one two", "two"], ["five"]):
        with pytest.raises(AssertionError):
            stream.assert_order(*fragments)


# assert_complete


@pytest.mark.parametrize(("length", "complete"), [(2, True), (3, False), (1, False), (None, True)])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_declared_length_is_held(stream_of, method, length, complete, over_the_wire):
    def view():
        headers = {} if length is None else {"Content-Length": str(length)}
        return (c for c in "ab"), headers

    stream = stream_of(view, method=method)
    with contextlib.nullcontext() if complete else pytest.raises(AssertionError):
        stream.assert_complete()
    cut_off = over_the_wire and length == 3
    assert stream.state == ("failed" if cut_off else "exhausted")


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
def test_a_length_without_a_body_is_no_promise(stream_of, method, status):
    def view():
        return (c for c in "ab"), status, {"Content-Length": "2"}

    stream = stream_of(view, method=method)
    stream.assert_complete()
    assert stream.delivered == 0


def test_the_length_that_a_layer_gives_with_a_304_is_no_promise_either(stream_of):
    # Flask gives none.
    def not_modified(_wsgi_app):
        def answer(environ, start_response):
            start_response("304 Not Modified", [("Content-Length", "2")])
            return []

        return answer

    stream_of(lambda: "ab", layer=not_modified).assert_complete()


def test_an_error_of_the_app_is_told_of_before_the_length_that_it_leaves(stream_of):
    error = Broken("row 2")

    def view():
        def generate():
            yield "a"
            raise error

        return generate(), {"Content-Length": "2"}

    with pytest.raises(AssertionError, match="ended in Broken") as caught:
        stream_of(view).assert_complete()
    assert caught.value.__cause__ is error


def test_a_close_that_fails_is_no_completion(stream_of):
    def view():
        response = Response(c for c in "ab")

        @response.call_on_close
        def fail():
            raise Broken("in close")

        return response

    stream = stream_of(view)
    with pytest.raises(AssertionError) as caught:
        stream.assert_complete()
    assert isinstance(caught.value.__cause__, Broken)
    stream.assert_raises(Broken, after=2)


# assert_template_buffering


def buffered(size):
    def view():
        template = flask.current_app.jinja_env.from_string(LIST_TEMPLATE)
        stream = template.stream(items="abcd")
        if size > 1:
            stream.enable_buffering(size)
        return Response(stream)

    return view


@pytest.mark.parametrize(("size", "chunks"), [(1, 22), (2, 11), (3, 8), (5, 5), (20, 2)])
def test_each_buffer_is_told_from_every_other(stream_of, size, chunks):
    stream = stream_of(buffered(size))
    stream.assert_template_buffering(size)
    stream.assert_template_buffering(size)
    stream.assert_chunk_count(chunks)
    for other in {1, 2, 3, 4, 5, 19, 20, 21, 22} - {size}:
        with pytest.raises(AssertionError, match="is not a template streamed"):
            stream.assert_template_buffering(other)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_template_without_output_holds(stream_of, size):
    def view():
        template = flask.current_app.jinja_env.from_string("{% if false %}never{% endif %}")
        stream = template.stream()
        if size > 1:
            stream.enable_buffering(size)
        return Response(stream)

    stream = stream_of(view)
    stream.assert_template_buffering(size)
    stream.assert_chunk_count(0)


def test_an_empty_event_is_a_chunk_of_an_unbuffered_template(stream_of):
    def view():
        return stream_template_string("a{{ nothing }}b", nothing="")

    stream = stream_of(view)
    stream.assert_template_buffering(1)
    stream.assert_chunks(["a", "", "b"])
    with pytest.raises(AssertionError):
        stream.assert_template_buffering(2)


def test_what_is_no_streamed_template_has_no_buffer(stream_of):
    def joined():
        template = flask.current_app.jinja_env.from_string(LIST_TEMPLATE)
        return "".join(template.generate(items="abcd"))

    def mixed():
        template = flask.current_app.jinja_env.from_string(LIST_TEMPLATE)
        return itertools.chain(["head"], template.generate(items="abcd"))

    for view in (joined, mixed, lambda: (c for c in "ab")):
        for size in (1, 2):
            with pytest.raises(AssertionError, match="is not a template streamed"):
                stream_of(view).assert_template_buffering(size)


@pytest.mark.in_process("a server has pulled further when the client leaves")
def test_after_disconnect_only_the_last_chunk_may_be_smaller(stream_of):
    def view():
        template = flask.current_app.jinja_env.from_string(LIST_TEMPLATE)
        stream = template.stream(items="abcd")

        def generate():
            yield next(stream)
            stream.enable_buffering(3)
            yield from stream

        return generate()

    stream = stream_of(view)
    stream.take(3)
    stream.disconnect()
    with pytest.raises(AssertionError, match="chunk 0 of 3 was made of 1 non-empty event"):
        stream.assert_template_buffering(3)
    whole = stream_of(buffered(3))
    whole.take(2)
    whole.disconnect()
    whole.assert_template_buffering(3)


def test_a_last_chunk_without_an_event_is_no_buffer(stream_of):
    def view():
        template = flask.current_app.jinja_env.from_string("a{{ x }}")
        stream = template.stream(x=1)
        stream.enable_buffering(2)
        return itertools.chain(stream, ["tail"])

    stream = stream_of(view)
    for size in (1, 2, 3):
        with pytest.raises(AssertionError, match="is not a template streamed"):
            stream.assert_template_buffering(size)
    with pytest.raises(AssertionError, match="the last chunk of 2 was made of 0 non-empty events"):
        stream.assert_template_buffering(2)


def test_a_template_that_a_layer_merges_is_not_buffered(stream_of):
    stream = stream_of(buffered(5), layer=joins)
    with pytest.raises(AssertionError):
        stream.assert_template_buffering(5)


# assert_request_context


def test_the_request_context_is_kept_or_not(stream_of):
    stream_of(lambda: stream_with_context(c for c in "ab")).assert_request_context()
    stream = stream_of(lambda: (c for c in "ab"))
    with pytest.raises(AssertionError, match="ran without its request context"):
        stream.assert_request_context()


def test_no_chunk_shows_no_context(yielding):
    with pytest.raises(AssertionError, match="has no chunk"):
        yielding().assert_request_context()


def test_another_requests_context_is_not_this_ones(stream_of):
    def view():
        app = flask.current_app._get_current_object()

        def generate():
            with app.test_request_context("/other"):
                yield "a"

        return generate()

    with pytest.raises(AssertionError, match="where an app context of this app was active"):
        stream_of(view).assert_request_context()


def test_every_chunk_needs_the_context(stream_of):
    def view():
        def generate():
            yield "b"
            yield "c"

        return itertools.chain(stream_with_context(["a"]), generate())

    with pytest.raises(AssertionError, match="2 of 3 chunks, the first of them chunk 1"):
        stream_of(view).assert_request_context()


# assert_context_error


def reads(touch, *, before=0):
    def view():
        def generate():
            for _ in range(before):
                yield "before"
            yield str(touch())

        return generate()

    return view


@pytest.mark.parametrize(
    ("touch", "kind"),
    [
        (lambda: flask.request.args, "request"),
        (lambda: flask.session.get("user"), "request"),
        (lambda: flask.current_app.name, "app"),
        (lambda: flask.g.get("user"), "app"),
    ],
)
@pytest.mark.parametrize("before", [0, 2])
def test_a_missing_context_is_told_by_its_kind(stream_of, touch, kind, before):
    stream = stream_of(reads(touch, before=before))
    other = {"request": "app", "app": "request"}[kind]
    for _again in range(2):
        error = stream.assert_context_error(kind, after=before)
        assert error is stream.error
        assert stream.assert_context_error() is error
        assert stream.assert_context_error(kind) is error
        with pytest.raises(AssertionError, match=f"did not miss the {other} context") as caught:
            stream.assert_context_error(other)
        assert caught.value.__cause__ is error
        with pytest.raises(AssertionError, match=f"did not end after {before + 1} chunk"):
            stream.assert_context_error(after=before + 1)


def test_a_missing_request_is_one_also_where_an_app_context_is_active(stream_of):
    def view():
        app = flask.current_app._get_current_object()

        def generate():
            with app.app_context():
                yield flask.request.path

        return generate()

    stream_of(view).assert_context_error("request", after=0)


def test_the_context_error_may_be_the_cause(stream_of):
    def touch():
        try:
            return flask.request.args
        except RuntimeError as error:
            raise Broken("wrapped") from error

    stream = stream_of(reads(touch))
    error = stream.assert_context_error("request")
    assert type(error) is RuntimeError
    assert stream.error.__cause__ is error


@pytest.mark.parametrize("error", [RuntimeError("mine"), Broken("context")])
def test_no_other_error_is_a_context_error(yielding, error):
    stream = yielding("a", error)
    with pytest.raises(AssertionError, match="did not end in a missing-context error") as caught:
        stream.assert_context_error()
    assert caught.value.__cause__ is error


def test_a_clean_end_is_no_context_error(yielding):
    with pytest.raises(AssertionError, match="did not end in a missing-context error"):
        yielding("a").assert_context_error()


@pytest.mark.in_process("a server has none of the context variables of the test")
def test_a_test_that_has_a_context_does_not_hide_a_missing_one(open_client):
    app = Flask("ambient", static_folder=None)
    app.add_url_rule("/", "view", reads(lambda: flask.request.path))
    with app.test_request_context("/of/the/test"):
        open_client(app).get("/").assert_context_error("request", after=0)
        open_client(app, isolate=False).get("/").assert_chunks(["/of/the/test"])


# assert_raises


def test_the_exception_is_returned_and_claims_are_about_all_of_it(yielding):
    error = Broken("disk 7 is full")
    stream = yielding("a", error)
    for _again in range(2):
        assert stream.assert_raises(Broken) is error
        assert stream.assert_raises((KeyError, Exception), after=1, match=r"\d is full$") is error
    for claim, text in (
        (lambda: stream.assert_raises(KeyError), "did not end in KeyError"),
        (lambda: stream.assert_raises((KeyError, OSError)), "did not end in KeyError or OSError"),
        (lambda: stream.assert_raises(Broken, after=0), "did not end after 0 chunks"),
        (lambda: stream.assert_raises(Broken, match="^full"), "did not end in an error that"),
    ):
        with pytest.raises(AssertionError, match=text) as caught:
            claim()
        assert caught.value.__cause__ is error


def test_a_clean_end_raises_nothing(yielding):
    with pytest.raises(AssertionError, match="did not end in Broken") as caught:
        yielding("a").assert_raises(Broken)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_an_exception_that_is_no_error_is_caught_only_where_it_is_claimed(yielding, error):
    stream = yielding("a", error)
    with pytest.raises(type(error)):
        yielding("a", error).assert_raises(Exception)
    assert stream.assert_raises(type(error), after=1) is error


def test_an_http_exception_in_a_generator_reaches_the_server(stream_of):
    def view():
        def generate():
            yield "a"
            abort(404)

        return generate()

    assert stream_of(view).assert_raises(Exception, after=1).code == 404


# What is refused


@pytest.mark.parametrize(
    ("claim", "error", "text"),
    [
        (lambda s: s.assert_lazy(read_ahead=-1), ValueError, "read_ahead must be at least 0"),
        (lambda s: s.assert_lazy(read_ahead=None), TypeError, "read_ahead must be an int"),
        (lambda s: s.assert_lazy(read_ahead=True), TypeError, "read_ahead must be an int"),
        (lambda s: s.assert_lazy(read_ahead=0.5), TypeError, "read_ahead must be an int"),
        (lambda s: s.assert_chunk_count(), TypeError, "needs n, at_least= or at_most="),
        (lambda s: s.assert_chunk_count(1, at_most=2), TypeError, "not both"),
        (lambda s: s.assert_chunk_count(1, at_least=1), TypeError, "not both"),
        (lambda s: s.assert_chunk_count(-1), ValueError, "n must be at least 0"),
        (lambda s: s.assert_chunk_count("1"), TypeError, "n must be an int"),
        (lambda s: s.assert_chunk_count(True), TypeError, "n must be an int"),
        (lambda s: s.assert_chunk_count(at_least=0), ValueError, "claim something"),
        (lambda s: s.assert_chunk_count(at_least=-1), ValueError, "at_least must be at least 0"),
        (lambda s: s.assert_chunk_count(at_most=-1), ValueError, "at_most must be at least 0"),
        (lambda s: s.assert_chunk_count(at_least=2, at_most=1), ValueError, "is more than"),
        (lambda s: s.assert_chunks("ab"), TypeError, "expected must be a list"),
        (lambda s: s.assert_chunks(b"ab"), TypeError, "expected must be a list"),
        (lambda s: s.assert_chunks(bytearray(b"ab")), TypeError, "expected must be a list"),
        (lambda s: s.assert_chunks(None), TypeError, "expected must be a list"),
        (lambda s: s.assert_chunks(["a", 1]), TypeError, "1 is int"),
        (lambda s: s.assert_order(), TypeError, "at least one fragment"),
        (lambda s: s.assert_order("a", ""), ValueError, "empty fragment"),
        (lambda s: s.assert_order(["a"]), TypeError, "fragments must be bytes or str"),
        (lambda s: s.assert_template_buffering(0), ValueError, "size must be at least 1"),
        (lambda s: s.assert_template_buffering(None), TypeError, "size must be an int"),
        (lambda s: s.assert_template_buffering("5"), TypeError, "size must be an int"),
        (lambda s: s.assert_context_error("g"), ValueError, "kind must be 'request', 'app'"),
        (lambda s: s.assert_context_error(""), ValueError, "kind must be 'request', 'app'"),
        (lambda s: s.assert_context_error(after=-1), ValueError, "after must be at least 0"),
        (lambda s: s.assert_raises("Broken"), TypeError, "must be an exception class"),
        (lambda s: s.assert_raises(int), TypeError, "must be an exception class"),
        (lambda s: s.assert_raises(()), TypeError, "must be an exception class"),
        (lambda s: s.assert_raises((Broken, 1)), TypeError, "must be an exception class"),
        (lambda s: s.assert_raises(Broken("x")), TypeError, "must be an exception class"),
        (lambda s: s.assert_raises(Broken, after="1"), TypeError, "after must be an int"),
        (lambda s: s.assert_raises(Broken, after=-1), ValueError, "after must be at least 0"),
        (lambda s: s.assert_raises(Broken, match="("), ValueError, "match must be a regular exp"),
        (lambda s: s.assert_raises(Broken, match=b"x"), TypeError, "match must be a str"),
    ],
)
def test_a_claim_that_claims_nothing_is_refused_before_anything_is_read(
    endless, claim, error, text, over_the_wire
):
    stream = endless()
    with pytest.raises(error, match=text) as caught:
        claim(stream)
    assert type(caught.value) is error
    assert (stream.delivered, stream.state) == (0, "open")
    assert over_the_wire or stream.produced == 0
    inner = [entry for entry in caught.traceback if entry.path != caught.traceback[0].path]
    hidden = [entry for entry in inner if entry.frame.f_locals.get("__tracebackhide__")]
    assert hidden == inner
    assert {entry.path.parent.name for entry in inner} == {"pytest_flask_stream"}


@pytest.mark.parametrize(
    "claim",
    [
        lambda s: s.assert_lazy(1),
        lambda s: s.assert_chunk_count(1, 2),
        lambda s: s.assert_context_error("app", 1),
        lambda s: s.assert_raises(Broken, 1),
    ],
)
def test_the_options_of_a_claim_are_given_by_name(yielding, claim, over_the_wire):
    stream = yielding("a")
    with pytest.raises(TypeError, match="positional argument"):
        claim(stream)
    assert over_the_wire or stream.produced == 0


# Many


def test_claims_of_more_chunks_than_python_has_one_number_each_of(yielding):
    error = Broken("row 300")
    numbers = [f"{number}," for number in range(300)]
    stream = yielding(*numbers)
    stream.assert_order("0,", "298,299,")
    stream.assert_chunks(numbers)
    for claim in (
        lambda: stream.assert_order("300,"),
        lambda: stream.assert_chunks([*numbers, "300,"]),
    ):
        with pytest.raises(AssertionError):
            claim()
    assert yielding(*numbers, error).assert_raises(Broken, after=300) is error


def test_buffers_of_more_events_than_python_has_one_number_each_of(stream_of):
    def view():
        template = flask.current_app.jinja_env.from_string("{% for i in it %}{{ i }}{% endfor %}")
        stream = template.stream(it=range(600))
        stream.enable_buffering(300)
        return Response(stream)

    stream_of(view).assert_template_buffering(300)


# What is shown


OF_ANY = [
    lambda s: s.assert_lazy(read_ahead=1),
    lambda s: s.assert_chunk_count(9),
    lambda s: s.assert_chunks(["a", "b", "c"]),
    lambda s: s.assert_order("b", "z"),
    lambda s: s.assert_one_record_per_chunk("line"),
    lambda s: s.assert_template_buffering(1),
    lambda s: s.assert_request_context(),
    lambda s: s.assert_context_error(),
    lambda s: s.assert_raises(LookupError),
]
OF_A_WHOLE_BODY = [
    *OF_ANY,
    lambda s: s.assert_streamed(),
    lambda s: s.assert_chunk_count(0),
    lambda s: s.assert_chunks([]),
    lambda s: s.assert_chunks(["b"]),
]
OF_AN_ERROR = [
    *OF_ANY,
    lambda s: s.assert_complete(),
    lambda s: s.assert_raises(Broken, after=0),
    lambda s: s.assert_raises(Broken, match="full"),
]


def shown(claim, stream, error=AssertionError):
    """Make a claim that ends in an error, and give the files of the frames that are shown of it."""
    with pytest.raises(error) as caught:
        claim(stream)
    return {
        entry.path.name
        for entry in caught.traceback
        if not entry.frame.f_locals.get("__tracebackhide__")
    }


@pytest.mark.parametrize("claim", OF_A_WHOLE_BODY)
def test_no_frame_of_the_package_is_shown_of_a_claim(stream_of, claim):
    assert shown(claim, stream_of(lambda: "a\nb")) == {"test_claims.py"}


@pytest.mark.parametrize("claim", OF_AN_ERROR)
def test_no_frame_of_the_package_is_shown_where_the_app_has_raised(yielding, claim):
    assert shown(claim, yielding("a", Broken("row 1"))) == {"test_claims.py"}


@pytest.mark.parametrize(
    "claim",
    [
        lambda s: s.assert_lazy(),
        lambda s: s.assert_order("no such number"),
        lambda s: s.assert_raises(Broken),
    ],
)
def test_no_frame_of_the_package_is_shown_where_a_claim_gives_up(endless, claim):
    assert shown(claim, endless(max_chunks=3), EndlessStream) == {"test_claims.py"}
