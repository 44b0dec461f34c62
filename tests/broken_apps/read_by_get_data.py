"""An after-request function logs the size of the body with `get_data()`."""

from flask import Flask

STOCK_SAYS = "passes"
SAYS = ("was not streamed", "after_request function log_size read the body")
LINE = 'app.logger.info("%s bytes", len(response.get_data()))'


def rows():
    for number in range(3):
        yield f"<li>  {number}  </li>\n"


def broken():
    app = Flask(__name__)

    @app.after_request
    def log_size(response):
        app.logger.info("%s bytes", len(response.get_data()))
        return response

    @app.get("/rows")
    def show():
        return rows()

    return app


def correct():
    app = Flask(__name__)

    @app.after_request
    def log_size(response):
        if not response.is_streamed:
            app.logger.info("%s bytes", len(response.get_data()))
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
