"""Shows that the cost of decoding is linear in the body.

For each format, a body of many small records and one of a single long record are decoded at three
sizes, each eight times the one before, in chunks of 64 KiB and in chunks of one byte. What is shown
is the cost per byte, and how it grows from the smallest to the largest: 1 is linear, 64 would be
quadratic. (A long record that outgrows the processor's caches, and must be given fresh memory,
costs a constant factor: joining its chunks alone does.) All sizes are timed in the same run, so the
ratios mean something on any machine; the costs mean something on a quiet one only.

    python benchmarks/bench_decoders.py          # up to 64 MB; in one-byte chunks, up to 4 MB
    python benchmarks/bench_decoders.py --mb 8   # up to 8 MB; in one-byte chunks, up to 0.5 MB

Ends with status 1 if a ratio is above the limit.
"""

from __future__ import annotations

import argparse
import csv
import gc
import gzip
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pytest_flask_stream.decoders import (
    ContentDecoder,
    CSVDecoder,
    Decoder,
    Decoding,
    LineDecoder,
    MultipartDecoder,
    NDJSONDecoder,
    SSEDecoder,
    TextDecoder,
)

MEGABYTE = 1_000_000
LIMIT = 12.0


class Case(NamedTuple):
    """A decoder, and what makes bodies for it."""

    name: str
    make: Callable[[], Decoder[Any]]
    body: Callable[[int], bytes]


def many(record: bytes, before: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + record * (size // len(record))


def one(before: bytes, inside: bytes, behind: bytes) -> Callable[[int], bytes]:
    return lambda size: before + inside * (size // len(inside)) + behind


def noise(size: int) -> bytes:
    return gzip.compress(os.urandom(size), 1)


def multipart() -> MultipartDecoder:
    return MultipartDecoder("frame")


JPEG = b"Content-Type: image/jpeg\r\n\r\n" + bytes(range(256)) * 16 + b"\r\n--frame\r\n"
CASES = [
    Case("text", TextDecoder, many("plain é text\n".encode())),
    Case("lines", LineDecoder, many(b"a line of some forty characters or so\r\n")),
    Case("lines, one long", LineDecoder, one(b"", b"x", b"\n")),
    Case("ndjson", NDJSONDecoder, many(b'{"id": 1, "name": "ada"}\n')),
    Case("ndjson, one long", NDJSONDecoder, one(b'"', b"x", b'"\n')),
    Case("csv", CSVDecoder, many(b'1,"ada, ""the first""",x\r\n')),
    Case("csv, one long line", CSVDecoder, one(b'"', b"x", b'"\n')),
    Case("csv, one long row", CSVDecoder, one(b'"', b'said ""yes"",\n', b'"\n')),
    Case("sse", SSEDecoder, many(b'data: {"token": "word"}\n\n')),
    Case("sse, one long", SSEDecoder, one(b"data: ", b"x", b"\n\n")),
    Case("sse, many lines", SSEDecoder, one(b"", b"data: x\r\n", b"\r\n")),
    Case("multipart", multipart, many(JPEG, b"--frame\r\n")),
    Case(
        "multipart, one long", multipart, one(b"--frame\r\n\r\n", b"\r\n--fram", b"\r\n--frame--")
    ),
    Case("gzip", lambda: ContentDecoder("gzip"), noise),
]


def chunked(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def seconds(case: Case, body: bytes, chunk_size: int) -> float:
    gc.collect()
    began = time.perf_counter()
    deque(Decoding(chunked(body, chunk_size), case.make()), maxlen=0)
    return time.perf_counter() - began


def cost(case: Case, size: int, chunk_size: int, runs: int) -> float:
    """Give the nanoseconds per byte, best of some runs."""
    body = case.body(size)
    return min(seconds(case, body, chunk_size) for _ in range(runs)) / len(body) * 1e9


def compare(case: Case, largest: int, chunk_size: int) -> float:
    costs = [cost(case, largest // 64, chunk_size, runs=5)]
    costs.append(cost(case, largest // 8, chunk_size, runs=2))
    costs.append(cost(case, largest, chunk_size, runs=1))
    ratio = costs[2] / costs[0]
    print(f"{case.name:<20}", *(f"{per_byte:>9.2f}" for per_byte in costs), f"{ratio:>9.2f}")
    return ratio


def table(largest: int, chunk_size: int) -> float:
    sizes = [f"{largest / share / MEGABYTE:g} MB" for share in (64, 8, 1)]
    print(f"\nns per byte, in chunks of {chunk_size} bytes")
    print(f"{'':<20}", *(f"{size:>9}" for size in sizes), f"{'ratio':>9}")
    return max(compare(case, largest, chunk_size) for case in CASES)


def main() -> int:
    parser = argparse.ArgumentParser(description="Is the cost of decoding linear in the body?")
    parser.add_argument("--mb", type=int, default=64, help="size of the largest body")
    largest = parser.parse_args().mb * MEGABYTE
    csv.field_size_limit(sys.maxsize)
    worst = max(table(largest, 65536), table(largest // 16, 1))
    print(f"\nworst ratio {worst:.2f}, limit {LIMIT}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
