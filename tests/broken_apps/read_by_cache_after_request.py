"""A cache reads the body of each response that it is to keep, in an after-request function."""

from flask import Flask, request

STOCK_SAYS = "passes"
SAYS = ("is not lazy", "after_request function keep read the body")
LINE = "kept[request.path] = response.get_data()"


def rows():
    for number in range(3):
        yield f"{number}\n"


def broken():
    app = Flask(__name__)
    kept = {}

    @app.before_request
    def answer_from_cache():
        return kept.get(request.path)

    @app.after_request
    def keep(response):
        kept[request.path] = response.get_data()
        return response

    @app.get("/rows")
    def show():
        return rows()

    return app


def correct():
    app = Flask(__name__)
    kept = {}

    @app.before_request
    def answer_from_cache():
        return kept.get(request.path)

    @app.after_request
    def keep(response):
        if not response.is_streamed:
            kept[request.path] = response.get_data()
        return response

    @app.get("/rows")
    def show():
        return rows()

    return app


def check(client):
    client.get("/rows").assert_lazy()


def stock(client):
    response = client.get("/rows")
    assert response.is_streamed
    assert response.text == "0\n1\n2\n"
