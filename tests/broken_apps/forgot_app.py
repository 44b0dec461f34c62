"""A generator asks for `current_app` after Flask has popped it."""

from flask import Flask, current_app, stream_with_context

STOCK_SAYS = "fails"
SAYS = ("ended in RuntimeError", "touched current_app when the application context was gone")
LINE = "yield current_app.name"


def broken():
    app = Flask(__name__)

    @app.get("/about")
    def about():
        def generate():
            yield "This is "
            yield current_app.name

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/about")
    def about():
        def generate():
            yield "This is "
            yield current_app.name

        return stream_with_context(generate())

    return app


def check(client):
    client.get("/about").assert_chunks(["This is ", __name__])


def stock(client):
    assert client.get("/about").text == f"This is {__name__}"
