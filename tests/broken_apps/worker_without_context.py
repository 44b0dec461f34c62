"""A worker thread fails for want of a context, and the queue that it was to fill never ends."""

from concurrent.futures import ThreadPoolExecutor
from queue import Queue

from flask import Flask, copy_current_request_context, current_app

SETTINGS = {"timeout": 0.5}
STOCK_SAYS = "hangs"
RAISES = "StreamTimeout"
SAYS = ("the app kept the test waiting", "yield from iter(lines.get, END)")
LINE = "yield from iter(lines.get, END)"

END = None


def work(lines):
    lines.put(f"{current_app.config['GREETING']}\n")
    lines.put(END)


def app_that_greets():
    app = Flask(__name__)
    app.config["GREETING"] = "hello"
    app.lines = Queue()
    return app


def read(lines):
    yield from iter(lines.get, END)


def broken():
    app = app_that_greets()

    @app.get("/work")
    def start():
        with ThreadPoolExecutor(1) as pool:
            pool.submit(work, app.lines)
        return read(app.lines)

    return app


def correct():
    app = app_that_greets()

    @app.get("/work")
    def start():
        with ThreadPoolExecutor(1) as pool:
            pool.submit(copy_current_request_context(work), app.lines)
        return read(app.lines)

    return app


def let_go(app):
    app.lines.put(END)


def check(client):
    client.get("/work").assert_chunks(["hello\n"])


def stock(client):
    assert client.get("/work").text == "hello\n"
