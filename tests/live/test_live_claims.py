"""Every claim, on an app that keeps it and on one that does not: the same as in process."""

from __future__ import annotations

import contextlib
import itertools
import re

import pytest
from flask import (
    Flask,
    Response,
    current_app,
    request,
    stream_template_string,
    stream_with_context,
)

from pytest_flask_stream import LiveStreamClient, Source, StreamClient

TEMPLATE = "{% for number in numbers %}<li>{{ number }}</li>{% endfor %}"


def lazy():
    return (f"chunk {number}" for number in range(3))


def through_a_hasty_layer():
    return lazy()


def hasty(wsgi_app):
    """A WSGI layer that has read all before the server asks for the first chunk."""

    def layer(environ, start_response):
        app_iter = wsgi_app(environ, start_response)
        try:
            return iter(list(app_iter))
        finally:
            app_iter.close()

    return layer


def joined():
    return "".join(lazy())


def with_context():
    return stream_with_context(f"{request.path} {number}" for number in range(3))


def raises():
    yield "a"
    raise LookupError("no row")


def uses_the_app():
    yield "a"
    yield current_app.name


def records():
    return Response((f'{{"n": {n}}}\n' for n in range(3)), mimetype="application/x-ndjson")


def records_cut():
    whole = "".join(f'{{"n": {n}}}\n' for n in range(3))
    return Response((whole[at : at + 7] for at in range(0, 24, 7)), mimetype="application/x-ndjson")


def template():
    return stream_template_string(TEMPLATE, numbers=range(3))


def buffered_template():
    app = current_app._get_current_object()
    stream = app.jinja_env.from_string(TEMPLATE).stream(numbers=range(3))
    stream.enable_buffering(5)
    return Response(iter(stream))


class Rows:
    def __init__(self):
        self.rows = iter("abc")

    def __iter__(self):
        return self.rows

    def close(self):
        self.rows = None


def closes_its_rows():
    rows = Source(Rows(), "rows")

    def generate():
        with contextlib.closing(rows):
            yield from itertools.islice(rows, 2)

    return generate()


def leaves_its_rows_open():
    return itertools.islice(Source(Rows(), "rows"), 2)


CLAIMS = {
    "streamed": (lambda stream: stream.assert_streamed(), lazy, joined),
    "lazy": (lambda stream: stream.assert_lazy(), lazy, through_a_hasty_layer),
    "chunk count": (lambda stream: stream.assert_chunk_count(3), lazy, raises),
    "chunks": (lambda s: s.assert_chunks(["chunk 0", "chunk 1", "chunk 2"]), lazy, joined),
    "order": (lambda stream: stream.assert_order("chunk 0", "chunk 2"), lazy, records),
    "complete": (lambda stream: stream.assert_complete(), lazy, raises),
    "raises": (lambda s: s.assert_raises(LookupError, after=1, match="no row"), raises, lazy),
    "context error": (lambda s: s.assert_context_error("app", after=1), uses_the_app, with_context),
    "request context": (lambda stream: stream.assert_request_context(), with_context, lazy),
    "records": (
        lambda stream: stream.assert_one_record_per_chunk("ndjson"),
        records,
        records_cut,
    ),
    "buffering": (
        lambda stream: stream.assert_template_buffering(5),
        buffered_template,
        template,
    ),
    "cleaned up": (
        lambda stream: stream.assert_cleaned_up(),
        closes_its_rows,
        leaves_its_rows_open,
    ),
    "teardown": (lambda stream: stream.assert_teardown_after_stream(), None, lazy),
}


def app_of(view):
    app = Flask("claims")
    app.testing = True
    app.add_url_rule("/", "view", view)
    if view is through_a_hasty_layer:
        app.wsgi_app = hasty(app.wsgi_app)
    return app


@pytest.mark.parametrize("name", [name for name, (_, right, _) in CLAIMS.items() if right])
def test_a_claim_holds_of_an_app_that_keeps_it(open_client, name):
    claim, view, _ = CLAIMS[name]
    stream = open_client(app_of(view)).get("/")
    claim(stream)
    claim(stream)  # also once the stream has ended


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_that_does_not_hold_fails_with_the_same_text_as_in_process(open_client, name):
    claim, _, view = CLAIMS[name]

    def text_of(client):
        stream = client.get("/")
        with contextlib.suppress(LookupError):
            stream.drain()
        with pytest.raises(AssertionError) as caught:
            claim(stream)
        return re.sub(r"waited \S+ s", "waited … s", str(caught.value))

    with StreamClient(app_of(view)) as in_process:
        expected = text_of(in_process)
    assert text_of(open_client(app_of(view))) == expected


def test_claims_about_content_judge_what_arrived(open_client):
    """Of an app that gives empty chunks, which no server sends."""
    stream = open_client(app_of(lambda: iter(["", "a", "", "b"]))).get("/")
    stream.assert_chunk_count(2)
    stream.assert_chunks(["a", "b"])
    stream.assert_chunks(["", "a", "", "b", ""])
    with pytest.raises(AssertionError):
        stream.assert_chunk_count(4)
    with pytest.raises(AssertionError):
        stream.assert_chunks(["a", "", "", "c"])


def test_other_claims_judge_what_the_app_handed_over(open_client, gate):
    """The server is ahead of the test: that does not make the app a hasty one."""

    def generate():
        yield from map(str, range(10))
        gate.open()

    stream = open_client(app_of(generate)).get("/")
    gate.wait()
    assert (stream.delivered, stream.produced) == (0, 10)
    stream.assert_lazy()
    stream.assert_chunk_count(10)


def test_claims_of_an_endless_stream_end(open_client):
    stream = open_client(app_of(lambda: (str(n) for n in itertools.count()))).get("/")
    stream.take(2)
    stream.disconnect()
    stream.assert_streamed()
    stream.assert_chunk_count(2)
    stream.assert_cleaned_up()


def test_a_live_client_has_the_calls_of_the_other():
    public = {name for name in dir(StreamClient) if not name.startswith("_")}
    assert public <= set(dir(LiveStreamClient))
