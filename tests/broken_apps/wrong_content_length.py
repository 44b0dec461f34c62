"""The declared length counts characters, and the body is sent in bytes."""

from flask import Flask, Response

STOCK_SAYS = "fails"
SAYS = ("is not complete", "declares another length than it sends")
LINE = "def names():"

NAMES = ["Zoë\n", "André\n"]


def broken():
    app = Flask(__name__)

    @app.get("/names")
    def names():
        length = sum(len(name) for name in NAMES)
        return Response(iter(NAMES), headers={"Content-Length": length})

    return app


def correct():
    app = Flask(__name__)

    @app.get("/names")
    def names():
        length = sum(len(name.encode()) for name in NAMES)
        return Response(iter(NAMES), headers={"Content-Length": length})

    return app


def check(client):
    client.get("/names").assert_complete()


def stock(client):
    response = client.get("/names")
    assert response.content_length == len(response.data)
