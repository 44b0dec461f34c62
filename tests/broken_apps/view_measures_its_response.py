"""The view measures its response with `.data` to declare a length."""

from flask import Flask, Response

STOCK_SAYS = "passes"
SAYS = ("was not streamed", "handed over a complete body, not an iterator")
LINE = "def export():"


def rows():
    for number in range(3):
        yield f"{number}\n"


def broken():
    app = Flask(__name__)

    @app.get("/rows.csv")
    def export():
        response = Response(rows(), mimetype="text/csv")
        response.headers["X-Size"] = str(len(response.data))
        return response

    return app


def correct():
    app = Flask(__name__)

    @app.get("/rows.csv")
    def export():
        response = Response(rows(), mimetype="text/csv")
        response.headers["X-Size"] = "6"
        return response

    return app


def check(client):
    client.get("/rows.csv").assert_streamed()


def stock(client):
    response = client.get("/rows.csv")
    assert response.is_streamed
    assert response.headers["X-Size"] == "6"
