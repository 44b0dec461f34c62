"""A compressing layer hands on one block when everything has come."""

import gzip
import zlib

from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.wsgi import ClosingIterator

STOCK_SAYS = "passes"
SAYS = ("was not streamed", "merge read the body")
LINE = 'yield gzip.compress(b"".join(body), mtime=1)'


def rows():
    for number in range(3):
        yield f'{{"n": {number}}}\n'


def merge(body):
    yield gzip.compress(b"".join(body), mtime=1)


def flush_each(body):
    compressor = zlib.compressobj(wbits=31)
    for chunk in body:
        yield compressor.compress(chunk) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield compressor.flush()


def compressing(wsgi_app, compress):
    def layer(environ, start_response):
        def start(status, headers, exc_info=None):
            headers = Headers(headers)
            headers["Content-Encoding"] = "gzip"
            return start_response(status, list(headers), exc_info)

        body = wsgi_app(environ, start)
        return ClosingIterator(compress(body), body.close)

    return layer


def broken():
    app = Flask(__name__)
    app.add_url_rule("/rows.ndjson", view_func=rows)
    app.wsgi_app = compressing(app.wsgi_app, merge)
    return app


def correct():
    app = Flask(__name__)
    app.add_url_rule("/rows.ndjson", view_func=rows)
    app.wsgi_app = compressing(app.wsgi_app, flush_each)
    return app


def check(client):
    client.get("/rows.ndjson").assert_streamed()


def stock(client):
    response = client.get("/rows.ndjson")
    assert response.is_streamed
    assert gzip.decompress(response.data) == b'{"n": 0}\n{"n": 1}\n{"n": 2}\n'
