"""What is seen inside the app: items, contexts, template events, teardown, and who read early."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import io
import itertools
import threading
import weakref

import flask
import pytest
from flask import (
    Flask,
    Response,
    copy_current_request_context,
    request,
    stream_template,
    stream_template_string,
    stream_with_context,
)
from jinja2 import DictLoader, Template
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.test import EnvironBuilder
from werkzeug.wsgi import ClosingIterator

from pytest_flask_stream import StreamClient, StreamedResponse
from pytest_flask_stream.context import flask_variables

LIST_TEMPLATE = "<ul>{% for i in items %}<li>{{ loop.index }} - {{ i }}</li>{% endfor %}</ul>"


@pytest.fixture
def app():
    app = Flask("probes", static_folder=None)
    app.secret_key = "not so secret"
    return app


@pytest.fixture
def client(open_client, app):
    return open_client(app)


@pytest.fixture
def stream_of(app, client):
    def stream_of(view, **options):
        app.add_url_rule("/", "view", view)
        return client.get("/", **options)

    return stream_of


def produced(stream):
    return [chunk.produced for chunk in stream.record.chunks]


def contexts(stream):
    return [(chunk.request_context, chunk.app_context) for chunk in stream.record.chunks]


def events(stream):
    return [chunk.template_events for chunk in stream.record.chunks]


# Items


def test_items_are_counted_before_any_after_request_function(app, stream_of, over_the_wire):
    seen = []

    @app.after_request
    def merges(response):  # runs second
        def pairs(items):
            for item in items:
                yield item + next(items, "")

        response.response = pairs(iter(response.response))
        return response

    @app.after_request
    def doubles(response):
        seen.append(response.response)
        response.response = (item * 2 for item in response.response)
        return response

    stream = stream_of(lambda: (c for c in "abcde"))
    assert over_the_wire or stream.produced == 0
    assert list(stream) == [b"aabb", b"ccdd", b"ee"]
    assert stream.produced == stream.record.produced == 5
    assert produced(stream) == [2, 4, 5]
    assert len(seen) == 1


def read_by_one_after_the_other(stream):
    return [next(stream), *stream.take(2), *stream]


of_each_kind = pytest.mark.parametrize(
    "make", [lambda: (item for item in "abcd"), lambda: iter("abcd")], ids=["generator", "iterator"]
)


@of_each_kind
@pytest.mark.parametrize("read", [list, lambda stream: stream.take(9), read_by_one_after_the_other])
def test_a_layer_that_has_been_ahead_may_be_in_step_again(app, stream_of, read, make):
    def ahead(items):
        items = iter(items)
        held = [next(items), next(items)]
        yield from held
        yield from items

    app.after_request(lambda response: app.response_class(ahead(response.response)))
    stream = stream_of(make)
    assert read(stream) == [b"a", b"b", b"c", b"d"]
    assert produced(stream) == [2, 2, 3, 4]


@of_each_kind
@pytest.mark.parametrize("read", [list, lambda stream: stream.take(9), read_by_one_after_the_other])
def test_a_layer_that_has_been_behind_may_be_in_step_again(app, stream_of, read, make):
    def behind(items):
        items = iter(items)
        yield "first"
        yield next(items) + next(items)
        yield from items

    app.after_request(lambda response: app.response_class(behind(response.response)))
    stream = stream_of(make)
    assert read(stream) == [b"first", b"ab", b"c", b"d"]
    assert produced(stream) == [0, 2, 3, 4]
    assert stream._tape.early is None


def test_items_are_not_chunks_where_a_layer_cuts_them_up(app, stream_of):
    wsgi_app = app.wsgi_app

    def layer(environ, start_response):
        for chunk in wsgi_app(environ, start_response):
            yield from (bytes([byte]) for byte in chunk)

    app.wsgi_app = layer
    stream = stream_of(lambda: iter(["ab", "", "cd"]))
    stream.drain()
    assert produced(stream) == [1, 1, 3, 3]


@pytest.mark.parametrize(
    ("body", "count"),
    [("abc", 1), (b"abc", 1), (["a", "b"], 2), (("a", "b", "c"), 3), ([], 0)],
)
def test_the_parts_of_a_complete_body_count_at_once(stream_of, body, count):
    stream = stream_of(lambda: Response(body))
    assert (stream.streamed, stream.produced) == (False, count)
    stream.drain()
    assert stream.produced == count


class Rows:
    """An iterable that is no iterator."""

    def __init__(self, *items):
        self.items = items
        self.closed = 0

    def __iter__(self):
        return iter(self.items)

    def close(self):
        self.closed += 1


class SizedRows(Rows):
    def __len__(self):
        return len(self.items)


class Cursor(Rows):
    """An iterator that is no generator."""

    arraysize = 1

    def __init__(self, *items):
        super().__init__(*items)
        self._left = iter(items)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._left)


BODIES = {
    "generator": lambda: (c for c in "abc"),
    "map": lambda: map(str, [1, 2, 3]),
    "iterable": lambda: Rows("a", "b", "c"),
    "sized": lambda: SizedRows("a", "b", "c"),
    "iterator": lambda: Cursor("a", "b", "c"),
    "chain": lambda: itertools.chain("ab", "c"),
    "dict view": lambda: dict.fromkeys("abc").keys(),
    "list": lambda: ["a", "b", "c"],
    "string": lambda: "abc",
    "file": lambda: io.BytesIO(b"a\nb\nc\n"),
}


def looks(response):
    body = response.response
    return {
        "class": body.__class__,
        "is_streamed": response.is_streamed,
        "is_sequence": response.is_sequence,
        "len": len(body) if hasattr(body, "__len__") else None,
        "next": hasattr(body, "__next__"),
        "iter is itself": iter(body) is body,
        "close": hasattr(body, "close"),
        "read": hasattr(body, "read"),
        "isinstance": isinstance(body, (Rows, io.BytesIO)),
    }


@pytest.mark.parametrize("name", BODIES)
def test_what_a_view_hands_over_looks_as_without_the_probe(app, stream_of, name):
    seen = []

    @app.after_request
    def look(response):
        seen.append(looks(response))
        return response

    stream = stream_of(lambda: Response(BODIES[name]()))
    body = stream.read()
    assert app.test_client().get("/").data == body
    watched, plain = seen
    if name == "generator":
        # It is read by one that counts; nothing asks a generator whether it is its own iterator.
        watched["iter is itself"] = True
    assert watched == plain


def test_attributes_of_what_a_view_hands_over_are_reached(app, stream_of):
    rows = Cursor("a", "b")
    seen = []

    @app.after_request
    def look(response):
        rows = response.response
        seen.extend([rows.items, rows.arraysize, rows.closed])
        with pytest.raises(AttributeError):
            response.response.nothing_like_that  # noqa: B018 - that it raises is the point
        return response

    stream = stream_of(lambda: Response(rows))
    assert seen == [("a", "b"), 1, 0]
    assert stream.read() == b"ab"
    assert (stream.produced, rows.closed) == (2, 1)


@pytest.mark.parametrize("kind", [Rows, SizedRows, Cursor])
def test_a_close_reaches_what_the_view_handed_over_once(stream_of, kind, over_the_wire):
    rows = kind("a", "b")
    stream = stream_of(lambda: Response(rows))
    next(stream)
    assert over_the_wire or rows.closed == 0
    stream.disconnect()
    stream.disconnect()
    assert rows.closed == 1


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({}, 200, b"0123456789" * 2000),
        ({"Range": "bytes=2-5"}, 206, b"2345"),
        ({"Range": "bytes=-3"}, 206, b"789"),
        ({"Range": "bytes=19999-"}, 206, b"9"),
    ],
)
def test_a_file_and_its_ranges_are_sent_as_without_the_probe(
    app, stream_of, tmp_path, headers, status, body
):
    path = tmp_path / "digits.txt"
    path.write_bytes(b"0123456789" * 2000)
    stream = stream_of(lambda: flask.send_file(path, conditional=True), headers=headers)
    assert (stream.status_code, stream.read(), stream.streamed) == (status, body, True)
    assert stream.produced == len(stream.record.chunks)
    stream.assert_complete()
    with app.test_client().get("/", headers=headers) as plain:
        assert (plain.status_code, plain.data) == (status, body)
        assert plain.headers["Content-Length"] == stream.headers["Content-Length"]


@pytest.mark.parametrize("chunks", [0, 1, None])
def test_a_file_is_closed(stream_of, tmp_path, chunks, over_the_wire):
    path = tmp_path / "zeros.bin"
    path.write_bytes(b"\0" * 20_000)
    files = []

    def view():
        files.append(path.open("rb"))
        return flask.send_file(files[0], mimetype="application/octet-stream")

    stream = stream_of(view)
    if chunks is None:
        stream.drain()
    else:
        stream.take(chunks)
        assert over_the_wire or not files[0].closed
        stream.close()
    assert files[0].closed


def test_a_file_that_is_passed_through_is_counted_in_blocks(stream_of, tmp_path):
    path = tmp_path / "zeros.bin"
    path.write_bytes(b"\0" * 20_000)
    stream = stream_of(lambda: flask.send_file(path))
    stream.drain()
    assert [chunk.size for chunk in stream.record.chunks] == [8192, 8192, 3616]
    assert produced(stream) == [1, 2, 3]


# Nothing is held


@pytest.mark.parametrize("kind", ["generator", "iterator", "iterable"])
def test_an_iterable_that_a_layer_loses_is_lost_as_it_would_be(app, stream_of, kind):
    log = []
    alive = []

    def generate():
        try:
            yield "a"
            yield "b"
        finally:
            log.append("finally")

    class Lost:
        def __init__(self):
            self.items = generate()

        def __iter__(self):
            return self.items

    class LostIterator(Lost):
        def __iter__(self):
            return self

        def __next__(self):
            return next(self.items)

    def view():
        body = {"generator": generate, "iterator": LostIterator, "iterable": Lost}[kind]()
        alive.append(weakref.ref(body))
        return Response(body)

    wsgi_app = app.wsgi_app

    def loses(environ, start_response):
        app_iter = wsgi_app(environ, start_response)
        first = next(iter(app_iter))
        del app_iter
        return [first]

    app.wsgi_app = loses
    stream = stream_of(view)
    gc.collect()
    assert (stream.state, stream.produced, stream.delivered) == ("open", 1, 0)
    assert log == ["finally"]
    assert alive[0]() is None
    assert stream.read() == b"a"


@pytest.mark.parametrize("kept", [False, True])
def test_what_is_in_g_goes_with_the_context_as_it_would(app, client, kept):
    class Connection:
        """Closes itself when nobody holds it."""

    alive = []

    @app.get("/")
    def view():
        flask.g.connection = Connection()
        connection = weakref.ref(flask.g.connection)

        def look():
            gc.collect()
            alive[-1].append(connection() is not None)

        def generate():
            look()
            yield "a"
            look()
            yield "b"

        alive.append([])
        looks.append(look)
        return stream_with_context(generate()) if kept else generate()

    def serve():
        body = app(EnvironBuilder("/").get_environ(), lambda *_: None)
        assert b"".join(body) == b"ab"
        body.close()

    looks = []
    contextvars.Context().run(serve)
    assert client.get("/").read() == b"ab"
    for look in looks:
        alive.append(alive.pop(0))
        look()
    assert alive == [[kept, kept, False]] * 2


def test_a_g_that_cannot_be_referred_to_weakly(app, stream_of):
    class Slots:
        __slots__ = ("user",)

    def view():
        flask.g.user = "ada"
        return stream_with_context(flask.g.user for _ in "ab")

    app.app_ctx_globals_class = Slots
    stream = stream_of(view)
    assert stream.read() == b"adaada"
    assert {teardown.kind for teardown in stream.record.teardowns} == {"request", "app"}


def test_a_layer_that_loses_close_is_not_helped(app, stream_of):
    closed = []

    def view():
        response = Response(c for c in "ab")
        response.call_on_close(lambda: closed.append("closed"))
        return response

    wsgi_app = app.wsgi_app
    app.wsgi_app = lambda environ, start_response: map(bytes, wsgi_app(environ, start_response))
    stream = stream_of(view)
    assert stream.read() == b"ab"
    assert closed == []


# Pages


@pytest.mark.parametrize("status", [300, 410])
def test_the_page_of_an_http_exception_is_complete(stream_of, status):
    class Page(HTTPException):
        code = status

    def view():
        raise Page

    stream = stream_of(view)
    assert (stream.status_code, stream.streamed, stream.produced) == (status, False, 1)
    assert stream.record.endpoint == "view"
    assert stream.read().startswith(b"<!doctype html>")
    stream.assert_complete()


def test_a_page_without_a_view(client):
    stream = client.get("/nowhere")
    assert (stream.status_code, stream.streamed, stream.record.endpoint) == (404, False, None)


def test_what_looks_like_a_page_and_is_no_error_is_streamed(stream_of, over_the_wire):
    items = ClosingIterator(iter([b"a", b"b"]))
    stream = stream_of(lambda: Response(items, headers={"Content-Length": "2"}))
    assert (stream.status_code, stream.streamed) == (200, True)
    assert over_the_wire or stream.produced == 0


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "2"}])
def test_a_generator_with_an_error_status_is_streamed(stream_of, headers, over_the_wire):
    stream = stream_of(lambda: ((c for c in "ab"), 503, headers))
    assert (stream.status_code, stream.streamed) == (503, True)
    assert over_the_wire or stream.produced == 0
    stream.assert_streamed()


def test_a_later_hook_that_raises_makes_way_for_its_error_page(app, stream_of, caplog):
    caplog.set_level("CRITICAL")
    calls = []

    @app.after_request
    def raises_once(response):
        calls.append(response.get_data())
        if len(calls) == 1:
            raise LookupError("in the hook")
        return response

    stream = stream_of(lambda: (c for c in "abc"))
    assert calls[0] == b"abc"
    assert (stream.status_code, stream.streamed, stream.produced) == (500, False, 1)
    assert b"Internal Server Error" in stream.read()


def test_an_error_page_that_is_streamed_is_judged_by_itself(app, stream_of, caplog, over_the_wire):
    caplog.set_level("CRITICAL")
    calls = []

    @app.after_request
    def reads_and_raises_once(response):
        calls.append(response)
        if len(calls) == 1:
            response.get_data()
            raise LookupError("in the hook")
        return response

    @app.errorhandler(500)
    def sorry(error):
        return (c for c in "no"), 500

    stream = stream_of(lambda: (c for c in "abc"))
    assert (stream.status_code, stream.streamed) == (500, True)
    assert over_the_wire or stream.produced == 0
    stream.assert_streamed()
    stream.assert_lazy()
    assert (stream.read(), stream.produced) == (b"no", 2)
    assert stream._tape.early is None


# Contexts


def test_the_contexts_of_each_chunk(app, stream_of):
    other_app = Flask("other", static_folder=None)

    def view():
        with_context = stream_with_context(["mine"])

        def generate():
            yield "none"
            with app.app_context():
                yield "app"
            with app.test_request_context("/another"):
                yield "another request of this app"
            with other_app.app_context():
                yield "another app"
            with other_app.test_request_context("/"):
                yield "a request of another app"
            yield "none"

        return itertools.chain(with_context, generate())

    stream = stream_of(view)
    stream.drain()
    assert contexts(stream) == [
        (True, True),
        (False, False),
        (False, True),
        (False, True),
        (False, False),
        (False, False),
        (False, False),
    ]


def test_a_copy_of_the_context_of_the_request_counts_as_that_context(stream_of):
    def view():
        # As copy_current_request_context() makes one, for the time of a call.
        copied = flask_variables().request.get().copy()

        def generate():
            yield "none"
            with copied:
                yield "mine"

        return generate()

    stream = stream_of(view)
    stream.drain()
    assert contexts(stream) == [(False, False), (True, True)]


@pytest.mark.parametrize("read", [list, StreamedResponse.drain], ids=["for", "drain"])
def test_the_context_of_the_request_comes_and_goes_while_that_of_the_app_stays(
    app, stream_of, read
):
    # Flask signals neither.
    def view():
        copied = flask_variables().request.get().copy()

        def generate():
            with app.app_context():
                yield "app"
                with copied:
                    yield "mine"
                    yield "mine"
                yield "app"
            yield "none"

        return generate()

    stream = stream_of(view)
    read(stream)
    assert contexts(stream) == [
        (False, True),
        (True, True),
        (True, True),
        (False, True),
        (False, False),
    ]


def test_a_context_that_is_left_before_the_chunk_is_yielded_does_not_count(stream_of):
    def view():
        @copy_current_request_context
        def path():
            return request.path

        def generate():
            yield path()
            yield "without"

        return generate()

    stream = stream_of(view)
    assert list(stream) == [b"/", b"without"]
    assert contexts(stream) == [(False, False)] * 2


def test_the_contexts_of_the_test_are_not_the_streams(app, stream_of):
    with app.test_request_context("/of/the/test"):
        stream = stream_of(lambda: (c for c in "ab"))
        stream.drain()
        assert contexts(stream) == [(False, False)] * 2
        assert request.path == "/of/the/test"


@pytest.mark.in_process("a server is always isolated")
def test_without_isolation_the_contexts_of_the_test_are_the_streams(app, client, stream_of):
    with app.test_request_context("/of/the/test"):
        client.isolate = False
        stream = stream_of(lambda: (c for c in "ab"))
        stream.drain()
        assert contexts(stream) == [(False, True)] * 2


# Templates


def sources(app, text):
    """The same template, streamed in every way that Flask and Jinja have."""
    app.jinja_env.loader = DictLoader({"page.html": text})

    def by_hand(**context):
        return Response(app.jinja_env.get_template("page.html").stream(**context))

    def by_hand_in_context(**context):
        template = app.jinja_env.get_template("page.html")
        return Response(stream_with_context(template.stream(**context)))

    def generated(**context):
        return Response(app.jinja_env.get_template("page.html").generate(**context))

    return {
        "stream_template": lambda **context: stream_template("page.html", **context),
        "stream_template_string": lambda **context: stream_template_string(text, **context),
        "by hand": by_hand,
        "by hand in context": by_hand_in_context,
        "generate": generated,
    }


WAYS = ["stream_template", "stream_template_string", "by hand", "by hand in context", "generate"]
TEMPLATES = {
    "list": LIST_TEMPLATE,
    "plain": "just text",
    "macro": "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m(2) }}",
    "set": "{% set x %}a{{ items }}b{% endset %}[{{ x }}]",
    "filter": "{% filter upper %}a{{ items }}c{% endfilter %}d",
    "empty events": "a{{ nothing }}b{{ nothing }}{{ items }}",
    "nothing": "{% if false %}never{% endif %}",
    "one empty event": "{{ nothing }}",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_each_event_of_an_unbuffered_template_is_a_chunk(app, stream_of, way, name, over_the_wire):
    text = TEMPLATES[name]
    expected = list(app.jinja_env.from_string(text).generate(items="abcd"))
    view = sources(app, text)[way]
    stream = stream_of(lambda: view(items="abcd"))
    arriving = [event for event in expected if event or not over_the_wire]
    assert [chunk.decode() for chunk in stream] == arriving
    assert events(stream) == [1 if event else 0 for event in expected]
    stream.assert_template_buffering(1)


@pytest.mark.parametrize("in_context", [False, True])
@pytest.mark.parametrize(
    ("size", "in_each"),
    [(2, [2] * 11), (3, [3] * 7 + [1]), (5, [5] * 4 + [2]), (20, [20, 2]), (22, [22]), (99, [22])],
)
def test_events_per_chunk_of_a_buffered_template(app, stream_of, size, in_each, in_context):
    def view():
        body = app.jinja_env.from_string(LIST_TEMPLATE).stream(items="abcd")
        body.enable_buffering(size)
        return Response(stream_with_context(body) if in_context else body)

    stream = stream_of(view)
    stream.drain()
    assert events(stream) == in_each
    assert stream.produced == len(in_each)
    stream.assert_template_buffering(size)
    assert contexts(stream) == [(in_context, in_context)] * len(in_each)


def test_empty_events_do_not_count_towards_a_buffer(app, stream_of):
    def view():
        body = app.jinja_env.from_string("a{{ x }}b{{ x }}c{{ x }}").stream(x="")
        body.enable_buffering(2)
        return Response(body)

    stream = stream_of(view)
    assert list(stream) == [b"ab", b"c"]
    assert events(stream) == [2, 1]


@pytest.mark.parametrize(("buffer", "delivered"), [(None, 2), (5, 0)])
def test_an_error_in_a_template_loses_what_the_buffer_held(app, stream_of, buffer, delivered):
    def view():
        body = app.jinja_env.from_string("a{{ one }}{{ 1 // zero }}b").stream(one=1, zero=0)
        if buffer:
            body.enable_buffering(buffer)
        return Response(body)

    stream = stream_of(view)
    stream.assert_raises(ZeroDivisionError, after=delivered)
    assert events(stream) == [1] * delivered


def test_a_template_that_is_rendered_at_once_has_no_events(app, stream_of):
    def view():
        page = "".join(app.jinja_env.from_string(LIST_TEMPLATE).generate(items="ab"))
        page += flask.render_template_string(LIST_TEMPLATE, items="ab")

        return iter([page, "end"])

    stream = stream_of(view)
    stream.drain()
    assert events(stream) == [0, 0]


def test_a_template_without_a_context_is_watched_whoever_reads(app, stream_of):
    def view():
        stream = app.jinja_env.from_string("{% for i in it %}{{ i }}{% endfor %}").stream(
            it="abcde"
        )
        stream.enable_buffering(2)
        return stream

    stream = stream_of(view)
    assert [next(stream), *stream.take(2)] == [b"ab", b"cd", b"e"]
    assert (events(stream), contexts(stream)) == ([2, 2, 1], [(False, False)] * 3)


def test_two_templates_in_one_body(app, stream_of):
    def view():
        first = app.jinja_env.from_string("a{{ x }}")
        second = app.jinja_env.from_string("a{{ x }}c")

        def generate():
            yield "head"
            yield from first.generate(x=1)
            yield "".join(second.generate(x=1))
            yield "tail"

        return generate()

    stream = stream_of(view)
    stream.drain()
    assert events(stream) == [0, 1, 1, 3, 0]


# Teardown


def unwatched_teardowns(app, path, chunks):
    """What teardown functions see of a request on the installed Flask, with nobody watching."""
    seen = []
    delivered = 0
    app.teardown_request(lambda error: seen.append(("request", delivered, type(error))))
    app.teardown_appcontext(lambda error: seen.append(("app", delivered, type(error))))

    def serve():
        nonlocal delivered
        app_iter = app(EnvironBuilder(path).get_environ(), lambda *args: None)
        try:
            for _chunk in itertools.islice(app_iter, chunks):
                delivered += 1
        except LookupError:
            pass
        finally:
            app_iter.close()

    contextvars.Context().run(serve)
    return list(seen)


def plain():
    return (c for c in "abc")


def kept():
    return stream_with_context(c for c in "abc")


def paged():
    return stream_template_string("a{{ x }}c", x=1)


def broken():
    def generate():
        yield "a"
        raise LookupError("in chunk 1")

    return stream_with_context(generate())


def whole():
    return "abc"


@pytest.mark.parametrize("view", [plain, kept, paged, broken, whole])
@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(0, marks=pytest.mark.in_process("a server begins every body")),
        pytest.param(1, marks=pytest.mark.in_process("a server has pulled further")),
        None,
    ],
)
def test_teardown_is_what_the_installed_flask_does(app, client, view, chunks):
    app.add_url_rule("/", "view", view)
    expected = unwatched_teardowns(app, "/", chunks)
    stream = client.get("/")
    with contextlib.suppress(LookupError):
        stream.drain() if chunks is None else stream.take(chunks)
    stream.close()
    seen = [(t.kind, t.delivered, type(t.error)) for t in stream.record.teardowns]
    assert seen == expected
    assert expected


def test_teardown_of_a_plain_generator_comes_before_its_first_chunk(stream_of):
    stream = stream_of(plain)
    assert [(t.kind, t.delivered, t.error) for t in stream.record.teardowns] == [
        ("request", 0, None),
        ("app", 0, None),
    ]
    stream.drain()
    assert len(stream.record.teardowns) == 2


def test_teardown_of_a_kept_context_comes_last(stream_of):
    stream = stream_of(kept)
    stream.drain()
    assert [(t.kind, t.delivered) for t in stream.record.teardowns[-2:]] == [
        ("request", 3),
        ("app", 3),
    ]


# Facts are never mixed up


def test_streams_that_are_read_alternately_keep_their_own_facts(app, client):
    @app.get("/<int:size>")
    def view(size):
        body = app.jinja_env.from_string(LIST_TEMPLATE).stream(items="abcd")
        if size > 1:
            body.enable_buffering(size)
        return Response(stream_with_context(body) if size % 2 else body)

    sizes = [1, 2, 3, 5, 20]
    streams = [client.get(f"/{size}") for size in sizes]
    for _round in itertools.zip_longest(*streams):
        pass
    for size, stream in zip(sizes, streams, strict=True):
        stream.assert_template_buffering(size)
        stream.assert_chunk_count({1: 22, 2: 11, 3: 8, 5: 5, 20: 2}[size])
        kept = bool(size % 2)
        assert set(contexts(stream)) == {(kept, kept)}
        last = stream.record.teardowns[-1]
        assert last.delivered == (stream.delivered if kept else 0)
        assert stream.produced == stream.delivered


def inner_page():
    return stream_template_string(LIST_TEMPLATE, items="abcd")


def inner_page_by_hand():
    return Response(flask.current_app.jinja_env.from_string(LIST_TEMPLATE).stream(items="abcd"))


@pytest.mark.parametrize("inner", [inner_page, inner_page_by_hand, plain])
@pytest.mark.parametrize("in_context", [False, True])
def test_a_request_that_the_app_makes_is_not_the_one_that_is_watched(
    app, client, inner, in_context, over_the_wire
):
    app.add_url_rule("/inner", "inner", inner)
    app.add_url_rule("/same", "same", kept if in_context else plain)
    nested = app.test_client()

    @app.get("/outer")
    def outer():
        in_view = nested.get("/inner").data

        def generate():
            yield in_view
            yield nested.get("/inner").data
            with nested.get("/inner") as response:
                yield from itertools.islice(response.response, 1)
            yield b"end"

        return Response(stream_with_context(generate()) if in_context else generate())

    expected = unwatched_teardowns(app, "/same", None)
    stream = client.get("/outer")
    assert stream.record.endpoint == "outer"
    assert over_the_wire or stream.produced == 0
    stream.drain()
    assert stream.chunks[0] == stream.chunks[1]
    assert events(stream) == [0, 0, 0, 0]
    assert produced(stream) == [1, 2, 3, 4]
    own = [request_context for request_context, _app in contexts(stream)]
    assert (own[0], own[-1]) == (in_context, in_context)
    assert [t.kind for t in stream.record.teardowns] == [kind for kind, *_rest in expected]


def test_a_stream_client_inside_an_app_has_its_own_record(app, client):
    app.add_url_rule("/inner", "inner", inner_page)
    inner_streams = []

    @app.get("/outer")
    def outer():
        def generate():
            with StreamClient(app) as inside:
                inner_stream = inside.get("/inner")
                inner_streams.append(inner_stream)
                for chunk in inner_stream:
                    yield b"<" + chunk + b">"

        return generate()

    stream = client.get("/outer")
    stream.drain()
    (inner_stream,) = inner_streams
    assert (stream.delivered, inner_stream.delivered) == (22, 22)
    assert set(events(stream)) == {0}
    assert set(events(inner_stream)) == {1}
    assert set(contexts(inner_stream)) == {(True, True)}
    assert set(contexts(stream)) == {(False, False)}


def test_threads_keep_their_own_facts(app):
    @app.get("/<int:count>")
    def view(count):
        text = "{% for i in range(n) %}{{ i }},{% endfor %}"
        return stream_template_string(text, n=count)

    expected = {n: [1] * (2 * n) for n in range(1, 9)}
    seen = {}
    together = threading.Barrier(len(expected), timeout=10)

    def read(count):
        with StreamClient(app) as client:
            together.wait()
            stream = client.get(f"/{count}")
            together.wait()
            for _chunk in stream:
                pass
            stream.assert_request_context()
            seen[count] = events(stream)
            assert stream.produced == len(seen[count])

    threads = [threading.Thread(target=read, args=(count,)) for count in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == expected


def test_a_thread_of_the_apps_own_counts_for_no_stream(app, stream_of):
    def view():
        def render():
            list(app.jinja_env.from_string(LIST_TEMPLATE).generate(items="abcd"))

        def generate():
            yield "a"
            thread = threading.Thread(target=render)
            thread.start()
            thread.join()
            yield "b"

        return generate()

    stream = stream_of(view)
    stream.drain()
    assert events(stream) == [0, 0]


# Off duty


def test_nothing_is_watched_when_no_client_is_open(app):
    generate = Template.generate
    signals = (flask.request_started, flask.request_tearing_down, flask.appcontext_tearing_down)
    before = [len(signal.receivers) for signal in signals]
    with StreamClient(app), StreamClient(app):
        assert Template.generate is not generate
        assert [len(signal.receivers) for signal in signals] == [n + 1 for n in before]
    assert Template.generate is generate
    assert [len(signal.receivers) for signal in signals] == before


# Who read early


def early(stream):
    stream.take(1)
    reader, place, *rest = stream._tape.early
    return reader, place.source, *rest


@pytest.mark.parametrize("make", [lambda: (letter for letter in "abc"), lambda: iter("abc")])
def test_who_reads_one_item_is_named_too(app, stream_of, over_the_wire, make):
    @app.after_request
    def peek(response):
        items = iter(response.response)
        response.response = itertools.chain([next(items)], items)
        return response

    stream = stream_of(lambda: Response(make()))
    source = "response.response = itertools.chain([next(items)], items)"
    assert early(stream) == ("after_request function peek", source, 0, False)
    assert over_the_wire or stream.produced == 1
    assert stream.read() == b"abc"


@pytest.mark.parametrize("make", [lambda: (letter for letter in "abc"), lambda: iter("abc")])
def test_a_layer_that_reads_all_for_the_first_chunk(app, stream_of, make):
    application = app.wsgi_app

    def layer(environ, start_response):
        def joined():
            yield b"".join(body)

        body = application(environ, start_response)
        return ClosingIterator(joined(), body.close)

    app.wsgi_app = layer
    with pytest.raises(AssertionError, match=r"was read out, 3 items, before chunk 0 was handed"):
        stream_of(lambda: Response(make())).assert_streamed()


def test_of_two_early_readers_the_first_is_named(app, stream_of):
    @app.after_request
    def runs_second(response):
        response.calculate_content_length()
        return response

    @app.after_request
    def runs_first(response):
        response.get_data()
        return response

    stream = stream_of(plain)
    assert early(stream) == (
        "after_request function runs_first",
        "response.get_data()",
        0,
        False,
    )


def test_a_function_that_an_after_request_function_calls_is_the_line_and_that_one_the_name(
    app, stream_of
):
    def measure(response):
        return len(response.get_data())

    @app.after_request
    def hook(response):
        response.headers["X-Size"] = measure(response)
        return response

    assert early(stream_of(plain)) == (
        "after_request function hook",
        "return len(response.get_data())",
        0,
        False,
    )


def test_a_blueprints_function_is_an_after_request_function(app, client):
    blueprint = flask.Blueprint("pages", __name__)

    @blueprint.after_request
    def of_the_blueprint(response):
        response.get_data()
        return response

    blueprint.add_url_rule("/page", "page", plain)
    app.register_blueprint(blueprint)
    assert early(client.get("/page"))[0] == "after_request function of_the_blueprint"


def test_a_function_of_this_request_only_is_named_by_itself(stream_of):
    def view():
        @flask.after_this_request
        def measure(response):
            response.get_data()
            return response

        return plain()

    assert early(stream_of(view))[:2] == ("measure", "response.get_data()")


def test_a_layer_below_flasks_and_werkzeugs_middlewares_is_a_layer(app, stream_of):
    proxy_fix = pytest.importorskip("werkzeug.middleware.proxy_fix")
    wsgi_app = app.wsgi_app

    def joins(environ, start_response):
        return [b"".join(wsgi_app(environ, start_response))]

    app.wsgi_app = proxy_fix.ProxyFix(joins)
    assert early(stream_of(plain))[0] == "WSGI layer joins"


def test_a_middleware_of_werkzeugs_is_named_and_no_line_of_the_test(app, stream_of):
    app.wsgi_app = ProfilerMiddleware(app.wsgi_app, stream=None)
    reader, line = early(stream_of(plain))[:2]
    assert reader.startswith("WSGI layer ")
    assert reader.endswith("runapp")
    assert "app_iter" in line


def test_a_layer_is_one_also_where_the_client_is_used_inside_an_app(app):
    wsgi_app = app.wsgi_app

    def joins(environ, start_response):
        return [b"".join(wsgi_app(environ, start_response))]

    app.wsgi_app = joins
    app.add_url_rule("/", "view", plain)
    around = Flask("around", static_folder=None)

    @around.get("/")
    def ask():
        with StreamClient(app) as inside:
            return early(inside.get("/"))[0]

    with StreamClient(around) as client:
        assert client.get("/").read_text() == "WSGI layer joins"


def test_a_context_that_flask_cannot_pop_fails_with_flasks_own_error(app, stream_of):
    def view():
        def generate():
            with app.app_context():
                yield "a"
            yield "b"

        body = generate()
        contextvars.Context().run(next, body)  # another worker has begun it
        return body

    stream = stream_of(view)
    stream.assert_raises((LookupError, AssertionError, RuntimeError), after=0)
    assert "Working outside of" not in str(stream.error.__context__)
