"""The subscription ends behind the loop, which a client that leaves never lets end."""

from itertools import count

from flask import Flask

from pytest_flask_stream import Source

STOCK_SAYS = "passes"
STOCK_CAN_LOOK = False
SAYS = ("left 'subscription' open", "nobody closes it when the client leaves")


class Subscription:
    """To news that never end."""

    def __iter__(self):
        return count()

    def close(self):
        pass


def broken():
    app = Flask(__name__)

    @app.get("/news")
    def news():
        def generate():
            subscription = Source(Subscription(), "subscription")
            for number in subscription:
                yield f"data: {number}\n\n"
            subscription.close()

        return app.response_class(generate(), mimetype="text/event-stream")

    return app


def correct():
    app = Flask(__name__)

    @app.get("/news")
    def news():
        def generate():
            subscription = Source(Subscription(), "subscription")
            try:
                for number in subscription:
                    yield f"data: {number}\n\n"
            finally:
                subscription.close()

        return app.response_class(generate(), mimetype="text/event-stream")

    return app


def check(client):
    stream = client.get("/news")
    stream.assert_order("data: 0", "data: 1")
    stream.assert_cleaned_up()


def stock(client):
    with client.get("/news") as response:
        assert next(response.response) == b"data: 0\n\n"
