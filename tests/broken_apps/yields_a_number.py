"""A generator yields a number, which no server can send."""

from flask import Flask

STOCK_SAYS = "fails"
SAYS = ("ended in TypeError", "chunk 0 is 1, of type int: a server takes bytes only")


def broken():
    app = Flask(__name__)

    @app.get("/count")
    def count():
        def generate():
            yield from range(1, 4)

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/count")
    def count():
        def generate():
            yield from map(str, range(1, 4))

        return generate()

    return app


def check(client):
    client.get("/count").assert_chunks(["1", "2", "3"])


def stock(client):
    assert client.get("/count").text == "123"
