"""Templates: sent while they are rendered."""

from flask import request
from flask.ctx import AppContext

LINES = [
    "<h1>The example: people</h1>\n<ul>\n",
    "<li>1 ada</li>\n",
    "<li>2 grace</li>\n",
    "<li>3 linus</li>\n",
    "<li>4 margaret</li>\n",
    "</ul>\n<p>in haste</p>",
]


def test_a_page_streamed_by_hand_is_streamed(stream_client):
    stream = stream_client.get("/users-by-hand.html")
    stream.assert_streamed()
    stream.assert_lazy()


def test_a_page_streamed_by_hand_is_buffered_five_by_five(stream_client):
    stream = stream_client.get("/users-by-hand.html?note=in+haste")
    stream.assert_template_buffering(5)
    stream.assert_chunks(LINES)


def test_a_page_streamed_by_hand_needs_no_request_context(stream_client):
    # `request` is among the values that the template was given
    stream = stream_client.get("/users-by-hand.html?note=in+haste")
    stream.assert_order("<p>", "in haste", "</p>")
    stream.assert_complete()
    assert not any(chunk.request_context for chunk in stream.record.chunks)


def test_stream_template_sends_each_event_by_itself(stream_client):
    stream = stream_client.get("/users.html?note=in+haste")
    assert stream.take_until(": ") == [b"<h1>", b"The example", b": "]
    stream.assert_template_buffering(1)
    assert stream.read_text() == "".join(LINES)


def test_stream_template_is_streamed(stream_client):
    stream = stream_client.get("/users.html")
    stream.assert_streamed()
    stream.assert_lazy()


def test_stream_template_keeps_the_request(stream_client):
    stream_client.get("/users.html").assert_request_context()


def test_stream_template_string_sends_each_event_by_itself(stream_client):
    stream = stream_client.get("/users-inline.html")
    assert stream.take(4) == [b"ada", b" reads ", b"/users-inline.html", b"\n"]
    stream.assert_template_buffering(1)
    stream.assert_chunk_count(16)


def test_stream_template_string_keeps_the_request(stream_client):
    stream = stream_client.get("/users-inline.html")
    stream.assert_request_context()
    stream.assert_order("ada reads /users-inline.html", "margaret reads /users-inline.html")


def test_the_helper_calls_flask_before_3_2(app, stream_client, monkeypatch):
    def update_template_context(context):
        this_request = request._get_current_object()
        context.update(site="Before", section="3.2", request=this_request)

    monkeypatch.setattr(app, "update_template_context", update_template_context)
    stream = stream_client.get("/users-by-hand.html")
    stream.assert_order("Before: 3.2", "4 margaret", "</p>")


def test_the_helper_calls_flask_3_2(app, stream_client, monkeypatch):
    def update_template_context(ctx, context):
        assert type(ctx) is AppContext
        this_request = request._get_current_object()
        context.update(site=ctx.app.name, section="3.2", request=this_request)

    monkeypatch.setattr(app, "update_template_context", update_template_context)
    stream_client.get("/users-by-hand.html").assert_order(
        "streaming_app: 3.2", "4 margaret", "</p>"
    )
