"""A generator asks for what the view put into `g`; the test has an app context pushed."""

from flask import Flask, g, stream_with_context

AMBIENT = "app"
STOCK_SAYS = "passes"
SAYS = ("ended in RuntimeError", "greet touched g when the application context was gone")
LINE = 'yield f"Hello, {g.user}"'


def greet():
    yield f"Hello, {g.user}"


def broken():
    app = Flask(__name__)

    @app.get("/")
    def hello():
        g.user = "ada"
        return greet()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/")
    def hello():
        g.user = "ada"
        return stream_with_context(greet())

    return app


def check(client):
    client.get("/").assert_chunks(["Hello, ada"])


def stock(client):
    assert client.get("/").text == "Hello, ada"
