"""An after-request function counts bytes with `calculate_content_length()`."""

from flask import Flask

STOCK_SAYS = "passes"
SAYS = ("was not streamed", "after_request function count_bytes read the body")
LINE = 'app.config["SENT"] = response.calculate_content_length()'


def rows():
    for number in range(3):
        yield f"<li>  {number}  </li>\n"


def broken():
    app = Flask(__name__)

    @app.after_request
    def count_bytes(response):
        app.config["SENT"] = response.calculate_content_length()
        return response

    @app.get("/rows")
    def show():
        return rows()

    return app


def correct():
    app = Flask(__name__)

    @app.after_request
    def count_bytes(response):
        if not response.is_streamed:
            app.config["SENT"] = response.calculate_content_length()
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
