"""A forgotten request context, hidden by one that the test has pushed, as pytest-flask does."""

from flask import Flask, request, stream_with_context

AMBIENT = "request"
STOCK_SAYS = "passes"
SAYS = ("ended in RuntimeError", "greet touched request when the request context was gone")
LINE = 'name = request.args.get("name", "stranger")'


def greet():
    name = request.args.get("name", "stranger")
    yield f"Hello, {name}"


def broken():
    app = Flask(__name__)

    @app.get("/hello")
    def hello():
        return greet()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/hello")
    def hello():
        return stream_with_context(greet())

    return app


def check(client):
    client.get("/hello").assert_chunks(["Hello, stranger"])


def stock(client):
    assert client.get("/hello").text == "Hello, stranger"
