"""What reading a stream costs, as ratios to Flask's own test client within one run.

    python benchmarks/bench_stream.py

One table: each row is timed in turn with its reference, many times over, and the best of each
counts, because what else a machine does makes a run slower and never faster; for the same reason it
is the processor's time that is taken. The deadline is on
and everything is recorded. The rows without an aim stand there to compare with: a bare WSGI loop,
and httpx where it is installed. Memory and start-up are measured in processes of their own.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import NamedTuple

from flask import Flask, stream_template_string
from werkzeug.test import EnvironBuilder

from pytest_flask_stream import StreamClient

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]
try:
    import httpx
except ImportError:
    httpx = None  # type: ignore[assignment]

CHUNKS = 200_000
SMALL = 300
ROUNDS = 7
MANY = 1_000_000
KIB, MIB = 1024, 1024 * 1024
STARTS = 15

Run = Callable[[], object]


class Row(NamedTuple):
    """What was measured; ``aim`` is ``None`` where it only stands beside the others."""

    what: str
    value: float
    unit: str
    aim: float | None
    best: str


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

    @app.get("/kib")
    def kib() -> Iterator[bytes]:
        return (bytes(KIB) for _ in range(MANY))

    return app


# Time


def stock(app: Flask, path: str) -> Run:
    def run() -> None:
        response = app.test_client().get(path, buffered=False)
        for _chunk in response.response:
            pass
        response.close()

    return run


def bare(app: Flask, path: str) -> Run:
    def run() -> None:
        environ = EnvironBuilder(path).get_environ()
        for _chunk in app(environ, lambda *_: bytearray().extend):
            pass

    return run


def httpx_raw(app: Flask, path: str) -> Run:
    def run() -> None:
        transport = httpx.WSGITransport(app=app)
        with (
            httpx.Client(transport=transport, base_url="http://localhost") as client,
            client.stream("GET", path) as response,
        ):
            for _chunk in response.iter_raw():
                pass

    return run


def ours(app: Flask, path: str, read: Callable[..., object]) -> Run:
    def run() -> None:
        with StreamClient(app) as client:
            read(client.get(path))

    return run


def by_for(stream: Iterator[bytes]) -> None:
    for _chunk in stream:
        pass


def tiny_stock(app: Flask) -> Run:
    client = app.test_client()

    def run() -> None:
        for _ in range(SMALL):
            client.get("/tiny", buffered=False).get_data()

    return run


def tiny(app: Flask) -> Run:
    def run() -> None:
        with StreamClient(app) as client:
            for _ in range(SMALL):
                client.get("/tiny").read()

    return run


def tiny_fresh(app: Flask) -> Run:
    def run() -> None:
        for _ in range(SMALL):
            with StreamClient(app) as client:
                client.get("/tiny").read()

    return run


class Timing(NamedTuple):
    """Something to be timed beside others; the first of a group is what they are compared to."""

    what: str
    aim: float | None
    run: Run


def timings(app: Flask) -> list[list[Timing]]:
    def read_of(path: str, read: Callable[..., object]) -> Run:
        return ours(app, path, read)

    chunks = [
        Timing("Flask's test client", None, stock(app, "/chunks")),
        Timing("for chunk in stream", 2.5, read_of("/chunks", by_for)),
        Timing("drain()", 1.9, read_of("/chunks", lambda stream: stream.drain())),
        Timing("read()", 1.9, read_of("/chunks", lambda stream: stream.read())),
        Timing("take(200_000)", 1.9, read_of("/chunks", lambda stream: stream.take(CHUNKS))),
        Timing("assert_lazy()", 1.9, read_of("/chunks", lambda stream: stream.assert_lazy())),
        Timing(
            "assert_chunk_count()",
            1.9,
            read_of("/chunks", lambda stream: stream.assert_chunk_count(CHUNKS)),
        ),
        Timing(
            "assert_complete()", 1.9, read_of("/chunks", lambda stream: stream.assert_complete())
        ),
        Timing("a bare WSGI loop", None, bare(app, "/chunks")),
    ]
    if httpx is None:
        print("httpx is not installed: its row is left out", file=sys.stderr)
    else:
        chunks.append(Timing("httpx, iter_raw()", None, httpx_raw(app, "/chunks")))
    return [
        chunks,
        [
            Timing("Flask's test client, template", None, stock(app, "/template")),
            Timing("streamed template", 1.5, read_of("/template", lambda stream: stream.read())),
        ],
        [
            Timing("Flask's test client, one chunk", None, tiny_stock(app)),
            Timing("one chunk, opened and read", 1.8, tiny(app)),
            Timing("the same, a client each time", 2.5, tiny_fresh(app)),
        ],
    ]


def timed(run: Run) -> float:
    gc.collect()
    began = process_time()
    run()
    return process_time() - began


def time_rows(group: list[Timing]) -> list[Row]:
    best = [float("inf")] * len(group)
    for _ in range(ROUNDS):
        seen = [timed(timing.run) for timing in group]
        best = list(map(min, best, seen))
    return [
        Row(timing.what, seconds / best[0], "x", timing.aim, f"{seconds:.4f} s")
        for seconds, timing in zip(best, group, strict=True)
    ]


# Memory


def memory_of(keep_bytes: int) -> float:
    """Give how far the greatest resident size grows, in MiB, in a process of its own."""
    result = subprocess.run(
        [sys.executable, __file__, "--memory", str(keep_bytes)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(result.stdout)


def print_memory(keep_bytes: int) -> None:
    def peak() -> float:
        # Not getrusage(): there a child begins with what its parent has reached.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / KIB

    app = make_app()
    with StreamClient(app, timeout=600) as client:
        client.get("/tiny").read()
        before = peak()
    with StreamClient(app, timeout=600, keep_bytes=keep_bytes) as client:
        stream = client.get("/kib")
        stream.drain()
        if stream.delivered != MANY:
            raise SystemExit(f"only {stream.delivered} chunks")
        print(peak() - before)


def memory_rows() -> list[Row]:
    if not Path("/proc/self/status").exists():
        print("memory is measured on Linux only", file=sys.stderr)
        return []
    return [
        Row(f"{what}, 1,000,000 x 1 KiB", memory_of(keep), "MiB", keep / MIB + 48, "")
        for what, keep in (("keep_bytes=64 MiB", 64 * MIB), ("keep_bytes=0", 0))
    ]


# Start-up


def start_rows() -> list[Row]:
    """Compare ``pytest --collect-only`` of an empty suite with and without the plugin."""
    if resource is None:
        print("start-up is measured on POSIX only", file=sys.stderr)
        return []

    def children() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    best = {"with": float("inf"), "without": float("inf")}
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    plugin = {"with": ["-p", "pytest_flask_stream.plugin"], "without": []}
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as compiled:
        # What is installed is compiled; so is a checkout, from the second start on.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        environ["PYTHONPYCACHEPREFIX"] = compiled
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "--rootdir", empty]
        for _ in range(STARTS):
            for which, arguments in plugin.items():
                began = children()
                subprocess.run(
                    [*command, *arguments, empty],
                    cwd=empty,
                    env=environ,
                    check=False,
                    stdout=subprocess.DEVNULL,
                )
                best[which] = min(best[which], children() - began)
    added = (best["with"] - best["without"]) * 1000
    return [Row("unused plugin, collect-only", added, "ms", 10, f"{best['with']:.4f} s")]


def show(row: Row) -> None:
    aim = "" if row.aim is None else f"{row.aim:g} {row.unit}"
    verdict = "" if row.aim is None else "met" if row.value <= row.aim else "MISSED"
    print(f"{row.what:36} {row.value:7.2f} {row.unit:3} {aim:>8}  {verdict:7} {row.best}")


def main() -> int:
    if sys.argv[1:2] == ["--memory"]:
        print_memory(int(sys.argv[2]))
        return 0
    print(f"{'what':36} {'seen':>11} {'aim':>8}")
    app = make_app()
    for group in timings(app):
        for row in time_rows(group):
            show(row)
    for measure in (memory_rows, start_rows):
        for row in measure():
            show(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
