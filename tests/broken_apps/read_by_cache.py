"""A caching decorator keeps the body, and so reads it, of a response that is streamed."""

from functools import wraps

from flask import Flask, make_response

STOCK_SAYS = "passes"
SAYS = ("was not streamed", "handed over a complete body, not an iterator")
LINE = "def show():"


def rows():
    for number in range(3):
        yield f"{number}\n"


def broken():
    app = Flask(__name__)
    kept = {}

    def cached(view):
        @wraps(view)
        def answer():
            response = make_response(kept.get(view.__name__) or view())
            kept[view.__name__] = response.get_data()
            return response

        return answer

    @app.get("/rows")
    @cached
    def show():
        return rows()

    return app


def correct():
    app = Flask(__name__)
    kept = {}

    def cached(view):
        @wraps(view)
        def answer():
            response = make_response(kept.get(view.__name__) or view())
            if not response.is_streamed:
                kept[view.__name__] = response.get_data()
            return response

        return answer

    @app.get("/rows")
    @cached
    def show():
        return rows()

    return app


def check(client):
    client.get("/rows").assert_streamed()


def stock(client):
    response = client.get("/rows")
    assert response.is_streamed
    assert response.text == "0\n1\n2\n"
