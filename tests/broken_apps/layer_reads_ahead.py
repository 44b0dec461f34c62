"""A layer reads one item ahead, to know which one is the last."""

from flask import Flask

STOCK_SAYS = "passes"
STOCK_CAN_LOOK = False
SAYS = ("is not lazy", "with_separators read the body")
LINE = "for item in body:"


def events():
    for number in range(3):
        yield f"event {number}"


def with_separators(body):
    last = next(body)
    for item in body:
        yield f"{last}, "
        last = item
    yield f"{last}."


def with_separators_before(body):
    yield next(body)
    for item in body:
        yield f", {item}"


def broken():
    app = Flask(__name__)

    @app.after_request
    def separate(response):
        response.response = with_separators(iter(response.response))
        return response

    app.add_url_rule("/events", view_func=events)
    return app


def correct():
    app = Flask(__name__)

    @app.after_request
    def separate(response):
        response.response = with_separators_before(iter(response.response))
        return response

    app.add_url_rule("/events", view_func=events)
    return app


def check(client):
    client.get("/events").assert_lazy()


def stock(client):
    response = client.get("/events")
    assert response.is_streamed
    assert "event 1, event 2" in response.text
