"""An after-request function wraps the body in a generator, and forgets to close the old one."""

from flask import Flask
from werkzeug.wsgi import ClosingIterator

STOCK_SAYS = "passes"
STOCK_CAN_LOOK = False
IN_PROCESS = "the server has read the body out when the client leaves"
SAYS = ("was not closed", "an after_request function or a WSGI layer handed on another iterable")
LINE = "def events():"


def numbered(items):
    for number, item in enumerate(items):
        yield f"{number}: {item}"


def events():
    yield "one\n"
    yield "two\n"


def broken():
    app = Flask(__name__)
    app.add_url_rule("/events", view_func=events)

    @app.after_request
    def number(response):
        body = response.response
        response.response = numbered(body)
        return response

    return app


def correct():
    app = Flask(__name__)
    app.add_url_rule("/events", view_func=events)

    @app.after_request
    def number(response):
        body = response.response
        response.response = ClosingIterator(numbered(body), body.close)
        return response

    return app


def check(client):
    stream = client.get("/events")
    stream.assert_order("0: one")
    stream.assert_cleaned_up()


def stock(client):
    with client.get("/events") as response:
        assert response.text == "0: one\n1: two\n"
