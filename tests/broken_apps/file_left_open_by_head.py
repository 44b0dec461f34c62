"""A file is opened for a HEAD request too, whose generator never starts."""

from io import BytesIO

from flask import Flask, request

from pytest_flask_stream import Source

STOCK_SAYS = "passes"
STOCK_CAN_LOOK = False
SAYS = ("left 'report' open", "a generator that never starts runs no finally block")


def lines(file):
    try:
        yield from file
    finally:
        file.close()


def broken():
    app = Flask(__name__)

    @app.get("/report")
    def report():
        return lines(Source(BytesIO(b"one\ntwo\n"), "report"))

    return app


def correct():
    app = Flask(__name__)

    @app.get("/report")
    def report():
        if request.method == "HEAD":
            return ""
        return lines(Source(BytesIO(b"one\ntwo\n"), "report"))

    return app


def check(client):
    client.head("/report").assert_cleaned_up()


def stock(client):
    assert client.head("/report").status_code == 200
