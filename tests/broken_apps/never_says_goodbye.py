"""A progress stream goes on when the work is done, so that no client can read it out."""

from itertools import count

from flask import Flask

SETTINGS = {"max_chunks": 50}
STOCK_SAYS = "hangs"
RAISES = "EndlessStream"
SAYS = ("gave more than max_chunks=50 chunks", "of an endless stream take(n) or take_until")


def app_that_works():
    app = Flask(__name__)
    app.stopped = False
    return app


def broken():
    app = app_that_works()

    @app.get("/progress")
    def progress():
        def generate():
            for percent in count():
                yield f"{min(percent, 9)} of 9\n"
                if app.stopped:
                    return

        return generate()

    return app


def correct():
    app = app_that_works()

    @app.get("/progress")
    def progress():
        def generate():
            for percent in range(10):
                yield f"{min(percent, 9)} of 9\n"
                if app.stopped:
                    return

        return generate()

    return app


def let_go(app):
    app.stopped = True


def check(client):
    client.get("/progress").assert_complete()


def stock(client):
    assert client.get("/progress").text.endswith("9 of 9\n")
