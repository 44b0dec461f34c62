"""A file of records is sent in blocks of a fixed size, which cut records in two."""

from io import BytesIO

from flask import Flask, Response

STOCK_SAYS = "fails"
SAYS = ("does not send each NDJSON record in a chunk of its own", "cut elsewhere than between")
LINE = "def export():"

RECORDS = b'{"id": 1}\n{"id": 2}\n{"id": 3}\n'


def broken():
    app = Flask(__name__)

    @app.get("/records.ndjson")
    def export():
        file = BytesIO(RECORDS)
        return Response(iter(lambda: file.read(16), b""))

    return app


def correct():
    app = Flask(__name__)

    @app.get("/records.ndjson")
    def export():
        file = BytesIO(RECORDS)
        return Response(iter(file))

    return app


def check(client):
    client.get("/records.ndjson").assert_one_record_per_chunk("ndjson")


def stock(client):
    response = client.get("/records.ndjson")
    assert all(chunk.endswith(b"}\n") for chunk in response.iter_encoded())
