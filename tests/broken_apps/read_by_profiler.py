"""A profiling layer around the app reads the whole body to take the time."""

from time import perf_counter

from flask import Flask

STOCK_SAYS = "passes"
SAYS = ("was not streamed", "__call__ read the body")
LINE = "body = list(self.wsgi_app(environ, start_response))"


def rows():
    for number in range(3):
        yield f"{number}\n"


class Profiler:
    def __init__(self, wsgi_app):
        self.wsgi_app = wsgi_app
        self.seconds = []

    def __call__(self, environ, start_response):
        began = perf_counter()
        body = list(self.wsgi_app(environ, start_response))
        self.seconds.append(perf_counter() - began)
        return body


class LazyProfiler(Profiler):
    def __call__(self, environ, start_response):
        began = perf_counter()
        body = self.wsgi_app(environ, start_response)
        self.seconds.append(perf_counter() - began)
        return body


def broken():
    app = Flask(__name__)
    app.add_url_rule("/rows", view_func=rows)
    app.wsgi_app = Profiler(app.wsgi_app)
    return app


def correct():
    app = Flask(__name__)
    app.add_url_rule("/rows", view_func=rows)
    app.wsgi_app = LazyProfiler(app.wsgi_app)
    return app


def check(client):
    client.get("/rows").assert_streamed()


def stock(client):
    response = client.get("/rows")
    assert response.is_streamed
    assert response.text == "0\n1\n2\n"
