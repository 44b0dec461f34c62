"""What the tests of all decoders share: ways to cut a body, and outcomes that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from hypothesis import strategies as st

from pytest_flask_stream.decoders import Decoder, Decoding
from pytest_flask_stream.errors import DecodeError


class Bad(NamedTuple):
    """Stands for a DecodeError among values."""

    record: int
    offset: int


class Chunks(Iterator[bytes]):
    """Chunks that count how many of them were pulled."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.pulled = 0

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self.pulled += 1
        return chunk


def outcomes(values: Iterator[Any]) -> list[Any]:
    """Read everything, over all errors."""
    found: list[Any] = []
    while True:
        try:
            found.append(next(values))
        except StopIteration:
            return found
        except DecodeError as error:
            found.append(error)


def decode(decoder: Decoder[Any], chunks: list[bytes]) -> list[Any]:
    """Decode with errors in their place, each of which must name the chunk with its byte."""
    found = outcomes(Decoding(chunks, decoder))
    return [_as_bad(item, chunks) if isinstance(item, DecodeError) else item for item in found]


def _as_bad(error: DecodeError, chunks: list[bytes]) -> Bad:
    assert error.chunk == chunk_of(error.offset, chunks)
    return Bad(error.record, error.offset)


def chunk_of(offset: int, chunks: list[bytes]) -> int:
    """The number of the chunk that holds a byte."""
    end = 0
    for number, chunk in enumerate(chunks):
        end += len(chunk)
        if offset < end:
            return number
    return max(len(chunks) - 1, 0)


def byte_by_byte(body: bytes) -> list[bytes]:
    return [body[i : i + 1] for i in range(len(body))]


def cuttings(body: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, in all two-way cuts, and with empty chunks in between."""
    yield [body]
    yield byte_by_byte(body)
    yield [piece for byte in byte_by_byte(body) for piece in (b"", byte)]
    for cut in range(len(body) + 1):
        yield [body[:cut], body[cut:]]


def check(make: Callable[[], Decoder[Any]], body: bytes, expected: list[Any]) -> None:
    """A body is decoded to these values and errors, however it is cut."""
    for chunks in cuttings(body):
        assert decode(make(), chunks) == expected, chunks


@st.composite
def random_cuts(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> list[bytes]:
    """A body, cut anywhere; empty chunks may occur."""
    body = draw(bodies)
    places = draw(st.lists(st.integers(0, len(body)), max_size=6))
    cuts = [0, *sorted(places), len(body)]
    return [body[a:b] for a, b in pairwise(cuts)]


def in_alphabet(*words: bytes, size: int = 40) -> st.SearchStrategy[bytes]:
    """Bodies made of these words only."""
    return st.lists(st.sampled_from(words), max_size=size).map(b"".join)
