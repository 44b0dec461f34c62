"""JSON records are sent without line ends, so that no reader can tell them apart."""

from flask import Flask, json

STOCK_SAYS = "fails"
SAYS = ("does not send each NDJSON record in a chunk of its own", "yields a record in several")
LINE = "def export():"


def broken():
    app = Flask(__name__)

    @app.get("/records.ndjson")
    def export():
        return (json.dumps({"id": number}) for number in range(3))

    return app


def correct():
    app = Flask(__name__)

    @app.get("/records.ndjson")
    def export():
        return (json.dumps({"id": number}) + "\n" for number in range(3))

    return app


def check(client):
    client.get("/records.ndjson").assert_one_record_per_chunk("ndjson")


def stock(client):
    response = client.get("/records.ndjson")
    assert all(chunk.endswith(b"}\n") for chunk in response.iter_encoded())
