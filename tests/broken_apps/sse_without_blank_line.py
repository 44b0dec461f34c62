"""The last event has no empty line behind it, so that every browser drops it."""

from flask import Flask, Response

STOCK_SAYS = "fails"
SAYS = ("does not send each SSE block in a chunk of its own", "clients drop one that is not")
LINE = "def events():"


def broken():
    app = Flask(__name__)

    @app.get("/events")
    def events():
        def generate():
            yield "data: 1\n\n"
            yield "event: done\ndata: bye\n"

        return Response(generate(), mimetype="text/event-stream")

    return app


def correct():
    app = Flask(__name__)

    @app.get("/events")
    def events():
        def generate():
            yield "data: 1\n\n"
            yield "event: done\ndata: bye\n\n"

        return Response(generate(), mimetype="text/event-stream")

    return app


def check(client):
    client.get("/events").assert_one_record_per_chunk("sse")


def stock(client):
    response = client.get("/events")
    assert all(chunk.endswith(b"\n\n") for chunk in response.iter_encoded())
