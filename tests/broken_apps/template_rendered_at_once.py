"""A template is rendered before it is sent, where it was to be streamed."""

from flask import Flask, render_template_string, stream_template_string

STOCK_SAYS = "passes"
SAYS = ("is not a template streamed event by event", "or one that was rendered at once")
LINE = "def show():"

PAGE = "<ul>{% for item in items %}<li>{{ item }}</li>{% endfor %}</ul>"


def broken():
    app = Flask(__name__)

    @app.get("/items")
    def show():
        return render_template_string(PAGE, items=range(3))

    return app


def correct():
    app = Flask(__name__)

    @app.get("/items")
    def show():
        return stream_template_string(PAGE, items=range(3))

    return app


def check(client):
    client.get("/items").assert_template_buffering(1)


def stock(client):
    response = client.get("/items")
    assert response.is_streamed
    assert response.text.startswith("<ul><li>0</li>")
