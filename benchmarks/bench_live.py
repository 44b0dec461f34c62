"""What live mode costs: frames as a ratio to httpx, and the time of a server's whole life.

Each of ours is timed in turn with httpx's ``iter_raw()`` on the same server, several times over,
and the best of each counts. The server runs in this process and records what the app hands over,
whoever asks; what its thread takes of the interpreter counts for both. Ours has its deadline on.

    python -m pip install 'pytest-flask-stream[benchmarks]'
    python benchmarks/bench_live.py

Ends with status 1 if an aim is missed.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter

import httpx
from flask import Flask

from pytest_flask_stream import LiveStreamClient, LiveStreamedResponse
from pytest_flask_stream.live.app_server import AppServer
from pytest_flask_stream.live.server import SERVERS

FRAMES = 100_000
ROUNDS = 7
LIVES = 20
RATIO = 1.5
LIFE = 0.060  # s

Read = Callable[[LiveStreamedResponse], object]

READS: dict[str, Read] = {
    "for chunk in stream": lambda stream: deque(stream, 0),
    "drain()": lambda stream: stream.drain(),
    "a claim": lambda stream: stream.assert_chunk_count(FRAMES),
}


def make_app() -> Flask:
    app = Flask(__name__)
    app.testing = True

    @app.get("/frames/<int:count>")
    def frames(count: int) -> Iterator[bytes]:
        frame = b"x" * 32
        return (frame for _ in range(count))

    return app


def timed(run: Callable[[], object]) -> float:
    gc.collect()
    began = perf_counter()
    run()
    return perf_counter() - began


# Frames


def read_ours(client: LiveStreamClient, read: Read) -> None:
    stream = client.get(f"/frames/{FRAMES}")
    read(stream)
    if stream.wire.frames != FRAMES or stream.wire.end != "clean":
        raise SystemExit(f"not what was asked for: {stream!r}, {stream.wire!r}")


def read_httpx(client: httpx.Client) -> None:
    with client.stream("GET", f"/frames/{FRAMES}") as response:
        size = sum(map(len, response.iter_raw()))
    if size != 32 * FRAMES:
        raise SystemExit(f"httpx has read {size} bytes")


def best_of_frames(name: str, rounds: int) -> tuple[dict[str, float], float]:
    """Give the best time of each of ours, and of httpx, in seconds."""
    server = AppServer(make_app(), name)
    ours = dict.fromkeys(READS, float("inf"))
    theirs = float("inf")
    try:
        with httpx.Client(base_url=server.url, trust_env=False) as reference:
            for _ in range(rounds):
                for what, read in READS.items():
                    with LiveStreamClient(server.app, server=server) as client:
                        taken = timed(lambda: read_ours(client, read))  # noqa: B023
                    ours[what] = min(ours[what], taken)
                    theirs = min(theirs, timed(lambda: read_httpx(reference)))
    finally:
        server.stop()
    return ours, theirs


# A server's life


def one_life(app: Flask, server: str) -> None:
    with LiveStreamClient(app, server=server) as client:
        client.get("/frames/3").assert_chunk_count(3)


def lives(server: str) -> list[float]:
    app = make_app()
    one_life(app, server)  # what is imported with the first one is no part of its life
    return [timed(lambda: one_life(app, server)) for _ in range(LIVES)]


# The tables


def frames_table(server: str, rounds: int) -> list[bool]:
    print(heading(f"{FRAMES} frames, {server}", "httpx"))
    ours, theirs = best_of_frames(server, rounds)
    return [
        row(what, f"{seconds:.3f} s", f"{theirs:.3f} s", seconds / theirs, RATIO)
        for what, seconds in ours.items()
    ]


def life_table(server: str) -> list[bool]:
    print(heading(f"start, one stream, stop, {server}", "at most"))
    taken = lives(server)
    found = {"best": min(taken), "median": statistics.median(taken)}
    return [
        row(f"{what} of {LIVES}", ms(seconds), ms(LIFE), seconds / LIFE, 1.0)
        for what, seconds in found.items()
    ]


def heading(what: str, reference: str) -> str:
    return f"\n{what:36} {'ours':>9} {reference:>9} {'ratio':>6} {'aim':>6}  met"


def row(what: str, value: str, reference: str, ratio: float, aim: float) -> bool:
    met = ratio <= aim
    print(f"{what:36} {value:>9} {reference:>9} {ratio:6.2f} {aim:6.2f}  {'yes' if met else 'no'}")
    return met


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description="What does live mode cost?")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each is timed")
    parser.add_argument("--server", choices=SERVERS, action="append", help="only this server")
    arguments = parser.parse_args()
    met: list[bool] = []
    for server in arguments.server or SERVERS:
        met += frames_table(server, arguments.rounds)
        met += life_table(server)
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
