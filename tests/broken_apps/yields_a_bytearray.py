"""A generator yields the buffer that it reads into, a `bytearray`, which servers refuse."""

from io import BytesIO

from flask import Flask, Response

STOCK_SAYS = "passes"
RAISES = "TypeError"
SAYS = ("of type bytearray: a server takes bytes only (PEP 3333)", "from the iterable of view blob")
LINE = "def blob():"


def broken():
    app = Flask(__name__)

    @app.get("/blob")
    def blob():
        def generate():
            buffer = bytearray(4)
            file = BytesIO(b"01234567")
            while file.readinto(buffer):
                yield buffer[:]

        return Response(generate())

    return app


def correct():
    app = Flask(__name__)

    @app.get("/blob")
    def blob():
        def generate():
            buffer = bytearray(4)
            file = BytesIO(b"01234567")
            while file.readinto(buffer):
                yield bytes(buffer)

        return Response(generate())

    return app


def check(client):
    assert client.get("/blob").read() == b"01234567"


def stock(client):
    assert client.get("/blob").data == b"01234567"
