"""A generator parses the uploaded form when the request is over."""

from flask import Flask, request, stream_with_context

AMBIENT = "client"
STOCK_SAYS = "passes"
SAYS = ("ended in RuntimeError", "shout touched request when the request context was gone")
LINE = 'text = request.form["text"]'


def shout():
    yield "You said: "
    text = request.form["text"]
    yield text.upper()


def broken():
    app = Flask(__name__)

    @app.post("/shout")
    def post():
        return shout()

    return app


def correct():
    app = Flask(__name__)

    @app.post("/shout")
    def post():
        return stream_with_context(shout())

    return app


def check(client):
    client.post("/shout", data={"text": "hello"}).assert_chunks(["You said: ", "HELLO"])


def stock(client):
    assert client.post("/shout", data={"text": "hello"}).text == "You said: HELLO"
