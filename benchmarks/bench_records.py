"""What a decoded record costs, as ratios to httpx within one run.

The same app answers all: for us in this process, for httpx through its transport for WSGI apps.
httpx reads server-sent events with httpx-sse, and NDJSON with ``iter_lines()`` and ``json.loads``.
The bodies have 100,000 small records, one in each chunk, and many in each chunk. Each of ours is
timed in turn with its reference, several times over, and the best of each counts: the machine's
noise hits both alike. It is the processor's time of this process, so what else runs there does not
count. For us, the deadline is on and everything is recorded.

    python -m pip install httpx httpx-sse
    python benchmarks/bench_records.py

Ends with status 1 if a ratio is above 1.
"""

from __future__ import annotations

import gc
import json
import sys
from collections import deque
from collections.abc import Callable, Iterator
from time import process_time

import httpx
from flask import Flask, Response
from httpx_sse import EventSource

from pytest_flask_stream import StreamClient

RECORDS = 100_000
CHUNK_SIZE = 65_536
ROUNDS = 5
LIMIT = 1.0

Read = Callable[[], int]


def make_app() -> Flask:
    app = Flask(__name__)
    app.testing = True
    events = [
        f'data: {{"id": {number}, "token": "word"}}\n\n'.encode() for number in range(RECORDS)
    ]
    lines = [f'{{"id": {number}, "name": "ada"}}\n'.encode() for number in range(RECORDS)]
    for name, records in (("sse", events), ("ndjson", lines)):
        mimetype = "text/event-stream" if name == "sse" else "application/x-ndjson"
        for kind, chunks in (("single", records), ("blocks", blocks(b"".join(records)))):

            def view(chunks: list[bytes] = chunks, mimetype: str = mimetype) -> Response:
                return Response((chunk for chunk in chunks), mimetype=mimetype)

            app.add_url_rule(f"/{name}/{kind}", f"{name}_{kind}", view)
    return app


def blocks(body: bytes) -> list[bytes]:
    return [body[at : at + CHUNK_SIZE] for at in range(0, len(body), CHUNK_SIZE)]


def our_sse(app: Flask, path: str) -> int:
    with StreamClient(app) as client:
        return counted(client.get(path).iter_sse())


def our_ndjson(app: Flask, path: str) -> int:
    with StreamClient(app) as client:
        return counted(client.get(path).iter_ndjson())


def httpx_sse(app: Flask, path: str) -> int:
    with httpx_client(app) as client, client.stream("GET", path) as response:
        return counted(EventSource(response).iter_sse())


def httpx_ndjson(app: Flask, path: str) -> int:
    with httpx_client(app) as client, client.stream("GET", path) as response:
        return counted(map(json.loads, response.iter_lines()))


def httpx_client(app: Flask) -> httpx.Client:
    return httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://localhost")


def counted(values: Iterator[object]) -> int:
    return deque(enumerate(values, 1), maxlen=1)[0][0]


def best(ours: Read, theirs: Read) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for read, taken in zip((ours, theirs), times, strict=True):
            taken.append(timed(read))
    return min(times[0]), min(times[1])


def timed(read: Read) -> float:
    gc.collect()
    began = process_time()
    found = read()
    seconds = process_time() - began
    if found != RECORDS:
        raise SystemExit(f"{found} records were read of {RECORDS}")
    return seconds


def main() -> int:
    app = make_app()
    worst = 0.0
    print(f"{RECORDS} records{'':14} {'ours':>9} {'httpx':>9} {'ratio':>6}")
    for name, ours, theirs in (("sse", our_sse, httpx_sse), ("ndjson", our_ndjson, httpx_ndjson)):
        for kind in ("single", "blocks"):
            path = f"/{name}/{kind}"
            seconds, reference = best(lambda: ours(app, path), lambda: theirs(app, path))  # noqa: B023
            ratio = seconds / reference
            worst = max(worst, ratio)
            print(f"{path:28} {seconds:7.3f} s {reference:7.3f} s {ratio:6.2f}")
    print(f"\nworst ratio {worst:.2f}, limit {LIMIT}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
