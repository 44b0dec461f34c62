"""A layer wraps the body in a generator of its own, and does not pass `close()` on."""

from flask import Flask
from werkzeug.wsgi import ClosingIterator

STOCK_SAYS = "passes"
STOCK_CAN_LOOK = False
IN_PROCESS = "the server has read the body out when the client leaves"
SAYS = ("was not closed", "handed on another iterable, without passing close() on (PEP 3333)")
LINE = "def events():"


def upper(body):
    for chunk in body:
        yield chunk.upper()


def app_with_events():
    app = Flask(__name__)
    app.left = 0

    @app.get("/events")
    def events():
        def generate():
            try:
                yield "one "
                yield "two "
            finally:
                app.left += 1

        return generate()

    return app


def broken():
    app = app_with_events()
    wsgi_app = app.wsgi_app

    def shouting(environ, start_response):
        body = wsgi_app(environ, start_response)
        return upper(body)

    app.wsgi_app = shouting
    return app


def correct():
    app = app_with_events()
    wsgi_app = app.wsgi_app

    def shouting(environ, start_response):
        body = wsgi_app(environ, start_response)
        return ClosingIterator(upper(body), body.close)

    app.wsgi_app = shouting
    return app


def check(client):
    stream = client.get("/events")
    next(stream)
    stream.assert_cleaned_up()


def stock(client):
    with client.get("/events") as response:
        assert next(response.response) == b"ONE "
