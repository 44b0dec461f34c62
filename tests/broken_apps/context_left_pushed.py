"""A generator pushes an app context by hand, and pops it behind the last row only."""

from flask import Flask, current_app, has_app_context

STOCK_SAYS = "fails"
IN_PROCESS = "the server has read the body out when the client leaves"
SAYS = ("left a Flask context behind", "it was pushed without being popped")


def rows():
    for number in range(3):
        yield f"{current_app.name} {number}\n"


def broken():
    app = Flask(__name__)

    @app.get("/rows")
    def show():
        def generate():
            context = app.app_context()
            context.push()
            yield from rows()
            context.pop()

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/rows")
    def show():
        def generate():
            with app.app_context():
                yield from rows()

        return generate()

    return app


def check(client):
    stream = client.get("/rows")
    next(stream)
    stream.assert_cleaned_up()


def stock(client):
    with client.get("/rows") as response:
        next(response.response)
    assert not has_app_context()
