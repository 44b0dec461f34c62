"""What a chunk costs, as ratios to Flask's own test client within one run.

    python benchmarks/bench_stream.py

Each row is timed in turn with its reference, several times over, and the best of each counts:
the machine's noise hits both alike. The deadline is on and everything is recorded.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter

from flask import Flask, stream_template_string

from pytest_flask_stream import StreamClient

CHUNKS = 200_000
SMALL = 300
ROUNDS = 5


def make_app() -> Flask:
    app = Flask(__name__)
    app.testing = True

    @app.get("/chunks")
    def chunks() -> Iterator[bytes]:
        def generate() -> Iterator[bytes]:
            chunk = b"x" * 32
            for _ in range(CHUNKS):
                yield chunk

        return generate()

    @app.get("/template")
    def template() -> Iterator[str]:
        source = "{% for i in items %}<li>{{ i }}{% endfor %}"
        return stream_template_string(source, items=range(CHUNKS // 8))

    @app.get("/tiny")
    def tiny() -> Iterator[bytes]:
        return iter([b"x"])

    return app


def read_stock(app: Flask, path: str) -> None:
    response = app.test_client().get(path, buffered=False)
    for _chunk in response.response:
        pass
    response.close()


def read_for(app: Flask, path: str) -> None:
    with StreamClient(app) as client:
        for _chunk in client.get(path):
            pass


def read_bulk(app: Flask, path: str) -> None:
    with StreamClient(app) as client:
        client.get(path).read()


def claim_count(app: Flask, path: str) -> None:
    with StreamClient(app) as client:
        client.get(path).assert_chunk_count(at_least=2)
        client.get(path).assert_lazy()


def open_tiny_stock(app: Flask) -> Callable[[], None]:
    client = app.test_client()

    def run() -> None:
        for _ in range(SMALL):
            client.get("/tiny", buffered=False).get_data()

    return run


def open_tiny(app: Flask) -> Callable[[], None]:
    def run() -> None:
        with StreamClient(app) as client:
            for _ in range(SMALL):
                client.get("/tiny").read()

    return run


def open_tiny_fresh(app: Flask) -> Callable[[], None]:
    def run() -> None:
        for _ in range(SMALL):
            with StreamClient(app) as client:
                client.get("/tiny").read()

    return run


def best_ratio(ours: Callable[[], None], stock: Callable[[], None]) -> tuple[float, float]:
    best_ours = best_stock = float("inf")
    for _ in range(ROUNDS):
        best_stock = min(best_stock, timed(stock))
        best_ours = min(best_ours, timed(ours))
    return best_ours, best_ours / best_stock


def timed(run: Callable[[], None]) -> float:
    gc.collect()
    began = perf_counter()
    run()
    return perf_counter() - began


def main() -> int:
    app = make_app()
    deque((run(app, "/tiny") for run in (read_stock, read_for, read_bulk)), 0)

    def chunks(read: Callable[[Flask, str], None]) -> Callable[[], None]:
        return lambda: read(app, "/chunks")

    def template(read: Callable[[Flask, str], None]) -> Callable[[], None]:
        return lambda: read(app, "/template")

    rows = [
        ("for chunk in stream", 2.5, chunks(read_for), chunks(read_stock)),
        ("read()", 1.9, chunks(read_bulk), chunks(read_stock)),
        ("two claims", 1.9, chunks(claim_count), chunks(read_stock)),
        ("streamed template", 1.5, template(read_bulk), template(read_stock)),
        ("tiny response", 1.8, open_tiny(app), open_tiny_stock(app)),
        ("tiny response, fresh client", 2.5, open_tiny_fresh(app), open_tiny_stock(app)),
    ]
    print(f"{'what':30} {'seconds':>8} {'ratio':>6} {'aim':>5}")
    for name, aim, ours, stock in rows:
        seconds, ratio = best_ratio(ours, stock)
        verdict = "" if ratio <= aim else "  missed"
        print(f"{name:30} {seconds:8.3f} {ratio:6.2f} {aim:5.1f}{verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
