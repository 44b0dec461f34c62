"""A file is opened in the view and closed in a generator, which need not ever start."""

from io import BytesIO

from flask import Flask, Response

from pytest_flask_stream import Source

STOCK_SAYS = "passes"
STOCK_CAN_LOOK = False
IN_PROCESS = "a server begins every body"
SAYS = ("left 'report' open", "a generator that never starts runs no finally block")


def broken():
    app = Flask(__name__)

    @app.get("/report")
    def report():
        file = Source(BytesIO(b"one\ntwo\n"), "report")

        def generate():
            try:
                yield from file
            finally:
                file.close()

        return Response(generate())

    return app


def correct():
    app = Flask(__name__)

    @app.get("/report")
    def report():
        file = Source(BytesIO(b"one\ntwo\n"), "report")

        def generate():
            yield from file

        response = Response(generate())
        response.call_on_close(file.close)
        return response

    return app


def check(client):
    client.get("/report").assert_cleaned_up()


def stock(client):
    with client.get("/report") as response:
        assert response.status_code == 200
