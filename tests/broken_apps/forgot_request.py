"""A generator asks for `request` after Flask has popped it."""

from flask import Flask, request, stream_with_context

STOCK_SAYS = "fails"
SAYS = ("ended in RuntimeError", "generate touched request when the request context was gone")
LINE = 'yield request.args["name"]'


def broken():
    app = Flask(__name__)

    @app.get("/hello")
    def hello():
        def generate():
            yield "Hello, "
            yield request.args["name"]

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/hello")
    def hello():
        def generate():
            yield "Hello, "
            yield request.args["name"]

        return stream_with_context(generate())

    return app


def check(client):
    client.get("/hello?name=ada").assert_chunks(["Hello, ", "ada"])


def stock(client):
    assert client.get("/hello?name=ada").text == "Hello, ada"
