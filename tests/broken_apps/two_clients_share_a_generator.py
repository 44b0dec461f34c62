"""One generator serves all clients, so that each gets what the others have left."""

from flask import Flask

STOCK_SAYS = "fails"
IN_PROCESS = "which thread of the server gets which item is chance"
SAYS = ("differs in chunk 0", "view news")
LINE = "def news():"


def headlines():
    yield "first\n"
    yield "second\n"
    yield "third\n"


def broken():
    app = Flask(__name__)
    shared = headlines()

    @app.get("/news")
    def news():
        return shared

    return app


def correct():
    app = Flask(__name__)

    @app.get("/news")
    def news():
        return headlines()

    return app


def check(client):
    ada, bob = client.get("/news"), client.get("/news")
    assert next(ada) == b"first\n"
    bob.assert_chunks(["first\n", "second\n", "third\n"])
    ada.assert_chunks(["first\n", "second\n", "third\n"])


def stock(client):
    with client.get("/news"), client.get("/news") as bob:
        assert bob.text == "first\nsecond\nthird\n"
