"""A forgotten request context, hidden by a debugging aid that reads the body in the tests."""

from flask import Flask, request, stream_with_context

STOCK_SAYS = "passes"
SAYS = ("was not streamed", "after_request function log_body read the body")
LINE = "app.logger.debug(response.get_data())"


def greet():
    yield "Hello, "
    yield request.args["name"]


def broken():
    app = Flask(__name__)
    app.testing = True

    @app.after_request
    def log_body(response):
        if app.testing:
            app.logger.debug(response.get_data())
        return response

    @app.get("/hello")
    def hello():
        return greet()

    return app


def correct():
    app = Flask(__name__)
    app.testing = True

    @app.after_request
    def log_body(response):
        if app.testing and not response.is_streamed:
            app.logger.debug(response.get_data())
        return response

    @app.get("/hello")
    def hello():
        return stream_with_context(greet())

    return app


def check(client):
    stream = client.get("/hello?name=ada")
    stream.assert_streamed()
    stream.assert_request_context()


def stock(client):
    assert client.get("/hello?name=ada").text == "Hello, ada"
