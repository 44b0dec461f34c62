"""A streamed template is buffered until all of it is there."""

from flask import Flask

STOCK_SAYS = "fails"
SAYS = ("is not a template streamed in buffers of 5 events", "streams its template with another")
LINE = "def show():"

PAGE = "<ul>{% for item in items %}<li>{{ item }}</li>{% endfor %}</ul>"


def broken():
    app = Flask(__name__)

    @app.get("/items")
    def show():
        page = app.jinja_env.from_string(PAGE).stream(items=range(9))
        page.enable_buffering(10_000)
        return page

    return app


def correct():
    app = Flask(__name__)

    @app.get("/items")
    def show():
        page = app.jinja_env.from_string(PAGE).stream(items=range(9))
        page.enable_buffering(5)
        return page

    return app


def check(client):
    client.get("/items").assert_template_buffering(5)


def stock(client):
    assert len(list(client.get("/items").iter_encoded())) == 6
