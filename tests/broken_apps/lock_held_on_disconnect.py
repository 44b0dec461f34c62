"""A lock is released behind the last `yield`, and held for good when the client leaves."""

from threading import Lock

from flask import Flask

from pytest_flask_stream import Source

STOCK_SAYS = "passes"
STOCK_CAN_LOOK = False
IN_PROCESS = "the server has read the body out when the client leaves"
SAYS = ("left 'printer' open", "nobody closes it when the client leaves")


class Printer:
    """One at a time may have it."""

    def __init__(self):
        self.lock = Lock()
        self.lock.acquire()

    def close(self):
        self.lock.release()


def broken():
    app = Flask(__name__)

    @app.get("/print")
    def show():
        def generate():
            printer = Source(Printer(), "printer")
            yield "printing\n"
            yield "done\n"
            printer.close()

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/print")
    def show():
        def generate():
            printer = Source(Printer(), "printer")
            try:
                yield "printing\n"
                yield "done\n"
            finally:
                printer.close()

        return generate()

    return app


def check(client):
    stream = client.get("/print")
    stream.take_until("printing")
    stream.assert_cleaned_up()


def stock(client):
    assert client.get("/print").text == "printing\ndone\n"
