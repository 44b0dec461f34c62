"""A compressor is never flushed between two records, so that they come late and together."""

import zlib

from flask import Flask, Response

STOCK_SAYS = "fails"
SAYS = (
    "does not send each NDJSON record in a chunk of its own",
    "the body is compressed, and what is not flushed waits in the compressor",
)


def rows():
    for number in range(3):
        yield f'{{"n": {number}}}\n'.encode()


def broken():
    app = Flask(__name__)

    @app.get("/rows.ndjson")
    def show():
        def generate():
            compressor = zlib.compressobj(wbits=31)
            for row in rows():
                yield compressor.compress(row)
            yield compressor.flush()

        return Response(generate(), headers={"Content-Encoding": "gzip"})

    return app


def correct():
    app = Flask(__name__)

    @app.get("/rows.ndjson")
    def show():
        def generate():
            compressor = zlib.compressobj(wbits=31)
            for row in rows():
                yield compressor.compress(row) + compressor.flush(zlib.Z_SYNC_FLUSH)
            yield compressor.flush()

        return Response(generate(), headers={"Content-Encoding": "gzip"})

    return app


def check(client):
    client.get("/rows.ndjson").assert_one_record_per_chunk("ndjson")


def stock(client):
    decompressor = zlib.decompressobj(wbits=31)
    response = client.get("/rows.ndjson")
    chunks = [decompressor.decompress(chunk) for chunk in response.iter_encoded()]
    assert chunks == [*rows(), b""]
