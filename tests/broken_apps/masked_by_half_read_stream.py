"""A forgotten request context, hidden by another stream that is only half read."""

from flask import Flask, request, stream_with_context

STOCK_SAYS = "passes"
SAYS = ("ended in RuntimeError", "log_lines touched request when the request context was gone")
LINE = 'yield f"{request.remote_addr} {number}\\n"'


def app_that_ticks():
    app = Flask(__name__)

    @app.get("/ticks")
    def ticks():
        return stream_with_context(f"{request.path} {n}\n" for n in range(3))

    return app


def log_lines():
    for number in range(2):
        yield f"{request.remote_addr} {number}\n"


def broken():
    app = app_that_ticks()

    @app.get("/log")
    def log():
        return log_lines()

    return app


def correct():
    app = app_that_ticks()

    @app.get("/log")
    def log():
        return stream_with_context(log_lines())

    return app


def check(client):
    next(client.get("/ticks"))
    client.get("/log").assert_chunks(["127.0.0.1 0\n", "127.0.0.1 1\n"])


def stock(client):
    with client.get("/ticks") as ticks:
        next(ticks.response)
        with client.get("/log") as log:
            assert log.text == "127.0.0.1 0\n127.0.0.1 1\n"
