"""The view itself is a generator, so that all of it runs after Flask has popped the request."""

from flask import Flask, request, stream_with_context

STOCK_SAYS = "fails"
SAYS = ("ended in RuntimeError", "count touched request when the request context was gone")
LINE = 'for number in range(int(request.args["to"])):'


def broken():
    app = Flask(__name__)

    @app.get("/count")
    def count():
        for number in range(int(request.args["to"])):
            yield f"{number}\n"

    return app


def correct():
    app = Flask(__name__)

    @app.get("/count")
    @stream_with_context
    def count():
        for number in range(int(request.args["to"])):
            yield f"{number}\n"

    return app


def check(client):
    client.get("/count?to=2").assert_request_context()


def stock(client):
    assert client.get("/count?to=2").text == "0\n1\n"
