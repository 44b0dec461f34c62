"""A generator builds links with `url_for()` after Flask has popped its contexts."""

from flask import Flask, stream_with_context, url_for

AMBIENT = "request"
STOCK_SAYS = "passes"
SAYS = ("ended in RuntimeError", "links needed the application context when it was gone")
LINE = """yield url_for("page", number=number) + "\\n\""""


def links():
    for number in range(3):
        yield url_for("page", number=number) + "\n"


def broken():
    app = Flask(__name__)
    app.add_url_rule("/pages/<int:number>", "page")

    @app.get("/sitemap.txt")
    def sitemap():
        return links()

    return app


def correct():
    app = Flask(__name__)
    app.add_url_rule("/pages/<int:number>", "page")

    @app.get("/sitemap.txt")
    def sitemap():
        return stream_with_context(links())

    return app


def check(client):
    client.get("/sitemap.txt").assert_order("/pages/0\n", "/pages/2\n")


def stock(client):
    assert client.get("/sitemap.txt").text == "/pages/0\n/pages/1\n/pages/2\n"
