"""A response with `direct_passthrough` never calls what `call_on_close()` was given."""

from io import BytesIO

from flask import Flask, Response

from pytest_flask_stream import Source

STOCK_SAYS = "passes"
STOCK_CAN_LOOK = False
SAYS = ("left 'report' open", "with direct_passthrough the functions of call_on_close() never run")


def blocks(file):
    yield from iter(lambda: file.read(4), b"")


def broken():
    app = Flask(__name__)

    @app.get("/report")
    def report():
        file = Source(BytesIO(b"one\ntwo\n"), "report")
        response = Response(blocks(file), direct_passthrough=True)
        response.call_on_close(file.close)
        return response

    return app


def correct():
    app = Flask(__name__)

    @app.get("/report")
    def report():
        file = Source(BytesIO(b"one\ntwo\n"), "report")
        response = Response(blocks(file))
        response.call_on_close(file.close)
        return response

    return app


def check(client):
    stream = client.get("/report")
    stream.assert_chunks(["one\n", "two\n"])
    stream.assert_cleaned_up()


def stock(client):
    with client.get("/report") as response:
        assert response.text == "one\ntwo\n"
