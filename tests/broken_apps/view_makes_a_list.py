"""The view makes a list of its generator."""

from flask import Flask

STOCK_SAYS = "passes"
SAYS = ("was not streamed", "handed over a complete body, not an iterator")
LINE = "def show():"


def rows():
    for number in range(3):
        yield f"{number}\n"


def broken():
    app = Flask(__name__)

    @app.get("/rows")
    def show():
        return app.response_class(list(rows()))

    return app


def correct():
    app = Flask(__name__)

    @app.get("/rows")
    def show():
        return app.response_class(rows())

    return app


def check(client):
    client.get("/rows").assert_streamed()


def stock(client):
    response = client.get("/rows")
    assert response.is_streamed
    assert response.text == "0\n1\n2\n"
