"""An after-request function gives each response an ETag."""

from flask import Flask

STOCK_SAYS = "passes"
SAYS = ("was not streamed", "after_request function tag read the body")
LINE = "response.add_etag()"


def rows():
    for number in range(3):
        yield f"<li>  {number}  </li>\n"


def broken():
    app = Flask(__name__)

    @app.after_request
    def tag(response):
        response.add_etag()
        return response

    @app.get("/rows")
    def show():
        return rows()

    return app


def correct():
    app = Flask(__name__)

    @app.after_request
    def tag(response):
        if not response.is_streamed:
            response.add_etag()
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
