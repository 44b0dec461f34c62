"""Two downloads write into one buffer of the app, and get rows of each other."""

from flask import Flask

STOCK_SAYS = "fails"
IN_PROCESS = "a server makes the first body before the second is asked for"
SAYS = ("differs in chunk 1", "view export")
LINE = "def export(name):"


def rows(name, buffer):
    buffer.append(f"{name}: one\n")
    yield "rows\n"
    buffer.append(f"{name}: two\n")
    yield "".join(buffer)
    buffer.clear()


def broken():
    app = Flask(__name__)
    buffer = []

    @app.get("/export/<name>")
    def export(name):
        return rows(name, buffer)

    return app


def correct():
    app = Flask(__name__)

    @app.get("/export/<name>")
    def export(name):
        buffer = []
        return rows(name, buffer)

    return app


def check(client):
    ada, bob = client.get("/export/ada"), client.get("/export/bob")
    next(ada), next(bob)
    ada.assert_chunks(["rows\n", "ada: one\nada: two\n"])
    bob.assert_chunks(["rows\n", "bob: one\nbob: two\n"])


def stock(client):
    with client.get("/export/ada") as ada, client.get("/export/bob"):
        assert ada.text == "rows\nada: one\nada: two\n"
