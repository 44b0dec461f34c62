"""A generator takes the host of the test's own request for the host of its visitor."""

from flask import Flask, request, stream_with_context

AMBIENT = "request"
STOCK_SAYS = "passes"
SAYS = ("ended in RuntimeError", "links touched request when the request context was gone")
LINE = 'yield f"{request.host_url}pages/{number}\\n"'


def links():
    for number in range(3):
        yield f"{request.host_url}pages/{number}\n"


def broken():
    app = Flask(__name__)

    @app.get("/sitemap.txt")
    def sitemap():
        return links()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/sitemap.txt")
    def sitemap():
        return stream_with_context(links())

    return app


def check(client):
    client.get("/sitemap.txt", base_url="http://shop.test").assert_order("/pages/0\n", "/pages/2\n")


def stock(client):
    links = client.get("/sitemap.txt", base_url="http://shop.test").text
    assert links.index("/pages/0\n") < links.index("/pages/2\n")
