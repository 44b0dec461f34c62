"""A generator waits for an event that nobody sends, without a deadline of its own."""

from queue import Empty, Queue

from flask import Flask

SETTINGS = {"timeout": 0.5}
STOCK_SAYS = "hangs"
RAISES = "StreamTimeout"
SAYS = ("the app kept the test waiting", "event = app.events.get()")
LINE = "event = app.events.get()"


def broken():
    app = Flask(__name__)
    app.events = Queue()

    @app.get("/events")
    def events():
        def generate():
            yield ": hello\n\n"
            event = app.events.get()
            yield f"data: {event}\n\n"

        return generate()

    return app


def correct():
    app = Flask(__name__)
    app.events = Queue()

    @app.get("/events")
    def events():
        def generate():
            yield ": hello\n\n"
            try:
                event = app.events.get(timeout=0.001)
            except Empty:
                event = "nothing happened"
            yield f"data: {event}\n\n"

        return generate()

    return app


def let_go(app):
    app.events.put("at last")


def check(client):
    client.get("/events").assert_order("data: nothing happened")


def stock(client):
    assert client.get("/events").text.endswith("data: nothing happened\n\n")
