"""A forgotten app context, hidden by `with app.app_context():` in the test."""

from flask import Flask, current_app, stream_with_context

AMBIENT = "app"
STOCK_SAYS = "passes"
SAYS = ("ended in RuntimeError", "under Flask's client it would have found one")
LINE = 'limit = current_app.config["LIMIT"]'


def settings():
    limit = current_app.config["LIMIT"]
    yield f"limit: {limit}\n"


def broken():
    app = Flask(__name__)
    app.config["LIMIT"] = 5

    @app.get("/settings")
    def show():
        return settings()

    return app


def correct():
    app = Flask(__name__)
    app.config["LIMIT"] = 5

    @app.get("/settings")
    def show():
        return stream_with_context(settings())

    return app


def check(client):
    client.get("/settings").assert_chunks(["limit: 5\n"])


def stock(client):
    assert client.get("/settings").text == "limit: 5\n"
