"""The view joins what its generator yields into one text."""

from flask import Flask, Response

STOCK_SAYS = "fails"
SAYS = ("gave fewer than 3 chunks", "handed over a complete body, not an iterator")
LINE = "def export():"


def rows():
    for number in range(3):
        yield f"{number}\n"


def broken():
    app = Flask(__name__)

    @app.get("/rows.csv")
    def export():
        return Response("".join(rows()), mimetype="text/csv")

    return app


def correct():
    app = Flask(__name__)

    @app.get("/rows.csv")
    def export():
        return Response(rows(), mimetype="text/csv")

    return app


def check(client):
    client.get("/rows.csv").assert_chunk_count(3)


def stock(client):
    assert len(list(client.get("/rows.csv").iter_encoded())) == 3
