"""Calls in a thread pool ask for `current_app`, which the pool's threads have not."""

from concurrent.futures import ThreadPoolExecutor

from flask import Flask, copy_current_request_context, current_app

STOCK_SAYS = "fails"
SAYS = ("ended in RuntimeError", "touched current_app in a pool's thread, which has no context")
LINE = 'return number * current_app.config["PRICE"]'


def price_of(number):
    return number * current_app.config["PRICE"]


def priced(numbers, price_of):
    with ThreadPoolExecutor(1) as pool:
        for price in pool.map(price_of, numbers):
            yield f"{price}\n"


def broken():
    app = Flask(__name__)
    app.config["PRICE"] = 3

    @app.get("/prices")
    def prices():
        return priced([1, 2], price_of)

    return app


def correct():
    app = Flask(__name__)
    app.config["PRICE"] = 3

    @app.get("/prices")
    def prices():
        return priced([1, 2], copy_current_request_context(price_of))

    return app


def check(client):
    client.get("/prices").assert_chunks(["3\n", "6\n"])


def stock(client):
    assert client.get("/prices").text == "3\n6\n"
