"""An after-request function makes each response conditional."""

from flask import Flask, request

STOCK_SAYS = "passes"
SAYS = ("was not streamed", "after_request function answer_conditionally read the body")
LINE = "response.make_conditional(request)"


def rows():
    for number in range(3):
        yield f"<li>  {number}  </li>\n"


def broken():
    app = Flask(__name__)

    @app.after_request
    def answer_conditionally(response):
        response.make_conditional(request)
        return response

    @app.get("/rows")
    def show():
        return rows()

    return app


def correct():
    app = Flask(__name__)

    @app.after_request
    def answer_conditionally(response):
        if not response.is_streamed:
            response.make_conditional(request)
        return response

    @app.get("/rows")
    def show():
        return rows()

    return app


def check(client):
    client.get("/rows").assert_streamed()


def stock(client):
    response = client.get("/rows")
    assert response.is_streamed
    assert "2" in response.text
