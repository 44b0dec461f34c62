"""An after-request function minifies each page."""

from flask import Flask

STOCK_SAYS = "passes"
SAYS = ("was not streamed", "after_request function minify read the body")
LINE = 'response.set_data(" ".join(response.get_data(as_text=True).split()))'


def rows():
    for number in range(3):
        yield f"<li>  {number}  </li>\n"


def broken():
    app = Flask(__name__)

    @app.after_request
    def minify(response):
        response.set_data(" ".join(response.get_data(as_text=True).split()))
        return response

    @app.get("/rows")
    def show():
        return rows()

    return app


def correct():
    app = Flask(__name__)

    @app.after_request
    def minify(response):
        if not response.is_streamed:
            response.set_data(" ".join(response.get_data(as_text=True).split()))
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
